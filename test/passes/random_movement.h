// A step in growing a random graph that both kinds take.
#pragma once
#include <functional>

#include "test/passes/graphs.h"

namespace nncc::test {

// Some elements of x, in some order or among zeros, along a random axis; or what `concat` makes along it.
inline Value random_movement(GraphBuilder& b, std::mt19937& random, Value x,
                             const std::function<Value(int64_t axis)>& concat) {
  const auto pick = [&](size_t n) { return random() % n; };
  const TensorType type = b.type(x);
  if (type.rank() == 0) return x;
  const auto axis = static_cast<int64_t>(pick(type.rank()));
  const std::vector<int64_t> zeros(type.rank(), 0), ones(type.rank(), 1);
  switch (pick(4)) {
    case 0:
      return concat(axis);
    case 1: {
      std::vector<int64_t> starts = zeros;
      Shape shape = type.shape;
      starts[axis] = static_cast<int64_t>(pick(shape[axis]));
      shape[axis] -= starts[axis];
      return b.add_typed(Op::Slice, std::vector{x}, {type.dtype, shape},
                         {{Attr::Starts, starts}, {Attr::Strides, ones}});
    }
    case 2: {
      std::vector<int64_t> low = zeros;
      Shape shape = type.shape;
      low[axis] = static_cast<int64_t>(pick(2));
      shape[axis] += low[axis];
      return b.add_typed(Op::Pad, std::vector{x, b.scalar(type.dtype, 0)}, {type.dtype, shape},
                         {{Attr::Low, low}, {Attr::Interior, zeros}});
    }
    default:
      return b.add(Op::Reverse, {x}, {{Attr::Axes, std::vector{axis}}});
  }
}

}  // namespace nncc::test
