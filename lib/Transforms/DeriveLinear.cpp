//===- DeriveLinear.cpp - The chunkwise form of a linear phase --------------------------------------------------===//
//
// The states of the phase are carried by micro-steps 0 .. m-1 a token. Write s at micro-step w reaches read t at
// micro-step r through everything between: the rest of token s, the tokens strictly between (an interval), and token t
// up to r. The factors of the three parts multiply:
//
//   y_t = sum_s P[t, s] W_s + (read of the state before the chunk)
//   P[t, s] = (q_t o pre_r(t)) . (interval(s, t) o suf_w(s) o k_s)   for s < t,
//   P[t, t] = q_t . (local_{w,r}(t) o k_t)                           when the write comes before the read, else 0.
//
// Factors along the axis that the read contracts stay inside the dot product (`chunk.decayed_gram`), factors along the
// axis that it keeps act on the written values (`chunk.decayed_apply`), scalars become a [C, C] table
// (`chunk.interval_products`), and rotations are absorbed into q and k (S lives in a rotating frame). Where the phase
// reads itself, the written values W solve a unit lower triangular system (`chunk.solve`).
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Deriver.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "rondo/Dialect/Chunk/Chunk.h"

using namespace mlir;
using namespace rondo;

namespace {
/// Decays along one axis of the states ("rows" or "cols" after a possible transposition).
struct Side {
  char letter = 0;
  int64_t size = 1;
  bool decayed = false;
  /// Of a token: [C, size], 1 for tokens after the end. Products over the tokens before, after, and over all.
  Value decay, prefix, suffix, total;
};

struct Write {
  WriteOp op;
  unsigned step, state;
  /// The vector along rows in the rotating frame and the written values; both [C, ...], values 0 after the end.
  Lifted key;
  Value values;
};

/// A sum of scalar products pre(t) * interval(s, t) * suf(s); `table` is null where the interval's factor is 1.
struct Path {
  Lifted pre, suf;
  unsigned from, to; ///< states: interval entry [to][from]
};

/// value = constant + sum of factor * read
struct Affine {
  std::optional<Lifted> constant;
  SmallVector<std::pair<ReadOp, Lifted>> reads;
};

class Linear {
public:
  Linear(Deriver &deriver, const Phase &phase) : deriver(deriver), emit(deriver.emit), b(emit.b), phase(phase) {}
  void run();

private:
  // Roles after transposition.
  bool isRows(Axis axis) const { return (axis == Axis::rows) != phase.transposed; }
  Value keyOf(WriteOp op) const { return phase.transposed ? op.getValue() : op.getKey(); }
  Value valueOf(WriteOp op) const { return phase.transposed ? op.getKey() : op.getValue(); }
  unsigned stateIndex(Value state) const {
    return llvm::find_if(phase.states, [&](StateOp op) { return Value(op.getState()) == state; }) -
           phase.states.begin();
  }
  unsigned stepOf(Operation *op) const { return llvm::find(phase.touches, op) - phase.touches.begin(); }

  // Factors over the micro-steps [from, to) of one token.
  Lifted sideFactor(const Side &side, unsigned from, unsigned to);
  Rotation rotation(unsigned from, unsigned to);
  /// Entry [x][y]: what state y at `from` contributes to state x at `to`.
  SmallVector<Lifted> scalarFactor(unsigned from, unsigned to);

  void prepareSides();
  void prepareTable();
  void prepareRotation();
  SmallVector<Path> paths(unsigned readStep, unsigned readState, unsigned writeStep, unsigned writeState);
  Value interval(unsigned to, unsigned from);                   // [C, C]
  Lifted sinceStart(unsigned to, unsigned from, unsigned step); // factor on the carried state, before micro-step `step`
  Lifted untilEnd(unsigned to, const Write &write);

  Lifted rotated(const Lifted &vector, unsigned step, bool backwards);
  Value timed(const Lifted &value, int64_t size);
  Value gram(Value query, Value key, char letter);
  /// The weights of one write in one read: entries at s < t, and the diagonal or null.
  std::pair<Value, Value> weights(unsigned step, unsigned state, const Lifted &query, const Side &contracted,
                                  const Write &write, bool vectorIsKey, bool separateDiagonal);
  Value readCarried(unsigned step, unsigned state, const Lifted &query, const Side &contracted, const Side &kept,
                    Value init);
  Value readAll(ReadOp read);
  Affine affine(Value value);
  void solve();
  void carry();
  bool isUsedOutside(Operation *op) const;
  /// A read of the phase, or a value on its cycle, once the written values are known.
  void evaluate(Value value);

