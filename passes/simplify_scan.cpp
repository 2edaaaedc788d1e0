#include "passes/simplify_scan.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "ir/builder.h"
#include "passes/graph_util.h"
#include "passes/scan_editor.h"
#include "passes/scan_order.h"

namespace nncc {
namespace {

class Simplifier {
 public:
  Simplifier(ScanEditor& scan, PassContext& context) : scan_(scan), context_(context) {}

  bool run() {
    bool changed = false;
    for (bool again = true; again;) {
      again = drop_unused();
      again = drop_unchanging() || again;
      again = merge_equal() || again;
      again = take_in() || again;
      again = move_out() || again;
      changed = changed || again;
    }
    changed = read_last_of_stacked() || changed;
    if (changed) scan_.commit();
    return changed;
  }

 private:
  // What neither the outer graph nor another step needs.
  bool drop_unused() {
    Graph& body = scan_.body();
    std::set<NodeId> needed;
    const auto need = [&](Value v) {
      if (needed.contains(v.node)) return;
      const std::vector<NodeId> from{v.node};
      for (const NodeId id : body.ancestors(from)) needed.insert(id);
    };
    const size_t before =
        scan_.carries.size() + scan_.stacked.size() + scan_.sequences.size() + scan_.others.size();
    std::erase_if(scan_.stacked, [&](const ScanEditor::Stacked& s) { return !scan_.is_used(s.outer); });
    for (const ScanEditor::Stacked& s : scan_.stacked) need(s.value);
    std::vector<bool> live(scan_.carries.size(), false);
    for (bool again = true; again;) {
      again = false;
      for (size_t i = 0; i < live.size(); ++i) {
        const ScanEditor::Carried& c = scan_.carries[i];
        if (live[i] || !(scan_.is_used(c.last) || needed.contains(c.argument.node))) continue;
        live[i] = again = true;
        need(c.next);
      }
    }
    std::vector<ScanEditor::Carried> kept;
    for (size_t i = 0; i < live.size(); ++i)
      if (live[i]) kept.push_back(scan_.carries[i]);
    scan_.carries = std::move(kept);
    const auto is_unread = [&](const ScanEditor::Passed& p) { return !needed.contains(p.argument.node); };
    std::erase_if(scan_.sequences, is_unread);
    std::erase_if(scan_.others, is_unread);
    const size_t after =
        scan_.carries.size() + scan_.stacked.size() + scan_.sequences.size() + scan_.others.size();
    context_.count("values that scans need not carry, stack or read", static_cast<int64_t>(before - after));
    return after < before;
  }

  bool drop_unchanging() {
    bool changed = false;
    for (size_t i = 0; i < scan_.carries.size();) {
      const ScanEditor::Carried c = scan_.carries[i];
      const auto first = splat_value(scan_.outer(), c.first), next = splat_value(scan_.body(), c.next);
      const bool stays = c.next == c.argument;
      if (!stays && !(first && next && *first == *next && !std::signbit(*first))) {
        ++i;
        continue;
      }
      scan_.carries.erase(scan_.carries.begin() + static_cast<std::ptrdiff_t>(i));
      scan_.outer().replace_all_uses(c.last, c.first);
      if (stays)
        scan_.others.push_back({c.first, c.argument});
      else
        scan_.replace(c.argument, c.next);
      context_.count("carried values that never change");
      changed = true;
    }
    return changed;
  }

  bool merge_equal() {
    bool changed = false;
    for (auto* list : {&scan_.sequences, &scan_.others}) {
      for (size_t i = 0; i < list->size(); ++i) {
        for (size_t j = list->size() - 1; j > i; --j) {
          if ((*list)[j].outer != (*list)[i].outer) continue;
          scan_.replace((*list)[j].argument, (*list)[i].argument);
          list->erase(list->begin() + static_cast<std::ptrdiff_t>(j));
          changed = true;
        }
      }
    }
    auto& stacked = scan_.stacked;
    for (size_t i = 0; i < stacked.size(); ++i) {
      for (size_t j = stacked.size() - 1; j > i; --j) {
        if (stacked[j].value != stacked[i].value || !stacked[i].outer) continue;
        scan_.outer().replace_all_uses(stacked[j].outer, stacked[i].outer);
        stacked.erase(stacked.begin() + static_cast<std::ptrdiff_t>(j));
        changed = true;
      }
    }
    return changed;
  }

