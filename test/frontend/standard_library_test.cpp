// The activations, layers and losses of the standard library against their definitions.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "traced_program.h"

namespace nncc {
namespace {

using Values = TracedProgram::Values;
constexpr double kInf = std::numeric_limits<double>::infinity();
const double kNaN = std::numeric_limits<double>::quiet_NaN();

// `loss` is a scalar made of x: f32[shape] and of parameters; its gradient must be that of central
// differences at `at`.
void check_gradient(const std::string& shape, const std::string& loss, const Values& at,
                    double tolerance = 1e-7) {
  SCOPED_TRACE(loss);
  TracedProgram program("model loss(x: f32[" + shape + "]) -> f32 { return " + loss + " }\n" +
                        "model gradient(x: f32[" + shape + "]) { return grad(loss(x), x) }\n");
  const Values gradient = program.run("gradient", {at})[0];
  ASSERT_EQ(gradient.size(), at.size());
  for (size_t i = 0; i < at.size(); ++i) {
    const double h = 1e-5 * std::max(1.0, std::fabs(at[i]));
    Values low = at, high = at;
    low[i] -= h;
    high[i] += h;
    const double expected = (program.run("loss", {high})[0][0] - program.run("loss", {low})[0][0]) / (2 * h);
    EXPECT_NEAR(gradient[i], expected, tolerance * std::max(1.0, std::fabs(expected))) << "element " << i;
  }
}

// ---------------------------------------------------------------------------------------------- activations

double sigmoid(double x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }

struct Activation {
  const char* call;
  std::function<double(double)> value;
  double slope_at_zero;
};
void PrintTo(const Activation& a, std::ostream* out) { *out << a.call; }

class Activations : public ::testing::TestWithParam<Activation> {};

TEST_P(Activations, ValuesAndGradients) {
  const Activation& a = GetParam();
  const Values points = {-200, -30, -6.5, -2.9, -1.1, -0.3, 0, 1e-3, 0.4, 0.9, 2.9, 5.5, 6.5, 30, 200};
  const std::string n = std::to_string(points.size());
  TracedProgram program("model f(x: f32[" + n + "]) { return " + a.call + " }\n" + "model g(x: f32[" + n +
                        "]) { return grad(sum(" + a.call + "), x) }\n" + "model nan(x: f32[1]) { return " +
                        a.call + " }\n");
  Values expected, slopes;
  for (double x : points) {
    expected.push_back(a.value(x));
    const double h = 1e-6 * std::max(1.0, std::fabs(x));
    slopes.push_back(x == 0 ? a.slope_at_zero : (a.value(x + h) - a.value(x - h)) / (2 * h));
  }
  expect_near(program.run("f", {points})[0], expected);
  expect_near(program.run("g", {points})[0], slopes, 1e-7);
  EXPECT_TRUE(std::isnan(program.run("nan", {{kNaN}})[0][0]));
}

INSTANTIATE_TEST_SUITE_P(
    Library, Activations,
    ::testing::Values(
        Activation{"relu(x)", [](double x) { return std::max(x, 0.0); }, 0},
        Activation{"relu6(x)", [](double x) { return std::min(std::max(x, 0.0), 6.0); }, 0},
        Activation{"leaky_relu(x)", [](double x) { return x > 0 ? x : 0.01 * x; }, 0.01},
        Activation{"leaky_relu(x, a = 0.2)", [](double x) { return x > 0 ? x : 0.2 * x; }, 0.2},
        Activation{"elu(x)", [](double x) { return x > 0 ? x : std::expm1(x); }, 1},
        Activation{"elu(x, 2)", [](double x) { return x > 0 ? x : 2 * std::expm1(x); }, 2},
        Activation{"selu(x)",
                   [](double x) {
                     return 1.0507009873554804934 * (x > 0 ? x : 1.6732632423543772848 * std::expm1(x));
                   },
                   1.0507009873554804934 * 1.6732632423543772848},
        Activation{"gelu(x)", [](double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }, 0.5},
        Activation{"gelu(x, approximate = true)",
                   [](double x) {
                     return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
                   },
                   0.5},
        Activation{"silu(x)", [](double x) { return x * sigmoid(x); }, 0.5},
        Activation{"mish(x)", [](double x) { return x * std::tanh(softplus(x)); }, 0.6},
        Activation{"softplus(x)", softplus, 0.5},
        Activation{"softsign(x)", [](double x) { return x / (1 + std::fabs(x)); }, 1},
        Activation{"hard_tanh(x)", [](double x) { return std::min(std::max(x, -1.0), 1.0); }, 1},
        Activation{"hard_sigmoid(x)", [](double x) { return std::min(std::max(x + 3, 0.0), 6.0) / 6; },
                   1.0 / 6},
        Activation{"hard_swish(x)", [](double x) { return x * std::min(std::max(x + 3, 0.0), 6.0) / 6; },
                   0.5},
        Activation{"sigmoid(x)", sigmoid, 0.25},
        Activation{"tanh(x)", [](double x) { return std::tanh(x); }, 1}));

TEST(Softmax, IsStableAndTakesMasks) {
  TracedProgram program(
      "model p(x: f32[3, 3]) { return softmax(x) }\n"
      "model l(x: f32[3, 3]) { return log_softmax(x) }\n"
      "model c(x: f32[3, 3]) { return softmax(x, axis = 0) }\n"
      "model g(x: f32[3, 3]) { return grad(sum(softmax(x)[:, 0]), x) }\n"
      "model h(x: f32[3, 3]) { return grad(sum(log_softmax(x)[:, 0]), x) }\n");
  const double e1 = std::exp(-1), e2 = std::exp(-2), s = 1 + e1 + e2;
  const Values x = {2, 1, 0, 1000, -1000, 0, 5, -kInf, 5};
  expect_near(program.run("p", {x})[0], {1 / s, e1 / s, e2 / s, 1, 0, 0, 0.5, 0, 0.5});
  expect_near(program.run("l", {x})[0], {-std::log(s), -1 - std::log(s), -2 - std::log(s), 0, -2000, -1000,
                                         std::log(0.5), -kInf, std::log(0.5)});
  expect_near(program.run("c", {{0, 2, -kInf, 1, 1, 0, 2, 0, 0}})[0],
              {e2 / s, 1 / s, 0, e1 / s, e1 / s, 0.5, 1 / s, e2 / s, 0.5});
  const auto product = [&](double p0, double p) { return p0 * (1 - p0) * (p < 0) - p0 * p * (p >= 0); };
  expect_near(program.run("g", {x})[0],
              {product(1 / s, -1), product(1 / s, e1 / s), product(1 / s, e2 / s), 0, 0, 0, 0.25, 0, -0.25});
  expect_near(program.run("h", {x})[0], {1 - 1 / s, -e1 / s, -e2 / s, 0, 0, 0, 0.5, 0, -0.5});
}

TEST(Activations, WithShapes) {
  TracedProgram program(
      "model m(x: f32[2, 6]) { return maxout(x, 3) }\n"
      "model p(x: f32[2, 2, 2]) { return prelu(x) }\n");
  expect_near(program.run("m", {{1, 5, 2, -1, -2, -3, 0, 0, 0, 9, 8, 7}})[0], {5, -1, 0, 9});
  EXPECT_EQ(program.shape_of_result("m"), (Shape{2, 2}));
  expect_near(program.variable("p.prelu.slope"), {0.25, 0.25});
  program.set_variable("p.prelu.slope", {0.5, 0.1});
  expect_near(program.run("p", {{-1, 1, -2, 2, 0, -3, 3, -4}})[0], {-0.5, 1, -0.2, 2, 0, -1.5, 3, -0.4});
}

// ---------------------------------------------------------------------------------------------- layers

TEST(Layers, Dense) {
  TracedProgram program(
      "model a(x: f32[2, 3]) { return dense(x, 2) }\n"
      "model b(x: f32[2, 1, 3]) { return dense(x, 2, bias = false, init = ones) }\n"
      "model c(x: f32[3]) { return dense(x, 2, init = ones) }\n");
  program.set_variable("a.dense.weight", {1, 2, 3, 4, 5, 6});
  program.set_variable("a.dense.bias", {10, 20});
  expect_near(program.run("a", {{1, 0, 0, 0, 1, 1}})[0], {11, 22, 18, 30});
  expect_near(program.run("b", {{1, 2, 3, 4, 5, 6}})[0], {6, 6, 15, 15});
  EXPECT_EQ(program.shape_of_result("b"), (Shape{2, 1, 2}));
  expect_near(program.run("c", {{1, 2, 3}})[0], {6, 6});
  EXPECT_FALSE(program.module().find_variable("b.dense.bias"));
}

TEST(Layers, BatchNorm) {
  TracedProgram program(
      "model m(x: f32[4, 2]) { return batch_norm(x) }\n"
      "model image(x: f32[2, 2, 1, 2]) { return batch_norm(x) }\n"
      "train t(x: f32[4, 2]) -> (y: f32[4, 2]) { return m(x) }\n"
      "train ti(x: f32[2, 2, 1, 2]) { return image(x) }\n");
  const Values x = {1, 10, 2, 10, 3, 20, 4, 20};
  const double s0 = std::sqrt(1.25 + 1e-5), s1 = std::sqrt(25 + 1e-5);
  expect_near(program.run("t", {x})[0],
              {-1.5 / s0, -5 / s1, -0.5 / s0, -5 / s1, 0.5 / s0, 5 / s1, 1.5 / s0, 5 / s1});
  // Running averages: unbiased variance.
  expect_near(program.variable("m.batch_norm.mean"), {0.25, 1.5});
  expect_near(program.variable("m.batch_norm.variance"), {0.9 + 0.1 * 5 / 3, 0.9 + 0.1 * 100 / 3});
  program.set_variable("m.batch_norm.mean", {1, 2});
  program.set_variable("m.batch_norm.variance", {4, 9});
  program.set_variable("m.batch_norm.scale", {2, 3});
  program.set_variable("m.batch_norm.offset", {5, 6});
  Values expected;
  for (int i = 0; i < 4; ++i) {
    expected.push_back((x[2 * i] - 1) / std::sqrt(4 + 1e-5) * 2 + 5);
    expected.push_back((x[2 * i + 1] - 2) / std::sqrt(9 + 1e-5) * 3 + 6);
  }
  expect_near(program.run("m", {x})[0], expected);
  expect_near(program.variable("m.batch_norm.mean"), {1, 2});
  // Channels are axis 1: {0, 1, 4, 5} and {2, 3, 6, 7}.
  expect_near(program.run("ti", {{1, 2, 10, 10, 3, 4, 20, 20}})[0],
              {-1.5 / s0, -0.5 / s0, -5 / s1, -5 / s1, 0.5 / s0, 1.5 / s0, 5 / s1, 5 / s1});
}

TEST(Layers, OtherNorms) {
  TracedProgram program(
      "model layer(x: f32[2, 2]) { return layer_norm(x) }\n"
      "model rms(x: f32[2, 2]) { return rms_norm(x) }\n"
      "model group(x: f32[1, 4, 2]) { return group_norm(x, groups = 2) }\n"
      "model instance(x: f32[1, 2, 2]) { return instance_norm(x) }\n");
  const double s = std::sqrt(1 + 1e-5);
  expect_near(program.run("layer", {{1, 3, -5, -7}})[0], {-1 / s, 1 / s, 1 / s, -1 / s});
  expect_near(program.run("instance", {{1, 3, -5, -7}})[0], {-1 / s, 1 / s, 1 / s, -1 / s});
  const double r0 = std::sqrt(5 + 1e-5), r1 = std::sqrt(37 + 1e-5);
  expect_near(program.run("rms", {{1, 3, -5, -7}})[0], {1 / r0, 3 / r0, -5 / r1, -7 / r1});
  const double g = std::sqrt(7.25 + 1e-5);
  program.set_variable("group.group_norm.scale", {1, 2, 1, 1});
  program.set_variable("group.group_norm.offset", {0, 0, 0, 1});
  expect_near(program.run("group", {{0, 1, 2, 7, 1, 3, 1, 3}})[0],
              {-2.5 / g, -1.5 / g, 2 * -0.5 / g, 2 * 4.5 / g, -1 / s, 1 / s, 1 - 1 / s, 1 + 1 / s});
}

TEST(Layers, DropoutKeepsTheMean) {
  TracedProgram program(
      "model f(x: f32[100, 100]) { return dropout(x, 0.2) }\n"
      "train t(x: f32[100, 100]) { return f(x) }\n"
      "train all(x: f32[100, 100]) { return dropout(x, 1) }\n"
      "train none(x: f32[100, 100]) { return dropout(x, 0) }\n");
  const Values x(10000, 1);
  expect_near(program.run("f", {x})[0], x);
  expect_near(program.run("none", {x})[0], x);
  expect_near(program.run("all", {x})[0], Values(10000, 0));
  const Values y = program.run("t", {x})[0];
  int kept = 0;
  for (double v : y) {
    EXPECT_TRUE(v == 0 || std::fabs(v - 1.25) < 1e-12);
    kept += v != 0;
  }
  EXPECT_NEAR(kept, 8000, 200);
  EXPECT_NE(program.run("t", {x})[0], y);  // the next step draws anew
}

TEST(Layers, Attention) {
  TracedProgram program(
      "model a(q: f32[1, 1, 2, 4], k: f32[1, 1, 2, 4], v: f32[1, 1, 2, 4]) { return attention(q, k, v) }\n"
      "model c(q: f32[1, 1, 2, 4], k: f32[1, 1, 2, 4], v: f32[1, 1, 2, 4]) { return attention(q, k, v, "
      "causal = true) }\n"
      "model m(x: f32[2, 3, 4]) -> f32[2, 3, 4] { return multi_head_attention(x, 2, causal = true) }\n");
  const Values q = {2, 0, 0, 0, 0, 2, 0, 0}, k = {1, 0, 0, 0, 0, 1, 0, 0}, v = {1, 2, 3, 4, 5, 6, 7, 8};
  const double p = std::exp(1) / (std::exp(1) + 1), r = 1 - p;
  expect_near(program.run("a", {q, k, v})[0], {p + 5 * r, 2 * p + 6 * r, 3 * p + 7 * r, 4 * p + 8 * r,
                                               r + 5 * p, 2 * r + 6 * p, 3 * r + 7 * p, 4 * r + 8 * p});
  expect_near(program.run("c", {q, k, v})[0],
              {1, 2, 3, 4, r + 5 * p, 2 * r + 6 * p, 3 * r + 7 * p, 4 * r + 8 * p});
  for (const char* part : {"query", "key", "value", "output"})
    EXPECT_TRUE(program.module().find_variable("m.multi_head_attention." + std::string(part) + ".weight"))
        << part;
  // Causal: what comes later changes nothing before it.
  Values x(24);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<double>(i));
  const Values before = program.run("m", {x})[0];
  for (size_t i = 8; i < 12; ++i) x[i] += 1;
  const Values after = program.run("m", {x})[0];
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(before[i], after[i]);
  EXPECT_NE(before[8], after[8]);
}

TEST(Layers, ReshapingOnes) {
  TracedProgram program(
      "model u(x: f32[1, 1, 2, 2]) { return upsample(x, [1, 2]) }\n"
      "model f(x: f32[2, 3, 4]) { return flatten(x) }\n"
      "model g(x: f32[1, 2, 2]) { return global_avg_pool(x) }\n"
      "model h(x: f32[1, 2, 2, 1]) { return global_max_pool(x) }\n"
      "model c(x: f32[2, 3], h: f32[2, 4]) { return gru_cell(x, h, 4) }\n"
      "model l(x: f32[2, 3], h: f32[2, 4], c: f32[2, 4]) { return lstm_cell(x, h, c, 4) }\n");
  expect_near(program.run("u", {{1, 2, 3, 4}})[0], {1, 1, 2, 2, 3, 3, 4, 4});
  EXPECT_EQ(program.shape_of_result("u"), (Shape{1, 1, 2, 4}));
  EXPECT_EQ(program.shape_of_result("f"), (Shape{2, 12}));
  expect_near(program.run("g", {{1, 2, 3, 5}})[0], {1.5, 4});
  expect_near(program.run("h", {{1, 2, 3, 5}})[0], {2, 5});
  expect_near(program.variable("l.lstm_cell.bias"), {0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0});
  EXPECT_EQ(program.shape_of_result("l", 1), (Shape{2, 4}));
}

TEST(Layers, CellsFollowTheirFormulas) {
  TracedProgram program(
      "model r(x: f32[1, 1], h: f32[1, 1]) { return rnn_cell(x, h, 1) }\n"
      "model g(x: f32[1, 1], h: f32[1, 1]) { return gru_cell(x, h, 1) }\n"
      "model l(x: f32[1, 1], h: f32[1, 1], c: f32[1, 1]) { return lstm_cell(x, h, c, 1) }\n");
  const double x = 0.7, h = -0.4, c = 0.3;
  program.set_variable("r.rnn_cell.weight_input", {0.5});
  program.set_variable("r.rnn_cell.weight_hidden", {-1.5});
  program.set_variable("r.rnn_cell.bias", {0.1});
  expect_near(program.run("r", {{x}, {h}})[0], {std::tanh(0.5 * x + 0.1 - 1.5 * h)});
  program.set_variable("g.gru_cell.weight_input", {0.5, 0.6, 0.7});
  program.set_variable("g.gru_cell.weight_hidden", {-1.5, 1.2, 0.8});
  program.set_variable("g.gru_cell.bias", {0.1, 0.2, 0.3});
  program.set_variable("g.gru_cell.bias_hidden", {-0.1, -0.2, 0.4});
  const double r = sigmoid(0.5 * x + 0.1 - 1.5 * h - 0.1), z = sigmoid(0.6 * x + 0.2 + 1.2 * h - 0.2);
  const double n = std::tanh(0.7 * x + 0.3 + r * (0.8 * h + 0.4));
  expect_near(program.run("g", {{x}, {h}})[0], {(1 - z) * n + z * h});
  program.set_variable("l.lstm_cell.weight_input", {0.5, 0.6, 0.7, 0.8});
  program.set_variable("l.lstm_cell.weight_hidden", {-1.5, 1.2, 0.8, 0.2});
  program.set_variable("l.lstm_cell.bias", {0.1, 0.2, 0.3, 0.4});
  const double next = sigmoid(0.6 * x + 0.2 + 1.2 * h) * c +
                      sigmoid(0.5 * x + 0.1 - 1.5 * h) * std::tanh(0.7 * x + 0.3 + 0.8 * h);
  const auto state = program.run("l", {{x}, {h}, {c}});
  expect_near(state[0], {sigmoid(0.8 * x + 0.4 + 0.2 * h) * std::tanh(next)});
  expect_near(state[1], {next});
}

// ---------------------------------------------------------------------------------------------- losses

TEST(Losses, Elementwise) {
  TracedProgram program(
      "model a(x: f32[2, 2], y: f32[2, 2]) { return mse(x, y), mse(x, y, reduce = \"sum\"), mse(x, y, reduce "
      "= \"none\") }\n"
      "model b(x: f32[2, 2], y: f32[2, 2]) { return mae(x, y), huber(x, y), huber(x, y, delta = 2, reduce = "
      "\"none\") }\n"
      "model c(x: f32[2, 2], y: f32[2, 2]) { return hinge(x, y), sigmoid_cross_entropy(x, y), "
      "sigmoid_cross_entropy(x, 1) }\n"
      "model d(x: f32[2, 2], y: f32[2, 2]) { return binary_cross_entropy(x, y, reduce = \"none\") }\n");
  const Values x = {1, 2, 3, -4}, y = {1, 0, 2.5, 0};
  const auto a = program.run("a", {x, y});
  expect_near(a[0], {(4 + 0.25 + 16) / 4});
  expect_near(a[1], {4 + 0.25 + 16});
  expect_near(a[2], {0, 4, 0.25, 16});
  const auto b = program.run("b", {x, y});
  expect_near(b[0], {6.5 / 4});
  expect_near(b[1], {(1.5 + 0.125 + 3.5) / 4});
  expect_near(b[2], {0, 2, 0.125, 2 * 3});
  const auto c = program.run("c", {{1000, -1000, 0.5, -0.5}, {1, 0, 1, 1}});
  expect_near(c[0], {(0 + 1 + 0.5 + 1.5) / 4});
  expect_near(c[1], {(0 + 0 + softplus(-0.5) + softplus(0.5)) / 4});
  expect_near(c[2], {(0 + 1000 + softplus(-0.5) + softplus(0.5)) / 4});
  expect_near(program.run("d", {{0, 1, 0.25, 0.25}, {1, 0, 1, 0}})[0],
              {100, 100, -std::log(0.25), -std::log(0.75)});
}

TEST(Losses, CrossEntropies) {
  TracedProgram program(
      "model i(z: f32[2, 3], y: i32[2]) { return softmax_cross_entropy(z, y), softmax_cross_entropy(z, y, "
      "smoothing = 0.3), "
      "softmax_cross_entropy(z, y, reduce = \"none\"), cross_entropy(softmax(z), y), weston_watkins(z, y) }\n"
      "model d(z: f32[2, 3], y: f32[2, 3]) { return softmax_cross_entropy(z, y), softmax_cross_entropy(z, y, "
      "smoothing = 0.3), "
      "cross_entropy(softmax(z), y) }\n"
      "model axis(z: f32[2, 3, 2], y: i32[2, 2]) { return softmax_cross_entropy(z, y, axis = 1, reduce = "
      "\"none\") }\n"
      "model g(z: f32[2, 3], y: i32[2]) { return grad(softmax_cross_entropy(z, y), z) }\n"
      "model gd(z: f32[2, 3], y: f32[2, 3]) { return grad(softmax_cross_entropy(z, y), z) }\n");
  const Values z = {1, 2, 3, 0.5, 0, -1};
  const auto lse = [&](int row) {
    return std::log(std::exp(z[3 * row]) + std::exp(z[3 * row + 1]) + std::exp(z[3 * row + 2]));
  };
  const double a = lse(0) - 1, b = lse(1) - 0;
  const auto i = program.run("i", {z, {0, 1}});
  expect_near(i[0], {(a + b) / 2});
  const double mean_a = lse(0) - 2, mean_b = lse(1) + 0.5 / 3;
  expect_near(i[1], {(0.7 * a + 0.3 * mean_a + 0.7 * b + 0.3 * mean_b) / 2});
  expect_near(i[2], {a, b});
  expect_near(i[3], {(a + b) / 2});
  expect_near(i[4], {(2 + 3 + 1.5 + 0) / 2});
  const Values one_hot = {1, 0, 0, 0, 1, 0};
  const auto d = program.run("d", {z, one_hot});
  for (int k = 0; k < 2; ++k) expect_near(d[k], i[k]);
  expect_near(d[2], i[0]);
  // A masked class counts nothing, whichever way the target is given.
  const Values masked = {1, -kInf, 1, 1e4, -1e4, 0};
  expect_near(program.run("i", {masked, {0, 0}})[0], {std::log(2) / 2});
  expect_near(program.run("d", {masked, {1, 0, 0, 1, 0, 0}})[0], {std::log(2) / 2});
  expect_near(program.run("g", {masked, {0, 0}})[0], {-0.25, 0, 0.25, 0, 0, 0});
  expect_near(program.run("gd", {masked, {1, 0, 0, 1, 0, 0}})[0], {-0.25, 0, 0.25, 0, 0, 0});
  expect_near(program.run("axis", {{1, 0, 1, 0, 1, 0, 5, 5, 5, 6, 5, 7}, {0, 1, 2, 0}})[0],
              {std::log(3), std::log(3), std::log(3), std::log(std::exp(-2) + std::exp(-1) + 1) + 2});
}

TEST(Losses, OfDistributionsAndDistances) {
  TracedProgram program(
      "model k(p: f32[1, 3], q: f32[1, 3]) { return kl_divergence(p, q) }\n"
      "model n(m: f32[2, 2], v: f32[2, 2]) { return gaussian_kl(m, v), gaussian_kl(m, v, reduce = \"none\") "
      "}\n"
      "model t(a: f32[2, 2], p: f32[2, 2], n: f32[2, 2]) { return triplet(a, p, n, reduce = \"none\"), "
      "triplet(a, p, n, margin = 9) }\n"
      "model c(a: f32[3, 2], b: f32[3, 2], same: f32[3]) { return contrastive(a, b, same, margin = 2, reduce "
      "= \"none\"), "
      "grad(contrastive(a, b, same, margin = 2), a) }\n"
      "model e(a: f32[3, 2], b: f32[3, 2], y: f32[3]) { return cosine_embedding(a, b, y, margin = 0.1, "
      "reduce = \"none\") }\n");
  expect_near(program.run("k", {{0.5, 0.5, 0}, {0.25, 0.75, 0}})[0],
              {0.5 * std::log(2) + 0.5 * std::log(2.0 / 3)});
  const auto n = program.run("n", {{0, 1, 2, 0}, {0, 0, 0, 1}});
  expect_near(n[1], {0.5, 0.5 * (4 + std::exp(1) - 2)});
  expect_near(n[0], {(0.5 + 0.5 * (4 + std::exp(1) - 2)) / 2});
  const auto t = program.run("t", {{0, 0, 0, 0}, {1, 0, 2, 0}, {3, 0, 1, 1}});
  expect_near(t[0], {0, 4 - 2 + 1});
  expect_near(t[1], {(1 - 9 + 9 + 4 - 2 + 9) / 2.0});
  const auto c = program.run("c", {{0, 0, 0, 0, 1, 1}, {3, 4, 1, 0, 1, 1}, {1, 0, 0}});
  expect_near(c[0], {25, 1, 4});
  expect_near(c[1], {2 * -3.0 / 3, 2 * -4.0 / 3, 2 * 1 / 3.0, 0, 0, 0});
  expect_near(program.run("e", {{1, 0, 1, 1, 1, 0}, {2, 0, 1, 0, -1, 0}, {1, -1, -1}})[0],
              {0, std::sqrt(0.5) - 0.1, 0}, 1e-9);
}

TEST(Losses, Gradients) {
  const Values x = {0.35, -0.7, 1.4, 0.2, 0.9, -1.1};
  const std::string y = "reshape(cos(cast(iota(6), f32)), [2, 3])";
  for (const char* loss : {"mse", "mae", "huber", "hinge", "sigmoid_cross_entropy", "softmax_cross_entropy"})
    check_gradient("2, 3", std::string(loss) + "(x, " + y + ")", x);
  check_gradient("2, 3", "huber(x, " + y + ", delta = 0.1)", x);
  check_gradient("2, 3", "binary_cross_entropy(sigmoid(x), sigmoid(" + y + "))", x);
  check_gradient("2, 3", "kl_divergence(softmax(x), softmax(" + y + "))", x);
  check_gradient("2, 3", "kl_divergence(softmax(" + y + "), softmax(x))", x);
  check_gradient("2, 3", "cross_entropy(softmax(x), softmax(" + y + "))", x);
  check_gradient("2, 3", "cross_entropy(softmax(x), iota(2))", x);
  check_gradient("2, 3", "softmax_cross_entropy(x, iota(2), smoothing = 0.1)", x);
  check_gradient("2, 3", "softmax_cross_entropy(x, softmax(" + y + "), smoothing = 0.1)", x);
  check_gradient("2, 3", "softmax_cross_entropy(" + y + ", softmax(x))", x);
  check_gradient("2, 3", "softmax_cross_entropy(x, iota(3) / 2, axis = 0)", x);
  check_gradient("2, 3", "weston_watkins(x, iota(2))", x);
  check_gradient("2, 3", "gaussian_kl(x, " + y + ") + gaussian_kl(" + y + ", x)", x);
  check_gradient("2, 3", "triplet(x, " + y + ", 2 * " + y + ", margin = 3)", x);
  check_gradient("2, 3", "triplet(" + y + ", 2 * x, x, margin = 3)", x);
  check_gradient("2, 3", "contrastive(x, " + y + ", zeros([2]), margin = 5)", x);
  check_gradient("2, 3", "contrastive(x, " + y + ", ones([2]))", x);
  check_gradient("2, 3", "cosine_embedding(x, " + y + ", ones([2]))", x);
  check_gradient("2, 3", "cosine_embedding(x, " + y + ", -ones([2]), margin = -1)", x);
  check_gradient("2, 3", "sum(softmax(x) * " + y + ")", x);
  check_gradient("2, 3", "sum(log_softmax(x, axis = 0) * " + y + ")", x);
}

TEST(Layers, Gradients) {
  Values x(24);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(1.7 * static_cast<double>(i) + 0.3);
  for (const char* layer : {"dense(x, 5)", "layer_norm(x)", "rms_norm(x)", "group_norm(x, 1)",
                            "instance_norm(x)", "batch_norm(x)", "multi_head_attention(x, 2)",
                            "multi_head_attention(x, 2, causal = true)", "prelu(x)", "maxout(x, 2)"})
    check_gradient("2, 3, 4", "sum(sin(" + std::string(layer) + "))", x);
}

}  // namespace
}  // namespace nncc
