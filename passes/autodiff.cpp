#include "passes/autodiff.h"

#include <algorithm>
#include <map>
#include <set>

#include "passes/gradient_rules.h"
#include "passes/graph_util.h"

namespace nncc {
namespace {

using Kind = GradientRule::Kind;

class ReverseAccumulation {
 public:
  ReverseAccumulation(Graph& graph, NodeId gradient, Diagnostics& diags)
      : graph_(graph), builder_(graph), node_(graph[gradient]), diags_(diags) {}

  // One value for each x; empty after an error.
  std::vector<Value> run() {
    const Value loss = node_.operands[0];
    const std::span<const Value> xs = std::span(node_.operands).subspan(1);
    find_active(loss, xs);
    builder_.location = graph_[loss.node].location;
    if (active_.count(loss)) adjoints_[loss].push_back({builder_.splat_like(loss, 1), false});
    for (auto it = order_.rbegin(); it != order_.rend(); ++it)
      if (!step_back(*it)) return {};

    std::vector<Value> results;
    builder_.location = node_.location;
    for (const Value x : xs) {
      const SignedValue sum = adjoint(x);
      results.push_back(sum.value ? with_sign(sum) : builder_.splat_like(x, 0));
    }
    return results;
  }

 private:
  // The values that lie on a path from an x to the loss, and their nodes in topological order.
  void find_active(Value loss, std::span<const Value> xs) {
    std::vector<NodeId> roots;
    for (const Value x : xs) {
      active_.insert(x);
      roots.push_back(x.node);
    }
    const std::vector<NodeId> end{loss.node};
    const std::vector<NodeId> needed = graph_.ancestors(end), reached = graph_.descendants(roots);
    std::set<NodeId> between;
    std::set_intersection(needed.begin(), needed.end(), reached.begin(), reached.end(),
                          std::inserter(between, between.end()));
    for (const NodeId id : graph_.topological_order()) {
      if (!between.count(id)) continue;
      order_.push_back(id);
      const Node& node = graph_[id];
      if (gradient_rule(node.op).kind == Kind::Zero || gradient_rule(node.op).kind == Kind::Leaf) continue;
      const bool moves = std::any_of(node.operands.begin(), node.operands.end(),
                                     [&](Value v) { return active_.count(v) > 0; });
      for (int i = 0; moves && i < static_cast<int>(node.types.size()); ++i)
        if (is_float(node.types[i].dtype)) active_.insert({id, i});
    }
  }

  // The sum of what the users of v gave, in the order they came: users last in the graph first.
  SignedValue adjoint(Value v) {
    auto it = adjoints_.find(v);
    if (it == adjoints_.end()) return {};
    std::vector<SignedValue>& parts = it->second;
    SignedValue sum = parts[0];
    for (size_t i = 1; i < parts.size(); ++i) {
      const SignedValue part = parts[i];
      if (part.negative == sum.negative)
        sum.value = builder_.add(sum.value, part.value);
      else
        sum = sum.negative ? SignedValue{builder_.sub(part.value, sum.value), false}
                           : SignedValue{builder_.sub(sum.value, part.value), false};
    }
    parts.assign(1, sum);
    return sum;
  }

  Value with_sign(SignedValue v) { return v.negative ? builder_.neg(v.value) : v.value; }

  bool step_back(NodeId id) {
    const GradientRule& rule = gradient_rule(graph_[id].op);
    if (rule.kind == Kind::Structural) return refuse(id, rule);
    if (rule.kind != Kind::Differentiable) return true;
    std::vector<bool> wanted;
    for (const Value operand : graph_[id].operands) wanted.push_back(active_.count(operand) > 0);
    if (std::find(wanted.begin(), wanted.end(), true) == wanted.end()) return true;
    builder_.location = graph_[id].location;
    SignedValue dy = adjoint({id, 0});
    if (!dy.value) return true;
    // Rules are linear in dy, so they work for -dy, too; but a sign is cheapest to change among elementwise
    // arithmetic, ahead of a product.
    if (op_info(graph_[id].op).has(Contraction)) dy = {with_sign(dy), false};
    GradientStep step(builder_, id, dy.value, std::move(wanted));
    rule.apply(step);
    for (size_t i = 0; i < step.node.operands.size(); ++i) {
      SignedValue gradient = step.gradients()[i];
      if (!gradient.value) continue;
      gradient.negative ^= dy.negative;
      NNCC_CHECK(graph_.type(gradient.value) == step.type(static_cast<int>(i)),
                 "the gradient of `" + std::string(op_info(step.node.op).name) +
                     "` has another type than its operand");
      adjoints_[step.node.operands[i]].push_back(gradient);
    }
    return true;
  }

  bool refuse(NodeId id, const GradientRule& rule) {
    const Node& node = graph_[id];
    const bool on_path = std::any_of(node.operands.begin(), node.operands.end(),
                                     [&](Value v) { return active_.count(v) > 0; });
    if (!on_path) return true;
    std::string what = "`" + std::string(op_info(node.op).name) + "`";
    if (const AttrValue* symbol = node.attributes.find(Attr::Symbol))
      what += " of `@" + std::get<std::string>(*symbol) + "`";
    diags_.error(node.location.range, "cannot differentiate " + what + ": " + std::string(rule.reason));
    return false;
  }

  Graph& graph_;
  GraphBuilder builder_;
  const Node node_;
  Diagnostics& diags_;
  std::set<Value> active_;
  std::vector<NodeId> order_;
  std::map<Value, std::vector<SignedValue>> adjoints_;
};

NodeId first_gradient(const Graph& graph) {
  for (const NodeId id : graph.topological_order())
    if (graph[id].op == Op::Gradient) return id;
  return {};
}

}  // namespace

bool autodiff(Module& module, PassContext& context) {
  bool changed = false, ok = true;
  for_each_graph(module, [&](Graph& graph) {
    while (ok) {
      const NodeId id = first_gradient(graph);
      if (!id) return;
      const int before = graph.num_nodes();
      const std::vector<Value> results = ReverseAccumulation(graph, id, context.diags).run();
      if (results.empty() && graph[id].operands.size() > 1) {
        ok = false;
        return;
      }
      for (size_t i = 0; i < results.size(); ++i)
        graph.replace_all_uses({id, static_cast<int32_t>(i)}, results[i]);
      graph.erase(id);
      context.count("gradients made");
      context.count("nodes added", graph.num_nodes() - before + 1);
      changed = true;
    }
  });
  return changed;
}

}  // namespace nncc
