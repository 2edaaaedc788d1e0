#include "fuzz/check.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <functional>
#include <random>

#include "ir/evaluate.h"
#include "support/compiled_model.h"
#include "tools/driver.h"

namespace nncc::fuzz {
namespace {

constexpr int kSteps = 2;
constexpr int kMostSeconds = 300;  // on a busy machine

struct Failure {
  Finding finding;
};

// After each run of an entry: its results and all variables.
struct Record {
  std::string entry;
  std::vector<std::string> names;
  std::vector<Literal> results;
  std::map<std::string, Literal> variables;
};
using History = std::vector<Record>;

Literal random_literal(const TensorType& type, std::mt19937_64& random) {
  Literal literal(type);
  std::normal_distribution<double> normal;
  for (int64_t i = 0; i < type.num_elements(); ++i) {
    if (is_float(type.dtype))
      literal.set(i, normal(random));
    else
      literal.set_int(i, static_cast<int64_t>(random() % 9) - 2);
  }
  literal.round_to_type();
  return literal;
}

double difference(const Literal& a, const Literal& b) {
  if (!(a.type() == b.type())) return HUGE_VAL;
  double largest = 1, worst = 0;
  for (int64_t i = 0; i < a.num_elements(); ++i)
    if (std::isfinite(a.real(i))) largest = std::max(largest, std::abs(a.real(i)));
  for (int64_t i = 0; i < a.num_elements(); ++i) {
    const double x = a.real(i), y = b.real(i);
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    const double error = std::abs(x - y) / largest;
    worst = std::isnan(error) ? HUGE_VAL : std::max(worst, error);
  }
  return worst;
}

std::string first_difference(const Literal& a, const Literal& b) {
  if (!(a.type() == b.type())) return a.type().str() + " and " + b.type().str();
  const double most = difference(a, b);
  for (int64_t i = 0; i < a.num_elements(); ++i)
    if (a.real(i) != b.real(i) && !(std::isnan(a.real(i)) && std::isnan(b.real(i)))) {
      char text[120];
      std::snprintf(text, sizeof text, "by %.3g; element %lld: %.17g, expected %.17g", most,
                    static_cast<long long>(i), b.real(i), a.real(i));
      return text;
    }
  return "nothing";
}

// How far numbers may be from those expected, relative to the largest of their tensor.
struct Tolerance {
  double common = 0;
  // Where rounding costs more: of each run, by the name of a result or variable.
  std::vector<std::map<std::string, double>> own = {};

  double of(size_t run, const std::string& name) const {
    if (run < own.size())
      if (const auto found = own[run].find(name); found != own[run].end()) return found->second;
    return common;
  }
};

void compare(const std::string& stage, const History& expected, const History& found,
             const Tolerance& tolerance) {
  for (size_t i = 0; i < expected.size(); ++i) {
    const Record &a = expected[i], &b = found.at(i);
    const std::string when = " in run " + std::to_string(i) + ", of " + a.entry + ", differs ";
    for (size_t k = 0; k < a.results.size(); ++k)
      if (difference(a.results[k], b.results.at(k)) > tolerance.of(i, a.names[k]))
        throw Failure{{stage, a.names[k] + when + first_difference(a.results[k], b.results[k])}};
    for (const auto& [name, value] : a.variables)
      // Loops that draw numbers for nothing count a step, too.
      if (b.variables.count(name) && (value.is_float() || stage != "unrolled") &&
          difference(value, b.variables.at(name)) > tolerance.of(i, name))
        throw Failure{{stage, name + when + first_difference(value, b.variables.at(name))}};
  }
}

// Of the numbers of a type; relative.
double epsilon(DType type) {
  return type == DType::F16 ? 0x1p-11 : type == DType::BF16 ? 0x1p-8 : type == DType::F32 ? 0x1p-24 : 0x1p-53;
}

// Each number off by up to that part of itself.
void disturb(Literal& literal, double part, std::mt19937_64& random) {
  if (!literal.is_float()) return;
  std::uniform_real_distribution<double> uniform(-part, part);
  for (int64_t i = 0; i < literal.num_elements(); ++i)
    literal.set(i, literal.real(i) * (1 + uniform(random)));
  literal.round_to_type();
}

class Checker {
 public:
  Checker(const CheckOptions& options, std::string folder) : options_(options), folder_(std::move(folder)) {}

