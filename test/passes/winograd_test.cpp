// Where Winograd's convolutions are wanted, and that what is built for one computes it.
#include "passes/winograd.h"

#include <gtest/gtest.h>

#include "test/passes/graphs.h"

namespace nncc::test {
namespace {

using Ints = std::vector<int64_t>;

Convolution square(int64_t batch, int64_t in, int64_t out, int64_t extent) {
  Convolution conv;
  conv.batch = batch;
  conv.in_channels = in;
  conv.out_channels = out;
  conv.input = conv.output = {extent, extent};
  conv.window = {3, 3};
  conv.strides = conv.low = conv.dilation = {1, 1};
  return conv;
}

TEST(Winograd, WhereItPays) {
  for (const int64_t batch : {1, 8, 64})
    for (const auto& [channels, extent] : {std::pair<int64_t, int64_t>{64, 56}, {128, 28}, {256, 14}}) {
      EXPECT_EQ(winograd_tile(square(batch, channels, channels, extent)), 4) << batch << " " << channels;
      Convolution by_weights = square(batch, channels, channels, extent);
      by_weights.kind = ConvKind::WeightGradient;
      if (batch > 1) {
        EXPECT_EQ(winograd_tile(by_weights), 4) << batch << " " << channels;
      }
    }
  // Few channels: transforms cost more than products.
  EXPECT_EQ(winograd_tile(square(8, 3, 64, 224)), 0);
  EXPECT_EQ(winograd_tile(square(8, 64, 8, 56)), 0);
  // Few tiles: the weights are read once for each.
  EXPECT_EQ(winograd_tile(square(1, 512, 512, 2)), 0);
  EXPECT_EQ(winograd_tile(square(1, 512, 512, 7)), 0);
  // Long sums lose too much with large tiles.
  EXPECT_EQ(winograd_tile(square(8, 512, 512, 7)), 2);
  EXPECT_EQ(winograd_tile(square(4, 16, 32, 32)), 4);
  // No such windows.
  for (const auto change :
       {+[](Convolution& c) {
          c.window = {5, 5};
        },
        +[](Convolution& c) {
          c.strides = {2, 2};
        },
        +[](Convolution& c) {
          c.dilation = {1, 2};
        },
        +[](Convolution& c) { c.groups = 2; }, +[](Convolution& c) { c.kind = ConvKind::InputGradient; }}) {
    Convolution conv = square(8, 64, 64, 56);
    change(conv);
    EXPECT_EQ(winograd_tile(conv), 0);
  }
}

TEST(Winograd, BuildsTheConvolution) {
  Convolution conv = square(2, 20, 18, 7);
  conv.output = {6, 8};
  conv.low = {0, 2};
  const Attributes definition{{Attr::Strides, Ints{1, 1}},
                              {Attr::Low, conv.low},
                              {Attr::Dilation, Ints{1, 1}},
                              {Attr::Groups, int64_t{1}}};
  const Shape x{2, 7, 7, 20}, y{2, 6, 8, 18}, w{18, 20, 3, 3};
  const auto first = [](const Shape& s) { return Shape{s[0], s[3], s[1], s[2]}; };
  for (const WinogradPlan plan : {WinogradPlan{2, false}, {4, false}, {4, true}}) {
    Module module;
    Entry& entry = module.entries.emplace_back();
    entry.name = "check";
    GraphBuilder b(entry.graph);
    const Value vx = entry.graph.add_argument("x", {DType::F64, x}),
                vw = entry.graph.add_argument("w", {DType::F64, w}),
                vy = entry.graph.add_argument("dy", {DType::F64, y});
    const auto to_first = [&](Value v) { return b.transpose(v, {0, 3, 1, 2}); };
    const auto to_last = [&](Value v) { return b.transpose(v, {0, 2, 3, 1}); };
    Convolution back = conv;
    std::swap(back.in_channels, back.out_channels);
    std::swap(back.input, back.output);
    for (int i : {0, 1}) back.low[i] = 2 - conv.low[i];
    const Value values[] = {
        winograd_convolution(b, conv, plan, vx, vw, false, 8),
        to_last(b.add_typed(Op::Conv, std::array{to_first(vx), vw}, {DType::F64, first(y)}, definition)),
        winograd_convolution(b, back, plan, vy, vw, true, 8),
        to_last(b.add_typed(Op::ConvInputGradient, std::array{to_first(vy), vw}, {DType::F64, first(x)},
                            definition)),
        winograd_weight_gradient(b, conv, plan, vx, vy, 8),
        b.add_typed(Op::ConvWeightGradient, std::array{to_first(vx), to_first(vy)}, {DType::F64, w},
                    definition)};
    for (const Value v : values)
      entry.graph.results.push_back({"r" + std::to_string(entry.graph.results.size()), v});
    std::mt19937 random(3);
    std::vector<Literal> arguments;
    for (const Shape& shape : {x, w, y}) arguments.push_back(random_literal({DType::F64, shape}, random));
    const std::vector<Literal> results = Evaluator(module).run(module.entries[0], arguments);
    for (const size_t i : {0, 2, 4}) {
      ASSERT_EQ(results[i].type(), results[i + 1].type());
      for (int64_t e = 0; e < results[i].num_elements(); ++e)
        ASSERT_NEAR(results[i].real(e), results[i + 1].real(e), 1e-10) << i << " element " << e;
    }
  }
}

}  // namespace
}  // namespace nncc::test
