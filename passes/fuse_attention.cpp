#include "passes/fuse_attention.h"

#include <algorithm>
#include <cmath>

#include "ir/attention.h"
#include "ir/builder.h"
#include "passes/claimed_calls.h"
#include "passes/graph_util.h"

namespace nncc {
namespace {

constexpr int64_t kFewestQueries = 8;

// What an index tensor holds: the coordinate along `axis` of its shape (none: 0) plus `offset`.
struct Affine {
  int64_t axis = -1, offset = 0;
};

std::optional<Affine> affine(const Graph& graph, Value v) {
  const Node& node = graph[v.node];
  const Shape& shape = node.types[0].shape;
  if (const auto splat = splat_value(graph, v)) return Affine{-1, static_cast<int64_t>(*splat)};
  if (node.op == Op::Iota) return Affine{node.attributes.integer(Attr::Axis), 0};
  if (node.op == Op::Broadcast) {
    auto from = affine(graph, node.operands[0]);
    if (from && from->axis >= 0) {
      const bool is_one = graph.type(node.operands[0]).shape[from->axis] == 1;
      from->axis = is_one ? -1 : node.attributes.integers(Attr::Dims)[from->axis];
    }
    return from;
  }
  if (node.op == Op::Reshape) {
    // The axes that are more than one index long stay in their order.
    auto from = affine(graph, node.operands[0]);
    if (!from || from->axis < 0) return from;
    const Shape& before = graph.type(node.operands[0]).shape;
    if (before[from->axis] == 1) return Affine{-1, from->offset};
    std::vector<int64_t> old_axes, new_axes;
    for (size_t i = 0; i < before.size(); ++i)
      if (before[i] > 1) old_axes.push_back(static_cast<int64_t>(i));
    for (size_t i = 0; i < shape.size(); ++i)
      if (shape[i] > 1) new_axes.push_back(static_cast<int64_t>(i));
    if (old_axes.size() != new_axes.size()) return std::nullopt;
    for (size_t i = 0; i < old_axes.size(); ++i) {
      if (before[old_axes[i]] != shape[new_axes[i]]) return std::nullopt;
      if (old_axes[i] == from->axis) return Affine{new_axes[i], from->offset};
    }
    return std::nullopt;
  }
  if (node.op == Op::Add || node.op == Op::Sub) {
    const auto a = affine(graph, node.operands[0]), b = affine(graph, node.operands[1]);
    if (!a || !b || (a->axis >= 0 && b->axis >= 0)) return std::nullopt;
    if (node.op == Op::Add) return Affine{std::max(a->axis, b->axis), a->offset + b->offset};
    if (b->axis >= 0) return std::nullopt;
    return Affine{a->axis, a->offset - b->offset};
  }
  return std::nullopt;
}

class Fuser {
 public:
  Fuser(Module& module, PassContext& context) : module_(module), context_(context) {}

  static bool has_gradient(const Graph& graph) {
    const std::vector<NodeId> nodes = graph.nodes();
    return std::any_of(nodes.begin(), nodes.end(), [&](NodeId id) { return graph[id].op == Op::Gradient; });
  }

  // `differentiated_later`: as a part of another graph.
  bool run(Graph& graph, bool differentiated_later) {
    opaque_ = differentiated(graph);
    has_gradient_ = differentiated_later || has_gradient(graph);
    int fused = 0;
    for (const NodeId id : graph.topological_order())
      if (graph[id].op == Op::MatMul && fuse(graph, id)) ++fused;
    context_.count("attentions fused", fused);
    if (fused > 0) graph.erase_dead();
    return fused > 0;
  }

 private:
  struct Scores {
    Value queries, keys;  // [.., t, d] and [.., u, d]
    double scale = 1;
    bool causal = false;
    std::vector<Value> masks;  // of the shape of the scores
  };

  bool is_inner(const Graph& graph, Value v) const {
    return has_single_use(graph, v) && !opaque_.contains(v.node);
  }