  void run(const std::string& text, const std::string& unrolled) {
    const std::string path = write("program.nn", text);
    const auto traced = build(path, "inline,autodiff");
    const History expected = evaluate(*traced);
    if (!unrolled.empty()) {
      const auto other = build(write("unrolled.nn", unrolled), "inline,autodiff");
      compare("unrolled", expected, evaluate(*other, &expected), {least()});
    }
    if (options_.half) return run_optimized(path, expected, tolerance_of_rounding(*traced, expected));
    try {
      run_optimized(path, expected, {least()});
    } catch (const Failure&) {
      if (!options_.smooth) throw;
      // At a kink no digit may be left: of the gradient of |x| by an x that is 0 but for rounding.
      run_optimized(path, expected, tolerance_of_rounding(*traced, expected));
    }
  }

 private:
  // The precision of the coarsest numbers in the program, and what is allowed them in any case.
  DType coarsest() const { return options_.half.value_or(options_.float_type); }
  double least() const { return options_.float_type == DType::F64 ? 1e-7 : 2e-3; }

  void run_optimized(const std::string& path, const History& expected, const Tolerance& tolerance) {
    const std::string level = "O" + std::to_string(options_.opt_level);
    const auto optimized = build(path, level);
    try {
      compare("passes", expected, evaluate(*optimized), tolerance);
    } catch (const Failure&) {
      blame(path, level, expected, tolerance);
      throw;
    }
    if (options_.compiled) run_compiled(*optimized, expected, tolerance);
  }

  std::string write(const std::string& name, const std::string& text) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  std::unique_ptr<Module> build(const std::string& path, const std::string& passes) {
    DriverOptions options;
    options.input = path;
    options.float_type = options_.float_type;
    options.opt_level = options_.opt_level;
    options.target = options_.target;
    options.threads = options_.threads;
    options.pipeline.verify_each = true;
    options.passes = passes;
    Diagnostics diags;
    Driver driver(options, diags, llvm::errs());
    auto module = driver.build_module();
    if (!module) throw Failure{{"program", test::messages(diags)}};
    return module;
  }

  // The entries in turn on the same inputs, in the order of their names.
  template <class Run>
  History history(const Module& module, const Run& run) {
    History result;
    std::mt19937_64 random(7), noise(disturbed_);
    for (int step = 0; step < kSteps; ++step)
      for (const Entry& entry : module.entries) {
        if (entry.kind == EntryKind::Init) continue;
        std::vector<Literal> arguments;
        for (const Graph::Argument& argument : entry.graph.arguments)
          arguments.push_back(random_literal(entry.graph.type(argument.value), random));
        if (disturbed_)
          for (Literal& argument : arguments) disturb(argument, epsilon(coarsest()), noise);
        Record& record = result.emplace_back();
        record.entry = entry.name;
        for (const Graph::Result& r : entry.graph.results) record.names.push_back(r.name);
        run(entry, arguments, record);
      }
    return result;
  }

  // `same`: starts with the parameters of that one's first run.
  History evaluate(const Module& module, const History* same = nullptr) {
    Evaluator evaluator(module, {.round = options_.float_type == DType::F32 && !exact_});
    evaluator.initialize(42);
    if (initial_.empty()) initial_ = evaluator.variables();
    for (const auto& [name, value] : initial_)
      if (same && evaluator.variables().count(name)) evaluator.variable(name) = value;
    std::mt19937_64 noise(disturbed_);
    if (disturbed_)
      for (const auto& [name, value] : initial_)
        disturb(evaluator.variable(name), epsilon(coarsest()), noise);
    return history(module, [&](const Entry& entry, const std::vector<Literal>& arguments, Record& record) {
      record.results = evaluator.run(entry, arguments);
      record.variables = evaluator.variables();
    });
  }

