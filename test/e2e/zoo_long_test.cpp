// Programs of the zoo that take the evaluator or the compiler many seconds.
#include "e2e/zoo_programs.h"

namespace nncc::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Images, Zoo,
                         testing::Values(Program{"detector", {{"size", "16"}, {"grid", "2"}, {"batch", "2"}}},
                                         Program{"segmentation", {{"size", "8"}, {"batch", "2"}}}),
                         [](const auto& info) { return info.param.name; });

// Too large for the evaluator.
class LargeZoo : public testing::TestWithParam<Program> {};

TEST_P(LargeZoo, TrainsTwoSteps) {
  const nn::Library library = compile_and_open(GetParam().path(), GetParam().constants);
  for (const std::string& name : train_entries(library)) {
    SCOPED_TRACE(name);
    nn::Session session(library, {.seed = 1, .threads = 2});
    const std::string before = checkpoint_bytes(session);
    const auto entry = session.entry(name);
    for (uint64_t step = 0; step < 2; ++step) {
      RandomInputs inputs(entry.info(), step);
      EXPECT_TRUE(std::isfinite(entry.call(inputs.views())[0].item<double>())) << "in step " << step;
    }
    EXPECT_FALSE(checkpoint_bytes(session) == before);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Images, LargeZoo,
    testing::Values(Program{"gan", {{"batch", "4"}}},
                    Program{"resnet", {{"size", "32"}, {"stem", "3"}, {"classes", "10"}, {"batch", "2"}}}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace nncc::test
