// The shape and evaluation rules of ops that look up and add up by indices in a tensor, for the tables in
// shape_rules.cpp and eval_rules.cpp.
#include "ir/indexed_rules.h"

#include <algorithm>

#include "ir/diagnostic.h"

namespace nncc {
namespace {

// [..before, n, ..after] along the axis: n elements are chosen from by an index.
struct Looked {
  int64_t before = 1, extent = 1, after = 1;
};
Looked looked(const TensorType& type, int64_t axis) {
  Looked at;
  for (int64_t i = 0; i < type.rank(); ++i)
    (i < axis ? at.before : i == axis ? at.extent : at.after) *= type.shape[i];
  return at;
}

}  // namespace

Shape gathered_shape(const Shape& from, const Shape& index, int64_t axis) {
  Shape shape(from.begin(), from.begin() + axis);
  shape.insert(shape.end(), index.begin(), index.end());
  shape.insert(shape.end(), from.begin() + axis + 1, from.end());
  return shape;
}

std::vector<TensorType> indexed_types(Op op, std::span<const TensorType> operands,
                                      const Attributes& attributes, std::string& error) {
  const auto fail = [&](std::string text) {
    error = std::move(text);
    return std::vector<TensorType>{};
  };
  const bool checks = op == Op::CheckIndex;
  const TensorType& index = operands[checks ? 0 : 1];
  if (!is_integer(index.dtype)) return fail("the index is " + index.str() + ", expected integers");
  if (checks) {
    if (attributes.integer(Attr::Extent) < 1) return fail("`extent` is below 1");
    return {index};
  }
  const TensorType& from = operands[0];
  const int64_t axis = attributes.integer(Attr::Axis);
  if (axis < 0 || axis >= from.rank())
    return fail("there is no axis " + std::to_string(axis) + " in " + from.str());
  const TensorType taken{from.dtype, gathered_shape(from.shape, index.shape, axis)};
  if (op == Op::Gather) return {taken};
  if (operands[2] != taken) return fail("the values are " + operands[2].str() + ", expected " + taken.str());
  if (from.dtype == DType::Bool) return fail("truth values cannot be added");
  return {from};
}

std::vector<Literal> evaluate_indexed(Op op, const EvalQuery& q) {
  if (op == Op::CheckIndex) return {q.operands[0]};
  const Literal &from = q.operands[0], &index = q.operands[1];
  const Looked at = looked(from.type(), q.attributes.integer(Attr::Axis));
  const int64_t count = index.num_elements();
  Literal result = op == Op::Gather ? Literal(q.types[0]) : from.dense();
  for (int64_t before = 0; before < at.before; ++before) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t row = std::clamp<int64_t>(index.integer(i), 0, at.extent - 1);
      for (int64_t after = 0; after < at.after; ++after) {
        const int64_t whole = (before * at.extent + row) * at.after + after;
        const int64_t taken = (before * count + i) * at.after + after;
        if (op == Op::Gather) {
          result.copy_elements(taken, from, whole);
          continue;
        }
        const Literal& values = q.operands[2];
        if (result.is_float())
          result.set(whole, result.real(whole) + values.real(taken));
        else
          result.set_int(whole, static_cast<int64_t>(static_cast<uint64_t>(result.integer(whole)) +
                                                     static_cast<uint64_t>(values.integer(taken))));
      }
    }
  }
  return {result};
}

}  // namespace nncc
