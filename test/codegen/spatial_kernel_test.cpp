// Convolutions in every layout, their gradients, and windows, against the reference evaluator.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "ir/convolution.h"
#include "test/codegen/kernel_cases.h"

namespace nncc::testing {
namespace {

using Ints = std::vector<int64_t>;

struct Geometry {
  const char* name;
  int64_t batch, in, out, groups;
  Ints image, window, strides, low, high, dilation;

  Ints output() const {
    Ints result;
    for (size_t i = 0; i < image.size(); ++i)
      result.push_back((image[i] + low[i] + high[i] - (window[i] - 1) * dilation[i] - 1) / strides[i] + 1);
    return result;
  }
};

const Geometry kGeometries[] = {
    {"3x3", 2, 5, 7, 1, {6, 9}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
    {"1x1", 2, 16, 32, 1, {5, 7}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, {1, 1}},
    {"1x1 s2", 1, 8, 16, 1, {8, 7}, {1, 1}, {2, 2}, {0, 0}, {0, 0}, {1, 1}},
    {"5x5 of one channel", 3, 1, 6, 1, {12, 12}, {5, 5}, {1, 1}, {2, 2}, {2, 2}, {1, 1}},
    {"7x7 s2", 1, 3, 16, 1, {17, 20}, {7, 7}, {2, 2}, {3, 3}, {3, 3}, {1, 1}},
    {"4x4 s2", 2, 4, 18, 1, {8, 8}, {4, 4}, {2, 2}, {1, 1}, {1, 1}, {1, 1}},
    {"uneven", 1, 3, 5, 1, {9, 11}, {2, 3}, {3, 1}, {0, 2}, {1, 0}, {2, 1}},
    {"dilated", 1, 4, 4, 1, {10, 10}, {3, 3}, {1, 1}, {2, 2}, {2, 2}, {2, 2}},
    {"groups", 2, 6, 8, 2, {5, 6}, {3, 3}, {1, 2}, {1, 1}, {1, 1}, {1, 1}},
    {"rows left over", 1, 4, 16, 1, {8, 8}, {3, 3}, {2, 2}, {0, 0}, {0, 0}, {1, 1}},
};

Shape joined(std::initializer_list<Ints> parts) {
  Shape result;
  for (const Ints& part : parts) result.insert(result.end(), part.begin(), part.end());
  return result;
}

struct Shapes {
  Shape x, w, y;
};
Shapes shapes_of(const Geometry& g, ConvLayout layout, ConvKind kind, int64_t lanes) {
  const auto image = [&](int64_t channels, const Ints& extents) {
    return layout == ConvLayout::ChannelsFirst ? joined({{g.batch, channels}, extents})
                                               : joined({{g.batch}, extents, {channels}});
  };
  const int64_t in = g.in / g.groups, out = g.out / g.groups;
  const bool by_data = kind == ConvKind::InputGradient;
  const int64_t panels = g.groups * (((by_data ? in : out) + lanes - 1) / lanes);
  const Shape w = layout == ConvLayout::ChannelsFirst ? joined({{g.out, in}, g.window})
                  : layout == ConvLayout::Packed
                      ? Shape{panels, g.window[0], by_data ? out : in, g.window[1], lanes}
                      : Shape{g.window[0], g.window[1], g.in};
  return {image(g.in, g.image), w, image(g.out, g.output())};
}

void add_case(KernelCases& cases, Op op, const Geometry& g, const Shapes& shapes, DType dtype,
              std::mt19937_64& random, bool with_groups) {
  const bool by_data = op == Op::ConvInputGradient || op == Op::ConvInputGradientPacked ||
                       op == Op::DepthwiseConvInputGradient;
  const bool by_weight = op == Op::ConvWeightGradient || op == Op::ConvWeightGradientPacked ||
                         op == Op::DepthwiseConvWeightGradient;
  const TensorType first{dtype, by_data ? shapes.y : shapes.x},
      second{dtype, by_weight ? shapes.y : shapes.w},
      result{dtype, by_data     ? shapes.x
                    : by_weight ? shapes.w
                                : shapes.y};
  Attributes attributes{{Attr::Strides, g.strides}, {Attr::Low, g.low}, {Attr::Dilation, g.dilation}};
  if (with_groups) attributes.set(Attr::Groups, g.groups);
  cases.add(std::string(op_info(op).name) + " " + g.name,
            {random_literal(first, random), random_literal(second, random)}, {64, 1e-4},
            [&](GraphBuilder& b, const Values& x) { return Values{b.add_typed(op, x, result, attributes)}; });
}

TEST(Convolution, AllOpsInAllLayouts) {
  std::mt19937_64 random(3);
  KernelCases cases;
  for (const Geometry& g : kGeometries) {
    using enum ConvKind;
    for (const auto& [op, kind] : {std::pair{Op::Conv, Forward},
                                   {Op::ConvInputGradient, InputGradient},
                                   {Op::ConvWeightGradient, WeightGradient}})
      add_case(cases, op, g, shapes_of(g, ConvLayout::ChannelsFirst, kind, 1), DType::F32, random, true);
    for (const auto& [op, kind] : {std::pair{Op::ConvPacked, Forward},
                                   {Op::ConvInputGradientPacked, InputGradient},
                                   {Op::ConvWeightGradientPacked, WeightGradient}})
      for (const int64_t lanes : {16, 32})
        add_case(cases, op, g, shapes_of(g, ConvLayout::Packed, kind, lanes), DType::F32, random, true);
    Geometry depthwise = g;
    depthwise.groups = depthwise.out = g.in;
    for (const Op op : {Op::DepthwiseConv, Op::DepthwiseConvInputGradient, Op::DepthwiseConvWeightGradient})
      add_case(cases, op, depthwise, shapes_of(depthwise, ConvLayout::Depthwise, Forward, 1), DType::F32,
               random, false);
  }
  cases.run();
}

// Tiles and vectors that end within a row, also by strides and for few channels.
TEST(Convolution, IntoRowsWithGaps) {
  std::mt19937_64 random(6);
  for (const int threads : {1, 2}) {
    KernelCases cases(threads);
    for (const Geometry& g : kGeometries) {
      add_case(cases, Op::ConvPacked, g, shapes_of(g, ConvLayout::Packed, ConvKind::Forward, 16), DType::F32,
               random, true);
      if (g.in > 1)
        add_case(cases, Op::ConvInputGradientPacked, g,
                 shapes_of(g, ConvLayout::Packed, ConvKind::InputGradient, 16), DType::F32, random, true);
    }
    cases.run_in_rows();
  }
}

// Most taps of these windows meet no pixel.
const Geometry kSmallImages[] = {
    {"one pixel", 1, 16, 16, 1, {1, 1}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
    {"one pixel of few channels", 3, 3, 5, 1, {1, 1}, {5, 5}, {1, 1}, {2, 2}, {2, 2}, {1, 1}},
    {"one pixel of many channels", 2, 160, 32, 1, {1, 1}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
    {"one row", 2, 8, 16, 1, {1, 9}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
    {"one column", 2, 8, 16, 1, {9, 1}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
    {"one column of few channels", 2, 3, 16, 1, {9, 1}, {7, 7}, {1, 1}, {3, 3}, {3, 3}, {1, 1}},
    {"one window", 2, 8, 16, 1, {2, 2}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}},
    {"taps that read nothing", 4, 2, 3, 1, {3, 3}, {2, 2}, {2, 3}, {1, 1}, {0, 2}, {2, 1}},
    {"one window in groups", 2, 32, 32, 2, {2, 2}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}},
    {"small and dilated", 2, 8, 16, 1, {2, 2}, {3, 3}, {1, 1}, {3, 3}, {3, 3}, {3, 3}},
    {"rows longer than a block", 2, 8, 32, 1, {3, 300}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
};

TEST(Convolution, WindowsLargerThanTheImage) {
  std::mt19937_64 random(5);
  KernelCases cases;
  for (const Geometry& g : kSmallImages) {
    for (const auto& [op, kind] : {std::pair{Op::ConvPacked, ConvKind::Forward},
                                   {Op::ConvInputGradientPacked, ConvKind::InputGradient},
                                   {Op::ConvWeightGradientPacked, ConvKind::WeightGradient}})
      add_case(cases, op, g, shapes_of(g, ConvLayout::Packed, kind, 16), DType::F32, random, true);
    Geometry depthwise = g;
    depthwise.groups = depthwise.out = g.in;
    for (const Op op : {Op::DepthwiseConv, Op::DepthwiseConvInputGradient, Op::DepthwiseConvWeightGradient})
      add_case(cases, op, depthwise, shapes_of(depthwise, ConvLayout::Depthwise, ConvKind::Forward, 1),
               DType::F32, random, false);
  }
  cases.run();
}

TEST(Convolution, OtherElementTypes) {
  std::mt19937_64 random(4);
  KernelCases cases;
  const Geometry& g = kGeometries[0];
  for (const auto& [op, kind] : {std::pair{Op::ConvPacked, ConvKind::Forward},
                                 {Op::ConvInputGradientPacked, ConvKind::InputGradient},
                                 {Op::ConvWeightGradientPacked, ConvKind::WeightGradient}})
    add_case(cases, op, g, shapes_of(g, ConvLayout::Packed, kind, 8), DType::F64, random, true);
  const Geometry line{"1-d", 2, 3, 4, 1, {11}, {3}, {2}, {1}, {1}, {1}};
  for (const DType dtype : {DType::F64, DType::F32})
    for (const auto& [op, kind] : {std::pair{Op::Conv, ConvKind::Forward},
                                   {Op::ConvInputGradient, ConvKind::InputGradient},
                                   {Op::ConvWeightGradient, ConvKind::WeightGradient}})
      add_case(cases, op, line, shapes_of(line, ConvLayout::ChannelsFirst, kind, 1), dtype, random, true);
  cases.run();
}

const Op kPackedByKind[] = {Op::ConvPacked, Op::ConvInputGradientPacked};

// Geometry, lanes and what follows, each where the schedule of one convolution takes another way: tails of
// columns and channels, parts of a panel, several images to a tile, windows larger than the image, long
// windows, residues without taps.
struct FusedCase {
  Geometry geometry;
  int64_t lanes;
};
std::vector<FusedCase> fused_cases() {
  return {
      {{"full tiles", 2, 16, 64, 1, {9, 14}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}, 32},
      {{"tails", 1, 5, 37, 1, {6, 19}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}, 16},
      {{"wide tail", 2, 3, 83, 1, {5, 9}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}, 64},
      {{"parts of a panel", 1, 4, 200, 1, {4, 5}, {2, 2}, {1, 1}, {0, 0}, {1, 1}, {1, 1}}, 96},
      {{"odd lanes", 2, 4, 7, 1, {5, 11}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}, 5},
      {{"24 lanes", 1, 4, 48, 1, {5, 11}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}, 24},
      {{"one lane", 1, 8, 3, 1, {6, 6}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}, 1},
      {{"few channels", 3, 1, 6, 1, {12, 12}, {5, 5}, {1, 1}, {2, 2}, {2, 2}, {1, 1}}, 8},
      {{"few results", 2, 16, 3, 1, {9, 10}, {9, 9}, {1, 1}, {4, 4}, {4, 4}, {1, 1}}, 4},
      {{"dot products", 2, 32, 2, 1, {7, 10}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}, 4},
      {{"dot products of one channel", 1, 16, 1, 1, {5, 21}, {3, 1}, {1, 1}, {1, 0}, {1, 0}, {1, 1}}, 1},
      {{"dot products by data", 2, 2, 16, 1, {7, 10}, {4, 4}, {2, 2}, {1, 1}, {1, 1}, {1, 1}}, 4},
      {{"one pixel", 6, 8, 32, 1, {1, 1}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}, 16},
      {{"short rows", 6, 8, 32, 1, {5, 3}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}, 32},
      {{"smaller than the window", 2, 3, 8, 1, {2, 3}, {7, 5}, {1, 1}, {3, 2}, {3, 2}, {1, 1}}, 8},
      {{"far outside", 1, 3, 16, 1, {4, 5}, {3, 3}, {1, 1}, {4, 5}, {6, 4}, {1, 1}}, 16},
      {{"cropped", 1, 3, 16, 1, {9, 9}, {3, 3}, {2, 2}, {0, 0}, {-1, -2}, {1, 1}}, 16},
      {{"a line", 2, 4, 16, 1, {1, 40}, {1, 15}, {1, 1}, {0, 7}, {0, 7}, {1, 1}}, 16},
      {{"a column", 2, 4, 16, 1, {20, 1}, {5, 1}, {2, 1}, {2, 0}, {2, 0}, {1, 1}}, 16},
      {{"stem", 1, 3, 32, 1, {20, 23}, {7, 7}, {2, 2}, {3, 3}, {3, 3}, {1, 1}}, 32},
      {{"1x1 s2", 2, 8, 32, 1, {7, 8}, {1, 1}, {2, 2}, {0, 0}, {0, 0}, {1, 1}}, 32},
      {{"1x1 of one channel", 2, 1, 32, 1, {4, 5}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, {1, 1}}, 32},
      {{"3x3 s2", 2, 6, 40, 1, {9, 12}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}}, 16},
      {{"4x4 s2", 1, 8, 16, 1, {14, 14}, {4, 4}, {2, 2}, {1, 1}, {1, 1}, {1, 1}}, 16},
      {{"2x2 s2", 1, 8, 16, 1, {6, 6}, {2, 2}, {2, 2}, {0, 0}, {0, 0}, {1, 1}}, 16},
      {{"5x5 s3", 1, 4, 16, 1, {11, 13}, {5, 5}, {3, 3}, {2, 1}, {1, 2}, {1, 1}}, 16},
      {{"s4 less than its stride", 1, 4, 8, 1, {9, 9}, {2, 3}, {4, 4}, {0, 0}, {0, 0}, {1, 1}}, 8},
      {{"uneven strides", 2, 3, 16, 1, {9, 11}, {2, 3}, {3, 1}, {0, 2}, {1, 0}, {2, 1}}, 16},
      {{"dilated s2", 1, 4, 16, 1, {13, 12}, {3, 3}, {2, 2}, {2, 2}, {2, 2}, {2, 2}}, 16},
      {{"dilated 3 s2", 1, 4, 16, 1, {13, 12}, {3, 3}, {2, 2}, {3, 3}, {3, 3}, {3, 3}}, 16},
      {{"s5", 1, 4, 8, 1, {11, 12}, {5, 6}, {5, 5}, {0, 1}, {0, 0}, {1, 1}}, 8},
      {{"groups", 2, 32, 64, 2, {6, 9}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}}, 16},
      {{"groups s2", 1, 16, 32, 4, {6, 9}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}}, 4},
  };
}

// Pieces for several threads change no bit.
TEST(Convolution, SameBitsInPieces) {
  std::mt19937_64 random(8);
  const Geometry g{"", 2, 16, 64, 1, {17, 15}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}};
  std::vector<Function> functions;
  std::vector<std::vector<Literal>> arguments;
  for (const auto& [op, kind] : {std::pair{Op::ConvPacked, ConvKind::Forward},
                                 {Op::ConvInputGradientPacked, ConvKind::InputGradient}}) {
    const bool by_data = kind == ConvKind::InputGradient;
    const Shapes shapes = shapes_of(g, ConvLayout::Packed, kind, 16);
    Function& function = functions.emplace_back();
    function.name = op_info(op).name;
    function.kind = FunctionKind::Kernel;
    GraphBuilder b(function.body);
    const TensorType image{DType::F32, by_data ? shapes.y : shapes.x}, weights{DType::F32, shapes.w};
    const Value x = function.body.add_argument("x", image), w = function.body.add_argument("w", weights);
    const Value y = b.add_typed(op, {x, w}, {DType::F32, by_data ? shapes.x : shapes.y},
                                {{Attr::Strides, g.strides},
                                 {Attr::Low, g.low},
                                 {Attr::Dilation, g.dilation},
                                 {Attr::Groups, g.groups}});
    function.body.results.push_back({"y", y});
    arguments.push_back({random_literal(image, random), random_literal(weights, random)});
  }
  std::vector<std::vector<std::byte>> bits[2];
  for (const int threads : {1, 2}) {
    CodegenOptions options;
    options.target = &host_target();
    options.threads = threads;
    const KernelLibrary library(functions, options);
    for (size_t i = 0; i < functions.size(); ++i)
      bits[threads - 1].push_back(library.call(i, arguments[i])[0].to_bytes());
  }
  EXPECT_EQ(bits[0], bits[1]);
}

// Bias, scale, residual and activation; a second result of another type.
void add_fused(KernelCases& cases, Op op, const FusedCase& fused, DType dtype, std::mt19937_64& random) {
  const Geometry& g = fused.geometry;
  const bool by_data = op == Op::ConvInputGradientPacked;
  const Shapes shapes =
      shapes_of(g, ConvLayout::Packed, by_data ? ConvKind::InputGradient : ConvKind::Forward, fused.lanes);
  const TensorType result{dtype, by_data ? shapes.x : shapes.y};
  Attributes attributes{
      {Attr::Strides, g.strides}, {Attr::Low, g.low}, {Attr::Dilation, g.dilation}, {Attr::Groups, g.groups}};
  cases.add(std::string(op_info(op).name) + " " + g.name + " " + std::string(dtype_name(dtype)),
            {random_literal({dtype, by_data ? shapes.y : shapes.x}, random),
             random_literal({dtype, shapes.w}, random), random_literal({dtype, {result.shape[3]}}, random),
             random_literal(result, random)},
            {64, dtype == DType::F64 ? 1e-11 : 2e-4}, [&](GraphBuilder& b, const Values& x) {
              const Value y = b.add_typed(op, {x[0], x[1]}, result, attributes);
              const Value biased = b.add(y, b.broadcast(x[2], result.shape, {3}));
              const Value sum = b.add(b.mul(biased, 0.5), x[3]);
              return Values{b.add(Op::Max, {sum, b.splat(result, 0)}),
                            b.reshape(b.cast(sum, DType::F32), {result.num_elements()})};
            });
}

TEST(Convolution, WithWhatFollows) {
  for (const char* target : {"", "x86-64-v2", "x86-64-v3", "aarch64"})
    for (const int threads : {1, 2}) {
      if (*target && threads == 2) continue;
      int index = 0;
      SCOPED_TRACE(std::string(target) + " on " + std::to_string(threads));
      Diagnostics diags;
      const auto other = *target ? find_target(target, diags) : nullptr;
      const TargetInfo& info = other ? *other : host_target();
      std::mt19937_64 random(6);
      KernelCases cases(threads, info);
      for (const FusedCase& fused : fused_cases())
        for (const Op op : kPackedByKind) {
          // All of them once, some of them for each other target and type.
          ++index;
          if (threads == 2 || index % (info.is_host_architecture ? 4 : 9) == 1)
            add_fused(cases, op, fused, DType::F32, random);
          if (threads == 1 && !*target && index % 3 == 2) add_fused(cases, op, fused, DType::F64, random);
        }
      if (info.is_host_architecture && info.vector_lanes <= host_target().vector_lanes)
        cases.run();
      else
        EXPECT_GT(cases.compile().size(), 1000u);
    }
}

// Tiles, blocks and tasks that do not come out even, and windows larger than the image.
const Geometry kUneven[] = {
    {"tails", 1, 23, 40, 1, {7, 10}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
    {"blocks of rows", 2, 10, 36, 1, {29, 31}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}},
    {"small image", 5, 17, 33, 1, {2, 3}, {5, 5}, {1, 1}, {2, 2}, {2, 2}, {1, 1}},
    {"s2", 3, 20, 48, 1, {15, 17}, {3, 3}, {2, 2}, {1, 0}, {1, 2}, {1, 1}},
    {"s3 with gaps", 1, 16, 18, 1, {20, 23}, {2, 2}, {3, 3}, {0, 0}, {0, 0}, {1, 1}},
    {"merged pixels", 3, 19, 48, 1, {20, 20}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, {1, 1}},
    {"few channels", 6, 2, 11, 1, {30, 28}, {5, 5}, {1, 1}, {2, 2}, {2, 2}, {1, 1}},
    {"few channels s2", 1, 3, 16, 1, {41, 44}, {7, 7}, {2, 2}, {3, 3}, {3, 3}, {1, 1}},
    {"long window", 1, 4, 16, 1, {6, 40}, {1, 19}, {1, 1}, {0, 9}, {0, 9}, {1, 1}},
    {"wide window", 1, 20, 18, 1, {12, 12}, {9, 9}, {1, 1}, {4, 4}, {4, 4}, {1, 1}},
    {"dilated s2", 2, 18, 48, 2, {14, 15}, {3, 3}, {2, 1}, {2, 3}, {2, 3}, {2, 3}},
};

void add_uneven(KernelCases& cases, DType dtype, int64_t lanes, std::mt19937_64& random) {
  for (const Geometry& g : kUneven) {
    add_case(cases, Op::ConvWeightGradientPacked, g,
             shapes_of(g, ConvLayout::Packed, ConvKind::WeightGradient, lanes), dtype, random, true);
    Geometry depthwise = g;
    depthwise.groups = depthwise.out = g.in;
    for (const Op op : {Op::DepthwiseConv, Op::DepthwiseConvInputGradient, Op::DepthwiseConvWeightGradient})
      add_case(cases, op, depthwise, shapes_of(depthwise, ConvLayout::Depthwise, ConvKind::Forward, 1), dtype,
               random, false);
  }
}

TEST(Convolution, UnevenGradientsAndDepthwise) {
  std::mt19937_64 random(6);
  KernelCases cases;
  add_uneven(cases, DType::F32, 16, random);
  add_uneven(cases, DType::F64, 8, random);
  cases.run();
}

TEST(Convolution, GradientsAndDepthwiseOfSmallerVectors) {
  for (const auto& [name, lanes] : {std::pair{"x86-64-v2", 4}, {"x86-64-v3", 8}}) {
    Diagnostics diags;
    const auto target = find_target(name, diags);
    ASSERT_NE(target, nullptr);
    std::mt19937_64 random(7);
    KernelCases cases(1, *target);
    add_uneven(cases, DType::F32, lanes, random);
    cases.run();
  }
}

TEST(Convolution, SumsOverPixelsAreTheSameForAnyNumberOfThreads) {
  KernelCases one(1), two(2);
  for (KernelCases* cases : {&one, &two}) {
    std::mt19937_64 random(8);
    for (const Geometry& g : kUneven) {
      add_case(*cases, Op::ConvWeightGradientPacked, g,
               shapes_of(g, ConvLayout::Packed, ConvKind::WeightGradient, 16), DType::F32, random, true);
      Geometry depthwise = g;
      depthwise.groups = depthwise.out = g.in;
      add_case(*cases, Op::DepthwiseConvWeightGradient, depthwise,
               shapes_of(depthwise, ConvLayout::Depthwise, ConvKind::Forward, 1), DType::F32, random, false);
    }
  }
  two.run();
  const auto a = one.results(), b = two.results();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i][0].to_bytes(), b[i][0].to_bytes()) << "case " << i;
}

