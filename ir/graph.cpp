#include "ir/graph.h"

#include <algorithm>
#include <deque>
#include <queue>

#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/graphviz.hpp>
#include <boost/graph/strong_components.hpp>
#include <sstream>

#include "ir/diagnostic.h"

namespace nncc {

// Attributes.

void Attributes::set(Attr key, AttrValue value) {
  for (auto& [k, v] : list_) {
    if (k == key) {
      v = std::move(value);
      return;
    }
  }
  list_.emplace_back(key, std::move(value));
}

const AttrValue* Attributes::find(Attr key) const {
  for (const auto& [k, v] : list_)
    if (k == key) return &v;
  return nullptr;
}

namespace {

template <typename T>
const T& demand(const Attributes& attributes, Attr key) {
  const AttrValue* value = attributes.find(key);
  NNCC_CHECK(value, "attribute `" + std::string(attr_name(key)) + "` is missing");
  const T* typed = std::get_if<T>(value);
  NNCC_CHECK(typed, "attribute `" + std::string(attr_name(key)) + "` has another type");
  return *typed;
}

}  // namespace

int64_t Attributes::integer(Attr key) const { return demand<int64_t>(*this, key); }
bool Attributes::boolean(Attr key) const { return demand<bool>(*this, key); }
const std::string& Attributes::string(Attr key) const { return demand<std::string>(*this, key); }
const std::vector<int64_t>& Attributes::integers(Attr key) const {
  return demand<std::vector<int64_t>>(*this, key);
}
const Literal& Attributes::literal(Attr key) const { return demand<Literal>(*this, key); }

bool operator==(const Attributes& a, const Attributes& b) {
  return a.list_.size() == b.list_.size() &&
         std::all_of(a.list_.begin(), a.list_.end(), [&](const auto& item) {
           const AttrValue* other = b.find(item.first);
           return other && *other == item.second;
         });
}

// Graph. A node is a vertex; an edge leads from the node of an operand to its user. The operands in Node are
// the truth and the edges mirror them. An erased node keeps its vertex, without edges, so that ids stay what
// they are.

namespace {

struct EdgeUse {
  int32_t result = 0;   // of the source
  int32_t operand = 0;  // of the target
};
using Edges =
    boost::adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS, boost::no_property, EdgeUse>;

}  // namespace

struct Graph::Impl {
  std::deque<Node> nodes;  // references stay valid as more are added
  std::vector<bool> alive;
  int num_alive = 0;
  Edges edges;

  Impl() = default;
  // Edges are made anew: copying an adjacency_list does not keep their order.
  Impl(const Impl& other)
      : nodes(other.nodes), alive(other.alive), num_alive(other.num_alive), edges(nodes.size()) {
    for (size_t i = 0; i < nodes.size(); ++i)
      if (alive[i]) add_edges(static_cast<int32_t>(i));
  }
  Impl& operator=(const Impl&) = delete;

  bool contains(NodeId id) const {
    return id.index >= 0 && id.index < static_cast<int32_t>(nodes.size()) && alive[id.index];
  }
  Node& node(NodeId id) {
    NNCC_CHECK(contains(id), "the graph has no node " + std::to_string(id.index));
    return nodes[id.index];
  }
  void add_edges(int32_t user) {
    const std::vector<Value>& operands = nodes[user].operands;
    for (size_t i = 0; i < operands.size(); ++i) add_edge(operands[i], user, static_cast<int32_t>(i));
  }
  void add_edge(Value from, int32_t user, int32_t operand) {
    boost::add_edge(from.node.index, user, EdgeUse{from.result, operand}, edges);
  }
  void remove_edge(int32_t user, int32_t operand) {
    for (auto [e, end] = boost::in_edges(user, edges); e != end; ++e) {
      if (edges[*e].operand == operand) {
        boost::remove_edge(*e, edges);
        return;
      }
    }
  }
  NodeId source(Edges::edge_descriptor e) const { return {static_cast<int32_t>(boost::source(e, edges))}; }
  NodeId target(Edges::edge_descriptor e) const { return {static_cast<int32_t>(boost::target(e, edges))}; }

