// Every primitive's kernel against the reference evaluator.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "test/codegen/kernel_cases.h"

namespace nncc::testing {
namespace {

using Values = std::vector<Value>;

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

const std::vector<DType> kAllTypes = {DType::F32, DType::F64, DType::F16, DType::BF16, DType::I8,
                                      DType::U8,  DType::I32, DType::I64, DType::Bool};
const std::vector<Shape> kShapes = {{}, {1}, {17}, {3, 5}, {2, 1, 7}, {5, 16}, {130}};

bool is_well_typed(Op op, const std::vector<TensorType>& operands, const Attributes& attributes = {},
                   const std::vector<TensorType>& wanted = {}) {
  std::string error;
  return !infer_types(op, operands, attributes, wanted, error).empty();
}

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

TEST(Movement, AllOps) {
  std::mt19937_64 random(5);
  KernelCases cases;
  for (DType dtype : {DType::F32, DType::F64, DType::U8, DType::I64, DType::Bool}) {
    const auto lit = [&](Shape shape) { return random_literal({dtype, std::move(shape)}, random); };
    const auto add = [&](std::string name, std::vector<Literal> arguments,
                         const std::function<Values(GraphBuilder&, const Values&)>& build) {
      cases.add(name + " " + std::string(dtype_name(dtype)), std::move(arguments), {}, build);
    };
    add("reshape", {lit({4, 6, 5})}, [](GraphBuilder& b, const Values& x) {
      return Values{b.reshape(x[0], {3, 8, 5, 1})};
    });
    add("reshape of a transpose", {lit({4, 6, 5})}, [](GraphBuilder& b, const Values& x) {
      return Values{b.reshape(b.transpose(x[0], {2, 0, 1}), {10, 12})};
    });
    add("transpose", {lit({33, 18})}, [](GraphBuilder& b, const Values& x) {
      return Values{b.transpose(x[0], {1, 0})};
    });
    add("transpose 4", {lit({2, 5, 3, 17})}, [](GraphBuilder& b, const Values& x) {
      return Values{b.transpose(x[0], {0, 2, 1, 3})};
    });
    add("transpose 3", {lit({7, 1, 20})}, [](GraphBuilder& b, const Values& x) {
      return Values{b.transpose(x[0], {2, 1, 0})};
    });
    add("broadcast", {lit({5, 1, 3})}, [](GraphBuilder& b, const Values& x) {
      return Values{b.broadcast(x[0], {2, 5, 19, 3}, {1, 2, 3})};
    });
    add("broadcast of a scalar", {lit({})}, [](GraphBuilder& b, const Values& x) {
      return Values{b.broadcast(x[0], {9, 4}, {})};
    });
    add("broadcast of a row", {lit({21})}, [](GraphBuilder& b, const Values& x) {
      return Values{b.broadcast(x[0], {4, 21}, {1})};
    });
    add("broadcast of a column", {lit({4})}, [](GraphBuilder& b, const Values& x) {
      return Values{b.broadcast(x[0], {4, 21}, {0})};
    });
    add("slice", {lit({9, 40})}, [&](GraphBuilder& b, const Values& x) {
      return Values{b.add_typed(
          Op::Slice, x, {dtype, {4, 18}},
          {{Attr::Starts, std::vector<int64_t>{1, 3}}, {Attr::Strides, std::vector<int64_t>{2, 2}}})};
    });
    add("slice of rows", {lit({9, 40})}, [&](GraphBuilder& b, const Values& x) {
      return Values{b.add_typed(
          Op::Slice, x, {dtype, {4, 40}},
          {{Attr::Starts, std::vector<int64_t>{3, 0}}, {Attr::Strides, std::vector<int64_t>{1, 1}}})};
    });
    add("pad", {lit({5, 7}), lit({})}, [&](GraphBuilder& b, const Values& x) {
      return Values{b.add_typed(
          Op::Pad, x, {dtype, {10, 31}},
          {{Attr::Low, std::vector<int64_t>{2, 0}}, {Attr::Interior, std::vector<int64_t>{0, 3}}})};
    });
    add("pad of rows", {lit({5, 17}), lit({})}, [&](GraphBuilder& b, const Values& x) {
      return Values{b.add_typed(
          Op::Pad, x, {dtype, {7, 17}},
          {{Attr::Low, std::vector<int64_t>{1, 0}}, {Attr::Interior, std::vector<int64_t>{0, 0}}})};
    });
    for (int64_t axis : {0, 1}) {
      Shape a{3, 5}, c{3, 5};
      a[static_cast<size_t>(axis)] = 18, c[static_cast<size_t>(axis)] = 1;
      add("concat", {lit(a), lit({3, 5}), lit(c)}, [axis](GraphBuilder& b, const Values& x) {
        return Values{b.add(Op::Concat, x, {{Attr::Axis, axis}})};
      });
    }
    add("concat of computed pieces", {lit({6}), lit({2, 20})}, [](GraphBuilder& b, const Values& x) {
      const Value pieces[] = {x[0], b.reshape(x[1], {40})};
      const Value all = b.add(Op::Concat, pieces, {{Attr::Axis, int64_t{0}}});
      return Values{b.select(b.add(Op::Eq, {all, all}), all, all)};
    });
    add("reverse", {lit({4, 19, 2})}, [](GraphBuilder& b, const Values& x) {
      return Values{b.add(Op::Reverse, x, {{Attr::Axes, std::vector<int64_t>{0, 1}}})};
    });
    for (bool transposed : {false, true}) {
      if (dtype == DType::Bool) break;
      for (int64_t n : {32, 21}) {
        const Shape shape = transposed ? Shape{n, 9} : Shape{9, n};
        add("pack_panels", {lit(shape)}, [transposed](GraphBuilder& b, const Values& x) {
          return Values{
              b.add(Op::PackPanels, x, {{Attr::Lanes, int64_t{16}}, {Attr::TransposeB, transposed}})};
        });
      }
    }
    if (dtype != DType::Bool)
      add("iota", {lit({5, 18})}, [&](GraphBuilder& b, const Values& x) {
        return Values{b.add(Op::Max, {x[0], b.iota({dtype, {5, 18}}, 0)}), b.iota({dtype, {5, 18}}, 1)};
      });
    Literal table(TensorType{dtype, {3, 7}});
    for (int64_t i = 0; i < 21; ++i) table.set_int(i, i * 5 % 2);
    add("a constant", {lit({3, 7})}, [table](GraphBuilder& b, const Values& x) {
      return Values{b.add(Op::Eq, {x[0], b.constant(table)})};
    });
  }
  cases.run();
}

TEST(Random, AgreesWithTheReference) {
  KernelCases cases;
  for (DType dtype : {DType::F32, DType::F64}) {
    for (const Shape& shape : std::vector<Shape>{{1}, {100}, {3, 64}, {7, 33}}) {
      cases.add("random",
                {Literal::ints({DType::I64, {}}, {-81985529216486896}),
                 Literal::ints({DType::I64, {}}, {5000000000})},
                {}, [&](GraphBuilder& b, const Values& x) {
                  return Values{b.add_typed(Op::Random, x, {dtype, shape}, {{Attr::Stream, int64_t{7}}})};
                });
    }
  }
  cases.run();
}

TEST(Reductions, AllOpsAndAxes) {
  std::mt19937_64 random(6);
  KernelCases cases;
  const std::vector<Op> ops = {Op::ReduceSum, Op::ReduceProd, Op::ReduceMax, Op::ReduceMin};
  const std::vector<std::pair<Shape, std::vector<std::vector<int64_t>>>> shapes = {
      {{37}, {{0}, {}}},       {{5, 70}, {{0}, {1}, {0, 1}}},
      {{70, 5}, {{0}, {1}}},   {{3, 4, 33}, {{0}, {1}, {2}, {0, 2}, {1, 2}, {0, 1}}},
      {{1, 6, 1}, {{1}, {0}}}, {{33, 16}, {{1}, {0}}}};
  for (Op op : ops) {
    for (DType dtype : kAllTypes) {
      if (!is_well_typed(op, {{dtype, {2}}}, {{Attr::Axes, std::vector<int64_t>{0}}})) continue;
      for (const auto& [shape, lists] : shapes) {
        for (const auto& axes : lists) {
          if (dtype != DType::F32 && random() % 3 != 0) continue;
          Literal x = random_literal({dtype, shape}, random, 0.8, 1.2);
          if (op == Op::ReduceProd && !is_float(dtype))
            for (int64_t i = 0; i < x.num_elements(); ++i) x.set_int(i, i % 7 == 0 && i < 50 ? 2 : 1);
          const double ulp = dtype == DType::F32 || dtype == DType::F64 ? 60 : 2;
          cases.add(std::string(op_info(op).name) + " " + TensorType{dtype, shape}.str(), {x}, {ulp, 0},
                    [&](GraphBuilder& b, const Values& v) { return Values{b.reduce(op, v[0], axes)}; });
        }
      }
    }
  }
  for (Op op : {Op::ArgMax, Op::ArgMin}) {
    for (DType dtype : {DType::F32, DType::F64, DType::I32, DType::U8}) {
      for (int64_t axis : {0, 1, 2}) {
        Literal x = random_literal({dtype, {5, 6, 19}}, random);
        for (int64_t i = 0; i < x.num_elements(); i += 3) x.set_int(i, 1);  // ties
        if (is_float(dtype))
          x.set(40, std::nan("")), x.set(41, std::nan("")),
              x.set(200, -std::numeric_limits<double>::infinity());
        cases.add(std::string(op_info(op).name) + " " + x.type().str(), {x}, {},
                  [&](GraphBuilder& b, const Values& v) {
                    return Values{b.add(op, v, {{Attr::Axis, axis}})};
                  });
      }
    }
  }
  cases.run();
}

TEST(Reductions, SpecialValues) {
  KernelCases cases;
  const double inf = std::numeric_limits<double>::infinity();
  for (DType dtype : {DType::F32, DType::F64}) {
    for (int64_t width : {3, 16, 50}) {
      Literal x(TensorType{dtype, {8, width}});
      for (int64_t i = 0; i < x.num_elements(); ++i) x.set(i, static_cast<double>(i % 5) - 2);
      x.set(1, std::nan(""));
      x.set(width + width - 1, std::nan(""));
      x.set(2 * width, inf);
      x.set(3 * width + 2, -inf);
      for (int64_t i = 0; i < width; ++i)
        x.set(4 * width + i, -inf), x.set(5 * width + i, inf), x.set(6 * width + i, std::nan(""));
      for (Op op : {Op::ReduceSum, Op::ReduceMax, Op::ReduceMin}) {
        for (const std::vector<int64_t>& axes : {std::vector<int64_t>{1}, {0}, {0, 1}}) {
          cases.add(std::string(op_info(op).name) + " of special values", {x}, {8, 1e-5},
                    [&](GraphBuilder& b, const Values& v) { return Values{b.reduce(op, v[0], axes)}; });
        }
      }
    }
  }
  cases.run();
}

// Softmax, its loss and gradient, and norms, for rows shorter and longer than a vector.
TEST(RowReductions, Chains) {
  std::mt19937_64 random(10);
  KernelCases cases;
  for (DType dtype : {DType::F32, DType::F64}) {
    for (const Shape& shape :
         std::vector<Shape>{{64, 10}, {5, 3}, {33, 16}, {3, 17}, {20, 65}, {7, 300}, {2, 3, 40}, {4, 5, 6}}) {
      const int64_t cols = shape.back();
      const Shape outer(shape.begin(), shape.end() - 1);
      const int64_t axis = static_cast<int64_t>(shape.size()) - 1;
      std::vector<int64_t> dims;
      for (int64_t i = 0; i < axis; ++i) dims.push_back(i);
      const auto along = [=](GraphBuilder& b, Value v) { return b.broadcast(v, shape, dims); };
      const Tolerance tolerance = dtype == DType::F64 ? Tolerance{50, 1e-13} : Tolerance{50, 2e-6};
      const auto softmax = [=](GraphBuilder& b, Value x) {
        const Value e = b.add(Op::Exp, {b.sub(x, along(b, b.reduce(Op::ReduceMax, x, {axis})))});
        return b.div(e, along(b, b.reduce(Op::ReduceSum, e, {axis})));
      };
      cases.add("softmax", {random_literal({dtype, shape}, random, -9, 9)}, tolerance,
                [&](GraphBuilder& b, const Values& x) { return Values{softmax(b, x[0])}; });
      Literal masked = random_literal({dtype, shape}, random, -9, 9);
      for (int64_t i = 0; i < masked.num_elements(); i += 3)
        masked.set(i, -std::numeric_limits<double>::infinity());
      masked.set(2, std::nan(""));
      for (int64_t i = 0; i < cols; ++i) masked.set(2 * cols + i, -std::numeric_limits<double>::infinity());
      cases.add("softmax of masked rows", {masked}, tolerance,
                [&](GraphBuilder& b, const Values& x) { return Values{softmax(b, x[0])}; });
      Literal labels(TensorType{DType::I32, outer});
      for (int64_t i = 0; i < labels.num_elements(); ++i) labels.set_int(i, i % cols);
      cases.add(
          "softmax, cross entropy and its gradient", {random_literal({dtype, shape}, random, -9, 9), labels},
          tolerance, [&](GraphBuilder& b, const Values& x) {
            const Value m = b.reduce(Op::ReduceMax, x[0], {axis}), d = b.sub(x[0], along(b, m));
            const Value e = b.add(Op::Exp, {d}), s = b.reduce(Op::ReduceSum, e, {axis}),
                        p = b.div(e, along(b, s));
            const Value hot = b.cast(
                b.add(Op::Eq, {b.iota({DType::I32, shape}, static_cast<int>(axis)), along(b, x[1])}), dtype);
            const Value loss = b.sub(b.add(Op::Log, {s}), b.reduce(Op::ReduceSum, b.mul(hot, d), {axis}));
            return Values{b.mul(b.sub(p, hot), 1.0 / 64), loss};
          });
      cases.add("layer norm",
                {random_literal({dtype, shape}, random), random_literal({dtype, {cols}}, random),
                 random_literal({dtype, {cols}}, random)},
                tolerance, [&](GraphBuilder& b, const Values& x) {
                  const double n = 1.0 / static_cast<double>(cols);
                  const Value c = b.sub(x[0], along(b, b.mul(b.reduce(Op::ReduceSum, x[0], {axis}), n)));
                  const Value variance = b.mul(b.reduce(Op::ReduceSum, b.mul(c, c), {axis}), n);
                  const Value r = b.add(Op::Rsqrt, {b.add(variance, 1e-5)});
                  const Value y = b.mul(b.mul(c, along(b, r)), b.broadcast(x[1], shape, {axis}));
                  return Values{b.add(y, b.broadcast(x[2], shape, {axis})), r};
                });
      cases.add("statistics alone", {random_literal({dtype, shape}, random)}, tolerance,
                [&](GraphBuilder& b, const Values& x) {
                  const Value s = b.reduce(Op::ReduceSum, x[0], {axis}),
                              q = b.reduce(Op::ReduceSum, b.mul(x[0], x[0]), {axis});
                  return Values{b.mul(s, 0.5), b.add(Op::Sqrt, {q}), b.reduce(Op::ReduceMin, x[0], {axis})};
                });
    }
  }
  cases.run();
}

TEST(ColumnReductions, SeveralAtOnce) {
  std::mt19937_64 random(11);
  KernelCases cases;
  for (const Shape& shape :
       std::vector<Shape>{{64, 10}, {5, 3}, {33, 16}, {3, 170}, {200, 65}, {40, 128}, {17, 1}, {1, 20}}) {
    cases.add("column sums and largest",
              {random_literal({DType::F32, shape}, random), random_literal({DType::F32, shape}, random)},
              {20, 1e-5}, [&](GraphBuilder& b, const Values& x) {
                const Value p = b.mul(x[0], x[1]);
                return Values{b.reduce(Op::ReduceSum, p, {0}), b.mul(b.reduce(Op::ReduceMax, x[0], {0}), 2)};
              });
    cases.add("sums of everything",
              {random_literal({DType::F32, shape}, random), random_literal({DType::F32, shape}, random)},
              {20, 1e-4}, [&](GraphBuilder& b, const Values& x) {
                const Value hits = b.cast(b.add(Op::Gt, {x[0], x[1]}), DType::I32);
                return Values{b.mul(b.reduce(Op::ReduceSum, b.mul(x[0], x[1]), {0, 1}), 0.5),
                              b.reduce(Op::ReduceMin, x[1], {0, 1}), b.reduce(Op::ReduceSum, hits, {0, 1})};
              });
  }
  cases.run();
}

// Work that is large enough to be cut, with the pieces done in reverse.
TEST(Parallel, AllForms) {
  std::mt19937_64 random(12);
  KernelCases cases(2);
  const auto lit = [&](Shape shape) { return random_literal({DType::F32, std::move(shape)}, random); };
  const Tolerance sum{100, 1e-3};
  cases.add("elementwise", {lit({300007})}, {8, 0}, [](GraphBuilder& b, const Values& x) {
    return Values{b.add(Op::Exp, x), b.mul(x[0], 2)};
  });
  cases.add("elementwise with a row", {lit({701, 403}), lit({403})}, {8, 1e-6},
            [](GraphBuilder& b, const Values& x) {
              return Values{b.add(Op::Tanh, {b.add(x[0], b.broadcast(x[1], {701, 403}, {1}))})};
            });
  cases.add("rows", {lit({1001, 300})}, {20, 1e-6}, [](GraphBuilder& b, const Values& x) {
    const Value m = b.reduce(Op::ReduceMax, x[0], {1}),
                e = b.add(Op::Exp, {b.sub(x[0], b.broadcast(m, {1001, 300}, {0}))});
    const Value s = b.reduce(Op::ReduceSum, e, {1});
    return Values{b.div(e, b.broadcast(s, {1001, 300}, {0})), b.add(Op::Log, {s})};
  });
  cases.add("short rows", {lit({30001, 7})}, {20, 1e-6}, [](GraphBuilder& b, const Values& x) {
    const Value e = b.add(Op::Exp, x), s = b.reduce(Op::ReduceSum, e, {1});
    return Values{b.div(e, b.broadcast(s, {30001, 7}, {0})), b.add(Op::Log, {s})};
  });
  cases.add("columns", {lit({5003, 101})}, sum,
            [](GraphBuilder& b, const Values& x) { return Values{b.reduce(Op::ReduceSum, x[0], {0})}; });
  cases.add("wide columns", {lit({203, 2500})}, sum,
            [](GraphBuilder& b, const Values& x) { return Values{b.reduce(Op::ReduceSum, x[0], {0})}; });
  cases.add("everything", {lit({1000, 1003})}, sum, [](GraphBuilder& b, const Values& x) {
    return Values{b.reduce(Op::ReduceSum, b.mul(x[0], x[0]), {0, 1}), b.reduce(Op::ReduceMax, x[0], {0, 1})};
  });
  for (int form = 0; form < 4; ++form) {
    const bool ta = form & 1, tb = form & 2;
    for (const auto& [batch, m, k, n] : std::vector<std::array<int64_t, 4>>{{1, 129, 150, 130},
                                                                            {1, 200, 64, 48},
                                                                            {3, 70, 60, 90},
                                                                            {20, 33, 20, 40},
                                                                            {1, 12, 512, 600},
                                                                            {1, 96, 40, 1024}}) {
      Shape a = ta ? Shape{k, m} : Shape{m, k}, b = tb ? Shape{n, k} : Shape{k, n};
      if (batch > 1) a.insert(a.begin(), batch), b.insert(b.begin(), batch);
      cases.add("matmul", {lit(a), lit(b)}, sum, [&](GraphBuilder& g, const Values& x) {
        return Values{g.add(Op::MatMul, x, {{Attr::TransposeA, ta}, {Attr::TransposeB, tb}})};
      });
    }
  }
  cases.run();
}

TEST(MatMul, AllTransposesOverOddSizes) {
  std::mt19937_64 random(7);
  KernelCases cases;
  const std::vector<std::array<int64_t, 3>> sizes = {{1, 1, 1},    {2, 3, 4},    {5, 1, 7},     {1, 40, 33},
                                                     {17, 9, 3},   {8, 32, 10},  {16, 64, 32},  {33, 20, 16},
                                                     {40, 16, 65}, {64, 48, 48}, {70, 33, 129}, {9, 128, 100},
                                                     {40, 64, 1},  {4, 3, 8},    {32, 7, 6},    {3, 80, 1}};
  for (DType dtype : {DType::F32, DType::F64, DType::I32}) {
    for (const auto& [m, k, n] : sizes) {
      for (int form = 0; form < 4; ++form) {
        if (dtype != DType::F32 && random() % 2) continue;
        const bool ta = form & 1, tb = form & 2;
        for (int64_t batch : {0, 3}) {
          if (batch > 0 && random() % 3) continue;
          Shape a = ta ? Shape{k, m} : Shape{m, k}, b = tb ? Shape{n, k} : Shape{k, n};
          if (batch > 0) a.insert(a.begin(), batch), b.insert(b.begin(), batch);
          cases.add("matmul " + std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k) +
                        (ta ? " T" : " N") + (tb ? "T" : "N"),
                    {random_literal({dtype, a}, random), random_literal({dtype, b}, random)},
                    {8, dtype == DType::F64 ? 1e-13 : 1e-4}, [&](GraphBuilder& g, const Values& x) {
                      return Values{g.add(Op::MatMul, x, {{Attr::TransposeA, ta}, {Attr::TransposeB, tb}})};
                    });
        }
      }
    }
  }
  cases.run();
}

TEST(MatMul, Packed) {
  std::mt19937_64 random(8);
  KernelCases cases;
  for (int64_t lanes : {16, 8}) {
    for (const auto& [m, k, n] :
         std::vector<std::array<int64_t, 3>>{{7, 20, 64}, {33, 9, 80}, {12, 16, 21}, {1, 30, 40}}) {
      for (bool ta : {false, true}) {
        const int64_t panels = (n + lanes - 1) / lanes;
        cases.add(
            "matmul_packed",
            {random_literal({DType::F32, ta ? Shape{k, m} : Shape{m, k}}, random),
             random_literal({DType::F32, {panels, k, lanes}}, random)},
            {8, 1e-4}, [&, m = m, n = n](GraphBuilder& g, const Values& x) {
              return Values{g.add_typed(Op::MatMulPacked, x, {DType::F32, {m, n}}, {{Attr::TransposeA, ta}})};
            });
      }
    }
  }
  cases.run();
}

TEST(MatMul, Epilogues) {
  std::mt19937_64 random(9);
  KernelCases cases;
  for (const auto& [m, k, n] :
       std::vector<std::array<int64_t, 3>>{{12, 20, 48}, {33, 9, 21}, {6, 4, 3}, {1, 64, 32}, {64, 32, 10}}) {
    for (int form = 0; form < 4; ++form) {
      const bool ta = form & 1, tb = form & 2;
      cases.add(
          "matmul with bias, activation and three results",
          {random_literal({DType::F32, ta ? Shape{k, m} : Shape{m, k}}, random),
           random_literal({DType::F32, tb ? Shape{n, k} : Shape{k, n}}, random),
           random_literal({DType::F32, {n}}, random), random_literal({DType::F32, {m, n}}, random)},
          {8, 1e-4}, [&, m = m, n = n](GraphBuilder& g, const Values& x) {
            const Value p = g.add(Op::MatMul, {x[0], x[1]}, {{Attr::TransposeA, ta}, {Attr::TransposeB, tb}});
            const Value z = g.add(g.mul(p, 0.1), g.broadcast(x[2], {m, n}, {1}));
            const Value h = g.add(Op::Tanh, {z});
            return Values{h, g.reshape(g.add(h, x[3]), {1, m * n}), g.add(Op::Gt, {z, g.splat_like(z, 0)})};
          });
    }
  }
  // [batch * time, k] x [k, n], seen as [batch, time, n] afterwards.
  cases.add("matmul between reshapes",
            {random_literal({DType::F32, {4, 6, 10}}, random), random_literal({DType::F32, {10, 20}}, random),
             random_literal({DType::F32, {6, 20}}, random)},
            {8, 1e-4}, [](GraphBuilder& g, const Values& x) {
              const Value p = g.add(Op::MatMul, {g.reshape(x[0], {24, 10}), x[1]},
                                    {{Attr::TransposeA, false}, {Attr::TransposeB, false}});
              return Values{g.add(g.reshape(p, {4, 6, 20}), g.broadcast(x[2], {4, 6, 20}, {1, 2}))};
            });
  cases.run();
}

// What the processor at hand can run of the targets below its own; the others are compiled.
TEST(Targets, SmallerVectors) {
  std::mt19937_64 random(13);
  for (const char* name : {"x86-64-v2", "x86-64-v3", "aarch64"}) {
    Diagnostics diags;
    const auto target = find_target(name, diags);
    ASSERT_NE(target, nullptr);
    KernelCases cases(2, *target);
    const auto lit = [&](Shape shape) { return random_literal({DType::F32, std::move(shape)}, random); };
    cases.add("elementwise", {lit({131}), lit({131})}, {9, 1e-6}, [](GraphBuilder& b, const Values& x) {
      return Values{b.add(Op::Exp, {x[0]}), b.add(Op::Tanh, {x[1]}), b.add(Op::Max, x),
                    b.cast(x[0], DType::I32), b.add(Op::Floor, {x[1]})};
    });
    cases.add("softmax", {lit({33, 45})}, {20, 1e-6}, [](GraphBuilder& b, const Values& x) {
      const Value m = b.reduce(Op::ReduceMax, x[0], {1}),
                  e = b.add(Op::Exp, {b.sub(x[0], b.broadcast(m, {33, 45}, {0}))});
      return Values{b.div(e, b.broadcast(b.reduce(Op::ReduceSum, e, {1}), {33, 45}, {0}))};
    });
    cases.add("sums", {lit({133, 45})}, {20, 1e-3},
              [](GraphBuilder& b, const Values& x) { return Values{b.reduce(Op::ReduceSum, x[0], {0})}; });
    for (int form = 0; form < 4; ++form) {
      const bool ta = form & 1, tb = form & 2;
      for (const auto& [m, k, n] : std::vector<std::array<int64_t, 3>>{
               {37, 20, 48}, {33, 16, 21}, {64, 32, 3}, {4, 64, 32}, {100, 120, 110}}) {
        cases.add("matmul", {lit(ta ? Shape{k, m} : Shape{m, k}), lit(tb ? Shape{n, k} : Shape{k, n})},
                  {20, 1e-4}, [&](GraphBuilder& g, const Values& x) {
                    return Values{g.add(Op::MatMul, x, {{Attr::TransposeA, ta}, {Attr::TransposeB, tb}})};
                  });
      }
    }
    if (target->is_host_architecture && target->vector_lanes <= host_target().vector_lanes)
      cases.run();
    else
      EXPECT_GT(cases.compile().size(), 1000u) << name;
  }
}

TEST(Targets, EqualBodiesGiveEqualObjects) {
  const auto compile = [] {
    std::mt19937_64 random(14);
    KernelCases cases(2);
    cases.add(
        "product",
        {random_literal({DType::F32, {300, 200}}, random), random_literal({DType::F32, {200, 300}}, random)},
        {}, [](GraphBuilder& g, const Values& x) {
          return Values{g.add(
              Op::Tanh, {g.add(Op::MatMul, x, {{Attr::TransposeA, false}, {Attr::TransposeB, false}})})};
        });
    cases.add("softmax", {random_literal({DType::F32, {3000, 100}}, random)}, {},
              [](GraphBuilder& b, const Values& x) {
                const Value e = b.add(Op::Exp, x), s = b.reduce(Op::ReduceSum, e, {1});
                return Values{b.div(e, b.broadcast(s, {3000, 100}, {0})), b.add(Op::Log, {s})};
              });
    return cases.compile();
  };
  EXPECT_EQ(compile(), compile());
}

}  // namespace
}  // namespace nncc::testing
