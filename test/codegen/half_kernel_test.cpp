// f16 and bf16: a kernel computes in f32 and rounds what it stores, and what a cast makes a half of.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <tuple>

#include "test/codegen/kernel_cases.h"

namespace nncc::testing {
namespace {

class Half : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Kernels, Half, ::testing::Values(DType::F16, DType::BF16),
                         [](const auto& info) { return std::string(dtype_name(info.param)); });

// What is stored is rounded once, so within half a digit, of a sum of `count` products below `largest`.
Tolerance of_sum(int64_t count, double largest) {
  return {0.51, static_cast<double>(count) * largest * std::ldexp(1.0, -22)};
}

TEST_P(Half, Products) {
  std::mt19937_64 random(20);
  KernelCases cases;
  const DType dtype = GetParam();
  for (const auto& [m, k, n] : std::vector<std::array<int64_t, 3>>{
           {1, 1, 1}, {5, 1, 7}, {3, 40, 33}, {17, 9, 3}, {16, 64, 32}, {33, 300, 16}, {2, 2000, 5}})
    for (int form = 0; form < 4; ++form)
      for (const int64_t batch : {0, 3}) {
        const bool ta = form & 1, tb = form & 2;
        Shape a = ta ? Shape{k, m} : Shape{m, k}, b = tb ? Shape{n, k} : Shape{k, n};
        if (batch > 0) a.insert(a.begin(), batch), b.insert(b.begin(), batch);
        cases.add("matmul " + std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k),
                  {random_literal({dtype, a}, random), random_literal({dtype, b}, random)}, of_sum(k, 4),
                  [&](GraphBuilder& g, const Values& x) {
                    return Values{g.add(Op::MatMul, x, {{Attr::TransposeA, ta}, {Attr::TransposeB, tb}})};
                  });
      }
  cases.add("matmul with what follows",
            {random_literal({dtype, {12, 20}}, random), random_literal({dtype, {20, 48}}, random),
             random_literal({dtype, {48}}, random)},
            {1, 1e-4}, [](GraphBuilder& g, const Values& x) {
              const Value p =
                  g.add(Op::MatMul, {x[0], x[1]}, {{Attr::TransposeA, false}, {Attr::TransposeB, false}});
              const Value z = g.add(g.mul(p, 0.125), g.broadcast(x[2], {12, 48}, {1}));
              return Values{g.add(Op::Tanh, {z}), g.cast(z, DType::F32)};
            });
  cases.run();
}

TEST_P(Half, Convolutions) {
  std::mt19937_64 random(21);
  KernelCases cases;
  const TensorType x{GetParam(), {2, 6, 7, 9}}, w{GetParam(), {8, 3, 3, 2}}, y{GetParam(), {2, 8, 4, 9}};
  const Attributes attributes{{Attr::Strides, std::vector<int64_t>{2, 1}},
                              {Attr::Low, std::vector<int64_t>{1, 1}},
                              {Attr::Dilation, std::vector<int64_t>{1, 1}},
                              {Attr::Groups, int64_t{2}}};
  const auto add = [&](Op op, const TensorType& a, const TensorType& b, const TensorType& to, int64_t count) {
    cases.add(std::string(op_info(op).name), {random_literal(a, random), random_literal(b, random)},
              of_sum(count, 4),
              [&](GraphBuilder& g, const Values& v) { return Values{g.add_typed(op, v, to, attributes)}; });
  };
  add(Op::Conv, x, w, y, 18);
  add(Op::ConvInputGradient, y, w, x, 24);
  add(Op::ConvWeightGradient, x, y, w, 72);
  cases.run();
}

