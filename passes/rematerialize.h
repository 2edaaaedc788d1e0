// rematerialize: computes values again where keeping them does not fit into --memory-budget.
// Requires: fuse-kernels; entry graphs hold inputs, variables, constants, kernels and movement.
// Ensures: without a budget nothing changes. With one, plan-memory will give no entry a larger arena; if it
// finds no way, there is an error that tells the least for which it found one. Where a step waits with the
// most in memory, in training where the backward part begins, a minimum cut says what to keep and what to
// compute again just before it is needed (passes/recomputation.h). First that is elementwise arithmetic
// alone; if it takes more, reductions and windows; if it takes yet more, products and convolutions, segment
// by segment; and no more of the step's kernels than it takes. Kernels are called again with the same
// arguments, so results are the same to the bit. The order of the nodes is that in which they should run.
//   %h = kernel %x {symbol = @k0} : f32[4096]
//   %a = kernel %h {symbol = @k1} : f32[4096]
//   %l = kernel %a {symbol = @k2} : f32[8]
//   …
//   %dx = kernel %d, %a, %h {symbol = @k3} : f32[4096]
// becomes
//   %h = kernel %x {symbol = @k0} : f32[4096]
//   %a = kernel %h {symbol = @k1} : f32[4096]
//   %l = kernel %a {symbol = @k2} : f32[8]
//   …
//   %a.1 = kernel %h {symbol = @k1} : f32[4096]
//   %dx = kernel %d, %a.1, %h {symbol = @k3} : f32[4096]
// Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", for the segments; PyTorch's partitioner
// for ahead-of-time autograd cuts as here.
#pragma once
#include "passes/pass.h"

namespace nncc {

bool rematerialize(Module&, PassContext&);

}  // namespace nncc
