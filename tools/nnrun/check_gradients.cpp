// nnrun check-gradients: compiles a program in f64 with entries that return gradients, and compares each
// parameter's with central differences of the loss.
#include <unistd.h>

#include <algorithm>
#include <array>
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
#include "tools/nnrun/difference.h"
#include "tools/nnrun/verbs.h"

namespace nncc {
namespace {

constexpr std::string_view kGradientPrefix = "gradient/";

struct Options {
  double tolerance = 1e-6;
  // What a difference may be uncertain by that counts at all.
  double kink_tolerance = 1e-3;
  // By how much parameters are moved away from where initializers put them, relative to their size.
  double shake = 0.05;
  int directions = 4, elements = 6;
};

// The gradient of one loss with respect to one parameter: the one'th output of the entry that gives losses
// alone, and an output of the one that gives gradients, too.
struct Checked {
  std::string parameter, loss_name;
  size_t loss, gradient;
};

std::vector<Checked> gradients_of(const nn_entry_info& entry) {
  std::vector<Checked> list;
  size_t losses = 0;
  std::string loss;
  const auto outputs = outputs_of(entry);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string_view name = outputs[i].name;
    if (name.substr(0, kGradientPrefix.size()) != kGradientPrefix)
      loss = name, ++losses;
    else
      list.push_back({std::string(name.substr(kGradientPrefix.size())), loss, losses - 1, i});
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

// An entry's losses and gradients at one place, and its losses around it.
class Probe {
 public:
  Probe(nn::Session& session, const nn_entry_info& info, const std::vector<nn::View>& inputs)
      : session_(session),
        losses_(session.entry(info.name + std::string(kLossesSuffix))),
        inputs_(inputs),
        checked_(gradients_of(info)) {
    const nn::Outputs outputs = session.entry(info.name).call(inputs);
    for (const Checked& checked : checked_) {
      const auto gradient = outputs[checked.gradient].as<double>();
      gradients_.emplace_back(gradient.begin(), gradient.end());
    }
    // By the entry that gives the others: its kernels may round in other ways.
    const nn::Outputs losses = losses_.call(inputs);
    for (size_t i = 0; i < outputs_of(losses_.info()).size(); ++i) values_.push_back(losses[i]);
  }

  const std::vector<Checked>& checked() const { return checked_; }
  double loss(size_t i) const { return values_[checked_[i].loss]; }
  const std::vector<double>& gradient(size_t i) const { return gradients_[i]; }

  // Moves one parameter, and puts it back.
  class Mover {
   public:
    Mover(Probe& probe, const Checked& checked) : probe_(probe), checked_(checked) {
      const auto values = probe.session_.variable<double>(checked.parameter);
      begin_.assign(values.begin(), values.end());
    }
    ~Mover() { probe_.session_.set(checked_.parameter, begin_); }
    Mover(const Mover&) = delete;
    Mover& operator=(const Mover&) = delete;

    double loss_at(const std::vector<double>& direction, double step) {
      moved_.resize(begin_.size());
      for (size_t i = 0; i < begin_.size(); ++i) moved_[i] = begin_[i] + step * direction[i];
      probe_.session_.set(checked_.parameter, moved_);
      return probe_.losses_.call(probe_.inputs_)[checked_.loss];
    }

   private:
    Probe& probe_;
    const Checked& checked_;
    std::vector<double> begin_, moved_;
  };

 private:
  nn::Session& session_;
  nn::Entry<-1> losses_;
  const std::vector<nn::View>& inputs_;
  std::vector<Checked> checked_;
  std::vector<std::vector<double>> gradients_;
  std::vector<double> values_;
};

double norm(const std::vector<double>& v) {
  return std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0));
}

// Directions of one kind want steps of much the same length, whatever the parameter.
enum class Kind { Along, Random, Axis };

// Unit vectors.
class Directions {
 public:
  Directions(const std::vector<double>& gradient, std::mt19937_64& random)
      : gradient_(gradient), random_(random) {}

