// Where Winograd's convolutions pay, and the ops that make one.
#pragma once
#include "ir/builder.h"
#include "ir/convolution.h"

namespace nncc {

// How a convolution, or its gradient by weights, is best computed.
struct WinogradPlan {
  int64_t tile = 0;  // outputs along an axis of a tile, 2 or 4; 0: the definition is faster or the only way
  bool transformed = false;  // inputs are transformed by a kernel of their own
};

// For f32 alone; what it costs in digits is in docs/numerics.md, so with --accurate the caller must not ask.
// A gradient by data is asked for as the convolution of dy that it is. Plain arithmetic over the extents: the
// times of products, transforms and the reading of weights, fitted to measurements.
WinogradPlan winograd_plan(const Convolution& conv);
// Its tile.
int64_t winograd_tile(const Convolution& conv);

// y [n, h', w', o] from x [n, h, w, c] and w [o, c, 3, 3] by a plan with a tile. `conv` is forward; of its
// layout nothing is used. turned: w is [c, o, 3, 3], that of the convolution whose gradient by data this is.
Value winograd_convolution(GraphBuilder& builder, const Convolution& conv, const WinogradPlan& plan, Value x,
                           Value w, bool turned, int vector_lanes);
// dw [o, c, 3, 3] from x [n, h, w, c] and dy [n, h', w', o].
Value winograd_weight_gradient(GraphBuilder& builder, const Convolution& conv, const WinogradPlan& plan,
                               Value x, Value dy, int vector_lanes);

}  // namespace nncc
