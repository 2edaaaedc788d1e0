#include "passes/scan_order.h"

#include <algorithm>
#include <set>

#include "passes/graph_util.h"

namespace nncc {

namespace {

bool has_gradient(const Module& module, const Graph& graph) {
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph[id];
    if (node.op == Op::Gradient) return true;
    if (node.op == Op::Scan &&
        has_gradient(module, module.find_function(node.attributes.string(Attr::Symbol))->body))
      return true;
  }
  return false;
}

class Walk {
 public:
  Walk(Module& module, const std::function<void(Graph&, NodeId)>& visit) : module_(module), visit_(visit) {}

  void graph(Graph& graph) {
    if (!done_.insert(&graph).second) return;
    const std::set<NodeId> opaque = differentiated(graph);
    std::vector<NodeId> order = graph.topological_order();
    // Users first: they may need less then.
    for (auto id = order.rbegin(); id != order.rend(); ++id) {
      if (!graph.contains(*id) || graph[*id].op != Op::Scan) continue;
      Graph& step = module_.find_function(graph[*id].attributes.string(Attr::Symbol))->body;
      this->graph(step);
      if (opaque.contains(*id) || has_gradient(module_, step)) continue;
      visit_(graph, *id);
      graph.erase_dead();
    }
  }

 private:
  Module& module_;
  const std::function<void(Graph&, NodeId)>& visit_;
  std::set<const Graph*> done_;
};

}  // namespace

void for_each_scan(Module& module, const std::function<void(Graph&, NodeId)>& visit) {
  Walk walk(module, visit);
  for (Entry& entry : module.entries) {
    walk.graph(entry.graph);
    walk.graph(entry.prepare);
  }
}

Value last_step(GraphBuilder& builder, Value stacked, bool reversed) {
  const TensorType type = builder.type(stacked);
  TensorType one = type;
  one.shape[0] = 1;
  std::vector<int64_t> starts(type.rank(), 0), strides(type.rank(), 1);
  if (!reversed) starts[0] = type.shape[0] - 1;
  const Value last = builder.add_typed(
      Op::Slice, {stacked}, one, {{Attr::Starts, std::move(starts)}, {Attr::Strides, std::move(strides)}});
  return builder.reshape(last, Shape(type.shape.begin() + 1, type.shape.end()));
}

}  // namespace nncc
