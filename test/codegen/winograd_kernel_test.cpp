// Winograd's convolutions against the reference evaluator.
#include <gtest/gtest.h>

#include "codegen/schedule.h"
#include "ir/diagnostic.h"
#include "ir/winograd.h"
#include "test/codegen/kernel_cases.h"

namespace nncc::testing {
namespace {

using Ints = std::vector<int64_t>;

struct Geometry {
  int64_t tile, batch, in, out, lanes, image_lanes;
  Ints image, low{1, 1}, high{1, 1};

  Shape x() const { return {batch, image[0], image[1], in}; }
  Shape y() const { return {batch, image[0] + low[0] + high[0] - 2, image[1] + low[1] + high[1] - 2, out}; }
  Shape w() const { return {out, in, 3, 3}; }
  Shape u() const { return {(out + lanes - 1) / lanes, (tile + 2) * (tile + 2), in, lanes}; }
  Shape turned() const { return {(in + lanes - 1) / lanes, (tile + 2) * (tile + 2), out, lanes}; }
  Shape transformed(int64_t channels, int64_t width) const {
    return {(channels + width - 1) / width, (tile + 2) * (tile + 2),    batch,
            (y()[1] + tile - 1) / tile,     (y()[2] + tile - 1) / tile, width};
  }
  std::string str() const {
    return "F" + std::to_string(tile) + " " + TensorType{DType::F32, x()}.str() + " -> " +
           TensorType{DType::F32, y()}.str() + " in panels of " + std::to_string(lanes);
  }
};

// Whole tiles and parts of tiles; parts of panels; channels in vectors of 16, 8, 4 and 1; several register
// tiles, rows and images in a block, and several blocks along each axis.
const Geometry kGeometries[] = {
    {4, 1, 16, 32, 32, 16, {8, 8}},  {2, 1, 16, 32, 32, 16, {8, 8}},
    {4, 1, 32, 16, 16, 16, {7, 7}},  {4, 5, 16, 48, 32, 16, {7, 7}},
    {2, 3, 24, 40, 16, 8, {13, 13}}, {4, 2, 20, 18, 16, 4, {14, 14}},
    {4, 1, 5, 7, 16, 16, {9, 6}},    {2, 1, 3, 5, 8, 3, {4, 5}},
    {4, 2, 48, 64, 32, 16, {3, 29}}, {4, 1, 64, 16, 16, 16, {6, 150}},
    {4, 1, 160, 8, 8, 16, {5, 70}},  {2, 2, 16, 16, 16, 16, {6, 6}, {0, 2}, {1, 0}},
    {4, 1, 1, 1, 4, 1, {4, 4}},      {4, 1, 16, 32, 32, 16, {1, 1}},
};

// Weights as they come out of their transform, so that no sum is larger than those of a network.
Literal transformed_weights(const Geometry& g, DType dtype, std::mt19937_64& random) {
  Function function;
  GraphBuilder b(function.body);
  const Value w = function.body.add_argument("w", {dtype, g.w()});
  function.body.results = {
      {"u", b.add_typed(Op::WinogradWeights, std::array{w}, {dtype, g.u()},
                        {{Attr::Tile, g.tile}, {Attr::Lanes, g.lanes}, {Attr::Turned, false}})}};
  const double most = 1 / std::sqrt(9.0 * static_cast<double>(g.in));
  const Module module;
  return Evaluator(module).call(function, std::array{random_literal({dtype, g.w()}, random, -most, most)})[0];
}
Literal transformed_input(const Geometry& g, DType dtype, std::mt19937_64& random) {
  Function function;
  GraphBuilder b(function.body);
  const Value x = function.body.add_argument("x", {dtype, g.x()});
  function.body.results = {
      {"v", b.add_typed(Op::WinogradInput, std::array{x}, {dtype, g.transformed(g.in, g.image_lanes)},
                        {{Attr::Tile, g.tile}, {Attr::Low, g.low}, {Attr::Lanes, g.image_lanes}})}};
  const Module module;
  return Evaluator(module).call(function, std::array{random_literal({dtype, g.x()}, random)})[0];
}

constexpr Tolerance kSum{64, 5e-5}, kExactSum{64, 1e-12};

// The convolution, from images as they are or transformed; `finish` does something with its elements.
void add_convolution(KernelCases& cases, const Geometry& g, DType dtype, bool apart, std::mt19937_64& random,
                     const std::vector<TensorType>& more = {},
                     const std::function<Values(GraphBuilder&, const Values&)>& finish = nullptr) {
  std::vector<Literal> arguments;
  arguments.push_back(apart ? transformed_input(g, dtype, random) : random_literal({dtype, g.x()}, random));
  arguments.push_back(transformed_weights(g, dtype, random));
  for (const TensorType& type : more) arguments.push_back(random_literal(type, random));
  Attributes attributes{{Attr::Tile, g.tile}};
  if (!apart) attributes.set(Attr::Low, g.low);
  const Op op = apart ? Op::ConvWinogradTransformed : Op::ConvWinograd;
  cases.add(g.str() + (apart ? " apart" : ""), arguments, dtype == DType::F64 ? kExactSum : kSum,
            [&](GraphBuilder& b, const Values& x) {
              Values values{b.add_typed(op, std::array{x[0], x[1]}, {dtype, g.y()}, attributes)};
              if (!finish) return values;
              values.insert(values.end(), x.begin() + 2, x.end());
              return finish(b, values);
            });
}

// Bias, residual and ReLU.
Values finish_layer(GraphBuilder& b, const Values& v) {
  const Shape& shape = b.type(v[0]).shape;
  const Value bias = b.broadcast_to(v[1], shape);
  const Value sum = b.add(Op::Add, {b.add(Op::Add, {v[0], bias}), v[2]});
  return {b.add(Op::Max, {sum, b.splat_like(sum, 0)})};
}

TEST(Winograd, Convolutions) {
  std::mt19937_64 random(11);
  for (const int threads : {1, 2})
    for (const bool apart : {false, true}) {
      KernelCases cases(threads);
      for (const Geometry& g : kGeometries) add_convolution(cases, g, DType::F32, apart, random);
      cases.run();
    }
}

TEST(Winograd, IntoRowsWithGaps) {
  std::mt19937_64 random(21);
  for (const bool apart : {false, true}) {
    KernelCases cases(2);
    for (const Geometry& g : kGeometries)
      if (g.out > 1) add_convolution(cases, g, DType::F32, apart, random);
    cases.run_in_rows();
  }
}

// Few blocks have fewer rows of tiles than would fit: two threads then get the same.
TEST(Winograd, LowBlocksWhereTheyAreFew) {
  std::mt19937_64 random(20);
  KernelCases cases(2);
  add_convolution(cases, {4, 1, 16, 32, 32, 16, {16, 56}}, DType::F32, false, random);
  KernelLibrary::pieces().clear();
  cases.run();
  EXPECT_EQ(KernelLibrary::pieces(), std::vector<int>{4});
}

TEST(Winograd, Epilogues) {
  std::mt19937_64 random(12);
  KernelCases cases(2);
  for (const bool apart : {false, true})
    for (const Geometry& g : kGeometries) {
      add_convolution(cases, g, DType::F32, apart, random, {{DType::F32, {g.out}}, {DType::F32, g.y()}},
                      finish_layer);
      cases.in_place({3});
    }
  // Several results, in other shapes.
  const Geometry& g = kGeometries[3];
  add_convolution(cases, g, DType::F32, false, random, {}, [](GraphBuilder& b, const Values& v) {
    const Value flat = b.reshape(v[0], {b.type(v[0]).num_elements()});
    return Values{b.add(Op::Sigmoid, {flat}), b.add(Op::Gt, {v[0], b.splat_like(v[0], 0)})};
  });
  cases.run();
}

TEST(Winograd, DoublePrecision) {
  std::mt19937_64 random(13);
  KernelCases cases;
  for (const bool apart : {false, true})
    for (const size_t i : {0, 4, 6}) add_convolution(cases, kGeometries[i], DType::F64, apart, random);
  cases.run();
}

TEST(Winograd, OtherTargets) {
  std::mt19937_64 random(14);
  for (const char* name : {"x86-64-v2", "x86-64-v3"}) {
    Diagnostics diags;
    const auto target = find_target(name, diags);
    KernelCases cases(1, *target);
    for (const bool apart : {false, true})
      for (const size_t i : {0, 3, 4, 5}) add_convolution(cases, kGeometries[i], DType::F32, apart, random);
    cases.run();
  }
}

// A tile of all channels is larger than the stack.
TEST(Winograd, TooManyChannels) {
  std::mt19937_64 random(15);
  KernelCases cases;
  add_convolution(cases, {4, 1, 2500, 1, 1, 4, {2, 3}}, DType::F32, false, random);
  add_convolution(cases, {4, 1, 2500, 1, 1, 4, {2, 3}}, DType::F32, true, random);
  cases.run();
}

TEST(Winograd, Transforms) {
  std::mt19937_64 random(16);
  for (const int threads : {1, 2}) {
    KernelCases cases(threads);
    for (const Geometry& g : kGeometries)
      for (const DType dtype : {DType::F32, DType::F64}) {
        if (dtype == DType::F64 && (threads > 1 || g.lanes > 16)) continue;
        const auto add = [&](Op op, const Shape& from, const Shape& to, const Attributes& attributes) {
          cases.add(std::string(op_info(op).name) + " " + g.str(), {random_literal({dtype, from}, random)},
                    {64, dtype == DType::F64 ? 1e-13 : 5e-5}, [&](GraphBuilder& b, const Values& x) {
                      return Values{b.add_typed(op, x, {dtype, to}, attributes)};
                    });
        };
        for (const bool turned : {false, true})
          add(Op::WinogradWeights, g.w(), turned ? g.turned() : g.u(),
              {{Attr::Tile, g.tile}, {Attr::Lanes, g.lanes}, {Attr::Turned, turned}});
        add(Op::WinogradInput, g.x(), g.transformed(g.in, g.image_lanes),
            {{Attr::Tile, g.tile}, {Attr::Low, g.low}, {Attr::Lanes, g.image_lanes}});
        add(Op::WinogradOutputGradient, g.y(), g.transformed(g.out, g.lanes),
            {{Attr::Tile, g.tile}, {Attr::Lanes, g.lanes}});
        add(Op::WinogradWeightGradient, g.u(), g.w(), {{Attr::Tile, g.tile}});
      }
    cases.run();
  }
}

TEST(Winograd, WeightGradients) {
  std::mt19937_64 random(17);
  for (const int threads : {1, 2}) {
    KernelCases cases(threads);
    for (const Geometry& g : kGeometries)
      for (const DType dtype : {DType::F32, DType::F64})
        cases.add("by weights " + g.str(),
                  {random_literal({dtype, g.transformed(g.in, g.image_lanes)}, random),
                   random_literal({dtype, g.transformed(g.out, g.lanes)}, random)},
                  {64, dtype == DType::F64 ? 1e-12 : 2e-4}, [&](GraphBuilder& b, const Values& x) {
                    return Values{b.add_typed(Op::ConvWinogradWeightGradient, x, {dtype, g.u()},
                                              {{Attr::Tile, g.tile}})};
                  });
    cases.run();
  }
}

// The largest error of a kernel relative to the largest result, at random places: docs/numerics.md.
TEST(Winograd, Errors) {
  std::mt19937_64 random(20);
  for (const int64_t tile : {2, 4})
    for (const int64_t channels : {64, 128, 256, 512}) {
      const Geometry g{tile, 1, channels, 32, 32, 16, {14, 14}};
      const Literal x = random_literal({DType::F32, g.x()}, random, -1, 1),
                    w = random_literal({DType::F32, g.w()}, random, -1, 1);
      std::vector<Function> functions(2);
      const auto define = [](Function& f, Op op, const std::vector<Shape>& from, const Shape& to,
                             const Attributes& attributes) {
        f.kind = FunctionKind::Kernel;
        GraphBuilder b(f.body);
        Values arguments;
        for (const Shape& shape : from)
          arguments.push_back(
              f.body.add_argument("a" + std::to_string(arguments.size()), {DType::F32, shape}));
        f.body.results = {{"r", b.add_typed(op, arguments, {DType::F32, to}, attributes)}};
      };
      define(functions[0], Op::WinogradWeights, {g.w()}, g.u(),
             {{Attr::Tile, tile}, {Attr::Lanes, g.lanes}, {Attr::Turned, false}});
      define(functions[1], Op::ConvWinograd, {g.x(), g.u()}, g.y(), {{Attr::Tile, tile}, {Attr::Low, g.low}});
      CodegenOptions options;
      options.threads = 1;
      options.target = &host_target();
      const KernelLibrary library(functions, options);
      const Literal u = library.call(0, std::array{w})[0], y = library.call(1, std::array{x, u})[0];
      double error = 0, largest = 0;
      for (int i = 0; i < 500; ++i) {
        const auto o = static_cast<int64_t>(random() % 32), row = static_cast<int64_t>(random() % 14),
                   column = static_cast<int64_t>(random() % 14);
        double exact = 0;
        for (int64_t p = std::max<int64_t>(row - 1, 0); p <= std::min<int64_t>(row + 1, 13); ++p)
          for (int64_t q = std::max<int64_t>(column - 1, 0); q <= std::min<int64_t>(column + 1, 13); ++q)
            for (int64_t c = 0; c < channels; ++c)
              exact += x.real((p * 14 + q) * channels + c) *
                       w.real(((o * channels + c) * 3 + p - row + 1) * 3 + q - column + 1);
        error = std::max(error, std::abs(exact - y.real((row * 14 + column) * 32 + o)));
        largest = std::max(largest, std::abs(exact));
      }
      std::printf("F%d, %d channels: %.1e\n", static_cast<int>(tile), static_cast<int>(channels),
                  error / largest);
      EXPECT_LT(error / largest, tile == 2 ? 2e-6 : 5e-5);
      EXPECT_GT(error, 0);
    }
}

// Not in the shape of the schedules: an epilogue of a transform, two products.
TEST(Winograd, OddBodies) {
  std::mt19937_64 random(18);
  const Geometry& g = kGeometries[6];
  KernelCases cases;
  cases.add("transform and more", {random_literal({DType::F32, g.x()}, random)}, kSum,
            [&](GraphBuilder& b, const Values& x) {
              const Value v =
                  b.add_typed(Op::WinogradInput, x, {DType::F32, g.transformed(g.in, 16)},
                              {{Attr::Tile, g.tile}, {Attr::Low, g.low}, {Attr::Lanes, int64_t{16}}});
              return Values{b.neg(v)};
            });
  cases.add("two products",
            {random_literal({DType::F32, g.x()}, random), transformed_weights(g, DType::F32, random)}, kSum,
            [&](GraphBuilder& b, const Values& x) {
              const auto product = [&] {
                return b.add_typed(Op::ConvWinograd, x, {DType::F32, g.y()},
                                   {{Attr::Tile, g.tile}, {Attr::Low, g.low}});
              };
              return Values{b.add(Op::Add, {product(), product()})};
            });
  cases.run();
}

// What a thread computes does not depend on how many there are.
TEST(Winograd, SameBitsForAnyNumberOfThreads) {
  std::mt19937_64 random(19);
  const Geometry g{4, 2, 64, 64, 32, 16, {28, 28}};
  const std::vector<Literal> arguments{random_literal({DType::F32, g.x()}, random),
                                       transformed_weights(g, DType::F32, random)};
  Function function;
  function.kind = FunctionKind::Kernel;
  GraphBuilder b(function.body);
  const Value x = function.body.add_argument("x", {DType::F32, g.x()}),
              u = function.body.add_argument("u", {DType::F32, g.u()});
  function.body.results = {{"y", b.add_typed(Op::ConvWinograd, std::array{x, u}, {DType::F32, g.y()},
                                             {{Attr::Tile, g.tile}, {Attr::Low, g.low}})}};
  EXPECT_EQ(schedule_form(function.body), ScheduleForm::Winograd);
  expect_same_bits_for_any_threads(function, arguments);
}

}  // namespace
}  // namespace nncc::testing
