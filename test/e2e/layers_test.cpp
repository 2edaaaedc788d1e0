// Layers in single precision, compiled: what the evaluator, which computes in double precision, cannot show.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "e2e/compiled_program.h"

namespace nncc::test {
namespace {

// Values of mean 10000 and variance 1 have three digits behind the point; the normalized ones keep them.
TEST(Layers, BatchNormOfValuesFarFromZero) {
  constexpr int kSamples = 16, kChannels = 3, kArea = 12 * 12;
  constexpr double kCount = kSamples * kArea;
  const nn::Library library = compile_and_open(
      write_temporary("far.nn",
                      "model norm(x: f32[16, 3, 12, 12]) -> f32[16, 3, 12, 12] { return batch_norm(x) }\n"
                      "train step(x: f32[16, 3, 12, 12]) -> f32[16, 3, 12, 12] { return norm(x) }\n"));
  nn::Session session(library, {.threads = 2});
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  std::vector<float> x(kSamples * kChannels * kArea);
  double sum[kChannels] = {}, squares[kChannels] = {};
  const auto channel = [](size_t i) { return i / kArea % kChannels; };
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = 10000 + normal(generator);
    sum[channel(i)] += x[i];
  }
  for (size_t i = 0; i < x.size(); ++i) squares[channel(i)] += std::pow(x[i] - sum[channel(i)] / kCount, 2);
  const std::span<const float> y = session.entry<1>("step")(x);
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = channel(i);
    ASSERT_NEAR(y[i], (x[i] - sum[c] / kCount) / std::sqrt(squares[c] / kCount + 1e-5), 1e-4) << i;
  }
  for (size_t c = 0; c < kChannels; ++c) {
    EXPECT_NEAR(session.variable("norm.batch_norm.mean")[c], 0.1 * sum[c] / kCount, 1e-3);
    EXPECT_NEAR(session.variable("norm.batch_norm.variance")[c], 0.9 + 0.1 * squares[c] / (kCount - 1), 1e-4);
  }
}

}  // namespace
}  // namespace nncc::test
