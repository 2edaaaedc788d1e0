// What the ops on windows have in common.
#pragma once
#include "ir/graph.h"

namespace nncc {

// Window t covers the elements t * strides + k - low of the image, k below `sizes`, on every axis.
struct WindowShape {
  bool back = false;  // the result is the image: each element is made of the windows that cover it
  Shape image, windows;
  std::vector<int64_t> sizes, strides, low;

  // On an axis every window is one element, at its own place.
  bool is_plain(size_t axis) const {
    return sizes[axis] == 1 && strides[axis] == 1 && low[axis] == 0 && image[axis] == windows[axis];
  }
  // At most so many operand elements make one result element, along an axis and in all.
  int64_t taps(size_t axis) const {
    return back ? (sizes[axis] + strides[axis] - 1) / strides[axis] : sizes[axis];
  }
  int64_t taps() const;
  // Some windows share elements.
  bool overlaps() const;
  // Some window lies outside of the image.
  bool may_be_empty() const;
};

// Of an op for which is_window() holds: those with the trait Window, and window_gather.
WindowShape window_shape(const Graph& graph, NodeId id);
bool is_window(Op op);

// Windows of so few elements that kernels write each out as one expression, like an elementwise op.
bool is_small_window(const Graph& graph, NodeId id);

}  // namespace nncc
