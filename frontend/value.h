// What an expression of a program is while it is traced: a constant, or a value of the graph being built.
#pragma once
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "ir/graph.h"

namespace nncc {

struct Builtin;
struct GraphContext;
struct Symbol;

// A tensor of the graph of `context`.
struct TensorValue {
  Value value;
  TensorType type;
  GraphContext* context = nullptr;
};

// A function as a constant: one of the program or one of the compiler's own.
struct FunctionValue {
  const Symbol* symbol = nullptr;
  const Builtin* builtin = nullptr;
  const std::string& name() const;
  friend bool operator==(const FunctionValue&, const FunctionValue&) = default;
};

// An immutable value; lists are shared.
class AbstractValue {
 public:
  struct Poison {};  // stands for something that was reported already
  struct Nothing {
  };  // what a call without result gives; also `none`, the default of some built-in parameters
  using List = std::shared_ptr<const std::vector<AbstractValue>>;
  struct Results {
    List values;
  };  // two or more, of a call
  using Variant = std::variant<Poison, Nothing, int64_t, double, bool, std::string, List, FunctionValue,
                               TensorType, TensorValue, Results>;

  AbstractValue() : data_(Nothing{}) {}
  AbstractValue(int64_t v) : data_(v) {}
  AbstractValue(double v) : data_(v) {}
  AbstractValue(bool v) : data_(v) {}
  AbstractValue(std::string v) : data_(std::move(v)) {}
  AbstractValue(const char*) = delete;
  AbstractValue(FunctionValue v) : data_(v) {}
  AbstractValue(TensorType v) : data_(std::move(v)) {}
  AbstractValue(TensorValue v) : data_(std::move(v)) {}
  static AbstractValue poison() { return AbstractValue(Variant(Poison{})); }
  static AbstractValue list(std::vector<AbstractValue> values);
  static AbstractValue integers(const std::vector<int64_t>& values);
  static AbstractValue results(std::vector<AbstractValue> values);

  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(data_);
  }
  template <typename T>
  const T& as() const {
    return std::get<T>(data_);
  }
  bool is_poison() const { return is<Poison>(); }
  bool is_nothing() const { return is<Nothing>(); }
  bool is_int() const { return is<int64_t>(); }
  bool is_float() const { return is<double>(); }
  bool is_number() const { return is_int() || is_float(); }
  bool is_bool() const { return is<bool>(); }
  bool is_string() const { return is<std::string>(); }
  bool is_list() const { return is<List>(); }
  bool is_function() const { return is<FunctionValue>(); }
  bool is_type() const { return is<TensorType>(); }
  bool is_tensor() const { return is<TensorValue>(); }
  bool is_results() const { return is<Results>(); }
  bool is_scalar_constant() const { return is_number() || is_bool(); }
  // No tensor in it, not even inside a list.
  bool is_constant() const;

  int64_t integer() const { return as<int64_t>(); }
  double real() const { return is_int() ? static_cast<double>(integer()) : as<double>(); }
  bool boolean() const { return as<bool>(); }
  const std::string& string() const { return as<std::string>(); }
  const std::vector<AbstractValue>& elements() const { return *as<List>(); }
  const std::vector<AbstractValue>& result_values() const { return *as<Results>().values; }
  const FunctionValue& function() const { return as<FunctionValue>(); }
  const TensorType& type() const { return as<TensorType>(); }
  const TensorValue& tensor() const { return as<TensorValue>(); }

  // For messages: "the int 3", "a list", "f32[64, 10]".
  std::string describe() const;
  // A constant written out; equal texts mean equal constants.
  std::string text() const;
  // Constants alone; an int equals a float of the same value, other kinds differ from each other.
  friend bool operator==(const AbstractValue& a, const AbstractValue& b);

 private:
  explicit AbstractValue(Variant v) : data_(std::move(v)) {}
  Variant data_;
};

// A list of ints, or nothing.
std::optional<std::vector<int64_t>> as_integers(const AbstractValue&);

// "[64, 10]"
std::string shape_text(const Shape&);
// "1 argument", "3 arguments"
std::string count_text(size_t n, std::string_view noun);

}  // namespace nncc
