#include "passes/hoist_weights.h"

#include <algorithm>
#include <map>

#include "ir/builder.h"
#include "ir/print.h"
#include "passes/fusion_rules.h"
#include "passes/weight_values.h"

namespace nncc {

namespace {

// Reading a hoisted value costs as much as computing a few elements.
constexpr int64_t kFewElements = 16;

class Hoister {
 public:
  explicit Hoister(Module& module) : module_(module) {}

  int run(Entry& entry) {
    const std::set<NodeId> weights = weight_nodes(module_, entry);
    if (weights.empty()) return 0;
    Graph& graph = entry.graph;
    // Where the entry itself takes over, behind what costs nothing.
    std::set<Value> wanted;
    const auto want = [&](Value v) {
      while (weights.contains(v.node) && is_free(graph, v.node) && !graph[v.node].operands.empty())
        v = graph[v.node].operands[0];
      if (weights.contains(v.node) && graph[v.node].op != Op::Variable && is_worth_it(graph, v.node, weights))
        wanted.insert(v);
    };
    for (NodeId id : graph.nodes())
      if (!weights.contains(id))
        for (Value operand : graph[id].operands) want(operand);
    for (const Graph::Result& result : graph.results) want(result.value);
    for (const Graph::Update& update : graph.updates) want(update.value);
    // All of them first: one may be computed from another, which the entry will read from a variable.
    std::map<NodeId, NodeId> moved;  // to the prepare graph
    std::vector<std::string> names;
    std::set<std::string> prepared;
    for (Value v : wanted) {
      names.push_back(variable_for(entry, v));
      if (prepared.insert(names.back()).second)
        entry.prepare.updates.push_back({names.back(), copy(graph, v, entry.prepare, moved)});
    }
    auto name = names.begin();
    for (Value v : wanted) read_variable(graph, v, *name++);
    if (!wanted.empty()) graph.erase_dead();
    return static_cast<int>(wanted.size());
  }

 private:
  static bool is_free(const Graph& graph, NodeId id) {
    return fusion_role(graph[id].op) == FusionRole::Repeat || view_offset(graph, id).has_value();
  }

  static bool is_worth_it(const Graph& graph, NodeId id, const std::set<NodeId>& weights) {
    for (NodeId from : graph.ancestors(std::array{id})) {
      if (!weights.contains(from) || is_free(graph, from)) continue;
      const Node& node = graph[from];
      switch (fusion_role(node.op)) {
        case FusionRole::Reduce:
        case FusionRole::Contract:
        case FusionRole::Windowed:
        case FusionRole::Alone:
          return true;
        case FusionRole::Rearrange:
          if (node.types[0].num_elements() > kFewElements) return true;
          break;
        case FusionRole::Pointwise:
          if (node.types[0].num_elements() > kFewElements || !op_info(node.op).has(Cheap)) return true;
          break;
        default:
          break;
      }
    }
    return false;
  }

  // The variable that holds a value, the same for equal computations.
  const std::string& variable_for(const Entry& entry, Value v) {
    Graph alone;
    std::map<NodeId, NodeId> copied;
    alone.results.push_back({"", copy(entry.graph, v, alone, copied)});
    const auto [it, added] = names_.try_emplace(canonical_text(alone));
    if (!added) return it->second;
    std::string name = entry.name + ".hoisted";
    for (int i = 1; module_.find_variable(name); ++i) name = entry.name + ".hoisted_" + std::to_string(i);
    Variable& variable = module_.variables.emplace_back();
    variable.name = name;
    variable.type = entry.graph.type(v);
    variable.kind = VariableKind::Hoisted;
    variable.location = entry.graph[v.node].location;
    return it->second = name;
  }

  static Value copy(const Graph& from, Value v, Graph& to, std::map<NodeId, NodeId>& copied) {
    if (auto it = copied.find(v.node); it != copied.end()) return {it->second, v.result};
    Node node = from[v.node];
    for (Value& operand : node.operands) operand = copy(from, operand, to, copied);
    copied[v.node] = to.add(std::move(node));
    return {copied[v.node], v.result};
  }

  static void read_variable(Graph& graph, Value v, const std::string& name) {
    GraphBuilder builder(graph);
    builder.location = graph[v.node].location;
    const Value variable = builder.variable(name, graph.type(v));
    graph.set_name(variable.node, graph[v.node].name);
    graph.replace_all_uses(v, variable);
  }

  Module& module_;
  std::map<std::string, std::string> names_;  // of variables, by what they hold
};

}  // namespace

bool hoist_weights(Module& module, PassContext& context) {
  Hoister hoister(module);
  int hoisted = 0;
  for (Entry& entry : module.entries) hoisted += hoister.run(entry);
  context.count("values hoisted", hoisted);
  return hoisted > 0;
}

}  // namespace nncc
