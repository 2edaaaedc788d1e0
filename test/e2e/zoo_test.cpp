// Programs of the zoo that are small enough to be tested each time.
#include "e2e/image_networks.h"

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

INSTANTIATE_TEST_SUITE_P(
    Sequences, Zoo,
    testing::Values(Program{"char_rnn", {{"batch", "3"}, {"steps", "5"}, {"units", "7"}}},
                    Program{"stateful_rnn", {{"batch", "3"}, {"steps", "5"}, {"units", "7"}}},
                    Program{"seq2seq",
                            {{"batch", "3"}, {"source_steps", "4"}, {"target_steps", "3"}, {"units", "9"}}},
                    Program{"tagger", {{"batch", "3"}, {"steps", "4"}, {"words", "11"}}},
                    Program{"gpt", {{"batch", "2"}, {"steps", "10"}, {"width", "16"}, {"layers", "2"}}},
                    Program{"word2vec", {{"batch", "5"}, {"words", "16"}, {"depth", "5"}, {"width", "12"}}}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(Small, ImageNetworks,
                         testing::Values(Program{"lenet", {{"batch", "8"}}},
                                         Program{"siamese", {{"batch", "4"}}},
                                         Program{"style", {{"size", "16"}}},
                                         Program{"detector", {{"size", "32"}, {"grid", "4"}}},
                                         Program{"segmentation", {{"size", "32"}, {"batch", "2"}}},
                                         Program{"gan", {{"batch", "8"}}}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace nncc::test