  // Numbers, and sequences of one element again and again.
  bool take_in() {
    bool changed = false;
    GraphBuilder outer(scan_.outer()), inner(scan_.body());
    for (auto* list : {&scan_.sequences, &scan_.others}) {
      for (size_t i = 0; i < list->size();) {
        const ScanEditor::Passed passed = (*list)[i];
        const Node& node = scan_.outer()[passed.outer.node];
        inner.location = node.location;
        Value now;
        if (const auto number = splat_value(scan_.outer(), passed.outer)) {
          now = splat(inner, inner.type(passed.argument), passed.outer);
        } else if (list == &scan_.sequences && node.op == Op::Broadcast) {
          std::vector<int64_t> dims = node.attributes.integers(Attr::Dims);
          const Value from = node.operands[0];
          const bool repeats = std::find(dims.begin(), dims.end(), 0) == dims.end();
          if (repeats) {
            for (int64_t& dim : dims) --dim;
            now = inner.broadcast(scan_.other(from), inner.type(passed.argument).shape, std::move(dims));
          }
        }
        if (!now) {
          ++i;
          continue;
        }
        scan_.replace(passed.argument, now);
        list->erase(list->begin() + static_cast<std::ptrdiff_t>(i));
        changed = true;
      }
    }
    return changed;
  }

  // The number that all of `of` is, as a constant of the body.
  Value splat(GraphBuilder& inner, const TensorType& type, Value of) {
    Value v = of;
    while (!constant_of(scan_.outer(), v)) v = scan_.outer()[v.node].operands[0];
    return inner.constant(splat_of(*constant_of(scan_.outer(), v), type));
  }

  // What is free stays: it would only take memory.
  static bool is_free(const Node& node) {
    return op_info(node.op).has(Leaf) || node.op == Op::Broadcast || node.op == Op::Reshape ||
           node.op == Op::Input;
  }

  bool move_out() {
    Graph& body = scan_.body();
    const std::vector<bool> varies = scan_.varies();
    const auto is_fixed = [&](NodeId id) {
      return static_cast<size_t>(id.index) < varies.size() && !varies[id.index];
    };
    std::set<Value> wanted;
    const auto want = [&](Value v) {
      while (is_fixed(v.node) && (body[v.node].op == Op::Broadcast || body[v.node].op == Op::Reshape))
        v = body[v.node].operands[0];
      if (is_fixed(v.node) && !is_free(body[v.node])) wanted.insert(v);
    };
    for (const NodeId id : body.nodes())
      if (!is_fixed(id))
        for (const Value operand : body[id].operands) want(operand);
    for (const auto& c : scan_.carries) want(c.next);
    for (const auto& s : scan_.stacked) want(s.value);
    for (const Value v : wanted) {
      scan_.replace(v, scan_.other(scan_.copy_out(v)));
      context_.count("values moved out of scans");
    }
    return !wanted.empty();
  }

  // The last of what is carried is there already if all of it is stacked.
  bool read_last_of_stacked() {
    bool changed = false;
    GraphBuilder outer(scan_.outer());
    outer.location = scan_.outer()[scan_.node()].location;
    for (const auto& c : scan_.carries) {
      if (!scan_.is_used(c.last)) continue;
      for (const auto& s : scan_.stacked) {
        if (s.value != c.next || !s.outer) continue;
        scan_.outer().replace_all_uses(c.last, last_step(outer, s.outer, scan_.reversed()));
        changed = true;
        break;
      }
    }
    return changed;
  }

  ScanEditor& scan_;
  PassContext& context_;
};

}  // namespace

bool simplify_scan(Module& module, PassContext& context) {
  make_steps_unique(module);
  bool changed = false;
  for_each_scan(module, [&](Graph& graph, NodeId id) {
    ScanEditor scan(module, graph, id);
    changed = Simplifier(scan, context).run() || changed;
  });
  return changed;
}

}  // namespace nncc
