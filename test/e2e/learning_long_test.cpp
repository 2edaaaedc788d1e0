// Training runs of minutes, to levels that are stated.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "common/text.h"
#include "common/weight_average.h"
#include "e2e/learning_curve.h"

namespace nncc::test {
namespace {

// The mean loss of the last tenth of a training on windows from anywhere in the text, in nats a character.
double loss_on_shakespeare(const std::string& program, const std::string& entry, int steps) {
  const example::Text text = example::read_text(source_path("examples/data/tinyshakespeare.txt"));
  const nn::Library library = compile_and_open(zoo(program));
  nn::Session session(library, {.seed = 1});
  const auto fit = session.entry<1>(entry);
  example::Windows windows(fit.info().inputs[0].shape[0], fit.info().inputs[0].shape[1]);
  std::mt19937 random(1);
  Curve loss;
  for (int step = 0; step < steps; ++step) {
    windows.draw(text.symbols, random);
    loss.add(fit(windows.text, windows.next));
  }
  testing::Test::RecordProperty("loss", std::to_string(loss.end()));
  return loss.end();
}

TEST(LongLearning, LstmWritesLikeShakespeare) {
  EXPECT_LT(loss_on_shakespeare("char_rnn", "fit_lstm", 2000), 1.60);
}

TEST(LongLearning, TransformerWritesLikeShakespeare) {
  EXPECT_LT(loss_on_shakespeare("gpt", "fit", 2000), 2.15);
}

TEST(LongLearning, EncoderAndDecoderWriteBackwards) {
  constexpr size_t kBatch = 64, kSteps = 12;
  constexpr int32_t kSymbols = 10, kWords = kSymbols + 1;
  const nn::Library library = compile_and_open(zoo("seq2seq"), {{"target_steps", "12"},
                                                                {"source_words", "10"},
                                                                {"target_words", "11"},
                                                                {"units", "256"},
                                                                {"batch", "64"}});
  nn::Session session(library, {.seed = 1}), averaged(library);
  const auto fit = session.entry<1>("fit"), encoder = averaged.entry<1>("encoder"),
             decoder = averaged.entry<1>("decoder");
  example::WeightAverage average(session, 0.995);
  std::vector<int32_t> source(kBatch * kSteps), given(source), expected(source);
  std::mt19937 random(1);
  auto draw = [&] {
    for (int32_t& s : source) s = static_cast<int32_t>(random() % kSymbols);
    for (size_t k = 0; k < source.size(); ++k)
      expected[k] = source[k / kSteps * kSteps + kSteps - 1 - k % kSteps];
    for (size_t k = 0; k < source.size(); ++k) given[k] = k % kSteps == 0 ? kSymbols : expected[k - 1];
  };
  for (int step = 0; step < 4000; ++step) draw(), fit(source, given, expected), average.add();
  average.copy_to(averaged);

  int right = 0, all = 0;
  for (int i = 0; i < 64; ++i) {
    draw();
    const std::span<const float> context = encoder(source);
    std::vector<int32_t> written(source.size(), kSymbols), answer(source.size());
    for (size_t t = 0; t < kSteps; ++t) {
      const std::span<const float> logits = decoder(context, written);
      for (size_t k = t; k < source.size(); k += kSteps) {
        const auto row = logits.subspan(k * kWords, kWords);
        answer[k] = static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
        if (t + 1 < kSteps) written[k + 1] = answer[k];
      }
    }
    for (size_t k = 0; k < source.size(); k += kSteps, ++all)
      right += std::equal(&answer[k], &answer[k] + kSteps, &expected[k]);
  }
  RecordProperty("right", right);
  EXPECT_GE(right, all * 995 / 1000) << "of " << all << " sequences";
}

}  // namespace
}  // namespace nncc::test
