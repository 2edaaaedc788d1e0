#include "frontend/graph_context.h"

#include "ir/diagnostic.h"

namespace nncc {

Value GraphContext::variable(const Variable& v) {
  NNCC_CHECK(kind != Kind::Composite, "a variable is read in a composite");
  const auto [it, is_new] = variables_.try_emplace(v.name);
  if (is_new) {
    it->second = builder.variable(v.name, v.type);
    const size_t dot = v.name.find_last_of("./");
    builder.named(it->second, dot == std::string::npos ? v.name : v.name.substr(dot + 1));
  }
  return it->second;
}

Value GraphContext::current(const Variable& v) {
  const auto it = assigned.find(v.name);
  return it == assigned.end() ? variable(v) : it->second;
}

}  // namespace nncc
