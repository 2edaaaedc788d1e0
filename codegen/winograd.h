// Winograd's convolutions, for schedules.
#pragma once
#include <functional>

#include "codegen/lowering.h"
#include "codegen/schedule.h"
#include "codegen/spatial.h"
#include "ir/winograd.h"

namespace nncc {

// Any of the seven ops as a sum, for the schedule that is right for every body.
SpatialTerms winograd_terms(Lowering& lowering, Value v);

// x[n, y, x, c] of an image with channels last, and 0 outside of it.
Halide::Expr padded_at(Lowering& lowering, Value image, const Halide::Expr& n, const Halide::Expr& y,
                       const Halide::Expr& x, const Halide::Expr& c);

// The sum of row[k] * f(k), without products with 0 and 1.
Halide::Expr combine(const std::vector<double>& row, const std::function<Halide::Expr(int)>& f);
// Row `which` of the matrix combined with f. `which` should be a constant where the loops are unrolled.
Halide::Expr apply(const WinogradMatrices::Matrix& matrix, const Halide::Expr& which,
                   const std::function<Halide::Expr(int)>& f);

// The transforms of weights, inputs and gradients: kernels of their own.
Pipeline schedule_winograd_transform(Lowering& lowering, const ScheduleOptions& options, NodeId id);

// conv_winograd_weight_gradient, and what is done with each element. Panels must be whole vectors, or one.
Pipeline schedule_winograd_weight_gradient(Lowering& lowering, const ScheduleOptions& options, NodeId id);

}  // namespace nncc
