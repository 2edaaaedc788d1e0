#include "ir/evaluate.h"

#include "ir/diagnostic.h"
#include "ir/eval_rules.h"
#include "ir/scan.h"

namespace nncc {

std::vector<Literal> evaluate_node(const Graph& graph, NodeId id, std::span<const Literal> operands,
                                   const EvalOptions& options) {
  const Node& node = graph[id];
  std::vector<Literal> results = eval_rule(node.op)({node.attributes, operands, node.types});
  NNCC_CHECK(results.size() == node.types.size(),
             "a node evaluates to another number of results than it has");
  for (Literal& result : results) {
    // Integers are always exact, so they wrap; floats are kept in double precision unless asked otherwise.
    if (options.round || !result.is_float()) result.round_to_type();
  }
  return results;
}

Evaluator::Evaluator(const Module& module, EvalOptions options) : module_(module), options_(options) {
  for (const Variable& v : module_.variables) {
    Literal value = v.initial ? v.initial->dense() : Literal(v.type);
    if (options_.round) value.round_to_type();
    variables_.emplace(v.name, std::move(value));
  }
}

void Evaluator::initialize(int64_t seed) {
  for (const Variable& v : module_.variables)
    if (v.kind == VariableKind::Seed) variable(v.name).set_int(0, seed);
  for (const Entry& entry : module_.entries)
    if (entry.kind == EntryKind::Init) run(entry, {});
}

std::vector<Literal> Evaluator::run(const Entry& entry, std::span<const Literal> arguments) {
  for (const Graph* graph : {&entry.prepare, &entry.graph}) {
    std::vector<Literal> updates;
    const bool is_prepare = graph == &entry.prepare;
    std::vector<Literal> results =
        evaluate(*graph, is_prepare ? std::span<const Literal>{} : arguments, &updates);
    for (size_t i = 0; i < updates.size(); ++i) variable(graph->updates[i].variable) = std::move(updates[i]);
    if (!is_prepare) return results;
  }
  NNCC_UNREACHABLE("an entry has a graph");
}

std::vector<Literal> Evaluator::call(const Function& function, std::span<const Literal> arguments) {
  return evaluate(function.body, arguments, nullptr);
}

std::vector<Literal> Evaluator::scan(const Node& node, std::vector<Literal> operands) {
  const ScanParts parts = scan_parts(node);
  const Function* step = module_.find_function(node.attributes.string(Attr::Symbol));
  NNCC_CHECK(step, "a scan of a function that is not there is evaluated");
  std::vector<Literal> results(operands.begin(), operands.begin() + parts.carries);
  for (size_t i = parts.carries; i < node.types.size(); ++i) results.emplace_back(node.types[i]);
  for (int64_t done = 0; done < parts.steps; ++done) {
    const int64_t t = parts.reversed ? parts.steps - 1 - done : done;
    std::vector<Literal> arguments(results.begin(), results.begin() + parts.carries);
    for (size_t i = parts.carries; i < operands.size(); ++i) {
      if (!parts.is_sequence(static_cast<int>(i))) {
        arguments.push_back(operands[i]);
        continue;
      }
      Literal element(step_type(operands[i].type()));
      element.copy_elements(0, operands[i], t * element.num_elements(), element.num_elements());
      arguments.push_back(std::move(element));
    }
    std::vector<Literal> given = call(*step, arguments);
    for (int i = 0; i < parts.num_results(); ++i) {
      if (parts.is_carry(i))
        results[i] = std::move(given[i]);
      else
        results[i].copy_elements(t * given[i].num_elements(), given[i], 0, given[i].num_elements());
    }
  }
  return results;
}

std::vector<Literal> Evaluator::evaluate(const Graph& graph, std::span<const Literal> arguments,
                                         std::vector<Literal>* updates) {
  NNCC_CHECK(arguments.size() == graph.arguments.size(),
             "a graph is evaluated with another number of arguments");
  std::vector<std::vector<Literal>> values;  // of each node's results
  // How many operands and results still want a node's values.
  std::vector<int> wanted;
  const std::vector<NodeId> order = graph.topological_order();
  for (NodeId id : order) {
    const auto needed = static_cast<size_t>(id.index) + 1;
    if (values.size() < needed) {
      values.resize(needed);
      wanted.resize(needed, 0);
    }
  }
  const auto want = [&](Value v) { ++wanted[v.node.index]; };
  for (NodeId id : order)
    for (Value operand : graph[id].operands) want(operand);
  for (const Graph::Result& result : graph.results) want(result.value);
  for (const Graph::Update& update : graph.updates) want(update.value);

  for (NodeId id : order) {
    const Node& node = graph[id];
    std::vector<Literal>& results = values[id.index];
    std::vector<Literal> operands;
    for (Value operand : node.operands) {
      operands.push_back(values[operand.node.index].at(operand.result));
      if (--wanted[operand.node.index] == 0) values[operand.node.index].clear();
    }
    switch (node.op) {
      case Op::Input: {
        const Literal& argument = arguments[node.attributes.integer(Attr::Index)];
        NNCC_CHECK(argument.type() == node.types[0],
                   "an argument is " + argument.type().str() + ", expected " + node.types[0].str());
        results = {argument};
        if (options_.round) results[0].round_to_type();
        break;
      }
      case Op::Variable:
        results = {variable(node.attributes.string(Attr::Symbol))};
        break;
      case Op::Call:
      case Op::Kernel: {
        const Function* callee = module_.find_function(node.attributes.string(Attr::Symbol));
        NNCC_CHECK(callee, "a function that is not there is evaluated");
        results = call(*callee, operands);
        break;
      }
      case Op::Scan:
        results = scan(node, std::move(operands));
        break;
      default:
        results = evaluate_node(graph, id, operands, options_);
    }
    if (wanted[id.index] == 0) results.clear();
  }

  const auto value_of = [&](Value v) { return values[v.node.index].at(v.result); };
  std::vector<Literal> results;
  for (const Graph::Result& result : graph.results) results.push_back(value_of(result.value));
  if (updates)
    for (const Graph::Update& update : graph.updates) updates->push_back(value_of(update.value));
  return results;
}

}  // namespace nncc
