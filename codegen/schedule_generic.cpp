// Any legal body, without regard to speed: each reduction becomes a Func of its own. Small ones are computed
// first and kept on the stack; the others anew for each element of what uses them.
#include <set>

#include "codegen/schedule.h"
#include "ir/diagnostic.h"

namespace nncc {
using Halide::Func;
using Halide::Var;

namespace {

class Generic {
 public:
  Generic(Lowering& lowering, const ScheduleOptions& options) : lowering_(lowering), options_(options) {}

  Pipeline build() {
    lowering_.set_fallback([this](Value v) { return anchor(v); });
    const Graph& body = lowering_.body();
    Pipeline pipeline;
    int buffers = 0;
    std::set<size_t> done;
    for (size_t i = 0; i < body.results.size(); ++i) pipeline.order.push_back(0);
    // Results of one shape share a loop: an argument that one of them lies on may be read by another.
    for (size_t i = 0; i < body.results.size(); ++i) {
      if (done.count(i)) continue;
      const Shape& shape = body.type(body.results[i].value).shape;
      std::vector<Halide::Expr> values;
      const std::vector<Var> vars = axis_vars("o", shape.size());
      Func out("out" + std::to_string(i));
      children_.emplace_back();
      for (size_t j = i; j < body.results.size(); ++j) {
        const Value v = body.results[j].value;
        if (body.type(v).shape != shape) continue;
        done.insert(j);
        pipeline.order[j] = buffers++;
        values.push_back(lowering_.stored_at(v, as_index(vars)));
      }
      if (values.size() == 1)
        out(reversed(vars)) = values[0];
      else
        out(reversed(vars)) = Halide::Tuple(values);
      for (Func& child : children_.back())
        child.compute_at(out, shape.empty() ? Var::outermost() : vars.back());
      const int lanes = options_.lanes(body);
      if (!shape.empty() && children_.back().empty() && lanes > 1 && shape.back() >= lanes)
        out.vectorize(vars.back(), lanes, Halide::TailStrategy::GuardWithIf);
      children_.pop_back();
      fix_output(out, shape);
      pipeline.outputs.push_back(out);
    }
    return pipeline;
  }

 private:
  Access anchor(Value v) {
    const Graph& body = lowering_.body();
    const TensorType& type = body.type(v);
    const int64_t bytes = type.num_elements() * 8;
    if (bytes <= kStackBytes / 4 && stack_ + bytes <= kStackBytes) {
      stack_ += bytes;
      Func f = define(v);
      f.compute_root();
      vectorize_rows(f, v);
      lowering_.provide(v, access_reduction(body, v, f));
      return access_reduction(body, v, f);
    }
    Func f = define(v);
    children_.back().push_back(f);
    return access_reduction(body, v, f);
  }

  // Several results in the lanes, where that needs no gathering: along an axis that stays, or one short row
  // in each lane.
  void vectorize_rows(Func f, Value v) {
    const Node& node = lowering_.body()[v.node];
    const int lanes = options_.lanes(lowering_.body());
    if (node.types[0].shape.empty() || node.types[0].shape.back() < lanes || lanes == 1) return;
    const bool indices = node.op == Op::ArgMax || node.op == Op::ArgMin;
    // Halide 14 forgets to guard the update of a tuple where the tail has one lane.
    if (indices && node.types[0].shape.back() % lanes == 1) return;
    if (!indices) {
      if (!op_info(node.op).has(Reduction) || node.types[0].dtype == DType::Bool) return;
      const auto& axes = node.attributes.integers(Attr::Axes);
      if (axes.empty() || axes.back() == lowering_.body().type(node.operands[0]).rank() - 1) return;
    }
    const Var inner = f.args()[0];
    f.vectorize(inner, lanes, Halide::TailStrategy::GuardWithIf);
    f.update().vectorize(inner, lanes, Halide::TailStrategy::GuardWithIf);
  }

  // Defines the Func of v and places what is computed inside it.
  Func define(Value v) {
    children_.emplace_back();
    const std::string name = "reduction" + std::to_string(v.node.index) + "_" + std::to_string(count_++);
    Func f = define_reduction(lowering_, v, name);
    const std::vector<Halide::RVar> domain = f.rvars();
    for (Func& child : children_.back()) {
      if (!domain.empty())
        child.compute_at(f, domain[0]);
      else if (f.dimensions() > 0)
        child.compute_at(f, f.args()[0]);
      else
        child.compute_at(f, Var::outermost());
    }
    children_.pop_back();
    return f;
  }

  Lowering& lowering_;
  const ScheduleOptions& options_;
  std::vector<std::vector<Func>> children_;  // of each Func being defined
  int64_t stack_ = 0;
  int count_ = 0;
};

}  // namespace

Pipeline schedule_generic(Lowering& lowering, const ScheduleOptions& options) {
  return Generic(lowering, options).build();
}

}  // namespace nncc
