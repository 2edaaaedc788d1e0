// The evaluator's table: how each op computes its results.
#pragma once
#include <span>
#include <vector>

#include "ir/graph.h"

namespace nncc {

struct EvalQuery {
  const Attributes& attributes;
  std::span<const Literal> operands;
  const std::vector<TensorType>& types;  // of the results
};
using EvalRule = std::vector<Literal> (*)(const EvalQuery&);
// For ops that need more than their operands (input, variable, call, kernel, scan, gradient) the rule is an
// InternalError.
EvalRule eval_rule(Op);

}  // namespace nncc
