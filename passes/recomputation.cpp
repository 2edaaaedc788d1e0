#include "passes/recomputation.h"

#include <algorithm>
#include <cmath>

#include "passes/arena.h"
#include "passes/fusion_rules.h"

namespace nncc {

namespace {

// A byte kept for the rest of the step is worth this many bytes of traffic.
constexpr double kTrafficPerByte = 64;
// Operations in the time in which one byte is read.
constexpr double kOperationsPerByte = 16;

// Rebuilds the graph with the chosen kernels called again where the second half first needs them.
class Rewriter {
 public:
  Rewriter(const Graph& graph, const std::map<NodeId, int>& position, std::set<int> again, Graph& to)
      : graph_(graph), position_(position), again_(std::move(again)), to_(to) {}

  void run(const std::vector<NodeId>& order, int half) {
    for (const Graph::Argument& argument : graph_.arguments) {
      const Value v =
          to_.add_argument(argument.name, graph_.type(argument.value), graph_[argument.value.node].location);
      to_.set_name(v.node, graph_[argument.value.node].name);
      first_[argument.value.node] = v.node;
    }
    for (int position = 0; position < static_cast<int>(order.size()); ++position)
      first_[order[position]] = copy(order[position], position >= half);
    for (const Graph::Result& result : graph_.results)
      to_.results.push_back({result.name, mapped(result.value, false)});
    for (const Graph::Update& update : graph_.updates)
      to_.updates.push_back({update.variable, mapped(update.value, false)});
  }

 private:
  Value mapped(Value v, bool is_late) { return {is_late ? late(v.node) : first(v.node), v.result}; }
  NodeId copy(NodeId id, bool is_late) {
    Node node = graph_[id];
    for (Value& operand : node.operands) operand = mapped(operand, is_late);
    return to_.add(std::move(node));
  }
  NodeId first(NodeId id) {
    if (auto it = first_.find(id); it != first_.end()) return it->second;
    const NodeId made = copy(id, false);
    return first_[id] = made;
  }
  // As the second half sees it: what depends on a kernel that is called again is another node.
  NodeId late(NodeId id) {
    if (auto it = late_.find(id); it != late_.end()) return it->second;
    const auto position = position_.find(id);
    const bool is_kernel = position != position_.end();
    bool is_again = is_kernel && again_.contains(position->second);
    if (!is_kernel)
      for (Value operand : graph_[id].operands)
        is_again = late(operand.node) != first(operand.node) || is_again;
    const NodeId made = is_again ? copy(id, true) : first(id);
    return late_[id] = made;
  }

