#include "passes/channels_last.h"

#include <algorithm>
#include <map>
#include <set>

#include "ir/builder.h"
#include "ir/convolution.h"
#include "ir/graph_cut.h"
#include "passes/layout_rules.h"
#include "passes/pack_convolutions.h"

namespace nncc {

namespace {

using Demand = LayoutDemand;

int64_t transposed_bytes(const TensorType& type) {
  return layouts_agree(type.shape) ? 0 : 2 * type.byte_size();
}

// The nodes that are computed with channels last: a cut of the graph of nodes and conversions. A value that
// is wanted in its other layout is converted once for all who want it.
std::set<NodeId> choose(const Graph& graph) {
  FlowNetwork network;  // the source's side: channels last
  std::map<NodeId, int> nodes;
  std::map<Value, int> to_last, to_first;
  const auto node_of = [&](NodeId id) {
    const auto [it, added] = nodes.try_emplace(id, -1);
    if (added) it->second = network.add_node();
    return it->second;
  };
  // Where a conversion of v would be paid for.
  const auto converted_to_last = [&](Value v) {
    const auto [it, added] = to_last.try_emplace(v, -1);
    if (added) {
      it->second = network.add_node();
      network.add_edge(it->second, node_of(v.node), transposed_bytes(graph.type(v)));
    }
    return it->second;
  };
  const auto converted_to_first = [&](Value v) {
    const auto [it, added] = to_first.try_emplace(v, -1);
    if (added) {
      it->second = network.add_node();
      network.add_edge(node_of(v.node), it->second, transposed_bytes(graph.type(v)));
    }
    return it->second;
  };
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph[id];
    const Demand demand = layout_demand(graph, id);
    const int self = node_of(id);
    if (!demand.can_be_first) network.tie_to_source(self);
    if (!demand.can_be_last) network.tie_to_sink(self);
    for (size_t i = 0; i < node.operands.size(); ++i) {
      const Value v = node.operands[i];
      if (graph.type(v).rank() < 3) continue;
      const Demand::Operand wanted = demand.operands[i];
      if (wanted == Demand::Same) {
        network.add_edge(self, converted_to_last(v), FlowNetwork::kInfinite);
        network.add_edge(converted_to_first(v), self, FlowNetwork::kInfinite);
      } else if (wanted == Demand::First) {
        network.tie_to_sink(converted_to_first(v));
      } else if (wanted == Demand::Last) {
        network.tie_to_source(converted_to_last(v));
      }
    }
  }
  const auto end = [&](Value v) {
    if (graph.type(v).rank() >= 3) network.tie_to_sink(converted_to_first(v));
  };
  for (const auto& result : graph.results) end(result.value);
  for (const auto& update : graph.updates) end(update.value);

  const FlowNetwork::Cut cut = network.minimum_cut();
  std::set<NodeId> last;
  // Where it makes no difference to transpositions: sums over images and biases are rows with channels last.
  for (const auto& [id, index] : nodes)
    if (!cut.in_sink[index]) last.insert(id);
  return last;
}

class Rewriter {
 public:
  Rewriter(Graph& graph, const PassOptions& options, std::set<NodeId> last)
      : graph_(graph), builder_(graph), options_(options), last_(std::move(last)) {}

  ChannelsLastResult run() {
    for (const NodeId id : graph_.topological_order()) {
      const Node node = graph_[id];
      builder_.location = node.location;
      if (is_convolution(node.op) && layout_demand(graph_, id).operands[0] == Demand::Last)
        convolve(id, node);
      else if (last_.contains(id))
        compute_last(id, node);
      else
        compute_first(id, node);
    }
    for (auto& result : graph_.results) result.value = first(result.value);
    for (auto& update : graph_.updates) update.value = first(update.value);
    graph_.erase_dead();
    return result_;
  }

 private:
  // The value in each layout.
  Value last(Value v) {
    if (graph_.type(v).rank() < 3) return v;
    const auto [it, added] = in_last_.try_emplace(v);
    if (added) it->second = transpose(v, perm_to_channels_last(graph_.type(v).rank()), graph_.type(v).shape);
    return it->second;
  }
  // Of a value computed with channels last, which v still names.
  Value first(Value v) {
    if (!last_.contains(v.node) || graph_.type(v).rank() < 3) return v;
    const auto [it, added] = in_first_.try_emplace(v);
    if (added)
      it->second =
          transpose(in_last_.at(v), perm_to_channels_first(graph_.type(v).rank()), graph_.type(v).shape);
    return it->second;
  }