  // Whether the condition holds where key j <= query i + (keys - queries), and nowhere else.
  static bool is_causal(const Graph& graph, Value condition) {
    const Shape& shape = graph.type(condition).shape;
    const auto rank = static_cast<int64_t>(shape.size());
    std::vector<std::vector<int64_t>> repeats;  // the axes that those of the comparison become
    Value v = condition;
    for (; graph[v.node].op == Op::Broadcast; v = graph[v.node].operands[0])
      repeats.push_back(graph[v.node].attributes.integers(Attr::Dims));
    const Node& node = graph[v.node];
    if (node.op != Op::Ge && node.op != Op::Le) return false;
    const bool query_first = node.op == Op::Ge;
    auto query = affine(graph, node.operands[query_first ? 0 : 1]),
         key = affine(graph, node.operands[query_first ? 1 : 0]);
    if (!query || !key || query->axis < 0 || key->axis < 0) return false;
    for (auto dims = repeats.rbegin(); dims != repeats.rend(); ++dims) {
      query->axis = (*dims)[query->axis];
      key->axis = (*dims)[key->axis];
    }
    return query->axis == rank - 2 && key->axis == rank - 1 &&
           query->offset - key->offset == shape[rank - 1] - shape[rank - 2];
  }

  // The other factor if one operand of a product or the divisor of a quotient is a positive number.
  static std::optional<Value> scaled(const Graph& graph, const Node& node, double* scale) {
    for (const int i : {1, 0}) {
      const auto factor = splat_value(graph, node.operands[i]);
      if (!factor || !(*factor > 0) || !std::isfinite(*factor)) continue;
      if (node.op == Op::Mul || (node.op == Op::Div && i == 1)) {
        *scale *= node.op == Op::Mul ? *factor : 1 / *factor;
        return node.operands[1 - i];
      }
    }
    return std::nullopt;
  }

  std::optional<Scores> find_scores(Graph& graph, Value v) {
    Scores scores;
    for (;;) {
      if (!is_inner(graph, v)) return std::nullopt;
      const Node node = graph[v.node];
      if (node.op == Op::Select) {
        if (splat_value(graph, node.operands[2]) != -INFINITY) return std::nullopt;
        if (is_causal(graph, node.operands[0]))
          scores.causal = true;
        else
          scores.masks.push_back(node.operands[0]);
        v = node.operands[1];
      } else if (const auto factor = scaled(graph, node, &scores.scale)) {
        v = *factor;
      } else {
        if (node.op != Op::MatMul || node.attributes.boolean(Attr::TransposeA)) return std::nullopt;
        scores.queries = node.operands[0];
        scores.keys = node.operands[1];
        if (!node.attributes.boolean(Attr::TransposeB))
          scores.keys = with_last_axes_swapped(graph, scores.keys);
        return scores;
      }
    }
  }

  static std::vector<int64_t> swap_of_last_axes(int rank) {
    std::vector<int64_t> perm;
    for (int64_t axis = 0; axis < rank; ++axis) perm.push_back(axis);
    std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
    return perm;
  }
  static Value with_last_axes_swapped(Graph& graph, Value v) {
    const std::vector<int64_t> perm = swap_of_last_axes(graph.type(v).rank());
    const Node& node = graph[v.node];
    if (node.op == Op::Transpose && node.attributes.integers(Attr::Perm) == perm) return node.operands[0];
    return GraphBuilder(graph).transpose(v, perm);
  }

  // [b, h, ..]; of lower rank: one head of as many batches.
  static Shape with_heads(Shape shape) {
    if (shape.size() == 3) shape.insert(shape.begin() + 1, 1);
    while (shape.size() < 4) shape.insert(shape.begin(), 1);
    return shape;
  }

  // Before it was spread over what it does not depend on.
  static Value narrow_mask(GraphBuilder& b, Value mask) {
    const Node& node = b.graph()[mask.node];
    if (node.op != Op::Broadcast) return mask;
    const Shape& from = b.type(node.operands[0]).shape;
    Shape shape(node.types[0].shape.size(), 1);
    const auto& dims = node.attributes.integers(Attr::Dims);
    for (size_t i = 0; i < dims.size(); ++i) shape[dims[i]] = from[i];
    return b.reshape(node.operands[0], shape);
  }

  Value build_mask(GraphBuilder& b, const Scores& scores) {
    Value all;
    for (Value mask : scores.masks) {
      mask = narrow_mask(b, mask);
      mask = b.reshape(mask, with_heads(b.type(mask).shape));
      if (all) {
        const Shape shape = *broadcast_shapes(b.type(all).shape, b.type(mask).shape);
        mask = b.add(Op::And, {b.broadcast_to(all, shape), b.broadcast_to(mask, shape)});
      }
      all = mask;
    }
    return all;
  }

