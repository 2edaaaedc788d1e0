// The layers over sequences and the look-ups of the standard library, against loops over their formulas.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "traced_program.h"

namespace nncc {
namespace {

using Values = TracedProgram::Values;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// Numbers without a pattern, of size 1.
Values numbers(size_t n, double seed) {
  Values v(n);
  for (size_t i = 0; i < n; ++i) v[i] = std::sin(12.9898 * static_cast<double>(i + 1) + 78.233 * seed);
  return v;
}

// x [rows, k] times w [k, n].
Values product(const Values& x, const Values& w, size_t k) {
  const size_t rows = x.size() / k, n = w.size() / k;
  Values y(rows * n);
  for (size_t i = 0; i < rows; ++i)
    for (size_t j = 0; j < n; ++j)
      for (size_t l = 0; l < k; ++l) y[i * n + j] += x[i * k + l] * w[l * n + j];
  return y;
}

constexpr size_t kBatch = 2, kSteps = 3, kWidth = 4, kUnits = 3;

// The weights of a cell of so many gates under a path, set to numbers and kept.
struct Weights {
  Values input, hidden, bias, bias_hidden;
  Weights(TracedProgram& program, const std::string& path, size_t gates, double seed)
      : input(numbers(kWidth * gates * kUnits, seed)),
        hidden(numbers(kUnits * gates * kUnits, seed + 1)),
        bias(numbers(gates * kUnits, seed + 2)),
        bias_hidden(gates * kUnits, 0.0) {
    program.set_variable(path + ".weight_input", input);
    program.set_variable(path + ".weight_hidden", hidden);
    program.set_variable(path + ".bias", bias);
    if (program.module().find_variable(path + ".bias_hidden")) {
      bias_hidden = numbers(gates * kUnits, seed + 3);
      program.set_variable(path + ".bias_hidden", bias_hidden);
    }
  }
};

// One step of one sample: from the sums of the input and of the state for each gate, and from h and c.
using Step = std::function<void(const Values& from_input, const Values& from_hidden, Values& h, Values& c)>;

void rnn_step(const Values& a, const Values& b, Values& h, Values&) {
  for (size_t j = 0; j < kUnits; ++j) h[j] = std::tanh(a[j] + b[j]);
}
void lstm_step(const Values& a, const Values& b, Values& h, Values& c) {
  for (size_t j = 0; j < kUnits; ++j) {
    const auto gate = [&](size_t g) { return a[g * kUnits + j] + b[g * kUnits + j]; };
    c[j] = sigmoid(gate(1)) * c[j] + sigmoid(gate(0)) * std::tanh(gate(2));
    h[j] = sigmoid(gate(3)) * std::tanh(c[j]);
  }
}
void gru_step(const Values& a, const Values& b, Values& h, Values&) {
  for (size_t j = 0; j < kUnits; ++j) {
    const double r = sigmoid(a[j] + b[j]), z = sigmoid(a[kUnits + j] + b[kUnits + j]);
    const double n = std::tanh(a[2 * kUnits + j] + r * b[2 * kUnits + j]);
    h[j] = (1 - z) * n + z * h[j];
  }
}

// [batch, steps, units]
Values run_over(const Values& x, const Weights& w, const Step& step, bool reverse) {
  const size_t columns = w.bias.size();
  Values result(kBatch * kSteps * kUnits);
  for (size_t b = 0; b < kBatch; ++b) {
    Values h(kUnits), c(kUnits);
    for (size_t i = 0; i < kSteps; ++i) {
      const size_t at = b * kSteps + (reverse ? kSteps - 1 - i : i);
      Values from_input =
          product(Values(x.begin() + at * kWidth, x.begin() + (at + 1) * kWidth), w.input, kWidth);
      Values from_hidden = product(h, w.hidden, kUnits);
      for (size_t j = 0; j < columns; ++j) {
        from_input[j] += w.bias[j];
        from_hidden[j] += w.bias_hidden[j];
      }
      step(from_input, from_hidden, h, c);
      std::copy(h.begin(), h.end(), result.begin() + at * kUnits);
    }
  }
  return result;
}

struct Recurrent {
  const char* name;
  size_t gates;
  Step step;
};
void PrintTo(const Recurrent& r, std::ostream* out) { *out << r.name; }

class RecurrentLayers : public ::testing::TestWithParam<Recurrent> {};

TEST_P(RecurrentLayers, FollowTheirFormulas) {
  const auto& [name, gates, step] = GetParam();
  const std::string layer = name;
  TracedProgram program("model forward(x: f32[2, 3, 4]) { return " + layer + "(x, 3) }\n" +
                        "model backward(x: f32[2, 3, 4]) { return " + layer + "(x, 3, reverse = true) }\n" +
                        "model both(x: f32[2, 3, 4]) -> f32[2, 3, 6] { return bidirectional(x, " + layer +
                        ", 3) }\n");
  const Values x = numbers(kBatch * kSteps * kWidth, 0.5);
  const Values forward = run_over(x, Weights(program, "forward." + layer, gates, 1), step, false);
  expect_near(program.run("forward", {x})[0], forward);
  const Values backward = run_over(x, Weights(program, "backward." + layer, gates, 2), step, true);
  expect_near(program.run("backward", {x})[0], backward);
  Weights(program, "both.bidirectional.forward", gates, 1);
  Weights(program, "both.bidirectional.backward", gates, 2);
  Values joined;
  for (size_t i = 0; i < kBatch * kSteps; ++i) {
    joined.insert(joined.end(), forward.begin() + i * kUnits, forward.begin() + (i + 1) * kUnits);
    joined.insert(joined.end(), backward.begin() + i * kUnits, backward.begin() + (i + 1) * kUnits);
  }
  expect_near(program.run("both", {x})[0], joined);
}

// A scan over the cell, with the layer's weights, is the layer.
TEST_P(RecurrentLayers, AreScansOverTheirCells) {
  const auto& [name, gates, step] = GetParam();
  const std::string layer = name, cell = layer + "_cell";
  const std::string body = layer == "lstm" ? "h, c = lstm_cell(xt, h, c, 3)" : "h = " + cell + "(xt, h, 3)";
  TracedProgram program(
      "model cells(x: f32[2, 3, 4]) {\n  hs = scan xt in x axis 1 carry (h = zeros([2, 3]), c = zeros([2, "
      "3])) {\n    " +
      body + "\n    yield h\n  }\n  return hs, h\n}\n");
  const Values x = numbers(kBatch * kSteps * kWidth, 0.5);
  const Values expected = run_over(x, Weights(program, "cells." + cell, gates, 1), step, false);
  const auto results = program.run("cells", {x});
  expect_near(results[0], expected);
  Values last;
  for (size_t b = 0; b < kBatch; ++b)
    last.insert(last.end(), expected.begin() + ((b + 1) * kSteps - 1) * kUnits,
                expected.begin() + (b + 1) * kSteps * kUnits);
  expect_near(results[1], last);
}

// A number that is carried or yielded meets no tensor: it is a float, as the numbers of `where` and `fill`
// are.
TEST(Scan, CarriesAndYieldsNumbersAsFloats) {
  TracedProgram program(
      "model sums(x: f32[3]) -> (f32[3], f32[3]) {\n  s, ones = scan v in x axis 0 carry (total = 0) {\n    "
      "total = total + v\n    "
      "yield total, 1\n  }\n  return s + total, ones\n}\n");
  const auto results = program.run("sums", {{0.5, 1, 2}});
  expect_near(results[0], {4, 5, 7});
  expect_near(results[1], {1, 1, 1});
}

INSTANTIATE_TEST_SUITE_P(Library, RecurrentLayers,
                         ::testing::Values(Recurrent{"rnn", 1, rnn_step}, Recurrent{"lstm", 4, lstm_step},
                                           Recurrent{"gru", 3, gru_step}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(SequenceLayers, EmbeddingTakesRows) {
  TracedProgram program(
      "model e(t: i32[2, 3]) -> f32[2, 3, 2] { return embedding(t, 4, 2) }\n"
      "model wide(t: i64[2]) { return embedding(t, 4, 2, init = ones) }\n");
  program.set_variable("e.embedding.weight", {0, 1, 10, 11, 20, 21, 30, 31});
  expect_near(program.run("e", {{3, 0, 2, 1, 1, 3}})[0], {30, 31, 0, 1, 20, 21, 10, 11, 10, 11, 30, 31});
  expect_near(program.run("wide", {{3, 0}})[0], {1, 1, 1, 1});
}

// Masked scores, the heads side by side: softmax over the allowed keys alone.
TEST(SequenceLayers, MultiHeadAttentionFollowsItsFormula) {
  constexpr size_t kHeads = 2, kPart = kWidth / kHeads;
  TracedProgram program(
      "model all(x: f32[2, 3, 4]) { return multi_head_attention(x, 2) }\n"
      "model past(x: f32[2, 3, 4]) { return multi_head_attention(x, 2, causal = true) }\n");
  const Values x = numbers(kBatch * kSteps * kWidth, 0.5);
  for (const bool causal : {false, true}) {
    const std::string entry = causal ? "past" : "all";
    std::map<std::string, Values> weight, bias;
    double seed = 0;
    for (const char* part : {"query", "key", "value", "output"}) {
      const std::string path = entry + ".multi_head_attention." + part;
      program.set_variable(path + ".weight", weight[part] = numbers(kWidth * kWidth, ++seed));
      program.set_variable(path + ".bias", bias[part] = numbers(kWidth, ++seed));
    }
    const auto dense = [&](const Values& v, const char* part) {
      Values y = product(v, weight[part], kWidth);
      for (size_t i = 0; i < y.size(); ++i) y[i] += bias[part][i % kWidth];
      return y;
    };
    const Values q = dense(x, "query"), k = dense(x, "key"), v = dense(x, "value");
    Values mixed(x.size());
    for (size_t b = 0; b < kBatch; ++b)
      for (size_t head = 0; head < kHeads; ++head)
        for (size_t t = 0; t < kSteps; ++t) {
          const auto at = [&](size_t step) { return (b * kSteps + step) * kWidth + head * kPart; };
          double total = 0;
          for (size_t u = 0; u <= (causal ? t : kSteps - 1); ++u) {
            double score = 0;
            for (size_t d = 0; d < kPart; ++d) score += q[at(t) + d] * k[at(u) + d];
            const double e = std::exp(score / std::sqrt(kPart));
            total += e;
            for (size_t d = 0; d < kPart; ++d) mixed[at(t) + d] += e * v[at(u) + d];
          }
          for (size_t d = 0; d < kPart; ++d) mixed[at(t) + d] /= total;
        }
    expect_near(program.run(entry, {x})[0], dense(mixed, "output"));
  }
}

// Keys that a mask hides are as if they were not there.
TEST(SequenceLayers, AttentionSeesWhatItsMaskSays) {
  TracedProgram program(
      "model all(q: f32[2, 1, 2, 3], k: f32[2, 1, 2, 3], v: f32[2, 1, 2, 3]) { return attention(q, k, v) }\n"
      "model some(q: f32[2, 1, 2, 3], k: f32[2, 1, 4, 3], v: f32[2, 1, 4, 3], real: i32[2, 4]) {\n"
      "  return attention(q, k, v, mask = reshape(real == 1, [2, 1, 1, 4]))\n}\n"
      "model heads(x: f32[1, 3, 4], real: i32[3]) {\n"
      "  return multi_head_attention(x, 2, mask = real == 1, init = ones)[:, 0], "
      "multi_head_attention(x[:, :2], 2, init = ones)[:, 0]\n}\n");
  const Values q = numbers(12, 1), k = numbers(12, 2), v = numbers(12, 3);
  // Of the four keys of either sample the first and third, or the second and last, are those of `all`.
  const auto among = [](const Values& rows) {
    Values wide = numbers(24, 9);
    const size_t at[] = {0, 2, 5, 7};
    for (size_t i = 0; i < 4; ++i) std::copy_n(rows.begin() + 3 * i, 3, wide.begin() + 3 * at[i]);
    return wide;
  };
  expect_near(program.run("some", {q, among(k), among(v), {1, 0, 1, 0, 0, 1, 0, 1}})[0],
              program.run("all", {q, k, v})[0]);
  const auto heads = program.run("heads", {numbers(12, 4), {1, 1, 0}});
  expect_near(heads[0], heads[1]);
}

TEST(Losses, HierarchicalSoftmaxIsADistributionOverWords) {
  for (const int words : {2, 5, 8}) {
    SCOPED_TRACE(words);
    const std::string n = std::to_string(words);
    const int depth = words <= 2 ? 1 : 3;
    TracedProgram program("model h(x: f32[" + n + ", 3], y: i32[" + n +
                          "]) {\n  return hierarchical_softmax(x, y, " + n + ", " + std::to_string(depth) +
                          ", reduce = \"none\")\n}\n");
    const Values weight = numbers(words * 3, 1), bias = numbers(words, 2), row = numbers(3, 3);
    program.set_variable("h.hierarchical_softmax.weight", weight);
    program.set_variable("h.hierarchical_softmax.bias", bias);
    Values x, y, expected;
    double total = 0;
    for (int word = 0; word < words; ++word) {
      x.insert(x.end(), row.begin(), row.end());
      y.push_back(word);
      double p = 1;
      for (int node = words + word; node > 1; node /= 2) {
        double score = bias[node / 2];
        for (int i = 0; i < 3; ++i) score += row[i] * weight[node / 2 * 3 + i];
        p *= node % 2 == 1 ? sigmoid(score) : 1 - sigmoid(score);
      }
      expected.push_back(-std::log(p));
      total += p;
    }
    EXPECT_NEAR(total, 1, 1e-12);
    expect_near(program.run("h", {x, y})[0], expected);
  }
}

TEST(LookUps, FollowTheirDefinitions) {
  TracedProgram program(
      "model g(x: f32[2, 3, 2], t: i32[2, 2]) -> (f32[2, 2, 2, 2], f32[2, 2, 2, 3], f32[2, 2, 2, 2]) {\n"
      "  return x[:, t], gather(transpose(x), t, axis = -2), gather(x, t, axis = 1)\n}\n"
      "model a(x: f32[2, 3], t: i64[2, 2], u: i32[1, 3]) { return take_along(x, t, 1), take_along(x, u, 0) "
      "}\n"
      "model s(t: i32[4], v: f32[4, 2], w: f32[4]) {\n"
      "  return scatter_add([3, 2], t, v), scatter_add([3], t, w)\n}\n"
      "model o(t: i32[2, 2]) -> f32[2, 2, 3] { return one_hot(t, 3) }\n");
  const Values x = {0, 1, 10, 11, 20, 21, 100, 101, 110, 111, 120, 121}, t = {2, 0, 1, 1};
  const auto g = program.run("g", {x, {1, 0, 1, 1}});
  expect_near(g[0], {10, 11, 0, 1, 10, 11, 10, 11, 110, 111, 100, 101, 110, 111, 110, 111});
  expect_near(g[2], g[0]);
  expect_near(program.run("g", {x, {1, 0, 1, 0}})[1],
              {1,   11,  21,  0,   10,  20,  1,   11,  21,  0,   10,  20,
               101, 111, 121, 100, 110, 120, 101, 111, 121, 100, 110, 120});
  const auto a = program.run("a", {{1, 2, 3, 4, 5, 6}, {2, 0, 1, 1}, {1, 0, 1}});
  expect_near(a[0], {3, 1, 5, 5});
  expect_near(a[1], {4, 2, 6});
  const auto s = program.run("s", {{2, 0, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}, {1, 2, 4, 8}});
  expect_near(s[0], {3, 4, 0, 0, 13, 16});
  expect_near(s[1], {2, 0, 13});
  expect_near(program.run("o", {t})[0], {0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0});
}

}  // namespace
}  // namespace nncc
