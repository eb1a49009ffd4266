//===- TileOps.td - What one thread block does ---------------------------------------------------------*- tablegen -*-===//

#ifndef RONDO_DIALECT_TILE_TILE_OPS_TD
#define RONDO_DIALECT_TILE_TILE_OPS_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Tile_Dialect : Dialect {
  let name = "tile";
  let cppNamespace = "::rondo::tile";
  let summary = "What one thread block does, with explicit layouts";
  let description = [{
    A `tile.kernel` is the program of one thread block for one (batch entry, head). Its *roles* run side by side: groups of
    warps with their own registers, each a loop over chunks of tokens. Values in registers are `tensor`s whose encoding
    says which thread holds which element (`#tile.fragment`, `#tile.columns`, `#tile.rows`, `#tile.lanes`, `#tile.octets`);
    `arith` and `math` work on them element by element. Values that pass between roles, and operands of matrix products, are
    `!tile.shared` buffers; a *channel* is a pair of barriers (full, empty) for each slot of a ring of buffers.
    Memory of the device is reached by array names; the lowering makes the kernel's parameters (`rondo.launch`).
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
}

//===----------------------------------------------------------------------===//
// Layouts
//===----------------------------------------------------------------------===//

class Tile_Layout<string name, string layoutMnemonic> : AttrDef<Tile_Dialect, name> {
  let mnemonic = layoutMnemonic;
}

class Tile_WarpsLayout<string name, string layoutMnemonic> : Tile_Layout<name, layoutMnemonic> {
  let parameters = (ins "int64_t":$warps);
  let assemblyFormat = "`<` `warps` `=` $warps `>`";
}

def Tile_FragmentAttr : Tile_WarpsLayout<"Fragment", "fragment"> {
  let summary = "accumulator and left operand of a tensor core product";
  let description = [{
    `tensor<MxNxT>` with M = 16 `warps`. Lane l of warp w holds rows 16w + l/4 and 16w + l/4 + 8, columns 8n + 2(l%4) and one
    more, for n = 0 .. N/8-1: N/2 elements, in the order n, then row, then column (element 4n + 2r + c). This is both the
    accumulator of wgmma and mma.sync (m16n8) and, rounded to 16 bits, their register operand A: the conversion moves nothing.
  }];
}

def Tile_ColumnsAttr : Tile_WarpsLayout<"Columns", "columns"> {
  let summary = "a vector along the columns of a fragment";
  let description = [{
    `tensor<NxT>`: every thread holds the entries of the columns that it holds in a fragment, N/4 of them (2n + c is column
    8n + 2(l%4) + c).
  }];
}

def Tile_RowsAttr : Tile_WarpsLayout<"Rows", "rows"> {
  let summary = "a vector along the rows of a fragment";
  let description = [{
    `tensor<MxT>`, M a multiple of 16 `warps`: of each 16 `warps` entries a thread holds 16w + l/4 and 16w + l/4 + 8, four lanes the same. Along the rows of a
    fragment M = 16 `warps`; longer ones are vectors of their own (`tile.dot`).
  }];
}

def Tile_LanesAttr : Tile_Layout<"Lanes", "lanes"> {
  let summary = "a vector along the lanes of a warp";
  let description = [{
    `tensor<CxT>`, C a multiple of 32: lane l of every warp of the role holds entries l C/32 .. (l+1) C/32 - 1 (each warp a copy).
  }];
}

def Tile_OctetsAttr : Tile_Layout<"Octets", "octets"> {
  let summary = "eight tokens a warp, two channels a lane";
  let description = [{
    `tensor<64x64xT>` held by 8 warps: warp w holds rows 8w .. 8w+7, lane l columns 2l and 2l+1; 16 elements (2u + c is row
    8w+u, column 2l+c). Products along tokens stay inside a thread up to eight tokens, and reads and writes of swizzled tiles
    have no bank conflicts.
  }];
}

def Tile_OctetRowsAttr : Tile_Layout<"OctetRows", "octet_rows"> {
  let summary = "a vector along the tokens of octets";
  let description = [{ `tensor<64xT>`: every lane of warp w holds entries 8w .. 8w+7. }];
}

def Tile_GramAttr : Tile_Layout<"Gram", "gram"> {
  let summary = "where `tile.decayed_gram` leaves its products";
  let description = [{
    `tensor<64x64xf32>` over 8 warps, 16 numbers a thread that only the lowering knows: several of them add up to an element. Only
    linear operations (sums, a scalar factor) may come before `tile.store`, which adds up, and rounds where the buffer is a 16-bit tile.
    `#tile.gram<32>`: products of tokens of the same half of the chunk only.
  }];
  let parameters = (ins DefaultValuedParameter<"int64_t", "64">:$span);
  let assemblyFormat = "(`<` $span^ `>`)?";
  let builders = [AttrBuilder<(ins), [{ return $_get($_ctxt, 64); }]>];
}

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

def Tile_SharedType : TypeDef<Tile_Dialect, "Shared"> {
  let mnemonic = "shared";
  let summary = "a buffer in shared memory";
  let description = [{
    `!tile.shared<RxCxbf16>` (also f16): a tile for the tensor cores: blocks of 64 columns one after the other, each R rows
    of 128 bytes in which the 16-byte unit j of row r sits at j xor (r mod 8) (the 128-byte swizzle of TMA and wgmma). C is a
    multiple of 64, R of 8; 1024-byte aligned. `!tile.shared<Nxf32>` and `!tile.shared<RxCxf32>` are plain. `!tile.shared<ring
    3x64x128xbf16>` is a ring of three such buffers, of which `tile.slot` gives one. `!tile.shared<32x128xbf16 of 64>` is a
    `tile.window` of a tile with 64 rows.
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape, "::mlir::Type":$elementType, "bool":$ring, "int64_t":$rowsOfWhole);
  let builders = [TypeBuilder<(ins "::llvm::ArrayRef<int64_t>":$shape, "::mlir::Type":$elementType, "bool":$ring), [{
    return $_get($_ctxt, shape, elementType, ring, 0);
  }]>];
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The shape of one buffer: without the ring's dimension.
    ::llvm::ArrayRef<int64_t> getSlotShape() const { return getRing() ? getShape().drop_front() : getShape(); }
    int64_t getSlots() const { return getRing() ? getShape().front() : 1; }
    SharedType getSlotType() const { return get(getContext(), getSlotShape(), getElementType(), false); }
    /// Of one buffer.
    int64_t getSlotBytes() const;
    bool isWindow() const { return getRowsOfWhole() != 0; }
    /// From one block of 64 columns of a tile to the next.
    int64_t getBlockBytes() const { return (isWindow() ? getRowsOfWhole() : getSlotShape()[0]) * 128; }
    bool isSwizzled() const { return getElementType().getIntOrFloatBitWidth() == 16; }
  }];
}

