#include "ir/verify.h"

#include <algorithm>
#include <map>
#include <set>

#include "ir/builder.h"
#include "ir/node_names.h"
#include "ir/scan.h"

namespace nncc {
namespace {

class Verifier {
 public:
  explicit Verifier(const Module& module) : module_(module) {}
  std::vector<std::string> run();

 private:
  // What a graph may do depends on where it stands.
  struct GraphRules {
    std::string where;                           // "entry @fit"
    bool variables = false;                      // may hold Variable nodes
    bool structure = true;                       // may hold Structural nodes
    bool (*may_update)(VariableKind) = nullptr;  // null: no update
  };

  void report(std::string where, std::string message) { errors_.push_back(where + ": " + message); }
  void check_variables();
  void check_function(const Function& function);
  void check_entry(const Entry& entry);
  void check_graph(const Graph& graph, const GraphRules& rules);
  bool check_operands(const Graph& graph, NodeId id, const std::string& where);
  void check_node(const Graph& graph, NodeId id, const GraphRules& rules, const std::string& where);
  void check_callee(const Graph& graph, const Node& node, const std::string& where);
  void check_calls_end();
  bool is_value(const Graph& graph, Value v) const {
    return graph.contains(v.node) && v.result >= 0 && v.result < static_cast<int>(graph[v.node].types.size());
  }

