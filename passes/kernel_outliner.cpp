#include "passes/kernel_outliner.h"

#include <algorithm>
#include <functional>

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
  const NodeId first = groups_.groups()[group].nodes[0];
  if (fusion_role(graph_[first].op) == FusionRole::Outside) return keep(first);
  std::vector<Value> results;
  for (NodeId id : groups_.results(group))
    for (size_t i = 0; i < graph_[id].types.size(); ++i) results.push_back({id, static_cast<int32_t>(i)});
  if (results.empty()) return;  // all of it is computed elsewhere
  const NodeId leader = results[0].node;
  Body body;
  body.group = group;
  body.count = groups_.count(leader);
  body.is_flat = can_flatten(group, body.count);
  for (const Value result : results) {
    const Value v = body.is_flat ? in_flat_body(body, result) : in_body(body, result);
    body.graph.results.push_back({"r" + std::to_string(body.graph.results.size()), v});
  }
  const std::string name = kernels_.intern(std::move(body.graph));
  const NodeId call = add_kernel(out_, *module_.find_function(name), body.operands);
  out_.set_name(call, graph_[leader].name);
  out_.set_location(call, graph_[leader].location);
  for (size_t i = 0; i < results.size(); ++i)
    memory_[results[i]] = view({call, static_cast<int32_t>(i)}, graph_.type(results[i]).shape);
}

// A node that is no kernel, with its operands in memory.
void KernelOutliner::keep(NodeId id) {
  Node node = graph_[id];
  for (Value& operand : node.operands) operand = in_memory(operand);
  const NodeId kept = out_.add(std::move(node));
  for (int32_t i = 0; i < static_cast<int32_t>(out_[kept].types.size()); ++i) memory_[{id, i}] = {kept, i};
}

// Where elements are only ever read at the index that is computed, or are one for all, shapes do not matter:
// nodes that differ in nothing else go through one loop as vectors.
bool KernelOutliner::can_flatten(int group, int64_t count) const {
  const FusionGroups::Group& members = groups_.groups()[group];
  const std::function<bool(Value)> is_linear = [&](Value v) {
    const Node& node = graph_[v.node];
    const int64_t n = graph_.type(v).num_elements();
    if (n != count && n != 1) return false;
    if (groups_.is_in(v.node, group) || is_splat_constant(node)) return true;
    const FusionRole role = fusion_role(node.op);
    if (role == FusionRole::Generated) return false;
    if (role != FusionRole::View && role != FusionRole::Repeat) return true;
    return is_linear(node.operands[0]);
  };
  const auto is_flat = [&](NodeId id) {
    const FusionRole role = fusion_role(graph_[id].op);
    if (role == FusionRole::Repeat) return is_linear({id, 0}) && is_linear(graph_[id].operands[0]);
    if (role != FusionRole::Pointwise && role != FusionRole::Draw && !is_splat_constant(graph_[id]))
      return false;
    return is_linear({id, 0}) &&
           std::all_of(graph_[id].operands.begin(), graph_[id].operands.end(), is_linear);
  };
  const Shape* shape = nullptr;
  bool differ = false;
  for (NodeId id : members.nodes) {
    if (groups_.count(id) != count) continue;
    if (!shape) shape = &graph_[id].types[0].shape;
    differ = differ || graph_[id].types[0].shape != *shape;
  }
  return differ && members.form == KernelForm::Elementwise &&
         std::all_of(members.nodes.begin(), members.nodes.end(), is_flat) &&
         std::all_of(members.copies.begin(), members.copies.end(), is_flat);
}

TensorType KernelOutliner::flat_type(const Body& body, const TensorType& type) const {
  const int64_t n = type.num_elements();
  return {type.dtype, n == 1 ? Shape{} : Shape{body.count}};
}

Value KernelOutliner::in_flat_body(Body& body, Value v) {
  if (auto it = body.values.find(v); it != body.values.end()) return it->second;
  const Node& node = graph_[v.node];
  GraphBuilder builder(body.graph);
  builder.location = node.location;
  const TensorType type = flat_type(body, node.types[v.result]);
  const FusionRole role = fusion_role(node.op);
  Value result;
  if (is_splat_constant(node)) {
    const Literal& literal = node.attributes.literal(Attr::Value);
    result = builder.constant(literal.is_float() ? Literal::splat(type, literal.real(0))
                                                 : Literal::splat_int(type, literal.integer(0)));
  } else if (role == FusionRole::Repeat || (role == FusionRole::View && !groups_.is_in(v.node, body.group))) {
    result = in_flat_body(body, node.operands[0]);
    if (body.graph.type(result) != type) result = builder.broadcast(result, type.shape, {});
  } else if (groups_.is_in(v.node, body.group)) {
    Node copy = node;
    copy.types = {type};
    for (Value& operand : copy.operands) operand = in_flat_body(body, operand);
    result = {body.graph.add(std::move(copy)), 0};
  } else {
    result = argument(body, v);
  }
  return body.values[v] = result;
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
  const NodeId id = body.graph.add(std::move(copy));
  for (int32_t i = 0; i < static_cast<int32_t>(node.types.size()); ++i) body.values[{v.node, i}] = {id, i};
  return body.values.at(v);
}

Value KernelOutliner::argument(Body& body, Value v) {
  Value operand = in_memory(v);
  if (body.is_flat) operand = view(operand, flat_type(body, graph_.type(v)).shape);
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
  if (fusion_role(node.op) == FusionRole::View)
    return memory_[v] = view(node.operands[0], node.types[0].shape);
  return memory_[v] = {out_.add(std::move(node)), v.result};
}

// Memory under another shape: one view of each shape, of the memory itself.
Value KernelOutliner::view(Value memory, const Shape& shape) {
  while (fusion_role(out_[memory.node].op) == FusionRole::View) memory = out_[memory.node].operands[0];
  if (out_.type(memory).shape == shape) return memory;
  Value& reshaped = reshaped_[{memory, shape}];
  if (!reshaped) reshaped = GraphBuilder(out_).reshape(memory, shape);
  return reshaped;
}

}  // namespace nncc
