#include "frontend/graph_context.h"

#include "ir/diagnostic.h"

namespace nncc {

Value GraphContext::variable(const Variable& v) {
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
  const auto it = assigned.find(v.name);
  return it == assigned.end() ? variable(v) : it->second;
}

}  // namespace nncc
