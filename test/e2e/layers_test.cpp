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

// The same of what a convolution gives, whose kernel gathers the sums: directly and by Winograd's algorithm.
TEST(Layers, BatchNormOfConvolutionsFarFromZero) {
  constexpr size_t kSamples = 8, kChannels = 16, kArea = 64 * 64;
  constexpr double kCount = kSamples * kArea;
  for (const char* kernel : {"1", "3, padding = 1"}) {
    const nn::Library library = compile_and_open(write_temporary(
        "far.nn",
        "model norm(y: f32[8, 16, 64, 64]) -> f32[8, 16, 64, 64] { return batch_norm(y) }\n"
        "model features(x: f32[8, 16, 64, 64]) -> f32[8, 16, 64, 64] { return conv2d(x, 16, kernel = " +
            std::string(kernel) +
            ") }\n"
            "train step(x: f32[8, 16, 64, 64]) -> (y: f32[8, 16, 64, 64], z: f32[8, 16, 64, 64]) {\n"
            "  y = features(x)\n"
            "  return y, norm(y)\n"
            "}\n"));
    std::vector<float> first;
    for (const int threads : {1, 2}) {
      nn::Session session(library, {.threads = threads});
      session.set("features.conv2d.bias", std::vector<float>(kChannels, 10000));
      std::mt19937 generator(1);
      std::normal_distribution<float> normal;
      std::vector<float> x(kSamples * kChannels * kArea);
      for (float& value : x) value = normal(generator);
      const auto [of_y, of_z] = session.entry<2>("step")(x);
      const std::span<const float> y = of_y, z = of_z;
      if (first.empty()) first.assign(z.begin(), z.end());
      double sum[kChannels] = {}, squares[kChannels] = {};
      const auto channel = [](size_t i) { return i / kArea % kChannels; };
      for (size_t i = 0; i < y.size(); ++i) sum[channel(i)] += y[i];
      for (size_t i = 0; i < y.size(); ++i)
        squares[channel(i)] += std::pow(y[i] - sum[channel(i)] / kCount, 2);
      for (size_t i = 0; i < y.size(); ++i) {
        const size_t c = channel(i);
        ASSERT_NEAR(z[i], (y[i] - sum[c] / kCount) / std::sqrt(squares[c] / kCount + 1e-5), 1e-3) << i;
        ASSERT_EQ(z[i], first[i]) << i;
      }
    }
  }
}

}  // namespace
}  // namespace nncc::test
