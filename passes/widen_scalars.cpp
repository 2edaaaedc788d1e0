#include "passes/widen_scalars.h"

#include <algorithm>
#include <map>

#include "ir/builder.h"
#include "passes/graph_util.h"

namespace nncc {

namespace {

class Widening {
 public:
  explicit Widening(Graph& graph) : graph_(graph), builder_(graph) {}

  int run() {
    std::vector<NodeId> replaced;
    for (NodeId id : graph_.topological_order())
      if (widen(id)) replaced.push_back(id);
    // What is left of the f32 side is where it meets tensors, variables and results.
    for (NodeId id : replaced) {
      const Value narrow{id, 0};
      if (graph_.type(narrow).dtype != DType::F32) {
        graph_.replace_all_uses(narrow, wide_.at(narrow));
      } else if (is_needed(narrow)) {
        builder_.location = graph_[id].location;
        graph_.replace_all_uses(narrow, builder_.cast(wide_.at(narrow), DType::F32));
      }
    }
    return static_cast<int>(replaced.size());
  }

 private:
  // Makes the f64 twin of an elementwise scalar whose operands have one, or can have.
  bool widen(NodeId id) {
    const Node node = graph_[id];
    const bool is_scalar_arithmetic = op_info(node.op).has(Elementwise) && node.types[0].rank() == 0;
    if (!is_scalar_arithmetic || !known_early(id)) return false;
    const bool has_floats = node.types[0].dtype == DType::F32 ||
                            std::any_of(node.operands.begin(), node.operands.end(),
                                        [&](Value v) { return graph_.type(v).dtype == DType::F32; });
    if (!has_floats) return false;
    builder_.location = node.location;
    std::vector<Value> operands;
    for (Value v : node.operands) operands.push_back(widened(v));
    TensorType type = node.types[0];
    if (type.dtype == DType::F32) type.dtype = DType::F64;
    const Value twin = builder_.add_typed(node.op, operands, type, node.attributes);
    wide_[{id, 0}] = builder_.named(twin, node.name);
    return true;
  }
  Value widened(Value v) {
    if (auto it = wide_.find(v); it != wide_.end()) return it->second;
    if (graph_.type(v).dtype != DType::F32) return v;
    if (const Literal* literal = constant_of(graph_, v))
      return wide_[v] = builder_.scalar(DType::F64, literal->real(0));
    return wide_[v] = builder_.cast(v, DType::F64);
  }
  // Depends on scalars of variables and constants alone, through elementwise arithmetic.
  bool known_early(NodeId id) {
    if (auto it = known_early_.find(id); it != known_early_.end()) return it->second;
    const Node& node = graph_[id];
    const OpInfo& info = op_info(node.op);
    const bool is_source = info.has(Leaf) && info.num_operands == 0 && node.op != Op::Input;
    bool known = node.types[0].rank() == 0 && (is_source || info.has(Elementwise));
    for (Value v : node.operands) known = known && known_early(v.node);
    return known_early_[id] = known;
  }
  // Someone outside the f64 side uses it.
  bool is_needed(Value v) const {
    if (graph_.is_result_or_update(v)) return true;
    const std::vector<Use> uses = graph_.uses(v);
    return std::any_of(uses.begin(), uses.end(), [&](const Use& use) { return !wide_.count({use.user, 0}); });
  }

  Graph& graph_;
  GraphBuilder builder_;
  std::map<Value, Value> wide_;
  std::map<NodeId, bool> known_early_;
};

}  // namespace

bool widen_scalars(Module& module, PassContext& context) {
  int widened = 0;
  for_each_graph(module, [&](Graph& graph) {
    const int scalars = Widening(graph).run();
    if (scalars > 0) graph.erase_dead();
    widened += scalars;
  });
  context.count("scalars computed in f64", widened);
  return widened > 0;
}

}  // namespace nncc
