//===- Scheduler.h - From a chunk body to the roles of a thread block ---------------------------------*- C++ -*-===//
//
// What `rondo-schedule-tiles` works with. The chunk body is a graph of tensors; the scheduler decides for each value
// which role computes it and how it is held (registers, a tile, a vector), by asking for values from the results
// backwards.
//
// The one idea: in the role of a matrix state S[K, V] everything that depends on S has the axis V, and V runs along the
// rows of fragments. S^T stays in registers; every product in the role multiplies it, or something with the same rows,
// by a tile that other roles prepared. The axis over which nothing is ever summed is the state's *free* axis.
//
// Decays by channel (d[t, r] for S[K, V]) are the same for all of V: what is made of them and of no state is the work
// of the *octets* role, in blocks of 64 channels (Octets.cpp).
//
//===----------------------------------------------------------------------------------------------------------------===//

#ifndef RONDO_LIB_CONVERSION_SCHEDULE_SCHEDULER_H
#define RONDO_LIB_CONVERSION_SCHEDULE_SCHEDULER_H

#include "../Prepare/RowForm.h"
#include "rondo/Dialect/Chunk/Chunk.h"
#include "rondo/Dialect/Tile/Tile.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MathExtras.h"
#include <memory>

namespace rondo::schedule {

inline int64_t alignUp(int64_t value, int64_t multiple) { return llvm::alignTo(value, multiple); }
inline llvm::ArrayRef<int64_t> shapeOf(mlir::Value value) {
  return mlir::cast<mlir::RankedTensorType>(value.getType()).getShape();
}

/// What the graph says about a value, whoever computes it.
class Analysis {
public:
  explicit Analysis(mlir::func::FuncOp body) : body(body) {}

  /// Which states (bit i: state i) a value depends on.
  uint64_t dependsOn(mlir::Value value);
  /// Which axes (bit i: axis i) of a value are time.
  uint64_t timedAxes(mlir::Value value);
  /// The value in rows after the last token, when it is known: TMA reads zeros there.
  std::optional<double> getPadding(mlir::Value value);
  /// Whether rows after the last token may be what `chunk.keep_rows` put there. Running products and sums over earlier
  /// tokens pass the rows on to later ones only.
  bool isKept(mlir::Value value);
  /// What rows after the last token hold, when it is known; of the rows of scans as well.
  std::optional<double> getKept(mlir::Value value);
  /// Dependence on matrix and vector states only.
  uint64_t dependsOnArrays(mlir::Value value) { return dependsOn(value) & arrayStates; }
  /// Whether running products of decays by channel go into a value.
  bool dependsOnChannels(mlir::Value value);
  /// The decays by channel that an operation runs over, or null.
  static mlir::Value getChannelDecays(mlir::Operation *op);
  /// Whether decays by channel are of an axis of the state that no product sums over.
  static bool isAlongFreeAxis(mlir::Value decays);
  /// The same, but for products over them that only the state's role makes.
  static mlir::Value getSummedDecays(mlir::Operation *op);

  bool isState(mlir::Value value) const { return getState(value) >= 0; }
  /// The number of a state argument, or -1.
  int64_t getState(mlir::Value value) const;
  bool isToken(mlir::Value value) const { return hasRole(value, "token"); }
  /// What rounding a token argument has lost, in the first chunk (0 in others): the name of that argument; else empty.
  mlir::StringRef getRounded(mlir::Value value) const;
  /// A vector of a chunk that another kernel has made.
  bool isTotal(mlir::Value value) const { return hasRole(value, "total"); }
  bool isParameter(mlir::Value value) const { return hasRole(value, "param"); }
  mlir::StringRef getName(mlir::Value argument) const;
  /// The state of which `state` is a copy (`rondo-copy-states`): it begins as that and its end is not kept; else empty.
  mlir::StringRef getOriginal(mlir::Value state) const;

