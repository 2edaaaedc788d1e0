// Convolutions whose kernels pool their elements, or gather statistics of them, against the reference
// evaluator.
#include <gtest/gtest.h>

#include "codegen/schedule.h"
#include "ir/pooling.h"
#include "ir/statistics.h"
#include "ir/winograd.h"
#include "test/codegen/kernel_cases.h"

namespace nncc::testing {
namespace {

using Ints = std::vector<int64_t>;

struct Pool {
  int64_t rows, columns;
  Shape windows(const Shape& image) const {
    return {image[0], image[1] / rows, image[2] / columns, image[3]};
  }
  Attributes attributes() const {
    const Ints sizes{1, rows, columns, 1};
    return {{Attr::Sizes, sizes}, {Attr::Strides, sizes}, {Attr::Low, Ints{0, 0, 0, 0}}};
  }
};

struct Direct {
  const char* name;
  Shape x;
  int64_t out, lanes, groups;
  Ints window, strides, low, high;

  Shape w() const {
    return {groups * ((out / groups + lanes - 1) / lanes), window[0], x[3] / groups, window[1], lanes};
  }
  Shape y() const {
    const auto extent = [&](size_t i) { return (x[i + 1] + low[i] + high[i] - window[i]) / strides[i] + 1; };
    return {x[0], extent(0), extent(1), out};
  }
  Attributes attributes() const {
    return {{Attr::Strides, strides}, {Attr::Low, low}, {Attr::Dilation, Ints{1, 1}}, {Attr::Groups, groups}};
  }
};

// Whole tiles and parts of tiles, parts of panels, panels in parts, several images to a tile, images smaller
// than the window, dot products, strides, groups.
const Direct kDirect[] = {
    {"whole tiles", {2, 12, 28, 16}, 64, 32, 1, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
    {"tails", {1, 7, 19, 5}, 37, 16, 1, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
    {"few channels", {3, 12, 12, 1}, 6, 8, 1, {5, 5}, {1, 1}, {2, 2}, {2, 2}},
    {"unpadded", {3, 14, 14, 6}, 16, 16, 1, {5, 5}, {1, 1}, {0, 0}, {0, 0}},
    {"parts of a panel", {1, 6, 9, 4}, 200, 96, 1, {2, 2}, {1, 1}, {0, 0}, {1, 1}},
    {"short rows", {6, 5, 3, 8}, 32, 32, 1, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
    {"smaller than the window", {2, 4, 3, 3}, 8, 8, 1, {7, 5}, {1, 1}, {3, 2}, {3, 2}},
    {"dot products", {2, 7, 10, 32}, 2, 4, 1, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
    {"strides", {1, 23, 26, 3}, 32, 32, 1, {7, 7}, {2, 2}, {3, 3}, {3, 3}},
    {"1x1", {2, 8, 9, 16}, 48, 16, 1, {1, 1}, {1, 1}, {0, 0}, {0, 0}},
    {"groups", {2, 6, 9, 32}, 64, 16, 2, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
    {"long rows", {1, 6, 130, 3}, 16, 16, 1, {3, 3}, {1, 1}, {1, 1}, {1, 1}},
};
const Pool kPools[] = {{2, 2}, {3, 3}, {1, 2}, {2, 3}};

// Bias, residual and ReLU; of each window the largest and the mean of all, and something after. With
// positions, where the largest lies, of what has no equals.
Values finish(GraphBuilder& b, Value y, const Values& x, const Pool& pool, bool positions) {
  const TensorType type = b.type(y);
  const TensorType pooled{type.dtype, pool.windows(type.shape)};
  const Value sum = b.add(b.add(y, b.broadcast(x[2], type.shape, {3})), x[3]);
  const Value a = positions ? sum : b.add(Op::Max, {sum, b.splat_like(sum, 0)});
  const Value largest = b.add_typed(Op::WindowMax, {a}, pooled, pool.attributes());
  Values values{largest};
  if (positions)
    values.push_back(b.add_typed(Op::WindowArgMax, {a}, {DType::I32, pooled.shape}, pool.attributes()));
  const Value mean = b.mul(b.add_typed(Op::WindowSum, {a}, pooled, pool.attributes()),
                           1.0 / static_cast<double>(pool.rows * pool.columns));
  values.push_back(b.reshape(b.add(mean, x[4]), {pooled.num_elements()}));
  return values;
}

void add_direct(KernelCases& cases, const Direct& g, const Pool& pool, DType dtype, bool positions,
                std::mt19937_64& random) {
  const Shape y = g.y(), windows = pool.windows(y);
  if (num_elements(windows) == 0) return;
  std::vector<Literal> arguments;
  for (const Shape& shape : {g.x, g.w(), Shape{g.out}, y, windows})
    arguments.push_back(random_literal({dtype, shape}, random, -0.5, 0.5));
  cases.add(std::string(g.name) + " in " + std::to_string(pool.rows) + " x " + std::to_string(pool.columns),
            arguments, {64, dtype == DType::F64 ? 1e-11 : 2e-4}, [&](GraphBuilder& b, const Values& x) {
              const Value conv = b.add_typed(Op::ConvPacked, {x[0], x[1]}, {dtype, y}, g.attributes());
              return finish(b, conv, x, pool, positions);
            });
}

TEST(Pooling, AfterConvolutions) {
  std::mt19937_64 random(21);
  KernelCases one(1), two(2);
  size_t index = 0;
  for (const Direct& g : kDirect) {
    add_direct(one, g, {2, 2}, DType::F32, ++index % 2 == 0, random);
    add_direct(two, g, kPools[index % 4], DType::F32, index % 2 == 0, random);
    if (index % 3 == 0) add_direct(one, g, {2, 3}, DType::F64, false, random);
  }
  one.run();
  two.run();
}

TEST(Pooling, OtherTargets) {
  for (const char* name : {"x86-64-v2", "x86-64-v3"}) {
    Diagnostics diags;
    const auto target = find_target(name, diags);
    std::mt19937_64 random(22);
    KernelCases cases(1, *target);
    for (size_t i : {0, 1, 2, 7}) add_direct(cases, kDirect[i], {2, 2}, DType::F32, false, random);
    cases.run();
  }
}

struct Winograd {
  int64_t tile;
  Shape x;
  int64_t out, lanes, image_lanes;

  Shape y() const { return {x[0], x[1], x[2], out}; }
  Shape u() const { return {(out + lanes - 1) / lanes, (tile + 2) * (tile + 2), x[3], lanes}; }
  Shape transformed() const {
    return {(x[3] + image_lanes - 1) / image_lanes,
            (tile + 2) * (tile + 2),
            x[0],
            (x[1] + tile - 1) / tile,
            (x[2] + tile - 1) / tile,
            image_lanes};
  }
};
// Whole tiles, and tiles of which windows take a part; several columns, rows and images in a block.
const Winograd kWinograd[] = {
    {4, {1, 8, 8, 16}, 32, 32, 16},  {2, {1, 8, 8, 16}, 32, 32, 16},  {4, {5, 7, 7, 16}, 48, 32, 16},
    {4, {2, 14, 14, 20}, 18, 16, 4}, {2, {3, 14, 12, 24}, 40, 16, 8}, {4, {1, 6, 150, 64}, 16, 16, 16},
    {4, {2, 3, 30, 48}, 64, 32, 16}, {4, {1, 7, 6, 5}, 7, 16, 5},     {4, {1, 28, 56, 16}, 32, 32, 16},
};

void add_winograd(KernelCases& cases, const Winograd& g, const Pool& pool, DType dtype, bool apart,
                  bool positions, std::mt19937_64& random) {
  const Shape y = g.y(), windows = pool.windows(y);
  std::vector<Literal> arguments;
  for (const Shape& shape : {apart ? g.transformed() : g.x, g.u(), Shape{g.out}, y, windows})
    arguments.push_back(random_literal({dtype, shape}, random, -0.1, 0.1));
  Attributes attributes{{Attr::Tile, g.tile}};
  if (!apart) attributes.set(Attr::Low, Ints{1, 1});
  cases.add("F" + std::to_string(g.tile) + " of " + TensorType{dtype, g.x}.str() + (apart ? " apart" : ""),
            arguments, {64, dtype == DType::F64 ? 1e-11 : 2e-4}, [&](GraphBuilder& b, const Values& x) {
              const Value conv = b.add_typed(apart ? Op::ConvWinogradTransformed : Op::ConvWinograd,
                                             {x[0], x[1]}, {dtype, y}, attributes);
              const auto values = finish(b, conv, x, pool, positions);
              EXPECT_TRUE(pooling_after(b.graph(), conv.node, values[0].node));
              return values;
            });
}

TEST(Pooling, AfterWinograd) {
  std::mt19937_64 random(23);
  KernelCases one(1), two(2);
  bool apart = false;
  for (const Winograd& g : kWinograd) {
    apart = !apart;
    add_winograd(one, g, {2, 2}, DType::F32, apart, false, random);
    add_winograd(two, g, g.tile == 4 && g.x[1] % 4 == 0 ? Pool{4, 2} : Pool{2, 2}, DType::F32, !apart, false,
                 random);
  }
  add_winograd(one, kWinograd[2], {2, 2}, DType::F64, false, true, random);
  one.run();
  two.run();
}

// Of kernels compiled for one thread and for two, at least four of which are cut.
void expect_same_bits(const KernelCases& one, const KernelCases& two) {
  const auto a = one.results();
  KernelLibrary::pieces().clear();
  const auto b = two.results();
  EXPECT_GE(KernelLibrary::pieces().size(), 4u);
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t r = 0; r < a[i].size(); ++r)
      EXPECT_TRUE(a[i][r].to_bytes() == b[i][r].to_bytes()) << "result " << r << " of case " << i;
}

TEST(Pooling, SameBitsInPieces) {
  KernelCases one(1), two(2);
  for (KernelCases* cases : {&one, &two}) {
    std::mt19937_64 random(25);
    for (size_t i : {0, 3, 9}) add_direct(*cases, kDirect[i], {2, 2}, DType::F32, true, random);
    // One panel of one image: cut between rows of windows.
    add_direct(*cases, {"rows", {1, 60, 60, 16}, 16, 16, 1, {3, 3}, {1, 1}, {1, 1}, {1, 1}}, {2, 2},
               DType::F32, false, random);
    add_winograd(*cases, kWinograd[8], {2, 2}, DType::F32, false, true, random);
    add_winograd(*cases, kWinograd[8], {2, 2}, DType::F32, true, false, random);
  }
  expect_same_bits(one, two);
}

// The schedules of convolutions take them; nothing else is fast.
TEST(Pooling, HasTheScheduleOfTheConvolution) {
  const auto form = [](Op op, const Shape& first, const Shape& second, const TensorType& y,
                       const Attributes& attributes) {
    Graph body;
    GraphBuilder b(body);
    Values x{body.add_argument("x", {y.dtype, first}), body.add_argument("w", {y.dtype, second}),
             body.add_argument("b", {y.dtype, {y.shape[3]}}), body.add_argument("r", y)};
    const Pool pool{2, 2};
    x.push_back(body.add_argument("m", {y.dtype, pool.windows(y.shape)}));
    const Value conv = b.add_typed(op, {x[0], x[1]}, y, attributes);
    for (const Value v : finish(b, conv, x, pool, true)) body.results.push_back({"r", v});
    return schedule_form(body);
  };
  const Direct& d = kDirect[0];
  EXPECT_EQ(form(Op::ConvPacked, d.x, d.w(), {DType::F32, d.y()}, d.attributes()), ScheduleForm::Convolution);
  const Winograd& w = kWinograd[0];
  EXPECT_EQ(form(Op::ConvWinograd, w.x, w.u(), {DType::F32, w.y()},
                 {{Attr::Tile, w.tile}, {Attr::Low, Ints{1, 1}}}),
            ScheduleForm::Winograd);
}

// The result with a bias, the first pixels of its blocks, and what batch_norm sums of the distances from
// these.
Values gather(GraphBuilder& b, Value conv, Value bias) {
  const TensorType type = b.type(conv);
  const auto blocks = statistics_blocks(b.graph(), conv.node);
  EXPECT_TRUE(blocks);
  if (!blocks) return {conv};
  const Shape whole{blocks->count, blocks->pixels, type.shape[3]};
  const Value y = b.add(conv, b.broadcast(bias, type.shape, {3}));
  const Value v = b.reshape(y, whole);
  const Value first = b.add_typed(Op::Slice, {v}, {type.dtype, {blocks->count, 1, type.shape[3]}},
                                  {{Attr::Starts, Ints{0, 0, 0}}, {Attr::Strides, Ints{1, 1, 1}}});
  const Value d = b.sub(v, b.broadcast(first, whole, {0, 1, 2}));
  return {b.reduce(Op::ReduceSum, d, {1}), y, first, b.reduce(Op::ReduceSum, b.mul(d, d), {1})};
}

Literal bias_of(const TensorType& type, std::mt19937_64& random) {
  return random_literal({type.dtype, {type.shape[3]}}, random, 90, 110);
}

void gather_direct(KernelCases& cases, const Direct& g, DType dtype, std::mt19937_64& random) {
  const TensorType y{dtype, g.y()};
  cases.add(std::string(g.name) + " with statistics",
            {random_literal({dtype, g.x}, random, -0.5, 0.5),
             random_literal({dtype, g.w()}, random, -0.5, 0.5), bias_of(y, random)},
            {64, dtype == DType::F64 ? 1e-9 : 2e-3}, [&](GraphBuilder& b, const Values& x) {
              return gather(b, b.add_typed(Op::ConvPacked, {x[0], x[1]}, y, g.attributes()), x[2]);
            });
}

void gather_winograd(KernelCases& cases, const Winograd& g, DType dtype, bool apart,
                     std::mt19937_64& random) {
  const TensorType y{dtype, g.y()};
  Attributes attributes{{Attr::Tile, g.tile}};
  if (!apart) attributes.set(Attr::Low, Ints{1, 1});
  cases.add("F" + std::to_string(g.tile) + " of " + TensorType{dtype, g.x}.str() + " with statistics",
            {random_literal({dtype, apart ? g.transformed() : g.x}, random, -0.1, 0.1),
             random_literal({dtype, g.u()}, random, -0.1, 0.1), bias_of(y, random)},
            {64, dtype == DType::F64 ? 1e-9 : 2e-3}, [&](GraphBuilder& b, const Values& x) {
              const Op op = apart ? Op::ConvWinogradTransformed : Op::ConvWinograd;
              return gather(b, b.add_typed(op, {x[0], x[1]}, y, attributes), x[2]);
            });
}

// Blocks that are images and parts of images; rows of tiles, and images of them where rows are odd.
const Winograd kGathered[] = {
    {4, {1, 8, 8, 16}, 32, 32, 16},  {2, {3, 14, 12, 24}, 40, 16, 8}, {4, {5, 7, 7, 16}, 48, 32, 16},
    {4, {2, 8, 29, 48}, 64, 32, 16}, {4, {3, 13, 14, 20}, 18, 16, 4}, {4, {1, 28, 56, 16}, 32, 32, 16},
};

TEST(Statistics, OfConvolutions) {
  std::mt19937_64 random(31);
  KernelCases one(1), two(2);
  int index = 0;
  for (const Direct& g : kDirect) {
    if (g.y()[1] * g.y()[2] < 16) continue;
    gather_direct(one, g, ++index % 3 == 0 ? DType::F64 : DType::F32, random);
    gather_direct(two, g, DType::F32, random);
  }
  for (const Winograd& g : kGathered) {
    gather_winograd(one, g, DType::F32, ++index % 2 == 0, random);
    gather_winograd(two, g, DType::F32, index % 2 != 0, random);
  }
  gather_winograd(one, kGathered[2], DType::F64, false, random);
  one.run();
  two.run();
}

TEST(Statistics, SameBitsInPieces) {
  KernelCases one(1), two(2);
  for (KernelCases* cases : {&one, &two}) {
    std::mt19937_64 random(32);
    gather_direct(*cases, kDirect[0], DType::F32, random);
    gather_direct(*cases, kDirect[9], DType::F32, random);
    // One panel of one image: parts of it.
    gather_direct(*cases, {"rows", {1, 60, 60, 16}, 16, 16, 1, {3, 3}, {1, 1}, {1, 1}, {1, 1}}, DType::F32,
                  random);
    for (const bool apart : {false, true}) gather_winograd(*cases, kGathered[5], DType::F32, apart, random);
  }
  expect_same_bits(one, two);
}

// A mean alone, of an image after a residual and ReLU: no element is stored.
TEST(Statistics, WithoutTheElements) {
  std::mt19937_64 random(33);
  KernelCases cases(2);
  const Direct& g = kDirect[0];
  const TensorType y{DType::F32, g.y()};
  cases.add("mean of an image",
            {random_literal({DType::F32, g.x}, random, -0.5, 0.5),
             random_literal({DType::F32, g.w()}, random, -0.5, 0.5), random_literal(y, random)},
            {64, 1e-3}, [&](GraphBuilder& b, const Values& x) {
              const Value conv = b.add_typed(Op::ConvPacked, {x[0], x[1]}, y, g.attributes());
              const auto blocks = statistics_blocks(b.graph(), conv.node);
              const Value sum = b.add(conv, x[2]);
              const Value v = b.reshape(b.add(Op::Max, {sum, b.splat_like(sum, 0)}),
                                        {blocks->count, blocks->pixels, y.shape[3]});
              return Values{b.reduce(Op::ReduceSum, v, {1})};
            });
  cases.run();
}

}  // namespace
}  // namespace nncc::testing
