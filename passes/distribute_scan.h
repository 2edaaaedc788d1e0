// distribute-scan: computes for all steps at once what need not wait for the step before.
// Requires: nothing; best after simplify-scan.
// Ensures: products, look-ups, reductions and other dear arithmetic of a step that depends on no carried
// value is done before the loop, for all steps together, and what only results of the loop depend on is done
// after it. A product of a step by several operands side by side, of which some do not depend on what is
// carried, is taken apart. A sum over all steps, as gradients of weights are, is not carried: its terms are
// stacked and summed after the loop, those that are products as one product. Steps that hold gradients are
// left alone until these are made.
//   step @s (%h: f32[2, 4], %x: f32[2, 3], %u: f32[3, 4]) -> (h: f32[2, 4]) {
//     %0 = matmul %x, %u {transpose_a = false, transpose_b = false} : f32[2, 4]
//     %1 = add %h, %0 : f32[2, 4]
//     %2 = tanh %1 : f32[2, 4]
//     return %2
//   }
//   %r = scan %h, %xs, %u {symbol = @s, steps = 8, …} : f32[2, 4]
// becomes
//   step @s (%h: f32[2, 4], %0: f32[2, 4]) -> (carry_0: f32[2, 4]) {
//     %1 = add %h, %0 : f32[2, 4]
//     %2 = tanh %1 : f32[2, 4]
//     return %2
//   }
//   %0 = reshape %xs : f32[16, 3]
//   %1 = matmul %0, %u {transpose_a = false, transpose_b = false} : f32[16, 4]
//   %2 = reshape %1 : f32[8, 2, 4]
//   %r = scan %h, %2 {symbol = @s, steps = 8, …} : f32[2, 4]
#pragma once
#include "passes/pass.h"

namespace nncc {

bool distribute_scan(Module&, PassContext&);

}  // namespace nncc
