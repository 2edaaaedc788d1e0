// What planned memory looks like, for who lays it out and who generates code for it.
#pragma once
#include <cstdint>

namespace nncc {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t align_up(int64_t n, int64_t alignment) { return ceil_div(n, alignment) * alignment; }

// Of each buffer that stands alone, in bytes.
inline constexpr int64_t kBufferAlignment = 64;
// After each: kernels may read whole vectors over the end.
inline constexpr int64_t kSpareBytes = 64;

}  // namespace nncc
