#include "passes/reverse_accumulation.h"

#include <algorithm>
#include <map>
#include <set>

#include "passes/gradient_rules.h"

namespace nncc {
namespace {

using Kind = GradientRule::Kind;

class ReverseAccumulation {
 public:
  ReverseAccumulation(Graph& graph, Module& module, Location location, Diagnostics& diags)
      : graph_(graph), module_(module), builder_(graph), location_(std::move(location)), diags_(diags) {}

  std::optional<std::vector<Value>> run(std::span<const Seed> seeds, std::span<const Value> xs) {
    find_active(seeds, xs);
    for (const Seed& seed : seeds)
      if (active_.count(seed.value)) adjoints_[seed.value].push_back({seed.gradient, false});
    for (auto it = order_.rbegin(); it != order_.rend(); ++it)
      if (!step_back(*it)) return std::nullopt;

    std::vector<Value> results;
    builder_.location = location_;
    for (const Value x : xs) {
      const SignedValue sum = adjoint(x);
      results.push_back(sum.value ? with_sign(sum) : Value{});
    }
    return results;
  }

 private:
  // The values that lie on a path from an x to a seed, and their nodes in topological order.
  void find_active(std::span<const Seed> seeds, std::span<const Value> xs) {
    std::vector<NodeId> roots, end;
    for (const Value x : xs) {
      active_.insert(x);
      roots.push_back(x.node);
    }
    for (const Seed& seed : seeds) end.push_back(seed.value.node);
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
    const size_t num_results = graph_[id].types.size();
    bool negative = false;
    std::vector<Value> dys;
    for (size_t i = 0; i < num_results; ++i) {
      SignedValue dy = adjoint({id, static_cast<int32_t>(i)});
      // Rules are linear in dy, so they work for -dy, too; but a sign is cheapest to change among elementwise
      // arithmetic, ahead of a product.
      if (dy.value && (num_results > 1 || op_info(graph_[id].op).has(Contraction)))
        dy = {with_sign(dy), false};
      negative = dy.negative;
      dys.push_back(dy.value);
    }
    if (std::none_of(dys.begin(), dys.end(), [](Value dy) { return static_cast<bool>(dy); })) return true;
    GradientStep step(builder_, module_, diags_, id, std::move(dys), std::move(wanted));
    rule.apply(step);
    if (step.failed) return false;
    for (size_t i = 0; i < step.node.operands.size(); ++i) {
      SignedValue gradient = step.gradients()[i];
      if (!gradient.value) continue;
      gradient.negative ^= negative;
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
  Module& module_;
  GraphBuilder builder_;
  const Location location_;
  Diagnostics& diags_;
  std::set<Value> active_;
  std::vector<NodeId> order_;
  std::map<Value, std::vector<SignedValue>> adjoints_;
};

}  // namespace

std::optional<std::vector<Value>> accumulate_gradients(Graph& graph, Module& module,
                                                       std::span<const Seed> seeds, std::span<const Value> xs,
                                                       Location location, Diagnostics& diags) {
  return ReverseAccumulation(graph, module, std::move(location), diags).run(seeds, xs);
}

}  // namespace nncc
