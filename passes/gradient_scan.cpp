// The gradient of a scan: a scan over the same steps in the other order, whose step differentiates one step.
// What the forward step computed is kept, stacked, where it is dear; what is cheap is computed again.
#include <algorithm>
#include <map>
#include <set>

#include "ir/scan.h"
#include "passes/gradient_rules.h"
#include "passes/reverse_accumulation.h"

namespace nncc {
namespace {

// Cheaper to compute again than to store in one loop and load in another.
bool is_recomputed(const Node& node) {
  const OpInfo& info = op_info(node.op);
  return info.has(Cheap) || info.has(Movement) || info.has(Leaf);
}

class ScanGradient {
 public:
  explicit ScanGradient(GradientStep& s)
      : s_(s),
        parts_(scan_parts(s.node)),
        step_(*s.module.find_function(s.node.attributes.string(Attr::Symbol))),
        both_(step_.body) {}

  void run() {
    if (!differentiate_step()) return;
    find_kept();
    const std::map<Value, Value> forward = extend_forward();
    build_backward(forward);
  }

 private:
  // An argument of the step function that is being built, and what the scan is given for it.
  struct Passed {
    Value operand;   // of the outer graph
    Value argument;  // of the backward step
    Value next;      // of a carried one
  };

  Value argument(int i) const { return step_.body.arguments[i].value; }
  Value result(int i) const { return step_.body.results[i].value; }

  // Adds to a copy of the step its gradients with respect to the arguments that want them.
  bool differentiate_step() {
    std::vector<Seed> seeds;
    for (int i = 0; i < parts_.num_results(); ++i) {
      const Value v = result(i);
      if (!is_float(both_.type(v).dtype) || (!parts_.is_carry(i) && !s_.dys[i])) continue;
      const Value seed =
          both_.add_argument("d_" + step_.body.results[i].name, both_.type(v), both_[v.node].location);
      seeds.push_back({v, seed});
      (parts_.is_carry(i) ? carried_seeds_ : stacked_seeds_).emplace(i, seed);
    }
    std::vector<Value> xs;
    std::vector<int> operands;
    for (int i = 0; i < static_cast<int>(s_.node.operands.size()); ++i) {
      if (!is_float(both_.type(argument(i)).dtype) || (!parts_.is_carry(i) && !s_.wants(i))) continue;
      xs.push_back(argument(i));
      operands.push_back(i);
    }
    const auto gradients = accumulate_gradients(both_, s_.module, seeds, xs, s_.node.location, s_.diags);
    s_.failed = !gradients;
    if (s_.failed) return false;
    for (size_t i = 0; i < xs.size(); ++i)
      if ((*gradients)[i]) gradients_.emplace(operands[i], (*gradients)[i]);
    return true;
  }

  // Of what the forward step computes, and the gradients read, what is kept.
  void find_kept() {
    std::vector<bool> is_seed(both_.arguments.size(), false), moves(both_.arguments.size(), false);
    for (size_t i = step_.body.arguments.size(); i < is_seed.size(); ++i) is_seed[i] = true;
    for (int i = 0; i < parts_.first_other(); ++i) moves[i] = true;
    const std::vector<bool> backward = depends_on_arguments(both_, is_seed);
    const std::vector<bool> varies = depends_on_arguments(both_, moves);
    std::vector<Value> stack;
    std::set<Value> seen;
    const auto visit = [&](Value v) {
      if (seen.insert(v).second) stack.push_back(v);
    };
    for (const auto& [operand, gradient] : gradients_) visit(gradient);
    while (!stack.empty()) {
      const Value v = stack.back();
      stack.pop_back();
      const Node& node = both_[v.node];
      if (node.op == Op::Input)
        read_.insert(v);
      else if (!backward[v.node.index] && varies[v.node.index] && !is_recomputed(node))
        kept_.push_back(v);
      else
        for (const Value operand : node.operands) visit(operand);
    }
    std::sort(kept_.begin(), kept_.end());
  }

