// Programs of the zoo that take the evaluator or the compiler many seconds.
#include "e2e/zoo_programs.h"

namespace nncc::test {
namespace {

INSTANTIATE_TEST_SUITE_P(
    Images, Zoo,
    testing::Values(Program{"gan", {{"batch", "2"}}},
                    Program{"detector", {{"size", "16"}, {"grid", "2"}, {"batch", "2"}}},
                    Program{"segmentation", {{"size", "8"}, {"batch", "2"}}},
                    Program{"resnet", {{"size", "32"}, {"stem", "3"}, {"classes", "10"}, {"batch", "2"}}}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace nncc::test
