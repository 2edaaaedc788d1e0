// sparse-updates: updates of a variable only the rows that were looked up.
// Requires: no call and no gradient is left; before flatten-updates, which takes whole gradients.
// Ensures: where a variable's new value is the variable plus multiples of what scatter_add adds to zeros, as
// plain sgd makes of the gradient of an embedding, the rows are added to the variable itself, one after the
// other, and no tensor of the variable's size is made. plan-memory does that where the variable lies, so that
// other rows are neither read nor written. An optimizer that looks at the whole gradient (clip_norm), keeps a
// state (momentum, adam, adadelta) or changes weights without one (decay) stays as it is: each of its steps
// changes every row. So do 16-bit floats, whose rows are summed in f32, and everything under --accurate, as
// the sum of a row's gradients is then rounded in steps of the weight.
//   %w = variable {symbol = @w} : f32[512, 64]
//   %g = scatter_add %zero, %word, %dy {axis = 0} : f32[512, 64]
//   %dw = mul %lr, %g : f32[512, 64]
//   %w.new = sub %w, %dw : f32[512, 64]
//   update @w = %w.new
// becomes
//   %w = variable {symbol = @w} : f32[512, 64]
//   %0 = neg %rate : f32
//   %1 = broadcast %0 {dims = []} : f32[128, 64]
//   %2 = mul %dy, %1 : f32[128, 64]
//   %w.new = scatter_add %w, %word, %2 {axis = 0} : f32[512, 64]
//   update @w = %w.new
#pragma once
#include "passes/pass.h"

namespace nncc {

bool sparse_updates(Module&, PassContext&);

}  // namespace nncc