  /// Einsum letters of the state tensors as stored, and of the kept axis ("" for vector states).
  std::string stateLetters() const {
    if (isVector)
      return "r";
    return phase.transposed ? "cr" : "rc";
  }
  std::string keptLetters(const Side &kept) const { return isVector ? "" : std::string(1, kept.letter); }

  Deriver &deriver;
  Lifter &emit;
  ImplicitLocOpBuilder &b;
  const Phase &phase;
  bool isVector = false;
  unsigned numStates = 1;
  Side rows, cols;
  Value table;                ///< interval products, [C+1, C+1] or [n, n, C+1, C+1]; null when all scalar factors are 1
  Rotation before, whole;     ///< of the tokens before, and of the chunk
  SmallVector<Value> carried; ///< the states before the chunk
  SmallVector<Write> writes;
  DenseMap<Value, SmallVector<std::pair<Value, Value>>> grams;
};

//===----------------------------------------------------------------------===//
// Factors of one token
//===----------------------------------------------------------------------===//

Lifted Linear::sideFactor(const Side &side, unsigned from, unsigned to) {
  Lifted product = Lifted::of(1.0);
  for (unsigned i = from; i < to; ++i)
    if (auto decay = dyn_cast<DecayOp>(phase.touches[i]))
      if (!decay.getFactor().getType().isScalar() && (&side == &rows) == (!decay.getAxis() || isRows(*decay.getAxis())))
        product = emit.mul(product, deriver.get(decay.getFactor()));
  product.shape.assign({side.size});
  return product;
}

Rotation Linear::rotation(unsigned from, unsigned to) {
  Rotation product = {Lifted::of(1.0), Lifted::of(0.0)};
  for (unsigned i = from; i < to; ++i)
    if (auto rotate = dyn_cast<RotateStateOp>(phase.touches[i]))
      product = emit.compose(product, emit.rotation(deriver.get(rotate.getTheta())));
  return product;
}

SmallVector<Lifted> Linear::scalarFactor(unsigned from, unsigned to) {
  unsigned n = numStates;
  SmallVector<Lifted> matrix(n * n, Lifted::of(0.0));
  for (unsigned i = 0; i < n; ++i)
    matrix[i * n + i] = Lifted::of(1.0);
  for (unsigned i = from; i < to; ++i) {
    if (auto decay = dyn_cast<DecayOp>(phase.touches[i])) {
      if (!decay.getFactor().getType().isScalar())
        continue;
      unsigned x = stateIndex(decay.getState());
      for (unsigned y = 0; y < n; ++y)
        if (!matrix[x * n + y].is(0.0))
          matrix[x * n + y] = emit.mul(deriver.get(decay.getFactor()), matrix[x * n + y]);
    } else if (auto accumulate = dyn_cast<AccumulateOp>(phase.touches[i])) {
      unsigned x = stateIndex(accumulate.getState()), z = stateIndex(accumulate.getSource());
      for (unsigned y = 0; y < n; ++y)
        if (!matrix[z * n + y].is(0.0))
          matrix[x * n + y] =
              emit.add(matrix[x * n + y], emit.mul(deriver.get(accumulate.getFactor()), matrix[z * n + y]));
    }
  }
  return matrix;
}

//===----------------------------------------------------------------------===//
// Factors over intervals of tokens
//===----------------------------------------------------------------------===//

void Linear::prepareSides() {
  unsigned m = phase.touches.size();
  for (Side *side : {&rows, &cols}) {
    Lifted factor = sideFactor(*side, 0, m);
    side->decayed = !factor.is(1.0);
    if (!side->decayed)
      continue;
    side->decay = emit.keepRows(emit.materialize(factor, true), deriver.count, 1.0);
    auto type = side->decay.getType();
    side->prefix = chunk::CumprodOp::create(b, type, side->decay, /*suffix=*/false);
    side->suffix = chunk::CumprodOp::create(b, type, side->decay, /*suffix=*/true);
    side->total = chunk::TotalOp::create(b, RankedTensorType::get({side->size}, b.getF32Type()), side->decay);
  }
}

void Linear::prepareTable() {
  SmallVector<Lifted> token = scalarFactor(0, phase.touches.size());
  int64_t C = emit.chunk, n = numStates;
  if (n == 1) {
    if (token[0].is(1.0))
      return;
    Value factors = emit.keepRows(emit.materialize(token[0], true), deriver.count, 1.0);
    table = chunk::IntervalProductsOp::create(b, RankedTensorType::get({C + 1, C + 1}, b.getF32Type()), factors);
    return;
  }
  Value factors = emit.empty({C, n, n});
  for (int64_t x = 0; x < n; ++x)
    for (int64_t y = 0; y < n; ++y) {
      Value entry = emit.materialize(token[x * n + y], true);
      if (!token[x * n + y].is(x == y ? 1.0 : 0.0))
        entry = emit.keepRows(entry, deriver.count, x == y ? 1.0 : 0.0);
      factors = emit.insert(entry, factors, {0, x, y}, {C, 1, 1});
    }
  table = chunk::IntervalProductsOp::create(b, RankedTensorType::get({n, n, C + 1, C + 1}, b.getF32Type()), factors);
}

void Linear::prepareRotation() {
  if (!phase.transition.rotation)
    return;
  Rotation token = rotation(0, phase.touches.size());
  Value cosine = emit.materialize(token.cos, true), sine = emit.materialize(token.sin, true);
  auto rowType = RankedTensorType::get({rows.size / 2}, b.getF32Type());
  Value one = emit.filled({rows.size / 2}, 1.0), zero = emit.filled({rows.size / 2}, 0.0);
  auto scan = chunk::ScanOp::create(b, TypeRange{cosine.getType(), sine.getType(), rowType, rowType}, deriver.count,
                                    ValueRange{cosine, sine}, ValueRange(), ValueRange{one, zero}, "affine");
  {
    OpBuilder::InsertionGuard guard(b);
    SmallVector<Type> types(4, rowType);
    SmallVector<Location> locations(4, b.getLoc());
    Block *block = b.createBlock(&scan.getBody(), {}, types, locations);
    Emitter inner(b, emit.chunk);
    auto argument = [&](unsigned i) { return Lifted::of(block->getArgument(i), false); };
    Rotation next = inner.compose({argument(2), argument(3)}, {argument(0), argument(1)});
    chunk::YieldOp::create(b,
                           ValueRange{block->getArgument(2), block->getArgument(3), next.cos.tensor, next.sin.tensor});
  }
  before = {Lifted::of(scan.getResult(0), true), Lifted::of(scan.getResult(1), true)};
  whole = {Lifted::of(scan.getResult(2), false), Lifted::of(scan.getResult(3), false)};
}

Value Linear::interval(unsigned to, unsigned from) {
  int64_t C = emit.chunk;
  if (numStates == 1)
    return emit.slice(table, {0, 1}, {C, C});
  return emit.slice(table, {to, from, 0, 1}, {1, 1, C, C}, {0, 1});
}

SmallVector<Path> Linear::paths(unsigned readStep, unsigned readState, unsigned writeStep, unsigned writeState) {
  unsigned n = numStates, m = phase.touches.size();
  SmallVector<Lifted> pre = scalarFactor(0, readStep), suf = scalarFactor(writeStep + 1, m);
  SmallVector<Path> result;
  for (unsigned a = 0; a < n; ++a)
    for (unsigned c = 0; c < n; ++c)
      if (!pre[readState * n + a].is(0.0) && !suf[c * n + writeState].is(0.0))
        result.push_back({pre[readState * n + a], suf[c * n + writeState], c, a});
  return result;
}

Lifted Linear::sinceStart(unsigned to, unsigned from, unsigned step) {
  unsigned n = numStates;
  SmallVector<Lifted> pre = scalarFactor(0, step);
  if (!table)
    return pre[0];
  int64_t C = emit.chunk;
  Lifted sum = Lifted::of(0.0);
  for (unsigned a = 0; a < n; ++a) {
    if (pre[to * n + a].is(0.0))
      continue;
    Value column =
        n == 1 ? emit.slice(table, {0, 0}, {C, 1}, {1}) : emit.slice(table, {a, from, 0, 0}, {1, 1, C, 1}, {0, 1, 3});
    sum = emit.add(sum, emit.mul(pre[to * n + a], Lifted::of(column, true)));
  }
  return sum;
}

Lifted Linear::untilEnd(unsigned to, const Write &write) {
  unsigned n = numStates;
  SmallVector<Lifted> suf = scalarFactor(write.step + 1, phase.touches.size());
  if (!table)
    return suf[0];
  int64_t C = emit.chunk;
  Lifted sum = Lifted::of(0.0);
  for (unsigned c = 0; c < n; ++c) {
    if (suf[c * n + write.state].is(0.0))
      continue;
    Value row =
        n == 1 ? emit.slice(table, {C, 1}, {1, C}, {0}) : emit.slice(table, {to, c, C, 1}, {1, 1, 1, C}, {0, 1, 2});
    sum = emit.add(sum, emit.mul(suf[c * n + write.state], Lifted::of(row, true)));
  }
  return sum;
}

//===----------------------------------------------------------------------===//
// Reads
//===----------------------------------------------------------------------===//

/// A vector along rows at micro-step `step` seen from the rotating frame (`backwards`), or back.
Lifted Linear::rotated(const Lifted &vector, unsigned step, bool backwards) {
  if (!phase.transition.rotation)
    return vector;
  return emit.rotate(vector, emit.compose(before, rotation(0, step)), backwards);
}

Value Linear::timed(const Lifted &value, int64_t size) {
  Lifted full = value;
  full.shape.assign({size});
  return emit.materialize(full, true);
}

Value Linear::gram(Value query, Value key, char letter) {
  for (auto &[other, product] : grams[query])
    if (other == key)
      return product;
  std::string spec = {'t', letter, ',', 's', letter, '-', '>', 't', 's'};
  Value product = emit.contract(spec, query, key, {}, "result");
  grams[query].push_back({key, product});
  return product;
}

std::pair<Value, Value> Linear::weights(unsigned step, unsigned state, const Lifted &query, const Side &contracted,
                                        const Write &write, bool vectorIsKey, bool separateDiagonal) {
  int64_t C = emit.chunk;
  unsigned m = phase.touches.size();
  bool inclusive = write.step < step;
  Lifted vector = vectorIsKey ? write.key : Lifted::of(write.values, true);
  Value q = timed(query, contracted.size), k = timed(vector, contracted.size);

  // Dot products with the decays that lie inside them.
  Value products, diagonal;
  if (contracted.decayed) {
    Value qs = timed(emit.mul(Lifted::of(q, true), sideFactor(contracted, 0, step)), contracted.size);
    Value ks = timed(emit.mul(Lifted::of(k, true), sideFactor(contracted, write.step + 1, m)), contracted.size);
    products = chunk::DecayedGramOp::create(b, RankedTensorType::get({C, C}, b.getF32Type()), qs, ks, contracted.decay);
    if (inclusive) {
      Value local = timed(emit.mul(Lifted::of(q, true), sideFactor(contracted, write.step + 1, step)), contracted.size);
      std::string spec = {'t', contracted.letter, ',', 't', contracted.letter, '-', '>', 't'};
      diagonal = emit.contract(spec, local, k);
    }
  } else {
    products = gram(q, k, contracted.letter);
    if (inclusive && separateDiagonal) {
      std::string spec = {'t', contracted.letter, ',', 't', contracted.letter, '-', '>', 't'};
      diagonal = emit.contract(spec, q, k);
    }
  }

  // Scalar factors between the two tokens.
  SmallVector<Operand> operands = {{products, {0, 1}}};
  SmallVector<std::array<int, 3>> terms; // operand indices of pre, table, suf; -1 for 1
  auto addScalar = [&](const Lifted &value, unsigned axis) -> int {
    if (value.is(1.0))
      return -1;
    Value tensor = emit.materialize(value, true);
    operands.push_back({tensor, {axis}});
    return operands.size() - 1;
  };
  if (table || !scalarFactor(0, m)[0].is(1.0))
    for (const Path &path : paths(step, state, write.step, write.state)) {
      int pre = addScalar(path.pre, 0), suf = addScalar(path.suf, 1);
      operands.push_back({interval(path.to, path.from), {0, 1}});
      terms.push_back({pre, int(operands.size() - 1), suf});
    }
  Lifted local = inclusive ? scalarFactor(write.step + 1, step)[state * numStates + write.state] : Lifted::of(0.0);
  int localIndex = -1, diagonalIndex = -1;
  if (inclusive && !separateDiagonal) {
    if (!local.constant)
      localIndex = addScalar(local, 0);
    if (diagonal) {
      operands.push_back({diagonal, {0}});
      diagonalIndex = operands.size() - 1;
    }
  }
  Value matrix = emit.pointwise({C, C}, operands, [&](ImplicitLocOpBuilder &i, ValueRange v) -> Value {
    auto times = [&](Value x, int index) -> Value { return index < 0 ? x : arith::MulFOp::create(i, x, v[index]); };
    Value sum;
    for (auto [pre, entry, suf] : terms) {
      Value term = times(times(v[entry], pre), suf);
      sum = sum ? arith::AddFOp::create(i, sum, term).getResult() : term;
    }
    Value below = sum ? arith::MulFOp::create(i, v[0], sum).getResult() : v[0];
    Value zero = arith::ConstantOp::create(i, i.getF32FloatAttr(0.0f));
    Value t = linalg::IndexOp::create(i, 0), s = linalg::IndexOp::create(i, 1);
    Value on = zero;
    if (inclusive && !separateDiagonal && !local.is(0.0)) {
      on = times(diagonalIndex < 0 ? v[0] : v[diagonalIndex], localIndex);
      if (local.constant && !local.is(1.0))
        on = arith::MulFOp::create(i, on, arith::ConstantOp::create(i, i.getF32FloatAttr(*local.constant)));
      Value equal = arith::CmpIOp::create(i, arith::CmpIPredicate::eq, s, t);
      on = arith::SelectOp::create(i, equal, on, zero);
    }
    Value less = arith::CmpIOp::create(i, arith::CmpIPredicate::slt, s, t);
    return arith::SelectOp::create(i, less, below, on);
  });
  if (diagonal && separateDiagonal) {
    Lifted scaled = emit.mul(Lifted::of(diagonal, true), local);
    return {matrix, local.is(0.0) ? Value() : emit.materialize(scaled, true)};
  }
  return {matrix, Value()};
}

/// The contribution of the states before the chunk; added to `init` where nothing decays along the kept axis.
Value Linear::readCarried(unsigned step, unsigned state, const Lifted &query, const Side &contracted, const Side &kept,
                          Value init) {
  std::string out = "t" + keptLetters(kept);
  Value sum = kept.decayed ? Value() : init;
  for (unsigned from = 0; from < numStates; ++from) {
    Lifted scalar = sinceStart(state, from, step);
    if (scalar.is(0.0))
      continue;
    Lifted q = query;
    if (contracted.decayed)
      q = emit.mul(emit.mul(q, sideFactor(contracted, 0, step)), Lifted::of(contracted.prefix, true));
    q.shape.assign({contracted.size});
    q = emit.mul(q, scalar);
    std::string spec = std::string("t") + contracted.letter + "," + stateLetters() + "->" + out;
    sum = emit.contract(spec, timed(q, contracted.size), carried[from], sum);
  }
  if (!kept.decayed)
    return sum;
  Lifted scaled = emit.mul(emit.mul(Lifted::of(sum, true), Lifted::of(kept.prefix, true)), sideFactor(kept, 0, step));
  if (init)
    scaled = emit.add(scaled, Lifted::of(init, true));
  return emit.materialize(scaled, true);
}

Value Linear::readAll(ReadOp read) {
  b.setLoc(read.getLoc());
  bool contractsRows = isRows(read.getAxis());
  const Side &contracted = contractsRows ? rows : cols, &kept = contractsRows ? cols : rows;
  unsigned step = stepOf(read), state = stateIndex(read.getState()), m = phase.touches.size();
  Lifted query = deriver.get(read.getVector());
  if (contractsRows)
    query = rotated(query, step, /*backwards=*/true);
  Value sum = readCarried(step, state, query, contracted, kept, {});
  for (const Write &write : writes) {
    if (scalarFactor(0, m).size() > 1 && paths(step, state, write.step, write.state).empty())
      continue;
    auto [matrix, diagonal] = weights(step, state, query, contracted, write, contractsRows, kept.decayed);
    Value value = contractsRows ? write.values : timed(write.key, rows.size);
    std::string letters = keptLetters(kept);
    if (!kept.decayed) {
      sum = emit.contract("ts,s" + letters + "->t" + letters, matrix, value, sum, "lhs");
      continue;
    }
    Value ws = timed(emit.mul(Lifted::of(value, true), sideFactor(kept, write.step + 1, m)), kept.size);
    Value applied = chunk::DecayedApplyOp::create(b, ws.getType(), matrix, ws, kept.decay);
    Lifted total = emit.mul(Lifted::of(applied, true), sideFactor(kept, 0, step));
    total = emit.add(Lifted::of(sum, true), total);
    if (diagonal) {
      Lifted own = emit.mul(Lifted::of(value, true), sideFactor(kept, write.step + 1, step));
      total = emit.add(total, emit.mul(own, Lifted::of(diagonal, true)));
    }
    sum = emit.materialize(total, true);
  }
  if (!contractsRows && phase.transition.rotation)
    sum = emit.materialize(rotated(Lifted::of(sum, true), step, /*backwards=*/false), true);
  return sum;
}

//===----------------------------------------------------------------------===//
// Writes
//===----------------------------------------------------------------------===//

/// The structure analysis has made sure that the value is of this form.
Affine Linear::affine(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || !phase.members.contains(op))
    return {deriver.get(value), {}};
  if (auto read = dyn_cast<ReadOp>(op))
    return {std::nullopt, {{read, Lifted::of(1.0)}}};
  auto scale = [&](Affine sum, const Lifted &factor) {
    if (sum.constant)
      sum.constant = emit.mul(*sum.constant, factor);
    for (auto &[read, own] : sum.reads)
      own = emit.mul(own, factor);
    return sum;
  };
  if (auto unary = dyn_cast<UnaryOp>(op))
    return scale(affine(unary.getOperand()), Lifted::of(-1.0));
  auto binary = cast<BinaryOp>(op);
  switch (binary.getKind()) {
  case BinaryKind::add:
  case BinaryKind::sub: {
    Affine lhs = affine(binary.getLhs()), rhs = affine(binary.getRhs());
    if (binary.getKind() == BinaryKind::sub)
      rhs = scale(rhs, Lifted::of(-1.0));
    if (!lhs.constant)
      lhs.constant = rhs.constant;
    else if (rhs.constant)
      lhs.constant = emit.add(*lhs.constant, *rhs.constant);
    lhs.reads.append(rhs.reads);
    return lhs;
  }
  case BinaryKind::mul: {
    bool left = binary.getLhs().getDefiningOp() && phase.members.contains(binary.getLhs().getDefiningOp());
    return scale(affine(left ? binary.getLhs() : binary.getRhs()),
                 deriver.get(left ? binary.getRhs() : binary.getLhs()));
  }
  default: {
    Lifted inverse = emit.map({deriver.get(binary.getRhs())}, [](ImplicitLocOpBuilder &i, ValueRange v) -> Value {
      return arith::DivFOp::create(i, arith::ConstantOp::create(i, i.getF32FloatAttr(1.0f)), v[0]);
    });
    return scale(affine(binary.getLhs()), inverse);
  }
  }
}