TEST(Convolution, ResultsGoOnElementByElement) {
  std::mt19937_64 random(9);
  KernelCases cases(2);
  const auto add = [&](Op op, const Shape& first, const Shape& second, const Shape& result,
                       Attributes attributes) {
    attributes.set(Attr::Strides, Ints{1, 1});
    attributes.set(Attr::Low, Ints{1, 1});
    attributes.set(Attr::Dilation, Ints{1, 1});
    const auto lit = [&](const Shape& shape) { return random_literal({DType::F32, shape}, random); };
    cases.add(std::string(op_info(op).name), {lit(first), lit(second), lit({result.back()}), lit(result)},
              {64, 1e-3}, [&](GraphBuilder& b, const Values& x) {
                const Value sum = b.add_typed(op, {x[0], x[1]}, {DType::F32, result}, attributes);
                const Value biased =
                    b.add(sum, b.broadcast(x[2], result, {static_cast<int64_t>(result.size()) - 1}));
                const Value flat = b.reshape(b.add(biased, x[3]), {num_elements(result)});
                return Values{biased, flat, b.add(Op::Gt, {sum, b.splat_like(sum, 0)})};
              });
  };
  const Shape image = {2, 20, 21, 35}, window = {3, 3, 35};
  add(Op::DepthwiseConv, image, window, image, {});
  add(Op::DepthwiseConvInputGradient, image, window, image, {});
  add(Op::DepthwiseConvWeightGradient, image, image, window, {});
  add(Op::ConvWeightGradientPacked, image, {2, 20, 21, 40}, {3, 3, 35, 3, 16}, {{Attr::Groups, int64_t{1}}});
  cases.run();
}

