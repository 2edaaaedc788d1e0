// The optimizers, schedules, initializers and metrics of the standard library against their definitions.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "traced_program.h"

namespace nncc {
namespace {

using Values = TracedProgram::Values;
constexpr double kInf = std::numeric_limits<double>::infinity();

// ---------------------------------------------------------------------------------------------- optimizers

// One parameter of two elements whose gradient is what the host passes.
class Rule {
 public:
  explicit Rule(const std::string& stages)
      : program_(
            "model m() -> f32[2] {\n  param w: f32[2] = constant(1)\n  return w\n}\n"
            "hyper rate: f32 = 0.5\n"
            "train t(g: f32[2]) -> f32 {\n  loss = sum(m() * g)\n  minimize loss with " +
            stages + "\n  return loss\n}\n") {}
  Values step(const Values& g) {
    program_.run("t", {g});
    return program_.variable("m.w");
  }

 private:
  TracedProgram program_;
};

// The parameter after each of a few steps with these gradients must be what `reference` makes of them:
// it is given w, g and t (from 1), and keeps its own state.
void check_rule(const std::string& stages, const std::function<double(double, double, double)>& reference) {
  SCOPED_TRACE(stages);
  Rule rule(stages);
  double w = 1;
  const double gradients[] = {0.5, -2, 3, 0, 1e-3, -0.7, 4, 0.1};
  for (size_t t = 0; t < std::size(gradients); ++t) {
    w = reference(w, gradients[t], static_cast<double>(t + 1));
    expect_near(rule.step({gradients[t], gradients[t]}), {w, w});
  }
}

TEST(Optimizers, FollowTheirRules) {
  check_rule("sgd", [](double w, double g, double) { return w - 0.01 * g; });
  check_rule("sgd(rate)", [](double w, double g, double) { return w - 0.5 * g; });
  check_rule("momentum(lr = 0.1, beta = 0.8)",
             [v = 0.0](double w, double g, double) mutable { return w - 0.1 * (v = 0.8 * v + g); });
  check_rule("nesterov(lr = 0.1, beta = 0.8)", [v = 0.0](double w, double g, double) mutable {
    v = 0.8 * v + g;
    return w - 0.1 * (g + 0.8 * v);
  });
  check_rule("adagrad(0.1)", [s = 0.0](double w, double g, double) mutable {
    s += g * g;
    return w - 0.1 * g / (std::sqrt(s) + 1e-10);
  });
  check_rule("rmsprop(lr = 0.1)", [s = 0.0](double w, double g, double) mutable {
    s = 0.9 * s + 0.1 * g * g;
    return w - 0.1 * g / (std::sqrt(s) + 1e-8);
  });
  check_rule("rmsprop_nesterov(lr = 0.1, beta = 0.5)",
             [s = 0.0, v = 0.0](double w, double g, double) mutable {
               s = 0.9 * s + 0.1 * g * g;
               const double u = g / (std::sqrt(s) + 1e-8);
               v = 0.5 * v + u;
               return w - 0.1 * (u + 0.5 * v);
             });
  check_rule("adadelta", [s = 0.0, u = 0.0](double w, double g, double) mutable {
    s = 0.95 * s + 0.05 * g * g;
    const double d = std::sqrt(u + 1e-6) / std::sqrt(s + 1e-6) * g;
    u = 0.95 * u + 0.05 * d * d;
    return w - d;
  });
  const auto adam = [](double lr, double decay) {
    return [=, m = 0.0, v = 0.0](double w, double g, double t) mutable {
      w -= lr * decay * w;
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
      return w - lr * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
    };
  };
  check_rule("adam(lr = 0.1)", adam(0.1, 0));
  check_rule("adamw(lr = 0.1)", adam(0.1, 0.01));
  check_rule("adamax", [m = 0.0, u = 0.0](double w, double g, double t) mutable {
    m = 0.9 * m + 0.1 * g;
    u = std::max(0.999 * u, std::fabs(g) + 1e-8);
    return w - 0.002 / (1 - std::pow(0.9, t)) * m / u;
  });
  check_rule("nadam", [m = 0.0, v = 0.0](double w, double g, double t) mutable {
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    return w - 0.002 * (0.9 * m / (1 - std::pow(0.9, t + 1)) + 0.1 * g / (1 - std::pow(0.9, t))) /
                   (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
  });
}

TEST(Optimizers, Stages) {
  check_rule("clip_value(0.6) |> sgd(1)",
             [](double w, double g, double) { return w - std::min(std::max(g, -0.6), 0.6); });
  check_rule("clip_norm(1) |> sgd(1)", [](double w, double g, double) {
    return w - g * std::min(1.0, 1 / (std::sqrt(2 * g * g) + 1e-6));
  });
  check_rule("l1_decay(0.5) |> sgd(1)",
             [](double w, double g, double) { return w - (g + 0.5 * ((w > 0) - (w < 0))); });
  check_rule("l2_decay(0.5) |> sgd(1)", [](double w, double g, double) { return w - (g + 0.5 * w); });
  check_rule("sgd(1) |> clamp_weights(0.7)",
             [](double w, double g, double) { return std::min(std::max(w - g, -0.7), 0.7); });
}

TEST(Schedules, FollowTheirFormulas) {
  const double pi = std::acos(-1.0);
  const std::pair<const char*, std::function<double(double)>> schedules[] = {
      {"step_decay(0.5, factor = 0.1, steps = 3)",
       [](double s) { return 0.5 * std::pow(0.1, std::floor(s / 3)); }},
      {"step_decay(0.5, steps = 2)", [](double s) { return 0.5 * std::pow(0.1, std::floor(s / 2)); }},
      {"exponential_decay(0.5, 0.9)", [](double s) { return 0.5 * std::pow(0.9, s); }},
      {"exponential_decay(rate, rate = 0.9, steps = 4)", [](double s) { return 0.5 * std::pow(0.9, s / 4); }},
      {"inverse_time_decay(0.5, 0.2, steps = 2)", [](double s) { return 0.5 / (1 + 0.2 * s / 2); }},
      {"polynomial_decay(0.5, 5, end = 0.1, power = 2)",
       [](double s) { return 0.1 + 0.4 * std::pow(1 - std::min(s, 5.0) / 5, 2); }},
      {"polynomial_decay(0.5, 5)", [](double s) { return 0.5 * (1 - std::min(s, 5.0) / 5); }},
      {"cosine_decay(0.5, steps = 5, end = 0.1)",
       [=](double s) { return 0.1 + 0.4 * (1 + std::cos(pi * std::min(s, 5.0) / 5)) / 2; }},
      {"warmup(0.5, 4)", [](double s) { return 0.5 * std::min(1.0, (s + 1) / 4); }},
      {"one_cycle(0.5, 7)",
       [=](double s) {
         const auto e = [=](double a, double b, double t) {
           return a + (b - a) * (1 - std::cos(pi * t)) / 2;
         };
         const double u = 2;  // floor(0.3 * 7)
         return s < u ? e(0.5 / 25, 0.5, s / u) : e(0.5, 0.5 / 250000, std::min(1.0, (s - u) / (7 - u)));
       }},
  };
  for (const auto& [call, formula] : schedules)
    check_rule("sgd(" + std::string(call) + ")",
               [f = formula](double w, double g, double t) { return w - f(t - 1) * g; });
}

TEST(Schedules, BeginAndEndWhereTheySay) {
  struct Row {
    const char* call;
    int steps;  // the rate of step 1, of the last step before the end, and from the end on
    double first, before, end;
  };
  const double pi = std::acos(-1.0);
  const Row rows[] = {
      {"cosine_decay(0.5, steps = 5, end = 0.1)", 5, 0.5, 0.1 + 0.2 * (1 + std::cos(0.8 * pi)), 0.1},
      {"cosine_decay(0.5, steps = 1)", 1, 0.5, 0.5, 0},
      {"polynomial_decay(0.5, 5, end = 0.02, power = 0.5)", 5, 0.5, 0.02 + 0.48 * std::sqrt(0.2), 0.02},
      {"polynomial_decay(0.1, 4, end = 0.3)", 4, 0.1, 0.25, 0.3},
      {"warmup(0.5, 4)", 3, 0.125, 0.375, 0.5},
      {"warmup(0.5, 1)", 1, 0.5, 0.5, 0.5},
      {"one_cycle(0.5, 10)", 10, 0.02, 2e-6 + (0.5 - 2e-6) * (1 + std::cos(6 * pi / 7)) / 2, 2e-6},
      {"one_cycle(0.5, 1)", 1, 0.5, 0.5, 2e-6},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.call);
    Rule rule("sgd(" + std::string(row.call) + ")");
    double w = 1;
    for (int t = 1; t <= 25; ++t) {
      const double after = rule.step({1, 1})[0], rate = w - after;
      w = after;
      if (t != 1 && t < row.steps) continue;
      const double expected = t == 1 ? row.first : t == row.steps ? row.before : row.end;
      EXPECT_NEAR(rate, expected, 1e-12) << "in step " << t;
    }
  }
}

// ---------------------------------------------------------------------------------------------- initializers

struct Moments {
  double mean = 0, variance = 0, low = kInf, high = -kInf;
};
Moments moments(const Values& values) {
  Moments m;
  for (double v : values) {
    m.mean += v / static_cast<double>(values.size());
    m.low = std::min(m.low, v);
    m.high = std::max(m.high, v);
  }
  for (double v : values) m.variance += (v - m.mean) * (v - m.mean) / static_cast<double>(values.size());
  return m;
}

TEST(Initializers, HaveTheirMoments) {
  struct Row {
    const char* type;
    const char* initializer;
    double mean, variance, bound;
  };
  const double truncated =
      0.77374130;  // the variance of a normal distribution within two standard deviations
  const Row rows[] = {
      {"100, 300", "zeros()", 0, 0, 0},
      {"100, 300", "ones()", 1, 0, 1},
      {"100, 300", "constant(2.5)", 2.5, 0, 2.5},
      {"100, 300", "uniform()", 0.5, 1.0 / 12, 1},
      {"100, 300", "uniform(-2, 4)", 1, 3, 4},
      {"100, 300", "normal()", 0, 1, 7},
      {"100, 300", "normal(3, std = 0.5)", 3, 0.25, 7},
      {"100, 300", "truncated_normal()", 0, truncated, 2},
      {"100, 300", "truncated_normal(1, 0.1)", 1, 0.01 * truncated, 1.2},
      {"100, 300", "glorot_uniform()", 0, 2.0 / 400, std::sqrt(6.0 / 400)},
      {"100, 300", "glorot_normal()", 0, 2.0 / 400, 1},
      {"100, 300", "he_uniform()", 0, 2.0 / 100, std::sqrt(6.0 / 100)},
      {"100, 300", "he_normal()", 0, 2.0 / 100, 1},
      {"100, 300", "lecun_normal()", 0, 1.0 / 100, 1},
      {"40, 30, 5, 5", "he_normal()", 0, 2.0 / (30 * 25), 1},
      {"40, 30, 5, 5", "glorot_uniform()", 0, 2.0 / (70 * 25), std::sqrt(6.0 / (70 * 25))},
      {"100, 300", "bernoulli(0.3)", 0.3, 0.21, 1},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.initializer);
    TracedProgram program("model m() {\n  param w: f32[" + std::string(row.type) + "] = " + row.initializer +
                          "\n  return w\n}\n");
    const Moments m = moments(program.variable("m.w"));
    const double error = 5 * std::sqrt(row.variance / 30000);
    EXPECT_NEAR(m.mean, row.mean, error + 1e-9);
    EXPECT_NEAR(m.variance, row.variance, 0.05 * row.variance + 1e-12);
    EXPECT_LE(std::max(std::fabs(m.low), std::fabs(m.high)), row.bound + 1e-12);
    if (row.variance > 0) {
      const Values first = program.variable("m.w");
      program.initialize(2);
      EXPECT_NE(program.variable("m.w"), first);
      program.initialize(1);
      EXPECT_EQ(program.variable("m.w"), first);
    }
  }
}

// The largest distance between the share of numbers below x and what the distribution says of it.
double distance(Values values, const std::function<double(double)>& distribution) {
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double most = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double wanted = distribution(values[i]), at = static_cast<double>(i);
    most = std::max({most, wanted - at / n, (at + 1) / n - wanted});
  }
  return most;
}

