// The shape and evaluation rules of convolutions and windows, for the tables in shape_rules.cpp and
// eval_rules.cpp.
#pragma once
#include <string>

#include "ir/eval_rules.h"

namespace nncc {

// As infer_types(); numbers of operands and attributes' kinds have been checked, and `wanted` is one type.
std::vector<TensorType> convolution_types(Op op, std::span<const TensorType> operands,
                                          const Attributes& attributes, const TensorType& wanted,
                                          std::string& error);
std::vector<TensorType> window_types(Op op, std::span<const TensorType> operands,
                                     const Attributes& attributes, const TensorType& wanted,
                                     std::string& error);

std::vector<TensorType> winograd_types(Op op, std::span<const TensorType> operands,
                                       const Attributes& attributes, const TensorType& wanted,
                                       std::string& error);

std::vector<Literal> evaluate_convolution(Op op, const EvalQuery& q);
std::vector<Literal> evaluate_window(Op op, const EvalQuery& q);
std::vector<Literal> evaluate_winograd(Op op, const EvalQuery& q);

}  // namespace nncc
