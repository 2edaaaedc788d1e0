// Kernels of reductions, and of what goes along with them, against the reference evaluator.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "test/codegen/kernel_cases.h"

namespace nncc::testing {
namespace {

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
      for (const auto& [axis, columns] :
           std::vector<std::pair<int64_t, int64_t>>{{0, 19}, {1, 19}, {2, 19}, {1, 17}, {0, 33}}) {
        Literal x = random_literal({dtype, {5, 6, columns}}, random);
        for (int64_t i = 0; i < x.num_elements(); i += 3) x.set_int(i, 1);  // ties
        if (is_float(dtype))
          x.set(40, std::nan("")), x.set(41, std::nan("")),
              x.set(200, -std::numeric_limits<double>::infinity());
        cases.add(std::string(op_info(op).name) + " " + x.type().str(), {x}, {},
                  [&, axis = axis](GraphBuilder& b, const Values& v) {
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

// Where one column is left after whole vectors, what is made of the sums stays within the result.
TEST(Reductions, OneColumnMoreThanVectors) {
  std::mt19937_64 random(5);
  KernelCases cases;
  for (const DType dtype : {DType::I32, DType::F32}) {
    for (const int64_t columns : {9, 17, 49}) {
      for (const Op op : {Op::ReduceSum, Op::ReduceMax}) {
        const Literal x = random_literal({dtype, {5, columns}}, random);
        const auto reduced = [=](GraphBuilder& b, const Values& v) { return b.reduce(op, v[0], {0}); };
        const std::string name = std::string(op_info(op).name) + " " + x.type().str();
        cases.add(name + " div", {x}, {64, 1e-4}, [=](GraphBuilder& b, const Values& v) {
          const Value sum = reduced(b, v);
          return Values{b.div(sum, b.splat(b.type(sum), 2))};
        });
        cases.add(name + " of quotients", {x}, {64, 1e-4}, [=](GraphBuilder& b, const Values& v) {
          return Values{b.reduce(op, b.div(v[0], b.splat(b.type(v[0]), 2)), {0})};
        });
        cases.add(name + " square", {x}, {64, 1e-4}, [=](GraphBuilder& b, const Values& v) {
          const Value sum = reduced(b, v);
          return Values{b.mul(sum, sum)};
        });
        cases.add(name + " select", {x}, {64, 1e-4}, [=](GraphBuilder& b, const Values& v) {
          const Value sum = reduced(b, v), one = b.splat(b.type(sum), 1);
          return Values{b.select(b.add(Op::Gt, {sum, one}), b.add(sum, one), b.sub(one, sum))};
        });
        cases.add(name + " abs", {x}, {64, 1e-4},
                  [=](GraphBuilder& b, const Values& v) { return Values{b.add(Op::Abs, {reduced(b, v)})}; });
      }
    }
  }
  cases.run();
}

// Softmax, its loss and gradient, and norms, for rows shorter and longer than a vector.
// What is the same at every place counts at every place.
TEST(Reductions, OfWhatDoesNotVary) {
  KernelCases cases;
  for (const DType dtype : {DType::F32, DType::F64, DType::I32}) {
    for (const std::vector<int64_t>& axes :
         std::vector<std::vector<int64_t>>{{0, 1, 2}, {2}, {1, 2}, {0}, {0, 1}, {1}, {0, 2}}) {
      const Literal x = Literal::splat({dtype, {}}, 3);
      cases.add("sum of a splat " + std::string(dtype_name(dtype)), {x.dense()}, {8, 0},
                [&](GraphBuilder& b, const Values& v) {
                  return Values{b.reduce(Op::ReduceSum, b.broadcast(v[0], {4, 33, 7}, {}), axes)};
                });
      cases.add("sum of constants " + std::string(dtype_name(dtype)), {x.dense()}, {8, 0},
                [&](GraphBuilder& b, const Values& v) {
                  const Value sum = b.reduce(Op::ReduceSum, b.splat({dtype, {4, 33, 7}}, 2), axes);
                  return Values{b.mul(sum, b.broadcast(v[0], b.type(sum).shape, {}))};
                });
      std::mt19937_64 random(1);
      cases.add("sum of rows " + std::string(dtype_name(dtype)), {random_literal({dtype, {4}}, random)},
                {64, 1e-4}, [&](GraphBuilder& b, const Values& v) {
                  return Values{b.reduce(Op::ReduceSum, b.broadcast(v[0], {4, 33, 7}, {0}), axes)};
                });
      cases.add("sum of columns " + std::string(dtype_name(dtype)), {random_literal({dtype, {7}}, random)},
                {64, 1e-4}, [&](GraphBuilder& b, const Values& v) {
                  return Values{b.reduce(Op::ReduceSum, b.broadcast(v[0], {4, 33, 7}, {2}), axes)};
                });
    }
  }
  for (const int64_t columns : {5, 40})
    for (const bool transposed : {false, true})
      cases.add(
          "product of splats", {Literal::splat({DType::F32, {}}, 3).dense()}, {8, 0},
          [&](GraphBuilder& b, const Values& v) {
            const Shape right = transposed ? Shape{columns, 9} : Shape{9, columns};
            return Values{b.add(Op::MatMul, {b.broadcast(v[0], {6, 9}, {}), b.splat({DType::F32, right}, 2)},
                                {{Attr::TransposeA, false}, {Attr::TransposeB, transposed}})};
          });
  cases.run();
}

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

// Extrema, and several results made of one sum, in columns that leave one over.
TEST(ColumnReductions, WithOneColumnOver) {
  std::mt19937_64 random(9);
  for (const char* name : {"host", "x86-64-v2", "x86-64-v3"}) {
    Diagnostics diags;
    const auto target = find_target(name, diags);
    ASSERT_TRUE(target);
    KernelCases cases(1, *target);
    for (const DType dtype : {DType::F32, DType::F64})
      for (const int64_t columns : {5, 9, 17, 33, 129}) {
        for (const Op op : {Op::ReduceMin, Op::ReduceMax, Op::ReduceProd})
          cases.add(std::string(op_info(op).name) + " over " + std::to_string(columns),
                    {random_literal({dtype, {14, columns}}, random)}, {64, 1e-4},
                    [&](GraphBuilder& b, const Values& v) { return Values{b.reduce(op, v[0], {0})}; });
        cases.add(
            "results over " + std::to_string(columns),
            {random_literal({dtype, {16, columns}}, random), random_literal({dtype, {columns}}, random)},
            {64, 1e-4}, [&](GraphBuilder& b, const Values& v) {
              const Value sum = b.reduce(Op::ReduceSum, v[0], {0});
              const Value square = b.mul(sum, sum);
              return Values{sum, b.add(square, v[1]), b.sub(v[1], square)};
            });
      }
    cases.run();
  }
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

// Reduced axes in the middle and on both sides, with pointwise ops on what is reduced and on the sums. The
// sizes reach every way in which rows, lanes and threads share the work.
TEST(SplitReductions, MiddleAndEnds) {
  struct Case {
    Shape shape;
    std::vector<int64_t> axes;
  };
  for (const int threads : {1, 2}) {
    std::mt19937_64 random(12);
    KernelCases cases(threads);
    const auto add = [&](const Case& c, DType dtype) {
      const TensorType type{dtype, c.shape};
      Shape kept;
      for (int64_t i = 0; i < type.rank(); ++i)
        if (std::find(c.axes.begin(), c.axes.end(), i) == c.axes.end()) kept.push_back(c.shape[i]);
      // One operand has an element for each result, one for each index of the last axis that is kept.
      std::vector<int64_t> dims;
      for (int64_t i = 0; i < type.rank(); ++i)
        if (std::find(c.axes.begin(), c.axes.end(), i) == c.axes.end()) dims.push_back(i);
      const Shape last{kept.back()};
      const double n = static_cast<double>(type.num_elements());
      Literal y = random_literal(type, random);
      if (is_float(dtype))  // lost in the maximum of one result
        y.set(static_cast<int64_t>(random() % static_cast<uint64_t>(type.num_elements())), std::nan(""));
      cases.add("sums and a maximum over " + std::to_string(c.axes.size()) + " axes of " + type.str(),
                {random_literal(type, random), random_literal({dtype, kept}, random),
                 random_literal({dtype, last}, random), y},
                {100, is_float(dtype) ? 1e-7 * n : 0}, [&](GraphBuilder& b, const Values& x) {
                  const Value d = b.sub(x[0], b.broadcast(x[2], c.shape, {dims.back()}));
                  const Value s = b.reduce(Op::ReduceSum, d, c.axes);
                  const Value q = b.reduce(Op::ReduceSum, b.mul(d, b.broadcast(x[1], c.shape, dims)), c.axes);
                  return Values{b.add(s, x[1]), b.mul(q, s), b.reduce(Op::ReduceMax, x[3], c.axes)};
                });
      cases.add(
          "one sum of " + type.str(), {random_literal(type, random)}, {100, is_float(dtype) ? 1e-7 * n : 0},
          [&](GraphBuilder& b, const Values& x) { return Values{b.reduce(Op::ReduceSum, x[0], c.axes)}; });
    };
    const std::vector<Case> all = {{{3, 7, 7, 24}, {1, 2}},
                                   {{3, 7, 7, 24}, {0, 1, 2}},
                                   {{2, 5, 3}, {1}},
                                   {{9, 40, 3}, {1}},
                                   {{40, 33, 17}, {1}},
                                   {{2, 900, 40}, {1}},
                                   {{3, 2, 700}, {1}},
                                   {{5, 6, 7, 9}, {0, 2, 3}},
                                   {{5, 6, 4, 4}, {0, 2, 3}},
                                   {{20, 33, 3}, {0, 2}},
                                   {{2, 3, 100}, {0, 2}},
                                   {{31, 5, 30, 30}, {0, 2, 3}},
                                   {{3, 40, 12, 12}, {0, 2, 3}},
                                   {{64, 70, 2, 3}, {0, 2, 3}},
                                   {{30000, 3}, {0}},
                                   {{4001, 24}, {0}},
                                   {{1003, 33}, {0}},
                                   {{700, 300}, {0}},
                                   {{20, 5000}, {0}},
                                   {{35, 10}, {0}},
                                   {{2, 3, 4, 5}, {0, 2}}};
    for (const Case& c : all) {
      add(c, DType::F32);
      if (threads == 1) add(c, DType::F64), add(c, DType::I32);
    }
    cases.run();
  }
}

}  // namespace
}  // namespace nncc::testing