TEST(Initializers, HaveTheirDistributions) {
  const auto normal = [](double x) { return (1 + std::erf(x / std::sqrt(2.0))) / 2; };
  const auto truncated = [](double x) {
    return (1 + std::erf(x / std::sqrt(2.0)) / std::erf(std::sqrt(2.0))) / 2;
  };
  const std::pair<const char*, std::function<double(double)>> rows[] = {
      {"uniform(-2, 4)", [](double x) { return (x + 2) / 6; }},
      {"normal(3, std = 0.5)", [&](double x) { return normal((x - 3) / 0.5); }},
      {"truncated_normal()", truncated},
      {"truncated_normal(1, 0.1)", [&](double x) { return truncated((x - 1) / 0.1); }},
      {"glorot_uniform()", [](double x) { return (x / std::sqrt(6.0 / 400) + 1) / 2; }},
      {"he_normal()", [&](double x) { return normal(x / std::sqrt(2.0 / 100)); }},
  };
  for (const auto& [initializer, distribution] : rows) {
    SCOPED_TRACE(initializer);
    TracedProgram program("model m() {\n  param w: f32[100, 300] = " + std::string(initializer) +
                          "\n  return w\n}\n");
    // Kolmogorov and Smirnov: one sample of a thousand lies farther.
    EXPECT_LT(distance(program.variable("m.w"), distribution), 1.95 / std::sqrt(30000.0));
  }
}

