//===- Dim.cpp - A size: a polynomial of named sizes ------------------------------------------------------------===//

#include "rondo/Support/Dim.h"
#include "llvm/ADT/StringExtras.h"
#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>

using namespace rondo;

namespace {
struct Rational {
  int64_t num = 0, den = 1;
};

Rational reduce(Rational value) {
  int64_t divisor = std::gcd(value.num, value.den);
  if (divisor)
    value.num /= divisor, value.den /= divisor;
  if (value.den < 0)
    value.num = -value.num, value.den = -value.den;
  return value;
}

Rational operator+(Rational a, Rational b) { return reduce({a.num * b.den + b.num * a.den, a.den * b.den}); }
Rational operator*(Rational a, Rational b) { return reduce({a.num * b.num, a.den * b.den}); }
} // namespace

/// Names sorted and repeated for powers, with their factors; no factor is zero.
struct Dim::Polynomial {
  using Monomial = std::vector<std::string>;
  std::map<Monomial, Rational> terms;
  std::string text;

  void add(Monomial monomial, Rational factor) {
    Rational sum = terms[monomial] + factor;
    if (sum.num)
      terms[monomial] = sum;
    else
      terms.erase(monomial);
  }
  void print();
};

Dim::Dim(Polynomial &&value) {
  // Sizes are few and short; the pool lives as long as the process.
  static std::mutex mutex;
  static auto *pool = new llvm::StringMap<Polynomial>();
  value.print();
  std::lock_guard<std::mutex> lock(mutex);
  auto it = pool->try_emplace(value.text, value).first;
  polynomial = &it->second;
}

Dim::Dim(int64_t value) : Dim(Polynomial{{}, {}}) {
  if (value) {
    Polynomial number;
    number.terms[{}] = {value, 1};
    *this = Dim(std::move(number));
  }
}

Dim Dim::name(llvm::StringRef name) {
  Polynomial result;
  result.terms[{name.str()}] = {1, 1};
  return Dim(std::move(result));
}

llvm::StringRef Dim::str() const { return polynomial->text; }

Dim Dim::operator+(const Dim &other) const {
  Polynomial result = *polynomial;
  for (const auto &[monomial, factor] : other.polynomial->terms)
    result.add(monomial, factor);
  return Dim(std::move(result));
}

Dim Dim::operator-(const Dim &other) const { return *this + other * Dim(-1); }

Dim Dim::operator*(const Dim &other) const {
  Polynomial result;
  for (const auto &[m1, f1] : polynomial->terms)
    for (const auto &[m2, f2] : other.polynomial->terms) {
      Polynomial::Monomial product = m1;
      product.insert(product.end(), m2.begin(), m2.end());
      std::sort(product.begin(), product.end());
      result.add(product, f1 * f2);
    }
  return Dim(std::move(result));
}

std::optional<Dim> Dim::dividedBy(const Dim &divisor) const {
  auto value = divisor.getConstant();
  if (!value || *value == 0)
    return std::nullopt;
  Polynomial result = *polynomial;
  for (auto &[monomial, factor] : result.terms)
    factor = reduce({factor.num, factor.den * *value});
  return Dim(std::move(result));
}

std::optional<int64_t> Dim::getConstant() const {
  const auto &terms = polynomial->terms;
  if (terms.empty())
    return 0;
  if (terms.size() != 1 || !terms.begin()->first.empty() || terms.begin()->second.den != 1)
    return std::nullopt;
  return terms.begin()->second.num;
}

Dim Dim::substitute(const llvm::StringMap<int64_t> &sizes) const {
  Polynomial result;
  for (const auto &[monomial, factor] : polynomial->terms) {
    Rational number = factor;
    Polynomial::Monomial rest;
    for (const std::string &name : monomial) {
      auto it = sizes.find(name);
      if (it == sizes.end())
        rest.push_back(name);
      else
        number = number * Rational{it->second, 1};
    }
    if (number.num)
      result.add(rest, number);
  }
  return Dim(std::move(result));
}

