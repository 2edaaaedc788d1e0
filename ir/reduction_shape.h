// A reduction seen as one of a matrix.
#pragma once
#include "ir/graph.h"

namespace nncc {

// The operand, axes of extent 1 left out, is [rows, cols]; its cols (Inner), its rows (Outer) or all of it as
// [1, cols] (Full) is reduced. Other: the reduced axes do not lie together on one side, nothing is reduced, or
// the op is argmax or argmin; rows and cols then mean nothing.
struct ReductionShape {
  enum Kind { Full, Inner, Outer, Other } kind = Other;
  int64_t rows = 1, cols = 1;
  friend bool operator==(const ReductionShape&, const ReductionShape&) = default;
};
ReductionShape reduction_shape(const Graph&, NodeId);

}  // namespace nncc
