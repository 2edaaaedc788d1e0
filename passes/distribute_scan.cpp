#include "passes/distribute_scan.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <set>

#include "ir/builder.h"
#include "passes/batching_rules.h"
#include "passes/graph_util.h"
#include "passes/scan_editor.h"
#include "passes/scan_order.h"

namespace nncc {
namespace {

// Terms of a sum over the steps are stacked up to this size, in bytes of one.
constexpr int64_t kSmallTerm = 4096;

class Distributor {
 public:
  Distributor(ScanEditor& scan, PassContext& context)
      : scan_(scan), context_(context), outer_(scan.outer()), inner_(scan.body()) {
    outer_.location = inner_.location = scan.outer()[scan.node()].location;
  }

  bool run() {
    if (scan_.steps() == 1) return false;
    split_products();
    move_before();
    find_sums();
    find_after();
    if (!changed_) return false;
    old_body_ = body();
    scan_.commit();
    compute_after();
    return true;
  }

 private:
  Graph& body() { return scan_.body(); }

  // Dear enough to be done for all steps at once, at the price of storing what goes in or comes out.
  static bool is_dear(const Node& node) {
    const OpInfo& info = op_info(node.op);
    return info.has(Contraction) || info.has(Reduction) || node.op == Op::Gather || node.op == Op::CheckIndex;
  }

  // [x, h] w is x w' + h w", of which one may not have to wait.
  void split_products() {
    const std::vector<bool> waits = scan_.depends_on_carries();
    for (const NodeId id : body().topological_order()) {
      const Node node = body()[id];
      if (node.op != Op::MatMul || node.types[0].rank() != 2 || node.attributes.boolean(Attr::TransposeA) ||
          static_cast<size_t>(id.index) >= waits.size() || !waits[id.index])
        continue;
      const Node concat = body()[node.operands[0].node];
      if (concat.op != Op::Concat || concat.attributes.integer(Attr::Axis) != 1) continue;
      const auto is_free = [&](Value v) { return !waits[v.node.index]; };
      const auto free = std::count_if(concat.operands.begin(), concat.operands.end(), is_free);
      if (free == 0 || free == static_cast<int64_t>(concat.operands.size())) continue;
      inner_.location = node.location;
      const bool transposed = node.attributes.boolean(Attr::TransposeB);
      const Value w = node.operands[1];
      int64_t start = 0;
      Value sum;
      for (const Value part : concat.operands) {
        TensorType piece = inner_.type(w);
        const int axis = transposed ? 1 : 0;
        piece.shape[axis] = inner_.type(part).shape[1];
        std::vector<int64_t> starts(2, 0);
        starts[axis] = start;
        start += piece.shape[axis];
        const Value rows = inner_.add_typed(
            Op::Slice, {w}, piece, {{Attr::Starts, starts}, {Attr::Strides, std::vector<int64_t>{1, 1}}});
        const Value product = inner_.add(Op::MatMul, {part, rows}, node.attributes);
        sum = sum ? inner_.add(sum, product) : product;
      }
      scan_.replace({id, 0}, sum);
      context_.count("products taken apart");
      changed_ = true;
    }
    body().erase_dead();
  }

  // Whether all steps of a node can be computed at once, its operands being stacked where they vary.
  bool is_batchable(NodeId id, const std::vector<bool>& varies) {
    const Node& node = body()[id];
    if (node.types.size() != 1) return false;
    std::array<bool, 64> stacked{};
    if (node.operands.size() > stacked.size()) return false;
    for (size_t i = 0; i < node.operands.size(); ++i) stacked[i] = varies[node.operands[i].node.index];
    return can_batch(body(), id, {stacked.data(), node.operands.size()});
  }