  // Marks what `visit_next` reaches from `from`, which it includes.
  template <typename VisitNext>
  std::vector<bool> reach(std::span<const NodeId> from, VisitNext visit_next) const {
    std::vector<bool> seen(nodes.size(), false);
    std::vector<NodeId> work;
    const auto visit = [&](NodeId id) {
      if (seen[id.index]) return;
      seen[id.index] = true;
      work.push_back(id);
    };
    for (NodeId id : from) visit(id);
    while (!work.empty()) {
      const NodeId id = work.back();
      work.pop_back();
      visit_next(id, visit);
    }
    return seen;
  }
  std::vector<bool> reach_backward(std::span<const NodeId> from) const {
    return reach(from, [&](NodeId id, const auto& visit) {
      for (Value operand : nodes[id.index].operands) visit(operand.node);
    });
  }
  std::vector<bool> reach_forward(std::span<const NodeId> from) const {
    return reach(from, [&](NodeId id, const auto& visit) {
      for (auto [e, end] = boost::out_edges(id.index, edges); e != end; ++e) visit(target(*e));
    });
  }
};

namespace {

std::vector<NodeId> marked(const std::vector<bool>& marks) {
  std::vector<NodeId> ids;
  for (size_t i = 0; i < marks.size(); ++i)
    if (marks[i]) ids.push_back({static_cast<int32_t>(i)});
  return ids;
}

}  // namespace

Graph::Graph() : impl_(std::make_unique<Impl>()) {}
Graph::~Graph() = default;
Graph::Graph(const Graph& other)
    : arguments(other.arguments),
      results(other.results),
      updates(other.updates),
      impl_(std::make_unique<Impl>(*other.impl_)) {}
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(const Graph& other) { return *this = Graph(other); }
Graph& Graph::operator=(Graph&&) noexcept = default;

NodeId Graph::add(Node node) {
  for (Value operand : node.operands)
    NNCC_CHECK(contains(operand.node), "a new node has an operand that the graph does not contain");
  const NodeId id{static_cast<int32_t>(impl_->nodes.size())};
  impl_->nodes.push_back(std::move(node));
  impl_->alive.push_back(true);
  ++impl_->num_alive;
  boost::add_vertex(impl_->edges);
  impl_->add_edges(id.index);
  return id;
}

const Node& Graph::operator[](NodeId id) const { return impl_->node(id); }

const TensorType& Graph::type(Value v) const {
  const Node& node = impl_->node(v.node);
  NNCC_CHECK(v.result >= 0 && v.result < static_cast<int32_t>(node.types.size()),
             "a node has no result of that number");
  return node.types[v.result];
}

bool Graph::contains(NodeId id) const { return impl_->contains(id); }

void Graph::set_name(NodeId id, std::string name) { impl_->node(id).name = std::move(name); }
void Graph::set_attribute(NodeId id, Attr key, AttrValue value) {
  impl_->node(id).attributes.set(key, std::move(value));
}
void Graph::set_location(NodeId id, Location location) { impl_->node(id).location = std::move(location); }
void Graph::set_places(NodeId id, std::vector<Place> places) { impl_->node(id).places = std::move(places); }

void Graph::set_operand(NodeId id, int operand, Value value) {
  Node& node = impl_->node(id);
  NNCC_CHECK(operand >= 0 && operand < static_cast<int>(node.operands.size()),
             "a node has no operand of that number");
  NNCC_CHECK(contains(value.node), "an operand is set to a node that the graph does not contain");
  impl_->remove_edge(id.index, operand);
  node.operands[operand] = value;
  impl_->add_edge(value, id.index, operand);
}

void Graph::replace_all_uses(Value from, Value to) {
  if (from == to) return;
  for (Use use : uses(from)) set_operand(use.user, use.operand, to);
  for (Result& result : results)
    if (result.value == from) result.value = to;
  for (Update& update : updates)
    if (update.value == from) update.value = to;
}

void Graph::erase(NodeId id) {
  Node& node = impl_->node(id);
  NNCC_CHECK(boost::out_degree(id.index, impl_->edges) == 0, "a node that is used is erased");
  for (size_t i = 0; i < node.types.size(); ++i)
    NNCC_CHECK(!is_result_or_update({id, static_cast<int32_t>(i)}),
               "a node that is a result or an update is erased");
  NNCC_CHECK(
      std::none_of(arguments.begin(), arguments.end(), [&](const Argument& a) { return a.value.node == id; }),
      "an argument is erased");
  boost::clear_in_edges(id.index, impl_->edges);
  node = Node{};
  impl_->alive[id.index] = false;
  --impl_->num_alive;
}

int Graph::erase_dead() {
  std::vector<NodeId> roots;
  for (const Argument& argument : arguments) roots.push_back(argument.value.node);
  for (const Result& result : results) roots.push_back(result.value.node);
  for (const Update& update : updates) roots.push_back(update.value.node);
  const std::vector<bool> live = impl_->reach_backward(roots);
  const int before = impl_->num_alive;
  // Users first, so that a node is free of uses when its turn comes.
  const std::vector<NodeId> order = topological_order();
  for (auto id = order.rbegin(); id != order.rend(); ++id)
    if (!live[id->index]) erase(*id);
  return before - impl_->num_alive;
}

void Graph::compact() {
  std::vector<int32_t> renumbered(impl_->nodes.size(), -1);
  std::vector<NodeId> order;
  const auto append = [&](NodeId id) {
    if (renumbered[id.index] >= 0) return;
    renumbered[id.index] = static_cast<int32_t>(order.size());
    order.push_back(id);
  };
  const std::vector<NodeId> topological = topological_order();
  for (const Argument& argument : arguments) append(argument.value.node);
  for (NodeId id : topological) append(id);

  const auto renumber = [&](Value& v) { v.node.index = renumbered[v.node.index]; };
  auto compacted = std::make_unique<Impl>();
  compacted->edges = Edges(order.size());
  compacted->alive.assign(order.size(), true);
  compacted->num_alive = static_cast<int>(order.size());
  for (NodeId id : order) {
    Node& node = compacted->nodes.emplace_back(std::move(impl_->nodes[id.index]));
    for (Value& operand : node.operands) renumber(operand);
    compacted->add_edges(static_cast<int32_t>(compacted->nodes.size()) - 1);
  }
  impl_ = std::move(compacted);
  for (Argument& argument : arguments) renumber(argument.value);
  for (Result& result : results) renumber(result.value);
  for (Update& update : updates) renumber(update.value);
}

Value Graph::add_argument(std::string name, TensorType type, Location location) {
  Node node;
  node.op = Op::Input;
  node.types = {std::move(type)};
  node.attributes.set(Attr::Index, static_cast<int64_t>(arguments.size()));
  node.name = name;
  node.location = std::move(location);
  const Value value{add(std::move(node)), 0};
  arguments.push_back({std::move(name), value});
  return value;
}

int Graph::num_nodes() const { return impl_->num_alive; }

std::vector<NodeId> Graph::nodes() const { return marked(impl_->alive); }

std::vector<NodeId> Graph::topological_order() const {
  std::vector<size_t> waiting(impl_->nodes.size(), 0);
  std::priority_queue<NodeId, std::vector<NodeId>, std::greater<>> ready;
  for (NodeId id : nodes()) {
    waiting[id.index] = boost::in_degree(id.index, impl_->edges);
    if (waiting[id.index] == 0) ready.push(id);
  }
  std::vector<NodeId> order;
  order.reserve(impl_->num_alive);
  while (!ready.empty()) {
    const NodeId id = ready.top();
    ready.pop();
    order.push_back(id);
    for (auto [e, end] = boost::out_edges(id.index, impl_->edges); e != end; ++e) {
      const NodeId user = impl_->target(*e);
      if (--waiting[user.index] == 0) ready.push(user);
    }
  }
  NNCC_CHECK(static_cast<int>(order.size()) == impl_->num_alive,
             "a graph with a cycle has no topological order");
  return order;
}

std::vector<Use> Graph::uses(Value v) const {
  impl_->node(v.node);
  std::vector<Use> result;
  for (auto [e, end] = boost::out_edges(v.node.index, impl_->edges); e != end; ++e)
    if (impl_->edges[*e].result == v.result) result.push_back({impl_->target(*e), impl_->edges[*e].operand});
  std::sort(result.begin(), result.end());
  return result;
}

std::vector<NodeId> Graph::users(NodeId id) const {
  impl_->node(id);
  std::vector<NodeId> result;
  for (auto [e, end] = boost::out_edges(id.index, impl_->edges); e != end; ++e)
    result.push_back(impl_->target(*e));
  std::sort(result.begin(), result.end());
  result.erase(std::unique(result.begin(), result.end()), result.end());
  return result;
}

bool Graph::is_result_or_update(Value v) const {
  const auto is_v = [&](const auto& x) { return x.value == v; };
  return std::any_of(results.begin(), results.end(), is_v) ||
         std::any_of(updates.begin(), updates.end(), is_v);
}

std::vector<NodeId> Graph::ancestors(std::span<const NodeId> from) const {
  return marked(impl_->reach_backward(from));
}

std::vector<NodeId> Graph::descendants(std::span<const NodeId> from) const {
  return marked(impl_->reach_forward(from));
}

bool Graph::is_convex(std::span<const NodeId> set) const {
  std::vector<bool> inside(impl_->nodes.size(), false);
  for (NodeId id : set) inside[id.index] = true;
  std::vector<NodeId> leaving;
  for (NodeId id : set)
    for (NodeId user : users(id))
      if (!inside[user.index]) leaving.push_back(user);
  const std::vector<bool> reached = impl_->reach_forward(leaving);
  return std::none_of(set.begin(), set.end(), [&](NodeId id) { return reached[id.index]; });
}

std::vector<NodeId> Graph::find_cycle() const {
  const size_t n = impl_->nodes.size();
  std::vector<int> component(n), size(n, 0);
  boost::strong_components(
      impl_->edges,
      boost::make_iterator_property_map(component.begin(), boost::get(boost::vertex_index, impl_->edges)));
  for (int c : component) ++size[c];
  for (NodeId start : nodes()) {
    const auto next_in_component = [&](NodeId id) {
      for (NodeId user : users(id))
        if (component[user.index] == component[start.index]) return user;
      return NodeId{};
    };
    if (size[component[start.index]] < 2 && next_in_component(start) != start) continue;
    // Inside a strong component every node has a successor, so walking on must come back to a node seen
    // before.
    std::vector<NodeId> path;
    NodeId id = start;
    while (std::find(path.begin(), path.end(), id) == path.end()) {
      path.push_back(id);
      id = next_in_component(id);
    }
    path.erase(path.begin(), std::find(path.begin(), path.end(), id));
    return path;
  }
  return {};
}

std::string Graph::graphviz(const std::function<std::string(NodeId)>& label) const {
  const std::vector<NodeId> ids = nodes();
  std::vector<size_t> vertex(impl_->nodes.size());
  for (size_t i = 0; i < ids.size(); ++i) vertex[ids[i].index] = i;
  Edges drawn(ids.size());
  for (NodeId id : ids) {
    const std::vector<Value>& operands = impl_->nodes[id.index].operands;
    for (size_t i = 0; i < operands.size(); ++i)
      boost::add_edge(vertex[operands[i].node.index], vertex[id.index],
                      EdgeUse{operands[i].result, static_cast<int32_t>(i)}, drawn);
  }
  const auto write_vertex = [&](std::ostream& out, size_t v) {
    out << "[shape=box, label=" << boost::escape_dot_string(label(ids[v])) << "]";
  };
  const auto write_edge = [&](std::ostream& out, const Edges::edge_descriptor& e) {
    const NodeId source = ids[boost::source(e, drawn)], target = ids[boost::target(e, drawn)];
    std::string text;
    if (impl_->nodes[source.index].types.size() > 1) text = "#" + std::to_string(drawn[e].result);
    if (impl_->nodes[target.index].operands.size() > 1)
      text += (text.empty() ? "" : " ") + std::to_string(drawn[e].operand);
    if (!text.empty()) out << "[label=\"" << text << "\"]";
  };
  std::ostringstream out;
  boost::write_graphviz(out, drawn, write_vertex, write_edge);
  return out.str();
}

}  // namespace nncc
