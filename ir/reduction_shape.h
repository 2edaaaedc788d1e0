// A reduction seen as one of matrices.
#pragma once
#include "ir/graph.h"

namespace nncc {

// The operand, axes of extent 1 left out, is [batch, rows, cols]. Reduced are its cols (Inner), its rows
// (Outer), its batch and cols (Ends), or all of it as [1, 1, cols] (Full); batch is 1 in Inner. Other: the
// reduced axes lie in more places, nothing is reduced, or the op is argmax or argmin; the extents then mean
// nothing.
struct ReductionShape {
  enum Kind { Full, Inner, Outer, Ends, Other } kind = Other;
  int64_t batch = 1, rows = 1, cols = 1;

  int64_t whole() const { return batch * rows * cols; }
  int64_t results() const { return kind == Full ? 1 : kind == Outer ? batch * cols : rows; }
  friend bool operator==(const ReductionShape&, const ReductionShape&) = default;
};
ReductionShape reduction_shape(const Graph&, NodeId);

}  // namespace nncc