std::optional<int64_t> Dim::evaluate(const llvm::StringMap<int64_t> &sizes) const {
  auto value = substitute(sizes).getConstant();
  return value && *value >= 0 ? value : std::nullopt;
}

std::vector<std::string> Dim::names() const {
  std::vector<std::string> result;
  for (const auto &[monomial, factor] : polynomial->terms)
    result.insert(result.end(), monomial.begin(), monomial.end());
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

bool Dim::isSimple() const {
  llvm::StringRef text = str();
  return std::all_of(text.begin(), text.end(), [](char c) { return llvm::isAlnum(c) || c == '_'; });
}

void Dim::Polynomial::print() {
  if (terms.empty()) {
    text = "0";
    return;
  }
  int64_t denominator = 1;
  for (const auto &[monomial, factor] : terms)
    denominator = std::lcm(denominator, factor.den);
  std::string sum;
  // Longest monomials first, numbers last: K*K+K.
  std::vector<std::pair<Monomial, Rational>> ordered(terms.begin(), terms.end());
  std::sort(ordered.begin(), ordered.end(), [](const auto &a, const auto &b) {
    return std::make_pair(b.first.size(), a.first) < std::make_pair(a.first.size(), b.first);
  });
  for (const auto &[monomial, factor] : ordered) {
    int64_t number = factor.num * (denominator / factor.den);
    if (!sum.empty() || number < 0)
      sum += number < 0 ? "-" : "+";
    number = std::abs(number);
    std::string product = llvm::join(monomial, "*");
    if (monomial.empty())
      sum += std::to_string(number);
    else
      sum += number == 1 ? product : std::to_string(number) + "*" + product;
  }
  bool single = ordered.size() == 1;
  text = denominator == 1 ? sum : (single ? sum : "(" + sum + ")") + "/" + std::to_string(denominator);
}

namespace {
/// expression := term (('+' | '-') term)*;  term := factor (('*' | '/') factor)*;  factor := number | name | '('
/// expression ')'
struct DimParser {
  llvm::StringRef rest;

  std::optional<Dim> expression() {
    auto left = term();
    while (left && (peek() == '+' || peek() == '-')) {
      char op = take();
      auto right = term();
      if (!right)
        return std::nullopt;
      left = op == '+' ? *left + *right : *left - *right;
    }
    return left;
  }
  std::optional<Dim> term() {
    auto left = factor();
    while (left && (peek() == '*' || peek() == '/')) {
      char op = take();
      auto right = factor();
      if (!right)
        return std::nullopt;
      if (op == '*')
        left = *left * *right;
      else if (!(left = left->dividedBy(*right)))
        return std::nullopt;
    }
    return left;
  }
  std::optional<Dim> factor() {
    char c = peek();
    if (c == '(') {
      take();
      auto inner = expression();
      if (peek() != ')')
        return std::nullopt;
      take();
      return inner;
    }
    if (c == '-') {
      take();
      auto inner = factor();
      return inner ? std::optional<Dim>(Dim(-1) * *inner) : std::nullopt;
    }
    size_t length = 0;
    while (length < rest.size() && (llvm::isAlnum(rest[length]) || rest[length] == '_'))
      ++length;
    llvm::StringRef word = rest.take_front(length);
    rest = rest.drop_front(length);
    int64_t number;
    if (word.empty())
      return std::nullopt;
    if (!word.getAsInteger(10, number))
      return Dim(number);
    return llvm::isDigit(word[0]) ? std::nullopt : std::optional<Dim>(Dim::name(word));
  }
  char peek() {
    rest = rest.ltrim();
    return rest.empty() ? '\0' : rest[0];
  }
  char take() {
    char c = rest[0];
    rest = rest.drop_front();
    return c;
  }
};
} // namespace

std::optional<Dim> Dim::parse(llvm::StringRef text) {
  DimParser parser{text};
  auto result = parser.expression();
  return parser.peek() == '\0' ? result : std::nullopt;
}
