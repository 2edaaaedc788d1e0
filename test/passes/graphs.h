// Small graphs for the tests of passes: values to run them on, and the passes by name.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "ir/evaluate.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "llvm/Support/raw_ostream.h"
#include "passes/pass.h"

namespace nncc::test {

// Runs passes, each verified, and fails the test on an error.
inline void run_passes(Module& module, const std::string& passes) {
  Diagnostics diags;
  PipelineOptions options;
  options.verify_each = true;
  const auto pipeline = parse_pipeline(passes, diags);
  ASSERT_FALSE(diags.has_errors());
  ASSERT_TRUE(run_pipeline(module, pipeline, options, diags, llvm::errs())) << to_string(module);
}

inline Literal random_literal(const TensorType& type, std::mt19937& random, double low = -2,
                              double high = 2) {
  Literal literal(type);
  std::uniform_real_distribution<double> reals(low, high);
  std::uniform_int_distribution<int> ints(type.dtype == DType::U8 ? 0 : -5, 5);
  for (int64_t i = 0; i < literal.num_elements(); ++i) {
    if (is_float(type.dtype))
      literal.set(i, reals(random));
    else
      literal.set_int(i, type.dtype == DType::Bool ? ints(random) > 0 : ints(random));
  }
  literal.round_to_type();
  return literal;
}

inline std::vector<Literal> random_arguments(const Graph& graph, std::mt19937& random) {
  std::vector<Literal> arguments;
  for (const auto& argument : graph.arguments)
    arguments.push_back(random_literal(graph.type(argument.value), random));
  return arguments;
}

// Equal, both NaN, or apart by rounding alone.
inline bool close(double a, double b, double tolerance) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (a == b) return true;
  return std::abs(a - b) <= tolerance * std::max({1.0, std::abs(a), std::abs(b)});
}

inline void expect_close(const Literal& a, const Literal& b, double tolerance, const std::string& what) {
  ASSERT_EQ(a.type(), b.type()) << what;
  for (int64_t i = 0; i < a.num_elements(); ++i)
    ASSERT_TRUE(close(a.real(i), b.real(i), tolerance))
        << what << ": element " << i << " is " << b.real(i) << ", was " << a.real(i);
}

}  // namespace nncc::test