  // A scan in place of the differentiated one that also gives, stacked, what is kept and what the gradients
  // read of the carried values. Returns its results by value of the step.
  std::map<Value, Value> extend_forward() {
    std::vector<Value> stacked;  // values of the step
    for (int i = parts_.carries; i < parts_.num_results(); ++i) stacked.push_back(result(i));
    const auto add = [&](Value v) {
      if (std::find(stacked.begin(), stacked.end(), v) == stacked.end()) stacked.push_back(v);
    };
    for (int i = 0; i < parts_.carries; ++i)
      if (read_.count(argument(i))) add(result(i));
    for (const Value v : kept_) add(v);

    const size_t before = parts_.num_results() - parts_.carries;
    NodeId scan = s_.y.node;
    if (stacked.size() > before) {
      Function extended;
      extended.kind = FunctionKind::Step;
      extended.name = s_.module.unique_function_name(step_.name);
      extended.body = both_;
      Graph& body = extended.body;
      for (size_t i = before; i < stacked.size(); ++i)
        body.results.push_back({"kept_" + std::to_string(i), stacked[i]});
      body.arguments.resize(step_.body.arguments.size());
      body.erase_dead();
      std::vector<TensorType> types = s_.node.types;
      for (size_t i = before; i < stacked.size(); ++i)
        types.push_back(stacked_type(both_.type(stacked[i]), parts_.steps));
      Attributes attributes = s_.node.attributes;
      attributes.set(Attr::Symbol, extended.name);
      s_.module.functions.push_back(std::move(extended));
      scan = s_.b.add_multi(Op::Scan, s_.node.operands, std::move(types), std::move(attributes));
      s_.b.graph().set_name(scan, s_.node.name);
      for (int i = 0; i < parts_.num_results(); ++i) s_.b.graph().replace_all_uses({s_.y.node, i}, {scan, i});
    }
    std::map<Value, Value> results;
    for (size_t i = 0; i < stacked.size(); ++i)
      results.emplace(stacked[i], Value{scan, parts_.carries + static_cast<int32_t>(i)});
    return results;
  }

  // What was carried into each step: the first value, and after it, or before it in a reversed scan, those
  // that the other steps gave.
  Value carried_into_steps(int carry, Value given) {
    GraphBuilder& b = s_.b;
    const TensorType type = b.type(given);
    Shape one = type.shape;
    one[0] = 1;
    const Value first = b.reshape(s_.x(carry), one);
    const Value all = parts_.reversed ? b.add(Op::Concat, {given, first}, {{Attr::Axis, int64_t{0}}})
                                      : b.add(Op::Concat, {first, given}, {{Attr::Axis, int64_t{0}}});
    std::vector<int64_t> starts(type.rank(), 0), strides(type.rank(), 1);
    if (parts_.reversed) starts[0] = 1;
    return b.add_typed(Op::Slice, {all}, type,
                       {{Attr::Starts, std::move(starts)}, {Attr::Strides, std::move(strides)}});
  }

