// Decoding a token a call, with keys and values kept in memories, gives the logits of the whole model.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "e2e/compiled_program.h"

namespace nncc::test {
namespace {

constexpr int kBatch = 2, kSteps = 6, kVocabulary = 11;

class Decoding : public ::testing::Test {
 protected:
  Decoding() {
    for (int b = 0; b < kBatch; ++b)
      for (int t = 0; t < kSteps; ++t) text_.push_back((b * 5 + t * t * 3) % kVocabulary);
    // Trained a little, so that attention is not even.
    for (int step = 0; step < 20; ++step) session_.entry<1>("fit")(text_, text_);
    const std::string from = "gpt.";
    for (const nn_variable_info& variable : library_.variables()) {
      const std::string name = variable.tensor.name;
      if (variable.kind == NN_PARAMETER && name.starts_with(from))
        session_.set("decode." + name.substr(from.size()), session_.get(name));
    }
  }

  // All logits, [batch, steps, vocabulary].
  std::vector<float> decoded() {
    std::vector<float> logits(kBatch * kSteps * kVocabulary);
    for (int t = 0; t < kSteps; ++t) {
      const std::vector<float> row = next({text_[t], text_[kSteps + t]});
      for (size_t i = 0; i < row.size(); ++i)
        logits[(i / kVocabulary * kSteps + t) * kVocabulary + i % kVocabulary] = row[i];
    }
    return logits;
  }
  std::vector<float> next(std::vector<int32_t> tokens) {
    const std::span<const float> row = session_.entry<1>("decode")(tokens);
    return {row.begin(), row.end()};
  }

  std::vector<int32_t> text_;
  nn::Library library_ = compile_and_open(source_path("test/e2e/Inputs/decode.nn"));
  nn::Session session_{library_, {.seed = 3, .threads = 2}};
};

TEST_F(Decoding, GivesTheLogitsOfTheWholeModel) {
  const std::span<const float> whole = session_.entry<1>("gpt")(text_);
  const std::vector<float> expected(whole.begin(), whole.end());
  const std::vector<float> found = decoded();
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(found[i], expected[i], 1e-4) << i;
  session_.reset_memory();
  EXPECT_EQ(decoded(), found);
}

TEST_F(Decoding, EndsWhereThereIsNoRoom) {
  decoded();
  const std::string before = checkpoint_bytes(session_);
  try {
    next({1, 2});
    ADD_FAILURE() << "no error";
  } catch (const nn::Error& error) {
    EXPECT_NE(std::string(error.what()).find("decode: t is 6, and only 0 to 5 can be looked up"),
              std::string::npos)
        << error.what();
  }
  EXPECT_TRUE(checkpoint_bytes(session_) == before) << "something has changed";
}

}  // namespace
}  // namespace nncc::test
