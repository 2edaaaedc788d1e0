// Schedules: a kernel body as a Halide pipeline, one file for each form of body.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "Halide.h"
#include "codegen/codegen.h"
#include "codegen/lowering.h"
#include "ir/graph.h"

namespace nncc {

// What a body is built around, and so which schedule it gets.
enum class ScheduleForm {
  Elementwise,      // nothing but elementwise ops and movement
  MatMul,           // one product, and what is done with each of its elements
  Convolution,      // one convolution over packed weights, and what is done with each of its elements
  RowReduction,     // reductions over the last axis, and what is done along the rows
  ColumnReduction,  // reductions over leading axes, or over axes in the middle
  PlaneReduction,   // reductions over all axes but some in the middle
  FullReduction,    // sums over everything to scalars
  Winograd,         // a part of Winograd's convolution, and what is done with each of its elements
  WeightGradient,   // the gradient of packed convolution weights, and what is done with each element
  Depthwise,        // one depthwise convolution or gradient of one, likewise
  Scatter,          // values added where an index says
  Attention,        // attention or its gradient
  Generic,          // anything else
};
std::string_view schedule_form_name(ScheduleForm);
ScheduleForm schedule_form(const Graph& body);

// Halide 14 stores vectors of 16-bit floats wrongly where a tail is masked: bodies that have any are computed
// element by element.
bool has_half_floats(const Graph& body);

// Functions whose stages write the results. Result i of the body is buffer `order[i]` of them, counting a
// Tuple's elements.
struct Pipeline {
  std::vector<Halide::Func> outputs;
  std::vector<int> order;
};

struct ScheduleOptions {
  int vector_bytes = 64;
  int vector_registers = 32;
  bool parallel = true;  // large work may be cut for several threads
  bool accurate = false;
  // Lanes of a vector of the given type, and of the widest type that the body computes with.
  int lanes(Halide::Type type) const { return std::max(1, vector_bytes / type.bytes()); }
  int lanes(const Graph& body) const;
};

Pipeline schedule_elementwise(Lowering&, const ScheduleOptions&);
// Nothing if the body is no transpose of vectors into vectors.
std::optional<Pipeline> schedule_transpose(Lowering&, const ScheduleOptions&);
Pipeline schedule_matmul(Lowering&, const ScheduleOptions&);
Pipeline schedule_convolution(Lowering&, const ScheduleOptions&);
Pipeline schedule_row_reduction(Lowering&, const ScheduleOptions&);
Pipeline schedule_column_reduction(Lowering&, const ScheduleOptions&);
Pipeline schedule_plane_reduction(Lowering&, const ScheduleOptions&);
Pipeline schedule_full_reduction(Lowering&, const ScheduleOptions&);
Pipeline schedule_winograd(Lowering&, const ScheduleOptions&);
Pipeline schedule_weight_gradient(Lowering&, const ScheduleOptions&);
Pipeline schedule_depthwise(Lowering&, const ScheduleOptions&);
Pipeline schedule_scatter(Lowering&, const ScheduleOptions&);
Pipeline schedule_attention(Lowering&, const ScheduleOptions&);
// Right for any legal body.
Pipeline schedule_generic(Lowering&, const ScheduleOptions&);

// ---- Shared by the schedules

// Internal Funcs live on the stack: so much at most for all of a kernel.
inline constexpr int64_t kStackBytes = 256 << 10;
// Below this many nanoseconds of one thread a kernel is not cut: handing a part to a thread that is awake
// costs a quarter of a microsecond. Whether a sleeping one is worth waking is for the runtime's pool to say.
inline constexpr double kParallelNanoseconds = 4e3;
// Into so many pieces at least, whatever the number of threads, so that results do not depend on it.
inline constexpr int kParallelPieces = 16;

// A rough time of one thread for computing every value of the body once, in nanoseconds.
double estimate_nanoseconds(const Graph& body);

// Variables for the axes of `shape`, outermost first, named prefix0, prefix1, …; and as a Halide argument
// list (innermost first).
std::vector<Halide::Var> axis_vars(const std::string& prefix, size_t rank);
std::vector<Halide::Var> reversed(std::vector<Halide::Var> vars);
Index reversed(Index index);
Index as_index(const std::vector<Halide::Var>& vars);

// The steps of a loop for several threads: not so many pieces that handing them out takes longer than they
// do.
void parallelize(Halide::Func out, const Halide::Var& loop, int64_t extent);

// Products over many k, both operands of which are contiguous along the result: see
// schedule_long_product.cpp.
bool is_long_product(const Graph& body, NodeId id, const ScheduleOptions&);
Pipeline schedule_long_product(Lowering&, const ScheduleOptions&, NodeId id);

// Whether schedule_convolution() covers the contraction.
bool has_convolution_schedule(const Graph& body, NodeId id);

// Constant bounds and row-major strides for the output buffers of `f`, whose dimensions are extents[n - 1],
// …, extents[0].
void fix_output(Halide::Func f, const Shape& extents);

// The results of a body that goes on element by element from `anchor`, where the anchor's index is `at`, as
// they lie in memory.
std::vector<Halide::Expr> results_at(Lowering&, Value anchor, const Index& at);

// An accumulation of a reduction or contraction node: f = initial; f = update(f, element).
struct Accumulation {
  Halide::Tuple initial;
  std::function<Halide::Tuple(const Halide::Tuple& sum, const Halide::Expr& element,
                              const Halide::Expr& position)>
      update;
  int result = 0;  // the element of the tuple that is the node's value
};
Accumulation accumulation_of(const Node& node, DType operand);

// `element` where it takes part in a reduction at `where`. Halide leaves out a loop that no term of it names,
// and a term that is the same everywhere would be counted once: such a one is made to name the loop.
Halide::Expr counted_at(const Halide::Expr& element, const Index& where);

// A Func for a reduction or contraction node: its arguments are the node's axes, innermost first, and its
// update runs over all of what is reduced in row-major order. Unscheduled.
Halide::Func define_reduction(Lowering&, Value v, const std::string& name);
// The accesses to such a Func.
Access access_reduction(const Graph& body, Value v, Halide::Func f);

}  // namespace nncc
