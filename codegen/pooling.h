// Bodies of a convolution and the pooling of its elements.
#pragma once
#include "codegen/lowering.h"
#include "ir/pooling.h"

namespace nncc {

struct PooledBody {
  Value window;   // one of the ops on windows; all read `operand` in the same ones
  Value operand;  // an element for each of the convolution's
  Pooling pooling;
};
// Nothing if something is not element by element, of the convolution before the windows, or of the windows
// after.
std::optional<PooledBody> pooled_body(const Graph& body, Value convolution);

}  // namespace nncc
