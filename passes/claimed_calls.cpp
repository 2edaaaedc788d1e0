#include "passes/claimed_calls.h"

namespace nncc {

const Function* claimed_callee(const Module& module, const Graph& graph, NodeId id, std::string_view name) {
  if (graph[id].op != Op::Call) return nullptr;
  const Function* function = module.find_function(graph[id].attributes.string(Attr::Symbol));
  if (!function) return nullptr;
  return (function->callee.empty() ? function->name : function->callee) == name ? function : nullptr;
}

std::optional<int64_t> softmax_axis(const Function& softmax) {
  const Graph& body = softmax.body;
  if (body.arguments.size() != 1 || body.results.size() != 1) return std::nullopt;
  if (body.type(body.arguments[0].value) != body.type(body.results[0].value)) return std::nullopt;
  std::optional<int64_t> axis;
  for (const NodeId id : body.nodes()) {
    if (body[id].op != Op::ReduceSum) continue;
    const auto& axes = body[id].attributes.integers(Attr::Axes);
    if (axis || axes.size() != 1) return std::nullopt;
    axis = axes[0];
  }
  return axis;
}

}  // namespace nncc
