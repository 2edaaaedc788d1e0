// Walking over the elements of a tensor by their coordinates.
#pragma once
#include <vector>

#include "ir/type.h"

namespace nncc {

using Coordinates = std::vector<int64_t>;

// visit(coordinates, position) for every element in row-major order.
template <typename Visit>
void for_each_index(const Shape& shape, Visit visit) {
  Coordinates index(shape.size(), 0);
  const int64_t n = num_elements(shape);
  for (int64_t i = 0; i < n; ++i) {
    visit(index, i);
    for (size_t axis = shape.size(); axis-- > 0;) {
      if (++index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
  }
}

inline int64_t offset_of(const Coordinates& index, const Shape& shape) {
  int64_t offset = 0;
  for (size_t axis = 0; axis < shape.size(); ++axis) offset = offset * shape[axis] + index[axis];
  return offset;
}

}  // namespace nncc