/// Finds the written values: directly, or by one triangular solve for the writes that depend on reads of the phase.
void Linear::solve() {
  int64_t C = emit.chunk;
  SmallVector<unsigned> unknown;
  SmallVector<Affine> sums;
  auto shape = [&](Lifted value) {
    value.shape.clear();
    if (!isVector)
      value.shape.push_back(cols.size);
    return emit.materialize(value, true);
  };
  for (auto [index, write] : llvm::enumerate(writes)) {
    b.setLoc(write.op.getLoc());
    sums.push_back(affine(valueOf(write.op)));
    write.key = rotated(deriver.get(keyOf(write.op)), write.step + 1, /*backwards=*/true);
    write.key.shape.assign({rows.size});
    if (sums.back().reads.empty())
      write.values = emit.keepRows(shape(*sums.back().constant), deriver.count, 0.0);
    else
      unknown.push_back(index);
  }
  if (unknown.empty())
    return;

  unsigned m = unknown.size();
  SmallVector<Value> rightSides;
  Value matrix = m > 1 ? emit.filled({C, m, C, m}, 0.0) : Value();
  for (unsigned i = 0; i < m; ++i) {
    Write &write = writes[unknown[i]];
    b.setLoc(write.op.getLoc());
    Affine &sum = sums[unknown[i]];
    std::optional<Lifted> right = sum.constant;
    SmallVector<std::optional<Lifted>> blocks(m);
    for (auto &[read, factor] : sum.reads) {
      unsigned step = stepOf(read), state = stateIndex(read.getState());
      Lifted query = rotated(deriver.get(read.getVector()), step, /*backwards=*/true);
      // What is known: the state before the chunk and the writes that depend on no read.
      Value known = readCarried(step, state, query, rows, cols, {});
      for (const Write &other : writes)
        if (other.values)
          known =
              emit.contract(isVector ? "ts,s->t" : "ts,sc->tc",
                            weights(step, state, query, rows, other, true, false).first, other.values, known, "lhs");
      Lifted term = emit.mul(Lifted::of(known, true), factor);
      right = right ? emit.add(*right, term) : term;
      for (unsigned j = 0; j < m; ++j) {
        Write &other = writes[unknown[j]];
        if (paths(step, state, other.step, other.state).empty())
          continue;
        Value weight = weights(step, state, query, rows, other, true, false).first;
        Lifted block = emit.mul(Lifted::of(weight, true), emit.neg(factor));
        blocks[j] = blocks[j] ? emit.add(*blocks[j], block) : block;
      }
    }
    rightSides.push_back(shape(*right));
    for (unsigned j = 0; j < m; ++j) {
      if (!blocks[j])
        continue;
      Value block = emit.materialize(*blocks[j], true);
      // Writes of one token follow each other: row t * m + i.
      matrix = m == 1 ? block : emit.insert(block, matrix, {0, i, 0, j}, {C, 1, C, 1});
    }
  }
  auto result = [&](Write &write, Value values) { write.values = emit.keepRows(values, deriver.count, 0.0); };
  if (m == 1) {
    Value solved = chunk::SolveOp::create(b, rightSides[0].getType(), matrix, rightSides[0]);
    return result(writes[unknown[0]], solved);
  }
  // [C, m, V] and [C m, V] are the same memory.
  SmallVector<int64_t> stacked = {C, m}, flat = {C * m};
  if (!isVector)
    stacked.push_back(cols.size), flat.push_back(cols.size);
  Value right = emit.empty(stacked);
  for (unsigned i = 0; i < m; ++i) {
    SmallVector<int64_t> offsets(stacked.size(), 0), sizes(stacked);
    offsets[1] = i;
    sizes[1] = 1;
    right = emit.insert(rightSides[i], right, offsets, sizes);
  }
  SmallVector<ReassociationIndices> pairs = {{0, 1}, {2, 3}}, rowPairs = {{0, 1}};
  if (!isVector)
    rowPairs.push_back({2});
  auto f32 = b.getF32Type();
  Value flatMatrix = tensor::CollapseShapeOp::create(b, RankedTensorType::get({C * m, C * m}, f32), matrix, pairs);
  Value flatRight = tensor::CollapseShapeOp::create(b, RankedTensorType::get(flat, f32), right, rowPairs);
  Value solved = chunk::SolveOp::create(b, flatRight.getType(), flatMatrix, flatRight);
  solved = tensor::ExpandShapeOp::create(b, RankedTensorType::get(stacked, f32), solved, rowPairs);
  for (unsigned i = 0; i < m; ++i) {
    SmallVector<int64_t> offsets(stacked.size(), 0), sizes(stacked);
    offsets[1] = i;
    sizes[1] = 1;
    result(writes[unknown[i]], emit.slice(solved, offsets, sizes, {1}));
  }
}

