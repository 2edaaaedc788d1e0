// From the nodes of a kernel body to Halide expressions. A value becomes a function from an index to an Expr;
// nothing is stored unless a schedule asks for it (provide()).
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "Halide.h"
#include "ir/graph.h"

namespace nncc {

// One coordinate for each axis, outermost first. A single coordinate for a value of another rank than 1
// counts its elements in row-major order ("flat"): elementwise ops and reshapes hand it on as it is.
using Index = std::vector<Halide::Expr>;
using Access = std::function<Halide::Expr(const Index&)>;

// The type in memory (bools take a byte) and the type in expressions (bools are truth values; 16-bit floats
// compute in f32).
Halide::Type storage_type(DType);
Halide::Type compute_type(DType);

// The nearest number in [0, extent) to an integer of any type.
Halide::Expr inside_extent(const Halide::Expr& index, int64_t extent);

// An expression of the compute type as it lies in memory.
Halide::Expr to_storage(const Halide::Expr& e, DType dtype);

// Halide tells LLVM that there are no infinities and no NaN: arithmetic on one that LLVM sees has any result.
// So such constants are calls of a function of their bits, by this name and the type's bits, until LLVM's
// passes are through; then compile_kernels() makes each a load.
inline const std::string kOpaqueNumber = "nn_opaque_f";
// A number of a float type, hidden so if it is infinite or NaN.
Halide::Expr float_number(double value, Halide::Type type);

class Lowering {
 public:
  // `accurate`: no form that costs digits. `name` makes those of constants in the object unique. The body
  // must outlive this.
  Lowering(const Graph& body, std::string name, bool accurate = false);
  const Graph& body() const { return body_; }
  bool accurate() const { return accurate_; }

  // Element `index` of a value, of its compute type. Reductions and contractions must have been provided.
  Halide::Expr at(Value v, const Index& index);
  // The same of its storage type.
  Halide::Expr stored_at(Value v, const Index& index);
  // From now on elements of v come from `access`, which always gets one coordinate for each axis.
  void provide(Value v, Access access);
  // Asked for a reduction or contraction that nothing was provided for; the answer is not kept.
  void set_fallback(std::function<Access(Value)> fallback) { fallback_ = std::move(fallback); }
  bool is_provided(Value v) const { return provided_.count(v) != 0; }

  // The row-major position of `index` in `shape`, and back. A run of coordinates that came from unflatten()
  // goes back to what it was made of, and a position that reshape() made of coordinates to those, so that
  // loops over merged axes cost no arithmetic.
  Halide::Expr flatten(const Shape& shape, const Index& index) const;
  Index unflatten(const Shape& shape, const Halide::Expr& flat);
  // Where the element at `index` of `shape` lies in `other`, of equal size. Axes that pass through unchanged
  // keep their coordinate.
  Index reshape(const Shape& shape, const Shape& other, const Index& index);

  // One flat buffer for each argument of the body, in order.
  const std::vector<Halide::ImageParam>& inputs() const { return inputs_; }
  std::vector<Halide::Argument> arguments() const;

 private:
  const Graph& body_;
  std::string name_;
  bool accurate_;
  std::vector<Halide::ImageParam> inputs_;
  std::map<Value, Access> provided_;
  std::map<NodeId, Halide::Buffer<>> constants_;
  std::function<Access(Value)> fallback_;
  // What was lowered lately: keeps shared subexpressions shared, so that size stays linear in the body's.
  std::map<Value, std::vector<std::pair<Index, Halide::Expr>>> memo_;
  // That `flat` is element `index` of `shape`.
  void remember(const Shape& shape, const Index& index, const Halide::Expr& flat);
  struct Unflattened {
    Shape shape;  // without axes of extent 1
    Index index;
    Halide::Expr flat;
  };
  std::vector<Unflattened> unflattened_;
  friend struct LoweringRules;
};

// Whether a value is one number known now: a splat constant, or a broadcast or reshape of one.
std::optional<double> constant_value(const Graph& body, Value v);

}  // namespace nncc