  // What depends on no carried value, is dear or arithmetic on something dear, and can be batched with all it
  // needs.
  void move_before() {
    const std::vector<bool> waits = scan_.depends_on_carries(), varies = scan_.varies();
    std::map<NodeId, bool> possible,
        moved;  // possible: with its operands; moved: and is or has something dear
    for (const NodeId id : body().topological_order()) {
      if (static_cast<size_t>(id.index) >= varies.size() || !varies[id.index] || waits[id.index]) continue;
      const Node& node = body()[id];
      if (node.op == Op::Input) {
        possible[id] = true;
        continue;
      }
      bool operands_possible = true, some_moved = false, some_raw = false;
      for (const Value operand : node.operands) {
        if (!varies[operand.node.index]) continue;
        operands_possible = operands_possible && possible[operand.node];
        some_moved = some_moved || moved[operand.node];
        some_raw = some_raw || !moved[operand.node];
      }
      possible[id] = operands_possible && is_batchable(id, varies);
      moved[id] = possible[id] && (is_dear(node) || (some_moved && !some_raw));
    }
    std::set<Value> wanted;  // by what stays
    const auto want = [&](Value v) {
      if (moved[v.node]) wanted.insert(v);
    };
    for (const NodeId id : body().nodes())
      if (!moved[id])
        for (const Value operand : body()[id].operands) want(operand);
    for (const auto& c : scan_.carries) want(c.next);
    for (const auto& s : scan_.stacked) want(s.value);
    for (const Value v : wanted) {
      // A cheap node that stays may feed a moved one; it is then computed in both places.
      const Value all = stacked_outside(v, varies);
      for (auto s = scan_.stacked.begin(); s != scan_.stacked.end();) {
        if (s->value != v || !s->outer) {
          ++s;
          continue;
        }
        scan_.outer().replace_all_uses(s->outer, all);
        s = scan_.stacked.erase(s);
      }
      if (!body().uses(v).empty() || is_carried_on(v)) {
        const Value argument = body().add_argument("before", inner_.type(v), body()[v.node].location);
        scan_.sequences.push_back({all, argument});
        scan_.replace(v, argument);
      }
      context_.count("values computed before scans");
      changed_ = true;
    }
  }

  bool is_carried_on(Value v) const {
    return std::any_of(scan_.carries.begin(), scan_.carries.end(),
                       [&](const ScanEditor::Carried& c) { return c.next == v; });
  }

  // All steps' elements of a value that no carried one is needed for, in the outer graph.
  Value stacked_outside(Value v, const std::vector<bool>& varies) {
    if (const auto it = outside_.find(v); it != outside_.end()) return it->second;
    for (const auto& p : scan_.sequences)
      if (p.argument == v) return outside_[v] = p.outer;
    return outside_[v] = batch_outside(v.node, [&](Value operand) -> BatchedValue {
             // What was added since is an argument for something computed before.
             const bool is_new = static_cast<size_t>(operand.node.index) >= varies.size();
             if (is_new || varies[operand.node.index]) return {stacked_outside(operand, varies), true};
             return {scan_.copy_out(operand), false};
           });
  }

  template <typename Operand>
  Value batch_outside(NodeId id, Operand operand) {
    std::vector<BatchedValue> operands;
    for (const Value v : body()[id].operands) operands.push_back(operand(v));
    outer_.location = body()[id].location;
    const Value all = batch(outer_, body(), id, operands, scan_.steps());
    if (scan_.outer()[all.node].name.empty()) scan_.outer().set_name(all.node, body()[id].name);
    return all;
  }

  // Sums over the steps.
  struct Term {
    NodeId product;               // a product over rows, or none
    Value stacked;                // else what is stacked
    std::vector<int64_t> axes;    // and summed over, counted in the step
    std::vector<NodeId> wrapped;  // linear arithmetic around it, innermost first
    bool negative = false;
  };
  struct Sum {
    Value first, last;  // of the outer graph
    std::vector<Term> terms;
  };

  // Taken apart into terms that are cheap to stack. `wrapped`: outermost first.
  bool find_terms(Value v, std::vector<NodeId> wrapped, bool negative, const std::vector<bool>& varies,
                  std::vector<Term>& terms) {
    const Node& node = body()[v.node];
    Term term;
    term.negative = negative;
    switch (node.op) {
      case Op::Add:
        return find_terms(node.operands[0], wrapped, negative, varies, terms) &&
               find_terms(node.operands[1], wrapped, negative, varies, terms);
      case Op::Sub:
        return find_terms(node.operands[0], wrapped, negative, varies, terms) &&
               find_terms(node.operands[1], wrapped, !negative, varies, terms);
      case Op::Neg:
        return find_terms(node.operands[0], wrapped, !negative, varies, terms);
      case Op::Pad:
        if (splat_value(body(), node.operands[1]) != 0.0) break;
        [[fallthrough]];
      case Op::Reshape:
      case Op::Transpose:
        wrapped.push_back(v.node);
        return find_terms(node.operands[0], wrapped, negative, varies, terms);
      default:
        break;
    }
    std::reverse(wrapped.begin(), wrapped.end());
    term.wrapped = std::move(wrapped);
    const bool is_sum_of_rows = node.op == Op::MatMul && node.types[0].rank() == 2 &&
                                node.attributes.boolean(Attr::TransposeA) &&
                                !node.attributes.boolean(Attr::TransposeB) &&
                                varies[node.operands[0].node.index] && varies[node.operands[1].node.index];
    if (is_sum_of_rows) {
      term.product = v.node;
    } else if (!varies[v.node.index]) {
      return false;  // would have been multiplied
    } else if (node.op == Op::ReduceSum) {
      term.stacked = node.operands[0];
      term.axes = node.attributes.integers(Attr::Axes);
    } else if (node.types[0].byte_size() <= kSmallTerm) {
      term.stacked = v;
    } else {
      return false;
    }
    terms.push_back(std::move(term));
    return true;
  }

