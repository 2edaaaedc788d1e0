// fuse-kernels: outlines groups of nodes into kernel functions, each of a form that codegen/ has a
// schedule for (passes/kernel_form.h).
// Requires: no call and no gradient is left.
// Ensures: entry graphs hold inputs, variables, constants, kernels and movement that needs no copy
// (passes/fusion_rules.h); kernels of equal bodies share one function k0, k1, … Groups grow along the
// edges as long as they keep a form and nothing waits for itself, then across between groups that read the
// same; a cheap value that another group needs is computed again there where that saves memory. A convolution
// pools its elements where nothing else wants them and windows lie side by side (ir/pooling.h).
//   %p = matmul %x, %w {transpose_a = false, transpose_b = false} : f32[64, 256]
//   %b2 = broadcast %b {dims = [1]} : f32[64, 256]
//   %s = add %p, %b2 : f32[64, 256]
//   %h = tanh %s : f32[64, 256]
// becomes
//   kernel @k0(%x0: f32[64, 784], %x1: f32[784, 256], %x2: f32[256]) -> (r0: f32[64, 256]) {
//     %p = matmul %x0, %x1 {transpose_a = false, transpose_b = false} : f32[64, 256]
//     %b2 = broadcast %x2 {dims = [1]} : f32[64, 256]
//     %s = add %p, %b2 : f32[64, 256]
//     %h = tanh %s : f32[64, 256]
//     return %h
//   }
//   …
//   %h = kernel %x, %w, %b {symbol = @k0} : f32[64, 256]
#pragma once
#include "passes/pass.h"

namespace nncc {

bool fuse_kernels(Module&, PassContext&);

}  // namespace nncc
