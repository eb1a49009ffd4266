//===- Lexer.cpp - Tokens of the `.rondo` language --------------------------------------------------------------===//

#include "Lexer.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace rondo::frontend;
using llvm::StringRef;

static bool isNamePart(char c) { return llvm::isAlnum(c) || c == '_'; }

/// `12`, `1.5`, `.5`, `1e-6`. The `.` of `.T` is no part of a number.
static size_t numberLength(StringRef text) {
  size_t end = 0;
  auto digits = [&] {
    while (end < text.size() && llvm::isDigit(text[end]))
      ++end;
  };
  digits();
  if (end < text.size() && text[end] == '.' && !(end + 1 < text.size() && text[end + 1] == 'T')) {
    ++end;
    digits();
  }
  if (end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
    size_t exponent = end + 1;
    if (exponent < text.size() && (text[exponent] == '+' || text[exponent] == '-'))
      ++exponent;
    if (exponent < text.size() && llvm::isDigit(text[exponent])) {
      end = exponent;
      digits();
    }
  }
  return end;
}

static bool startsNumber(StringRef text) {
  return llvm::isDigit(text[0]) || (text[0] == '.' && text.size() > 1 && llvm::isDigit(text[1]));
}

static size_t punctuationLength(StringRef text) {
  for (StringRef spelling : {"->", "**", "+=", "-=", "*=", "/=", "==", "!=", "<=", ">="})
    if (text.starts_with(spelling))
      return 2;
  return StringRef("()[]{},=+-*/@.<>").contains(text[0]) ? 1 : 0;
}

/// The number of bytes of the UTF-8 character that `text` begins with, so that a message can show it whole.
static size_t characterLength(StringRef text) {
  size_t end = 1;
  while (end < text.size() && (text[end] & 0xC0) == 0x80)
    ++end;
  return end;
}

std::vector<Token> rondo::frontend::lex(StringRef text) {
  std::vector<Token> tokens;
  unsigned openBrackets = 0;
  auto take = [&](Token::Kind kind, size_t length) {
    tokens.push_back({kind, text.take_front(length)});
    text = text.drop_front(length);
  };
  while (!text.empty()) {
    char c = text[0];
    if (c == '#') {
      text = text.drop_until([](char c) { return c == '\n'; });
    } else if (c == '\n' || c == ';') {
      if (openBrackets && c == '\n')
        text = text.drop_front();
      else
        take(Token::Separator, 1);
    } else if (llvm::isSpace(c)) {
      text = text.drop_front();
    } else if (startsNumber(text)) {
      take(Token::Number, numberLength(text));
    } else if (isNamePart(c)) {
      StringRef word = text.take_while(isNamePart);
      bool reserved = llvm::is_contained({"mixer", "state", "let", "param", "const", "grouped", "inf"}, word);
      take(reserved ? Token::Keyword : Token::Identifier, word.size());
    } else if (size_t length = punctuationLength(text)) {
      if (c == '(' || c == '[')
        ++openBrackets;
      else if (openBrackets && (c == ')' || c == ']'))
        --openBrackets;
      else if (c == '{' || c == '}')
        openBrackets = 0;
      take(Token::Punctuation, length);
    } else {
      take(Token::Unknown, characterLength(text));
    }
  }
  tokens.push_back({Token::End, text});
  return tokens;
}
