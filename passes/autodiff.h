// autodiff: replaces gradient nodes by the computation of the derivatives, in reverse accumulation.
// Requires: no call between an x and the loss (`inline` ran).
// Ensures: no `gradient` node is left. Gradients are made in topological order, of ordinary nodes, so a
// gradient of a gradient works. Only nodes between an x and the loss get an adjoint, and each new node
// carries the place in the source of the node it differentiates. An x that the loss does not depend on has
// gradient zero. The rules are in gradient_rules.cpp.
//   %y = mul %x, %x : f32
//   %g = gradient %y, %x : f32
// becomes
//   %y = mul %x, %x : f32
//   %1 = constant {value = 1} : f32
//   %2 = mul %1, %x : f32
//   %g = add %2, %2 : f32
#pragma once
#include "passes/pass.h"

namespace nncc {

bool autodiff(Module&, PassContext&);

}  // namespace nncc