  void setStates(llvm::ArrayRef<mlir::BlockArgument> args);

private:
  bool hasRole(mlir::Value value, mlir::StringRef role) const;
  mutable mlir::func::FuncOp body;
  llvm::SmallVector<mlir::BlockArgument> states;
  uint64_t arrayStates = 0;
  llvm::DenseMap<mlir::Value, uint64_t> dependences, timed;
  llvm::DenseMap<mlir::Value, bool> channels;
};

struct Role;

/// Rings that one role fills and others read, slot by slot.
struct Channel {
  mlir::Value handle;
  Role *producer = nullptr;
  /// Roles that read it, in order.
  llvm::SetVector<Role *> consumers;
  /// Whether the consumers free its slots at the end of an iteration; else they do so before, or another channel's
  /// freedom implies it.
  bool isReleased = true;
};

/// A value in shared memory.
struct Shared {
  mlir::Value ring;
  Channel *channel = nullptr;
};

enum class RoleKind { Load, Gates, Products, Octets, State, Vector };

struct Role {
  std::string name;
  RoleKind kind;
  int64_t warps = 1, copies = 1;
  tile::RoleOp op;
  mlir::scf::ForOp loop;
  /// Inserts into the loop.
  mlir::ImplicitLocOpBuilder b;
  mlir::Value time;
  /// State numbers that the role carries, in the order of the loop's arguments; the axis along rows.
  llvm::SmallVector<int64_t> states;
  unsigned freeAxis = 1;
  /// What the role has computed in this iteration.
  llvm::DenseMap<mlir::Value, mlir::Value> matrices, rows, columns, narrow;
  /// Sums that decay along the free axis, by the first of the body's that they are.
  llvm::DenseMap<mlir::Operation *, tile::DecayedApplyOp> decayed;
  /// Whether it writes to memory.
  bool writesBack = false;
  /// Buffers that it has written for itself in this iteration.
  llvm::DenseMap<mlir::Value, mlir::Value> own;
  /// Buffers for reductions over the rows of fragments with so many columns; see FreeAxis.cpp.
  struct Exchange {
    int64_t uses = 0;
    mlir::Value ring, others[2];
  };
  llvm::DenseMap<int64_t, Exchange> exchanges;
  /// Tiles that it has made and of which all of its warps know.
  llvm::DenseSet<mlir::Value> synced;
  /// Channels that it has waited for.
  llvm::DenseMap<Channel *, bool> waited;
  /// The loop inside an iteration that is being filled, and its variable. Octets: over blocks of 64 channels; products:
  /// over blocks of 64 columns of a tile; a state: over the chunks of an iteration, where there are several.
  mlir::scf::ForOp inner;
  mlir::Value part;
  bool isInBlocks() const { return part && kind != RoleKind::State; }

  explicit Role(mlir::ImplicitLocOpBuilder b) : b(b) {}
};

/// Limits and choices of one attempt.
struct Budget {
  /// Chunks on their way: token arrays, numbers of tokens.
  int64_t inputSlots = 3, gateSlots = 3;
  /// With decays by channel: token arrays whose slots take what is made of them, other arrays that only the octets
  /// read, matrices [C, C].
  int64_t hostSlots = 3, octetSlots = 2, gramSlots = 2;
  /// Rows of the room of `tile.decayed_gram`, for one query.
  int64_t roomRows = 192;
  /// Products with the same keys in one operation.
  int64_t queries = 1;
  /// Warpgroups of one thread block that share a state.
  int64_t pieces = 2;
  /// Tokens of a chunk. An iteration has 64: with 32, the state takes two steps in it.
  int64_t chunk = 64;
};

/// The same body for chunks of another number of tokens, beside it; null where an operation depends on that number.
mlir::func::FuncOp cloneForChunk(mlir::func::FuncOp body, int64_t chunk);

/// A matrix [C, C] of decayed products: below the diagonal `op`, on it `diagonal` (a vector; null: zeros), above zeros.
struct DecayedGram {
  chunk::DecayedGramOp op;
  mlir::Value diagonal;
  /// Rounded for products, in f32 for other roles (where asked for).
  Shared rounded, wide;
};

/// Products of the transitions of n coupled states, over intervals of tokens.
struct Coupled {
  int64_t n = 0;
  /// Which entries may be other than 0.
  llvm::SmallVector<bool> present;
  tile::CoupledProductsOp op;
  /// By (a, k, b): tables of the prefixes (a, k) and suffixes (k, b).
  llvm::SmallVector<std::pair<std::array<int64_t, 3>, Shared>> tables;
};

/// An output in shared memory.
struct Staged {
  mlir::Value buffer;
  mlir::StringRef name;
  bool isOfFirst;
};

/// Token arrays that come together.
struct InputGroup {
  Channel *channel;
  llvm::SmallVector<mlir::Value> arguments;
};

class Scheduler {
public:
  Scheduler(mlir::func::FuncOp body, mlir::Type element, const llvm::StringMap<mlir::Type> &elements, Budget budget)
      : reasonLoc(body.getLoc()), body(body), element(element), elements(elements), budget(budget), analysis(body),
        b(body.getLoc(), body) {}

