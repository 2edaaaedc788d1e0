// Reductions along the rows of a matrix and what goes with them (softmax, losses, norms): everything of a
// row, or of as many rows as a vector has lanes where rows are short, is done before the next.
#include <algorithm>
#include <map>
#include <set>

#include "codegen/elementary.h"
#include "codegen/reduction.h"
#include "ir/diagnostic.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::TailStrategy;
using Halide::Var;

namespace {

class Rows {
 public:
  Rows(Lowering& lowering, const ScheduleOptions& options)
      : lowering_(lowering), options_(options), body_(lowering.body()), lanes_(options.lanes(body_)) {
    const ReductionShape shape = reduction_shape(body_, reductions_of(body_)[0]);
    rows_ = shape.rows;
    cols_ = shape.cols;
    rows_in_lanes_ = cols_ <= lanes_ && rows_ > 1;
    // A power of two: Halide 14 gets comparisons of indices wrong in vectors of 12.
    while (rows_in_lanes_ && lanes_ > rows_) lanes_ /= 2;
  }

  Pipeline build();

 private:
  bool is_whole(Value v) const { return body_.type(v).num_elements() == rows_ * cols_; }
  Expr element(Value v, const Expr& row, const Expr& col) {
    return counted_at(lowering_.at(v, matrix_index(lowering_, body_.type(v).shape, rows_, row, col)), {col});
  }
  std::set<Value> find_kept();
  void define_reduction(NodeId id);
  void define_kept(Value v);
  void define_statistic(Value v);
  // Accesses of a Func of rows.
  void provide_row(Value v, const std::function<Expr(const std::vector<Expr>&)>& value) {
    const Shape shape = body_.type(v).shape;
    lowering_.provide(
        v, [this, shape, value](const Index& index) { return value({lowering_.flatten(shape, index)}); });
  }

