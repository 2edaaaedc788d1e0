// Kernels of products against the reference evaluator.
#include <gtest/gtest.h>

#include <array>

#include "test/codegen/kernel_cases.h"

namespace nncc::testing {
namespace {

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
    for (const auto& [m, k, n] : std::vector<std::array<int64_t, 3>>{
             {7, 20, 64}, {33, 9, 80}, {12, 16, 21}, {1, 30, 40}, {49, 300, 96}, {17, 520, 40}}) {
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

// All forms of products, long ones too; of several results some have gaps and one has none.
TEST(MatMul, IntoRowsWithGaps) {
  std::mt19937_64 random(12);
  for (const int threads : {1, 2}) {
    KernelCases cases(threads);
    for (const auto& [m, k, n] : std::vector<std::array<int64_t, 3>>{{12, 20, 48},
                                                                     {33, 9, 21},
                                                                     {6, 4, 3},
                                                                     {64, 32, 10},
                                                                     {70, 33, 129},
                                                                     {3, 80, 2},
                                                                     {37, 513, 33},
                                                                     {64, 640, 10},
                                                                     {130, 512, 16}}) {
      for (int form = 0; form < 4; ++form) {
        const bool ta = form & 1, tb = form & 2;
        cases.add("matmul " + std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k),
                  {random_literal({DType::F32, ta ? Shape{k, m} : Shape{m, k}}, random),
                   random_literal({DType::F32, tb ? Shape{n, k} : Shape{k, n}}, random)},
                  {8, 1e-4}, [&, m = m, n = n](GraphBuilder& g, const Values& x) {
                    const Value p = g.add(Op::MatMul, x, {{Attr::TransposeA, ta}, {Attr::TransposeB, tb}});
                    const Value h = g.add(Op::Max, {p, g.splat_like(p, 0)});
                    return Values{h, g.reshape(g.add(h, p), {1, m * n}), g.add(Op::Gt, {p, h})};
                  });
      }
      cases.add("matmul_packed",
                {random_literal({DType::F32, {m, k}}, random),
                 random_literal({DType::F32, {(n + 15) / 16, k, 16}}, random)},
                {8, 1e-4}, [m = m, n = n](GraphBuilder& g, const Values& x) {
                  return Values{
                      g.add_typed(Op::MatMulPacked, x, {DType::F32, {m, n}}, {{Attr::TransposeA, false}})};
                });
    }
    cases.run_in_rows();
  }
}

// Gradients of weights over large batches, some in too many rows for panels on the stack.
TEST(MatMul, OfManyRows) {
  std::mt19937_64 random(10);
  const std::vector<std::array<int64_t, 3>> sizes = {
      {20, 4096, 50}, {37, 513, 33}, {49, 515, 17},  {64, 640, 10}, {16, 1031, 1},  {24, 2048, 24},
      {3, 700, 270},  {1, 600, 16},  {130, 512, 16}, {17, 5000, 4}, {260, 530, 300}};
  for (const char* name : {"host", "x86-64-v2", "x86-64-v3"}) {
    Diagnostics diags;
    const auto target = find_target(name, diags);
    for (const int threads : {1, 2}) {
      if (threads > 1 && name != std::string("host")) continue;
      KernelCases cases(threads, *target);
      for (const DType dtype : {DType::F32, DType::F64, DType::I32})
        for (const auto& [m, k, n] : sizes) {
          if (dtype != DType::F32 && (threads > 1 || m * n > 2000)) continue;
          cases.add("matmul " + std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k),
                    {random_literal({dtype, {k, m}}, random), random_literal({dtype, {k, n}}, random),
                     random_literal({dtype, {n}}, random), random_literal({dtype, {m, n}}, random)},
                    {8, dtype == DType::F64 ? 1e-11 : 1e-3}, [&](GraphBuilder& g, const Values& x) {
                      const Value p = g.add(Op::MatMul, {x[0], x[1]},
                                            {{Attr::TransposeA, true}, {Attr::TransposeB, false}});
                      const Value z = g.add(p, g.broadcast(x[2], g.type(p).shape, {1}));
                      return Values{z, g.reshape(g.add(z, x[3]), {1, g.type(z).num_elements()})};
                    });
        }
      cases.run();
    }
  }
}

// Of one operand or of both, rows lie multiples of pages of cache apart; some blocks of k are not full.
TEST(MatMul, OfManyRowsFarApart) {
  std::mt19937_64 random(13);
  KernelCases cases(2);
  const auto add = [&](DType dtype, int64_t m, int64_t k, int64_t n) {
    cases.add("matmul " + std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k),
              {random_literal({dtype, {k, m}}, random), random_literal({dtype, {k, n}}, random)},
              {8, dtype == DType::F64 ? 1e-11 : 1e-3}, [&](GraphBuilder& g, const Values& x) {
                return Values{g.add(Op::MatMul, {x[0], g.neg(x[1])},
                                    {{Attr::TransposeA, true}, {Attr::TransposeB, false}})};
              });
  };
  add(DType::F32, 70, 700, 512);
  add(DType::F32, 512, 515, 9);
  add(DType::F64, 512, 520, 256);
  cases.run();
}

// Panels of all of k hardly fit on the stack, or not at all.
TEST(MatMul, OfLongRows) {
  std::mt19937_64 random(12);
  KernelCases cases(2);
  for (const auto& [m, k, n] : std::vector<std::array<int64_t, 3>>{{20, 4096, 50},
                                                                   {20, 4030, 50},
                                                                   {20, 2048, 50},
                                                                   {24, 1500, 100},
                                                                   {256, 1365, 528},
                                                                   {20, 5000, 32},
                                                                   {20, 4096, 32}})
    for (const bool tb : {false, true})
      cases.add("matmul " + std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k),
                {random_literal({DType::F32, {m, k}}, random),
                 random_literal({DType::F32, tb ? Shape{n, k} : Shape{k, n}}, random)},
                {8, 1e-3}, [&](GraphBuilder& g, const Values& x) {
                  return Values{g.add(Op::MatMul, x, {{Attr::TransposeA, false}, {Attr::TransposeB, tb}})};
                });
  cases.run();
}

TEST(MatMul, SameBitsForAnyNumberOfThreads) {
  std::mt19937_64 random(11);
  for (const auto& [m, k, n] : std::vector<std::array<int64_t, 3>>{{32, 3000, 32}, {300, 600, 140}}) {
    Function function;
    function.kind = FunctionKind::Kernel;
    GraphBuilder g(function.body);
    const TensorType a{DType::F32, {k, m}}, b{DType::F32, {k, n}};
    const Value x = function.body.add_argument("x", a), y = function.body.add_argument("y", b);
    function.body.results = {
        {"z", g.add(Op::MatMul, {x, y}, {{Attr::TransposeA, true}, {Attr::TransposeB, false}})}};
    const std::vector<Literal> arguments{random_literal(a, random), random_literal(b, random)};
    expect_same_bits_for_any_threads(function, arguments);
  }
}

}  // namespace
}  // namespace nncc::testing
