// Which images a graph keeps with channels last, and the rewriting that follows.
#pragma once
#include <cstdint>

#include "passes/pass.h"

namespace nncc {

struct ChannelsLastResult {
  int convolutions = 0;          // that now read and write channels last
  int transposes = 0;            // at the borders of regions
  int64_t bytes_transposed = 0;  // read and written by them
};

// Convolutions and their gradients become the ops of packed weights (conv_packed, depthwise_conv, products
// for windows of one element …), over images with channels last. What lies between them is computed in that
// layout too wherever that moves fewest bytes in transpositions: a minimum cut decides. Graphs without a
// convolution stay as they are.
ChannelsLastResult put_channels_last(Graph& graph, const PassOptions& options);

}  // namespace nncc
