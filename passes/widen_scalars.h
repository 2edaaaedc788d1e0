// widen-scalars: computes in f64 the scalars that a step knows before it starts.
// Requires: no gradient is left.
// Ensures: elementwise f32 arithmetic of rank 0 on hypers, counters and constants alone is done in f64 and
// rounded once, where a tensor or a variable takes it. Learning rate schedules and bias corrections are such:
// 1 - 0.999^step has lost a third of its digits in f32. What a variable holds stays f32.
//   %p = pow %b, %step : f32
//   %d = sub %one, %p : f32
//   %d2 = broadcast %d {dims = []} : f32[64]
// becomes
//   %0 = cast %step : f64
//   %p = pow %1, %0 : f64
//   %d = sub %2, %p : f64
//   %3 = cast %d : f32
//   %d2 = broadcast %3 {dims = []} : f32[64]
#pragma once
#include "passes/pass.h"

namespace nncc {

bool widen_scalars(Module&, PassContext&);

}  // namespace nncc