//===----------------------------------------------------------------------===//
// The states after the chunk
//===----------------------------------------------------------------------===//

void Linear::carry() {
  int64_t C = emit.chunk;
  unsigned m = phase.touches.size(), n = numStates;
  b.setLoc(phase.front().getLoc());
  SmallVector<Value> next;
  for (unsigned x = 0; x < n; ++x) {
    SmallVector<int64_t> shape(Emitter::shapeOf(carried[x]));
    // What is left of the states before the chunk: the sum over y of (factor of y) * (state y), times the side decays.
    SmallVector<Operand> operands;
    SmallVector<unsigned> all = llvm::to_vector(llvm::seq<unsigned>(0, shape.size()));
    unsigned numSources = n > 1 && table ? n : 1;
    if (n > 1)
      for (unsigned y = 0; y < numSources; ++y)
        operands.push_back({carried[table ? y : x], llvm::to_vector<3>(all)});
    unsigned firstFactor = operands.size();
    if (table)
      for (unsigned y = 0; y < numSources; ++y)
        operands.push_back({n == 1 ? emit.slice(table, {C, 0}, {1, 1}, {0, 1})
                                   : emit.slice(table, {x, y, C, 0}, {1, 1, 1, 1}, {0, 1, 2, 3}),
                            {}});
    unsigned firstSide = operands.size();
    for (const Side *side : {&rows, &cols})
      if (side->decayed)
        operands.push_back({side->total, {unsigned(StringRef(stateLetters()).find(side->letter))}});
    Value state = carried[x];
    if (!operands.empty()) {
      auto body = [&](ImplicitLocOpBuilder &i, ValueRange v) -> Value {
        Value sum;
        for (unsigned y = 0; y < numSources; ++y) {
          Value term = n > 1 ? v[y] : v.back();
          if (table)
            term = arith::MulFOp::create(i, term, v[firstFactor + y]);
          sum = sum ? arith::AddFOp::create(i, sum, term).getResult() : term;
        }
        for (unsigned k = firstSide; k < operands.size(); ++k)
          sum = arith::MulFOp::create(i, sum, v[k]);
        return sum;
      };
      // A single state is updated in place; coupled ones are read by each other.
      state = emit.pointwise(shape, operands, body, n > 1 ? Value() : state);
    }
    for (const Write &write : writes) {
      Lifted scalar = untilEnd(x, write);
      if (scalar.is(0.0) || (n > 1 && !table))
        continue;
      Lifted key = write.key, value = Lifted::of(write.values, true);
      if (rows.decayed)
        key = emit.mul(emit.mul(key, sideFactor(rows, write.step + 1, m)), Lifted::of(rows.suffix, true));
      if (cols.decayed)
        value = emit.mul(emit.mul(value, sideFactor(cols, write.step + 1, m)), Lifted::of(cols.suffix, true));
      // The scalar goes to the smaller factor.
      if (isVector || cols.size < rows.size)
        value = emit.mul(value, scalar);
      else
        key = emit.mul(key, scalar);
      std::string spec = std::string("sr,s") + (isVector ? "" : "c") + "->" + stateLetters();
      if (isVector)
        value.shape.clear();
      else
        value.shape.assign({cols.size});
      state = emit.contract(spec, timed(key, rows.size), emit.materialize(value, true), state);
    }
    if (phase.transition.rotation)
      state = emit.materialize(emit.rotate(Lifted::of(state, false), whole), false);
    next.push_back(state);
  }
  for (auto [op, state] : llvm::zip_equal(phase.states, next))
    deriver.setState(op, state);
}