struct Windows {
  Shape image, windows;
  Ints sizes, strides, low;

  Attributes attributes() const { return {{Attr::Sizes, sizes}, {Attr::Strides, strides}, {Attr::Low, low}}; }
};

Literal random_positions(const Windows& w, std::mt19937_64& random) {
  Literal position(TensorType{DType::I32, w.windows});
  for (int64_t i = 0; i < position.num_elements(); ++i)
    position.set_int(i, static_cast<int64_t>(random() % num_elements(w.sizes)));
  return position;
}

// With equal elements, zeros and NaNs of both signs, infinities.
Literal random_ties(const TensorType& type, std::mt19937_64& random) {
  Literal x = random_literal(type, random);
  if (!is_float(type.dtype)) return x;
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const double values[] = {1, 1, 2, 0.0, -0.0, -0.0, -inf, inf, nan, -nan};
  for (int64_t i = 0; i < x.num_elements(); i += 1 + static_cast<int64_t>(random() % 6))
    x.set(i, values[random() % (random() % 8 == 0 ? 10 : 7)]);
  return x;
}

TEST(Window, AllOps) {
  std::mt19937_64 random(5);
  KernelCases cases;
  for (const Windows& w :
       {Windows{{2, 3, 8, 10}, {2, 3, 4, 5}, {1, 1, 2, 2}, {1, 1, 2, 2}, {0, 0, 0, 0}},
        Windows{{2, 9, 7, 18}, {2, 5, 4, 18}, {1, 3, 3, 1}, {1, 2, 2, 1}, {0, 1, 1, 0}},
        Windows{{3, 7}, {3, 2}, {1, 2}, {1, 3}, {0, 0}}, Windows{{5, 6}, {6, 3}, {3, 5}, {1, 2}, {2, 0}},
        Windows{{2, 7, 7, 20}, {2, 7, 7, 20}, {1, 3, 3, 1}, {1, 1, 1, 1}, {0, 1, 1, 0}},
        // Gaps between windows, channels that fill no vector, an image cut off, more taps than are written
        // out.
        Windows{{1, 8, 11, 5}, {1, 3, 4, 5}, {1, 2, 1, 1}, {1, 3, 3, 1}, {0, 0, 1, 0}},
        Windows{{2, 9, 9, 40}, {2, 4, 4, 40}, {1, 2, 2, 1}, {1, 2, 2, 1}, {0, 0, 0, 0}},
        Windows{{2, 5, 40, 33}, {2, 3, 19, 33}, {1, 1, 3, 3}, {1, 2, 2, 1}, {0, 0, 0, 1}},
        Windows{{1, 8, 8, 6}, {1, 3, 3, 6}, {1, 6, 6, 1}, {1, 2, 2, 1}, {0, 1, 1, 0}},
        // A window outside of the image, and an image that ends in a gap.
        Windows{{4, 3}, {5, 3}, {2, 1}, {2, 1}, {3, 0}}, Windows{{3, 2}, {3, 1}, {1, 2}, {1, 3}, {0, 1}}})
    for (const DType dtype : {DType::F32, DType::F64, DType::I32, DType::U8}) {
      const auto add = [&](Op op, const Shape& from, const TensorType& to) {
        const bool sums = op == Op::WindowSum || op == Op::WindowSpread;
        std::vector<Literal> arguments{sums ? random_literal({dtype, from}, random)
                                            : random_ties({dtype, from}, random)};
        if (op == Op::WindowScatter || op == Op::WindowGather)
          arguments.push_back(random_positions(w, random));
        cases.add(
            std::string(op_info(op).name) + " " + to.str(), arguments, {4, 1e-6},
            [&](GraphBuilder& b, const Values& v) { return Values{b.add_typed(op, v, to, w.attributes())}; });
      };
      add(Op::WindowSum, w.image, {dtype, w.windows});
      add(Op::WindowSpread, w.windows, {dtype, w.image});
      add(Op::WindowMax, w.image, {dtype, w.windows});
      add(Op::WindowArgMax, w.image, {DType::I32, w.windows});
      add(Op::WindowScatter, w.windows, {dtype, w.image});
      add(Op::WindowGather, w.image, {dtype, w.windows});
    }
  cases.run();
}

