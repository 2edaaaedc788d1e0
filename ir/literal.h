// A tensor's value at compile time, in the evaluator and in tests.
#pragma once
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "ir/type.h"

namespace nncc {

// Floats are held in double precision, whatever the element type; integers and bools as int64.
// A splat holds one element that stands for all of them. Copies are deep.
class Literal {
 public:
  using Floats = std::vector<double>;
  using Ints = std::vector<int64_t>;

  Literal() = default;
  // A tensor of zeros, stored densely.
  explicit Literal(TensorType type);
  static Literal splat(TensorType type, double value);
  static Literal splat_int(TensorType type, int64_t value);
  // `values` has one element for each of the tensor's, or one for all of them (a splat).
  static Literal floats(TensorType type, Floats values);
  static Literal ints(TensorType type, Ints values);

  const TensorType& type() const { return type_; }
  bool is_float() const { return std::holds_alternative<Floats>(values_); }
  bool is_splat() const;
  int64_t num_elements() const { return type_.num_elements(); }

  // Element i in row-major order, as a double or as an integer, converted if need be.
  double real(int64_t i) const;
  int64_t integer(int64_t i) const;
  void set(int64_t i, double value);  // rounds toward zero into integers; the literal must be dense
  void set_int(int64_t i, int64_t value);
  // `count` elements from `from` on of another literal of this element type become those from `to` on.
  void copy_elements(int64_t to, const Literal& source, int64_t from, int64_t count = 1);
  // The same tensor with every element stored.
  Literal dense() const;
  // The same elements under another shape of equal size.
  Literal reshaped(Shape shape) const;

  // Rounds each element to what the element type can hold (f32: to float; bool: 0 or 1; i8: wraps).
  void round_to_type();

  // Converts to and from the memory image: row-major, native byte order, dtype_size bytes an element.
  std::vector<std::byte> to_bytes() const;
  static Literal from_bytes(TensorType type, std::span<const std::byte> bytes);

  // Exact: floats in shortest form that reads back to the same double; "dense<…>" lists are row-major.
  std::string str() const;
  friend bool operator==(const Literal&, const Literal&) = default;  // NaN differs from itself

 private:
  TensorType type_;
  std::variant<Floats, Ints> values_;
};

}  // namespace nncc
