#include "frontend/builtins.h"

#include <algorithm>
#include <numeric>

#include "ir/diagnostic.h"
#include "llvm/ADT/StringRef.h"

namespace nncc {

namespace {

AbstractValue parse_default(llvm::StringRef text) {
  int64_t i = 0;
  if (text == "none") return {};
  if (text == "true" || text == "false") return text == "true";
  if (!text.getAsInteger(10, i)) return i;
  NNCC_UNREACHABLE("default of a built-in function: " + text.str());
}

// "x, axis = none": the names and defaults of a signature.
std::vector<BuiltinParameter> parse_signature(llvm::StringRef text) {
  std::vector<BuiltinParameter> out;
  while (!text.empty()) {
    const auto [part, rest] = text.split(',');
    const auto [name, value] = part.split('=');
    out.push_back(
        {name.trim().str(), value.empty(), value.empty() ? AbstractValue() : parse_default(value.trim())});
    text = rest;
  }
  return out;
}

std::vector<Builtin> make_table() {
  std::vector<Builtin> table;
  for (auto part : {elementwise_builtins(), reduction_builtins(), shape_builtins(), indexed_builtins(),
                    spatial_builtins(), entry_builtins()})
    std::move(part.begin(), part.end(), std::back_inserter(table));
  for (Builtin& b : table) b.parameters = parse_signature(b.signature);
  std::sort(table.begin(), table.end(), [](const Builtin& a, const Builtin& b) { return a.name < b.name; });
  return table;
}

}  // namespace

std::span<const Builtin> all_builtins() {
  static const std::vector<Builtin> table = make_table();
  return table;
}

const Builtin* find_builtin(std::string_view name) {
  const auto table = all_builtins();
  const auto it = std::lower_bound(table.begin(), table.end(), name,
                                   [](const Builtin& b, std::string_view n) { return b.name < n; });
  return it != table.end() && it->name == name ? &*it : nullptr;
}

void BuiltinCall::fail(int i, const std::string& wanted) const {
  throw OpError("`" + builtin.parameters[i].name + "` of `" + builtin.name + "` is " + wanted + ", found " +
                    values[i].describe(),
                i);
}

TensorValue BuiltinCall::tensor(int i) const {
  if (values[i].is_tensor()) return values[i].tensor();
  if (!values[i].is_scalar_constant()) fail(i, "a tensor");
  return to_tensor(context, values[i], float_type);
}

int64_t BuiltinCall::integer(int i) const {
  if (!values[i].is_int()) fail(i, "an int");
  return values[i].integer();
}

bool BuiltinCall::boolean(int i) const {
  if (!values[i].is_bool()) fail(i, "a constant bool");
  return values[i].boolean();
}

std::vector<int64_t> BuiltinCall::integers(int i) const {
  if (values[i].is_int()) return {values[i].integer()};
  auto list = as_integers(values[i]);
  if (!list) fail(i, "an int or a list of ints");
  return *list;
}

Shape BuiltinCall::shape(int i) const {
  if (values[i].is_type()) return values[i].type().shape;
  Shape result = integers(i);
  check_shape(result, i);
  return result;
}

int64_t BuiltinCall::axis(int i, int rank) const { return normalize_axis(integer(i), rank, i); }

std::vector<int64_t> BuiltinCall::axes(int i, int rank) const {
  std::vector<int64_t> result;
  if (values[i].is_nothing()) {
    result.resize(rank);
    std::iota(result.begin(), result.end(), 0);
    return result;
  }
  for (const int64_t a : integers(i)) result.push_back(normalize_axis(a, rank, i));
  std::sort(result.begin(), result.end());
  if (const auto twice = std::adjacent_find(result.begin(), result.end()); twice != result.end())
    throw OpError("the axis " + std::to_string(*twice) + " is there twice", i);
  return result;
}

}  // namespace nncc
