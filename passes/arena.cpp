#include "passes/arena.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <set>

namespace nncc {

int ArenaBuffer::first() const {
  const auto earlier = [](const LiveRange& a, const LiveRange& b) { return a.first < b.first; };
  return std::min_element(parts.begin(), parts.end(), earlier)->first;
}

int ArenaBuffer::last() const {
  const auto earlier = [](const LiveRange& a, const LiveRange& b) { return a.last < b.last; };
  return std::max_element(parts.begin(), parts.end(), earlier)->last;
}

ArenaBuffer make_buffer(std::vector<LiveRange> ranges) {
  std::set<int64_t> cuts;
  for (const LiveRange& range : ranges) cuts.insert({range.offset, range.end()});
  std::map<int64_t, LiveRange> parts;  // by offset
  for (const LiveRange& range : ranges) {
    for (auto cut = cuts.find(range.offset); *cut < range.end();) {
      const int64_t offset = *cut++;
      const auto [it, added] =
          parts.try_emplace(offset, LiveRange{range.first, range.last, offset, *cut - offset});
      it->second.first = std::min(it->second.first, range.first);
      it->second.last = std::max(it->second.last, range.last);
    }
  }
  ArenaBuffer buffer;
  for (const auto& [offset, part] : parts) {
    LiveRange* before = buffer.parts.empty() ? nullptr : &buffer.parts.back();
    if (before && before->first == part.first && before->last == part.last && before->end() == offset)
      before->bytes += part.bytes;
    else
      buffer.parts.push_back(part);
  }
  return buffer;
}

namespace {

// Where a buffer cannot begin: between the ends, not at them.
struct Interval {
  int64_t begin = 0, end = 0;
};

// In whole units of alignment, and with the spare bytes.
ArenaBuffer with_margins(const ArenaBuffer& buffer) {
  std::vector<LiveRange> ranges = buffer.parts;
  for (LiveRange& range : ranges) {
    const int64_t end = align_up(range.end(), kBufferAlignment);
    range.offset -= range.offset % kBufferAlignment;
    range.bytes = end - range.offset;
  }
  ArenaBuffer wide = make_buffer(std::move(ranges));
  wide.parts.back().bytes += kSpareBytes;
  return wide;
}

void find_peak(std::span<const ArenaBuffer> buffers, ArenaPlan& plan) {
  int steps = 0;
  for (const ArenaBuffer& buffer : buffers) steps = std::max(steps, buffer.last() + 1);
  std::vector<int64_t> change(steps + 1, 0);
  for (const ArenaBuffer& buffer : buffers) {
    for (const LiveRange& part : buffer.parts) {
      change[part.first] += part.bytes;
      change[part.last + 1] -= part.bytes;
    }
  }
  int64_t alive = 0;
  for (int step = 0; step < steps; ++step) {
    alive += change[step];
    if (alive > plan.lower_bound) plan.lower_bound = alive, plan.peak_step = step;
  }
}

void forbid(const ArenaBuffer& buffer, const ArenaBuffer& placed, int64_t offset,
            std::vector<Interval>& forbidden) {
  for (const LiveRange& part : buffer.parts) {
    for (const LiveRange& other : placed.parts) {
      if (other.last < part.first || part.last < other.first) continue;
      forbidden.push_back({offset + other.offset - part.end(), offset + other.end() - part.offset});
    }
  }
}

// One after the other as listed, each in the smallest gap that fits between what lives at the same time.
// Returns the bytes taken.
int64_t place_in_order(std::span<const ArenaBuffer> buffers, std::span<const size_t> order,
                       std::vector<int64_t>& offsets) {
  int64_t bytes = 0;
  std::vector<Interval> forbidden;
  for (size_t n = 0; n < order.size(); ++n) {
    const size_t i = order[n];
    forbidden.clear();
    for (const size_t other : order.first(n)) forbid(buffers[i], buffers[other], offsets[other], forbidden);
    std::sort(forbidden.begin(), forbidden.end(),
              [](const Interval& a, const Interval& b) { return a.begin < b.begin; });
    int64_t best_offset = -1, best_room = std::numeric_limits<int64_t>::max(), end = 0;
    for (const Interval& next : forbidden) {
      const int64_t room = next.begin - end;
      if (room >= 0 && room < best_room) best_room = room, best_offset = end;
      end = std::max(end, next.end);
    }
    offsets[i] = best_offset >= 0 ? best_offset : end;
    bytes = std::max(bytes, offsets[i] + buffers[i].parts.back().end());
  }
  return bytes;
}

}  // namespace

ArenaPlan plan_arena(std::span<const ArenaBuffer> exact) {
  ArenaPlan plan;
  plan.offsets.assign(exact.size(), 0);
  std::vector<ArenaBuffer> buffers;
  std::vector<int64_t> footprints, steps;  // of each buffer; bytes, and how long something of it is alive
  std::vector<double> areas;               // bytes times steps
  for (const ArenaBuffer& buffer : exact) {
    buffers.push_back(with_margins(buffer));
    steps.push_back(buffer.last() - buffer.first() + 1);
    int64_t footprint = 0;
    double area = 0;
    for (const LiveRange& part : buffers.back().parts) {
      footprint += part.bytes;
      area += static_cast<double>(part.last - part.first + 1) * static_cast<double>(part.bytes);
    }
    footprints.push_back(footprint);
    areas.push_back(area);
  }
  find_peak(buffers, plan);
  using Before = std::function<bool(size_t, size_t)>;
  const std::array<Before, 3> orders = {
      [&](size_t a, size_t b) {  // the largest first
        return footprints[a] != footprints[b] ? footprints[a] > footprints[b]
                                              : buffers[a].first() < buffers[b].first();
      },
      [&](size_t a, size_t b) { return steps[a] > steps[b]; },  // what lives longest first
      [&](size_t a, size_t b) { return areas[a] > areas[b]; },
  };
  for (const Before& before : orders) {
    std::vector<size_t> order(buffers.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), before);
    std::vector<int64_t> offsets(buffers.size(), 0);
    const int64_t bytes = place_in_order(buffers, order, offsets);
    if (&before != orders.data() && bytes >= plan.bytes) continue;
    plan.bytes = bytes;
    plan.offsets = std::move(offsets);
    if (bytes == plan.lower_bound) break;
  }
  return plan;
}

}  // namespace nncc
