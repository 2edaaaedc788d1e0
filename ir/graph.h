// A graph: typed SSA over tensors, one for each entry and function of a module.
#pragma once
#include <compare>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ir/literal.h"
#include "ir/op.h"
#include "ir/source.h"
#include "ir/type.h"

namespace nncc {

// A node of one graph. Never reused within it, and stable until compact().
struct NodeId {
  int32_t index = -1;
  explicit operator bool() const { return index >= 0; }
  auto operator<=>(const NodeId&) const = default;
};

// One result of a node.
struct Value {
  NodeId node;
  int32_t result = 0;
  explicit operator bool() const { return static_cast<bool>(node); }
  auto operator<=>(const Value&) const = default;
};

// One place where a value is used.
struct Use {
  NodeId user;
  int32_t operand = 0;
  auto operator<=>(const Use&) const = default;
};

using AttrValue = std::variant<int64_t, bool, std::string, std::vector<int64_t>, Literal>;

// The attributes of a node: those its op's row lists, in any order of setting.
class Attributes {
 public:
  Attributes() = default;
  Attributes(std::initializer_list<std::pair<Attr, AttrValue>> list) : list_(list) {}
  void set(Attr key, AttrValue value);
  const AttrValue* find(Attr key) const;
  // These demand that the attribute is there and has that type.
  int64_t integer(Attr key) const;
  bool boolean(Attr key) const;
  const std::string& string(Attr key) const;
  const std::vector<int64_t>& integers(Attr key) const;
  const Literal& literal(Attr key) const;
  const std::vector<std::pair<Attr, AttrValue>>& list() const { return list_; }
  friend bool operator==(const Attributes& a, const Attributes& b);  // order does not matter

 private:
  std::vector<std::pair<Attr, AttrValue>> list_;
};

// Where plan-memory has put a result.
enum class Space : uint8_t {
  Arena,      // workspace of a call; offset from its start
  Variables,  // the session's variables; offset from their start
  Constants,  // read-only data in the library; offset from its start
  Input,      // argument number `index`, at byte `offset`
  Output,     // result number `index`, at byte `offset`
};
struct Place {
  Space space = Space::Arena;
  int32_t index = 0;
  int64_t offset = 0;  // bytes
  auto operator<=>(const Place&) const = default;
};

struct Node {
  Op op = Op::Constant;
  std::vector<Value> operands;
  std::vector<TensorType> types;  // of the results
  Attributes attributes;
  std::string name;           // what the user called it, or empty; a hint, need not be unique
  Location location;          // may be empty
  std::vector<Place> places;  // one for each result after plan-memory, else empty
};

// Nodes are created through a Graph and changed only through it; it keeps the uses (edges of a Boost.Graph) in step.
// Iteration is always in a deterministic order. Copyable; a copy has the same ids. Not thread-safe.
class Graph {
 public:
  struct Argument {
    std::string name;
    Value value;  // an Input node
  };
  struct Result {
    std::string name;
    Value value;
  };
  // At the end of the entry, `variable` becomes `value`. At most one update for a variable.
  struct Update {
    std::string variable;
    Value value;
  };

  Graph();
  ~Graph();
  Graph(const Graph&);
  Graph(Graph&&) noexcept;
  Graph& operator=(const Graph&);
  Graph& operator=(Graph&&) noexcept;

  // Adds a node whose operands exist. Types are as given: GraphBuilder infers them, verify() checks them.
  NodeId add(Node node);
  // The reference stays valid until the node is erased or the graph compacted, whatever is added.
  const Node& operator[](NodeId id) const;
  const TensorType& type(Value v) const;
  bool contains(NodeId id) const;  // not erased

  // Everything about a node but its operands may be changed in place.
  void set_name(NodeId, std::string);
  void set_attribute(NodeId, Attr, AttrValue);
  void set_location(NodeId, Location);
  void set_places(NodeId, std::vector<Place>);
  void set_operand(NodeId, int operand, Value);
  // Operands, results and updates that were `from` become `to`.
  void replace_all_uses(Value from, Value to);
  // The node must have no uses.
  void erase(NodeId);
  // Erases every node that leads to no result and no update, but no argument. Returns how many.
  int erase_dead();
  // Renumbers the nodes 0, 1, … in topological order, arguments first. Invalidates every id.
  void compact();

  // The argument appended last; `type` of its Input node.
  Value add_argument(std::string name, TensorType type, Location = {});
  std::vector<Argument> arguments;
  std::vector<Result> results;
  std::vector<Update> updates;

  int num_nodes() const;  // without erased ones
  // Ids in order of creation.
  std::vector<NodeId> nodes() const;
  // Operands before users; among the ready ones the oldest first. The graph must have no cycle.
  std::vector<NodeId> topological_order() const;
  // Places where v is an operand, ordered by (user, operand); results and updates do not count.
  std::vector<Use> uses(Value v) const;
  std::vector<NodeId> users(NodeId) const;  // distinct, ordered
  bool is_result_or_update(Value v) const;

  // Everything that `from` depends on, itself included; ordered.
  std::vector<NodeId> ancestors(std::span<const NodeId> from) const;
  // Everything that depends on `from`, itself included; ordered.
  std::vector<NodeId> descendants(std::span<const NodeId> from) const;
  // No path leaves the set and comes back.
  bool is_convex(std::span<const NodeId> set) const;
  // One cycle if there is any (only a broken graph has), else empty.
  std::vector<NodeId> find_cycle() const;
  // The graph in Graphviz's language; `label` says what stands in a node.
  std::string graphviz(const std::function<std::string(NodeId)>& label) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nncc