bool Linear::isUsedOutside(Operation *op) const {
  return llvm::any_of(op->getUsers(), [&](Operation *user) {
    return !phase.members.contains(user) && !(isa<WriteOp>(user) && phase.contains(user->getOperand(0)));
  });
}

void Linear::evaluate(Value value) {
  if (deriver.isKnown(value))
    return;
  Operation *op = value.getDefiningOp();
  if (auto read = dyn_cast<ReadOp>(op))
    return deriver.set(value, Lifted::of(readAll(read), true));
  for (Value operand : op->getOperands())
    if (operand.getDefiningOp() && phase.members.contains(operand.getDefiningOp()))
      evaluate(operand);
  deriver.set(value, emit.lift(op, [&](Value operand) { return deriver.get(operand); }));
}

void Linear::run() {
  if (phase.touches.empty())
    return;
  b.setLoc(phase.front().getLoc());
  SmallVector<int64_t> shape = phase.front().getType().getShape();
  isVector = shape.size() == 1;
  rows.letter = 'r';
  cols.letter = 'c';
  numStates = phase.states.size();
  rows.size = shape[phase.transposed ? 1 : 0];
  if (!isVector)
    cols.size = shape[phase.transposed ? 0 : 1];
  for (StateOp op : phase.states)
    carried.push_back(deriver.getState(op));
  for (auto [step, op] : llvm::enumerate(phase.touches))
    if (auto write = dyn_cast<WriteOp>(op))
      writes.push_back({write, unsigned(step), stateIndex(write.getState()), {}, {}});
  // Everything from outside first: it may run other phases.
  for (Operation *op : phase.touches)
    for (Value operand : op->getOperands())
      if (!isa<StateType>(operand.getType()) &&
          !(operand.getDefiningOp() && phase.members.contains(operand.getDefiningOp())))
        deriver.get(operand);
  b.setLoc(phase.front().getLoc());
  prepareSides();
  prepareTable();
  prepareRotation();
  solve();
  // The written values are known now; what else of the phase the rest of the mixer uses follows from the reads.
  for (Write &write : writes)
    if (valueOf(write.op).getDefiningOp() && phase.members.contains(valueOf(write.op).getDefiningOp()))
      deriver.set(valueOf(write.op), Lifted::of(write.values, true));
  for (Operation *op : phase.touches)
    if (isa<ReadOp>(op) && isUsedOutside(op))
      evaluate(op->getResult(0));
  for (Operation *op : phase.members)
    if (isUsedOutside(op))
      evaluate(op->getResult(0));
  carry();
}
} // namespace

void rondo::deriveLinear(Deriver &deriver, const Phase &phase) { Linear(deriver, phase).run(); }