  const Module& module_;
  std::map<std::string, const Variable*, std::less<>> variables_;
  std::map<std::string, const Function*, std::less<>> functions_;
  std::vector<std::string> errors_;
};

// The updates that each kind of graph may make.
bool model_may_update(VariableKind kind) {
  return kind == VariableKind::Memory || kind == VariableKind::Counter;
}
bool train_may_update(VariableKind kind) {
  return kind != VariableKind::Seed && kind != VariableKind::Hyper && kind != VariableKind::Hoisted;
}
bool prepare_may_update(VariableKind kind) { return kind == VariableKind::Hoisted; }

template <typename Container>
std::vector<std::string> repeated_names(const Container& container) {
  std::set<std::string> seen;
  std::vector<std::string> repeated;
  for (const auto& x : container)
    if (!seen.insert(x.name).second) repeated.push_back(x.name);
  return repeated;
}

void Verifier::check_variables() {
  int seeds = 0;
  for (const Variable& v : module_.variables) {
    const std::string where = "variable " + symbol_text(v.name);
    variables_.emplace(v.name, &v);
    if (std::any_of(v.type.shape.begin(), v.type.shape.end(), [](int64_t extent) { return extent < 1; }))
      report(where, "an extent is below 1 in " + v.type.str());
    if (v.initial && v.initial->type() != v.type)
      report(where, "is " + v.type.str() + ", but starts as " + v.initial->type().str());
    const bool is_seed = v.kind == VariableKind::Seed;
    seeds += is_seed;
    if (is_seed && v.name != "seed") report(where, "the seed must be named @seed");
    if ((is_seed || v.kind == VariableKind::Counter) && v.type != TensorType{DType::I64, {}})
      report(where, "is " + v.type.str() + ", expected i64");
    if (v.kind == VariableKind::Hyper && v.type.rank() != 0)
      report(where, "a hyper is a scalar, not " + v.type.str());
  }
  if (seeds > 1) report("module " + symbol_text(module_.name), "there is more than one seed");
}

bool Verifier::check_operands(const Graph& graph, NodeId id, const std::string& where) {
  bool ok = true;
  for (size_t i = 0; i < graph[id].operands.size(); ++i) {
    if (is_value(graph, graph[id].operands[i])) continue;
    report(where, "operand " + std::to_string(i) + " does not exist");
    ok = false;
  }
  return ok;
}

void Verifier::check_callee(const Graph& graph, const Node& node, const std::string& where) {
  const std::string& symbol = node.attributes.string(Attr::Symbol);
  const auto found = functions_.find(symbol);
  if (found == functions_.end()) return report(where, "there is no function " + symbol_text(symbol));
  const Function& function = *found->second;
  const FunctionKind wanted = called_kind(node.op);
  if (function.kind != wanted)
    return report(where, symbol_text(symbol) + " is no " + std::string(function_kind_name(wanted)));
  const Graph& body = function.body;
  // Broken bodies are reported where they stand.
  const auto type_text = [](const Graph& g, Value v) {
    return g.contains(v.node) && v.result < static_cast<int>(g[v.node].types.size()) ? g.type(v).str()
                                                                                     : "broken";
  };
  const bool has_workspace = node.op == Op::Scan && scan_parts(node).has_workspace;
  const size_t num_results = node.types.size() - (has_workspace ? 1 : 0);
  if (body.arguments.size() != node.operands.size() || body.results.size() != num_results)
    return report(where, symbol_text(symbol) + " takes " + std::to_string(body.arguments.size()) +
                             " arguments and gives " + std::to_string(body.results.size()) +
                             " results, not " + std::to_string(node.operands.size()) + " and " +
                             std::to_string(num_results));
  // What a step takes of a sequence and gives of a stacked result has one axis less.
  const auto in_step = [&](const TensorType& type, bool is_stacked) {
    return (is_stacked && type.rank() > 0 ? step_type(type) : type).str();
  };
  const bool is_scan = node.op == Op::Scan;
  const ScanParts parts = is_scan ? scan_parts(node) : ScanParts{};
  for (size_t i = 0; i < node.operands.size(); ++i) {
    const std::string given = in_step(graph.type(node.operands[i]), parts.is_sequence(static_cast<int>(i))),
                      taken = type_text(body, body.arguments[i].value);
    if (given != taken)
      report(where, "operand " + std::to_string(i) + " is " + given + ", expected " + taken);
  }
  for (size_t i = 0; i < num_results; ++i) {
    const bool is_stacked = is_scan && i >= static_cast<size_t>(parts.carries);
    if (is_stacked && (node.types[i].rank() == 0 || node.types[i].shape[0] != parts.steps))
      report(where, "result " + std::to_string(i) + " is " + node.types[i].str() + ", not stacked from " +
                        std::to_string(parts.steps) + " steps");
    const std::string given = type_text(body, body.results[i].value),
                      taken = in_step(node.types[i], is_stacked);
    if (given != taken) report(where, "result " + std::to_string(i) + " is " + taken + ", expected " + given);
  }
}

void Verifier::check_node(const Graph& graph, NodeId id, const GraphRules& rules, const std::string& where) {
  const Node& node = graph[id];
  const OpInfo& info = op_info(node.op);
  if (!node.places.empty() && node.places.size() != node.types.size())
    report(where, std::to_string(node.places.size()) + " places for " + std::to_string(node.types.size()) +
                      " results");
  for (const TensorType& type : node.types)
    if (std::any_of(type.shape.begin(), type.shape.end(), [](int64_t extent) { return extent < 1; }))
      report(where, "an extent is below 1 in " + type.str());
  if (info.num_results != kVariadic && static_cast<size_t>(info.num_results) != node.types.size())
    return report(
        where, std::to_string(node.types.size()) + " results, expected " + std::to_string(info.num_results));

  std::vector<TensorType> operand_types;
  for (Value operand : node.operands) operand_types.push_back(graph.type(operand));
  std::string error;
  const std::vector<TensorType> types =
      infer_types(node.op, operand_types, node.attributes, node.types, error);
  if (!error.empty()) return report(where, error);
  if (types != node.types) return report(where, "its results have other types than its operands give");

  if (info.has(Structural)) {
    if (!rules.structure) return report(where, "may not stand in a kernel");
    if (node.attributes.find(Attr::Symbol)) check_callee(graph, node, where);
  }
  if (node.op == Op::Variable) {
    const std::string& symbol = node.attributes.string(Attr::Symbol);
    const auto found = variables_.find(symbol);
    if (!rules.variables)
      report(where, "may not stand in the body of a function");
    else if (found == variables_.end())
      report(where, "there is no variable " + symbol_text(symbol));
    else if (found->second->type != node.types[0])
      report(where,
             symbol_text(symbol) + " is " + found->second->type.str() + ", not " + node.types[0].str());
  }
  if (node.op == Op::Input) {
    const auto index = static_cast<size_t>(node.attributes.integer(Attr::Index));
    if (index >= graph.arguments.size() || graph.arguments[index].value != Value{id, 0})
      report(where, "is not argument " + std::to_string(index));
  }
}

void Verifier::check_graph(const Graph& graph, const GraphRules& rules) {
  const std::vector<std::string> names = node_names(graph);
  const auto where = [&](NodeId id) {
    return rules.where + ", %" + names[id.index] + " = " + std::string(op_info(graph[id].op).name);
  };
  for (size_t i = 0; i < graph.arguments.size(); ++i) {
    const Value v = graph.arguments[i].value;
    if (!is_value(graph, v) || graph[v.node].op != Op::Input)
      report(rules.where, "argument " + std::to_string(i) + " is no input");
  }
  for (const std::string& name : repeated_names(graph.arguments))
    if (!name.empty()) report(rules.where, "two arguments are named " + name);
  for (const std::string& name : repeated_names(graph.results))
    if (!name.empty()) report(rules.where, "two results are named " + name);
  for (size_t i = 0; i < graph.results.size(); ++i)
    if (!is_value(graph, graph.results[i].value))
      report(rules.where, "result " + std::to_string(i) + " does not exist");

  std::set<std::string> updated;
  for (const Graph::Update& update : graph.updates) {
    const std::string name = symbol_text(update.variable);
    const auto found = variables_.find(update.variable);
    if (!updated.insert(update.variable).second) report(rules.where, name + " is updated twice");
    if (found == variables_.end()) {
      report(rules.where, "there is no variable " + name + " to update");
    } else if (!is_value(graph, update.value)) {
      report(rules.where, "the update of " + name + " does not exist");
    } else if (graph.type(update.value) != found->second->type) {
      report(rules.where, name + " is " + found->second->type.str() + ", but updated with " +
                              graph.type(update.value).str());
    } else if (!rules.may_update || !rules.may_update(found->second->kind)) {
      report(rules.where, "may not update " + name + ", which is a " +
                              std::string(variable_kind_name(found->second->kind)));
    }
  }

  bool operands_ok = true;
  for (NodeId id : graph.nodes()) operands_ok &= check_operands(graph, id, where(id));
  const std::vector<NodeId> cycle = graph.find_cycle();
  if (!cycle.empty()) {
    std::string path;
    for (NodeId id : cycle) path += "%" + names[id.index] + " -> ";
    report(rules.where, "the graph has a cycle, " + path + "%" + names[cycle[0].index]);
  }
  if (!operands_ok || !cycle.empty()) return;
  for (NodeId id : graph.nodes()) check_node(graph, id, rules, where(id));
}

void Verifier::check_function(const Function& function) {
  const bool kernel = function.kind == FunctionKind::Kernel;
  check_graph(function.body,
              {.where = std::string(function_kind_name(function.kind)) + " " + symbol_text(function.name),
               .variables = false,
               .structure = !kernel,
               .may_update = nullptr});
}

void Verifier::check_entry(const Entry& entry) {
  const std::string where = "entry " + symbol_text(entry.name);
  check_graph(entry.graph,
              {.where = where,
               .variables = true,
               .structure = true,
               .may_update = entry.kind == EntryKind::Model ? model_may_update : train_may_update});
  check_graph(
      entry.prepare,
      {.where = where + ", prepare", .variables = true, .structure = true, .may_update = prepare_may_update});
  if (!entry.prepare.arguments.empty() || !entry.prepare.results.empty())
    report(where + ", prepare", "may have neither arguments nor results");
  if ((entry.kind == EntryKind::Init) != (entry.name == "init"))
    report(where, "the entry of kind init, and no other, is named @init");
  if (entry.kind == EntryKind::Init && (!entry.graph.arguments.empty() || !entry.graph.results.empty()))
    report(where, "may have neither arguments nor results");
}

// A composite that calls itself could not be inlined.
void Verifier::check_calls_end() {
  enum class Mark { New, Open, Done };
  std::map<const Function*, Mark> marks;
  const std::function<void(const Function&)> visit = [&](const Function& function) {
    Mark& mark = marks[&function];
    if (mark == Mark::Open)
      report(std::string(function_kind_name(function.kind)) + " " + symbol_text(function.name),
             "calls itself");
    if (mark != Mark::New) return;
    mark = Mark::Open;
    for (NodeId id : function.body.nodes()) {
      const AttrValue* symbol = function.body[id].attributes.find(Attr::Symbol);
      if (!symbol || !op_info(function.body[id].op).has(Structural)) continue;
      if (const auto* name = std::get_if<std::string>(symbol))
        if (const auto callee = functions_.find(*name); callee != functions_.end()) visit(*callee->second);
    }
    marks[&function] = Mark::Done;
  };
  for (const Function& function : module_.functions) visit(function);
}

std::vector<std::string> Verifier::run() {
  const std::string where = "module " + symbol_text(module_.name);
  for (const std::string& name : repeated_names(module_.variables))
    report(where, "two variables are named " + symbol_text(name));
  for (const std::string& name : repeated_names(module_.functions))
    report(where, "two functions are named " + symbol_text(name));
  for (const std::string& name : repeated_names(module_.entries))
    report(where, "two entries are named " + symbol_text(name));
  check_variables();
  for (const Function& function : module_.functions) functions_.emplace(function.name, &function);
  for (const Function& function : module_.functions) check_function(function);
  for (const Entry& entry : module_.entries) check_entry(entry);
  check_calls_end();
  return std::move(errors_);
}

}  // namespace

std::vector<std::string> verify(const Module& module) { return Verifier(module).run(); }

}  // namespace nncc