  bool is_cheaper(const AttentionShape& s, DType dtype) const {
    if (dtype != DType::F32 && dtype != DType::F64) return false;
    if (s.queries < kFewestQueries || (s.causal && s.queries > s.keys)) return false;
    return s.stack_bytes(has_gradient_, dtype) <= kMostAttentionStack;
  }

  // [b, h, t, d] as it was before heads came in front of positions: of [b, t, h, d], which may have been
  // scaled since.
  static Value positions_first(GraphBuilder& b, Value v) {
    const Node node = b.graph()[v.node];
    const std::vector<int64_t> perm = {0, 2, 1, 3};
    if (node.op == Op::Transpose && node.attributes.integers(Attr::Perm) == perm) return node.operands[0];
    double factor = 1;
    if (node.op != Op::Mul && node.op != Op::Div) return {};
    const auto inner = scaled(b.graph(), node, &factor);
    if (!inner) return {};
    const Value turned = positions_first(b, *inner);
    if (!turned) return {};
    const double number = *splat_value(b.graph(), node.operands[node.operands[0] == *inner ? 1 : 0]);
    return b.add(node.op, {turned, b.splat_like(turned, number)});
  }

  bool fuse(Graph& graph, NodeId id) {
    const Node node = graph[id];
    if (node.attributes.boolean(Attr::TransposeA) || node.attributes.boolean(Attr::TransposeB)) return false;
    if (opaque_.contains(id)) return false;
    const Value weights = node.operands[0];
    const Function* softmax = claimed_callee(module_, graph, weights.node, "softmax");
    const int rank = graph.type(weights).rank();
    if (!softmax || rank > 4 || softmax_axis(*softmax) != rank - 1 || !is_inner(graph, weights)) return false;
    const auto scores = find_scores(graph, graph[weights.node].operands[0]);
    if (!scores) return false;

    GraphBuilder b(graph);
    b.location = node.location;
    std::vector<Value> operands = {scores->queries, scores->keys, node.operands[1]};
    std::vector<TensorType> types;
    for (const Value v : operands) types.push_back({b.type(v).dtype, with_heads(b.type(v).shape)});
    Attributes attributes{{Attr::Axis, int64_t{2}}, {Attr::Causal, scores->causal}};
    if (!is_cheaper(attention_shape(Op::Attention, types, attributes), types[0].dtype)) return false;

    if (scores->scale != 1) operands[0] = b.mul(operands[0], scores->scale);
    std::vector<Value> turned;
    for (size_t i = 0; i < operands.size(); ++i) {
      operands[i] = b.reshape(operands[i], types[i].shape);
      turned.push_back(rank == 4 ? positions_first(b, operands[i]) : Value{});
    }
    const bool turn = std::all_of(turned.begin(), turned.end(), [](Value v) { return static_cast<bool>(v); });
    if (turn) {
      operands = turned;
      attributes.set(Attr::Axis, int64_t{1});
    }
    if (const Value mask = build_mask(b, *scores)) operands.push_back(mask);
    Value y = b.add(Op::Attention, operands, attributes);
    if (turn) y = b.transpose(y, {0, 2, 1, 3});
    y = b.reshape(y, node.types[0].shape);
    if (!node.name.empty()) graph.set_name(y.node, node.name);
    graph.replace_all_uses({id, 0}, y);
    graph.erase(id);
    return true;
  }

  Module& module_;
  PassContext& context_;
  std::set<NodeId> opaque_;
  bool has_gradient_ = false;
};

}  // namespace

bool fuse_attention(Module& module, PassContext& context) {
  bool changed = false, differentiates = false;
  for_each_graph(module, [&](Graph& graph) { differentiates |= Fuser::has_gradient(graph); });
  Fuser fuser(module, context);
  for (Entry& entry : module.entries)
    for (Graph* graph : {&entry.graph, &entry.prepare}) changed |= fuser.run(*graph, false);
  for (Function& function : module.functions)
    if (function.kind != FunctionKind::Kernel) changed |= fuser.run(function.body, differentiates);
  return changed;
}

}  // namespace nncc
