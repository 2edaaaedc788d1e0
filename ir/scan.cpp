#include "ir/scan.h"

#include <set>

#include "ir/diagnostic.h"
#include "ir/memory.h"

namespace nncc {

ScanParts scan_parts(const Node& node) {
  NNCC_CHECK(node.op == Op::Scan, "not a scan");
  ScanParts parts;
  parts.steps = node.attributes.integer(Attr::Steps);
  parts.carries = static_cast<int>(node.attributes.integer(Attr::Carries));
  parts.sequences = static_cast<int>(node.attributes.integer(Attr::Sequences));
  parts.others = static_cast<int>(node.operands.size()) - parts.first_other();
  parts.reversed = node.attributes.boolean(Attr::Reversed);
  parts.has_workspace = !node.places.empty();
  parts.stacked = static_cast<int>(node.types.size()) - parts.carries - (parts.has_workspace ? 1 : 0);
  return parts;
}

ScanWorkspace scan_workspace(const Node& scan, const Function& step) {
  const ScanParts parts = scan_parts(scan);
  ScanWorkspace workspace;
  workspace.bytes = align_up(step.arena_bytes, kBufferAlignment);
  for (int i = 0; i < parts.carries; ++i) {
    int stacked_as = -1;
    for (int j = parts.carries; j < static_cast<int>(step.body.results.size()); ++j)
      if (step.body.results[j].value == step.body.results[i].value) stacked_as = j;
    workspace.stacked_as.push_back(stacked_as);
    workspace.offsets.push_back(workspace.bytes);
    if (stacked_as < 0)
      workspace.bytes += align_up(scan.types[i].byte_size() + kSpareBytes, kBufferAlignment);
  }
  return workspace;
}

TensorType step_type(const TensorType& stacked) {
  return {stacked.dtype, Shape(stacked.shape.begin() + 1, stacked.shape.end())};
}

TensorType stacked_type(const TensorType& step, int64_t steps) {
  TensorType type = step;
  type.shape.insert(type.shape.begin(), steps);
  return type;
}

void set_arguments(Graph& body, std::vector<Graph::Argument> arguments) {
  body.arguments = std::move(arguments);
  std::set<std::string> names;
  for (size_t i = 0; i < body.arguments.size(); ++i) {
    Graph::Argument& argument = body.arguments[i];
    const std::string wanted = argument.name;
    for (size_t number = i; !names.insert(argument.name).second; ++number)
      argument.name = wanted + "_" + std::to_string(number);
    body.set_attribute(argument.value.node, Attr::Index, static_cast<int64_t>(i));
  }
  body.erase_dead();
}

std::vector<bool> depends_on_arguments(const Graph& step, const std::vector<bool>& arguments) {
  std::vector<bool> depends;
  for (const NodeId id : step.topological_order()) {
    if (depends.size() <= static_cast<size_t>(id.index)) depends.resize(id.index + 1, false);
    const Node& node = step[id];
    if (node.op == Op::Input) depends[id.index] = arguments.at(node.attributes.integer(Attr::Index));
    for (const Value operand : node.operands)
      if (depends[operand.node.index]) depends[id.index] = true;
  }
  return depends;
}

}  // namespace nncc
