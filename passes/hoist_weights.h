// hoist-weights: takes what depends on the weights alone out of inference entries.
// Requires: no call and no gradient is left.
// Ensures: what such an entry computes from variables that inference does not change, and that is worth
// keeping (products, reductions, packed panels, arithmetic on more than a few elements), is computed by the
// entry's `prepare` graph into Hoisted variables; the entry reads those. The session runs `prepare` again
// after a variable changed. Entries share equal values.
//   entry @classify model (%x: f32[1, 4]) -> (y: f32[1, 2]) {
//     %w = variable {symbol = @net.w} : f32[4, 2]
//     %n = abs %w : f32[4, 2]
//     %y = matmul %x, %n {transpose_a = false, transpose_b = false} : f32[1, 2]
//     return %y
//   }
// becomes, were 8 elements worth it,
//   variable @classify.hoisted : f32[4, 2] hoisted
//   entry @classify model (%x: f32[1, 4]) -> (y: f32[1, 2]) {
//     %n = variable {symbol = @classify.hoisted} : f32[4, 2]
//     %y = matmul %x, %n {transpose_a = false, transpose_b = false} : f32[1, 2]
//     return %y
//   } prepare {
//     %w = variable {symbol = @net.w} : f32[4, 2]
//     %n = abs %w : f32[4, 2]
//     update @classify.hoisted = %n
//   }
#pragma once
#include "passes/pass.h"

namespace nncc {

bool hoist_weights(Module&, PassContext&);

}  // namespace nncc
