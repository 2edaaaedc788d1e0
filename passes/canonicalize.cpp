#include "passes/canonicalize.h"

#include <algorithm>
#include <array>
#include <deque>

#include "passes/graph_util.h"
#include "passes/rules/rules.h"

namespace nncc {

const Node* Rewrite::made_by(Value v, Op op) const {
  const Node& node = b.graph()[v.node];
  return node.op == op && !opaque_.count(v.node) ? &node : nullptr;
}

const Literal* Rewrite::constant(Value v) const {
  return opaque_.count(v.node) ? nullptr : constant_of(b.graph(), v);
}

std::optional<double> Rewrite::splat(Value v) const {
  if (opaque_.empty()) return splat_value(b.graph(), v);
  const Literal* literal = constant(v);
  return literal ? splat_value(b.graph(), v) : std::nullopt;
}

bool Rewrite::only_use(Value v) const { return has_single_use(b.graph(), v); }

std::vector<const RewriteRule*> all_rewrite_rules() {
  std::vector<const RewriteRule*> rules;
  for (const auto family : {arithmetic_rules(), movement_rules(), reduction_rules(), matmul_rules()})
    for (const RewriteRule& rule : family) rules.push_back(&rule);
  return rules;
}

std::vector<Op> ops_with(OpTrait trait) {
  std::vector<Op> ops;
  for (const OpInfo& info : all_ops())
    if (info.has(trait)) ops.push_back(info.op);
  return ops;
}

namespace {

// The rules that start from each op.
using RuleTable = std::array<std::vector<const RewriteRule*>, kNumOps>;

const RuleTable& rule_table() {
  static const RuleTable table = [] {
    RuleTable t;
    for (const RewriteRule* rule : all_rewrite_rules())
      for (const Op root : rule->roots) t[static_cast<size_t>(root)].push_back(rule);
    return t;
  }();
  return table;
}

class Driver {
 public:
  Driver(Graph& graph, bool gradients_left, PassContext& context)
      : graph_(graph),
        builder_(graph),
        opaque_(differentiated(graph)),
        gradients_left_(gradients_left),
        context_(context) {}

  bool run() {
    const int dead = graph_.erase_dead();
    context_.count("dead nodes erased", dead);
    for (const NodeId id : graph_.topological_order()) push(id);
    // Rules make graphs smaller or move one way, so this bound is never met unless two rules undo each other.
    const int64_t limit = 1000 + 100 * int64_t{graph_.num_nodes()};
    int64_t steps = 0;
    std::string_view last, last_but_one;
    while (!work_.empty()) {
      const NodeId id = work_.front();
      work_.pop_front();
      queued_.erase(id);
      if (!graph_.contains(id) || opaque_.count(id)) continue;
      const RewriteRule* rule = rewrite(id);
      if (!rule) continue;
      context_.count(std::string(rule->name));
      NNCC_CHECK(++steps <= limit, "the rewrite rules `" + std::string(last_but_one) + "`, `" +
                                       std::string(last) + "` and `" + std::string(rule->name) +
                                       "` come to no end");
      last_but_one = last;
      last = rule->name;
    }
    return dead > 0 || steps > 0;
  }

 private:
  void push(NodeId id) {
    newest_ = std::max(newest_, id);
    if (queued_.insert(id).second) work_.push_back(id);
  }

  const RewriteRule* rewrite(NodeId id) {
    builder_.location = graph_[id].location;
    for (const RewriteRule* rule : rule_table()[static_cast<size_t>(graph_[id].op)]) {
      const Value replacement = rule->apply(Rewrite(builder_, id, opaque_, gradients_left_));
      if (!replacement) continue;
      NNCC_CHECK(graph_.type(replacement) == graph_[id].types[0],
                 "the rewrite rule `" + std::string(rule->name) + "` changes a type");
      replace(id, replacement);
      return rule;
    }
    return nullptr;
  }

  void replace(NodeId id, Value replacement) {
    const Node& fresh = graph_[replacement.node];
    if (!graph_[id].name.empty() && fresh.name.empty() && fresh.op != Op::Input)
      graph_.set_name(replacement.node, graph_[id].name);
    push_new(replacement.node, newest_);
    graph_.replace_all_uses({id, 0}, replacement);
    for (const NodeId user : graph_.users(replacement.node)) push(user);
    erase_if_dead(id);
  }

  // The nodes that a rule added, operands first.
  void push_new(NodeId id, NodeId known) {
    if (id <= known || queued_.count(id)) return;
    for (const Value operand : graph_[id].operands) push_new(operand.node, known);
    push(id);
  }

  // With everything that only it needed; what is left with one use may now match where it did not.
  void erase_if_dead(NodeId id) {
    const Node& node = graph_[id];
    if (node.op == Op::Input || !graph_.users(id).empty()) return;
    for (size_t i = 0; i < node.types.size(); ++i)
      if (graph_.is_result_or_update({id, static_cast<int32_t>(i)})) return;
    const std::vector<Value> operands = node.operands;
    graph_.erase(id);
    for (const Value operand : operands) {
      if (!graph_.contains(operand.node)) continue;
      erase_if_dead(operand.node);
      if (!graph_.contains(operand.node)) continue;
      const std::vector<NodeId> users = graph_.users(operand.node);
      if (users.size() == 1) push(users[0]);
    }
  }

  Graph& graph_;
  GraphBuilder builder_;
  const std::set<NodeId> opaque_;
  const bool gradients_left_;
  PassContext& context_;
  std::deque<NodeId> work_;
  std::set<NodeId> queued_;
  NodeId newest_;
};

bool has_gradient(const Graph& graph) {
  for (const NodeId id : graph.nodes())
    if (graph[id].op == Op::Gradient) return true;
  return false;
}

}  // namespace

bool canonicalize(Module& module, PassContext& context) {
  bool gradients_left = false, changed = false;
  for_each_graph(module, [&](Graph& graph) { gradients_left |= has_gradient(graph); });
  for_each_graph(module, [&](Graph& graph) { changed |= Driver(graph, gradients_left, context).run(); });
  return changed;
}

}  // namespace nncc
