#include "passes/fold_constants.h"

#include <algorithm>
#include <bit>

#include "ir/builder.h"
#include "ir/evaluate.h"
#include "passes/graph_util.h"

namespace nncc {
namespace {

constexpr int64_t kMaxResultElements = 4096;
constexpr int64_t kMaxOperandElements = 1 << 16;

bool is_uniform(const Literal& literal) { return literal.is_splat() || literal.num_elements() == 1; }

// A literal of equal elements as a splat.
Literal simplified(const Literal& literal) {
  if (is_uniform(literal)) return splat_of(literal, literal.type());
  const Literal splat = splat_of(literal, literal.type());
  for (int64_t i = 1; i < literal.num_elements(); ++i) {
    const bool same = literal.is_float()
                          ? std::bit_cast<uint64_t>(literal.real(i)) == std::bit_cast<uint64_t>(splat.real(0))
                          : literal.integer(i) == splat.integer(0);
    if (!same) return literal;
  }
  return splat;
}

class Folder {
 public:
  explicit Folder(Graph& graph) : graph_(graph), builder_(graph), opaque_(differentiated(graph)) {}

  int run() {
    int folded = 0;
    for (const NodeId id : graph_.topological_order()) {
      std::optional<Literal> value = fold(id);
      if (!value) continue;
      builder_.location = graph_[id].location;
      const Value constant = builder_.named(builder_.constant(std::move(*value)), graph_[id].name);
      graph_.replace_all_uses({id, 0}, constant);
      graph_.erase(id);
      ++folded;
    }
    return folded;
  }

 private:
  std::optional<Literal> fold(NodeId id) const {
    const Node& node = graph_[id];
    const OpInfo& info = op_info(node.op);
    if (node.operands.empty() || node.types.size() != 1 || info.has(Structural) || opaque_.count(id))
      return std::nullopt;
    std::vector<Literal> operands;
    bool uniform = info.has(Elementwise);
    int64_t elements = 0;
    for (const Value v : node.operands) {
      const Literal* literal = constant_of(graph_, v);
      if (!literal || opaque_.count(v.node)) return std::nullopt;
      uniform &= is_uniform(*literal);
      elements += literal->num_elements();
      operands.push_back(*literal);
    }
    if (uniform) return fold_uniform(node, operands);
    if (elements > kMaxOperandElements || node.types[0].num_elements() > kMaxResultElements)
      return std::nullopt;
    return simplified(evaluate(graph_, id, operands));
  }

  // One element computed for all.
  static std::optional<Literal> fold_uniform(const Node& node, const std::vector<Literal>& operands) {
    Graph scalar;
    GraphBuilder builder(scalar);
    std::vector<Value> values;
    std::vector<Literal> literals;
    for (const Literal& operand : operands) {
      literals.push_back(splat_of(operand, {operand.type().dtype, {}}));
      values.push_back(builder.constant(literals.back()));
    }
    const Value v = builder.add_typed(node.op, values, {node.types[0].dtype, {}}, node.attributes);
    return splat_of(evaluate(scalar, v.node, literals), node.types[0]);
  }

  static Literal evaluate(const Graph& graph, NodeId id, const std::vector<Literal>& operands) {
    EvalOptions options;
    options.round = true;
    std::vector<Literal> results = evaluate_node(graph, id, operands, options);
    results.at(0).round_to_type();
    return std::move(results[0]);
  }

  Graph& graph_;
  GraphBuilder builder_;
  const std::set<NodeId> opaque_;
};

}  // namespace

bool fold_constants(Module& module, PassContext& context) {
  int folded = 0;
  for_each_graph(module, [&](Graph& graph) { folded += Folder(graph).run(); });
  context.count("nodes folded", folded);
  return folded > 0;
}

}  // namespace nncc