  void find_sums() {
    const std::vector<bool> varies = scan_.varies();
    for (size_t i = 0; i < scan_.carries.size();) {
      const ScanEditor::Carried c = scan_.carries[i];
      const Node& add = body()[c.next.node];
      Value term;
      if (add.op == Op::Add && is_float(add.types[0].dtype))
        term = add.operands[0] == c.argument   ? add.operands[1]
               : add.operands[1] == c.argument ? add.operands[0]
                                               : Value{};
      const bool is_sum =
          term && term != c.argument && has_single_use_as_carry(c) && body().uses(c.argument).size() == 1;
      Sum sum{c.first, c.last, {}};
      if (!is_sum || !find_terms(term, {}, false, varies, sum.terms)) {
        ++i;
        continue;
      }
      for (const Term& t : sum.terms) {
        if (t.product)
          for (const Value operand : body()[t.product].operands) stack(operand);
        else
          stack(t.stacked);
      }
      sums_.push_back(std::move(sum));
      scan_.carries.erase(scan_.carries.begin() + static_cast<std::ptrdiff_t>(i));
      context_.count("sums taken out of scans");
      changed_ = true;
    }
  }

  // The next value is nothing else's.
  bool has_single_use_as_carry(const ScanEditor::Carried& carry) {
    if (!body().uses(carry.next).empty()) return false;
    int uses = 0;
    for (const auto& c : scan_.carries) uses += c.next == carry.next;
    for (const auto& s : scan_.stacked) uses += s.value == carry.next;
    return uses == 1;
  }

  // Makes sure that after the loop all steps' elements of a value are known.
  void stack(Value v) {
    if (is_known_outside(v)) return;
    scan_.stacked.push_back({v, {}});
  }
  bool is_known_outside(Value v) const {
    const auto varying = [&](const auto& list, auto member) {
      return std::any_of(list.begin(), list.end(), [&](const auto& x) { return x.*member == v; });
    };
    return varying(scan_.sequences, &ScanEditor::Passed::argument) ||
           varying(scan_.others, &ScanEditor::Passed::argument) ||
           varying(scan_.stacked, &ScanEditor::Stacked::value);
  }

  // Dear results, and cheap ones of dear ones, that no later step needs.
  void find_after() {
    std::vector<NodeId> carried;
    for (const auto& c : scan_.carries) carried.push_back(c.next.node);
    const std::vector<NodeId> loop = body().ancestors(carried);
    const std::vector<bool> varies = scan_.varies();
    const auto is_in_loop = [&](NodeId id) { return std::binary_search(loop.begin(), loop.end(), id); };
    std::set<NodeId> after;
    // What a result needs, from the result on, as far as it is not needed in the loop and leads to something
    // dear.
    for (const auto& s : scan_.stacked) {
      if (is_in_loop(s.value.node) || !varies[s.value.node.index]) continue;
      for (const NodeId id : dear_part(s.value.node, is_in_loop, varies)) after.insert(id);
    }
    if (after.empty()) return;
    for (auto s = scan_.stacked.begin(); s != scan_.stacked.end();) {
      if (!after.contains(s->value.node)) {
        ++s;
        continue;
      }
      if (s->outer) after_.push_back(*s);  // else a term of a sum
      s = scan_.stacked.erase(s);
      context_.count("values computed after scans");
      changed_ = true;
    }
    after_nodes_ = after;
    for (const NodeId id : after)
      for (const Value operand : body()[id].operands)
        if (varies[operand.node.index] && !after.contains(operand.node)) stack(operand);
    // Sums may be of what is computed after the loop.
    std::erase_if(scan_.stacked, [&](const ScanEditor::Stacked& s) {
      return !s.outer && after_nodes_.contains(s.value.node);
    });
  }

