// Adds nodes with inferred types, and small conveniences that every producer of graphs needs.
#pragma once
#include <initializer_list>
#include <optional>
#include <span>

#include "ir/graph.h"

namespace nncc {

// The result types of `op`, from its row in the shape table. On a violation returns an empty list and sets
// `error` (lower case, for a reader of .nnir). `wanted`: types that a rule cannot infer (cast, reshape,
// broadcast, slice, pad, iota, random, matmul_packed, input, variable, call …), and that it checks.
std::vector<TensorType> infer_types(Op op, std::span<const TensorType> operands, const Attributes& attributes,
                                    std::span<const TensorType> wanted, std::string& error);

// Wraps a graph. Every method demands well-typed arguments (a violation is an InternalError): who builds from
// user input checks first. New nodes get `location`.
class GraphBuilder {
 public:
  explicit GraphBuilder(Graph& graph) : graph_(graph) {}
  Graph& graph() { return graph_; }
  Location location;  // of nodes added from now on

  // Types inferred.
  Value add(Op op, std::span<const Value> operands, Attributes attributes = {});
  Value add(Op op, std::initializer_list<Value> operands, Attributes attributes = {}) {
    return add(op, std::span<const Value>(operands.begin(), operands.size()), std::move(attributes));
  }
  // Types given, for ops that cannot infer them.
  Value add_typed(Op op, std::span<const Value> operands, TensorType type, Attributes attributes = {});
  Value add_typed(Op op, std::initializer_list<Value> operands, TensorType type, Attributes attributes = {}) {
    return add_typed(op, std::span<const Value>(operands.begin(), operands.size()), std::move(type),
                     std::move(attributes));
  }
  NodeId add_multi(Op op, std::span<const Value> operands, std::vector<TensorType> types,
                   Attributes attributes = {});
  Value named(Value v, std::string name);  // sets the node's name and returns v

  const TensorType& type(Value v) const { return graph_.type(v); }

  Value constant(Literal);
  Value scalar(DType, double);      // rank 0
  Value splat(TensorType, double);  // every element; for integer and bool types too
  Value splat_like(Value v, double value) { return splat(type(v), value); }
  Value variable(const std::string& name, TensorType type);
  Value iota(TensorType type, int axis);

  // These return v itself when there is nothing to do.
  Value reshape(Value v, Shape shape);
  Value cast(Value v, DType dtype);
  Value transpose(Value v, std::vector<int64_t> perm);
  Value broadcast(Value v, Shape shape, std::vector<int64_t> dims);
  // NumPy's rule: extents are matched from the last; 1 repeats.
  Value broadcast_to(Value v, Shape shape);
  // Sums v over what broadcasting `shape` to v's shape repeated: the gradient of broadcast_to.
  Value reduce_to(Value v, const Shape& shape);
  Value reduce(Op op, Value v, std::vector<int64_t> axes, bool keep = false);

  // Elementwise with equal types.
  Value neg(Value a) { return add(Op::Neg, {a}); }
  Value add(Value a, Value b) { return add(Op::Add, {a, b}); }
  Value sub(Value a, Value b) { return add(Op::Sub, {a, b}); }
  Value mul(Value a, Value b) { return add(Op::Mul, {a, b}); }
  Value div(Value a, Value b) { return add(Op::Div, {a, b}); }
  Value select(Value condition, Value a, Value b) { return add(Op::Select, {condition, a, b}); }
  // With a constant of v's type.
  Value mul(Value v, double c) { return mul(v, splat_like(v, c)); }
  Value add(Value v, double c) { return add(v, splat_like(v, c)); }

 private:
  Graph& graph_;
};

// The shape NumPy broadcasts a and b to, or nothing.
std::optional<Shape> broadcast_shapes(const Shape& a, const Shape& b);

// Copies the nodes of `body` into `into`, its arguments replaced by `arguments`; returns what its results
// become. Locations: a copied node keeps its own unless empty, then takes `location`.
std::vector<Value> inline_body(const Graph& body, std::span<const Value> arguments, Graph& into,
                               Location location = {});

}  // namespace nncc
