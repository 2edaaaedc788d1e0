// fuse-softmax-cross-entropy: takes the logarithm of a softmax without computing the softmax.
// Requires: calls of `softmax` and `cross_entropy` are still calls; runs before `inline`.
// Ensures: no cross_entropy takes the result of a softmax over its own axis. It takes log(sum e^x) and x
// instead, which never overflow, and whose gradient is softmax(x) - target without a division by a
// probability. A softmax with other uses stays for those. Labels and distributions alike; a label that is no
// class counts as in softmax_cross_entropy. What cannot be fused is left as it is.
//   %p = call %x {symbol = @softmax} : f32[8, 3]
//   %l = call %p, %label {symbol = @cross_entropy} : f32
// becomes
//   %1 = sub %x, …the largest of each row… : f32[8, 3]
//   %2 = log …the sum of e^%1 over each row… : f32[8]
//   %l = …cross_entropy with %1[label] - %2 for log(%p[label])… : f32
#pragma once
#include "passes/pass.h"

namespace nncc {

bool fuse_softmax_cross_entropy(Module&, PassContext&);

}  // namespace nncc
