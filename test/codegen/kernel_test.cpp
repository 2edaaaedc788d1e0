// Kernels that move and draw elements, and kernels of all forms in parallel and for other targets, against
// the reference evaluator.
#include <gtest/gtest.h>

#include <array>

#include "test/codegen/kernel_cases.h"

namespace nncc::testing {
namespace {

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
    // Side by side, with pieces of whole vectors and of a few elements; and with other borders.
    for (const int64_t width : {64, 5})
      for (const bool same : {true, false})
        add("two concats", {lit({9, width}), lit({9, 16}), lit({9, same ? 16 : 17})},
            [](GraphBuilder& b, const Values& x) {
              const Value both = b.select(b.add(Op::Eq, {x[0], x[0]}), x[0], x[0]);
              const auto concat = [&](Value v, Value w) {
                const Value pieces[] = {v, w, v};
                return b.add(Op::Concat, pieces, {{Attr::Axis, int64_t{1}}});
              };
              return Values{concat(both, x[1]), concat(x[0], x[2])};
            });
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
    cases.add("transpose", {lit({4, 5, 48, 3, 32})}, {}, [](GraphBuilder& b, const Values& x) {
      return Values{b.transpose(x[0], {0, 4, 2, 1, 3})};
    });
    cases.add("sums", {lit({133, 45})}, {20, 1e-3},
              [](GraphBuilder& b, const Values& x) { return Values{b.reduce(Op::ReduceSum, x[0], {0})}; });
    for (int64_t columns : {5, 6, 9, 11, 17, 33})
      cases.add("argmax", {lit({8, columns})}, {}, [](GraphBuilder& b, const Values& x) {
        return Values{b.add(Op::ArgMax, x, {{Attr::Axis, int64_t{0}}})};
      });
    // Several tiles of rows make one row of the other result.
    cases.add("matmul and another shape of it", {lit({112, 7}), lit({7, 8}), lit({8})}, {20, 1e-4},
              [](GraphBuilder& g, const Values& x) {
                const Value p =
                    g.add(Op::MatMul, {x[0], x[1]}, {{Attr::TransposeA, false}, {Attr::TransposeB, false}});
                const Shape shape{7, 2, 8, 8};
                const Value z = g.add(g.reshape(p, shape), g.broadcast(x[2], shape, {3}));
                return Values{z, g.mul(g.reshape(z, {7, 128}), 2)};
              });
    // Softmax of masked rows: which columns a row has follows from its number.
    for (int64_t t : {2, 4})
      cases.add("causal softmax", {lit({4, 2, t, t})}, {20, 1e-6}, [t](GraphBuilder& b, const Values& x) {
        const Shape shape{4, 2, t, t};
        const Value row = b.broadcast(b.iota({DType::I32, {t}}, 0), shape, {2});
        const Value column = b.broadcast(b.iota({DType::I32, {t}}, 0), shape, {3});
        const Value y = b.select(b.add(Op::Ge, {row, column}), x[0],
                                 b.splat_like(x[0], -std::numeric_limits<double>::infinity()));
        const Value m = b.reduce(Op::ReduceMax, y, {3}),
                    e = b.add(Op::Exp, {b.sub(y, b.broadcast(m, shape, {0, 1, 2}))});
        return Values{b.div(e, b.broadcast(b.reduce(Op::ReduceSum, e, {3}), shape, {0, 1, 2}))};
      });
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
