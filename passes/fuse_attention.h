// fuse-attention: computes attention block by block of queries, without the matrix of its weights.
// Requires: calls of `softmax` are still calls; runs before `inline`.
// Ensures: a product of a softmax over the last axis of scores with values is one `attention`, if nothing
// else reads the softmax or the scores, and the scores are products of queries and keys that were at most
// multiplied by a positive number and set to -infinity where a condition does not hold. A condition that no
// key comes later is `causal`; others become the mask. Heads that lie between positions and features stay
// there. What is not cheaper so is left as it is: fewer than 8 queries, since turning the keys for them costs
// as much as their product; 16-bit floats, which Halide 14 cannot vectorize; a head of which more than
// kMostAttentionStack would lie on the stack; a causal one with fewer keys than queries, some of which see
// none.
//   %s = matmul %q, %k {transpose_a = false, transpose_b = true} : f32[8, 4, 128, 128]
//   %p = call %s {symbol = @softmax} : f32[8, 4, 128, 128]
//   %y = matmul %p, %v {transpose_a = false, transpose_b = false} : f32[8, 4, 128, 32]
// becomes
//   %y = attention %q, %k, %v {axis = 2, causal = false} : f32[8, 4, 128, 32]
#pragma once
#include "passes/pass.h"

namespace nncc {

bool fuse_attention(Module&, PassContext&);

}  // namespace nncc
