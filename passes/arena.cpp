#include "passes/arena.h"

#include <algorithm>
#include <array>
#include <functional>
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

// One after the other as listed, each in the smallest gap that fits between the buffers that live at the same
// time. Returns the bytes taken.
int64_t place_in_order(std::span<const LiveRange> ranges, std::span<const size_t> order,
                       std::vector<int64_t>& offsets) {
  int64_t bytes = 0;
  std::vector<size_t> placed;  // by offset
  for (size_t i : order) {
    const int64_t needed = footprint(ranges[i]);
    int64_t best_offset = -1, best_gap = std::numeric_limits<int64_t>::max(), end = 0;
    for (size_t other : placed) {
      if (ranges[other].last < ranges[i].first || ranges[i].last < ranges[other].first) continue;
      const int64_t gap = offsets[other] - end;
      if (gap >= needed && gap < best_gap) best_gap = gap, best_offset = end;
      end = std::max(end, offsets[other] + footprint(ranges[other]));
    }
    offsets[i] = best_offset >= 0 ? best_offset : end;
    bytes = std::max(bytes, offsets[i] + needed);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), offsets[i],
                                   [&](int64_t offset, size_t other) { return offset < offsets[other]; }),
                  i);
  }
  return bytes;
}

}  // namespace

ArenaPlan plan_arena(std::span<const LiveRange> ranges) {
  ArenaPlan plan;
  plan.offsets.assign(ranges.size(), 0);
  find_peak(ranges, plan);
  const auto steps = [&](size_t i) { return static_cast<int64_t>(ranges[i].last - ranges[i].first + 1); };
  const auto area = [&](size_t i) {
    return static_cast<double>(steps(i)) * static_cast<double>(footprint(ranges[i]));
  };
  using Before = std::function<bool(size_t, size_t)>;
  const std::array<Before, 3> orders = {
      [&](size_t a, size_t b) {  // the largest first
        return footprint(ranges[a]) != footprint(ranges[b]) ? footprint(ranges[a]) > footprint(ranges[b])
                                                            : ranges[a].first < ranges[b].first;
      },
      [&](size_t a, size_t b) { return steps(a) > steps(b); },  // what lives longest first
      [&](size_t a, size_t b) { return area(a) > area(b); },
  };
  for (const Before& before : orders) {
    std::vector<size_t> order(ranges.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), before);
    std::vector<int64_t> offsets(ranges.size(), 0);
    const int64_t bytes = place_in_order(ranges, order, offsets);
    if (&before != orders.data() && bytes >= plan.bytes) continue;
    plan.bytes = bytes;
    plan.offsets = std::move(offsets);
    if (bytes == plan.lower_bound) break;
  }
  return plan;
}

}  // namespace nncc
