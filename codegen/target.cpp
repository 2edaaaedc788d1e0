#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "codegen/codegen.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace nncc {
namespace {

// Kernels have constant shapes and the session's memory, so nothing is checked or queried at run time; the
// threads are the runtime's own. LLVM's loop passes would only undo the schedules.
constexpr std::string_view kHalideFeatures =
    "-no_runtime-no_asserts-no_bounds_query-user_context-disable_llvm_loop_opt";

struct Row {
  std::string_view name;
  std::string_view description;
  std::string_view halide;
  std::string_view triple, cpu;
  // What this level has over the row before it of the same architecture; names as in /proc/cpuinfo.
  std::vector<std::string_view> features;
  int lanes, registers;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> table = {
      {"x86-64-v2",
       "any x86-64 of the last fifteen years: SSE 4.2",
       "x86-64-linux-sse41",
       "x86_64-unknown-linux-gnu",
       "x86-64-v2",
       {"cx16", "lahf_lm", "popcnt", "pni", "ssse3", "sse4_1", "sse4_2"},
       4,
       16},
      {"x86-64-v3",
       "AVX2 and FMA: Intel Haswell, AMD Zen and later",
       "x86-64-linux-sse41-avx-avx2-fma-f16c",
       "x86_64-unknown-linux-gnu",
       "x86-64-v3",
       {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"},
       8,
       16},
      {"x86-64-v4",
       "AVX-512: Intel Skylake-X, AMD Zen 4 and later",
       "x86-64-linux-sse41-avx-avx2-fma-f16c-avx512-avx512_skylake",
       "x86_64-unknown-linux-gnu",
       "x86-64-v4",
       {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
       16,
       32},
      {"aarch64",
       "64-bit ARM with NEON",
       "arm-64-linux",
       "aarch64-unknown-linux-gnu",
       "generic",
       {"fp", "asimd"},
       4,
       32},
  };
  return table;
}

bool is_x86(const Row& row) { return row.triple.substr(0, 6) == "x86_64"; }

#if defined(__x86_64__)
// The best level that processor and operating system both support. An operating system that does not save the
// wide registers makes them unusable, whatever the processor says: XCR0 has the last word.
std::string_view host_level() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  __get_cpuid(1, &a, &b, &c, &d);
  auto all = [](unsigned word, std::initializer_list<int> bits) {
    return std::all_of(bits.begin(), bits.end(), [&](int bit) { return (word >> bit & 1) != 0; });
  };
  unsigned leaf1 = c;
  unsigned extended = 0;
  if (__get_cpuid(0x80000001, &a, &b, &c, &d)) extended = c;
  unsigned leaf7 = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) leaf7 = b;
  uint64_t xcr0 = 0;
  if (leaf1 >> 27 & 1) {
    unsigned low = 0, high = 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    xcr0 = uint64_t{high} << 32 | low;
  }
  bool v2 = all(leaf1, {0, 9, 13, 19, 20, 23}) && (extended & 1);
  bool ymm = (xcr0 & 0x6) == 0x6;
  bool v3 = v2 && ymm && all(leaf1, {12, 22, 26, 28, 29}) && all(leaf7, {3, 5, 8}) && all(extended, {5});
  bool zmm = (xcr0 & 0xe6) == 0xe6;
  bool v4 = v3 && zmm && all(leaf7, {16, 17, 28, 30, 31});
  return v4 ? "x86-64-v4" : v3 ? "x86-64-v3" : v2 ? "x86-64-v2" : "";
}
constexpr bool kHostIsX86 = true;
#else
std::string_view host_level() { return "aarch64"; }
constexpr bool kHostIsX86 = false;
#endif

TargetInfo describe(const Row& row) {
  TargetInfo info;
  info.name = row.name;
  info.halide = std::string(row.halide) + std::string(kHalideFeatures);
  info.llvm_triple = row.triple;
  info.llvm_cpu = row.cpu;
  for (const Row& other : rows()) {
    if (is_x86(other) != is_x86(row)) continue;
    info.cpu_features.insert(info.cpu_features.end(), other.features.begin(), other.features.end());
    if (&other == &row) break;
  }
  info.vector_lanes = row.lanes;
  info.vector_registers = row.registers;
  info.is_host_architecture = is_x86(row) == kHostIsX86;
  return info;
}

}  // namespace

std::unique_ptr<TargetInfo> find_target(std::string_view name, Diagnostics& diags) {
  std::string wanted(name);
  if (wanted == "host") {
    wanted = host_level();
    if (wanted.empty()) {
      diags.error("this processor is below `x86-64-v2`, the least that nncc compiles for")
          .note("name another with `--target`");
      return nullptr;
    }
  }
  std::vector<std::string> known = {"host"};
  for (const Row& row : rows()) {
    if (row.name == wanted) return std::make_unique<TargetInfo>(describe(row));
    known.emplace_back(row.name);
  }
  std::string list;
  for (const std::string& k : known) list += (list.empty() ? "`" : ", `") + k + "`";
  auto error = diags.error("unknown target `" + wanted + "`; there are " + list);
  std::string nearest = nearest_name(wanted, known);
  if (!nearest.empty()) error.note("did you mean `" + nearest + "`?");
  return nullptr;
}

std::vector<std::string> list_targets() {
  std::vector<std::string> lines;
  auto line = [&](std::string_view name, const std::string& description) {
    lines.push_back(std::string(name) + std::string(name.size() < 12 ? 12 - name.size() : 1, ' ') +
                    description);
  };
  std::string_view host = host_level();
  line("host", "this machine" + (host.empty() ? std::string() : ": " + std::string(host)));
  for (const Row& row : rows()) line(row.name, std::string(row.description));
  return lines;
}

}  // namespace nncc
