// Compiled programs against the reference evaluator.
#pragma once
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "ir/evaluate.h"
#include "support/compiled_model.h"
#include "tools/driver.h"

namespace nncc::test {

struct Agreement {
  std::string program = {};                           // path
  std::map<std::string, std::string> constants = {};  // --set
  DType float_type = DType::F32;
  int opt_level = 2;
  std::string target = "host";
  int threads = 2;          // of one session; another has one thread, and gives the same bits
  int steps = 3;            // of every entry but `init`, in turn
  int64_t largest_int = 2;  // integers of the inputs lie in [0, this]
  double tolerance = 1e-5;  // of the difference, relative to the largest element of a tensor and to 1
};

inline Literal random_literal(const TensorType& type, int64_t largest_int, std::mt19937_64& random) {
  Literal literal(type);
  std::normal_distribution<double> normal;
  for (int64_t i = 0; i < type.num_elements(); ++i) {
    if (is_float(type.dtype))
      literal.set(i, normal(random));
    else
      literal.set_int(
          i, static_cast<int64_t>(random() %
                                  static_cast<uint64_t>(type.dtype == DType::Bool ? 2 : largest_int + 1)));
  }
  literal.round_to_type();
  return literal;
}

// Largest difference, relative to the largest element and to 1. NaN agrees with NaN alone.
inline double difference(const Literal& a, const Literal& b) {
  EXPECT_EQ(a.type().str(), b.type().str());
  if (!(a.type() == b.type())) return HUGE_VAL;
  double largest = 1, worst = 0;
  for (int64_t i = 0; i < a.num_elements(); ++i)
    if (std::isfinite(a.real(i))) largest = std::max(largest, std::abs(a.real(i)));
  for (int64_t i = 0; i < a.num_elements(); ++i) {
    double x = a.real(i), y = b.real(i);
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    double error = std::abs(x - y) / largest;
    worst = std::isnan(error) ? HUGE_VAL : std::max(worst, error);
  }
  return worst;
}

// The program as traced on the evaluator, and as optimized, compiled, linked and loaded: the same results and
// the same variables after each step.
inline void expect_agreement(const Agreement& a) {
  SCOPED_TRACE(a.program + " " + std::string(dtype_name(a.float_type)) + " " + a.target + " -O" +
               std::to_string(a.opt_level) + " threads " + std::to_string(a.threads));
  Diagnostics diags;
  DriverOptions options;
  options.input = a.program;
  options.constants = a.constants;
  options.float_type = a.float_type;
  options.opt_level = a.opt_level;
  options.target = a.target;
  options.threads = a.threads;
  options.pipeline.verify_each = true;
  DriverOptions traced_options = options;
  traced_options.passes = "inline,autodiff";  // the least that the evaluator needs
  Driver traced_driver(traced_options, diags, llvm::errs());
  Driver driver(options, diags, llvm::errs());
  auto traced = traced_driver.build_module();
  auto module = driver.build_module();
  ASSERT_TRUE(traced && module) << messages(diags);

  CodegenOptions codegen;
  codegen.target = driver.target();
  codegen.threads = a.threads;
  CompiledModel model(*module, codegen);
  ASSERT_TRUE(model);
  CompiledSession session(model, /*seed=*/42, a.threads), alone(model, /*seed=*/42, 1);
  Evaluator evaluator(*traced, {.round = a.float_type == DType::F32});
  evaluator.initialize(42);
  auto compare_variables = [&](const std::string& when) {
    for (const auto& [name, expected] : evaluator.variables()) {
      Literal got = session.variable(name);
      EXPECT_LE(difference(expected, got), a.tolerance) << "variable " << name << " " << when;
      EXPECT_EQ(got.to_bytes(), alone.variable(name).to_bytes())
          << "variable " << name << " " << when << " on one thread";
    }
  };
  compare_variables("after init");
  std::mt19937_64 random(7);
  for (int step = 0; step < a.steps && !::testing::Test::HasFailure(); ++step)
    for (const Entry& entry : traced->entries) {
      if (entry.kind == EntryKind::Init) continue;
      std::string when = "in step " + std::to_string(step) + " of " + entry.name;
      std::vector<Literal> arguments;
      for (const Graph::Argument& argument : entry.graph.arguments)
        arguments.push_back(random_literal(entry.graph.type(argument.value), a.largest_int, random));
      auto expected = evaluator.run(entry, arguments);
      auto got = session.run(entry.name, arguments);
      auto got_alone = alone.run(entry.name, arguments);
      ASSERT_EQ(expected.size(), got.size());
      for (size_t i = 0; i < got.size(); ++i) {
        const std::string& name = entry.graph.results[i].name;
        EXPECT_LE(difference(expected[i], got[i]), a.tolerance) << name << " " << when;
        EXPECT_EQ(got[i].to_bytes(), got_alone[i].to_bytes()) << name << " " << when << " on one thread";
      }
      compare_variables(when);
    }
}

}  // namespace nncc::test
