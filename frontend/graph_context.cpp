#include "frontend/graph_context.h"

#include "frontend/tensor_ops.h"
#include "ir/diagnostic.h"
#include "ir/scan.h"

namespace nncc {

TensorValue GraphContext::tensor(Value v) {
  const TensorType type = builder.type(v);
  check_shape(type.shape);
  return {v, type, this};
}

AbstractValue GraphContext::capture(const AbstractValue& v) {
  if (kind != Kind::Scan) return v;
  if (v.is_tensor()) {
    if (v.tensor().context == this) return v;
    return tensor(captured(parent->capture(v).tensor().value));
  }
  if (!v.is_list() || v.is_constant()) return v;
  std::vector<AbstractValue> elements;
  for (const AbstractValue& e : v.elements()) elements.push_back(capture(e));
  return AbstractValue::list(std::move(elements));
}

Value GraphContext::captured(Value of_parent) {
  for (const Passed& passed : others)
    if (passed.outer == of_parent) return passed.inner;
  const Node& node = parent->graph()[of_parent.node];
  const Value inner = graph().add_argument(node.name.empty() ? "outer" : node.name,
                                           parent->builder.type(of_parent), node.location);
  others.push_back({of_parent, inner});
  return inner;
}

Value GraphContext::add_sequence(Value stacked, const std::string& name) {
  const Value inner = graph().add_argument(name, step_type(parent->builder.type(stacked)), builder.location);
  sequences.push_back({stacked, inner});
  return inner;
}

Value GraphContext::variable(const Variable& v) {
  if (kind == Kind::Scan) return captured(parent->variable(v));
  NNCC_CHECK(kind != Kind::Composite, "a variable is read in a composite");
  const auto [it, is_new] = variables_.try_emplace(v.name);
  if (is_new) {
    it->second = builder.variable(v.name, v.type);
    // "fit.adam.m/mlp.dense.weight" is `m`, "mlp.dense.weight" is `weight`.
    const std::string path = v.name.substr(0, v.name.find('/'));
    builder.named(it->second, path.substr(path.rfind('.') + 1));
  }
  return it->second;
}

Value GraphContext::current(const Variable& v) {
  if (kind == Kind::Scan) return captured(parent->current(v));
  const auto it = assigned.find(v.name);
  return it == assigned.end() ? variable(v) : it->second;
}

}  // namespace nncc