double correlation(const Values& x, const Values& y) {
  const Moments a = moments(x), b = moments(y);
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += (x[i] - a.mean) * (y[i] - b.mean);
  return sum / static_cast<double>(x.size()) / std::sqrt(a.variance * b.variance);
}

TEST(Initializers, DrawNothingTwice) {
  TracedProgram program(
      "model m() {\n  param v: f32[20000] = normal()\n  param w: f32[20000] = normal()\n  return v, w\n}\n"
      "train t() { return normal([20000]), normal([20000]) }\n");
  const Values v = program.variable("m.v"), w = program.variable("m.w");
  const std::vector<Values> first = program.run("t"), second = program.run("t");
  std::vector<std::pair<Values, Values>> pairs = {
      {v, w}, {first[0], first[1]}, {first[0], second[0]}, {first[0], second[1]}, {v, first[0]}};
  for (const int64_t apart : {1, 2, 4, 8, 100})
    pairs.push_back({Values(v.begin(), v.end() - apart), Values(v.begin() + apart, v.end())});
  program.initialize(2);
  pairs.push_back({v, program.variable("m.v")});
  pairs.push_back({first[0], program.run("t")[0]});
  for (size_t i = 0; i < pairs.size(); ++i)
    EXPECT_LT(std::fabs(correlation(pairs[i].first, pairs[i].second)), 4 / std::sqrt(20000.0)) << i;
}

