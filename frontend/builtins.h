// The functions that the compiler knows; everything else is text in std/*.nn.
//
// Beyond those of the language's pages there are some that only the library needs:
//   random(shape)           uniform in [0, 1), a new draw at each place and step
//   sigmoid(x)              1 / (1 + e^-x) without overflow
//   is_integer(x)           a constant bool: whether x is an int or a tensor of integers
//   is_float(x), is_tensor(x), is_list(x), is_string(x)   likewise
//   dtype(x)                the element type of x, for cast
//   check(condition, text)  an error at the call in the user's file unless the constant condition holds; two
//   more
//                           constants are shown as what was found and what was expected
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/graph_context.h"
#include "frontend/tensor_ops.h"
#include "frontend/value.h"

namespace nncc {

class Tracer;

struct BuiltinParameter {
  std::string name;
  bool required = true;
  AbstractValue default_value;
};

// A call with its arguments bound. The accessors throw an OpError about their argument.
struct BuiltinCall {
  Tracer& tracer;
  GraphContext& context;
  DType float_type;  // what f32 means here
  const Builtin& builtin;
  std::vector<AbstractValue> values;  // one for each parameter
  std::vector<SourceRange> ranges;    // empty where the default was taken

  const AbstractValue& operator[](int i) const { return values[i]; }
  TensorValue tensor(int i) const;  // numbers and bools become scalars
  int64_t integer(int i) const;
  bool boolean(int i) const;
  std::vector<int64_t> integers(int i) const;  // one int counts as a list
  Shape shape(int i) const;                    // extents of at least 1, or the shape of a type
  int64_t axis(int i, int rank) const;
  std::vector<int64_t> axes(int i, int rank) const;                // increasing; all of them for `none`
  [[noreturn]] void fail(int i, const std::string& wanted) const;  // "`axis` of `sum` is an int …, found …"
};

struct Builtin {
  std::string name;
  std::string signature;  // "x, axis = none, keep = false"
  AbstractValue (*run)(BuiltinCall&);
  // Only the operands decide the result: may stand in the body of a kept call.
  bool pure = true;
  std::vector<BuiltinParameter> parameters = {};  // from the signature
};

// Ordered by name.
std::span<const Builtin> all_builtins();
const Builtin* find_builtin(std::string_view name);

// The parts of the table, by file.
std::vector<Builtin> elementwise_builtins();  // builtins_elementwise.cpp
std::vector<Builtin> reduction_builtins();    // builtins_reduction.cpp
std::vector<Builtin> shape_builtins();        // builtins_shape.cpp
std::vector<Builtin> indexed_builtins();      // builtins_indexed.cpp: gather and its like
std::vector<Builtin> spatial_builtins();      // builtins_spatial.cpp: convolutions and windows
std::vector<Builtin> entry_builtins();        // builtins_entry.cpp: what needs the tracer

}  // namespace nncc