// What fusion makes of windows: several results, elementwise ops on both sides, other shapes of the result.
TEST(Window, Fused) {
  for (const int threads : {1, 2}) {
    std::mt19937_64 random(6);
    KernelCases cases(threads);
    for (const Windows& w :
         {Windows{{3, 12, 10, 48}, {3, 6, 5, 48}, {1, 2, 2, 1}, {1, 2, 2, 1}, {0, 0, 0, 0}},
          Windows{{1, 8, 8, 16}, {1, 4, 4, 16}, {1, 2, 2, 1}, {1, 2, 2, 1}, {0, 0, 0, 0}},
          Windows{{96, 6, 1, 8}, {32, 2, 1, 8}, {3, 3, 1, 1}, {3, 3, 1, 1}, {0, 0, 0, 0}},
          Windows{{2, 13, 9, 19}, {2, 7, 5, 19}, {1, 3, 3, 1}, {1, 2, 2, 1}, {0, 1, 1, 0}},
          Windows{{70, 8, 6, 3}, {70, 4, 3, 3}, {1, 2, 2, 1}, {1, 2, 2, 1}, {0, 0, 0, 0}},
          Windows{{2, 20, 14, 35}, {2, 20, 7, 18}, {1, 1, 3, 3}, {1, 1, 2, 2}, {0, 0, 1, 1}}})
      for (const DType dtype : {DType::F32, DType::F64}) {
        const TensorType windows{dtype, w.windows}, image{dtype, w.image}, positions{DType::I32, w.windows};
        const auto op = [&w](GraphBuilder& b, Op kind, const Values& x, const TensorType& to) {
          return b.add_typed(kind, x, to, w.attributes());
        };
        const TensorType channel{dtype, {w.image.back()}}, out_channel{dtype, {w.windows.back()}};
        cases.add("maximum and position", {random_ties(image, random)}, {},
                  [&](GraphBuilder& b, const Values& x) {
                    return Values{op(b, Op::WindowMax, x, windows), op(b, Op::WindowArgMax, x, positions)};
                  });
        cases.add("scaled, then mean, then shifted",
                  {random_literal(image, random), random_literal(channel, random),
                   random_literal(out_channel, random), random_literal(windows, random)},
                  {8, 1e-6}, [&](GraphBuilder& b, const Values& x) {
                    const Value scaled = b.mul(x[0], b.broadcast(x[1], w.image, {3}));
                    const Value mean = b.mul(op(b, Op::WindowSum, {scaled}, windows), 0.25);
                    const Value sum = b.add(mean, b.broadcast(x[2], w.windows, {3}));
                    return Values{b.add(sum, x[3])};
                  });
        cases.in_place({3});
        // What is added lies with channels first: two ways to cut the same loops.
        const TensorType first{dtype, {w.image[0], w.image[3], w.image[1], w.image[2]}};
        cases.add(
            "scattered, to a transposed image",
            {random_literal(windows, random), random_positions(w, random), random_literal(first, random)},
            {8, 1e-6}, [&](GraphBuilder& b, const Values& x) {
              const Value spread = op(b, Op::WindowScatter, {x[0], x[1]}, image);
              return Values{b.add(b.transpose(x[2], {0, 2, 3, 1}), spread)};
            });
        cases.add("flattened", {random_literal(image, random)}, {8, 1e-6},
                  [&](GraphBuilder& b, const Values& x) {
                    const Value m = op(b, Op::WindowMax, x, windows);
                    const int64_t rows = w.windows[0];
                    const Value flat = b.reshape(m, {rows, num_elements(w.windows) / rows});
                    return Values{b.mul(flat, 3.0), b.mul(m, m)};
                  });
        cases.add(
            "back, with a mask",
            {random_literal(windows, random), random_positions(w, random), random_literal(image, random)},
            {8, 1e-6}, [&](GraphBuilder& b, const Values& x) {
              const Value d = op(b, Op::WindowScatter, {b.mul(x[0], 0.5), x[1]}, image);
              return Values{b.mul(d, x[2]), b.add(op(b, Op::WindowSpread, {x[0]}, image), x[2])};
            });
      }
    cases.run();
  }
}

}  // namespace
}  // namespace nncc::testing
