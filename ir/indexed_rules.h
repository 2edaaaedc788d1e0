// The shape and evaluation rules of gather, scatter_add and check_index.
#pragma once
#include <string>

#include "ir/eval_rules.h"

namespace nncc {

// The shape of what is looked up along `axis` of a tensor: the index's axes take the place of that one.
Shape gathered_shape(const Shape& from, const Shape& index, int64_t axis);

// As infer_types(); numbers of operands and attributes' kinds have been checked.
std::vector<TensorType> indexed_types(Op op, std::span<const TensorType> operands,
                                      const Attributes& attributes, std::string& error);

std::vector<Literal> evaluate_indexed(Op op, const EvalQuery& q);

}  // namespace nncc
