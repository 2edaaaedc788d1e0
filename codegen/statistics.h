// Bodies of a convolution and the statistics of blocks of its result.
#pragma once
#include <vector>

#include "codegen/lowering.h"
#include "ir/statistics.h"

namespace nncc {

struct StatisticsBody {
  StatisticsBlocks blocks;
  Shape whole;                // [count, pixels, c]
  std::vector<bool> is_kept;  // of each result: one for each block and channel, not for each element
};
// Nothing if nothing is kept of a block, or some result is neither made element by element of
// the convolution, nor the first pixel of each block or a sum over its pixels of what is.
std::optional<StatisticsBody> statistics_body(const Graph& body, Value convolution);

// Defines out(c, x, row, block, n), row counting within a block, or out(c, x, row, n) if blocks are images.
// Each step writes elements, and adds to what is kept of its block: those results have stride 0 along what
// they are sums over, and a step finds there what the one before has left. `element`: where the step stands
// in the convolution's [n, h, w, c]. The convolution must have been provided; update 0 is what is to be
// scheduled.
void define_statistics(Lowering& lowering, const StatisticsBody& statistics, Value convolution,
                       Halide::Func out, const std::vector<Halide::Var>& arguments, const Index& element);
// Bounds and strides of its buffers; extents: of the arguments, outermost first.
void fix_statistics(Halide::Func out, const StatisticsBody& statistics, const Shape& extents);

}  // namespace nncc
