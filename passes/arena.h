// Offsets for buffers that live during a range of steps.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace nncc {

inline constexpr int64_t kBufferAlignment = 64;
// After each buffer that stands alone: kernels may read whole vectors over the end.
inline constexpr int64_t kSpareBytes = 64;
constexpr int64_t align_up(int64_t n, int64_t alignment) {
  return (n + alignment - 1) / alignment * alignment;
}

// A buffer, alive from step `first` to step `last`, both included.
struct LiveRange {
  int first = 0;
  int last = 0;
  int64_t bytes = 0;
};

struct ArenaPlan {
  std::vector<int64_t> offsets;  // one for each range
  int64_t bytes = 0;             // of the arena
  int64_t lower_bound = 0;       // most bytes alive at one step; no plan takes less
  int peak_step = 0;             // where that is
};

// Each in the smallest gap that fits between the buffers that live at the same time: the largest first, or
// those that live longest, or those that are most in both; whichever takes the least.
ArenaPlan plan_arena(std::span<const LiveRange> ranges);

}  // namespace nncc
