// What operators mean on tensors and constants: element types, broadcasting, products, indexing. Throws
// OpError.
#pragma once
#include <optional>
#include <utility>

#include "frontend/ast.h"
#include "frontend/graph_context.h"
#include "frontend/op_error.h"

namespace nncc {

// A constant as a tensor of `type`; every element is the same.
TensorValue make_splat(GraphContext&, const AbstractValue& constant, const TensorType& type);
// A tensor as it is; a number or bool as a scalar of `float_type`, i32 or bool.
TensorValue to_tensor(GraphContext&, const AbstractValue&, DType float_type);
// Both with one element type and one shape, constants turned into the other's element type. `what` is named
// in messages.
std::pair<TensorValue, TensorValue> unify(GraphContext&, const AbstractValue& a, const AbstractValue& b,
                                          std::string_view what, DType float_type);

// At least one operand is a tensor.
TensorValue tensor_binary(GraphContext&, ast::BinaryOp, const AbstractValue& a, const AbstractValue& b,
                          DType float_type);
TensorValue tensor_unary(GraphContext&, ast::UnaryOp, const TensorValue&);
// An elementwise op with one operand; checks the element type.
TensorValue tensor_function(GraphContext&, Op, const TensorValue&);
TensorValue tensor_matmul(GraphContext&, const TensorValue& a, const TensorValue& b);

// The elements of x that `index`, integers of any shape, names along an axis; where `index` may lie outside,
// that is found out when the entry runs.
TensorValue tensor_gather(GraphContext&, const TensorValue& x, const TensorValue& index, int64_t axis);
// `index` itself, known to lie in [0, extent) from then on.
TensorValue checked_index(GraphContext&, const TensorValue& index, int64_t extent);

// One position of an index, evaluated.
struct IndexPart {
  enum class Kind : uint8_t { Int, Range, Ellipsis } kind = Kind::Int;
  int64_t index = 0;                         // Int
  std::optional<int64_t> start, stop, step;  // Range
};
// Which elements along an axis of `extent` a range takes: `first`, then every `step`th.
struct RangeElements {
  int64_t first, step, count;
};
RangeElements range_elements(const IndexPart&, int64_t extent);
// An OpError's argument is the number of the part it is about.
TensorValue tensor_index(GraphContext&, const TensorValue&, const std::vector<IndexPart>& parts);

// An axis counted from the end when negative.
int64_t normalize_axis(int64_t axis, int rank, int argument);
// Every extent at least 1, and not more elements than an address can reach.
void check_shape(const Shape&, int argument = -1);

}  // namespace nncc
