#include "passes/arena.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace nncc {

namespace {

int64_t footprint(const LiveRange& range) { return align_up(range.bytes + kSpareBytes, kBufferAlignment); }

void find_peak(std::span<const LiveRange> ranges, ArenaPlan& plan) {
  int steps = 0;
  for (const LiveRange& range : ranges) steps = std::max(steps, range.last + 1);
  std::vector<int64_t> change(steps + 1, 0);
  for (const LiveRange& range : ranges) {
    change[range.first] += footprint(range);
    change[range.last + 1] -= footprint(range);
  }
  int64_t alive = 0;
  for (int step = 0; step < steps; ++step) {
    alive += change[step];
    if (alive > plan.lower_bound) plan.lower_bound = alive, plan.peak_step = step;
  }
}

}  // namespace

ArenaPlan plan_arena(std::span<const LiveRange> ranges) {
  ArenaPlan plan;
  plan.offsets.assign(ranges.size(), 0);
  find_peak(ranges, plan);
  std::vector<size_t> order(ranges.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return footprint(ranges[a]) != footprint(ranges[b]) ? footprint(ranges[a]) > footprint(ranges[b])
                                                        : ranges[a].first < ranges[b].first;
  });
  std::vector<size_t> placed;  // by offset
  for (size_t i : order) {
    const int64_t needed = footprint(ranges[i]);
    int64_t best_offset = -1, best_gap = std::numeric_limits<int64_t>::max(), end = 0;
    for (size_t other : placed) {
      if (ranges[other].last < ranges[i].first || ranges[i].last < ranges[other].first) continue;
      const int64_t gap = plan.offsets[other] - end;
      if (gap >= needed && gap < best_gap) best_gap = gap, best_offset = end;
      end = std::max(end, plan.offsets[other] + footprint(ranges[other]));
    }
    plan.offsets[i] = best_offset >= 0 ? best_offset : end;
    plan.bytes = std::max(plan.bytes, plan.offsets[i] + needed);
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), plan.offsets[i],
                         [&](int64_t offset, size_t other) { return offset < plan.offsets[other]; }),
        i);
  }
  return plan;
}

}  // namespace nncc
