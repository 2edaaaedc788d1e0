// simplify-scan: leaves to a loop what only the loop can do.
// Requires: nothing.
// Ensures: no scan in a graph carries, stacks or is given what nothing needs. What is the same in every step
// is computed before the loop and given to it, but for what costs nothing; a carried value that never changes
// is not carried; a sequence of equal elements is one element; numbers stand in the step. Each scan has a
// step function of its own. Steps that hold gradients are left alone until these are made.
//   step @s (%h: f32[4], %x: f32[4], %w: f32[4]) -> (h: f32[4], y: f32[4]) {
//     %0 = exp %w : f32[4]
//     %1 = mul %h, %0 : f32[4]
//     %2 = add %1, %x : f32[4]
//     return %2, %1
//   }
//   %r:2 = scan %h, %xs, %w {symbol = @s, steps = 8, carries = 1, sequences = 1, …} : f32[4], f32[8, 4]
// becomes, where the second result is not used,
//   step @s (%h: f32[4], %x: f32[4], %0: f32[4]) -> (carry_0: f32[4]) {
//     %1 = mul %h, %0 : f32[4]
//     %2 = add %1, %x : f32[4]
//     return %2
//   }
//   %0 = exp %w : f32[4]
//   %r = scan %h, %xs, %0 {symbol = @s, steps = 8, carries = 1, sequences = 1, …} : f32[4]
#pragma once
#include "passes/pass.h"

namespace nncc {

bool simplify_scan(Module&, PassContext&);

}  // namespace nncc