TEST(Initializers, OrthogonalIsOrthogonal) {
  const std::pair<int, int> shapes[] = {{64, 64}, {100, 30}, {30, 100}, {1, 7}, {2, 2}};
  for (const auto& [rows, columns] : shapes) {
    SCOPED_TRACE(std::to_string(rows) + "x" + std::to_string(columns));
    TracedProgram program("model m() {\n  param w: f32[" + std::to_string(rows) + ", " +
                          std::to_string(columns) + "] = orthogonal(gain = 2)\n  return w\n}\n");
    const Values w = program.variable("m.w");
    const int n = std::min(rows, columns), m = std::max(rows, columns);
    double error = 0;
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j) {
        double product = 0;
        for (int k = 0; k < m; ++k)
          product += rows <= columns ? w[i * columns + k] * w[j * columns + k]
                                     : w[k * columns + i] * w[k * columns + j];
        error = std::max(error, std::fabs(product - (i == j ? 4 : 0)));
      }
    EXPECT_LT(error, 1e-5);
  }
}

// ---------------------------------------------------------------------------------------------- metrics

TEST(Metrics, CountWhatTheySay) {
  TracedProgram program(
      "model a(s: f32[3, 3], y: i32[3]) { return accuracy(s, y), top_k_accuracy(s, y, k = 2), "
      "top_k_accuracy(s, y, 1) }\n"
      "model b(p: i32[6], y: i32[6]) { return precision(p, y), recall(p, y), f1(p, y), precision(p, y, "
      "positive = 2) }\n"
      "model c(p: f32[4], y: f32[4]) { return precision(p, y), recall(p > 0.5, y > 0.5) }\n"
      "model d(p: i32[6], y: i32[6]) { return mean_iou(p, y, 4) }\n");
  const auto a = program.run("a", {{1, 2, 3, 5, 4, 5, 0, 0, 0}, {1, 2, 0}});
  expect_near(a[0], {1.0 / 3});
  expect_near(a[1], {1});
  expect_near(a[2], a[0]);
  const auto b = program.run("b", {{1, 1, 1, 0, 0, 0}, {1, 0, 0, 1, 0, 0}});
  expect_near(b[0], {1.0 / 3});
  expect_near(b[1], {1.0 / 2});
  expect_near(b[2], {2 * (1.0 / 6) / (5.0 / 6)});
  expect_near(b[3], {0});
  const auto c = program.run("c", {{0.9, 0.8, 0.1, 0.2}, {1, 0, 1, 0}});
  expect_near(c[0], {0.5});
  expect_near(c[1], {0.5});
  // Class 0: 2 of 3, class 1: 1 of 3, class 2: 1 of 2; class 3 does not occur.
  expect_near(program.run("d", {{0, 0, 0, 1, 1, 2}, {0, 0, 1, 1, 2, 2}})[0],
              {(2.0 / 3 + 1.0 / 3 + 1.0 / 2) / 3});
}

}  // namespace
}  // namespace nncc
