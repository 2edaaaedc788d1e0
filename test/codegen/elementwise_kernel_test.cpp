// Kernels of elementwise ops against the reference evaluator.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "test/codegen/kernel_cases.h"

namespace nncc::testing {
namespace {

// The table of errors, in units of the last place; ops that are not here are exact. f32, f64.
const std::map<Op, std::pair<double, double>>& ulp_table() {
  static const std::map<Op, std::pair<double, double>> table = {
      {Op::Exp, {8, 2}},  {Op::Log, {6, 2}},     {Op::Log1p, {6, 2}}, {Op::Expm1, {8, 2}},
      {Op::Sqrt, {1, 1}}, {Op::Rsqrt, {2, 2}},   {Op::Sin, {4, 2}},   {Op::Cos, {4, 2}},
      {Op::Tanh, {8, 2}}, {Op::Sigmoid, {8, 4}}, {Op::Erf, {8, 2}},   {Op::Pow, {2, 2}},
      {Op::Add, {1, 1}},  {Op::Sub, {1, 1}},     {Op::Mul, {1, 1}},   {Op::Div, {1.5, 1.5}},
  };
  return table;
}
// Sine and cosine near their zeros.
Tolerance tolerance_of(Op op, DType dtype) {
  const auto it = ulp_table().find(op);
  if (it == ulp_table().end() || !is_float(dtype)) return {};
  const bool wide = dtype == DType::F64;
  Tolerance t{wide ? it->second.second : it->second.first, 0};
  // 16-bit floats compute in f32 and are rounded once.
  if (dtype == DType::F16 || dtype == DType::BF16) t.ulp = 1;
  if (op == Op::Sin || op == Op::Cos) t.absolute = wide ? 1e-15 : 3e-7;
  return t;
}

const std::vector<Shape> kShapes = {{}, {1}, {17}, {3, 5}, {2, 1, 7}, {5, 16}, {130}};

std::vector<DType> operand_types(Op op, DType dtype) {
  if (op == Op::Select) return {DType::Bool, dtype, dtype};
  return std::vector<DType>(static_cast<size_t>(op_info(op).num_operands), dtype);
}

// Integer overflow in 32 bits and more is not defined; and nothing that overflows is asked for here.
bool keeps_to_small_numbers(Op op, DType dtype) {
  return (dtype == DType::I32 || dtype == DType::I64) && (op == Op::Add || op == Op::Sub || op == Op::Mul);
}

TEST(Elementwise, RandomShapes) {
  std::mt19937_64 random(1);
  KernelCases cases;
  for (const OpInfo& info : all_ops()) {
    if (!info.has(Elementwise) || info.op == Op::Cast) continue;
    for (DType dtype : kAllTypes) {
      const std::vector<DType> types = operand_types(info.op, dtype);
      std::vector<TensorType> operands;
      for (DType t : types) operands.push_back({t, {2}});
      if (!is_well_typed(info.op, operands)) continue;
      // Another shape for each, so that all appear.
      const Shape& shape = kShapes[random() % kShapes.size()];
      std::vector<Literal> arguments;
      for (DType t : types) arguments.push_back(random_literal({t, shape}, random));
      cases.add(std::string(info.name) + " " + std::string(dtype_name(dtype)), arguments,
                tolerance_of(info.op, dtype),
                [&](GraphBuilder& b, const Values& x) { return Values{b.add(info.op, x)}; });
    }
  }
  cases.run();
}

// All combinations of special values.
TEST(Elementwise, SpecialValues) {
  KernelCases cases;
  for (const OpInfo& info : all_ops()) {
    if (!info.has(Elementwise) || info.op == Op::Cast) continue;
    for (DType dtype : kAllTypes) {
      if (dtype == DType::F16 || dtype == DType::BF16) continue;
      const std::vector<DType> types = operand_types(info.op, dtype);
      std::vector<TensorType> operands;
      for (DType t : types) operands.push_back({t, {2}});
      if (!is_well_typed(info.op, operands) || keeps_to_small_numbers(info.op, dtype)) continue;
      int64_t count = 1;
      for (DType t : types) count *= static_cast<int64_t>(special_values(t).size());
      std::vector<Literal> arguments;
      int64_t stride = 1;
      for (DType t : types) {
        const std::vector<double> values = special_values(t);
        Literal literal(TensorType{t, {count}});
        for (int64_t i = 0; i < count; ++i) {
          double v = values[static_cast<size_t>(i / stride) % values.size()];
          // The argument of a sine is reduced exactly enough up to 10^5 only.
          if ((info.op == Op::Sin || info.op == Op::Cos) && std::abs(v) > 1e5 && std::isfinite(v)) v = 3;
          if (is_float(t))
            literal.set(i, v);
          else
            literal.set_int(i, static_cast<int64_t>(v));
        }
        stride *= static_cast<int64_t>(values.size());
        arguments.push_back(std::move(literal));
      }
      cases.add(std::string(info.name) + " " + std::string(dtype_name(dtype)), arguments,
                tolerance_of(info.op, dtype),
                [&](GraphBuilder& b, const Values& x) { return Values{b.add(info.op, x)}; });
    }
  }
  cases.run();
}

TEST(Elementwise, DenseRanges) {
  KernelCases cases;
  const std::vector<std::pair<Op, std::pair<double, double>>> ranges = {
      {Op::Exp, {-87, 88}},   {Op::Log, {1e-3, 30}},    {Op::Log1p, {-0.99, 20}}, {Op::Expm1, {-20, 80}},
      {Op::Tanh, {-10, 10}},  {Op::Sigmoid, {-80, 80}}, {Op::Erf, {-5, 5}},       {Op::Sin, {-100, 100}},
      {Op::Cos, {-100, 100}}, {Op::Sqrt, {0, 100}},     {Op::Rsqrt, {1e-3, 100}}};
  for (const auto& [op, range] : ranges) {
    for (DType dtype : {DType::F32, DType::F64}) {
      Literal x(TensorType{dtype, {20011}});
      for (int64_t i = 0; i < x.num_elements(); ++i)
        x.set(i, range.first + (range.second - range.first) * static_cast<double>(i) /
                                   static_cast<double>(x.num_elements()));
      cases.add(std::string(op_info(op).name) + " over a range", {x}, tolerance_of(op, dtype),
                [op = op](GraphBuilder& b, const Values& v) { return Values{b.add(op, {v[0]})}; });
    }
  }
  std::mt19937_64 random(3);
  for (DType dtype : {DType::F32, DType::F64}) {
    cases.add(
        "pow over a range",
        {random_literal({dtype, {4001}}, random, 0.01, 20), random_literal({dtype, {4001}}, random, -20, 20)},
        tolerance_of(Op::Pow, dtype),
        [](GraphBuilder& b, const Values& v) { return Values{b.add(Op::Pow, v)}; });
    for (double exponent : {0.0, 1.0, 2.0, 3.0, -1.0, -2.0, 0.5, 7.0})
      cases.add("pow with a constant", {random_literal({dtype, {33}}, random, 0.1, 5)}, {4, 0},
                [&](GraphBuilder& b, const Values& v) {
                  return Values{b.add(Op::Pow, {v[0], b.splat_like(v[0], exponent)})};
                });
  }
  cases.run();
}

TEST(Elementwise, Casts) {
  KernelCases cases;
  for (DType from : kAllTypes) {
    for (DType to : kAllTypes) {
      std::vector<double> values = special_values(from);
      if (is_float(from))
        values.insert(values.end(), {127.5, 128, -129, 255.9, 256, 2147483520.0, 2147483648.0, -2147483648.0,
                                     3e9, -3e9, 1e19, -1e19});
      Literal x(TensorType{from, {static_cast<int64_t>(values.size())}});
      for (size_t i = 0; i < values.size(); ++i) {
        if (is_float(from))
          x.set(static_cast<int64_t>(i), values[i]);
        else
          x.set_int(static_cast<int64_t>(i), static_cast<int64_t>(values[i]));
      }
      cases.add("cast " + std::string(dtype_name(from)) + " to " + std::string(dtype_name(to)), {x}, {},
                [&](GraphBuilder& b, const Values& v) { return Values{b.cast(v[0], to)}; });
    }
  }
  cases.run();
}

// Squares turned in registers, where axes are whole vectors, and what is not; on one thread and on several.
TEST(Elementwise, Transposes) {
  std::mt19937_64 random(15);
  struct Case {
    Shape shape;
    std::vector<int64_t> perm;
  };
  const std::vector<Case> all = {
      {{32, 48}, {1, 0}},                     // a square of several vectors
      {{16, 16}, {1, 0}},                     // one square
      {{33, 32}, {1, 0}},                     // not whole
      {{3, 64, 1, 128}, {0, 3, 2, 1}},        // a batch, and an axis of extent 1
      {{2, 32, 3, 16}, {0, 2, 3, 1}},         // heads of attention
      {{2, 3, 32, 3, 32}, {0, 4, 2, 1, 3}},   // panels of 3x3 weights to weights
      {{2, 32, 32, 3, 3}, {0, 3, 2, 4, 1}},   // and back
      {{17, 1, 48, 7, 16}, {0, 4, 2, 1, 3}},  // windows of one row
      {{17, 16, 48, 1, 7}, {0, 3, 2, 4, 1}},
      {{2, 5, 16, 5, 32}, {0, 4, 2, 1, 3}},
      {{2, 32, 16, 5, 5}, {0, 3, 2, 4, 1}},
      {{1, 7, 16, 7, 16}, {0, 4, 2, 1, 3}},  // too many squares
      {{2, 16, 24, 3, 3}, {0, 3, 2, 4, 1}},  // a run of half vectors
      {{3, 7, 24, 1, 16}, {0, 4, 2, 1, 3}},
      {{2, 16, 20, 3, 3}, {0, 3, 2, 4, 1}},  // and one that is not whole
      {{16, 16, 32}, {2, 1, 0}},             // no axis stays
      {{16, 2, 32, 3}, {1, 3, 2, 0}},
      {{4, 512, 1, 1, 64}, {0, 4, 1, 2, 3}},
      {{6, 3, 64, 3, 32}, {0, 4, 2, 1, 3}},  // large enough for several threads
      {{6, 32, 64, 3, 3}, {0, 3, 2, 4, 1}},
      {{768, 144}, {1, 0}},
  };
  for (int threads : {1, 2}) {
    KernelCases cases(threads);
    for (DType dtype : {DType::F32, DType::F64, DType::U8, DType::BF16}) {
      for (const Case& c : all) {
        const Literal x = random_literal({dtype, c.shape}, random);
        cases.add("transpose " + std::string(dtype_name(dtype)), {x}, {},
                  [&](GraphBuilder& b, const Values& v) { return Values{b.transpose(v[0], c.perm)}; });
        if (dtype != DType::F32) continue;
        const Literal y = random_literal({dtype, {c.shape[0]}}, random);
        cases.add("transpose of a product", {x, y}, {1, 0}, [&](GraphBuilder& b, const Values& v) {
          return Values{b.transpose(b.mul(v[0], b.broadcast(v[1], c.shape, {0})), c.perm)};
        });
      }
    }
    cases.run();
  }
}

TEST(Elementwise, SeveralResultsAndInPlace) {
  std::mt19937_64 random(4);
  KernelCases cases;
  for (int64_t n : {1, 15, 64, 100, 4099}) {
    const TensorType t{DType::F32, {n}};
    const auto adam = [](GraphBuilder& b, const Values& x) {
      const Value m = b.add(b.mul(x[1], 0.9), b.mul(x[3], 0.1));
      const Value v = b.add(b.mul(x[2], 0.999), b.mul(b.mul(x[3], x[3]), 0.001));
      const Value w = b.sub(x[0], b.div(b.mul(m, 0.01), b.add(b.add(Op::Sqrt, {v}), 1e-8)));
      return Values{w, m, v};
    };
    const auto make = [&] {
      return std::vector<Literal>{random_literal(t, random), random_literal(t, random),
                                  random_literal(t, random, 0.1, 2), random_literal(t, random)};
    };
    cases.add("adam", make(), {4, 1e-6}, adam);
    cases.add("adam in place", make(), {4, 1e-6}, adam);
    cases.in_place({0, 1, 2});
    // The first result lies on what the second still reads.
    cases.add("crossed", {random_literal(t, random), random_literal(t, random)}, {2, 1e-6},
              [](GraphBuilder& b, const Values& x) {
                return Values{b.mul(x[0], 2), b.add(x[1], b.mul(x[0], x[0]))};
              });
    cases.in_place({1, 0});
  }
  cases.add("crossed scalars",
            {random_literal({DType::F64, {}}, random), random_literal({DType::F64, {}}, random)}, {2, 1e-6},
            [](GraphBuilder& b, const Values& x) {
              return Values{b.mul(x[0], 2), b.add(x[1], b.mul(x[0], x[0]))};
            });
  cases.in_place({1, 0});
  const TensorType u{DType::F32, {6, 35}};
  cases.add("of two shapes", {random_literal(u, random), random_literal({DType::F32, {6, 5, 7}}, random)},
            {2, 0}, [](GraphBuilder& b, const Values& x) {
              return Values{b.mul(x[0], 3), b.add(b.reshape(x[0], {6, 5, 7}), x[1])};
            });
  cases.in_place({0, 1});
  cases.add("of two types", {random_literal(u, random)}, {1, 0}, [](GraphBuilder& b, const Values& x) {
    const Value positive = b.add(Op::Gt, {x[0], b.splat_like(x[0], 0)});
    return Values{positive, b.select(positive, x[0], b.splat_like(x[0], 0)), b.cast(x[0], DType::I32)};
  });
  cases.add("an argument and twice the same", {random_literal(u, random)}, {},
            [](GraphBuilder& b, const Values& x) {
              const Value y = b.add(Op::Neg, {x[0]});
              return Values{y, x[0], y};
            });
  cases.run();
}

// Sizes that leave one element over, in kernels with several results, in one loop and along rows.
TEST(Elementwise, SeveralResultsWithOneElementOver) {
  std::mt19937_64 random(10);
  KernelCases cases;
  for (const DType dtype : {DType::F32, DType::F64})
    for (const Shape& shape : {Shape{9}, Shape{17}, Shape{33}, Shape{129}, Shape{5, 17}, Shape{3, 33}})
      cases.add("results over " + TensorType{dtype, shape}.str(),
                {random_literal({dtype, shape}, random), random_literal({dtype, {shape.back()}}, random)},
                {8, 1e-6}, [&](GraphBuilder& b, const Values& v) {
                  const Value wide = b.broadcast(v[1], shape, {static_cast<int64_t>(shape.size()) - 1});
                  const Value product = b.mul(v[0], wide);
                  return Values{product, b.add(product, v[0]), b.sub(wide, v[0])};
                });
  cases.run();
}

// Loops for several threads have few pieces, whichever of the axes are short.
TEST(Elementwise, FewPiecesForSeveralThreads) {
  std::mt19937_64 random(12);
  KernelCases cases(2);
  const std::pair<Shape, std::vector<int64_t>> transposes[] = {{{1, 3, 100, 101}, {0, 2, 3, 1}},
                                                               {{1, 100, 101, 3}, {0, 3, 1, 2}},
                                                               {{2, 3, 70, 71}, {0, 2, 3, 1}},
                                                               {{1, 32, 40, 41}, {0, 2, 3, 1}},
                                                               {{1200, 32}, {1, 0}},
                                                               {{3, 1, 65, 67, 5}, {1, 0, 4, 2, 3}}};
  for (const auto& [shape, perm] : transposes)
    cases.add("transpose of " + TensorType{DType::F32, shape}.str(),
              {random_literal({DType::F32, shape}, random)}, {},
              [perm = perm](GraphBuilder& b, const Values& v) { return Values{b.transpose(v[0], perm)}; });
  KernelLibrary::pieces().clear();
  cases.run();
  EXPECT_FALSE(KernelLibrary::pieces().empty());
  for (const int pieces : KernelLibrary::pieces()) EXPECT_LE(pieces, 64);
}

// And of rows.
TEST(RowReductions, SeveralResultsWithOneElementOver) {
  std::mt19937_64 random(11);
  KernelCases cases;
  for (const DType dtype : {DType::F32, DType::F64})
    for (const int64_t columns : {9, 17, 33, 129})
      for (const int64_t rows : {3, 17, 33})
        cases.add("rows of " + std::to_string(columns), {random_literal({dtype, {rows, columns}}, random)},
                  {64, 1e-5}, [&](GraphBuilder& b, const Values& v) {
                    const Value sum = b.reduce(Op::ReduceSum, v[0], {1});
                    const Value centered = b.sub(v[0], b.broadcast(sum, {rows, columns}, {0}));
                    return Values{sum, b.mul(sum, 2), centered, b.mul(centered, v[0])};
                  });
  cases.run();
}

}  // namespace
}  // namespace nncc::testing