  /// Attempts from the best to the smallest.
  static llvm::SmallVector<Budget> getBudgets(mlir::func::FuncOp body);
  /// Builds the kernel after `body`. On failure nothing is left, and `reason` says what stood in the way and where.
  mlir::FailureOr<tile::KernelOp> build();
  std::string reason;
  mlir::Location reasonLoc;
  /// The innermost value without a tile form that another kernel can hand over, or null; only if nothing else is in the
  /// way.
  mlir::Value blocked;
  /// Bytes of shared memory that the kernel asks for, and whether that is too much.
  int64_t sharedBytes = 0;
  bool isTooLarge = false;

private:
  using Value = mlir::Value;

  //===--- Roles.cpp: kernel, roles, channels -------------------------------------------------------------------===//
  mlir::LogicalResult collect();
  mlir::LogicalResult createRoles();
  Role &addRole(mlir::StringRef name, RoleKind kind, int64_t warps, int64_t copies, llvm::ArrayRef<int64_t> states = {},
                unsigned freeAxis = 1);
  Channel &addChannel(Role &producer, int64_t slots);
  Value allocate(llvm::ArrayRef<int64_t> shape, mlir::Type element, int64_t slots);
  /// A ring whose slots are not known yet, and the choice of them.
  Value allocateRing(llvm::ArrayRef<int64_t> shape, mlir::Type element);
  void setSlots(Value ring, int64_t slots);
  /// The first of the 64 rows of fragments, along the free axis, that this copy of the role has.
  Value firstFree(mlir::ImplicitLocOpBuilder &at);
  /// The 64 columns of a tile that this copy of the role has.
  Value ownColumns(Role &role, Value buffer);
  /// The rows of this step's tokens; of a matrix [C, C] with columns from `column` on. Where an iteration has several
  /// chunks their matrices are *folded*: below each other, in the same columns.
  Value ownTokens(Role &role, Value buffer, std::optional<int64_t> column = {});
  /// The tile of a value, of it the rows of this step's tokens.
  Value ownTile(Value value, Role &role);
  Value folded(Value buffer, int64_t column, mlir::ImplicitLocOpBuilder &at);
  /// The block of channels of a tile that the octets role is at.
  Value ownBlock(Role &role, Value buffer);
  /// The slot of this iteration, after a wait if the role is not its producer.
  Value openSlot(Role &role, Shared shared);
  Value rowsOfWrite(mlir::ImplicitLocOpBuilder &at, Value buffer, int64_t number);
  /// The role that issues the copies of a group.
  void emitFetch(InputGroup &group, mlir::ImplicitLocOpBuilder &at, Value time, bool isBeside);
  void fetchInState(Role &role);
  mlir::LogicalResult finish();
  /// Fails when a role has too few to work.
  mlir::LogicalResult chooseRegisters();
  /// The role for products that depend on these states but have no free axis.
  Role &productsRole(uint64_t dependence);
  mlir::ArrayAttr describeArrays();

  /// An operand of a product, and its tile or fragment.
  struct Factor {
    Value value, tile;
  };

