// block-statistics: sums a convolution's result over blocks of its rows first, where its kernel can.
// Requires: no call and no gradient is left; assign-layout has run.
// Ensures: sums over images and pixels of d = y - s and of d * d, as batch_norm has them in training, y being
// what a convolution gives, with or without a bias, and s its first pixel, are made of p = sum(y - f) and
// q = sum((y - f) * (y - f)) over each block, f being the block's first pixel (ir/statistics.h). With
// e = f - s and n pixels to a block, sum(d) is the sum of p + n e over the blocks, and sum(d * d) that of
// q + e (2 p + n e). It cancels as little as before, as all are distances between values of y. fuse-kernels
// lets the convolution's kernel compute f, p and q, so that y is not read again for them. Results below 2 MiB
// are left alone: they are read again from the cache, and faster than a convolution sums. In no named pipeline:
// the kernels win 2 to 7 %, but as they come to be listed behind the packing of weights, the arena of a
// training step grows by half and the step is slower (resnet 32: a tenth); --passes runs it.
//   %s = slice %y {starts = [0, 0, 0, 0], strides = [1, 1, 1, 1]} : f32[1, 1, 1, 64]
//   %s4 = broadcast %s {dims = [0, 1, 2, 3]} : f32[8, 32, 32, 64]
//   %d = sub %y, %s4 : f32[8, 32, 32, 64]
//   %sum = reduce_sum %d {axes = [0, 1, 2]} : f32[64]
// becomes, where %y is a conv_packed,
//   %v = reshape %y : f32[8, 1024, 64]
//   %f = slice %v {starts = [0, 0, 0], strides = [1, 1, 1]} : f32[8, 1, 64]
//   %f3 = broadcast %f {dims = [0, 1, 2]} : f32[8, 1024, 64]
//   %b = sub %v, %f3 : f32[8, 1024, 64]
//   %p = reduce_sum %b {axes = [1]} : f32[8, 64]
//   …
//   %sum = reduce_sum %t {axes = [0]} : f32[64]
#pragma once
#include "passes/pass.h"

namespace nncc {

bool block_statistics(Module&, PassContext&);

}  // namespace nncc
