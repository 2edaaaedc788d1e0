#include "passes/kernel_outliner.h"

#include "ir/builder.h"
#include "passes/fusion_rules.h"

namespace nncc {

Graph KernelOutliner::run() {
  for (const Graph::Argument& argument : graph_.arguments) {
    const Node& node = graph_[argument.value.node];
    const Value v = out_.add_argument(argument.name, node.types[0], node.location);
    out_.set_name(v.node, node.name);
    memory_[argument.value] = v;
  }
  for (int group : groups_.order()) outline(group);
  for (const Graph::Result& result : graph_.results)
    out_.results.push_back({result.name, in_memory(result.value)});
  for (const Graph::Update& update : graph_.updates)
    out_.updates.push_back({update.variable, in_memory(update.value)});
  return std::move(out_);
}

void KernelOutliner::outline(int group) {
  const std::vector<NodeId> results = groups_.results(group);
  if (results.empty()) return;  // all of it is computed elsewhere
  Body body;
  body.group = group;
  for (NodeId id : results) {
    const Value v = in_body(body, {id, 0});
    body.graph.results.push_back({"r" + std::to_string(body.graph.results.size()), v});
  }
  const std::string name = kernels_.intern(std::move(body.graph));
  const NodeId call = add_kernel(out_, *module_.find_function(name), body.operands);
  out_.set_name(call, graph_[results[0]].name);
  out_.set_location(call, graph_[results[0]].location);
  for (size_t i = 0; i < results.size(); ++i) memory_[{results[i], 0}] = {call, static_cast<int>(i)};
}

Value KernelOutliner::in_body(Body& body, Value v) {
  if (auto it = body.values.find(v); it != body.values.end()) return it->second;
  const Node& node = graph_[v.node];
  const FusionRole role = fusion_role(node.op);
  const bool computed = groups_.is_in(v.node, body.group);
  const bool anew = role == FusionRole::Generated || role == FusionRole::Repeat || is_splat_constant(node);
  if (!computed && !anew) {
    Value base = v;
    while (fusion_role(graph_[base.node].op) == FusionRole::View) base = graph_[base.node].operands[0];
    const FusionRole base_role = fusion_role(graph_[base.node].op);
    const bool base_is_here = groups_.is_in(base.node, body.group) || base_role == FusionRole::Generated ||
                              base_role == FusionRole::Repeat || is_splat_constant(graph_[base.node]);
    if (role != FusionRole::View || !base_is_here) return body.values[v] = argument(body, v);
  }
  Node copy = node;
  const bool from_memory = role == FusionRole::Contract || role == FusionRole::Alone;
  for (Value& operand : copy.operands)
    operand = from_memory ? argument(body, operand) : in_body(body, operand);
  return body.values[v] = {body.graph.add(std::move(copy)), v.result};
}

Value KernelOutliner::argument(Body& body, Value v) {
  const Value operand = in_memory(v);
  for (size_t i = 0; i < body.operands.size(); ++i)
    if (body.operands[i] == operand) return body.arguments[i];
  body.operands.push_back(operand);
  body.arguments.push_back(
      body.graph.add_argument("x" + std::to_string(body.arguments.size()), out_.type(operand)));
  return body.arguments.back();
}

Value KernelOutliner::in_memory(Value v) {
  if (auto it = memory_.find(v); it != memory_.end()) return it->second;
  Node node = graph_[v.node];
  for (Value& operand : node.operands) operand = in_memory(operand);
  if (fusion_role(node.op) == FusionRole::View) {
    // One view of each shape, of the memory itself.
    Value base = node.operands[0];
    while (fusion_role(out_[base.node].op) == FusionRole::View) base = out_[base.node].operands[0];
    if (out_.type(base).shape == node.types[0].shape) return memory_[v] = base;
    Value& view = reshaped_[{base, node.types[0].shape}];
    if (!view) {
      node.operands = {base};
      view = {out_.add(std::move(node)), 0};
    }
    return memory_[v] = view;
  }
  return memory_[v] = {out_.add(std::move(node)), v.result};
}

}  // namespace nncc
