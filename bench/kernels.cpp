// Times the kernel functions of .nnir files, each alone and on one thread unless told otherwise: kernel_bench
// FILE.nnir…
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <random>
#include <span>

#include "codegen/kernel.h"
#include "codegen/schedule.h"
#include "ir/evaluate.h"
#include "ir/kernel_info.h"
#include "ir/print.h"
#include "ir/scatter.h"
#include "llvm/Support/raw_ostream.h"
#include "test/codegen/kernel_library.h"

namespace {

// Of this thread alone: pieces of a parallel kernel run on it too.
double seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Small positive numbers; integers count up from 0 modulo 8.
nncc::Literal fill(const nncc::TensorType& type, std::byte* memory) {
  static std::mt19937 random(1);
  nncc::Literal literal(type);
  for (int64_t i = 0; i < type.num_elements(); ++i) {
    if (nncc::is_float(type.dtype))
      literal.set(i, static_cast<double>(random()) / 4294967296.0 + 0.01);
    else
      literal.set_int(i, type.dtype == nncc::DType::Bool ? i % 2 : i % 8);
  }
  const auto bytes = literal.to_bytes();
  std::memcpy(memory, bytes.data(), bytes.size());
  return nncc::Literal::from_bytes(type, bytes);
}

// The largest error of the results in memory, relative to the largest magnitude of each exact result.
double error_of(const nncc::Function& kernel, const std::vector<nncc::Literal>& arguments,
                std::span<void* const> results) {
  const nncc::Module module;
  const std::vector<nncc::Literal> exact = nncc::Evaluator(module).call(kernel, arguments);
  double worst = 0;
  for (size_t r = 0; r < exact.size(); ++r) {
    const nncc::TensorType& type = exact[r].type();
    const nncc::Literal got = nncc::Literal::from_bytes(
        type, {static_cast<const std::byte*>(results[r]), static_cast<size_t>(type.byte_size())});
    double largest = 1e-30, difference = 0;
    for (int64_t i = 0; i < type.num_elements(); ++i) {
      if (std::isnan(exact[r].real(i)) && std::isnan(got.real(i))) continue;
      largest = std::max(largest, std::abs(exact[r].real(i)));
      difference = std::max(difference, std::abs(exact[r].real(i) - got.real(i)));
    }
    worst = std::max(worst, difference / largest);
  }
  return worst;
}

void bench(const nncc::testing::KernelLibrary& library, size_t i, const nncc::Function& kernel) {
  std::vector<void*> hosts;
  const auto allocate = [&](const nncc::TensorType& type) {
    auto* memory = static_cast<std::byte*>(
        std::aligned_alloc(64, (static_cast<size_t>(type.byte_size()) + 191) / 64 * 64));
    hosts.push_back(memory);
    return memory;
  };
  std::vector<nncc::Literal> arguments;
  for (const auto& a : kernel.body.arguments)
    arguments.push_back(fill(kernel.body.type(a.value), allocate(kernel.body.type(a.value))));
  for (const auto& r : kernel.body.results) allocate(kernel.body.type(r.value));
  if (const auto x = nncc::accumulated_argument(kernel.body)) {
    const auto bytes = arguments[static_cast<size_t>(*x)].to_bytes();
    std::memcpy(hosts.back(), bytes.data(), bytes.size());
  }
  const auto run = [&](int n) {
    const double start = seconds();
    for (int c = 0; c < n; ++c) library.call_raw(i, hosts);
    return (seconds() - start) / n;
  };
  run(1);
  // The evaluator is slow: only small kernels are checked.
  const nncc::KernelInfo info = nncc::describe_kernel(kernel);
  double error = -1;
  if (info.flops < 30000000) error = error_of(kernel, arguments, std::span(hosts).subspan(arguments.size()));
  // Short blocks, for long enough that some are not disturbed by what else the machine does.
  const int calls = std::max(1, static_cast<int>(0.0005 / std::max(run(1), 1e-8)));
  std::vector<double> times;
  for (const double start = seconds(); times.size() < 21 || seconds() - start < 0.3;)
    times.push_back(run(calls));
  const double t = *std::min_element(times.begin(), times.end());
  std::printf("%-16s %10.3f us %8.2f GF/s %7.2f GB/s  error %8.1e  %-16s %s\n", kernel.name.c_str(), t * 1e6,
              static_cast<double>(info.flops) / t * 1e-9, static_cast<double>(info.bytes) / t * 1e-9, error,
              std::string(nncc::schedule_form_name(nncc::schedule_form(kernel.body))).c_str(),
              info.description.c_str());
  std::fflush(stdout);
  for (void* host : hosts) std::free(host);
}

}  // namespace

int main(int argc, char** argv) {
  return nncc::run_tool("kernel_bench", [&] {
    const bool parallel = argc > 1 && std::string_view(argv[1]) == "--parallel";
    for (int f = parallel ? 2 : 1; f < argc; ++f) {
      nncc::Diagnostics diags;
      nncc::SourceManager sources;
      std::ifstream stream(argv[f]);
      const auto& file = sources.add(argv[f], std::string(std::istreambuf_iterator<char>(stream), {}));
      const auto module = nncc::parse_nnir(file, diags);
      if (!module) {
        diags.print(llvm::errs());
        return 1;
      }
      std::vector<nncc::Function> kernels;
      for (const nncc::Function& function : module->functions)
        if (function.kind == nncc::FunctionKind::Kernel) kernels.push_back(function);
      nncc::CodegenOptions options;
      options.target = &nncc::testing::host_target();
      options.threads = parallel ? 2 : 1;
      const double start = seconds();
      const nncc::testing::KernelLibrary library(kernels, options);
      std::printf("%zu kernels compiled in %.0f ms\n", kernels.size(), (seconds() - start) * 1e3);
      for (size_t i = 0; i < kernels.size(); ++i) bench(library, i, kernels[i]);
    }
    return 0;
  });
}
