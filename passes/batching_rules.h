// How each op is computed for all steps of a loop at once.
#pragma once
#include <optional>
#include <span>

#include "ir/builder.h"

namespace nncc {

// An operand for all steps: one element after the other along a new first axis, or one for all.
struct BatchedValue {
  Value value;
  bool is_stacked = false;
};

// Whether `node` of `body` can be computed from operands of which `stacked` are; at least one is.
bool can_batch(const Graph& body, NodeId node, std::span<const bool> stacked);
// Adds its computation for all `steps`; the result is stacked.
Value batch(GraphBuilder& builder, const Graph& body, NodeId node, std::span<const BatchedValue> operands,
            int64_t steps);

}  // namespace nncc
