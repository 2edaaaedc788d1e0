// canonicalize: small rewrites up to a fixed point; the rules are rows in rules/*.cpp.
// Requires: nothing.
// Ensures: no rule applies any more; no node is dead; once the module has no `gradient` node left, no
// `stop_gradient` either. No graph is more expensive than before. Results stay the same up to the sign of a
// zero, the order of a sum, and powers with a constant exponent. Names move to what replaces their node.
//   %0 = transpose %w {perm = [1, 0]} : f32[3, 2]
//   %y = matmul %x, %0 {transpose_a = false, transpose_b = false} : f32[4, 2]
// becomes
//   %y = matmul %x, %w {transpose_a = false, transpose_b = true} : f32[4, 2]
#pragma once
#include "passes/pass.h"

namespace nncc {

bool canonicalize(Module&, PassContext&);

}  // namespace nncc
