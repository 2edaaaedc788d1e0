#include "passes/memory_traffic.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "ir/kernel_info.h"
#include "ir/scan.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

namespace nncc {
namespace {

// Bytes of spaces that were touched already.
class Touched {
 public:
  // Of the `bytes` from `place` on, how many are new.
  int64_t add(const Place& place, int64_t bytes) {
    auto& intervals = spaces_[{place.space, place.index}];
    int64_t begin = place.offset, end = place.offset + bytes, known = 0;
    auto it = intervals.upper_bound(begin);
    if (it != intervals.begin() && std::prev(it)->second >= begin) --it;
    while (it != intervals.end() && it->first <= end) {
      known += std::max<int64_t>(
          0, std::min(it->second, place.offset + bytes) - std::max(it->first, place.offset));
      begin = std::min(begin, it->first);
      end = std::max(end, it->second);
      it = intervals.erase(it);
    }
    intervals.emplace(begin, end);
    return bytes - known;
  }

 private:
  std::map<std::pair<Space, int32_t>, std::map<int64_t, int64_t>> spaces_;  // start to end
};

class Counter {
 public:
  Counter(const Module& module, const Graph& graph) : module_(module), graph_(graph) {}

  MemoryTraffic count() {
    for (NodeId id : graph_.topological_order()) {
      if (graph_[id].op == Op::Kernel) count_call(id);
      if (graph_[id].op == Op::Scan) count_scan(id);
    }
    traffic_.once += traffic_.border;
    for (const auto& [v, bytes] : read_of_results_)
      traffic_.once += std::min(bytes, graph_.type(v).byte_size());
    for (auto& [symbol, kernel] : kernels_) traffic_.kernels.push_back(std::move(kernel));
    std::stable_sort(traffic_.kernels.begin(), traffic_.kernels.end(),
                     [](const KernelTraffic& a, const KernelTraffic& b) { return a.moved > b.moved; });
    return std::move(traffic_);
  }

 private:
  // The results of kernels that v is a view of; a value of the graph's border has none.
  void collect_results(Value v, std::set<Value>& results) const {
    const Node& node = graph_[v.node];
    if (node.op == Op::Kernel || node.op == Op::Scan) results.insert(v);
    if (op_info(node.op).has(Movement))
      for (Value operand : node.operands) collect_results(operand, results);
  }

  void count_call(NodeId id) {
    const Node& node = graph_[id];
    const std::string& symbol = node.attributes.string(Attr::Symbol);
    const Function& function = *module_.find_function(symbol);
    KernelTraffic& kernel = kernels_[symbol];
    kernel.symbol = symbol;
    ++kernel.calls;
    const auto move = [&](int64_t bytes, int64_t at_border) {
      kernel.moved += bytes;
      kernel.border += at_border;
      traffic_.moved += bytes;
      traffic_.border += at_border;
    };
    std::map<Value, int64_t> read;  // an operand that is given twice is read once
    for (size_t i = 0; i < node.operands.size(); ++i) {
      int64_t& bytes = read[node.operands[i]];
      bytes = std::max(bytes, bytes_read(function.body, i));
    }
    for (const auto& [operand, bytes] : read) {
      std::set<Value> results;
      collect_results(operand, results);
      for (Value v : results) read_of_results_[v] += bytes;
      const Place& place = graph_[operand.node].places.at(static_cast<size_t>(operand.result));
      move(bytes, results.empty() ? read_.add(place, bytes) : 0);
    }
    for (size_t i = 0; i < node.types.size(); ++i) {
      const int64_t bytes = bytes_written(function.body, i);
      const Space space = node.places[i].space;
      const bool at_border = space == Space::Output || space == Space::Variables;
      move(bytes, at_border ? written_.add(node.places[i], bytes) : 0);
      if (!at_border) traffic_.once += bytes;
    }
  }

  // What its kernels move lies between them, in all steps; what it is given is read, and what it gives
  // written, once.
  void count_scan(NodeId id) {
    const Node& node = graph_[id];
    count_steps(module_.find_function(node.attributes.string(Attr::Symbol))->body, scan_parts(node).steps);
    for (const Value operand : std::set<Value>(node.operands.begin(), node.operands.end())) {
      const int64_t bytes = graph_.type(operand).byte_size();
      std::set<Value> results;
      collect_results(operand, results);
      for (Value v : results) read_of_results_[v] += bytes;
      const Place& place = graph_[operand.node].places.at(static_cast<size_t>(operand.result));
      if (results.empty()) traffic_.border += read_.add(place, bytes);
    }
    for (int i = 0; i < scan_parts(node).num_results(); ++i) {
      const Space space = node.places[static_cast<size_t>(i)].space;
      const int64_t bytes = node.types[static_cast<size_t>(i)].byte_size();
      if (space == Space::Output || space == Space::Variables)
        traffic_.border += written_.add(node.places[static_cast<size_t>(i)], bytes);
      else
        traffic_.once += bytes;
    }
  }

  void count_steps(const Graph& step, int64_t steps) {
    for (NodeId id : step.nodes()) {
      const Node& node = step[id];
      if (node.op == Op::Scan)
        count_steps(module_.find_function(node.attributes.string(Attr::Symbol))->body,
                    steps * scan_parts(node).steps);
      if (node.op != Op::Kernel) continue;
      KernelTraffic& kernel = kernels_[node.attributes.string(Attr::Symbol)];
      kernel.symbol = node.attributes.string(Attr::Symbol);
      kernel.calls += steps;
      const Graph& body = module_.find_function(kernel.symbol)->body;
      int64_t bytes = 0;
      for (size_t i = 0; i < node.operands.size(); ++i) bytes += bytes_read(body, i);
      for (size_t i = 0; i < node.types.size(); ++i) bytes += bytes_written(body, i);
      kernel.moved += steps * bytes;
      traffic_.moved += steps * bytes;
    }
  }

  const Module& module_;
  const Graph& graph_;
  std::map<std::string, KernelTraffic> kernels_;
  std::map<Value, int64_t> read_of_results_;
  Touched read_, written_;
  MemoryTraffic traffic_;
};

}  // namespace

MemoryTraffic memory_traffic(const Module& module, const Graph& graph) {
  return Counter(module, graph).count();
}

std::string memory_traffic_text(const Module& module, const MemoryTraffic& traffic, const std::string& name) {
  if (traffic.kernels.empty()) return {};
  std::string text;
  llvm::raw_string_ostream out(text);
  out << "memory traffic of " << name << ", in bytes\n"
      << "         moved     at border  calls  kernel\n";
  for (const KernelTraffic& kernel : traffic.kernels)
    out << llvm::format("%14lld%14lld%7lld  ", static_cast<long long>(kernel.moved),
                        static_cast<long long>(kernel.border), static_cast<long long>(kernel.calls))
        << kernel.symbol << ": " << describe_kernel(*module.find_function(kernel.symbol)).description << '\n';
  const auto total = [&](int64_t bytes, const char* what) {
    out << llvm::format("%14lld  ", static_cast<long long>(bytes)) << what << '\n';
  };
  total(traffic.moved, "moved in all");
  total(traffic.once, "if no kernel read what another one has read");
  total(traffic.border, "if nothing were stored between kernels");
  return text;
}

}  // namespace nncc
