// Offsets for buffers that live during a range of steps.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "ir/memory.h"

namespace nncc {

// `bytes` of a buffer from `offset` on, alive from step `first` to step `last`, both included.
struct LiveRange {
  int first = 0;
  int last = 0;
  int64_t offset = 0;
  int64_t bytes = 0;
  int64_t end() const { return offset + bytes; }
  friend bool operator==(const LiveRange&, const LiveRange&) = default;
};

// Memory with one address, whose parts are alive at times of their own: a concat's pieces from where each is
// written on. What is alive while a part is not may lie there.
struct ArenaBuffer {
  std::vector<LiveRange> parts;  // by offset; none overlaps another

  // From the first step of any part to the last of any.
  int first() const;
  int last() const;
};

// Parts from what is known of overlapping ranges: each byte lives from the first step to the last of all
// ranges that have it.
ArenaBuffer make_buffer(std::vector<LiveRange> ranges);

struct ArenaPlan {
  std::vector<int64_t> offsets;  // one for each buffer
  int64_t bytes = 0;             // of the arena
  int64_t lower_bound = 0;       // most bytes alive at one step; no plan takes less
  int peak_step = 0;             // where that is
};

// Each in the smallest gap that fits between what lives at the same time: the largest first, or those that
// live longest, or those that are most in both; whichever takes the least.
ArenaPlan plan_arena(std::span<const ArenaBuffer> buffers);

}  // namespace nncc