TEST_P(Half, Windows) {
  std::mt19937_64 random(22);
  KernelCases cases;
  const Shape image{2, 9, 7, 18}, windows{2, 5, 4, 18};
  const Attributes attributes{{Attr::Sizes, std::vector<int64_t>{1, 3, 3, 1}},
                              {Attr::Strides, std::vector<int64_t>{1, 2, 2, 1}},
                              {Attr::Low, std::vector<int64_t>{0, 1, 1, 0}}};
  for (const auto& [op, from, to, type] : {std::tuple{Op::WindowSum, image, windows, GetParam()},
                                           {Op::WindowSpread, windows, image, GetParam()},
                                           {Op::WindowMax, image, windows, GetParam()},
                                           {Op::WindowArgMax, image, windows, DType::I32}})
    cases.add(std::string(op_info(op).name), {random_literal({GetParam(), from}, random)}, of_sum(9, 2),
              [&, op = op, type = TensorType{type, to}](GraphBuilder& g, const Values& v) {
                return Values{g.add_typed(op, v, type, attributes)};
              });
  cases.run();
}

TEST_P(Half, RowsAndColumns) {
  std::mt19937_64 random(23);
  KernelCases cases;
  for (const Shape& shape : std::vector<Shape>{{5, 3}, {33, 16}, {3, 65}, {2, 3, 40}, {300, 7}}) {
    const int64_t last = static_cast<int64_t>(shape.size()) - 1;
    for (const int64_t axis : {int64_t{0}, last}) {
      std::vector<int64_t> kept;
      for (int64_t i = 0; i <= last; ++i)
        if (i != axis) kept.push_back(i);
      const auto along = [&](GraphBuilder& b, Value v) { return b.broadcast(v, shape, kept); };
      cases.add("softmax", {random_literal({GetParam(), shape}, random, -9, 9)}, {1, 1e-6},
                [&](GraphBuilder& b, const Values& x) {
                  const Value m = along(b, b.reduce(Op::ReduceMax, x[0], {axis}));
                  const Value e = b.add(Op::Exp, {b.sub(x[0], m)});
                  return Values{b.div(e, along(b, b.reduce(Op::ReduceSum, e, {axis})))};
                });
      for (const Op op : {Op::ArgMax, Op::ArgMin})
        cases.add(std::string(op_info(op).name), {random_literal({GetParam(), shape}, random)}, {},
                  [&](GraphBuilder& b, const Values& x) {
                    return Values{b.add(op, x, {{Attr::Axis, axis}})};
                  });
    }
  }
  cases.run();
}

// A cast to a half rounds, though the kernel goes on in f32; and only once, from f64 too.
TEST_P(Half, CastsRoundInsideKernels) {
  std::mt19937_64 random(24);
  const double digit = GetParam() == DType::F16 ? 0x1p-10 : 0x1p-7;
  for (const DType from : {DType::F32, DType::F64}) {
    Literal x = random_literal({from, {200}}, random);
    const double tie = 1 + digit / 2, little = from == DType::F64 ? 0x1p-40 : 0x1p-23;
    int64_t at = 0;
    for (const double value : {tie, tie + little, tie - little, tie + digit, tie + digit + little,
                               tie + digit - little, 65519.0, 65520.0, 1e9, 0x1p-24, 0x1.8p-25, 0.0})
      for (const double sign : {1.0, -1.0}) x.set(at++, sign * value);
    x.set(at++, std::nan(""));
    x.set(at++, HUGE_VAL);
    x.set(at++, from == DType::F64 ? 1e300 : 3.4e38);
    KernelCases cases;
    cases.add("there and back", {x}, {}, [&](GraphBuilder& b, const Values& v) {
      const Value half = b.cast(v[0], GetParam());
      return Values{b.cast(half, from), half, b.sub(v[0], b.cast(half, from))};
    });
    cases.run();
  }
}

TEST_P(Half, CastsOfLongIntegersRoundOnce) {
  KernelCases cases;
  for (const DType from : {DType::I32, DType::I64})
    cases.add("of " + std::string(dtype_name(from)),
              {Literal::ints({from, {6}},
                             {257 << 16, (257 << 16) + 1, -(257 << 16) - 1, (259 << 16) - 1, 2049, 2051})},
              {}, [&](GraphBuilder& b, const Values& v) { return Values{b.cast(v[0], GetParam())}; });
  cases.run();
}

}  // namespace
}  // namespace nncc::testing
