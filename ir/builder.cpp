#include "ir/builder.h"

#include <algorithm>
#include <numeric>

#include "ir/diagnostic.h"

namespace nncc {

Value GraphBuilder::add(Op op, std::span<const Value> operands, Attributes attributes) {
  const NodeId id = add_multi(op, operands, {}, std::move(attributes));
  NNCC_CHECK(graph_[id].types.size() == 1, "add() of a node without a single result");
  return {id, 0};
}

Value GraphBuilder::add_typed(Op op, std::span<const Value> operands, TensorType type,
                              Attributes attributes) {
  return {add_multi(op, operands, {std::move(type)}, std::move(attributes)), 0};
}

NodeId GraphBuilder::add_multi(Op op, std::span<const Value> operands, std::vector<TensorType> types,
                               Attributes attributes) {
  std::vector<TensorType> operand_types;
  operand_types.reserve(operands.size());
  for (Value v : operands) operand_types.push_back(type(v));
  std::string error;
  Node node;
  node.types = infer_types(op, operand_types, attributes, types, error);
  NNCC_CHECK(error.empty(), "building a `" + std::string(op_info(op).name) + "`: " + error);
  node.op = op;
  node.operands.assign(operands.begin(), operands.end());
  node.attributes = std::move(attributes);
  node.location = location;
  return graph_.add(std::move(node));
}

Value GraphBuilder::named(Value v, std::string name) {
  graph_.set_name(v.node, std::move(name));
  return v;
}

Value GraphBuilder::constant(Literal literal) {
  TensorType type = literal.type();
  return add_typed(Op::Constant, {}, std::move(type), {{Attr::Value, std::move(literal)}});
}

Value GraphBuilder::scalar(DType dtype, double value) { return splat({dtype, {}}, value); }

Value GraphBuilder::splat(TensorType type, double value) {
  return constant(Literal::splat(std::move(type), value));
}

Value GraphBuilder::variable(const std::string& name, TensorType type) {
  return add_typed(Op::Variable, {}, std::move(type), {{Attr::Symbol, name}});
}

Value GraphBuilder::iota(TensorType type, int axis) {
  return add_typed(Op::Iota, {}, std::move(type), {{Attr::Axis, int64_t{axis}}});
}

Value GraphBuilder::reshape(Value v, Shape shape) {
  if (type(v).shape == shape) return v;
  return add_typed(Op::Reshape, {v}, {type(v).dtype, std::move(shape)});
}

Value GraphBuilder::cast(Value v, DType dtype) {
  if (type(v).dtype == dtype) return v;
  return add_typed(Op::Cast, {v}, {dtype, type(v).shape});
}

Value GraphBuilder::transpose(Value v, std::vector<int64_t> perm) {
  if (std::is_sorted(perm.begin(), perm.end())) return v;
  return add(Op::Transpose, {v}, {{Attr::Perm, std::move(perm)}});
}

Value GraphBuilder::broadcast(Value v, Shape shape, std::vector<int64_t> dims) {
  if (type(v).shape == shape) return v;
  return add_typed(Op::Broadcast, {v}, {type(v).dtype, std::move(shape)}, {{Attr::Dims, std::move(dims)}});
}

Value GraphBuilder::broadcast_to(Value v, Shape shape) {
  const int added = static_cast<int>(shape.size()) - type(v).rank();
  NNCC_CHECK(added >= 0, "broadcast_to a smaller rank");
  std::vector<int64_t> dims(type(v).rank());
  std::iota(dims.begin(), dims.end(), added);
  return broadcast(v, std::move(shape), std::move(dims));
}

Value GraphBuilder::reduce_to(Value v, const Shape& shape) {
  const Shape from = type(v).shape;
  const size_t added = from.size() - shape.size();
  NNCC_CHECK(from.size() >= shape.size(), "reduce_to a larger rank");
  std::vector<int64_t> axes;
  for (size_t i = 0; i < from.size(); ++i)
    if (i < added || (shape[i - added] == 1 && from[i] != 1)) axes.push_back(static_cast<int64_t>(i));
  return reshape(reduce(Op::ReduceSum, v, std::move(axes)), shape);
}

Value GraphBuilder::reduce(Op op, Value v, std::vector<int64_t> axes, bool keep) {
  if (axes.empty()) return v;
  Shape kept = type(v).shape;
  for (int64_t axis : axes) {
    NNCC_CHECK(axis >= 0 && axis < static_cast<int64_t>(kept.size()),
               "reduce over an axis that is not there");
    kept[axis] = 1;
  }
  const Value reduced = add(op, {v}, {{Attr::Axes, std::move(axes)}});
  return keep ? reshape(reduced, std::move(kept)) : reduced;
}

std::optional<Shape> broadcast_shapes(const Shape& a, const Shape& b) {
  Shape result(std::max(a.size(), b.size()));
  for (size_t i = 1; i <= result.size(); ++i) {
    const int64_t x = i <= a.size() ? a[a.size() - i] : 1;
    const int64_t y = i <= b.size() ? b[b.size() - i] : 1;
    if (x != y && x != 1 && y != 1) return std::nullopt;
    result[result.size() - i] = x == 1 ? y : x;
  }
  return result;
}

std::vector<Value> inline_body(const Graph& body, std::span<const Value> arguments, Graph& into,
                               Location location) {
  NNCC_CHECK(arguments.size() == body.arguments.size(), "a body is inlined with another number of arguments");
  std::vector<std::vector<Value>> copies;  // of each result of each node
  const auto copies_of = [&](NodeId id) -> std::vector<Value>& {
    if (copies.size() <= static_cast<size_t>(id.index)) copies.resize(id.index + 1);
    return copies[id.index];
  };
  for (size_t i = 0; i < arguments.size(); ++i) copies_of(body.arguments[i].value.node) = {arguments[i]};
  for (NodeId id : body.topological_order()) {
    if (!copies_of(id).empty()) continue;
    Node node = body[id];
    NNCC_CHECK(node.op != Op::Input, "an input of a body is not among its arguments");
    for (Value& operand : node.operands) operand = copies_of(operand.node).at(operand.result);
    if (!node.location.range) node.location = location;
    const auto num_results = static_cast<int32_t>(node.types.size());
    const NodeId copy = into.add(std::move(node));
    for (int32_t i = 0; i < num_results; ++i) copies_of(id).push_back({copy, i});
  }
  std::vector<Value> results;
  for (const Graph::Result& result : body.results)
    results.push_back(copies_of(result.value.node).at(result.value.result));
  return results;
}

}  // namespace nncc