  //===--- Emit.cpp: values in registers ------------------------------------------------------------------------===//
  /// The role in which a value lives that depends on states.
  Role *roleOf(Value value);
  unsigned rowAxis(Value value, Role &role);
  Value matrix(Value value, Role &role);
  Value makeMatrix(Value value, Role &role);
  llvm::SmallVector<int64_t> fragmentShape(Value value, unsigned rowAxis, Role &role);
  Value makeGeneric(mlir::linalg::GenericOp op, Role &role);
  Value makeContract(mlir::linalg::ContractOp op, Role &role);
  /// Whether a left operand has twice the bits, as a sum of two.
  bool needsParts(Value left, Role &role);
  Value makeProduct(Factor left, Value right, Value accumulator, mlir::UnitAttr transposed, mlir::RankedTensorType type,
                    bool isSolution, bool isUpdate, Role &role);
  /// A product of a matrix with a vector, in the role of vector states.
  Value makeDot(mlir::linalg::ContractOp op, Role &role);
  /// A 16-bit fragment, for the left operand of a product.
  Value operand(Value value, Role &role);
  /// A vector along rows or columns of the role's fragments.
  Value vector(Value value, Role &role, bool alongRows);
  Value makeVector(Value value, Role &role, bool alongRows);
  Value scalar(Value value, Role &role);
  Value cloneBody(mlir::Block &block, mlir::Value yielded, llvm::ArrayRef<Value> arguments, mlir::Type result,
                  Role &role, unsigned rowAxis);
  Value spread(Value value, mlir::Type type, mlir::ImplicitLocOpBuilder &at);
  Value keepRows(Value kept, double fill, Role &role, int64_t timeAxis);
  /// What the body of an elementwise operation gets for these operands, as fragments; empty after a refusal.
  llvm::SmallVector<Value> bodyArguments(mlir::linalg::LinalgOp op, llvm::ArrayRef<Value> operands, unsigned row,
                                         mlir::RankedTensorType type, Role &role);

  //===--- Outputs.cpp: values on their way to memory -------------------------------------------------------------===//
  /// The products of an output; then its way to memory, which runs beside the products of the states.
  mlir::LogicalResult emitOutputProduct(Value value, mlir::StringRef name);
  mlir::LogicalResult emitOutput(Value value, mlir::StringRef name);
  void writeBack(Value buffer, mlir::StringRef name, bool isOfFirst, Role &role);
  /// Whether an output is a matrix [C, C] of each chunk; its way to memory.
  bool isSquare(Value value);
  mlir::LogicalResult emitSquare(Value value, mlir::StringRef name);
  mlir::LogicalResult storeSquare(Value value, Role &role, mlir::function_ref<Value()> open);

  //===--- FreeAxis.cpp: sums over the axis that no product sums over ---------------------------------------------===//
  /// A sum or the like over the free axis of a state, in the role of that state, along columns.
  Value makeReduction(mlir::linalg::LinalgOp op, mlir::RankedTensorType type, Role &role);
  Value exchangeBuffer(int64_t columns, bool isInStep, Role &role);
  /// A fragment with `other` in the rows beyond the `count` of the free axis.
  Value keepFree(Value value, int64_t count, double other, Role &role);

  //===--- Gates.cpp: numbers of tokens, in lanes ---------------------------------------------------------------===//
  Value lanes(Value value);
  Value makeLanes(Value value);
  Value loadLanes(Value argument);
  /// The products of the transitions of coupled states, which the gates role makes; null after a refusal.
  Coupled *coupled(chunk::IntervalProductsOp op);
  /// Whether a value is an entry that is 0 whatever the data.
  bool isAbsent(Value value);
  /// Entry (a, b) of the products between every two tokens.
  Value coupledMatrix(mlir::tensor::ExtractSliceOp slice, Role &role);
  mlir::LogicalResult makeScan(chunk::ScanOp op);

