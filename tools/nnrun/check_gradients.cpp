// nnrun check-gradients: compiles a program in f64 with entries that return gradients, and compares each
// parameter's with central differences of the loss.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <numeric>
#include <random>

#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"
#include "tools/driver.h"
#include "tools/nnrun/common.h"
#include "tools/nnrun/verbs.h"

namespace nncc {
namespace {

constexpr std::string_view kGradientPrefix = "gradient/";

struct Options {
  double tolerance = 1e-6;
  // Where the loss has kinks all around: a step across one changes the difference by this much.
  double kink_tolerance = 1e-3;
  int directions = 4, elements = 6;
};

// The gradient of one loss with respect to one parameter, in the outputs of an entry.
struct Checked {
  std::string parameter;
  size_t loss, gradient;
};

std::vector<Checked> gradients_of(const nn_entry_info& entry) {
  std::vector<Checked> list;
  size_t loss = 0;
  const auto outputs = outputs_of(entry);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string_view name = outputs[i].name;
    if (name.substr(0, kGradientPrefix.size()) != kGradientPrefix)
      loss = i;
    else
      list.push_back({std::string(name.substr(kGradientPrefix.size())), loss, i});
  }
  return list;
}

// A .so that is gone when its user is done with it.
class TemporaryLibrary {
 public:
  TemporaryLibrary() {
    std::string pattern = (std::filesystem::temp_directory_path() / "nnrun-XXXXXX").string();
    if (!mkdtemp(pattern.data()))
      throw UserError("cannot make a folder in " + std::filesystem::temp_directory_path().string());
    folder_ = pattern;
  }
  ~TemporaryLibrary() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  TemporaryLibrary(const TemporaryLibrary&) = delete;
  TemporaryLibrary& operator=(const TemporaryLibrary&) = delete;
  std::string path() const { return (folder_ / "model.so").string(); }

 private:
  std::filesystem::path folder_;
};

struct Difference {
  double derivative = 0, step = 0;
  // What the derivative may be off by, seen from the losses alone; relative, as the error that is judged.
  double doubt = std::numeric_limits<double>::infinity();
};

// Moves one parameter of a session and looks at the loss.
class Probe {
 public:
  Probe(nn::Session& session, const nn::Entry<-1>& entry, const std::vector<nn::View>& inputs,
        const Checked& checked, const Options& options)
      : session_(session), entry_(entry), inputs_(inputs), checked_(checked), options_(options) {
    const auto values = session.variable<double>(checked.parameter);
    begin_.assign(values.begin(), values.end());
    const nn::Outputs outputs = entry.call(inputs);
    loss_ = outputs[checked.loss];
    const auto gradient = outputs[checked.gradient].as<double>();
    gradient_.assign(gradient.begin(), gradient.end());
  }
  ~Probe() { session_.set(checked_.parameter, begin_); }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  double loss() const { return loss_; }
  const std::vector<double>& gradient() const { return gradient_; }

  // Of several step lengths the first that is certainly good enough, else the one with the least doubt: long
  // ones cross kinks and feel the curvature, short ones drown in rounding. The gradient has no say in the
  // choice. Doubt is relative to the derivative, at least to `least`.
  Difference derivative_along(const std::vector<double>& direction, double least) {
    Difference best;
    for (double step : {1e-2, 1e-3, 1e-4, 1e-5, 1e-6}) {
      const Sides whole = sides(direction, step), half = sides(direction, step / 2),
                  quarter = sides(direction, step / 4);
      // Each is right to the fourth order where the loss is smooth, so that they agree.
      const double first = (4 * half.slope() - whole.slope()) / 3,
                   second = (4 * quarter.slope() - half.slope()) / 3;
      // Agreement is not enough: next to a kink all steps see the mean of the slopes on both sides. Bending
      // shrinks with the step, the break at a kink does not.
      const double kink = std::abs(4 * quarter.bend(loss_) - whole.bend(loss_)) / 3;
      const double doubt = std::max(std::abs(first - second), kink / 2) /
                           judged_scale(std::max(std::abs(second), least), step);
      if (doubt < best.doubt) best = {second, step, doubt};
      if (best.doubt < 1e-3 * options_.tolerance) break;
    }
    return best;
  }
  // What an error is relative to when it is judged, for a derivative of that size: a difference that rounding
  // of the loss alone may make counts as the tolerance at most.
  double judged_scale(double size, double step) const {
    return std::max({size, noise(step) / options_.tolerance, std::numeric_limits<double>::min()});
  }

