// assign-layout: decides which products read their right operand from panels.
// Requires: no call and no gradient is left.
// Ensures: a product of matrices whose right operand is a weight of an inference entry reads it packed, as
// vectors of columns that follow each other down the rows; hoist-weights, which comes next, takes the packing
// out of the entry, so it costs nothing. Elsewhere a kernel packs for itself what is worth it, but for panels
// too long for its stack: those of a transposed operand are packed here.
//   %y = matmul %x, %w {transpose_a = false, transpose_b = false} : f32[1, 40]
// becomes, with 16 lanes,
//   %0 = pack_panels %w {lanes = 16, transpose_b = false} : f32[3, 784, 16]
//   %y = matmul_packed %x, %0 {transpose_a = false} : f32[1, 40]
#pragma once
#include "passes/pass.h"

namespace nncc {

bool assign_layout(Module&, PassContext&);

}  // namespace nncc