  // `first`: the shape with channels first.
  Value transpose(Value v, const std::vector<int64_t>& perm, const Shape& first) {
    const TensorType type = graph_.type(v);
    if (layouts_agree(first)) {
      Shape shape;
      for (const int64_t axis : perm) shape.push_back(type.shape[axis]);
      return builder_.reshape(v, shape);
    }
    ++result_.transposes;
    result_.bytes_transposed += transposed_bytes({type.dtype, first});
    return builder_.transpose(v, perm);
  }

  void compute_first(NodeId id, const Node& node) {
    const Demand demand = layout_demand(graph_, id);
    for (size_t i = 0; i < node.operands.size(); ++i) {
      const Value v = node.operands[i];
      // A reduction takes the layout that is there.
      if (demand.operands[i] == Demand::Either && last_.contains(v.node) && graph_.type(v).rank() >= 3) {
        const Value reduced =
            builder_.add(node.op, std::array{in_last_.at(v)}, attributes_with_channels_last(graph_, id));
        replace(id, node, reduced);
        return;
      }
      graph_.set_operand(id, static_cast<int>(i), first(v));
    }
  }

  void compute_last(NodeId id, const Node& node) {
    TensorType type = node.types[0];
    type.shape = with_channels_last(type.shape);
    Value value;
    if (node.op == Op::Constant) {
      value = builder_.constant(node.attributes.literal(Attr::Value).reshaped(type.shape));
    } else if (node.op == Op::Broadcast) {
      value = broadcast(node, type);
    } else {
      const Demand demand = layout_demand(graph_, id);
      std::vector<Value> operands;
      for (size_t i = 0; i < node.operands.size(); ++i)
        operands.push_back(demand.operands[i] == Demand::Same ? last(node.operands[i])
                                                              : first(node.operands[i]));
      value = builder_.add_typed(node.op, operands, type, attributes_with_channels_last(graph_, id));
    }
    keep_name(value, node);
    in_last_[{id, 0}] = value;
  }

  Value broadcast(const Node& node, const TensorType& type) {
    const Value from = node.operands[0];
    const Shape shape = graph_.type(from).shape;
    const auto& dims = node.attributes.integers(Attr::Dims);
    const int rank = type.rank();
    if (static_cast<int>(shape.size()) == rank) return builder_.broadcast(last(from), type.shape, dims);
    // Axes of extent 1 count for nothing; the others may come in another order.
    std::vector<std::pair<int64_t, int64_t>> axes;  // where it goes, which of those kept
    Shape kept;
    for (size_t i = 0; i < shape.size(); ++i) {
      if (shape[i] == 1) continue;
      axes.emplace_back(axis_with_channels_last(dims[i], rank), static_cast<int64_t>(kept.size()));
      kept.push_back(shape[i]);
    }
    std::sort(axes.begin(), axes.end());
    std::vector<int64_t> perm, to;
    for (const auto& [target, source] : axes) {
      to.push_back(target);
      perm.push_back(source);
    }
    return builder_.broadcast(builder_.transpose(builder_.reshape(first(from), kept), perm), type.shape, to);
  }

  void convolve(NodeId id, const Node& node) {
    const bool by_weight = node.op == Op::ConvWeightGradient;
    const Value a = last(node.operands[0]), b = by_weight ? last(node.operands[1]) : first(node.operands[1]);
    const Value result = pack_convolution(builder_, node, a, b, options_);
    ++result_.convolutions;
    if (by_weight) {
      replace(id, node, result);
    } else {
      keep_name(result, node);
      in_last_[{id, 0}] = result;
    }
  }

  void keep_name(Value v, const Node& node) {
    if (graph_[v.node].name.empty()) graph_.set_name(v.node, node.name);
  }
  void replace(NodeId id, const Node& node, Value v) {
    keep_name(v, node);
    graph_.replace_all_uses({id, 0}, v);
  }

  Graph& graph_;
  GraphBuilder builder_;
  const PassOptions& options_;
  std::set<NodeId> last_;
  std::map<Value, Value> in_last_, in_first_;
  ChannelsLastResult result_;
};

}  // namespace

ChannelsLastResult put_channels_last(Graph& graph, const PassOptions& options) {
  const std::vector<NodeId> nodes = graph.nodes();
  if (std::none_of(nodes.begin(), nodes.end(), [&](NodeId id) { return is_convolution(graph[id].op); }))
    return {};
  return Rewriter(graph, options, choose(graph)).run();
}

}  // namespace nncc