 private:
  // What rounding of the loss makes of a difference.
  double noise(double step) const {
    return 256 * std::numeric_limits<double>::epsilon() * std::max(std::abs(loss_), 1e-3) / step;
  }
  // The loss a step before and behind.
  struct Sides {
    double before, behind, step;
    double slope() const { return (behind - before) / (2 * step); }
    // By how much the slope behind exceeds the one before.
    double bend(double middle) const { return (behind - middle - (middle - before)) / step; }
  };
  Sides sides(const std::vector<double>& direction, double step) {
    return {loss_at(direction, -step), loss_at(direction, step), step};
  }
  double loss_at(const std::vector<double>& direction, double step) {
    moved_.resize(begin_.size());
    for (size_t i = 0; i < begin_.size(); ++i) moved_[i] = begin_[i] + step * direction[i];
    session_.set(checked_.parameter, moved_);
    return entry_.call(inputs_)[checked_.loss];
  }

  nn::Session& session_;
  const nn::Entry<-1>& entry_;
  const std::vector<nn::View>& inputs_;
  const Checked& checked_;
  const Options& options_;
  std::vector<double> begin_, moved_, gradient_;
  double loss_ = 0;
};

double norm(const std::vector<double>& v) {
  return std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0));
}

// Unit vectors: along the gradient, in random directions, and along sampled axes (the largest gradient's
// first).
std::vector<std::vector<double>> directions_for(const std::vector<double>& gradient, const Options& options,
                                                std::mt19937_64& random) {
  std::vector<std::vector<double>> all;
  const size_t n = gradient.size();
  const auto add = [&](std::vector<double> d) {
    const double length = norm(d);
    if (!(length > 0) || !std::isfinite(length)) return;
    for (double& x : d) x /= length;
    all.push_back(std::move(d));
  };
  add(gradient);
  std::normal_distribution<double> normal;
  for (int k = 1; k < options.directions && n > 1; ++k) {
    std::vector<double> d(n);
    for (double& x : d) x = normal(random);
    add(std::move(d));
  }
  std::vector<size_t> axes = {
      static_cast<size_t>(std::max_element(gradient.begin(), gradient.end(),
                                           [](double a, double b) { return std::abs(a) < std::abs(b); }) -
                          gradient.begin())};
  for (int k = 1; k < options.elements && n > 1; ++k) axes.push_back(random() % n);
  std::sort(axes.begin(), axes.end());
  axes.erase(std::unique(axes.begin(), axes.end()), axes.end());
  for (size_t axis : axes) {
    std::vector<double> d(n);
    d[axis] = 1;
    add(std::move(d));
  }
  return all;
}

// The largest relative errors over some directions.
struct Errors {
  double raw = 0;     // as it is shown
  double judged = 0;  // less where rounding of the loss may be what differs

  // NaN is the largest.
  void add(double difference, double raw_scale, double judged_scale) {
    raw = larger(raw, difference / raw_scale);
    judged = larger(judged, difference / judged_scale);
  }
  static double larger(double a, double b) { return std::isnan(a) || a > b ? a : b; }
};

struct Result {
  Errors smooth_error, kink_error;
  int smooth = 0, kinks = 0;
  double gradient_norm = 0;

  const Errors& error() const {
    return smooth > 0 || std::isnan(smooth_error.judged) ? smooth_error : kink_error;
  }
  // Near kinks alone there is nothing sharper to say.
  bool good(const Options& options) const {
    if (!std::isfinite(smooth_error.judged) || !std::isfinite(gradient_norm)) return false;
    return error().judged <= limit(options);
  }
  double limit(const Options& options) const {
    return smooth > 0 ? options.tolerance : options.kink_tolerance;
  }
};

Result check(Probe& probe, const Options& options, std::mt19937_64& random) {
  Result result;
  const std::vector<double>& gradient = probe.gradient();
  result.gradient_norm = norm(gradient);
  if (!std::isfinite(result.gradient_norm) || !std::isfinite(probe.loss())) {
    result.smooth_error.raw = result.smooth_error.judged = std::numeric_limits<double>::quiet_NaN();
    return result;
  }
  const double typical = result.gradient_norm / std::sqrt(static_cast<double>(gradient.size()));
  for (const std::vector<double>& direction : directions_for(gradient, options, random)) {
    const Difference difference = probe.derivative_along(direction, 1e-2 * typical);
    const double expected = std::inner_product(gradient.begin(), gradient.end(), direction.begin(), 0.0);
    const double size = std::max({std::abs(expected), std::abs(difference.derivative), 1e-2 * typical,
                                  std::numeric_limits<double>::min()});
    const bool smooth = difference.doubt < options.tolerance / 4;
    ++(smooth ? result.smooth : result.kinks);
    Errors& errors = smooth ? result.smooth_error : result.kink_error;
    errors.add(std::abs(expected - difference.derivative), size, probe.judged_scale(size, difference.step));
  }
  return result;
}