  // The nodes from `end` back to the dear ones, if all of them can be batched.
  template <typename InLoop>
  std::set<NodeId> dear_part(NodeId end, const InLoop& is_in_loop, const std::vector<bool>& varies) {
    std::set<NodeId> part;
    const std::function<bool(NodeId)> visit = [&](NodeId id) -> bool {
      if (static_cast<size_t>(id.index) >= varies.size() || !varies[id.index] || is_in_loop(id)) return false;
      if (body()[id].op == Op::Input || !is_batchable(id, varies)) return false;
      bool leads = is_dear(body()[id]);
      for (const Value operand : body()[id].operands) leads = visit(operand.node) || leads;
      if (leads) part.insert(id);
      return leads;
    };
    visit(end);
    return part;
  }

  // After commit(), which has renumbered the body: what was taken out, from what is stacked.
  void compute_after() {
    for (const auto& s : scan_.stacked) known_[s.value] = {s.outer, true};
    for (const auto& p : scan_.sequences) known_[p.argument] = {p.outer, true};
    for (const auto& p : scan_.others) known_[p.argument] = {p.outer, false};
    for (const auto& s : after_) scan_.outer().replace_all_uses(s.outer, outside(s.value).value);
    for (const Sum& sum : sums_) {
      Value total = sum.first;
      for (const Term& term : sum.terms) {
        const Value v = value_of(term);
        total = term.negative ? outer_.sub(total, v) : outer_.add(total, v);
      }
      scan_.outer().replace_all_uses(sum.last, total);
    }
  }

  // A value of the old body, for all steps or as it is in each.
  BatchedValue outside(Value v) {
    if (const auto it = known_.find(v); it != known_.end()) return it->second;
    const Node& node = old_body_[v.node];
    NNCC_CHECK(node.op != Op::Input && node.types.size() == 1, "a value of a step is not known outside");
    std::vector<BatchedValue> operands;
    for (const Value operand : node.operands) operands.push_back(outside(operand));
    outer_.location = node.location;
    const bool is_stacked =
        std::any_of(operands.begin(), operands.end(), [](const BatchedValue& o) { return o.is_stacked; });
    BatchedValue result{{}, is_stacked};
    if (is_stacked) {
      result.value = batch(outer_, old_body_, v.node, operands, scan_.steps());
    } else {
      Node copy = node;
      for (size_t i = 0; i < operands.size(); ++i) copy.operands[i] = operands[i].value;
      result.value = {scan_.outer().add(std::move(copy)), 0};
    }
    return known_[v] = result;
  }

  Value value_of(const Term& term) {
    Value v;
    if (term.product) {
      const Node& product = old_body_[term.product];
      outer_.location = product.location;
      std::array<Value, 2> rows;
      for (int i = 0; i < 2; ++i) {
        const Value all = outside(product.operands[i]).value;
        const Shape& shape = outer_.type(all).shape;
        rows[i] = outer_.reshape(all, {shape[0] * shape[1], shape[2]});
      }
      v = outer_.add(Op::MatMul, rows, product.attributes);
    } else {
      const Value all = outside(term.stacked).value;
      std::vector<int64_t> axes = {0};
      for (const int64_t axis : term.axes) axes.push_back(axis + 1);
      v = outer_.reduce(Op::ReduceSum, all, std::move(axes));
    }
    for (const NodeId id : term.wrapped) {
      Node copy = old_body_[id];
      copy.operands[0] = v;
      for (size_t i = 1; i < copy.operands.size(); ++i) copy.operands[i] = outside(copy.operands[i]).value;
      v = {scan_.outer().add(std::move(copy)), 0};
    }
    return v;
  }

  ScanEditor& scan_;
  PassContext& context_;
  GraphBuilder outer_, inner_;
  std::map<Value, Value> outside_;
  std::vector<Sum> sums_;
  std::vector<ScanEditor::Stacked> after_;
  std::set<NodeId> after_nodes_;
  Graph old_body_;
  std::map<Value, BatchedValue> known_;  // of old_body_, in the outer graph
  bool changed_ = false;
};

}  // namespace

bool distribute_scan(Module& module, PassContext& context) {
  make_steps_unique(module);
  bool changed = false;
  for_each_scan(module, [&](Graph& graph, NodeId id) {
    ScanEditor scan(module, graph, id);
    changed = Distributor(scan, context).run() || changed;
  });
  return changed;
}

}  // namespace nncc