  const Graph& graph_;
  const std::map<NodeId, int>& position_;
  const std::set<int> again_;
  Graph& to_;
  std::map<NodeId, NodeId> first_, late_;
};

}  // namespace

double kernel_cost(const Module& module, const Graph& graph, NodeId id) {
  if (!graph[id].attributes.find(Attr::Symbol)) return static_cast<double>(graph[id].types[0].byte_size());
  const Graph& body = module.find_function(graph[id].attributes.string(Attr::Symbol))->body;
  double cost = 0;
  for (Value operand : graph[id].operands) cost += static_cast<double>(graph.type(operand).byte_size());
  for (const TensorType& type : graph[id].types) cost += static_cast<double>(type.byte_size());
  for (NodeId inner : body.nodes()) {
    const Node& node = body[inner];
    if (op_info(node.op).has(Structural))
      cost +=
          static_cast<double>(graph[id].attributes.integer(Attr::Steps)) * kernel_cost(module, body, inner);
    if (fusion_role(node.op) != FusionRole::Contract) continue;
    // [m, k] by [k, n]: m n k is the root of what the three sizes multiply to.
    double sizes = static_cast<double>(node.types[0].num_elements());
    for (Value operand : node.operands) sizes *= static_cast<double>(body.type(operand).num_elements());
    cost += 2 * std::sqrt(sizes) / kOperationsPerByte;
  }
  return cost;
}

Recomputer::Recomputer(const Module& module, const Graph& graph, std::vector<NodeId> order)
    : module_(module), graph_(graph), order_(std::move(order)) {
  for (NodeId id : order_) {
    const int position = static_cast<int>(position_.size());
    position_[id] = position;
  }
  find_stored();
  find_half();
  for (int position = 0; position < half_; ++position) {
    const NodeId id = order_[position];
    const AttrValue* symbol = graph_[id].attributes.find(Attr::Symbol);
    efforts_.push_back(symbol ? effort_of(*module_.find_function(std::get<std::string>(*symbol)))
                              : Effort::Contractions);
    costs_.push_back(kernel_cost(module_, graph_, id));
  }
}

int Recomputer::contractions_in_first_half() const {
  return static_cast<int>(std::count(efforts_.begin(), efforts_.end(), Effort::Contractions));
}

void Recomputer::collect_sources(Value v, std::set<Value>& sources) const {
  if (position_.contains(v.node)) {
    sources.insert(v);
    return;
  }
  for (Value operand : graph_[v.node].operands) collect_sources(operand, sources);
}

std::set<Value> Recomputer::sources(Value v) const {
  std::set<Value> result;
  collect_sources(v, result);
  return result;
}

void Recomputer::find_stored() {
  for (int position = 0; position < static_cast<int>(order_.size()); ++position) {
    const Node& node = graph_[order_[position]];
    for (int i = 0; i < static_cast<int>(node.types.size()); ++i) {
      Stored& stored = stored_[{order_[position], i}];
      stored.made = position;
      stored.bytes = align_up(node.types[i].byte_size() + kSpareBytes, kBufferAlignment);
    }
    std::set<Value>& read = reads_.emplace_back();
    for (Value operand : node.operands) collect_sources(operand, read);
    for (Value v : read) stored_.at(v).read.push_back(position);
  }
  // What becomes a part of something larger lies there.
  for (NodeId id : graph_.nodes()) {
    if (position_.contains(id) || graph_[id].operands.size() < 2) continue;
    for (Value v : sources({id, 0})) stored_.at(v).is_kept = true;
  }
  const auto leave = [&](Value end) {
    for (Value v : sources(end)) {
      stored_.at(v).is_kept = true;
      stored_.at(v).bytes = 0;
    }
  };
  for (const Graph::Result& result : graph_.results) leave(result.value);
  for (const Graph::Update& update : graph_.updates) leave(update.value);
}

void Recomputer::find_half() {
  std::vector<int64_t> change(order_.size() + 1, 0);
  for (const auto& [v, stored] : stored_) {
    change[stored.made] += stored.bytes;
    change[stored.last_read()] -= stored.bytes;
  }
  int64_t waiting = 0, most = 0;
  for (int position = 0; position < static_cast<int>(order_.size()); ++position) {
    waiting += change[position];
    if (waiting > most) most = waiting, half_ = position + 1;
  }
}

Effort Recomputer::effort_of(const Function& kernel) const {
  if (kernel.kind == FunctionKind::Step) return Effort::Contractions;
  Effort effort = Effort::Elementwise;
  for (NodeId id : kernel.body.nodes()) {
    const FusionRole role = fusion_role(kernel.body[id].op);
    if (role == FusionRole::Contract) return Effort::Contractions;
    if (role == FusionRole::Reduce || role == FusionRole::Alone) effort = Effort::Reductions;
  }
  return effort;
}

std::set<Value> Recomputer::between_segments(int segments) const {
  // Bytes made up to each position that the second half reads; bytes that go past it within the first half.
  std::vector<double> made(half_ + 1, 0), passing(half_ + 1, 0);
  const auto last_in_half = [&](const Stored& stored) {
    const auto end = std::lower_bound(stored.read.begin(), stored.read.end(), half_);
    return end == stored.read.begin() ? stored.made : *(end - 1);
  };
  for (const auto& [v, stored] : stored_) {
    if (stored.made >= half_) continue;
    const auto bytes = static_cast<double>(stored.bytes);
    if (stored.last_read() >= half_) made[stored.made] += bytes;
    passing[stored.made] += bytes;
    passing[last_in_half(stored)] -= bytes;
  }
  for (int position = 1; position <= half_; ++position) {
    made[position] += made[position - 1];
    passing[position] += passing[position - 1];
  }
  std::set<Value> between;
  for (int segment = 1; segment < segments; ++segment) {
    const double middle = made[half_] * segment / segments, reach = made[half_] / (3.0 * segments);
    int border = -1;
    for (int position = 0; position < half_; ++position) {
      if (made[position] < middle - reach) continue;
      if (border >= 0 && made[position] > middle + reach) break;
      if (border < 0 || passing[position] < passing[border]) border = position;
    }
    for (const auto& [v, stored] : stored_)
      if (stored.made <= border && last_in_half(stored) > border) between.insert(v);
  }
  return between;
}

std::set<int> Recomputer::choose(const RecomputationLimits& limits) const {
  const std::set<Value> between = between_segments(limits.segments);
  // The sink's side is what the second half has at hand: a kernel there is called again, a value there is
  // kept unless its kernel is there too.
  FlowNetwork network;
  for (int position = 0; position < half_; ++position) {
    const int kernel = network.add_node();
    const int allowed = static_cast<int>(limits.effort) - (position < limits.first_kernels ? 0 : 1);
    if (static_cast<int>(efforts_[position]) <= allowed)
      network.tie_to_source(kernel, 1 + static_cast<int64_t>(costs_[position] / kTrafficPerByte));
    else
      network.tie_to_source(kernel);
  }
  std::map<Value, int> values;
  for (const auto& [v, stored] : stored_) {
    if (stored.made >= half_) continue;
    const int value = values[v] = network.add_node();
    const auto next = std::lower_bound(stored.read.begin(), stored.read.end(), half_);
    const bool is_read_at_once = next != stored.read.end() && *next == half_;
    if (!stored.is_kept && !is_read_at_once && !between.contains(v))
      network.add_edge(stored.made, value, stored.bytes);
    if (stored.last_read() >= half_) network.tie_to_sink(value);
  }
  for (int position = 0; position < half_; ++position)
    for (Value v : reads_[position]) network.add_edge(values.at(v), position, FlowNetwork::kInfinite);
  const FlowNetwork::Cut cut = network.minimum_cut();
  std::set<int> again;
  for (int position = 0; position < half_; ++position)
    if (!cut.in_source[position]) again.insert(position);
  return again;
}

Graph Recomputer::recompute(const std::set<int>& again) const {
  Graph result;
  Rewriter(graph_, position_, again, result).run(order_, half_);
  result.erase_dead();  // what an earlier call of this had called again, and this calls yet later
  return result;
}

}  // namespace nncc