// Whether all of the entry's gradients are right.
bool check_entry(nn::Session& session, const nn_entry_info& info, const std::vector<nn::View>& inputs,
                 const Options& options, uint64_t seed) {
  llvm::raw_ostream& out = llvm::outs();
  const auto entry = session.entry(info.name);
  out << info.name << '\n';
  bool all_good = true;
  std::mt19937_64 random(seed);
  for (const Checked& checked : gradients_of(info)) {
    Probe probe(session, entry, inputs, checked, options);
    const Result result = check(probe, options, random);
    const bool good = result.good(options);
    all_good = all_good && good;
    const std::string name = checked.parameter + ": " + nn::type_name(info.outputs[checked.gradient]);
    out << llvm::format("  %-4s %-48s |gradient| %8.2e  error %8.2e", good ? "ok" : "FAIL", name.c_str(),
                        result.gradient_norm, result.error().raw);
    if (good && result.error().raw > result.limit(options)) out << "  (no more than rounding of the loss)";
    if (checked.loss > 0) out << "  (of " << info.outputs[checked.loss].name << ")";
    if (result.kinks > 0)
      out << "  (" << result.kinks << " of " << result.smooth + result.kinks << " directions cross a kink)";
    out << '\n';
  }
  return all_good;
}

}  // namespace

int check_gradients_verb(int argc, const char* const* argv) {
  SessionArguments arguments;
  Assignments files, constants, hypers;
  Generator generator;
  Options options;
  bool no_cache = false;
  int seed = 0;
  DriverOptions driver_options;
  OptionParser line(argv[0], "MODEL.nn [options]",
                    "Compiles a program in f64 and compares the gradient of every parameter in its train "
                    "entries with central differences of the\n"
                    "loss, along the gradient, in random directions and for single elements. Where the loss "
                    "has kinks (relu, max), steps that cross\n"
                    "one are left out. Inputs are generated where no file is given. Exit status 1 if an "
                    "error is too large.");
  arguments.add_library(line);
  line.group("The program");
  add_assignments(line, "set", "NAME=VALUE", "overrides a `const` of the program", constants);
  add_assignments(line, "hyper", "NAME=VALUE", "sets a hyper", hypers);
  line.text("entry", "NAME", "check this train entry alone", arguments.entry);
  line.each("O", "0|1|2", "how much to optimize (default: 2)", [&](const std::string& value) {
    if (value != "0" && value != "1" && value != "2") return std::string("there are -O0, -O1 and -O2");
    driver_options.opt_level = value[0] - '0';
    return std::string();
  });
  line.flag("no-cache", "keep and use no compiled kernels", no_cache);
  generator.add_options(line);
  add_assignments(line, "input", "NAME=FILE.npy", "an input of the train entries", files);
  line.group("The check");
  line.count("seed", "N", "of parameters, inputs and directions (default: 0)", seed);
  add_number(line, "tolerance", "X", "largest relative error (default: 1e-6)", options.tolerance);
  add_number(line, "kink-tolerance", "X", "the same where every direction crosses a kink (default: 1e-3)",
             options.kink_tolerance);
  line.count("directions", "N", "directions for each parameter (default: 4)", options.directions);
  line.count("elements", "N", "single elements for each parameter (default: 6)", options.elements);
  int status;
  if (!parse_verb(line, arguments, argc, argv, status)) return status;

  driver_options.input = arguments.library;
  driver_options.float_type = DType::F64;
  driver_options.gradient_entries = true;
  driver_options.threads = 1;
  if (!no_cache) driver_options.cache_dir = default_cache_dir();
  for (const auto& [name, value] : constants) driver_options.constants[name] = value;
  TemporaryLibrary file;
  Diagnostics diags;
  Driver driver(driver_options, diags, llvm::errs());
  const bool compiled = driver.compile_file(EmitKind::SharedLibrary, file.path());
  diags.print(llvm::errs());
  if (!compiled) return 1;

  const nn::Library library = nn::Library::open(file.path());
  nn::Session session(library, {.seed = seed, .threads = 1});
  for (const auto& [name, value] : hypers) session.set(name, parse_number(value, "--hyper " + name));
  generator.seed = static_cast<uint64_t>(seed) + 1;
  bool good = true, any = false;
  for (const nn_entry_info& entry : library.entries()) {
    if (arguments.entry.empty() ? entry.kind != NN_ENTRY_TRAIN : entry.name != arguments.entry) continue;
    Assignments own;
    for (const auto& given : files)
      if (std::ranges::any_of(inputs_of(entry),
                              [&](const nn_tensor_info& t) { return t.name == given.first; }))
        own.push_back(given);
    const std::vector<Array> inputs = make_inputs(entry, own, generator);
    any = true;
    good = check_entry(session, entry, views_of(inputs), options, generator.seed) && good;
  }
  if (!any)
    throw UserError(arguments.entry.empty() ? arguments.library + " has no train entry"
                                            : "there is no entry " + arguments.entry);
  llvm::outs().flush();
  if (!good) llvm::errs() << argv[0] << ": error: not every gradient agrees with the differences\n";
  return good ? 0 : 1;
}

}  // namespace nncc
