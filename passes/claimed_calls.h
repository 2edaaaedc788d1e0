// Library functions whose calls some pass looks for by name: the frontend keeps them as `call` nodes.
#pragma once
#include <string_view>

namespace nncc {

inline constexpr std::string_view kClaimedCalls[] = {
    "cross_entropy",  // fuse-softmax-cross-entropy
    "softmax",        // fuse-softmax-cross-entropy
};

}  // namespace nncc
