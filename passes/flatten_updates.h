// flatten-updates: computes the new values of a slab's variables together, as vectors.
// Requires: no call and no gradient is left.
// Ensures: where neighbours in a slab (parameters of one minimize, or one of their optimizer's states) are
// updated by the same elementwise arithmetic from themselves, their states, their gradients and shared
// scalars, one rank-1 computation over the concatenation of each of these replaces it, and slices of its
// result are the updates. Sums over all of them, as a global norm of the gradients, become one reduction. The
// slab's variables lie side by side, so plan-memory turns all this concatenating and slicing into views, and
// an optimizer of any number of parameters is a few kernels. Where the arithmetic differs along the slab (an
// optimizer that asks for rank(w)), each run of equal ones is taken by itself.
//   %w1 = sub %w, %dw : f32[4, 2]
//   %b1 = sub %b, %db : f32[2]
//   update @w = %w1
//   update @b = %b1
// becomes
//   %w.flat = reshape %w : f32[8]
//   %1 = concat %w.flat, %b {axis = 0} : f32[10]
//   %dw.flat = reshape %dw : f32[8]
//   %2 = concat %dw.flat, %db {axis = 0} : f32[10]
//   %3 = sub %1, %2 : f32[10]
//   %4 = slice %3 {starts = [0], strides = [1]} : f32[8]
//   %w1 = reshape %4 : f32[4, 2]
//   %b1 = slice %3 {starts = [8], strides = [1]} : f32[2]
//   update @w = %w1
//   update @b = %b1
#pragma once
#include "passes/pass.h"

namespace nncc {

bool flatten_updates(Module&, PassContext&);

}  // namespace nncc
