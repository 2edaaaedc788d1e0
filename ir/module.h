// A module: what one program compiles to before code is generated.
#pragma once
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace nncc {

enum class VariableKind : uint8_t {
  Parameter,       // trained; `param`
  State,           // kept between runs and changed by training entries; `state` in a model
  Memory,          // kept between runs and changed by any entry; `memory`
  OptimizerState,  // `state` of an optimizer
  Counter,         // i64: steps an entry has done
  Seed,            // i64: the session's seed; there is exactly one, named "seed"
  Hyper,           // scalar that the host sets; `hyper`
  Hoisted,         // computed by an entry's `prepare` graph from other variables; not saved
};
std::string_view variable_kind_name(VariableKind);  // "parameter", "optimizer_state", …
std::optional<VariableKind> parse_variable_kind(std::string_view);
// Part of a checkpoint: everything but hypers and hoisted values.
bool is_saved(VariableKind);

struct Variable {
  std::string name;  // "mlp.dense.weight"; optimizer state: "fit.adam.m/mlp.dense.weight"
  TensorType type;
  VariableKind kind = VariableKind::Parameter;
  // A hyper's default; else what the variable is before the `init` entry ran (zeros if absent).
  std::optional<Literal> initial;
  // Neighbours in memory, in the module's order: variables with one slab name lie next to each other without
  // gaps. Empty: alone.
  std::string slab;
  // Bytes from the start of the session's variables, once plan-memory has run.
  std::optional<int64_t> offset;
  Location location;
};

enum class FunctionKind : uint8_t {
  Composite,  // called by Call nodes; a library function a pass may claim
  Kernel,     // called by Kernel nodes; compiled to one native function
  Step,       // called by Scan nodes, once for each step
};
std::string_view function_kind_name(FunctionKind);  // "composite", "kernel", "step"
std::optional<FunctionKind> parse_function_kind(std::string_view);
// The kind of function that nodes of a structural op with a symbol call.
FunctionKind called_kind(Op);

// Its arguments and results are the body's. A body has no Variable node and no update.
struct Function {
  std::string name;
  FunctionKind kind = FunctionKind::Composite;
  // Composite: the name in the language ("softmax") where `name` had to be made unique ("softmax.1").
  std::string callee;
  Graph body;
  // Step: bytes of workspace for one call, once plan-memory has run.
  int64_t arena_bytes = 0;
};

enum class EntryKind : uint8_t {
  Model,  // inference: updates Memory and Counter variables at most
  Train,  // one optimization step
  Init,   // gives every variable its first value; exactly one, named "init", without arguments or results
};
std::string_view entry_kind_name(EntryKind);  // "model", "train", "init"
std::optional<EntryKind> parse_entry_kind(std::string_view);

struct Entry {
  std::string name;
  EntryKind kind = EntryKind::Model;
  Graph graph;
  // What hoist-weights took out: updates Hoisted variables from the others. Run again after any of those
  // changed.
  Graph prepare;
  // Bytes of workspace, once plan-memory has run; `prepare` runs in the same space.
  int64_t arena_bytes = 0;
};

// Names are unique within variables, functions and entries each. Deques: addresses are stable as more are
// added.
struct Module {
  std::string name = "model";
  std::deque<Variable> variables;
  std::deque<Function> functions;
  std::deque<Entry> entries;
  int64_t variable_bytes = 0;  // once plan-memory has run

  Variable* find_variable(std::string_view);
  const Variable* find_variable(std::string_view) const;
  Function* find_function(std::string_view);
  const Function* find_function(std::string_view) const;
  Entry* find_entry(std::string_view);
  const Entry* find_entry(std::string_view) const;
  // `wanted` or, if taken, the first of wanted.1, wanted.2, … that no function has.
  std::string unique_function_name(std::string_view wanted) const;
};

}  // namespace nncc
