// Generators that were taught by adversaries draw digits: what they draw is nearer to real ones, and they
// draw more than one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "common/digits.h"
#include "e2e/learning_curve.h"

namespace nncc::test {
namespace {

using example::Digits;
using Images = std::vector<float>;
constexpr auto kPixels = static_cast<size_t>(Digits::kPixels);

double square_distance(const float* a, const float* b) {
  float sum = 0;
  for (size_t k = 0; k < kPixels; ++k) sum += (a[k] - b[k]) * (a[k] - b[k]);
  return sum / kPixels;
}

// The first digits are for comparison, the others are trained on. Pixels are in [-1, 1], as tanh draws them.
class Mnist {
 public:
  static constexpr int kCompared = 2000;

  Mnist() : digits_(example::read_digits(source_path("examples/data"))) {
    for (float& x : digits_.images) x = 2 * x - 1;
    order_.resize(static_cast<size_t>(digits_.size() - kCompared));
    std::iota(order_.begin(), order_.end(), kCompared);
  }
  void draw(Images& batch, std::mt19937& random) {
    const size_t count = batch.size() / kPixels;
    if (at_ == 0 || at_ + count > order_.size()) std::shuffle(order_.begin(), order_.end(), random), at_ = 0;
    digits_.copy_images(std::span(order_).subspan(at_, count), batch);
    at_ += count;
  }
  // Mean square of the difference of a pixel from that of the nearest digit, over all images.
  double distance(const Images& images) const {
    double sum = 0;
    for (size_t i = 0; i < images.size(); i += kPixels) {
      double nearest = std::numeric_limits<double>::infinity();
      for (size_t k = 0; k < kCompared * kPixels; k += kPixels)
        nearest = std::min(nearest, square_distance(&images[i], &digits_.images[k]));
      sum += nearest;
    }
    return sum / static_cast<double>(images.size() / kPixels);
  }
  // Every pixel by itself distributed as in the digits: mean and variance, cut off at black and white.
  Images noise(size_t count, std::mt19937& random) const {
    Images images(count * kPixels);
    for (size_t k = 0; k < kPixels; ++k) {
      double mean = 0, square = 0;
      for (size_t i = 0; i < kCompared; ++i) mean += digits_.images[i * kPixels + k] / double{kCompared};
      for (size_t i = 0; i < kCompared; ++i)
        square += std::pow(digits_.images[i * kPixels + k] - mean, 2) / kCompared;
      std::normal_distribution<double> pixel(mean, std::sqrt(square) + 1e-9);
      for (size_t i = k; i < images.size(); i += kPixels)
        images[i] = static_cast<float>(std::clamp(pixel(random), -1.0, 1.0));
    }
    return images;
  }
  Images real(size_t count) const {
    return {digits_.images.begin() + kCompared * Digits::kPixels,
            digits_.images.begin() + (kCompared + static_cast<std::ptrdiff_t>(count)) * Digits::kPixels};
  }

 private:
  Digits digits_;
  std::vector<int> order_;
  size_t at_ = 0;
};

// Mean square of the difference between neighbours. A generator that always draws the mean of all digits
// would be near to one, but has none.
double variety(const Images& images) {
  double sum = 0;
  const size_t count = images.size() / kPixels - 1;
  for (size_t i = 0; i < count; ++i)
    sum += square_distance(&images[i * kPixels], &images[(i + 1) * kPixels]) / static_cast<double>(count);
  return sum;
}

struct Plan {
  std::string program, adversary;
  int steps, adversary_steps;
  // Of the distance of noise and of the variety of real digits.
  double nearer, varied;
};

void PrintTo(const Plan& plan, std::ostream* out) { *out << plan.program; }

class Adversarial : public testing::TestWithParam<Plan> {};

TEST_P(Adversarial, DrawsDigits) {
  const Plan& plan = GetParam();
  const nn::Library library = compile_and_open(zoo(plan.program));
  nn::Session session(library, {.seed = 1});
  const auto adversary = session.entry<1>(plan.adversary), teach = session.entry<1>("generator_step"),
             generator = session.entry<1>("generator");
  Mnist mnist;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  const auto draw = [&] {
    std::vector<float> z(generator.info().inputs[0].bytes / sizeof(float));
    for (float& x : z) x = normal(random);
    const std::span<const float> images = generator(z);
    return Images(images.begin(), images.end());
  };
  const Images untrained = draw();
  Images batch(adversary.info().inputs[0].bytes / sizeof(float));
  for (int step = 0; step < plan.steps; ++step) {
    for (int i = 0; i < plan.adversary_steps; ++i) mnist.draw(batch, random), adversary(batch);
    teach();
  }
  const Images drawn = draw();
  const size_t count = drawn.size() / kPixels;
  const double distance = mnist.distance(drawn), of_noise = mnist.distance(mnist.noise(count, random)),
               of_untrained = mnist.distance(untrained), of_real = mnist.distance(mnist.real(count));
  std::cout << "from the nearest digit: " << distance << "; noise " << of_noise << ", untrained "
            << of_untrained << ", other digits " << of_real << "; variety " << variety(drawn) << " of "
            << variety(mnist.real(count)) << std::endl;
  EXPECT_LT(distance, plan.nearer * of_noise);
  EXPECT_LT(distance, 0.25 * of_untrained);
  EXPECT_GT(variety(drawn), plan.varied * variety(mnist.real(count)));
}

INSTANTIATE_TEST_SUITE_P(Long, Adversarial,
                         testing::Values(Plan{"gan", "discriminator_step", 10000, 1, 0.75, 0.75},
                                         Plan{"wgan", "critic_step", 6000, 5, 0.7, 0.35}),
                         [](const auto& info) { return info.param.program; });

}  // namespace
}  // namespace nncc::test
