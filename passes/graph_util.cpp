#include "passes/graph_util.h"

#include <algorithm>
#include <bit>

namespace nncc {

const Literal* constant_of(const Graph& graph, Value v) {
  const Node& node = graph[v.node];
  return node.op == Op::Constant ? &node.attributes.literal(Attr::Value) : nullptr;
}

std::optional<double> splat_value(const Graph& graph, Value v) {
  while (graph[v.node].op == Op::Reshape || graph[v.node].op == Op::Broadcast ||
         graph[v.node].op == Op::Transpose)
    v = graph[v.node].operands[0];
  const Literal* literal = constant_of(graph, v);
  if (!literal || !(literal->is_splat() || literal->num_elements() == 1)) return std::nullopt;
  return literal->real(0);
}

bool has_single_use(const Graph& graph, Value v) {
  const size_t uses = graph.uses(v).size();
  if (uses > 1) return false;
  size_t ends = 0;
  for (const auto& result : graph.results) ends += result.value == v;
  for (const auto& update : graph.updates) ends += update.value == v;
  return uses + ends == 1;
}

Literal splat_of(const Literal& literal, TensorType type) {
  return literal.is_float() ? Literal::splat(std::move(type), literal.real(0))
                            : Literal::splat_int(std::move(type), literal.integer(0));
}

std::set<NodeId> differentiated(const Graph& graph) {
  std::set<NodeId> nodes;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph[id];
    if (node.op != Op::Gradient) continue;
    for (size_t i = 1; i < node.operands.size(); ++i) {
      const Op op = graph[node.operands[i].node].op;
      if (op != Op::Input && op != Op::Variable) nodes.insert(node.operands[i].node);
    }
  }
  return nodes;
}

bool identical(const Literal& a, const Literal& b) {
  if (a.type() != b.type() || a.is_float() != b.is_float() || a.is_splat() != b.is_splat()) return false;
  const int64_t n = a.is_splat() ? 1 : a.num_elements();
  for (int64_t i = 0; i < n; ++i) {
    const bool same = a.is_float() ? std::bit_cast<uint64_t>(a.real(i)) == std::bit_cast<uint64_t>(b.real(i))
                                   : a.integer(i) == b.integer(i);
    if (!same) return false;
  }
  return true;
}

}  // namespace nncc
