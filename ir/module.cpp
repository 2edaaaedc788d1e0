#include "ir/module.h"

#include <algorithm>
#include <array>

namespace nncc {
namespace {

// In the order of VariableKind.
constexpr std::array<std::string_view, 8> kVariableKinds{"parameter", "state", "memory", "optimizer_state",
                                                         "counter",   "seed",  "hyper",  "hoisted"};
// In the order of FunctionKind.
constexpr std::array<std::string_view, 3> kFunctionKinds{"composite", "kernel", "step"};
// In the order of EntryKind.
constexpr std::array<std::string_view, 3> kEntryKinds{"model", "train", "init"};

template <typename Container>
auto* find_named(Container& container, std::string_view name) {
  const auto found =
      std::find_if(container.begin(), container.end(), [&](const auto& x) { return x.name == name; });
  return found == container.end() ? nullptr : &*found;
}

}  // namespace

std::string_view variable_kind_name(VariableKind kind) { return kVariableKinds[static_cast<size_t>(kind)]; }

std::optional<VariableKind> parse_variable_kind(std::string_view name) {
  const auto found = std::find(kVariableKinds.begin(), kVariableKinds.end(), name);
  if (found == kVariableKinds.end()) return std::nullopt;
  return static_cast<VariableKind>(found - kVariableKinds.begin());
}

bool is_saved(VariableKind kind) { return kind != VariableKind::Hyper && kind != VariableKind::Hoisted; }

std::string_view function_kind_name(FunctionKind kind) { return kFunctionKinds[static_cast<size_t>(kind)]; }

std::optional<FunctionKind> parse_function_kind(std::string_view name) {
  const auto found = std::find(kFunctionKinds.begin(), kFunctionKinds.end(), name);
  if (found == kFunctionKinds.end()) return std::nullopt;
  return static_cast<FunctionKind>(found - kFunctionKinds.begin());
}

FunctionKind called_kind(Op op) {
  switch (op) {
    case Op::Kernel:
      return FunctionKind::Kernel;
    case Op::Scan:
      return FunctionKind::Step;
    default:
      return FunctionKind::Composite;
  }
}

std::string_view entry_kind_name(EntryKind kind) { return kEntryKinds[static_cast<size_t>(kind)]; }

std::optional<EntryKind> parse_entry_kind(std::string_view name) {
  const auto found = std::find(kEntryKinds.begin(), kEntryKinds.end(), name);
  if (found == kEntryKinds.end()) return std::nullopt;
  return static_cast<EntryKind>(found - kEntryKinds.begin());
}

Variable* Module::find_variable(std::string_view n) { return find_named(variables, n); }
const Variable* Module::find_variable(std::string_view n) const { return find_named(variables, n); }
Function* Module::find_function(std::string_view n) { return find_named(functions, n); }
const Function* Module::find_function(std::string_view n) const { return find_named(functions, n); }
Entry* Module::find_entry(std::string_view n) { return find_named(entries, n); }
const Entry* Module::find_entry(std::string_view n) const { return find_named(entries, n); }

std::string Module::unique_function_name(std::string_view wanted) const {
  std::string name(wanted);
  for (int i = 1; find_function(name); ++i) name = std::string(wanted) + "." + std::to_string(i);
  return name;
}

}  // namespace nncc