  //===--- Share.cpp: values in shared memory ---------------------------------------------------------------------===//
  /// A 16-bit tile for `consumer`.
  Value tile(Value value, Role &consumer);
  /// What rounding has lost of the tile of a matrix [C, C] that the products role makes, as another tile; null where
  /// there is no such matrix.
  Value restTile(Value value, Role &consumer);
  /// A fragment with 0 from column `count` on.
  Value keepColumns(Value value, int64_t count, Role &role);
  /// Whether a matrix is made element by element of token arrays, so that its columns can be made in blocks of 64: half
  /// the registers of 128.
  bool isElementwise(Value value);
  /// A loop of the role over blocks of 64 columns of such a matrix; `use` gets each.
  mlir::LogicalResult forEachBlock(Value value, Role &role, int64_t count, mlir::function_ref<void(Value)> use);
  Value inverseTile(chunk::SolveOp op, Role &consumer);
  void invert(Value matrix, Value scale, Value buffer, Role &role);
  Value tables(chunk::IntervalProductsOp op, Role &consumer);
  /// A lanes value as a buffer for `consumer`.
  Value lanesBuffer(Value value, Role &consumer);
  /// A vector that the role of vector states makes, as a buffer for `consumer`.
  Value rowsBuffer(Value value, Role &consumer);
  /// A vector as a buffer for products in the role of vector states itself.
  Value ownVector(Value value, Role &role);
  /// A vector of the chunk, from another kernel; with `pairs` each element twice.
  Value totalBuffer(Value value, bool pairs, Role &consumer);
  /// A part of a state that has every second of its columns: held as a fragment with all of them, each pair the same.
  bool isHalf(Value value, Role &role);
  /// The sums over a matrix's rows, weighted, that the role of the matrix makes.
  Value rowSums(Value value, Value weights, Value rows, Role &consumer);
  Shared *tokenTile(Value argument, bool isSliced);
  /// The arrays that the rows of a token of this argument come from in turn; one: all from that.
  llvm::SmallVector<mlir::StringRef> arraysOf(Value argument);

  //===--- Lost.cpp: what rounding has lost, in the first chunk
  //-----------------------------------------------------===//
  /// Whether `value` is a sum of products with what another kernel has lost.
  bool isLost(Value value);
  /// Whether an operand of a product of tokens is rounded by the role itself.
  bool losesHere(mlir::linalg::ContractOp op, llvm::ArrayRef<Factor> factors, Role &role);
  bool isRoundedHere(Value value, Role &role);
  /// What rounding has lost: `wide` minus what it was rounded to.
  static Value lostBy(Value rounded, Value wide, mlir::ImplicitLocOpBuilder &at);
  /// What such a product is added to: in the first chunk the products with what is lost, in others zeros. `before`:
  /// those of another kernel's losses, or null.
  Value makeLost(mlir::linalg::ContractOp op, Value before, llvm::ArrayRef<Factor> factors, Role &role);
  mlir::LogicalResult storeLost(Value value, Value buffer, Role &role);
  /// The tile of what rounding a token argument has lost, for the first iteration.
  Value lostTile(Value argument, Role &consumer);
  void fetchLost();

  //===--- FreeDecays.cpp: decays along the free axis -------------------------------------------------------------===//
  /// The weighted sums of `values` (null: of anything) with these decays, and the products over intervals.
  tile::DecayedApplyOp decayedApply(Value decays, Value values, bool isInclusive, Role &role);
  Value makeFreeDecays(Value value, Role &role);

  //===--- Octets.cpp: decays by channel --------------------------------------------------------------------------===//
  /// The role, if the body has decays by channel. Requests are collected; `emitOctets` fills the role at the end.
  mlir::LogicalResult createOctets();
  mlir::LogicalResult emitOctets();
  mlir::LogicalResult emitGrams(mlir::scf::ForOp loop, mlir::MutableArrayRef<Value> results);
  /// Whether a value [C, K] that is not an argument is made in the octets role.
  bool isOctets(Value value);
  /// Whether a vector is a total or a sum over the channels that only the octets role can make, or is made of such.
  bool needsOctets(Value vector);
  llvm::SmallVector<int64_t> totalShape();
  Value octetTile(Value value, Role &consumer);
  Value octetVector(Value value, Role &consumer);
  std::optional<DecayedGram> matchGram(Value value);
  Value gramBuffer(const DecayedGram &match, bool isRounded, Role &consumer);
  Value makeOctets(Value value);
  Value alongChannels(Value vector);
  Value diagonalFactor(Value vector, Value key);
  tile::DecayedFactorsOp factorsOf(Value decays);
  void collectTokens(Value value, llvm::SetVector<Value> &tokens);
  /// Which tiles take slots of arguments; the channels of the arguments.
  void placeOctetTiles();
  void releaseEarly(mlir::Operation *lastLoad);
  void mergeInputs();

