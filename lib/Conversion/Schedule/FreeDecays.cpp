//===- FreeDecays.cpp - Decays along the free axis of a state ---------------------------------------------------===//
//
// A state S[K, V] with a decay for each of its columns, d[t, v], read by a sum over K:
//
//   o[t, v] = before[t, v] (S^T q)[t, v] + sum over s < t of P[t, s] (product of d[u, v] over s < u < t) x[s, v]
//   S[k, v] = total[v] S[k, v] + sum over s of k[s, k] after[s, v] x[s, v]
//
// The decay depends on all of t, s and v: no matrix P of the tokens can hold it. But the free axis V runs along the
// rows of the state role's fragments and the tokens along their columns, so the role itself has in its registers what
// `tile.decayed_apply` works on; only P is a tile that another role has made. The products over intervals come with it.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Scheduler.h"

using namespace mlir;
using namespace rondo;
using namespace rondo::schedule;

tile::DecayedApplyOp Scheduler::decayedApply(Value decays, Value values, bool isInclusive, Role &role) {
  SmallVector<chunk::DecayedApplyOp> applies;
  for (Operation &op : body.getBody().front())
    if (auto apply = dyn_cast<chunk::DecayedApplyOp>(op);
        apply && apply.getDecay() == decays && apply.getInclusive() == isInclusive)
      if (!values || apply.getValue() == values) {
        values = apply.getValue();
        applies.push_back(apply);
      }
  // Of products over intervals alone.
  if (applies.empty())
    return refuse(decays.getLoc(), "decays along the free axis of a state that nothing reads so"),
           tile::DecayedApplyOp();
  if (tile::DecayedApplyOp known = role.decayed.lookup(applies.front()))
    return known;
  Value wideDecays = matrix(decays, role), wide = wideDecays ? matrix(values, role) : Value();
  if (!wide)
    return {};
  SmallVector<Value> weights;
  for (chunk::DecayedApplyOp apply : applies) {
    if (apply.getReverse() || analysis.dependsOnArrays(apply.getWeight()))
      return refuse(apply.getLoc(), "weights of decayed sums that depend on a state"), tile::DecayedApplyOp();
    weights.push_back(ownTile(apply.getWeight(), role));
    if (!weights.back())
      return {};
  }
  ImplicitLocOpBuilder &at = role.b;
  Type type = wide.getType();
  auto total = RankedTensorType::get({64}, at.getF32Type(), tile::RowsAttr::get(at.getContext(), role.warps));
  SmallVector<Type> applied(weights.size(), type);
  auto made = tile::DecayedApplyOp::create(at, type, type, total, applied, wideDecays, wide, weights,
                                           isInclusive ? at.getUnitAttr() : UnitAttr());
  for (auto [apply, sum] : llvm::zip(applies, made.getApplied()))
    role.matrices[apply.getResult()] = sum;
  return role.decayed[applies.front()] = made;
}

/// A product over intervals of decays along the free axis, or a sum that they decay.
Value Scheduler::makeFreeDecays(Value value, Role &role) {
  Operation *op = value.getDefiningOp();
  auto apply = dyn_cast<chunk::DecayedApplyOp>(op);
  Value decays = apply ? apply.getDecay() : op->getOperand(0);
  if (role.kind != RoleKind::State || !Analysis::isAlongFreeAxis(decays))
    return refuse(op->getLoc(), "decays by channel along the axis of a state that no product sums over");
  auto products = dyn_cast<chunk::CumprodOp>(op);
  bool isInclusive = false;
  if (apply)
    isInclusive = apply.getInclusive();
  else if (products && !products.getSuffix())
    isInclusive = products.getInclusive();
  else // Suffixes and totals are the same in both kinds.
    isInclusive = llvm::any_of(decays.getUsers(), [](Operation *user) {
      auto other = dyn_cast<chunk::DecayedApplyOp>(user);
      return other && other.getInclusive();
    });
  tile::DecayedApplyOp made = decayedApply(decays, apply ? apply.getValue() : Value(), isInclusive, role);
  if (!made)
    return {};
  if (products)
    return products.getSuffix() ? made.getSuffix() : made.getPrefix();
  if (isa<chunk::TotalOp>(op))
    return made.getTotal();
  return role.matrices.lookup(value);
}