  std::vector<double> along() const { return unit(gradient_); }
  std::vector<double> any() {
    std::vector<double> d(gradient_.size());
    for (double& x : d) x = normal_(random_);
    return unit(std::move(d));
  }
  // The first is where the gradient is largest.
  std::vector<double> axis() {
    const auto smaller = [](double a, double b) { return std::abs(a) < std::abs(b); };
    const auto largest = std::max_element(gradient_.begin(), gradient_.end(), smaller) - gradient_.begin();
    std::vector<double> d(gradient_.size());
    d[axes_++ == 0 ? static_cast<size_t>(largest) : random_() % d.size()] = 1;
    return d;
  }

 private:
  static std::vector<double> unit(std::vector<double> d) {
    const double length = norm(d);
    for (double& x : d) x /= length > 0 ? length : 1;
    return d;
  }

  const std::vector<double>& gradient_;
  std::mt19937_64& random_;
  std::normal_distribution<double> normal_;
  int axes_ = 0;
};

struct Result {
  double gradient_norm = 0;
  // Of the direction where it is the largest in terms of what is allowed there; relative to the derivative.
  double error = 0, allowed = 0;
  // Directions: held to the tolerance; to something less; seen to have no slope that rounding would show; and
  // where differences say nothing.
  int sharp = 0, near_kinks = 0, flat = 0, unknown = 0;

  // NaN is the largest.
  void add(double e, double limit) {
    if (std::isnan(e) || e * allowed > error * limit || allowed == 0) error = e, allowed = limit;
  }
  bool good() const { return error <= allowed && sharp + near_kinks + flat > 0; }
};

// Checks the gradients of one entry.
class Check {
 public:
  Check(Probe& probe, const Options& options, uint64_t seed)
      : probe_(probe), options_(options), random_(seed) {}

  Result operator()(size_t i) {
    const std::vector<double>& gradient = probe_.gradient(i);
    Result result;
    result.gradient_norm = norm(gradient);
    if (!std::isfinite(result.gradient_norm) || !std::isfinite(probe_.loss(i))) {
      result.add(std::numeric_limits<double>::quiet_NaN(), options_.tolerance);
      return result;
    }
    Probe::Mover mover(probe_, probe_.checked()[i]);
    Directions directions(gradient, random_);
    // In place of each that says nothing another is tried.
    const auto look = [&](Kind kind, int wanted, const auto& next) {
      for (int tried = 0, known = 0; known < wanted && tried < 3 * wanted; ++tried)
        known += measure(i, mover, kind, next(), result);
    };
    const int more = gradient.size() > 1;
    if (result.gradient_norm > 0) look(Kind::Along, 1, [&] { return directions.along(); });
    look(Kind::Random, more * (options_.directions - 1), [&] { return directions.any(); });
    look(Kind::Axis, more ? options_.elements : 1, [&] { return directions.axis(); });
    return result;
  }

 private:
  // Whether the difference says anything.
  bool measure(size_t i, Probe::Mover& mover, Kind kind, const std::vector<double>& direction,
               Result& result) {
    const std::vector<double>& gradient = probe_.gradient(i);
    const double expected = std::inner_product(gradient.begin(), gradient.end(), direction.begin(), 0.0);
    // An element that is nearly 0 among others is judged as if it were this large.
    const double least = 1e-2 * result.gradient_norm / std::sqrt(static_cast<double>(gradient.size()));
    const auto differentiate = [&](Differentiator& differentiator) {
      const auto loss = [&](double step) { return mover.loss_at(direction, step); };
      return differentiator(loss, probe_.loss(i), least);
    };
    Difference d = differentiate(first_[static_cast<size_t>(kind)]);
    if (d.distance(expected) > allowed(d, expected, least)) {
      // Values that have met kinks may agree by chance: a failure must be seen in two ways.
      const Difference other = differentiate(second_[static_cast<size_t>(kind)]);
      if (d.low - d.uncertainty() > other.high + other.uncertainty() ||
          other.low - other.uncertainty() > d.high + d.uncertainty() || !std::isfinite(other.bound))
        return ++result.unknown, false;
      if (other.distance(expected) <= allowed(other, expected, least)) d = other;
    }
    const double size = size_of(d, expected, least), limit = allowed(d, expected, least);
    if (d.uncertainty() <= options_.tolerance * size)
      ++result.sharp;
    else if (d.uncertainty() <= options_.kink_tolerance * size)
      ++result.near_kinks;
    else if (d.bound <= d.rounding)
      ++result.flat;
    else
      return ++result.unknown, false;
    result.add(d.distance(expected) / size, limit / size);
    return true;
  }
  static double size_of(const Difference& d, double expected, double least) {
    return std::max(
        {std::abs(expected), std::abs(d.low), std::abs(d.high), least, std::numeric_limits<double>::min()});
  }
  double allowed(const Difference& d, double expected, double least) const {
    return std::max(options_.tolerance * size_of(d, expected, least), d.uncertainty());
  }

