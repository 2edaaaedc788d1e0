// reduce-strength: multiplies instead of dividing by what is the same for many elements.
// Requires: nothing; after cse and the like, which should see divisions as they were written.
// Ensures: no float is divided by a constant, or by a value that is broadcast to at least four times as many
// elements: the reciprocal is taken once. Results may differ in the last place; where that is not wanted
// (--accurate) only divisions by powers of two are replaced, which is exact.
//   %s2 = broadcast %s {dims = [0]} : f32[64, 10]
//   %y = div %e, %s2 : f32[64, 10]
// becomes
//   %0 = constant {value = 1} : f32[64]
//   %1 = div %0, %s : f32[64]
//   %2 = broadcast %1 {dims = [0]} : f32[64, 10]
//   %y = mul %e, %2 : f32[64, 10]
#pragma once
#include "passes/pass.h"

namespace nncc {

bool reduce_strength(Module&, PassContext&);

}  // namespace nncc
