#include "passes/weight_values.h"

#include <algorithm>

#include "passes/fusion_rules.h"

namespace nncc {

namespace {

bool is_fixed_in_inference(VariableKind kind) {
  switch (kind) {
    case VariableKind::Parameter:
    case VariableKind::State:
    case VariableKind::OptimizerState:
    case VariableKind::Hyper:
      return true;
    case VariableKind::Memory:
    case VariableKind::Counter:
    case VariableKind::Seed:
    case VariableKind::Hoisted:
      return false;
  }
  return false;
}

}  // namespace

std::set<NodeId> weight_nodes(const Module& module, const Entry& entry) {
  std::set<NodeId> fixed, weights;
  if (entry.kind != EntryKind::Model) return weights;
  for (NodeId id : entry.graph.topological_order()) {
    const Node& node = entry.graph[id];
    bool is_fixed = false, is_weight = false;
    if (node.op == Op::Variable) {
      is_weight = is_fixed =
          is_fixed_in_inference(module.find_variable(node.attributes.string(Attr::Symbol))->kind);
    } else if (node.op != Op::Input && fusion_role(node.op) != FusionRole::Unsupported) {
      is_fixed = std::all_of(node.operands.begin(), node.operands.end(),
                             [&](Value v) { return fixed.contains(v.node); });
      is_weight = is_fixed && std::any_of(node.operands.begin(), node.operands.end(),
                                          [&](Value v) { return weights.contains(v.node); });
    }
    if (is_fixed) fixed.insert(id);
    if (is_weight) weights.insert(id);
  }
  return weights;
}

}  // namespace nncc