  // Kernels sum in another order, and round to a half precision what they store alone, the evaluator after
  // each operation: how much that is in the end shows in what becomes of no rounding at all, and of inputs
  // off by half a digit.
  Tolerance tolerance_of_rounding(const Module& module, const History& expected) {
    constexpr double kMargin = 8, kNoDigits = 0.25;
    if (!options_.smooth) return {HUGE_VAL};
    std::vector<History> others;
    exact_ = true;
    others.push_back(evaluate(module));
    exact_ = false;
    for (disturbed_ = 1; disturbed_ <= 4; ++disturbed_) others.push_back(evaluate(module));
    disturbed_ = 0;
    Tolerance result;
    for (size_t i = 0; i < expected.size(); ++i) {
      auto& own = result.own.emplace_back();
      const auto widen = [&](const std::string& name, const Literal& value, const Literal& other) {
        const double floor = options_.half ? kMargin * epsilon(coarsest()) : least();
        double& allowed = own.try_emplace(name, floor).first->second;
        allowed = std::max(allowed, kMargin * (difference(value, other) + epsilon(coarsest())));
        if (allowed > kNoDigits) allowed = HUGE_VAL;
      };
      for (const History& other : others) {
        for (size_t k = 0; k < expected[i].results.size(); ++k)
          widen(expected[i].names[k], expected[i].results[k], other[i].results[k]);
        for (const auto& [name, value] : expected[i].variables)
          widen(name, value, other[i].variables.at(name));
      }
    }
    return result;
  }

  // Names the first pass after which the numbers differ.
  void blame(const std::string& path, const std::string& level, const History& expected,
             const Tolerance& tolerance) {
    Diagnostics diags;
    std::string passes;
    for (const PassInfo* pass : parse_pipeline(level, diags)) {
      passes += (passes.empty() ? "" : ",") + std::string(pass->name);
      if (passes.find("autodiff") == std::string::npos) continue;  // gradients cannot be evaluated
      const auto module = build(path, passes);
      compare("pass " + std::string(pass->name), expected, evaluate(*module), tolerance);
    }
  }

  void run_compiled(const Module& module, const History& expected, const Tolerance& tolerance) {
    Diagnostics diags;
    const auto target = find_target(options_.target, diags);
    CodegenOptions codegen;
    codegen.target = target.get();
    codegen.threads = options_.threads;
    codegen.jobs = 1;
    codegen.cache_dir = folder_ + "/cache";  // smaller programs have many kernels of the larger one
    const test::CompiledModel model(module, codegen);
    const auto run = [&](int threads) {
      test::CompiledSession session(model, 42, threads);
      return history(module, [&](const Entry& entry, const std::vector<Literal>& arguments, Record& record) {
        record.results = session.run(entry.name, arguments);
        for (const auto& [name, value] : expected[0].variables)
          record.variables.emplace(name, session.variable(name));
      });
    };
    const History found = run(1);
    compare("compiled", expected, found, tolerance);
    if (options_.threads > 1) compare("threads", found, run(options_.threads), {});
  }

  CheckOptions options_;
  std::string folder_;
  std::map<std::string, Literal> initial_;
  bool exact_ = false;      // evaluates without rounding
  uint64_t disturbed_ = 0;  // on numbers off by half a digit; which ones
};

}  // namespace

Finding check(const std::string& text, const std::string& unrolled, const CheckOptions& options,
              const std::string& folder) {
  try {
    Checker(options, folder).run(text, unrolled);
  } catch (const Failure& failure) {
    return failure.finding;
  } catch (const std::exception& e) {
    return {"internal error", e.what()};
  }
  return {};
}

Finding check_apart(const std::string& text, const std::string& unrolled, const CheckOptions& options,
                    const std::string& folder) {
  int ends[2];
  if (pipe(ends) != 0) return {"pipe", "failed"};
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    const Finding finding = check(text, unrolled, options, folder);
    const std::string report = finding.stage + "\n" + finding.message.substr(0, 20000);
    size_t at = 0;
    while (at < report.size()) {
      const ssize_t written = ::write(ends[1], report.data() + at, report.size() - at);
      if (written <= 0) break;
      at += static_cast<size_t>(written);
    }
    _exit(0);
  }
  close(ends[1]);
  std::string report;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(kMostSeconds);
  bool late = false;
  for (;;) {
    pollfd wait{ends[0], POLLIN, 0};
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0 || poll(&wait, 1, static_cast<int>(left.count())) == 0) {
      late = true;
      kill(child, SIGKILL);
      break;
    }
    char buffer[4096];
    const ssize_t size = read(ends[0], buffer, sizeof buffer);
    if (size <= 0) break;
    report.append(buffer, static_cast<size_t>(size));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (late) return {"timeout", "no answer after " + std::to_string(kMostSeconds) + " seconds"};
  if (WIFSIGNALED(status)) return {"crash", strsignal(WTERMSIG(status))};
  const size_t line = report.find('\n');
  if (line == std::string::npos) return {"crash", "status " + std::to_string(status)};
  return {report.substr(0, line), report.substr(line + 1)};
}

}  // namespace nncc::fuzz
