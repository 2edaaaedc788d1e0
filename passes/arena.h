// Offsets for buffers that live during a range of steps.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "ir/memory.h"

namespace nncc {

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
