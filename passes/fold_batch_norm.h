// fold-batch-norm: folds scales and shifts of channels into the weights next to them, in inference entries.
// Requires: no call and no gradient is left.
// Ensures: what batch_norm is for inference, a multiplication and an addition of one number for each channel that
// depend on weights alone, is gone wherever a convolution, a transposed or depthwise convolution or a product with
// a weight stands before it: its weight is multiplied, and what is added becomes its bias. Where one stands behind
// it, the weight takes the scale, and takes the shift as well unless the convolution pads its input: the zeros
// would have been shifted too. A value that is used elsewhere stays. The folded weights depend on weights alone, so
// hoist-weights has them computed when parameters change and not on every call; training entries keep theirs.
//   %y = conv %x, %w {…} : f32[1, 64, 56, 56]
//   %f = broadcast %factor {dims = [1]} : f32[1, 64, 56, 56]
//   %z = mul %y, %f : f32[1, 64, 56, 56]
// becomes
//   %f = broadcast %factor {dims = [0]} : f32[64, 3, 7, 7]
//   %v = mul %w, %f : f32[64, 3, 7, 7]
//   %z = conv %x, %v {…} : f32[1, 64, 56, 56]
// Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
// section 3.2.
#pragma once
#include "passes/pass.h"

namespace nncc {

bool fold_batch_norm(Module& module, PassContext& context);

}  // namespace nncc
