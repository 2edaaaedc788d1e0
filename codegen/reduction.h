// What the schedules of reductions share: the body seen as a matrix.
#pragma once
#include <vector>

#include "codegen/schedule.h"
#include "ir/reduction_shape.h"

namespace nncc {

// The form of a body whose anchors are reductions: Generic unless the body has exactly what the form's
// schedule expects.
ScheduleForm reduction_form(const Graph& body);

// The reductions in topological order.
std::vector<NodeId> reductions_of(const Graph& body);

// Rows of `Ends` below this many elements do not fill the lanes of vectors.
inline constexpr int64_t kShortRow = 16;

// The coordinates of element (batch, row, col) of a value that is reduced.
Index block_index(Lowering& lowering, const Shape& shape, const ReductionShape& extents,
                  const Halide::Expr& batch, const Halide::Expr& row, const Halide::Expr& col);

// The coordinates of element (row, col) of a value of rows x cols elements, or of element `row` of one of
// `rows`.
Index matrix_index(Lowering& lowering, const Shape& shape, int64_t rows, const Halide::Expr& row,
                   const Halide::Expr& col);
Index vector_index(Lowering& lowering, const Shape& shape, const Halide::Expr& row);

// Several reductions that run in one loop, as one Tuple.
class ReductionSet {
 public:
  ReductionSet(Lowering& lowering, std::vector<NodeId> reductions);
  Halide::Tuple initial() const;
  // What each reduces, at the index that `where` gives for the operand's shape.
  Halide::Tuple elements(const std::function<Index(const Shape&)>& where) const;
  Halide::Tuple accumulate(const Halide::Tuple& sums, const Halide::Tuple& elements) const;
  // f(where) as a Tuple, also if it is a single value.
  Halide::Tuple call(Halide::Func f, const std::vector<Halide::Expr>& where) const;

 private:
  Lowering& lowering_;
  std::vector<NodeId> reductions_;
  std::vector<Accumulation> accumulations_;
};

// Sums or extrema over the lanes of partial(lane, arguments…), as a Func of `arguments`; the lanes are
// combined in one fixed tree. Computed at `at` of `consumer`, or first of all if no consumer is given.
struct LaneReduction {
  std::vector<Halide::Func> stages;  // to be placed by the caller, in order of computation
  std::function<Halide::Expr(const std::vector<Halide::Expr>& arguments)> value;
};
LaneReduction reduce_lanes(const std::string& name, Op op, int lanes, Halide::Type type,
                           std::vector<Halide::Var> arguments,
                           const std::function<Halide::Expr(const Halide::Expr& lane)>& partial);

}  // namespace nncc
