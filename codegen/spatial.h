// Convolutions and windows as sums (or extrema) of terms, for schedules.
#pragma once
#include <functional>

#include "codegen/lowering.h"

namespace nncc {

// Element `out` of the node is made of the terms element(out, inner) for `inner` below `extents`.
struct SpatialTerms {
  Shape extents;
  // Where a term does not exist it is what changes nothing: 0, or the least number for a maximum.
  std::function<Halide::Expr(const Index& out, const Index& inner)> element;
  // Its place in the window in row-major order, and -1 where it does not exist. Of windows alone.
  std::function<Halide::Expr(const Index& out, const Index& inner)> position;
};
// Of a convolution, or of an op with the trait Window.
SpatialTerms spatial_terms(Lowering& lowering, Value v);

// Whether `at` lies in [0, extent), and `at` made so that it does.
struct Guarded {
  Halide::Expr inside, at;
};
Guarded guard(const Halide::Expr& at, int64_t extent);

}  // namespace nncc
