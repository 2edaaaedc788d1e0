#include "codegen/statistics.h"

#include <algorithm>
#include <array>

#include "codegen/schedule.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::Var;

namespace {

bool is_sum_of_blocks(const Graph& body, NodeId id, const Shape& whole) {
  const Node& node = body[id];
  return node.op == Op::ReduceSum && node.attributes.integers(Attr::Axes) == std::vector<int64_t>{1} &&
         body.type(node.operands[0]).shape == whole;
}

}  // namespace

std::optional<StatisticsBody> statistics_body(const Graph& body, Value convolution) {
  const auto blocks = statistics_blocks(body, convolution.node);
  if (!blocks) return std::nullopt;
  StatisticsBody statistics{*blocks, {blocks->count, blocks->pixels, body.type(convolution).shape[3]}, {}};
  const int64_t elements = body.type(convolution).num_elements();
  const auto is_kept = [&](NodeId id) {
    return is_first_of_blocks(body, id, *blocks) || is_sum_of_blocks(body, id, statistics.whole);
  };
  const auto is_result = [&](NodeId id) {
    return std::any_of(body.results.begin(), body.results.end(),
                       [&](const Graph::Result& result) { return result.value.node == id; });
  };
  for (NodeId id : body.descendants(std::array{convolution.node})) {
    const Node& node = body[id];
    if (id == convolution.node) continue;
    if (is_kept(id)) {
      // What is kept of a step lies in a result.
      if (!is_result(id)) return std::nullopt;
    } else if (node.op == Op::Broadcast) {
      if (!is_first_of_blocks(body, node.operands[0].node, *blocks) ||
          node.types[0].shape != statistics.whole)
        return std::nullopt;
    } else if ((!op_info(node.op).has(Elementwise) && node.op != Op::Reshape) ||
               node.types[0].num_elements() != elements) {
      return std::nullopt;
    }
  }
  for (const Graph::Result& result : body.results) {
    statistics.is_kept.push_back(is_kept(result.value.node));
    if (!statistics.is_kept.back() && body.type(result.value).num_elements() != elements) return std::nullopt;
  }
  if (std::count(statistics.is_kept.begin(), statistics.is_kept.end(), true) == 0) return std::nullopt;
  return statistics;
}

void define_statistics(Lowering& lowering, const StatisticsBody& statistics, Value convolution, Func out,
                       const std::vector<Var>& arguments, const Index& element) {
  const Graph& body = lowering.body();
  const Shape& shape = body.type(convolution).shape;
  const std::vector<Expr> where(arguments.begin(), arguments.end());
  const bool one = body.results.size() == 1;
  const auto set = [&](Halide::FuncRef step, const std::vector<Expr>& values) {
    if (one)
      step = values[0];
    else
      step = Halide::Tuple(values);
  };
  std::vector<Expr> nothing;
  for (const Graph::Result& result : body.results)
    nothing.push_back(Halide::undef(storage_type(body.type(result.value).dtype)));
  set(out(arguments), nothing);

  const Expr begins = arguments[1] == 0 && arguments[2] == 0;
  std::vector<Expr> values(body.results.size());
  // First pixels, and sums of what is made with them.
  for (const bool sums : {false, true})
    for (size_t i = 0; i < values.size(); ++i) {
      const Value v = body.results[i].value;
      const Node& node = body[v.node];
      if (!statistics.is_kept[i] || (node.op == Op::ReduceSum) != sums) continue;
      const Expr here = lowering.at(node.operands[0], lowering.reshape(shape, statistics.whole, element));
      const Expr before = one ? Expr(out(where)) : Expr(out(where)[static_cast<int>(i)]);
      // Regrouped, distances would be sums of elements less many first pixels, which cancels; and each in the
      // way that suits the code around it.
      values[i] = Halide::strict_float(select(begins, here, sums ? before + here : before));
      if (!sums) lowering.provide(v, [now = values[i]](const Index&) { return now; });
    }
  for (size_t i = 0; i < values.size(); ++i) {
    if (statistics.is_kept[i]) continue;
    const Value v = body.results[i].value;
    values[i] = lowering.stored_at(v, lowering.reshape(shape, body.type(v).shape, element));
  }
  set(out(where), values);
}

void fix_statistics(Func out, const StatisticsBody& statistics, const Shape& extents) {
  fix_output(out, extents);
  const std::vector<Halide::OutputImageParam> buffers = out.output_buffers();
  for (size_t i = 0; i < buffers.size(); ++i) {
    if (!statistics.is_kept[i]) continue;
    Halide::OutputImageParam buffer = buffers[i];
    int stride = static_cast<int>(extents.back());
    for (size_t d = 1; d < extents.size(); ++d) {
      buffer.dim(static_cast<int>(d)).set_stride(d < 3 ? 0 : stride);
      if (d >= 3) stride *= static_cast<int>(extents[extents.size() - 1 - d]);
    }
  }
}

}  // namespace nncc
