// Arithmetic on compile-time constants.
#pragma once
#include "frontend/ast.h"
#include "frontend/op_error.h"
#include "frontend/value.h"
#include "ir/op.h"

namespace nncc {

// Both operands are constants; `and` and `or` have been decided before. Throws OpError.
AbstractValue fold_binary(ast::BinaryOp, const AbstractValue& a, const AbstractValue& b);
AbstractValue fold_unary(ast::UnaryOp, const AbstractValue&);
// An elementwise function on numbers: ints stay ints where the result is one (`abs`, `sign`, `floor`). Throws
// OpError.
AbstractValue fold_function(Op, const AbstractValue&);
// `min` or `max` of two numbers; NaN wins.
AbstractValue fold_extremum(Op, const AbstractValue& a, const AbstractValue& b);

// Whether `int / int` lost everything: a nonzero number became 0.
bool is_lossy_division(const AbstractValue& a, const AbstractValue& b);

}  // namespace nncc