  Probe& probe_;
  const Options& options_;
  std::mt19937_64 random_;
  std::array<Differentiator, 3> first_ = kinds(1), second_ = kinds(0.7);
  std::array<Differentiator, 3> kinds(double shift) const {
    return {Differentiator(options_.tolerance, shift), Differentiator(options_.tolerance, shift),
            Differentiator(options_.tolerance, shift)};
  }
};

// Away from where initializers put ties and kinks: all zeros, all ones.
void shake_parameters(nn::Session& session, double amount, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  for (const nn_variable_info& v : session.library().variables()) {
    if (v.kind != NN_PARAMETER || v.tensor.dtype != NN_F64) continue;
    const auto values = session.variable<double>(v.tensor.name);
    std::vector<double> moved(values.begin(), values.end());
    const double size = norm(moved) / std::sqrt(static_cast<double>(moved.size()));
    for (double& x : moved) x += amount * (size > 0 ? size : 1) * normal(random);
    session.set(v.tensor.name, moved);
  }
}

// Whether all of the entry's gradients are right.
bool check_entry(nn::Session& session, const nn_entry_info& info, const std::vector<nn::View>& inputs,
                 const Options& options, uint64_t seed) {
  llvm::raw_ostream& out = llvm::outs();
  out << info.name << '\n';
  bool all_good = true;
  Probe probe(session, info, inputs);
  Check check(probe, options, seed);
  for (size_t i = 0; i < probe.checked().size(); ++i) {
    const Checked& checked = probe.checked()[i];
    const Result result = check(i);
    all_good = all_good && result.good();
    const std::string name = checked.parameter + ": " + nn::type_name(info.outputs[checked.gradient]);
    out << llvm::format("  %-4s %-48s |gradient| %8.2e  error %8.2e", result.good() ? "ok" : "FAIL",
                        name.c_str(), result.gradient_norm, result.error);
    if (checked.loss > 0) out << "  (of " << checked.loss_name << ")";
    const int all = result.sharp + result.near_kinks + result.flat + result.unknown;
    const auto say = [&](int count, const char* what) {
      if (count > 0) out << "  (" << count << " of " << all << " directions " << what << ')';
    };
    say(result.near_kinks, "near kinks");
    say(result.flat, "no more than rounding of the loss");
    say(result.unknown, "between kinks, left out");
    out << '\n';
    out.flush();
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
                    "has kinks (relu, max), steps are\n"
                    "taken between them, and a difference that crosses some is trusted no further than its "
                    "steps agree. Inputs are generated\n"
                    "where no file is given. Exit status 1 if an error is too large.");
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
  add_number(line, "kink-tolerance", "X",
             "largest uncertainty of a difference, beyond which it is left out (default: 1e-3)",
             options.kink_tolerance);
  add_number(line, "shake", "X", "move parameters first, relative to their size (default: 0.05)",
             options.shake);
  line.count("directions", "N", "directions for each parameter (default: 4)", options.directions);
  line.count("elements", "N", "single elements for each parameter (default: 6)", options.elements);
  int status;
  if (!parse_verb(line, arguments, argc, argv, status)) return status;

  driver_options.input = arguments.library;
  driver_options.float_type = DType::F64;
  driver_options.gradient_entries = driver_options.loss_entries = true;
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
  shake_parameters(session, options.shake, generator.seed);
  bool good = true, any = false;
  for (const nn_entry_info& entry : library.entries()) {
    if (gradients_of(entry).empty() || (!arguments.entry.empty() && entry.name != arguments.entry)) continue;
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