  Lowering& lowering_;
  const ScheduleOptions& options_;
  const Graph& body_;
  int lanes_;
  int64_t rows_ = 1, cols_ = 1;
  bool rows_in_lanes_ = false;
  Var row_{"row"}, col_{"col"}, l_{"l"}, j_{"j"}, task_{"task"}, ro_{"ro"}, ri_{"ri"};
  std::vector<std::function<void(Func leader, Var at)>> placements_;
};

// Values of the matrix that are dear and that several loops over a row need: computed once, kept in cache.
std::set<Value> Rows::find_kept() {
  std::set<Value> kept;
  if (cols_ * lanes_ * 8 > kStackBytes / 4 && cols_ * 8 > kStackBytes / 8) return kept;
  std::map<Value, std::set<int>> readers;  // the loops that a value is computed in
  std::vector<NodeId> order = body_.topological_order();
  std::reverse(order.begin(), order.end());
  int loops = 1;  // 0: the one that writes results
  for (const Graph::Result& r : body_.results) readers[r.value].insert(0);
  for (NodeId id : order) {
    const Node& node = body_[id];
    const OpInfo& info = op_info(node.op);
    const Value v{id, 0};
    std::set<int> mine = readers[v];
    if (info.has(Reduction)) {
      mine = {loops++};
    } else if (is_whole(v) && ((info.has(Elementwise) && !info.has(Cheap)) || node.op == Op::Random) &&
               mine.size() > 1) {
      kept.insert(v);
      mine = {loops++};
    }
    for (Value operand : node.operands) readers[operand].insert(mine.begin(), mine.end());
  }
  return kept;
}

void Rows::define_reduction(NodeId id) {
  const Node& node = body_[id];
  const Value operand = node.operands[0];
  const Accumulation accumulation = accumulation_of(node, body_.type(operand).dtype);
  const std::string name = "reduction" + std::to_string(id.index);
  const auto accumulate = [&](const Expr& sum, const Expr& x) {
    return accumulation.update(Halide::Tuple(sum), x, 0)[0];
  };
  if (rows_in_lanes_) {
    Func f(name);
    const RDom r(0, static_cast<int>(cols_), name + "_r");
    f(row_) = accumulation.initial[0];
    f(row_) = accumulate(f(row_), element(operand, row_, r));
    provide_row({id, 0}, [f](const std::vector<Expr>& a) { return f(a); });
    placements_.push_back([this, f, r](Func leader, Var at) mutable {
      f.compute_at(leader, at).vectorize(row_, lanes_);
      f.update().vectorize(row_, lanes_);
      if (cols_ > 1) f.update().unroll(r);
    });
    return;
  }
  const int V = lanes_, vectors = static_cast<int>(cols_ / V), tail = static_cast<int>(cols_ % V);
  const int ways = vectors >= 8 ? 4 : 1;  // sums in flight
  Func partial(name + "_partial");
  partial(l_, j_, row_) = accumulation.initial[0];
  const RDom r(0, vectors / ways, name + "_r");
  partial(l_, j_, row_) = accumulate(partial(l_, j_, row_), element(operand, row_, (r * ways + j_) * V + l_));
  const int rest = vectors % ways;
  const RDom rv(0, std::max(rest, 1), name + "_rv"), rt(0, std::max(tail, 1), name + "_rt");
  int stage = 0, rest_stage = 0, tail_stage = 0;
  if (rest > 0) {
    partial(l_, rv, row_) =
        accumulate(partial(l_, rv, row_), element(operand, row_, (vectors - rest + rv) * V + l_));
    rest_stage = ++stage;
  }
  if (tail > 0) {
    partial(rt, 0, row_) = accumulate(partial(rt, 0, row_), element(operand, row_, vectors * V + rt));
    tail_stage = ++stage;
  }
  Func lanes(name + "_lanes");
  const RDom rj(0, ways, name + "_rj");
  if (ways > 1) {
    lanes(l_, row_) = accumulation.initial[0];
    lanes(l_, row_) = accumulate(lanes(l_, row_), partial(l_, rj, row_));
  }
  const LaneReduction total = reduce_lanes(
      name, node.op, V, compute_type(body_.type(operand).dtype), {row_},
      [&](const Expr& lane) { return ways > 1 ? Expr(lanes(lane, row_)) : Expr(partial(lane, 0, row_)); });
  provide_row({id, 0}, total.value);
  placements_.push_back([=, this](Func leader, Var at) mutable {
    partial.compute_at(leader, at).bound(l_, 0, V).bound(j_, 0, ways).vectorize(l_).unroll(j_);
    partial.update(0).vectorize(l_).unroll(j_);
    if (vectors / ways > 1) {
      partial.update(0).reorder(l_, j_, r);
      if (vectors / ways <= 4)
        partial.update(0).unroll(r);
      else if (ways == 1)
        partial.update(0).unroll(r, 1);
    }
    if (rest_stage) {
      partial.update(rest_stage).vectorize(l_);
      if (rest > 1) partial.update(rest_stage).unroll(rv);
    }
    if (tail_stage && tail > 1) partial.update(tail_stage).vectorize(rt);
    if (ways > 1) {
      lanes.compute_at(leader, at).bound(l_, 0, V).vectorize(l_);
      lanes.update().vectorize(l_).unroll(rj);
    }
    for (Func f : total.stages) f.compute_at(leader, at);
  });
}

void Rows::define_kept(Value v) {
  Func f("kept" + std::to_string(v.node.index));
  const Expr x = element(v, row_, col_);
  const Shape shape = body_.type(v).shape;
  // The vector's axis lies innermost.
  if (rows_in_lanes_)
    f(row_, col_) = x;
  else
    f(col_, row_) = x;
  lowering_.provide(v, [this, f, shape](const Index& index) -> Expr {
    const Expr flat = lowering_.flatten(shape, index);
    // Undo matrix_index().
    size_t split = 0;
    int64_t outer = 1;
    while (split < shape.size() && outer < rows_) outer *= shape[split++];
    Expr row, col;
    if (outer == rows_) {
      row = lowering_.flatten(Shape(shape.begin(), shape.begin() + split),
                              Index(index.begin(), index.begin() + split));
      col = lowering_.flatten(Shape(shape.begin() + split, shape.end()),
                              Index(index.begin() + split, index.end()));
    } else {
      row = Halide::Internal::simplify(flat / static_cast<int>(cols_));
      col = Halide::Internal::simplify(flat % static_cast<int>(cols_));
    }
    return rows_in_lanes_ ? f(row, col) : f(col, row);
  });
  placements_.push_back([this, f](Func leader, Var at) mutable {
    f.compute_at(leader, at);
    f.bound(col_, 0, static_cast<int>(cols_));
    if (rows_in_lanes_)
      f.vectorize(row_, lanes_).unroll(col_);
    else
      f.vectorize(col_, lanes_, cols_ % lanes_ ? TailStrategy::ShiftInwards : TailStrategy::RoundUp);
  });
}

void Rows::define_statistic(Value v) {
  Func f("statistic" + std::to_string(v.node.index));
  f(row_) = lowering_.at(v, vector_index(lowering_, body_.type(v).shape, row_));
  provide_row(v, [f](const std::vector<Expr>& a) { return f(a); });
  placements_.push_back([this, f](Func leader, Var at) mutable {
    f.compute_at(leader, at);
    if (rows_in_lanes_) f.vectorize(row_, lanes_);
  });
}

Pipeline Rows::build() {
  const std::set<Value> kept = find_kept();
  const std::vector<NodeId> reductions = reductions_of(body_);
  const std::vector<NodeId> after = body_.descendants(reductions);
  std::set<NodeId> depends(after.begin(), after.end());
  for (NodeId id : body_.topological_order()) {
    const Node& node = body_[id];
    const Value v{id, 0};
    if (op_info(node.op).has(Reduction))
      define_reduction(id);
    else if (kept.count(v))
      define_kept(v);
    else if (op_info(node.op).has(Elementwise) && !is_whole(v) && depends.count(id) &&
             !body_.is_result_or_update(v))
      define_statistic(v);
  }
  Pipeline pipeline;
  pipeline.order.resize(body_.results.size());
  std::vector<Expr> wholes, statistics;
  std::vector<size_t> whole_results, statistic_results;
  for (size_t i = 0; i < body_.results.size(); ++i) {
    const Value v = body_.results[i].value;
    if (is_whole(v)) {
      wholes.push_back(
          lowering_.stored_at(v, matrix_index(lowering_, body_.type(v).shape, rows_, row_, col_)));
      whole_results.push_back(i);
    } else {
      statistics.push_back(lowering_.stored_at(v, vector_index(lowering_, body_.type(v).shape, row_)));
      statistic_results.push_back(i);
    }
  }
  int buffers = 0;
  Func whole("whole"), statistic("statistic");
  if (!wholes.empty()) {
    if (wholes.size() == 1)
      whole(col_, row_) = wholes[0];
    else
      whole(col_, row_) = Halide::Tuple(wholes);
    pipeline.outputs.push_back(whole);
    for (size_t i : whole_results) pipeline.order[i] = buffers++;
    fix_output(whole, {rows_, cols_});
  }
  if (!statistics.empty()) {
    if (statistics.size() == 1)
      statistic(row_) = statistics[0];
    else
      statistic(row_) = Halide::Tuple(statistics);
    pipeline.outputs.push_back(statistic);
    for (size_t i : statistic_results) pipeline.order[i] = buffers++;
    fix_output(statistic, {rows_});
  }
  const int rows = static_cast<int>(rows_), cols = static_cast<int>(cols_);
  const auto tail = [](int extent, int factor) {
    return extent % factor ? TailStrategy::ShiftInwards : TailStrategy::RoundUp;
  };
  Var at = row_;
  if (rows_in_lanes_) {
    at = ro_;
    if (!wholes.empty())
      whole.bound(col_, 0, cols)
          .split(row_, ro_, ri_, lanes_, tail(rows, lanes_))
          .reorder(col_, ri_, ro_)
          .vectorize(ri_)
          .unroll(col_);
    if (!statistics.empty()) statistic.split(row_, ro_, ri_, lanes_, tail(rows, lanes_)).vectorize(ri_);
  } else if (!wholes.empty()) {
    whole.vectorize(col_, lanes_, tail(cols, lanes_));
  }
  if (options_.parallel && estimate_nanoseconds(body_) > kParallelNanoseconds) {
    const int steps = rows_in_lanes_ ? (rows + lanes_ - 1) / lanes_ : rows;
    if (steps >= 2) {
      const int step = std::max(1, steps / kParallelPieces);
      for (Func* f : {&whole, &statistic})
        if (f->defined()) f->split(at, task_, at, step, tail(steps, step)).parallel(task_);
    }
  }
  Func leader = wholes.empty() ? statistic : whole;
  for (const auto& place : placements_) place(leader, at);
  if (!wholes.empty() && !statistics.empty()) statistic.compute_with(whole, at);
  return pipeline;
}

}  // namespace

Pipeline schedule_row_reduction(Lowering& lowering, const ScheduleOptions& options) {
  return Rows(lowering, options).build();
}

}  // namespace nncc
