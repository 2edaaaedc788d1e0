#include "passes/scan_editor.h"

#include <algorithm>
#include <set>

#include "ir/diagnostic.h"
#include "passes/graph_util.h"

namespace nncc {

ScanEditor::ScanEditor(Module& module, Graph& outer, NodeId scan)
    : module_(module),
      outer_(outer),
      scan_(scan),
      function_(*module.find_function(outer[scan].attributes.string(Attr::Symbol))),
      parts_(scan_parts(outer[scan])) {
  const Node& node = outer[scan];
  const Graph& step = function_.body;
  for (int i = 0; i < static_cast<int>(node.operands.size()); ++i) {
    const Value argument = step.arguments[i].value;
    if (parts_.is_carry(i))
      carries.push_back({node.operands[i], argument, step.results[i].value, {scan, i}});
    else
      (parts_.is_sequence(i) ? sequences : others).push_back({node.operands[i], argument});
  }
  for (int i = parts_.carries; i < parts_.num_results(); ++i)
    stacked.push_back({step.results[i].value, {scan, i}});
}

bool ScanEditor::is_used(Value v) const {
  return v && (!outer_.uses(v).empty() || outer_.is_result_or_update(v));
}

std::vector<bool> ScanEditor::depends_on_carries() const {
  std::vector<bool> arguments(function_.body.arguments.size(), false);
  for (const Carried& c : carries)
    arguments[function_.body[c.argument.node].attributes.integer(Attr::Index)] = true;
  return depends_on_arguments(function_.body, arguments);
}

std::vector<bool> ScanEditor::varies() const {
  std::vector<bool> arguments(function_.body.arguments.size(), true);
  for (const Passed& o : others)
    arguments[function_.body[o.argument.node].attributes.integer(Attr::Index)] = false;
  return depends_on_arguments(function_.body, arguments);
}

Value ScanEditor::other(Value v) {
  for (const Passed& passed : others)
    if (passed.outer == v) return passed.argument;
  const std::string& name = outer_[v.node].name;
  const Value argument =
      body().add_argument(name.empty() ? "outer" : name, outer_.type(v), outer_[v.node].location);
  others.push_back({v, argument});
  return argument;
}

void ScanEditor::replace(Value from, Value to) {
  body().replace_all_uses(from, to);
  for (Carried& c : carries)
    if (c.next == from) c.next = to;
  for (Stacked& s : stacked)
    if (s.value == from) s.value = to;
}

Value ScanEditor::copy_out(Value v) {
  for (const Passed& passed : others)
    if (passed.argument == v) return passed.outer;
  if (const auto it = copied_.find(v); it != copied_.end()) return it->second;
  Node node = body()[v.node];
  NNCC_CHECK(node.op != Op::Input, "what a step computes does not stay the same");
  for (Value& operand : node.operands) operand = copy_out(operand);
  const NodeId copy = outer_.add(std::move(node));
  for (int32_t i = 0; i < static_cast<int32_t>(outer_[copy].types.size()); ++i)
    copied_[{v.node, i}] = {copy, i};
  return copied_.at(v);
}

void ScanEditor::commit() {
  const Node old = outer_[scan_];
  Graph& step = body();
  std::vector<Value> operands;
  std::vector<TensorType> types;
  std::vector<Graph::Argument> arguments;
  const auto take = [&](Value outer, Value argument) {
    operands.push_back(outer);
    arguments.push_back(*std::find_if(step.arguments.begin(), step.arguments.end(),
                                      [&](const Graph::Argument& a) { return a.value == argument; }));
  };
  step.results.clear();
  for (size_t i = 0; i < carries.size(); ++i) {
    take(carries[i].first, carries[i].argument);
    step.results.push_back({"carry_" + std::to_string(i), carries[i].next});
    types.push_back(outer_.type(carries[i].first));
  }
  for (const auto* list : {&sequences, &others})
    for (const Passed& passed : *list) take(passed.outer, passed.argument);
  for (size_t i = 0; i < stacked.size(); ++i) {
    step.results.push_back({"yield_" + std::to_string(i), stacked[i].value});
    types.push_back(stacked_type(step.type(stacked[i].value), parts_.steps));
  }
  set_arguments(step, std::move(arguments));
  step.compact();
  if (types.empty()) return;  // nothing wants it
  Node node;
  node.op = Op::Scan;
  node.operands = std::move(operands);
  node.types = std::move(types);
  node.attributes = old.attributes;
  node.attributes.set(Attr::Carries, static_cast<int64_t>(carries.size()));
  node.attributes.set(Attr::Sequences, static_cast<int64_t>(sequences.size()));
  node.name = old.name;
  node.location = old.location;
  scan_ = outer_.add(std::move(node));
  int32_t next = 0;
  const auto give = [&](Value& result) {
    const Value now{scan_, next++};
    if (result) outer_.replace_all_uses(result, now);
    result = now;
  };
  for (Carried& c : carries) give(c.last);
  for (Stacked& s : stacked) give(s.outer);
}

void make_steps_unique(Module& module) {
  std::set<std::string> called;
  const auto visit = [&](Graph& graph) {
    for (const NodeId id : graph.nodes()) {
      if (graph[id].op != Op::Scan) continue;
      const std::string symbol = graph[id].attributes.string(Attr::Symbol);
      if (called.insert(symbol).second) continue;
      Function copy = *module.find_function(symbol);
      copy.name = module.unique_function_name(symbol);
      called.insert(copy.name);
      graph.set_attribute(id, Attr::Symbol, copy.name);
      module.functions.push_back(std::move(copy));
    }
  };
  for (Entry& entry : module.entries) {
    visit(entry.graph);
    visit(entry.prepare);
  }
  // Copies that are added here are looked at in their turn.
  for (size_t i = 0; i < module.functions.size(); ++i)
    if (module.functions[i].kind != FunctionKind::Kernel) visit(module.functions[i].body);
}

}  // namespace nncc
