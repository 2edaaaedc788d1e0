// Derivatives by differences of functions that are smooth, bent, broken at 0, or broken all over.
#include "tools/nnrun/difference.h"

#include <gtest/gtest.h>

#include <cmath>

namespace nncc::test {
namespace {

constexpr double kTolerance = 1e-6;

Difference differentiate(const std::function<double(double)>& f) {
  return Differentiator(kTolerance)(f, f(0), 0);
}

void expect_sharp(const Difference& d, double derivative) {
  EXPECT_LE(d.uncertainty(), kTolerance * std::abs(derivative));
  EXPECT_LE(d.distance(derivative), kTolerance * std::abs(derivative));
  EXPECT_GT(d.distance(derivative * (1 + 1e-5)), 0.9e-5 * std::abs(derivative));
  EXPECT_GT(d.distance(derivative * (1 - 1e-5)), 0.9e-5 * std::abs(derivative));
}

double relu(double x) { return std::max(x, 0.0); }

TEST(Differentiator, IsSharpWhereFunctionsAreSmooth) {
  expect_sharp(differentiate([](double x) { return 3 * x + 1; }), 3);
  expect_sharp(differentiate([](double x) { return std::sin(x + 1); }), std::cos(1));
  expect_sharp(differentiate([](double x) { return std::exp(40 * x); }), 40);
  expect_sharp(differentiate([](double x) { return 1 + std::sin(1e-3 * x); }), 1e-3);
}

// At any distance: from far beyond the steps to nearer than the shortest.
TEST(Differentiator, StepsBetweenKinks) {
  for (double distance = 1; distance > 1e-5; distance /= 3)
    for (const double sign : {-1.0, 1.0}) {
      SCOPED_TRACE(sign * distance);
      expect_sharp(differentiate([=](double x) { return std::cos(x + 1) + relu(x - sign * distance); }),
                   -std::sin(1) + (sign < 0 ? 1 : 0));
    }
}

TEST(Differentiator, TakesTheSideThatHasNoKink) {
  // Nearer on one side than rounding lets steps be short.
  expect_sharp(differentiate([](double x) { return 1 + x + relu(x - 1e-8) - relu(x); }), 1);
  expect_sharp(differentiate([](double x) {
                 double y = std::sin(x);
                 for (double k = 1e-1; k > 1e-10; k /= 2) y += k * relu(-x - k);
                 return y;
               }),
               1);
}

TEST(Differentiator, HasTwoDerivativesAtAKink) {
  const Difference d = differentiate([](double x) { return 2 * relu(x) - relu(-x); });
  EXPECT_NEAR(d.low, 1, 1e-6);
  EXPECT_NEAR(d.high, 2, 1e-6);
  EXPECT_LE(d.uncertainty(), kTolerance);
  EXPECT_EQ(d.distance(1.5), 0);
  EXPECT_NEAR(d.distance(2.5), 0.5, 1e-6);
  EXPECT_NEAR(d.distance(0), 1, 1e-6);
}

// Kinks at every scale on both sides: what the steps see must be doubted by as much as they are wrong.
TEST(Differentiator, DoubtsWhatCrossesKinks) {
  for (double share = 1; share > 1e-4; share /= 2) {
    const auto f = [share](double x) {
      double y = x;
      for (double k = 1; k > 1e-12; k /= 1.7) y += share * (relu(x - k) + 0.6 * relu(-x - 0.8 * k));
      return y;
    };
    const Difference d = differentiate(f);
    EXPECT_LE(d.distance(1), d.uncertainty());
    EXPECT_GT(d.uncertainty(), kTolerance);
  }
}

TEST(Differentiator, SaysWhatRoundingMayBe) {
  const Difference d = differentiate([](double x) { return 1e6 + 1e-9 * x; });
  EXPECT_LE(d.distance(1e-9), d.uncertainty());
  EXPECT_GT(d.uncertainty(), 1e-9);
}

TEST(Differentiator, HasNoOpinionWhereNothingIsFinite) {
  const Difference d = differentiate([](double x) { return x == 0 ? 1 : std::nan(""); });
  EXPECT_TRUE(std::isinf(d.uncertainty()));
  EXPECT_TRUE(std::isnan(d.distance(std::nan(""))));
}

}  // namespace
}  // namespace nncc::test