def Tile_ChannelType : TypeDef<Tile_Dialect, "Channel"> {
  let mnemonic = "channel";
  let summary = "barriers that hand the slots of rings from one role to others";
  let parameters = (ins "int64_t":$slots);
  let assemblyFormat = "`<` $slots `>`";
}

class Tile_Op<string mnemonic, list<Trait> traits = []> : Op<Tile_Dialect, mnemonic, traits>;

//===----------------------------------------------------------------------===//
// Structure
//===----------------------------------------------------------------------===//

def Tile_KernelOp : Tile_Op<"kernel", [Symbol, IsolatedFromAbove, SingleBlock, NoTerminator]> {
  let summary = "the program of one thread block";
  let description = [{
    Buffers and channels first, then the roles. `arrays` is the `rondo.arrays` attribute of the kernel; `blocks` thread blocks work
    on one (batch entry, head), each on its columns of the states (`tile.block_index`).

    Where a token has several `writes`, a chunk has `chunk` / `writes` tokens and `writes` rows for each, one after the other: `tile.count`, `tile.load_tokens`
    and `tile.store_tokens` are about rows (a scalar is the same in all rows of its token, and stored from the last).
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, ArrayAttr:$arrays, I64Attr:$chunk, DefaultValuedAttr<I64Attr, "1">:$blocks,
                       DefaultValuedAttr<I64Attr, "1">:$writes);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name attr-dict-with-keyword $body";
}

def Tile_RoleOp : Tile_Op<"role", [HasParent<"KernelOp">, SingleBlock, NoTerminator]> {
  let summary = "what a group of warps does";
  let description = [{
    `copies` groups of `warps` warps run the same program, told apart by `tile.copy_index`. `registers` a thread (0: leave as they are). Groups whose warps are a
    multiple of four start at a multiple of four (warpgroups). Barriers of a role (`tile.sync`) are those of one copy.
  }];
  let arguments = (ins StrAttr:$name, I64Attr:$warps, DefaultValuedAttr<I64Attr, "1">:$copies, DefaultValuedAttr<I64Attr, "0">:$registers);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$name `warps` $warps attr-dict-with-keyword $body";
}

class Tile_IndexOp<string mnemonic, string text> : Tile_Op<mnemonic, [Pure]> {
  let summary = text;
  let results = (outs Index:$result);
  let assemblyFormat = "attr-dict";
}
def Tile_CopyIndexOp : Tile_IndexOp<"copy_index", "which copy of its role this is">;
def Tile_BlockIndexOp : Tile_IndexOp<"block_index", "which column block this thread block works on">;
def Tile_ChunksOp : Tile_IndexOp<"chunks", "the number of chunks, T divided by the chunk size, rounded up">;

def Tile_CountOp : Tile_Op<"count", [Pure]> {
  let summary = "valid tokens (rows, where a token has several) of a chunk";
  let arguments = (ins Index:$chunk);
  let results = (outs Index:$result);
  let assemblyFormat = "$chunk attr-dict";
}

//===----------------------------------------------------------------------===//
// Shared memory and channels
//===----------------------------------------------------------------------===//

def Tile_AllocOp : Tile_Op<"alloc", [HasParent<"KernelOp">]> {
  let summary = "a buffer, or a ring of them";
  let results = (outs Tile_SharedType:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

def Tile_SlotOp : Tile_Op<"slot", [Pure, TypesMatchWith<"result is a slot of the ring", "ring", "result",
                                                       "::llvm::cast<SharedType>($_self).getSlotType()">]> {
  let summary = "buffer t mod slots of a ring";
  let arguments = (ins Tile_SharedType:$ring, Index:$time);
  let results = (outs Tile_SharedType:$result);
  let assemblyFormat = "$ring `[` $time `]` attr-dict `:` type($ring)";
}

def Tile_BlockOp : Tile_Op<"block", [Pure]> {
  let summary = "64 columns of a tile";
  let description = [{ Columns 64 i .. 64 i + 63 of a swizzled `RxC` tile, as an `Rx64` tile. }];
  let arguments = (ins Tile_SharedType:$tile, Index:$index);
  let results = (outs Tile_SharedType:$result);
  let assemblyFormat = "$tile `[` $index `]` attr-dict `:` type($tile) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_WindowOp : Tile_Op<"window", [Pure]> {
  let summary = "some rows and columns of a tile";
  let description = [{
    The rows from `row` (a multiple of 8) and the columns from `column` (of 16) on, as many as the result has. Other columns than whole
    blocks of 64 are for the right operand of `tile.mma` only.
  }];
  let arguments = (ins Tile_SharedType:$tile, Index:$row, Index:$column);
  let results = (outs Tile_SharedType:$result);
  let assemblyFormat = "$tile `[` $row `,` $column `]` attr-dict `:` type($tile) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_MakeChannelOp : Tile_Op<"make_channel", [HasParent<"KernelOp">]> {
  let summary = "barriers for the slots of rings that are filled and freed together";
  let description = [{
    `full` of a slot completes when every role that commits (or fetches) on the channel has done so, `empty` when every role that releases has:
    the counts follow from the uses (each warp of each copy arrives once).
  }];
  let results = (outs Tile_ChannelType:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

class Tile_ChannelOp<string mnemonic, string text, string details> : Tile_Op<mnemonic> {
  let summary = text;
  let description = details;
  let arguments = (ins Tile_ChannelType:$channel, Index:$time);
  let assemblyFormat = "$channel `[` $time `]` attr-dict `:` type($channel)";
}
def Tile_AcquireOp : Tile_ChannelOp<"acquire", "wait until slot t mod slots is free to be written", [{ The first round does not wait. }]>;
def Tile_CommitOp : Tile_ChannelOp<"commit", "say that this role's part of the slot is written", [{
  Writes become visible to the tensor cores and TMA as well (`fence.proxy.async`); one arrival a warp.
}]>;
def Tile_WaitOp : Tile_ChannelOp<"wait", "wait until slot t mod slots is written", [{}]>;
def Tile_ReleaseOp : Tile_ChannelOp<"release", "say that this role no longer reads the slot", [{
  Products that read the slot must be complete: the lowering waits for them. One arrival a warp.
}]>;

def Tile_SyncOp : Tile_Op<"sync"> {
  let summary = "a barrier of the warps of this copy of the role";
  let description = [{ With `async` their writes to shared memory are also made visible to TMA and the tensor cores. }];
  let arguments = (ins UnitAttr:$async);
  let assemblyFormat = "(`async` $async^)? attr-dict";
}

//===----------------------------------------------------------------------===//
// Device memory
//===----------------------------------------------------------------------===//

def Tile_FetchOp : Tile_Op<"fetch", [AttrSizedOperandSegments]> {
  let summary = "TMA: bring tiles of chunk t to shared memory and commit the slot when they are there";
  let description = [{
    For each buffer: tokens of chunk `chunk` of the token array of that name, features from the offset on (as many as the buffer
    has columns, 64 a box; a buffer may be the window of some rows); outside the array it reads 0. One thread of the role (of its first copy) issues; counts as this role's (single) arrival.

    With `acquire` for roles that do other work as well: the issuing thread alone waits first until the slot is free (as `tile.acquire` would make all of
    them), and for chunks beyond the last nothing happens.
  }];
  let arguments = (ins Tile_ChannelType:$channel, Index:$chunk, StrArrayAttr:$arrays, Variadic<Tile_SharedType>:$buffers, Variadic<Index>:$offsets,
                       UnitAttr:$acquire);
  let assemblyFormat = "(`acquire` $acquire^)? $channel `[` $chunk `]` $arrays `to` $buffers `at` $offsets attr-dict `:` type($channel) `,` type($buffers)";
}

def Tile_WriteBackOp : Tile_Op<"write_back"> {
  let summary = "TMA: write a tile to a token array";
  let description = [{
    Rows beyond the last token and columns beyond the feature size are dropped. The buffer's writes must have been made visible
    (`tile.sync async`). One thread issues; `tile.drain` waits until the buffer may be overwritten.
  }];
  let arguments = (ins Tile_SharedType:$buffer, StrAttr:$array, Index:$chunk, Index:$offset);
  let assemblyFormat = "$buffer `to` $array `[` $chunk `]` `at` $offset attr-dict `:` type($buffer)";
}

def Tile_DrainOp : Tile_Op<"drain"> {
  let summary = "wait until the write backs of this copy of the role have read their buffers";
  let description = [{ Only the issuing thread waits: `tile.sync` follows where others write the buffer. `all`: until the writes are complete. }];
  let arguments = (ins UnitAttr:$all);
  let assemblyFormat = "(`all` $all^)? attr-dict";
}

def Tile_LoadTokensOp : Tile_Op<"load_tokens"> {
  let summary = "scalars of the tokens of a chunk, as f32";
  let description = [{ A token array without features. Rows beyond the last token repeat it. Chunk numbers beyond the last give unspecified (finite) values; nothing outside the array is read. }];
  let arguments = (ins StrAttr:$array, Index:$chunk);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$array `[` $chunk `]` attr-dict `:` type($result)";
}

def Tile_LoadTotalOp : Tile_Op<"load_total"> {
  let summary = "the vector that another kernel has made for a chunk, in lanes";
  let description = [{
    It lies in the row of the chunk's first token. With `pairs` each of its elements comes twice: for what two neighbouring columns share.
    Chunk numbers beyond the last give unspecified values; nothing outside the array is read.
  }];
  let arguments = (ins StrAttr:$array, Index:$chunk, UnitAttr:$pairs);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$array `[` $chunk `]` (`pairs` $pairs^)? attr-dict `:` type($result)";
}

def Tile_StoreTokensOp : Tile_Op<"store_tokens"> {
  let summary = "write scalars of the tokens of a chunk to an output without features; rows beyond the last token are dropped";
  let arguments = (ins AnyStaticShapeTensor:$value, StrAttr:$array, Index:$chunk);
  let assemblyFormat = "$value `to` $array `[` $chunk `]` attr-dict `:` type($value)";
}

def Tile_LoadParameterOp : Tile_Op<"load_parameter", [Pure]> {
  let summary = "a parameter of this head: a scalar, or a vector along columns or rows";
  let description = [{ Vectors start at `offset`; entries beyond the array are 0. As octets: along the channels, the same for every token. }];
  let arguments = (ins StrAttr:$array, Optional<Index>:$offset);
  let results = (outs AnyType:$result);
  let assemblyFormat = "$array (`at` $offset^)? attr-dict `:` type($result)";
}

def Tile_LoadStateOp : Tile_Op<"load_state"> {
  let summary = "a state before the first token";
  let description = [{
    A matrix state S[K, V] as the fragment of its transpose: element (r, c) is S[c, offset + r]; with `rows` S[offset + r, c]. A vector state n[K] in
    rows layout. A scalar state as f32. Where the array is absent: `init`; beyond its sizes: 0.
  }];
  let arguments = (ins StrAttr:$state, F32Attr:$init, Optional<Index>:$offset, UnitAttr:$rows);
  let results = (outs AnyType:$result);
  let assemblyFormat = "(`rows` $rows^)? $state `init` $init (`at` $offset^)? attr-dict `:` type($result)";
}

def Tile_StoreStateOp : Tile_Op<"store_state"> {
  let summary = "a state after the last token; nothing where the array is absent";
  let arguments = (ins AnyType:$value, StrAttr:$state, Optional<Index>:$offset, UnitAttr:$rows);
  let assemblyFormat = "(`rows` $rows^)? $value `to` $state (`at` $offset^)? attr-dict `:` type($value)";
}

//===----------------------------------------------------------------------===//
// Registers and shared memory
//===----------------------------------------------------------------------===//

def Tile_LoadOp : Tile_Op<"load"> {
  let summary = "a tile to registers";
  let description = [{
    To a fragment of the tile's element type by ldmatrix: `RxC` tile to `RxC` fragment, or `transposed` to `CxR`. To octets directly
    (`64x64`). A vector `Nxf32` to columns, rows, lanes or octet rows. A plain f32 matrix to a fragment: rows of the buffer may be longer (8 more than a multiple of 32: no
    bank conflicts); from rows of 32 to less than 64 numbers a `64x64` fragment has two diagonal blocks that are *folded* there, the second below the first, and zeros.

    `interleave` n, for fragments: the tile has n groups of rows one after the other, and the value takes a row of each in turn, row r of group g as row n r + g. A tile
    of one group only is repeated: its row r as rows n r .. n r + n - 1.
  }];
  let arguments = (ins Tile_SharedType:$buffer, UnitAttr:$transposed, DefaultValuedAttr<I64Attr, "1">:$interleave);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "(`transposed` $transposed^)? $buffer attr-dict `:` type($buffer) `->` type($result)";
  let builders = [OpBuilder<(ins "::mlir::Type":$result, "::mlir::Value":$buffer, "::mlir::UnitAttr":$transposed), [{
    build($_builder, $_state, result, buffer, transposed, $_builder.getI64IntegerAttr(1));
  }]>];
  let hasVerifier = 1;
}

def Tile_LoadScalarOp : Tile_Op<"load_scalar"> {
  let summary = "one element of an f32 buffer";
  let arguments = (ins Tile_SharedType:$buffer, I64Attr:$position);
  let results = (outs F32:$result);
  let assemblyFormat = "$buffer `[` $position `]` attr-dict `:` type($buffer)";
}

def Tile_StoreOp : Tile_Op<"store"> {
  let summary = "registers to a tile";
  let description = [{
    The reverse of `tile.load` (stmatrix for fragments). The value has the buffer's element type. Lanes and columns are written by the first warp of the role only
    (they are copies in the others), rows by their owners. A `#tile.gram` value goes to a plain f32 buffer of 64 rows or, rounded, to a 16-bit tile, with zeros
    above the diagonal; `#tile.gram<32>`, folded, to 32 columns of either. Of a `64x64` fragment that goes to 32 columns of a tile only the two diagonal blocks are written, folded.
  }];
  let arguments = (ins AnyStaticShapeTensor:$value, Tile_SharedType:$buffer, UnitAttr:$transposed,
                       DefaultValuedAttr<I64Attr, "1">:$interleave);
  let assemblyFormat = "(`transposed` $transposed^)? $value `to` $buffer attr-dict `:` type($value) `->` type($buffer)";
  let builders = [OpBuilder<(ins "::mlir::Value":$value, "::mlir::Value":$buffer, "::mlir::UnitAttr":$transposed), [{
    build($_builder, $_state, value, buffer, transposed, $_builder.getI64IntegerAttr(1));
  }]>];
  let hasVerifier = 1;
}

def Tile_BroadcastOp : Tile_Op<"broadcast", [Pure]> {
  let summary = "a columns or rows vector, or a scalar, repeated over a fragment (or vector)";
  let arguments = (ins AnyType:$value);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$value attr-dict `:` type($value) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_SplitPairsOp : Tile_Op<"split_pairs", [Pure, SameOperandsAndResultType]> {
  let summary = "one column of each pair 2n, 2n+1 of a fragment, in both";
  let description = [{
    A pair is in one thread: no data moves. What is computed of either half computes everything twice and keeps one (`tile.join_pairs`): LLVM removes the other.
  }];
  let arguments = (ins AnyStaticShapeTensor:$value, UnitAttr:$odd);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "(`odd` $odd^):(`even`)? $value attr-dict `:` type($result)";
}

def Tile_JoinPairsOp : Tile_Op<"join_pairs", [Pure, SameOperandsAndResultType]> {
  let summary = "columns 2n of the first, 2n+1 of the second fragment";
  let arguments = (ins AnyStaticShapeTensor:$even, AnyStaticShapeTensor:$odd);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$even `,` $odd attr-dict `:` type($result)";
}

def Tile_IotaOp : Tile_Op<"iota", [Pure]> {
  let summary = "the index of each element along a dimension, as i32";
  let arguments = (ins I64Attr:$dimension);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$dimension attr-dict `:` type($result)";
}

def Tile_ReduceKind : I32EnumAttr<"ReduceKind", "how a reduction combines", [
  I32EnumAttrCase<"add", 0>, I32EnumAttrCase<"maximum", 1>, I32EnumAttrCase<"minimum", 2>]> {
  let cppNamespace = "::rondo::tile";
  let genSpecializedAttr = 0;
}
def Tile_ReduceKindAttr : EnumAttr<Tile_Dialect, Tile_ReduceKind, "reduce_kind">;

def Tile_ReduceOp : Tile_Op<"reduce", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "sum of a fragment over its columns or, through shared memory, sum or maximum over its rows";
  let description = [{
    Over dimension 1 the sum, in rows layout; of octets in octet rows (each lane the whole sum). Inside a warp.

    Over dimension 0 the sum, maximum or minimum over the rows of all warps of all copies of the role, in columns layout: in all of them the same to the last bit. The rows of a warp
    are combined in registers; `scratch` (`RxNxf32`, R the warps of all copies) takes a row of each, and after a barrier of all copies each warp combines these in order. One
    barrier: the next reduction must not write the same buffer, or a warp that still reads it would see that one's. Products in flight stay so. NaN where there is one.
  }];
  let arguments = (ins AnyStaticShapeTensor:$value, I64Attr:$dimension,
                       DefaultValuedAttr<Tile_ReduceKindAttr, "::rondo::tile::ReduceKind::add">:$kind, Optional<Tile_SharedType>:$scratch);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = [{
    $value `over` $dimension (`by` $kind^)? (`through` $scratch^)? attr-dict `:` type($value) (`,` type($scratch)^)? `->` type($result)
  }];
  let builders = [OpBuilder<(ins "::mlir::Type":$result, "::mlir::Value":$value), [{
    build($_builder, $_state, result, value, $_builder.getI64IntegerAttr(1), ReduceKindAttr::get($_builder.getContext(), ReduceKind::add), ::mlir::Value());
  }]>];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

def Tile_MmaOp : Tile_Op<"mma"> {
  let summary = "a matrix product on the tensor cores, f32 accumulation";
  let description = [{
    result[m, n] = (accumulator[m, n] +) sum_k lhs[m, k] rhs[n, k]; with `transposed` rhs[k, n]. lhs is a 16-bit fragment `MxK` or a tile
    `MxK`; rhs a tile. In roles of whole warpgroups: wgmma, asynchronous: the lowering places the waits before the first use of the result. A wait also comes before the `tile.release` of an operand's channel and before `tile.sync`.
  }];
  let arguments = (ins AnyType:$lhs, Tile_SharedType:$rhs, Optional<AnyStaticShapeTensor>:$accumulator, UnitAttr:$transposed);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$lhs `,` (`transposed` $transposed^)? $rhs (`,` $accumulator^ `:` type($accumulator))? attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)";
  let hasVerifier = 1;
}

def Tile_DotOp : Tile_Op<"dot"> {
  let summary = "dot products of the rows of a tile, or of its columns, with a vector, in f32 on CUDA cores";
  let description = [{
    result[m] = (accumulator[m] +) sum_k A[m, k] vector[k]; A is the tile, or its transpose with `transposed`. `vector` is an f32 buffer, the result is in rows layout. For vectors that
    multiply matrices: the tensor cores would do it for 16 or 64 rows at a time, in 16 bits.

    Exact but for the f32 sums. Each warp reads the 16-bit elements of its own rows by ldmatrix, so that there are no bank conflicts, and adds up over four lanes: no
    barrier. What other warps of the role wrote to the buffers needs a `tile.sync` before.
  }];
  let arguments = (ins Tile_SharedType:$tile, Tile_SharedType:$vector, Optional<AnyStaticShapeTensor>:$accumulator, UnitAttr:$transposed);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "(`transposed` $transposed^)? $tile `,` $vector (`onto` $accumulator^ `:` type($accumulator))? attr-dict `:` type($tile) `,` type($vector) `->` type($result)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Time
//===----------------------------------------------------------------------===//

def Tile_CumprodOp : Tile_Op<"cumprod", [Pure, SameOperandsAndResultType]> {
  let summary = "running products along lanes, the entry itself excluded";
  let description = [{ As `chunk.cumprod`, on lanes. }];
  let arguments = (ins AnyStaticShapeTensor:$operand, UnitAttr:$suffix);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "(`suffix` $suffix^):(`prefix`)? $operand attr-dict `:` type($result)";
}

def Tile_TotalOp : Tile_Op<"total", [Pure]> {
  let summary = "the product of all entries of a lanes vector";
  let arguments = (ins AnyStaticShapeTensor:$operand);
  let results = (outs F32:$result);
  let assemblyFormat = "$operand attr-dict `:` type($operand)";
}

def Tile_ScanKind : I32EnumAttr<"ScanKind", "what a scan composes", [
  I32EnumAttrCase<"affine", 0>, I32EnumAttrCase<"maxplus", 1>]> {
  let cppNamespace = "::rondo::tile";
  let genSpecializedAttr = 0;
}
def Tile_ScanKindAttr : EnumAttr<Tile_Dialect, Tile_ScanKind, "scan_kind">;

def Tile_ScanOp : Tile_Op<"scan", [Pure, AllTypesMatch<["a", "b", "before", "after"]>]> {
  let summary = "a recurrence of a scalar along lanes";
  let description = [{
    affine: x_t = a_t x_{t-1} + b_t; maxplus: x_t = max(a_t + x_{t-1}, b_t); x_{-1} = `initial`. `before` is x_{t-1}, `after` x_t, `last` x_{count-1} (initial when count is 0).
    By composing in a tree over the lanes (reassociates).
  }];
  let arguments = (ins Tile_ScanKindAttr:$kind, AnyStaticShapeTensor:$a, AnyStaticShapeTensor:$b, F32:$initial, Index:$count);
  let results = (outs AnyStaticShapeTensor:$before, AnyStaticShapeTensor:$after, F32:$last);
  let assemblyFormat = "$kind $a `,` $b `from` $initial `count` $count attr-dict `:` type($a)";
}

def Tile_IntervalTablesOp : Tile_Op<"interval_tables"> {
  let summary = "prefixes and suffixes of decays inside the blocks of a binary tree";
  let description = [{
    decays d[C] in lanes; tables `2x6xCxf32` (C = 64; log2 C levels). For level p (halves of s = 2^p tokens) tables[0][p][i] is the product of d over the tokens of i's block of s before i
    (i excluded), tables[1][p][j] the product over the tokens of j's block of s after j (j excluded). With p the highest bit in which i > j differ, tables[0][p][i] *
    tables[1][p][j] is the product of d over j < u < i: only products over intervals.
    Written by the first warp of the role.
  }];
  let arguments = (ins AnyStaticShapeTensor:$decays, Tile_SharedType:$tables);
  let assemblyFormat = "$decays `to` $tables attr-dict `:` type($decays) `,` type($tables)";
}

def Tile_CoupledProductsOp : Tile_Op<"coupled_products", [AttrSizedOperandSegments]> {
  let summary = "running products of small matrices along lanes, and tables of them";
  let description = [{
    `size` n states that scalars couple: new = A_t old. `decays` are the entries of A_t in lanes, `entries` their places a n + b; the others are 0. Results: n n prefixes
    (the entries of A_{t-1} ... A_0, lanes), n n suffixes (A_{C-1} ... A_{t+1}), n n totals (f32).

    For each triple (a, k, b) of `terms` a buffer of `tables` takes the prefixes (a, k) and the suffixes (k, b) of each level, as `tile.interval_tables` writes those of
    numbers: so the sum over k of their `tile.interval_products` is entry (a, b) of A_{i-1} ... A_{j+1}. Only products over intervals, later ones on the left.
  }];
  let arguments = (ins I64Attr:$size, DenseI64ArrayAttr:$entries, Variadic<AnyStaticShapeTensor>:$decays, DenseI64ArrayAttr:$terms,
                       Variadic<Tile_SharedType>:$tables);
  let results = (outs Variadic<AnyType>:$results);
  let assemblyFormat = "$size $entries `(` $decays `:` type($decays) `)` `tables` $terms `(` $tables `:` type($tables) `)` attr-dict `->` type($results)";
}

def Tile_IntervalProductsOp : Tile_Op<"interval_products"> {
  let summary = "the product of decays between every two tokens";
  let description = [{
    result[i, j] = scale rows[i] (product of d over j < u < i) for j < i; without `rows` or `scale` these are 1. A `CxC` fragment, `rows` in the layout of its rows.
    With `diagonal` this number is on the diagonal and 0 above it; without, both are unspecified but finite.
  }];
  let arguments = (ins Tile_SharedType:$tables, Optional<AnyStaticShapeTensor>:$rows, DefaultValuedOptionalAttr<F32Attr, "1.0f">:$scale, OptionalAttr<F32Attr>:$diagonal);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$tables (`rows` $rows^ `:` type($rows))? attr-dict `:` type($tables) `->` type($result)";
}

def Tile_DecayedFactorsOp : Tile_Op<"decayed_factors"> {
  let summary = "decays of a chunk in octets, and the products over its octets, halves and whole";
  let description = [{
    For 64 channels: decays d (octets, f32). Writes the totals of the eight octets to `totals` (`8x64xf32`), then (after a barrier of the role) gives `prefix` = product of
    d over the tokens before (t excluded) and `suffix` = over the tokens after (t excluded), as `chunk.cumprod`, in octets; `total` is a `64xf32` buffer (or columns of a longer one
    from `offset` on) for the product over the chunk. With a `2xNxf32` buffer for totals everything is within halves of 32 tokens: row h is the product over half h.
  }];
  let arguments = (ins AnyStaticShapeTensor:$decays, Tile_SharedType:$totals, Tile_SharedType:$total, Index:$offset);
  let results = (outs AnyStaticShapeTensor:$prefix, AnyStaticShapeTensor:$suffix);
  let assemblyFormat = "$decays `totals` $totals `total` $total `[` $offset `]` attr-dict `:` type($decays) `,` type($totals) `,` type($total) `->` type($prefix) `,` type($suffix)";
}

def Tile_DecayedGramOp : Tile_Op<"decayed_gram", [AttrSizedOperandSegments]> {
  let summary = "dot products of reads with earlier writes, decayed per channel between them, for 64 channels";
  let description = [{
    For each query q_i: result_i[t, s] = accumulator_i[t, s] + sum_r q_i[t, r] (product of d[u, r] over s < u < t) k[s, r]
    for s < t, accumulator_i[t, s] + sum_r diagonal_i[t, r] k[t, r] for s = t where diagonals are given. Above the diagonal: the accumulator.
    queries, diagonals, key and decays: octets (f32) of one block of 64 channels; accumulators and results: `tensor<64x64xf32, #tile.gram>`, the layout in which this operation leaves its
    products (`tile.store` writes it to a buffer); or `#tile.gram<32>`: the pairs of tokens of the same half of the chunk, without level 32. `totals` (`8x64xf32`) holds the totals of the octets, as `tile.decayed_factors` wrote them; `room` is where the operands of the
    levels go: with n queries a tile of `96 (n + 1)` rows (3 tiles of `64x64` for one query, 4.5 for two; in halves `64 (n + 1)`, and with `128 n` rows one barrier of a warp less for each further query); from `64 (n + 1)` rows on (2, 3) it works in two
    passes, with two more barriers. Diagonals belong to the first queries; there may be fewer of them. Where a query is another value times the decay, and
    that value the diagonal, multiply for this operation only (elsewhere `value * (prefix * decay)`): one octet less in registers.

    By levels of a binary tree of tokens (halves of 1, 2, 4, 8, 16, 32): at each level rows of right halves carry q times the product since the boundary, rows of left halves k times the
    product up to it, rounded to 16 bits once; mma.sync forms the products of the pairs that the level owns. Only products over intervals: exact for decays of 0.
  }];
  let arguments = (ins Variadic<AnyStaticShapeTensor>:$queries, Variadic<AnyStaticShapeTensor>:$diagonals, AnyStaticShapeTensor:$key, AnyStaticShapeTensor:$decays,
                       Tile_SharedType:$totals, Tile_SharedType:$room, Variadic<AnyStaticShapeTensor>:$accumulators);
  let results = (outs Variadic<AnyStaticShapeTensor>:$results);
  let assemblyFormat = [{
    `queries` `(` $queries `:` type($queries) `)` (`diagonals` `(` $diagonals^ `:` type($diagonals) `)`)? `key` $key `:` type($key) `decays` $decays `:` type($decays)
    `totals` $totals `:` type($totals) `room` $room `:` type($room) `onto` $accumulators attr-dict `:` type($accumulators) `->` type($results)
  }];
}

def Tile_DecayedApplyOp : Tile_Op<"decayed_apply"> {
  let summary = "weighted sums of earlier columns, decayed row by row between them";
  let description = [{
    `chunk.decayed_apply` with rows of fragments for its columns: for decays d and values x of `RxC` (rows: columns of the state; columns: tokens),

    `applied_i[r, t]` = sum over s < t of `weights_i[t, s]` (product of d[r, u] over s < u < t) x[r, s]

    and, of the same products over intervals, `prefix` and `suffix` of d as `chunk.cumprod` gives them and the `total` of each row. With `inclusive` as `chunk.decayed_apply` has it:
    the sum has s = t as well, and it and the prefix have d[r, t] as a factor of all earlier tokens. C is 32 or 64; weights: 16-bit tiles `CxC`; entries above the diagonal are not
    read, nor, without `inclusive`, those on it.

    By levels of a binary tree of tokens (halves of 1, 2, 4, .. C/2): at each level x times the product up to the end of its left half, rounded to 16 bits, is operand A of mma.sync,
    and what it gives is multiplied by the product since the beginning of the right half, in f32. A thread has two neighbouring tokens of each eight: two levels go through shuffles,
    the others stay in the thread. Narrows the values times a decay; reassociates.
  }];
  let arguments = (ins AnyStaticShapeTensor:$decays, AnyStaticShapeTensor:$values, Variadic<Tile_SharedType>:$weights, UnitAttr:$inclusive);
  let results = (outs AnyStaticShapeTensor:$prefix, AnyStaticShapeTensor:$suffix, AnyStaticShapeTensor:$total, Variadic<AnyStaticShapeTensor>:$applied);
  let assemblyFormat = "(`inclusive` $inclusive^)? $decays `,` $values `weights` `(` $weights `:` type($weights) `)` attr-dict `:` type($decays) `,` type($values) `->` type($prefix) `,` type($suffix) `,` type($total) `(` type($applied) `)`";
  let hasVerifier = 1;
}

def Tile_InverseOp : Tile_Op<"inverse"> {
  let summary = "the inverse of a unit lower triangular matrix";
  let description = [{
    result = (I + stril(matrix))^-1, with `negated` (I - stril(matrix))^-1, written to a 16-bit tile `CxC` (zeros above the diagonal included), or the inverses of its two diagonal blocks of 32 to 32 columns of one (folded: below each other), times `scale` (a columns vector given as a buffer `Cxf32`) by columns if there is one.
    matrix: an f32 fragment `64x64` of four warps, entries on and above the diagonal are not read. 16x16 diagonal blocks by f32 forward substitution, one lane a column; blocks below by products in
    f16 (mma.sync), each entry of the inverse being a sum of products with earlier ones: never powers of the matrix. `scratch`: `!tile.shared<64x64xf16>` and `f32` room for the diagonal blocks.
    Narrows: the off-diagonal blocks of matrix and inverse are f16 operands.
  }];
  let arguments = (ins AnyStaticShapeTensor:$matrix, Optional<Tile_SharedType>:$scale, Tile_SharedType:$result, Tile_SharedType:$scratch, Tile_SharedType:$diagonal, UnitAttr:$negated);
  let assemblyFormat = "(`negated` $negated^)? $matrix (`scale` $scale^ `:` type($scale))? `to` $result `scratch` $scratch `,` $diagonal attr-dict `:` type($matrix) `->` type($result) `,` type($scratch) `,` type($diagonal)";
}

#endif // RONDO_DIALECT_TILE_TILE_OPS_TD
