#include "passes/sparse_updates.h"

#include <optional>

#include "ir/builder.h"
#include "passes/fusion_rules.h"
#include "passes/graph_util.h"

namespace nncc {

namespace {

class SparseUpdate {
 public:
  SparseUpdate(Graph& graph, std::string variable)
      : graph_(graph), builder_(graph), variable_(std::move(variable)) {}

  // The new value with rows added one after the other, or nothing if `value` is no such sum.
  Value rewrite(Value value) {
    const DType dtype = graph_.type(value).dtype;
    if (dtype != DType::F32 && dtype != DType::F64) return {};
    if (!collect(value, Factors{}) || !old_ || terms_.empty()) return {};
    Value sum = old_;
    for (const Term& term : terms_) {
      const Node scatter = graph_[term.scatter];
      builder_.location = scatter.location;
      const Value rows = scaled(scatter.operands[2], term.factors);
      sum = builder_.add(Op::ScatterAdd, {sum, scatter.operands[1], rows}, scatter.attributes);
    }
    return sum;
  }

 private:
  // What a term is multiplied by: numbers, each one element or a constant that is the same everywhere, and a
  // sign.
  struct Factors {
    std::vector<Value> scalars;
    bool negative = false;
  };
  struct Term {
    NodeId scatter;
    Factors factors;
  };

  // Whether v is a sum of the variable itself and of scattered rows. Of all but the sum nothing else may need
  // the whole.
  bool collect(Value v, const Factors& factors) {
    const Node& node = graph_[v.node];
    switch (node.op) {
      case Op::Variable:
        if (old_ || factors.negative || !factors.scalars.empty()) return false;
        old_ = v;
        return node.attributes.string(Attr::Symbol) == variable_;
      case Op::Add:
        return collect_operand(node.operands[0], factors) && collect_operand(node.operands[1], factors);
      case Op::Sub:
        return collect_operand(node.operands[0], factors) &&
               collect_operand(node.operands[1], {factors.scalars, !factors.negative});
      case Op::Neg:
        return collect_operand(node.operands[0], {factors.scalars, !factors.negative});
      case Op::Mul:
        for (const int i : {0, 1}) {
          const Value scalar = spread_scalar(node.operands[i]);
          if (!scalar) continue;
          Factors more = factors;
          more.scalars.push_back(scalar);
          return collect_operand(node.operands[1 - i], more);
        }
        return false;
      case Op::ScatterAdd:
        // What it adds to first: rows are added in the order of the sum.
        if (splat_value(graph_, node.operands[0]) != 0.0 && !collect_operand(node.operands[0], factors))
          return false;
        terms_.push_back({v.node, factors});
        return true;
      default:
        return false;
    }
  }
  bool collect_operand(Value v, const Factors& factors) {
    return (graph_[v.node].op == Op::Variable || has_single_use(graph_, v)) && collect(v, factors);
  }

  // The one number behind every element, or nothing.
  Value spread_scalar(Value v) const {
    if (splat_value(graph_, v)) return v;
    while (fusion_role(graph_[v.node].op) == FusionRole::View ||
           fusion_role(graph_[v.node].op) == FusionRole::Repeat)
      v = graph_[v.node].operands[0];
    return graph_.type(v).num_elements() == 1 ? v : Value{};
  }

  Value scaled(Value rows, const Factors& factors) {
    if (factors.scalars.empty()) return factors.negative ? builder_.neg(rows) : rows;
    Value factor;
    for (Value scalar : factors.scalars) {
      const auto number = splat_value(graph_, scalar);
      scalar = number ? builder_.scalar(graph_.type(scalar).dtype, *number) : builder_.reshape(scalar, {});
      factor = factor ? builder_.mul(factor, scalar) : scalar;
    }
    if (factors.negative) factor = builder_.neg(factor);
    return builder_.mul(rows, builder_.broadcast(factor, graph_.type(rows).shape, {}));
  }

  Graph& graph_;
  GraphBuilder builder_;
  const std::string variable_;
  Value old_;
  std::vector<Term> terms_;
};

}  // namespace

bool sparse_updates(Module& module, PassContext& context) {
  if (context.options.accurate) return false;
  int replaced = 0;
  for (Entry& entry : module.entries) {
    Graph& graph = entry.graph;
    int here = 0;
    for (Graph::Update& update : graph.updates) {
      const Value value = SparseUpdate(graph, update.variable).rewrite(update.value);
      if (!value) continue;
      graph.set_name(value.node, graph[update.value.node].name);
      graph.replace_all_uses(update.value, value);
      ++here;
    }
    if (here > 0) graph.erase_dead();
    replaced += here;
  }
  context.count("updates of looked-up rows alone", replaced);
  return replaced > 0;
}

}  // namespace nncc
