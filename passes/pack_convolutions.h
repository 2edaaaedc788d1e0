// Convolutions over images with channels last, in the form that has the fastest kernel.
#pragma once
#include "ir/builder.h"
#include "ir/convolution.h"
#include "passes/pass.h"

namespace nncc {

// Builds what `node`, a conv, conv_input_gradient or conv_weight_gradient of rank 3 or 4, computes. `a` and
// `b` are its operands, the images among them with channels last; so is the result if it is an image. Weights
// are as in `node`.
//   a window of one element, stride 1      matmul, but for the gradient by weights, whose sums are long
//   as many groups as channels             depthwise_conv and its gradients
//   a gradient by data of stride 1         conv_packed (depthwise_conv) with the window turned round
//   3 x 3 windows of f32, where it pays   Winograd's algorithm, unless digits count (winograd_plan)
//   anything else                          conv_packed, conv_input_gradient_packed,
//   conv_weight_gradient_packed
Value pack_convolution(GraphBuilder& builder, const Node& node, Value a, Value b, const PassOptions& options);

}  // namespace nncc
