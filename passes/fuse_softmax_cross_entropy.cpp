#include "passes/fuse_softmax_cross_entropy.h"

#include <algorithm>
#include <functional>

#include "ir/builder.h"
#include "passes/claimed_calls.h"
#include "passes/graph_util.h"
#include "passes/inline.h"

namespace nncc {
namespace {

// A body of cross_entropy in the making that takes x - max(x) and log(sum e^(x - max(x))) for its
// probabilities p. All that it does with p ends in a logarithm, in one of these ways, or it cannot be
// rewritten:
//   log(p)
//   log(sum over the classes of select(is_label, p, 0))
//   log(select(counts_nothing, 1, p)), with eq(p, 0) a part of the condition
class LogarithmicBody {
 public:
  LogarithmicBody(Graph body, int64_t axis) : body_(std::move(body)), b_(body_), axis_(axis) {}

  // The new body, its arguments followed by the two; nothing if it cannot be done.
  std::optional<Graph> make() {
    const Value p = body_.arguments[0].value;
    const TensorType type = body_.type(p);
    TensorType row = type;
    row.shape.erase(row.shape.begin() + axis_);
    for (const Use use : body_.uses(p))
      if (!plan(p, use)) return std::nullopt;
    if (edits_.empty() || body_.is_result_or_update(p)) return std::nullopt;
    shifted_ = body_.add_argument("shifted", type);
    log_total_ = body_.add_argument("log_total", row);
    std::vector<int64_t> dims;
    for (int64_t i = 0; i < type.rank(); ++i)
      if (i != axis_) dims.push_back(i);
    log_p_ = b_.sub(shifted_, b_.broadcast(log_total_, type.shape, dims));
    for (const auto& [old, replacement] : edits_) {
      b_.location = body_[old.node].location;
      body_.replace_all_uses(old, replacement());
    }
    body_.erase_dead();
    return std::move(body_);
  }

 private:
  bool is_splat(Value v, double value) const { return splat_value(body_, v) == value; }

  // The one node that uses v, if it has this op.
  const Node* only_user(Value v, Op op, NodeId* id) const {
    if (!has_single_use(body_, v)) return nullptr;
    const std::vector<Use> uses = body_.uses(v);
    if (uses.empty() || body_[uses[0].user].op != op) return nullptr;
    *id = uses[0].user;
    return &body_[*id];
  }

  bool plan(Value p, Use use) {
    const Node& user = body_[use.user];
    const Value result{use.user, 0};
    NodeId log;
    if (user.op == Op::Log) {
      edits_.emplace_back(result, [this] { return log_p_; });
      return true;
    }
    if (user.op == Op::Eq && is_splat(user.operands[1 - use.operand], 0) &&
        user.operands[1 - use.operand] != p) {
      edits_.emplace_back(result, [this] { return b_.add(Op::Not, {b_.add(Op::IsFinite, {log_p_})}); });
      return true;
    }
    if (user.op != Op::Select) return false;
    const Value condition = user.operands[0];
    if (use.operand == 1 && is_splat(user.operands[2], 0)) {
      NodeId sum;
      const Node* reduction = only_user(result, Op::ReduceSum, &sum);
      if (!reduction || reduction->attributes.integers(Attr::Axes) != std::vector{axis_}) return false;
      if (!only_user({sum, 0}, Op::Log, &log)) return false;
      edits_.emplace_back(Value{log, 0}, [this, condition] {
        const Value taken = b_.select(condition, shifted_, b_.splat_like(shifted_, 0));
        return b_.sub(b_.reduce(Op::ReduceSum, taken, {axis_}), log_total_);
      });
      return true;
    }
    if (use.operand == 2 && is_splat(user.operands[1], 1) && only_user(result, Op::Log, &log)) {
      edits_.emplace_back(Value{log, 0}, [this, select = use.user] {
        const Value condition_now = body_[select].operands[0];
        return b_.select(condition_now, b_.splat_like(log_p_, 0), log_p_);
      });
      return true;
    }
    return false;
  }

  Graph body_;
  GraphBuilder b_;
  const int64_t axis_;
  std::vector<std::pair<Value, std::function<Value()>>> edits_;  // what replaces which value
  Value shifted_, log_total_, log_p_;
};

class Fuser {
 public:
  Fuser(Module& module, PassContext& context) : module_(module), context_(context) {}

  bool run(Graph& graph) {
    const std::set<NodeId> opaque = differentiated(graph);
    int fused = 0;
    for (const NodeId id : graph.topological_order()) {
      const Function* loss = claimed_callee(module_, graph, id, "cross_entropy");
      if (!loss || graph[id].types.size() != 1 || opaque.count(id)) continue;
      const NodeId source = graph[id].operands.at(0).node;
      const Function* softmax = claimed_callee(module_, graph, source, "softmax");
      if (!softmax || opaque.count(source)) continue;
      if (fuse(graph, id, *loss, source, *softmax)) ++fused;
    }
    context_.count("losses fused", fused);
    if (fused > 0) graph.erase_dead();
    return fused > 0;
  }

 private:
  bool fuse(Graph& graph, NodeId id, const Function& loss, NodeId source, const Function& softmax) {
    const std::optional<int64_t> axis = softmax_axis(softmax);
    if (!axis) return false;
    const Node call = graph[id];
    std::optional<Graph> body = LogarithmicBody(located_body(loss, call.location), *axis).make();
    if (!body) return false;

    GraphBuilder b(graph);
    b.location = graph[source].location;
    const Value x = graph[source].operands[0];
    const Shape shape = b.type(x).shape;
    std::vector<int64_t> dims;
    for (int64_t i = 0; i < static_cast<int64_t>(shape.size()); ++i)
      if (i != *axis) dims.push_back(i);
    const Value largest = b.add(Op::StopGradient, {b.reduce(Op::ReduceMax, x, {*axis})});
    const Value shifted = b.sub(x, b.broadcast(largest, shape, dims));
    const Value total = b.reduce(Op::ReduceSum, b.add(Op::Exp, {shifted}), {*axis});

    std::vector<Value> arguments = call.operands;
    arguments.push_back(shifted);
    arguments.push_back(b.add(Op::Log, {total}));
    const Value result = inline_body(*body, arguments, graph, call.location)[0];
    if (!call.name.empty()) graph.set_name(result.node, call.name);
    graph.replace_all_uses({id, 0}, result);
    graph.erase(id);
    return true;
  }

  Module& module_;
  PassContext& context_;
};

}  // namespace

bool fuse_softmax_cross_entropy(Module& module, PassContext& context) {
  bool changed = false;
  Fuser fuser(module, context);
  for_each_graph(module, [&](Graph& graph) { changed |= fuser.run(graph); });
  return changed;
}

}  // namespace nncc
