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

TEST_P(Levels, Regression) {
  expect_agreement({.program = input("regression.nnir"), .opt_level = GetParam(), .steps = 10});
}
TEST_P(Levels, RegressionOnTwoThreads) {
  expect_agreement({.program = input("regression.nnir"), .opt_level = GetParam(), .threads = 2, .steps = 10});
}

}  // namespace
}  // namespace nncc::test
