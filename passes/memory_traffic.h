// What the kernels of a planned graph move through memory, and what of it no way of cutting the graph into
// kernels could save. --stats shows it after plan-memory.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "ir/module.h"

namespace nncc {

// All in bytes.
struct KernelTraffic {
  std::string symbol;
  int64_t calls = 0;
  int64_t moved = 0;   // of what the calls read of their arguments (bytes_read()), and of their results
  int64_t border = 0;  // of those, what crosses the graph's border and was not touched before
};

struct MemoryTraffic {
  std::vector<KernelTraffic> kernels;  // by `moved`, the largest first
  int64_t moved = 0;  // by all kernels: what goes through memory if no cache holds anything for the next one
  // Inputs, variables and constants read once, as far as they are read, and results and new values of
  // variables written once: even one kernel of the whole graph would move that.
  int64_t border = 0;
  // The border, and each value that lies in memory between kernels written once and read once: what these
  // kernels would move if what several of them read were read once. The rest of `moved` is read again.
  int64_t once = 0;
};

// The graph must have places (plan-memory).
MemoryTraffic memory_traffic(const Module& module, const Graph& graph);
// As a table; empty for a graph without kernels.
std::string memory_traffic_text(const Module& module, const MemoryTraffic& traffic, const std::string& name);

}  // namespace nncc
