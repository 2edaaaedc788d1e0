#include "codegen/reduction.h"

#include <algorithm>

#include "codegen/elementary.h"
#include "ir/diagnostic.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::Var;

std::vector<NodeId> reductions_of(const Graph& body) {
  std::vector<NodeId> ids;
  for (NodeId id : body.topological_order())
    if (op_info(body[id].op).has(Reduction)) ids.push_back(id);
  return ids;
}

ScheduleForm reduction_form(const Graph& body) {
  const std::vector<NodeId> ids = reductions_of(body);
  const ReductionShape shape = reduction_shape(body, ids[0]);
  for (NodeId id : ids) {
    if (reduction_shape(body, id) != shape) return ScheduleForm::Generic;
    if (body.type({id, 0}).dtype == DType::Bool) return ScheduleForm::Generic;
  }
  const int64_t whole = shape.whole();
  // What is made from a reduction goes element by element.
  for (NodeId id : body.descendants(ids)) {
    const Node& node = body[id];
    const OpInfo& info = op_info(node.op);
    if (!info.has(Reduction) && !info.has(Elementwise) && node.op != Op::Reshape && node.op != Op::Broadcast)
      return ScheduleForm::Generic;
    if (shape.kind != ReductionShape::Inner && !std::count(ids.begin(), ids.end(), id)) {
      if (info.has(Reduction) || node.op == Op::Broadcast) return ScheduleForm::Generic;
    }
    const int64_t count = node.types[0].num_elements();
    if (shape.kind == ReductionShape::Inner && count != whole && count != shape.rows)
      return ScheduleForm::Generic;
  }
  if (shape.kind != ReductionShape::Inner) {
    // One reduction does not feed another.
    for (NodeId id : ids) {
      const NodeId operand[] = {body[id].operands[0].node};
      for (NodeId a : body.ancestors(operand))
        if (op_info(body[a].op).has(Reduction)) return ScheduleForm::Generic;
    }
  }
  for (const Graph::Result& r : body.results) {
    const int64_t count = body.type(r.value).num_elements();
    if (count != shape.results() && !(shape.kind == ReductionShape::Inner && count == whole))
      return ScheduleForm::Generic;
  }
  switch (shape.kind) {
    case ReductionShape::Full:
      return ScheduleForm::FullReduction;
    case ReductionShape::Inner:
      return ScheduleForm::RowReduction;
    case ReductionShape::Outer:
      return ScheduleForm::ColumnReduction;
    case ReductionShape::Ends:
      // Of short rows whole planes are summed first.
      return shape.cols < kShortRow ? ScheduleForm::ColumnReduction : ScheduleForm::PlaneReduction;
    case ReductionShape::Other:
      break;
  }
  return ScheduleForm::Generic;
}

Index matrix_index(Lowering& lowering, const Shape& shape, int64_t rows, const Expr& row, const Expr& col) {
  size_t split = 0;
  int64_t outer = 1;
  while (split < shape.size() && outer < rows) outer *= shape[split++];
  if (outer != rows) {
    int64_t size = num_elements(shape);
    return lowering.unflatten(shape, Halide::Internal::simplify(row * static_cast<int>(size / rows) + col));
  }
  Index index = lowering.unflatten(Shape(shape.begin(), shape.begin() + split), row);
  const Index inner = lowering.unflatten(Shape(shape.begin() + split, shape.end()), col);
  index.insert(index.end(), inner.begin(), inner.end());
  return index;
}

Index block_index(Lowering& lowering, const Shape& shape, const ReductionShape& extents, const Expr& batch,
                  const Expr& row, const Expr& col) {
  size_t split = 0;
  int64_t outer = 1;
  while (split < shape.size() && outer < extents.batch) outer *= shape[split++];
  if (outer != extents.batch)
    return matrix_index(lowering, shape, extents.batch * extents.rows,
                        batch * static_cast<int>(extents.rows) + row, col);
  Index index = lowering.unflatten(Shape(shape.begin(), shape.begin() + split), batch);
  const Index inner =
      matrix_index(lowering, Shape(shape.begin() + split, shape.end()), extents.rows, row, col);
  index.insert(index.end(), inner.begin(), inner.end());
  return index;
}

