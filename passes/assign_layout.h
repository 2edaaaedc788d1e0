// assign-layout: keeps images with channels last where convolutions want them, and packs weights into panels.
// Requires: no call and no gradient is left.
// Ensures: convolutions of f32 and f64 and their gradients are the ops of packed weights, over images with
// channels last. Whole regions around them are computed in that layout: a minimum cut over what each value's
// transposition would move says which, so that transposes stand at borders alone and none between two
// convolutions. --stats says how many bytes they move.
//   %y = conv %x, %w {strides = [1, 1], low = [1, 1], dilation = [1, 1], groups = 1} : f32[8, 64, 56, 56]
// becomes
//   %2 = conv_packed %x, %1 {…} : f32[8, 56, 56, 64]
// A product of matrices whose right operand is a weight of an inference entry reads it packed, as vectors of
// columns that follow each other down the rows; hoist-weights, which comes next, takes the packing out of the
// entry, so it costs nothing. Elsewhere a kernel packs for itself what is worth it, but for panels too long for
// its stack: those of a transposed operand are packed here.
//   %y = matmul %x, %w {transpose_a = false, transpose_b = false} : f32[1, 40]
// becomes, with 16 lanes,
//   %0 = pack_panels %w {lanes = 16, transpose_b = false} : f32[3, 784, 16]
//   %y = matmul_packed %x, %0 {transpose_a = false} : f32[1, 40]
#pragma once
#include "passes/pass.h"

namespace nncc {

bool assign_layout(Module&, PassContext&);

}  // namespace nncc
