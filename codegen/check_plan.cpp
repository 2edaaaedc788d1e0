#include "codegen/check_plan.h"

#include <cstdint>

#include "ir/row_layout.h"
#include "ir/scatter.h"

namespace nncc {
namespace {

class Checker {
 public:
  // `where`: "entry `fit`". `arena_bytes`: of the graph's workspace.
  Checker(const Module& module, std::string where, int64_t arena_bytes, const Graph& graph)
      : module_(module), where_(std::move(where)), arena_bytes_(arena_bytes), graph_(graph) {}

  std::string check() const {
    for (NodeId id : graph_.topological_order()) {
      std::string problem = check_node(id);
      if (!problem.empty()) return where_ + ": " + problem;
    }
    return {};
  }

 private:
  std::string check_node(NodeId id) const {
    const Node& node = graph_[id];
    const OpInfo& info = op_info(node.op);
    const bool is_call = node.op == Op::Kernel || node.op == Op::Scan || node.op == Op::CheckIndex;
    if (!is_call && !info.has(Leaf) && !info.has(Movement))
      return "`" + std::string(info.name) + "` stands outside of kernels";
    if (is_call) {
      if (node.places.size() != node.types.size()) return "a call's result has no place in memory";
      for (Value v : node.operands) {
        if (graph_[v.node].places.empty()) return "a call's operand has no place in memory";
        if (row_layout(graph_, v)) return "a call's operand lies in memory with gaps";
      }
    }
    if (node.op == Op::Concat && !node.places.empty()) {
      std::string problem = check_concat(id);
      if (!problem.empty()) return problem;
    }
    if (node.op == Op::Kernel) {
      const Function* kernel = module_.find_function(node.attributes.string(Attr::Symbol));
      const auto accumulated = accumulated_argument(kernel->body);
      if (accumulated && place_of(node.operands[*accumulated]) != node.places[0])
        return "`" + kernel->name + "` does not lie on what it adds to";
    }
    for (size_t i = 0; i < node.places.size(); ++i) {
      const Place& place = node.places[i];
      // Subtracted, so that no offset overflows.
      const auto rows = row_layout(graph_, {id, static_cast<int>(i)});
      const int64_t bytes = rows ? rows->span(node.types[i].num_elements()) * dtype_size(node.types[i].dtype)
                                 : node.types[i].byte_size();
      if (place.offset < 0 || place.offset > size_of(place) - bytes)
        return "a result of `" + std::string(info.name) + "` lies outside of its space";
    }
    return {};
  }

  const Place& place_of(Value v) const { return graph_[v.node].places.at(static_cast<size_t>(v.result)); }

  // Its operands lie in it.
  std::string check_concat(NodeId id) const {
    const Node& node = graph_[id];
    Place expected = node.places[0];
    for (size_t i = 0; i < node.operands.size(); ++i) {
      const Value v = node.operands[i];
      if (graph_[v.node].places.empty() || graph_[v.node].places[static_cast<size_t>(v.result)] != expected)
        return "a piece of a `concat` lies elsewhere";
      expected.offset += layout_in_concat(graph_, id, i).row * dtype_size(node.types[0].dtype);
    }
    return {};
  }

  // Of the space, or of the input or output.
  int64_t size_of(const Place& place) const {
    auto bytes = [&](const auto& list) {
      bool exists = place.index >= 0 && static_cast<size_t>(place.index) < list.size();
      return exists ? graph_.type(list[static_cast<size_t>(place.index)].value).byte_size() : 0;
    };
    switch (place.space) {
      case Space::Arena:
        return arena_bytes_;
      case Space::Variables:
        return module_.variable_bytes;
      case Space::Constants:
        return INT64_MAX;  // they make their space
      case Space::Input:
        return bytes(graph_.arguments);
      case Space::Output:
        return bytes(graph_.results);
    }
    return 0;
  }

  const Module& module_;
  const std::string where_;
  const int64_t arena_bytes_;
  const Graph& graph_;
};

}  // namespace

std::string why_not_planned(const Module& module) {
  for (const Variable& v : module.variables) {
    if (!v.offset) return "variable `" + v.name + "` has no place in memory";
    if (*v.offset < 0 || *v.offset > module.variable_bytes - v.type.byte_size())
      return "variable `" + v.name + "` lies outside of the module's variables";
  }
  for (const Entry& entry : module.entries)
    for (const Graph* graph : {&entry.graph, &entry.prepare}) {
      std::string problem = Checker(module, "entry `" + entry.name + "`", entry.arena_bytes, *graph).check();
      if (!problem.empty()) return problem;
    }
  for (const Function& function : module.functions) {
    if (function.kind != FunctionKind::Step) continue;
    std::string problem =
        Checker(module, "step `" + function.name + "`", function.arena_bytes, function.body).check();
    if (!problem.empty()) return problem;
  }
  return {};
}

}  // namespace nncc