Index vector_index(Lowering& lowering, const Shape& shape, const Expr& row) {
  return lowering.unflatten(shape, row);
}

ReductionSet::ReductionSet(Lowering& lowering, std::vector<NodeId> reductions)
    : lowering_(lowering), reductions_(std::move(reductions)) {
  for (NodeId id : reductions_) {
    const Node& node = lowering.body()[id];
    accumulations_.push_back(accumulation_of(node, lowering.body().type(node.operands[0]).dtype));
  }
}

Halide::Tuple ReductionSet::initial() const {
  std::vector<Expr> values;
  for (const Accumulation& a : accumulations_) values.push_back(a.initial[0]);
  return Halide::Tuple(values);
}

Halide::Tuple ReductionSet::elements(const std::function<Index(const Shape&)>& where) const {
  std::vector<Expr> values;
  for (NodeId id : reductions_) {
    const Value operand = lowering_.body()[id].operands[0];
    const Index index = where(lowering_.body().type(operand).shape);
    values.push_back(counted_at(lowering_.at(operand, index), index));
  }
  return Halide::Tuple(values);
}

Halide::Tuple ReductionSet::accumulate(const Halide::Tuple& sums, const Halide::Tuple& elements) const {
  std::vector<Expr> values;
  for (size_t k = 0; k < accumulations_.size(); ++k) {
    const int i = static_cast<int>(k);
    values.push_back(accumulations_[k].update(Halide::Tuple(sums[i]), elements[i], 0)[0]);
  }
  return Halide::Tuple(values);
}

Halide::Tuple ReductionSet::call(Func f, const std::vector<Expr>& where) const {
  if (reductions_.size() == 1) return Halide::Tuple(Expr(f(where)));
  std::vector<Expr> values;
  for (size_t k = 0; k < reductions_.size(); ++k) values.push_back(f(where)[static_cast<int>(k)]);
  return Halide::Tuple(values);
}

LaneReduction reduce_lanes(const std::string& name, Op op, int lanes, Halide::Type type,
                           std::vector<Var> arguments, const std::function<Expr(const Expr&)>& partial) {
  LaneReduction result;
  const RDom r(0, lanes, name + "_rl");
  const std::vector<Expr> where(arguments.begin(), arguments.end());
  const auto add_stage = [&](const std::string& suffix, const Expr& initial,
                             const std::function<Expr(const Expr&)>& update) {
    Func f(name + suffix);
    f(arguments) = initial;
    f(where) = update(f(where));
    if (lanes > 1) f.update().atomic().vectorize(r);
    result.stages.push_back(f);
    return f;
  };
  const Expr x = partial(r);
  const bool extremum = op == Op::ReduceMax || op == Op::ReduceMin;
  if (!extremum) {
    const bool sum = op == Op::ReduceSum;
    Func f = add_stage("_sum", Halide::Internal::make_const(type, sum ? 0 : 1),
                       [&](const Expr& s) { return sum ? s + x : s * x; });
    result.value = [f](const std::vector<Expr>& a) { return f(a); };
    return result;
  }
  const bool largest = op == Op::ReduceMax;
  const Expr start = largest ? Expr(type.min()) : Expr(type.max());
  Func f = add_stage("_best", start,
                     [&](const Expr& s) { return largest ? Halide::max(s, x) : Halide::min(s, x); });
  if (!type.is_float()) {
    result.value = [f](const std::vector<Expr>& a) { return f(a); };
    return result;
  }
  // Of the lanes' bits the largest magnitude says whether one of them is NaN.
  const Halide::Type bits = Halide::UInt(type.bits());
  const Expr magnitude = Halide::reinterpret(bits, x) &
                         (bits.bits() == 64 ? Halide::Internal::make_const(bits, 0x7fffffffffffffff)
                                            : Halide::Internal::make_const(bits, 0x7fffffff));
  Func g = add_stage("_bits", Halide::Internal::make_zero(bits),
                     [&](const Expr& s) { return Halide::max(s, magnitude); });
  result.value = [f, g, type](const std::vector<Expr>& a) {
    const Expr m = Halide::reinterpret(type, Expr(g(a)));
    return select(is_nan_bits(m), m, f(a));
  };
  return result;
}

}  // namespace nncc