  // `forward`: stacked, what the forward scan gives of each value of its step.
  void build_backward(const std::map<Value, Value>& forward) {
    Function backward;
    backward.kind = FunctionKind::Step;
    backward.name = s_.module.unique_function_name(step_.name + ".gradient");
    backward.body = both_;
    Graph& body = backward.body;
    GraphBuilder inner(body);
    inner.location = s_.node.location;
    body.results.clear();
    for (size_t i = 0; i < kept_.size(); ++i) {
      const Value kept = body.add_argument("kept_" + std::to_string(i), both_.type(kept_[i]));
      body.replace_all_uses(kept_[i], kept);
      for (auto& [operand, gradient] : gradients_)
        if (gradient == kept_[i]) gradient = kept;
      sequences_.push_back({forward.at(kept_[i]), kept, {}});
    }
    for (const auto& [i, seed] : carried_seeds_) {
      const Value first = s_.dys[i] ? s_.dys[i] : s_.b.splat_like(s_.x(i), 0);
      const Value next = gradients_.count(i) ? gradients_.at(i) : inner.splat(body.type(seed), 0);
      carries_.push_back({first, seed, next});
    }
    for (const auto& [i, seed] : stacked_seeds_)
      if (read_.count(seed)) sequences_.push_back({s_.dys[i], seed, {}});
    // Gradients of what every step reads are summed over the steps.
    for (int i = parts_.first_other(); i < static_cast<int>(s_.node.operands.size()); ++i) {
      if (!gradients_.count(i)) continue;
      const Value sum = body.add_argument("sum_" + step_.body.arguments[i].name, body.type(argument(i)));
      carries_.push_back({s_.b.splat_like(s_.x(i), 0), sum, inner.add(sum, gradients_.at(i))});
    }
    const auto add_result = [&](Value v) {
      body.results.push_back({"gradient_" + std::to_string(body.results.size()), v});
    };
    for (const Passed& carry : carries_) add_result(carry.next);
    std::vector<int> stacked_operands;
    for (int i = parts_.carries; i < parts_.first_other(); ++i) {
      if (!gradients_.count(i)) continue;
      add_result(gradients_.at(i));
      stacked_operands.push_back(i);
    }
    pass_forward_values(forward);
    order_arguments(body);

    std::vector<Value> operands;
    std::vector<TensorType> types;
    for (const Passed& p : carries_) {
      operands.push_back(p.operand);
      types.push_back(s_.b.type(p.operand));
    }
    for (const auto* list : {&sequences_, &others_})
      for (const Passed& p : *list) operands.push_back(p.operand);
    for (const int i : stacked_operands) types.push_back(s_.type(i));
    Attributes attributes{{Attr::Symbol, backward.name},
                          {Attr::Steps, parts_.steps},
                          {Attr::Carries, static_cast<int64_t>(carries_.size())},
                          {Attr::Sequences, static_cast<int64_t>(sequences_.size())},
                          {Attr::Reversed, !parts_.reversed}};
    s_.module.functions.push_back(std::move(backward));
    const NodeId scan = s_.b.add_multi(Op::Scan, operands, std::move(types), std::move(attributes));
    int32_t next = 0;
    for (const auto& [i, seed] : carried_seeds_) s_.give(i, {scan, next++});
    for (int i = parts_.first_other(); i < static_cast<int>(s_.node.operands.size()); ++i)
      if (gradients_.count(i)) s_.give(i, {scan, next++});
    for (const int i : stacked_operands) s_.give(i, {scan, next++});
  }

  // The arguments of the forward step that the gradients read.
  void pass_forward_values(const std::map<Value, Value>& forward) {
    for (int i = 0; i < static_cast<int>(s_.node.operands.size()); ++i) {
      if (!read_.count(argument(i))) continue;
      if (parts_.is_carry(i))
        sequences_.push_back({carried_into_steps(i, forward.at(result(i))), argument(i), {}});
      else
        (parts_.is_sequence(i) ? sequences_ : others_).push_back({s_.x(i), argument(i), {}});
    }
  }

  // Arguments in the order of the scan's operands.
  void order_arguments(Graph& body) {
    std::vector<Graph::Argument> arguments;
    for (const auto* list : {&carries_, &sequences_, &others_})
      for (const Passed& p : *list)
        arguments.push_back(*std::find_if(body.arguments.begin(), body.arguments.end(),
                                          [&](const Graph::Argument& a) { return a.value == p.argument; }));
    set_arguments(body, std::move(arguments));
  }

  GradientStep& s_;
  const ScanParts parts_;
  const Function& step_;
  Graph both_;                          // the step and its gradients
  std::map<int, Value> carried_seeds_;  // by result
  std::map<int, Value> stacked_seeds_;
  std::map<int, Value> gradients_;  // by operand
  std::set<Value> read_;            // arguments that the gradients read
  std::vector<Value> kept_;         // of both_
  std::vector<Passed> carries_, sequences_, others_;
};

}  // namespace

void scan_gradient(GradientStep& s) { ScanGradient(s).run(); }

}  // namespace nncc
