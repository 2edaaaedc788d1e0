// Networks over sequences learn; samplers that take one symbol a call say what the network says that they
// have the weights of.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "common/text.h"
#include "e2e/learning_curve.h"

namespace nncc::test {
namespace {

const example::Text& shakespeare() {
  static const example::Text text = example::read_text(source_path("examples/data/tinyshakespeare.txt"));
  return text;
}

struct Network {
  std::string program, sampler;
  std::map<std::string, std::string> constants, sampler_constants;
  std::string fit, model;
};
void PrintTo(const Network& n, std::ostream* out) { *out << n.program; }

class Sampler : public testing::TestWithParam<Network> {};

// With weights that are not those of the beginning: biases are zeros there.
TEST_P(Sampler, SaysTheSameAsTheNetwork) {
  const Network& network = GetParam();
  const nn::Library library = compile_and_open(zoo(network.program), network.constants);
  nn::Session session(library, {.seed = 3, .threads = 1});
  const auto fit = session.entry<1>(network.fit), model = session.entry<1>(network.model);
  const auto steps = static_cast<size_t>(fit.info().inputs[0].shape[1]);
  example::Windows windows(fit.info().inputs[0].shape[0], fit.info().inputs[0].shape[1]);
  std::mt19937 random(1);
  for (int step = 0; step < 30; ++step) {
    windows.draw(shakespeare().symbols, random);
    fit(windows.text, windows.next);
  }
  const std::string weights = temporary_path("weights.safetensors");
  session.save(weights);

  nn::Session one_by_one(
      compile_and_open(source_path("examples/" + network.sampler), network.sampler_constants));
  one_by_one.load_partial(weights);
  const auto next = one_by_one.entry<1>(network.model);
  const std::span<const float> expected = model(windows.text);
  const size_t vocabulary = shakespeare().alphabet.size();
  for (size_t sequence = 0; sequence < 2; ++sequence) {
    one_by_one.reset_memory();
    for (size_t t = 0; t < steps; ++t) {
      const size_t at = sequence * steps + t;
      const std::span<const float> logits = next(std::span<const int32_t>(&windows.text[at], 1));
      for (size_t k = 0; k < vocabulary; ++k)
        ASSERT_NEAR(logits[k], expected[at * vocabulary + k], 2e-4)
            << "sequence " << sequence << ", step " << t;
    }
  }
}

Network recurrent(const std::string& cell) {
  return {.program = "char_rnn",
          .sampler = "char_rnn/sampler.nn",
          .constants = {{"units", "32"}, {"batch", "4"}, {"steps", "20"}},
          .sampler_constants = {{"units", "32"}},
          .fit = "fit_" + cell,
          .model = cell + "_lm"};
}

INSTANTIATE_TEST_SUITE_P(
    Examples, Sampler,
    testing::Values(recurrent("rnn"), recurrent("gru"), recurrent("lstm"),
                    Network{.program = "gpt",
                            .sampler = "gpt/sampler.nn",
                            .constants = {{"layers", "2"}, {"width", "32"}, {"batch", "4"}, {"steps", "20"}},
                            .sampler_constants = {{"layers", "2"}, {"width", "32"}, {"steps", "20"}},
                            .fit = "fit",
                            .model = "gpt"}),
    [](const auto& info) { return info.param.model; });

// Rows go on where they ended: a memory that were lost, or mixed up, would cost what it is worth.
TEST(SequenceLearning, TruncatedBackPropagationRemembersThePieceBefore) {
  const nn::Library library = compile_and_open(zoo("stateful_rnn"), {{"steps", "8"}});
  auto trained = [&](bool forget) {
    nn::Session session(library, {.seed = 1});
    const auto fit = session.entry<1>("fit");
    const auto& symbols = shakespeare().symbols;
    const size_t batch = 32, steps = 8, row = symbols.size() / batch;
    std::vector<int32_t> text(batch * steps), next(batch * steps);
    Curve loss;
    for (size_t step = 0; step < 1000; ++step) {
      for (size_t i = 0; i < batch * steps; ++i) {
        const size_t at = i / steps * row + step * steps + i % steps;
        text[i] = symbols[at], next[i] = symbols[at + 1];
      }
      if (forget) session.reset_memory();
      loss.add(fit(text, next));
    }
    return loss;
  };
  const Curve remembering = trained(false), forgetting = trained(true);
  EXPECT_LT(remembering.end(), 2.0);
  EXPECT_LT(remembering.end(), forgetting.end() - 0.06);
}

// A made-up grammar: what a word is depends on its own kind and on that of the word before or after it.
struct Sentences {
  static constexpr size_t kBatch = 16, kSteps = 20;
  std::vector<int32_t> words = std::vector<int32_t>(kBatch * kSteps), tags = words;

  void draw(std::mt19937& random) {
    std::uniform_int_distribution<int32_t> word(1, 499), length(5, kSteps);
    for (size_t i = 0; i < kBatch; ++i) {
      const auto n = static_cast<size_t>(length(random));
      int32_t* const text = &words[i * kSteps];
      for (size_t t = 0; t < kSteps; ++t) text[t] = t < n ? word(random) : 0;
      for (size_t t = 0; t < kSteps; ++t) {
        const int32_t kind = text[t] % 3;
        const size_t other = kind == 0 ? t - 1 : t + 1;  // the one before the first is none
        tags[i * kSteps + t] = t >= n ? -1 : 3 * kind + (other < n ? text[other] % 3 : 0);
      }
    }
  }
};

TEST(SequenceLearning, TaggerReadsInBothDirections) {
  const nn::Library library = compile_and_open(zoo("tagger"));
  nn::Session session(library, {.seed = 1});
  const auto fit = session.entry<1>("fit"), tagger = session.entry<1>("tagger");
  Sentences sentences;
  std::mt19937 random(1);
  Curve loss;
  for (int step = 0; step < 800; ++step)
    sentences.draw(random), loss.add(fit(sentences.words, sentences.tags));
  int right = 0, all = 0;
  for (int i = 0; i < 20; ++i) {
    sentences.draw(random);
    const std::span<const float> logits = tagger(sentences.words);
    for (size_t k = 0; k < sentences.tags.size(); ++k) {
      if (sentences.tags[k] < 0) continue;
      const auto row = logits.subspan(9 * k, 9);
      right += std::max_element(row.begin(), row.end()) - row.begin() == sentences.tags[k];
      ++all;
    }
  }
  EXPECT_GT(static_cast<double>(right) / all, 0.95) << loss.end();
}

// Each word has neighbours of its own: the tree can learn which.
TEST(SequenceLearning, WordVectorsTellNeighbours) {
  const nn::Library library = compile_and_open(source_path("examples/word2vec/word2vec.nn"), {{"words", "64"}, {"depth", "6"}});
  nn::Session session(library, {.seed = 1});
  const auto fit = session.entry<1>("fit");
  std::vector<int32_t> word(128), context(128);
  std::mt19937 random(1);
  Curve loss;
  for (int step = 0; step < 2000; ++step) {
    for (size_t i = 0; i < word.size(); ++i) {
      word[i] = static_cast<int32_t>(random() % 64);
      context[i] = (word[i] / 8 * 8 + 8 + static_cast<int32_t>(random() % 8)) % 64;
    }
    loss.add(fit(word, context));
  }
  EXPECT_NEAR(loss.values.front(), std::log(64), 0.01);
  EXPECT_LT(loss.end(), std::log(8) + 0.05);  // which of the eight cannot be known
}

}  // namespace
}  // namespace nncc::test
