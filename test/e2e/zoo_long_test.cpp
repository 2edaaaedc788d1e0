// Programs of the zoo that take the evaluator or the compiler many seconds.
#include "e2e/image_networks.h"

namespace nncc::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Images, Zoo,
                         testing::Values(Program{"detector", {{"size", "16"}, {"grid", "2"}, {"batch", "2"}}},
                                         Program{"segmentation", {{"size", "8"}, {"batch", "2"}}}),
                         [](const auto& info) { return info.param.name; });

using Constants = std::map<std::string, std::string>;

Constants classifier(const std::string& size, const std::string& batch, Constants more = {}) {
  more.insert({{"size", size}, {"classes", "10"}, {"batch", batch}});
  return more;
}

INSTANTIATE_TEST_SUITE_P(Large, ImageNetworks,
                         testing::Values(Program{"resnet", classifier("32", "4", {{"stem", "3"}})},
                                         Program{"mobilenet", classifier("64", "4")},
                                         Program{"inception", classifier("64", "2")},
                                         Program{"vgg", classifier("32", "2")},
                                         Program{"alexnet", classifier("67", "2")}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace nncc::test
