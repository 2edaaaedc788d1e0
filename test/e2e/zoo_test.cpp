// Programs of the zoo that are small enough to be tested each time.
#include "e2e/zoo_programs.h"

namespace nncc::test {
namespace {

// The evaluator is slow: small batches of the larger networks.
INSTANTIATE_TEST_SUITE_P(Dense, Zoo,
                         testing::Values(Program{"backprop"}, Program{"logistic"}, Program{"svm"},
                                         Program{"mlp", {{"batch", "5"}}},
                                         Program{"autoencoder", {{"batch", "3"}}},
                                         Program{"multitask", {{"batch", "3"}}},
                                         Program{"vae", {{"batch", "3"}}},
                                         Program{"reinforce", {{"batch", "9"}}}, Program{"optimizers"},
                                         Program{"wgan", {{"batch", "3"}}}),
                         [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(Images, Zoo,
                         testing::Values(Program{"lenet", {{"batch", "2"}}},
                                         Program{"siamese", {{"batch", "2"}}},
                                         Program{"style", {{"size", "8"}}}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace nncc::test
