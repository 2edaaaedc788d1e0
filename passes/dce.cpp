#include "passes/dce.h"

#include <set>

#include "ir/module.h"
#include "passes/graph_util.h"

namespace nncc {
namespace {

void mark_functions(const Module& module, const Graph& graph, std::set<std::string>& called) {
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph[id];
    if (!op_info(node.op).has(Structural) || !node.attributes.find(Attr::Symbol)) continue;
    const std::string& symbol = node.attributes.string(Attr::Symbol);
    if (!called.insert(symbol).second) continue;
    if (const Function* function = module.find_function(symbol))
      mark_functions(module, function->body, called);
  }
}

}  // namespace

bool dce(Module& module, PassContext& context) {
  int nodes = 0, functions = 0;
  for_each_graph(module, [&](Graph& graph) { nodes += graph.erase_dead(); });

  std::set<std::string> called;
  for (const Entry& entry : module.entries) {
    mark_functions(module, entry.graph, called);
    mark_functions(module, entry.prepare, called);
  }
  for (auto it = module.functions.begin(); it != module.functions.end();) {
    if (called.count(it->name)) {
      ++it;
    } else {
      it = module.functions.erase(it);
      ++functions;
    }
  }
  context.count("nodes erased", nodes);
  context.count("functions erased", functions);
  return nodes + functions > 0;
}

}  // namespace nncc
