// Whole programs, compiled, against the evaluator on what was traced.
#include "e2e/agreement.h"

namespace nncc::test {
namespace {

std::string input(const std::string& name) {
  return std::string(NNCC_SOURCE_DIR) + "/test/e2e/Inputs/" + name;
}

class Levels : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Compile, Levels, ::testing::Values(0, 1, 2),
                         [](const auto& info) { return "O" + std::to_string(info.param); });

std::string zoo(const std::string& name) {
  return std::string(NNCC_SOURCE_DIR) + "/examples/zoo/" + name + ".nn";
}

TEST_P(Levels, Regression) {
  expect_agreement({.program = input("regression.nnir"), .opt_level = GetParam(), .steps = 10});
}
// Paths that write their channels into what they meet in, and one that others read, too.
TEST(Compile, PathsThatMeet) {
  expect_agreement({.program = input("branches.nn"), .steps = 2, .largest_int = 4, .tolerance = 2e-4});
}

struct ZooCase {
  const char* program;
  std::map<std::string, std::string> constants;
  int64_t largest_int = 2;
  double tolerance = 2e-4;  // in single precision
  int steps = 3;            // in single precision
};
void PrintTo(const ZooCase& c, std::ostream* out) { *out << c.program; }

class SinglePrecision : public ::testing::TestWithParam<ZooCase> {};
INSTANTIATE_TEST_SUITE_P(Compile, SinglePrecision,
                         ::testing::Values(ZooCase{"backprop", {}}, ZooCase{"logistic", {{"batch", "5"}}},
                                           ZooCase{"mlp", {{"batch", "4"}}, 9},
                                           ZooCase{"svm", {{"batch", "6"}}}, ZooCase{"optimizers", {}},
                                           ZooCase{"autoencoder", {{"batch", "3"}}},
                                           ZooCase{"multitask", {{"batch", "2"}}, 2, 1e-2, 1},
                                           ZooCase{"vae", {{"batch", "2"}}}, ZooCase{"reinforce", {}, 1},
                                           ZooCase{"wgan", {{"batch", "2"}}}),
                         [](const auto& info) { return std::string(info.param.program); });

// In double precision: zoo_test.cpp.
TEST_P(SinglePrecision, Zoo) {
  const ZooCase& c = GetParam();
  expect_agreement({.program = zoo(c.program),
                    .constants = c.constants,
                    .steps = c.steps,
                    .largest_int = c.largest_int,
                    .tolerance = c.tolerance});
}

// Older processors' code, which this one runs, too.
class Targets : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Compile, Targets, ::testing::Values("v2", "v3"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Targets, Zoo) {
  Diagnostics diags;
  std::string target = std::string("x86-64-") + GetParam();
  if (find_target("host", diags)->name < target) GTEST_SKIP() << "this processor does not run " << target;
  for (const char* program : {"backprop", "svm", "reinforce"})
    expect_agreement({.program = zoo(program), .target = target, .largest_int = 1, .tolerance = 2e-4});
}

// Small ones alone: they have every kind of statement, and a kernel for each node.
class Unoptimized : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Compile, Unoptimized,
                         ::testing::Values("backprop", "logistic", "optimizers", "reinforce"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Unoptimized, Zoo) {
  expect_agreement({.program = zoo(GetParam()),
                    .float_type = DType::F64,
                    .opt_level = 0,
                    .steps = 2,
                    .largest_int = 1,
                    .tolerance = 1e-9});
}

// Vectors that are read backwards, with a tail whose masked lanes lie in front of the argument.
TEST_P(Levels, Reversed) {
  for (DType float_type : {DType::F32, DType::F64})
    expect_agreement({.program = input("reversed.nn"),
                      .float_type = float_type,
                      .opt_level = GetParam(),
                      .steps = 1,
                      .tolerance = 0});
}

TEST(Compile, CausalAttentionOverFewRows) {
  expect_agreement({.program = input("causal.nn"), .threads = 1, .steps = 2});
}

}  // namespace
}  // namespace nncc::test
