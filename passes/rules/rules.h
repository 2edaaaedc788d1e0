// Rewrite rules of canonicalize: rows of a name, the ops they start from, and a function.
#pragma once
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "ir/builder.h"

namespace nncc {

// What a rule sees: one node, and what it may ask of the graph around it. Values that a gradient is taken
// with respect to are opaque: no rule looks behind them, or the gradient would lose the path.
class Rewrite {
 public:
  Rewrite(GraphBuilder& builder, NodeId id, const std::set<NodeId>& opaque, bool gradients_left)
      : b(builder), id(id), gradients_left(gradients_left), opaque_(opaque) {}

  GraphBuilder& b;
  const NodeId id;
  const bool gradients_left;  // somewhere in the module is a `gradient` node

  const Node& node() const { return b.graph()[id]; }
  Value x(int operand = 0) const { return node().operands[operand]; }
  const TensorType& type() const { return node().types[0]; }
  const TensorType& type(Value v) const { return b.type(v); }
  const std::vector<int64_t>& integers(Attr key) const { return node().attributes.integers(key); }

  // The node behind v if that has this op, else null.
  const Node* made_by(Value v, Op op) const;
  // The literal behind v, or null.
  const Literal* constant(Value v) const;
  // The one number that all elements of v are, seen through reshapes, broadcasts and transposes.
  std::optional<double> splat(Value v) const;
  bool is_splat(Value v, double value) const { return splat(v) == value; }
  // v is used here and nowhere else.
  bool only_use(Value v) const;

 private:
  const std::set<NodeId>& opaque_;
};

// The value to use instead of the node's result, of the same type and never more expensive; or none. Adds
// nodes only if it applies.
using RewriteFunction = Value (*)(const Rewrite&);

struct RewriteRule {
  std::string_view name;  // shown by --stats, and the name of its test
  std::vector<Op> roots;
  RewriteFunction apply;
};
std::span<const RewriteRule> arithmetic_rules();
std::span<const RewriteRule> movement_rules();
std::span<const RewriteRule> reduction_rules();
std::span<const RewriteRule> matmul_rules();
// All of them, in the order they are tried.
std::vector<const RewriteRule*> all_rewrite_rules();

// The ops that have a trait, as the roots of a rule.
std::vector<Op> ops_with(OpTrait);

}  // namespace nncc
