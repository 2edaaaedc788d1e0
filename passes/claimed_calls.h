// Library functions whose calls some pass looks for by name: the frontend keeps them as `call` nodes.
#pragma once
#include <optional>
#include <string_view>

#include "ir/module.h"

namespace nncc {

inline constexpr std::string_view kClaimedCalls[] = {
    "cross_entropy",  // fuse-softmax-cross-entropy
    "softmax",        // fuse-softmax-cross-entropy, fuse-attention
};

// The function that the node calls, if it is one of the library function `name`; else null.
const Function* claimed_callee(const Module&, const Graph&, NodeId, std::string_view name);

// The axis of a softmax: that of the one sum in its body. Nothing if the body is not that of a softmax.
std::optional<int64_t> softmax_axis(const Function& softmax);

}  // namespace nncc