  mlir::Value refuse(mlir::Location loc, const llvm::Twine &why);
  mlir::RankedTensorType rowsType(int64_t size, Role &role);
  /// `made`, the form of `value`; if it is null and `value` could be handed over, says so.
  mlir::Value orBlocked(mlir::Value made, mlir::Value value);
  mlir::RankedTensorType fragmentType(llvm::ArrayRef<int64_t> shape, mlir::Type element, Role &role);
  mlir::Type elementOf(mlir::StringRef name) const;

  mlir::func::FuncOp body;
  mlir::Type element;
  const llvm::StringMap<mlir::Type> &elements;
  Budget budget;
  Analysis analysis;
  prepare::RowForms rowForms;
  mlir::ImplicitLocOpBuilder b;
  tile::KernelOp kernel;
  int64_t chunk = 0;
  /// Tokens of an iteration, and chunks in it.
  int64_t tokens = 64, steps = 1;
  /// Rows of the chunk that a token has (`rondo-interleave-writes`); where there are several, what is said of tokens
  /// here is about rows.
  int64_t writes = 1;
  /// 64-column pieces of the free axis that one block works on, and the number of blocks.
  int64_t pieces = 1, blocks = 1;
  /// Columns of the state's fragments.
  int64_t depth = 0;
  llvm::SmallVector<mlir::BlockArgument> inputs, states;
  llvm::SmallVector<Value> outputs, finals;
  llvm::SmallVector<mlir::StringRef> outputNames;
  llvm::SmallVector<mlir::DictionaryAttr> outputAttrs;
  std::vector<std::unique_ptr<Role>> roles;
  std::vector<std::unique_ptr<Channel>> channels;
  Role *load = nullptr, *gates = nullptr, *octets = nullptr;
  Channel *inputChannel = nullptr, *gatesChannel = nullptr, *lostChannel = nullptr;
  llvm::MapVector<Value, Shared> tokenTiles, tiles, rests, vectors, totals, sums, inverses, tableBuffers;
  llvm::DenseMap<Value, Value> laneValues;
  llvm::MapVector<Value, std::unique_ptr<Coupled>> coupledProducts;
  /// Constants that stand for entries of these that are 0 whatever the data: products and sums do without them.
  llvm::DenseSet<Value> absent;
  llvm::SetVector<Value> sliced; ///< token arguments of which a block needs its columns only
  llvm::DenseMap<int64_t, Value> scalarStates;
  /// Outputs that are written back at the end of an iteration.
  llvm::SmallVector<Staged> staged;
  llvm::SmallVector<InputGroup> inputGroups;
  llvm::MapVector<Value, Value> lostRings;

  /// Channels (columns) of the octets role; blocks of 64 of them.
  int64_t channelCount = 0, channelBlocks = 0;
  /// Says that the tiles, totals and sums of the octets role are there.
  Channel *readyChannel = nullptr;
  llvm::MapVector<Value, Shared> octetTiles, octetVectors;
  std::vector<DecayedGram> grams;
  llvm::DenseMap<Value, tile::DecayedFactorsOp> factors;
};

/// Arithmetic of a kernel in a form that costs less (Simplify.cpp).
void simplify(tile::KernelOp kernel);
/// Numbers of the tokens read one chunk ahead (Prefetch.cpp).
void prefetchTokens(tile::KernelOp kernel);

} // namespace rondo::schedule

#endif // RONDO_LIB_CONVERSION_SCHEDULE_SCHEDULER_H
