// Winograd's convolutions give what the definition gives, in double precision.
#include "ir/winograd.h"

#include <gtest/gtest.h>

#include <random>

#include "ir/builder.h"
#include "ir/evaluate.h"

namespace nncc {
namespace {

using Ints = std::vector<int64_t>;

struct Geometry {
  int64_t tile, batch, in, out;
  Ints image, low, high;
  Shape x() const { return {batch, image[0], image[1], in}; }
  Shape y() const { return {batch, image[0] + low[0] + high[0] - 2, image[1] + low[1] + high[1] - 2, out}; }
  Shape w() const { return {out, in, 3, 3}; }
  Ints tiles() const { return {(y()[1] + tile - 1) / tile, (y()[2] + tile - 1) / tile}; }
  int64_t points() const { return (tile + 2) * (tile + 2); }
};
const Geometry kGeometries[] = {{2, 1, 2, 3, {5, 4}, {1, 1}, {1, 1}},
                                {4, 2, 3, 2, {7, 9}, {1, 1}, {1, 1}},
                                {4, 1, 1, 5, {6, 6}, {0, 2}, {1, 0}},
                                {2, 2, 2, 2, {3, 3}, {0, 0}, {0, 0}}};

class Comparison {
 public:
  Comparison() : builder(graph_.body) {}
  Value argument(const Shape& shape) {
    Literal literal(TensorType{DType::F64, shape});
    for (int64_t i = 0; i < literal.num_elements(); ++i)
      literal.set(i, std::uniform_real_distribution<double>(-1, 1)(random_));
    arguments_.push_back(literal);
    return graph_.body.add_argument("x" + std::to_string(arguments_.size()), literal.type());
  }
  Value add(Op op, Ints shape, const std::vector<Value>& operands, const Attributes& attributes) {
    return builder.add_typed(op, operands, {DType::F64, shape}, attributes);
  }
  Value permuted(Value v, Ints perm) { return builder.add(Op::Transpose, {v}, {{Attr::Perm, perm}}); }
  void expect_equal(Value a, Value b) {
    graph_.body.results = {{"a", a}, {"b", b}};
    const Module module;
    const std::vector<Literal> results = Evaluator(module).call(graph_, arguments_);
    ASSERT_EQ(results[0].type(), results[1].type());
    for (int64_t i = 0; i < results[0].num_elements(); ++i)
      ASSERT_NEAR(results[0].real(i), results[1].real(i), 1e-11) << "element " << i;
  }

 private:
  Function graph_;
  std::vector<Literal> arguments_;
  std::mt19937_64 random_{7};

 public:
  GraphBuilder builder;
};

const Ints kFirst{0, 3, 1, 2}, kLast{0, 2, 3, 1};

Attributes definition(const Ints& low) {
  return {{Attr::Strides, Ints{1, 1}},
          {Attr::Low, low},
          {Attr::Dilation, Ints{1, 1}},
          {Attr::Groups, int64_t{1}}};
}

TEST(Winograd, IsTheConvolution) {
  for (const Geometry& g : kGeometries)
    for (const int64_t lanes : {1, 2, 4}) {
      Comparison c;
      const Value x = c.argument(g.x()), w = c.argument(g.w());
      const Value u = c.add(Op::WinogradWeights, {(g.out + lanes - 1) / lanes, g.points(), g.in, lanes}, {w},
                            {{Attr::Tile, g.tile}, {Attr::Lanes, lanes}, {Attr::Turned, false}});
      const Value v =
          c.add(Op::WinogradInput,
                {(g.in + lanes - 1) / lanes, g.points(), g.batch, g.tiles()[0], g.tiles()[1], lanes}, {x},
                {{Attr::Tile, g.tile}, {Attr::Low, g.low}, {Attr::Lanes, lanes}});
      const Value fused = c.add(Op::ConvWinograd, g.y(), {x, u}, {{Attr::Tile, g.tile}, {Attr::Low, g.low}});
      const Value apart = c.add(Op::ConvWinogradTransformed, g.y(), {v, u}, {{Attr::Tile, g.tile}});
      const Shape y = g.y();
      const Value exact = c.permuted(
          c.add(Op::Conv, {y[0], y[3], y[1], y[2]}, {c.permuted(x, kFirst), w}, definition(g.low)), kLast);
      c.expect_equal(fused, exact);
      c.expect_equal(apart, exact);
    }
}

TEST(Winograd, TurnedIsTheGradientByData) {
  for (const Geometry& g : kGeometries) {
    Comparison c;
    const Value dy = c.argument(g.y()), w = c.argument(g.w());
    const Value u = c.add(Op::WinogradWeights, {(g.in + 1) / 2, g.points(), g.out, 2}, {w},
                          {{Attr::Tile, g.tile}, {Attr::Lanes, int64_t{2}}, {Attr::Turned, true}});
    const Value dx = c.add(Op::ConvWinograd, g.x(), {dy, u},
                           {{Attr::Tile, g.tile}, {Attr::Low, Ints{2 - g.low[0], 2 - g.low[1]}}});
    const Shape x = g.x();
    const Value exact = c.permuted(c.add(Op::ConvInputGradient, {x[0], x[3], x[1], x[2]},
                                         {c.permuted(dy, kFirst), w}, definition(g.low)),
                                   kLast);
    c.expect_equal(dx, exact);
  }
}

TEST(Winograd, HasTheGradientByWeights) {
  for (const Geometry& g : kGeometries)
    for (const int64_t lanes : {1, 2, 4}) {
      Comparison c;
      const Value x = c.argument(g.x()), dy = c.argument(g.y());
      const auto transformed = [&](int64_t channels, int64_t width) {
        return Ints{(channels + width - 1) / width, g.points(), g.batch, g.tiles()[0], g.tiles()[1], width};
      };
      const Value v = c.add(Op::WinogradInput, transformed(g.in, 2), {x},
                            {{Attr::Tile, g.tile}, {Attr::Low, g.low}, {Attr::Lanes, int64_t{2}}});
      const Value dg = c.add(Op::WinogradOutputGradient, transformed(g.out, lanes), {dy},
                             {{Attr::Tile, g.tile}, {Attr::Lanes, lanes}});
      const Value du =
          c.add(Op::ConvWinogradWeightGradient, {(g.out + lanes - 1) / lanes, g.points(), g.in, lanes},
                {v, dg}, {{Attr::Tile, g.tile}});
      const Value dw = c.add(Op::WinogradWeightGradient, g.w(), {du}, {{Attr::Tile, g.tile}});
      c.expect_equal(dw, c.add(Op::ConvWeightGradient, g.w(), {c.permuted(x, kFirst), c.permuted(dy, kFirst)},
                               definition(g.low)));
    }
}

}  // namespace
}  // namespace nncc
