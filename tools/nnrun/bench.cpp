// nnrun bench: the median time of a call, and what each kernel takes of it.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"
#include "tools/nnrun/common.h"
#include "tools/nnrun/verbs.h"

namespace nncc {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

// The times of one call: each sample is the mean over as many calls as take about 20 us, which the clock
// resolves well.
std::vector<double> time_calls(const nn::Entry<-1>& entry, const std::vector<nn::View>& inputs,
                               double seconds) {
  const auto sample = [&](int64_t calls) {
    const auto begin = Clock::now();
    for (int64_t i = 0; i < calls; ++i) entry.call(inputs);
    return seconds_since(begin) / static_cast<double>(calls);
  };
  // The first calls find cold caches and sleeping threads.
  const double first = sample(3);
  const auto calls = std::clamp(static_cast<int64_t>(2e-5 / first), int64_t{1}, int64_t{100000});
  const auto begin = Clock::now();
  while (seconds_since(begin) < 0.1 * seconds) sample(calls);
  std::vector<double> times;
  constexpr size_t kFewest = 5, kMost = 1000000;
  for (const auto start = Clock::now();
       times.size() < kFewest || (seconds_since(start) < seconds && times.size() < kMost);)
    times.push_back(sample(calls));
  return times;
}

// The median of the time that each kernel takes in a run.
std::vector<double> time_kernels(const nn::Entry<-1>& entry, const std::vector<nn::View>& inputs,
                                 double seconds) {
  const auto kernels = static_cast<size_t>(entry.info().num_kernels);
  std::vector<std::vector<double>> times(kernels);
  std::vector<double> of_run(kernels);  // a kernel in a loop: all its calls
  constexpr size_t kFewest = 5, kMost = 20000;
  size_t calls = 0;
  for (const auto start = Clock::now(); calls < kFewest || (seconds_since(start) < seconds && calls < kMost);
       ++calls) {
    std::fill(of_run.begin(), of_run.end(), 0);
    auto last = Clock::now();
    entry.run_profiled(
        [&](int kernel) {
          const auto now = Clock::now();
          of_run[static_cast<size_t>(kernel)] += std::chrono::duration<double>(now - last).count();
          last = Clock::now();
        },
        inputs);
    for (size_t i = 0; i < kernels; ++i) times[i].push_back(of_run[i]);
  }
  std::vector<double> medians;
  for (const auto& of_kernel : times) medians.push_back(of_kernel.empty() ? 0 : quantile(of_kernel, 0.5));
  return medians;
}

// What reading the clock adds to a kernel's time.
double clock_cost() {
  std::vector<double> costs;
  for (int i = 0; i < 1000; ++i) {
    const auto begin = Clock::now();
    costs.push_back(seconds_since(begin));
  }
  return quantile(costs, 0.5);
}

void print_kernels(const nn_entry_info& entry, const std::vector<double>& times) {
  llvm::raw_ostream& out = llvm::outs();
  const double total = std::accumulate(times.begin(), times.end(), 0.0);
  std::vector<size_t> order(times.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return times[a] > times[b]; });
  out << "\n  share        time    GFLOP/s       GB/s  kernel\n";
  for (size_t i : order) {
    const nn_kernel_info& kernel = entry.kernels[i];
    const auto rate = [&](uint64_t work) {
      char text[32] = "-";  // too short to measure
      if (times[i] > 0) std::snprintf(text, sizeof text, "%.1f", static_cast<double>(work) / times[i] / 1e9);
      return std::string(text);
    };
    out << llvm::format("%6.1f%%  %10s %10s %10s  %s\n", 100 * times[i] / std::max(total, 1e-12),
                        time_text(times[i]).c_str(), rate(kernel.flops).c_str(), rate(kernel.bytes).c_str(),
                        kernel.name);
  }
  out << "\nEach kernel is timed alone, so their sum, " << time_text(total)
      << ", may be more than the step where steps are short.\n";
}

}  // namespace

int bench_verb(int argc, const char* const* argv) {
  SessionArguments arguments;
  Assignments files;
  Generator generator;
  double seconds = 1;
  bool json = false;
  OptionParser line(argv[0], "MODEL.so [options]",
                    "Says how long a call of an entry takes, and what each of its kernels takes of "
                    "it.\nInputs are generated where no file is given.");
  arguments.add_options(line);
  generator.add_options(line);
  add_assignments(line, "input", "NAME=FILE.npy", "an input of the entry", files);
  line.group("The measurement");
  add_number(line, "seconds", "S", "how long to measure, twice (default: 1)", seconds);
  line.flag("json", "for programs to read", json);
  int status;
  if (!parse_verb(line, arguments, argc, argv, status)) return status;

  const nn::Library library = arguments.open();
  const nn_entry_info& entry = arguments.choose_entry(library);
  const std::vector<Array> inputs = make_inputs(entry, files, generator);
  nn::Session session = arguments.make_session(library);
  const auto call = session.entry(entry.name);
  const std::vector<nn::View> views = views_of(inputs);
  const std::vector<double> times = time_calls(call, views, seconds);
  const double median = quantile(times, 0.5);
  std::vector<double> kernels = time_kernels(call, views, seconds);
  for (double& time : kernels) time = std::max(0.0, time - clock_cost());
  double flops = 0;
  for (const nn_kernel_info& kernel : kernels_of(entry)) flops += static_cast<double>(kernel.flops);

  if (json) {
    llvm::json::Array list;
    for (size_t i = 0; i < kernels.size(); ++i)
      list.push_back(llvm::json::Object{{"name", entry.kernels[i].name},
                                        {"seconds", kernels[i]},
                                        {"flops", static_cast<int64_t>(entry.kernels[i].flops)},
                                        {"bytes", static_cast<int64_t>(entry.kernels[i].bytes)}});
    llvm::json::Object all{{"entry", entry.name},         {"median", median}, {"fastest", quantile(times, 0)},
                           {"p90", quantile(times, 0.9)}, {"flops", flops},   {"kernels", std::move(list)}};
    llvm::outs() << llvm::formatv("{0:2}", llvm::json::Value(std::move(all))) << '\n';
    return 0;
  }
  llvm::outs() << entry.name << ": " << time_text(median) << " a step (median of " << times.size()
               << "; fastest " << time_text(quantile(times, 0)) << ", 90 % below "
               << time_text(quantile(times, 0.9)) << ")";
  if (flops > 0) llvm::outs() << llvm::format(", %.1f GFLOP/s", flops / median / 1e9);
  llvm::outs() << '\n';
  if (!kernels.empty()) print_kernels(entry, kernels);
  return 0;
}

}  // namespace nncc
