// Attention and its gradient against the reference evaluator.
#include <gtest/gtest.h>

#include <limits>
#include <span>

#include "ir/attention.h"
#include "ir/diagnostic.h"
#include "test/codegen/kernel_cases.h"

namespace nncc::testing {
namespace {

struct Geometry {
  int64_t batch, heads, queries, keys, features, values;
  bool causal = false;
  Shape mask = {};  // none if empty

  // Of a tensor with so many positions and columns.
  TensorType type(DType dtype, int64_t axis, int64_t positions, int64_t columns) const {
    TensorType type{dtype, {batch, heads, positions, columns}};
    if (axis == 1) std::swap(type.shape[1], type.shape[2]);
    return type;
  }
  std::string str(DType dtype, int64_t axis) const {
    return std::string(causal         ? "causal "
                       : mask.empty() ? ""
                                      : "masked ") +
           std::to_string(keys) + " keys for " + type(dtype, axis, queries, features).str();
  }
};

// Parts of panels of keys and of blocks of queries, one query, one key, columns in vectors of 16, 8, 4 and 1.
const Geometry kGeometries[] = {
    {2, 3, 32, 32, 16, 32, true},
    {2, 2, 40, 40, 8, 8, true},
    {1, 2, 37, 37, 5, 7, true},
    {1, 1, 11, 50, 4, 12, true},
    {2, 3, 11, 37, 6, 16},
    {1, 2, 1, 9, 5, 8},
    {3, 1, 1, 1, 1, 1},
    {1, 1, 1, 1, 4, 2, true},
    {1, 2, 70, 3, 33, 20},
    {2, 2, 9, 20, 4, 5, false, {2, 1, 1, 20}},
    {1, 2, 33, 33, 8, 16, true, {1, 2, 33, 33}},
    {2, 1, 12, 40, 3, 4, false, {1, 1, 12, 1}},
    {1, 17, 24, 24, 16, 16, true},
};

std::vector<Literal> arguments_of(const Geometry& g, DType dtype, int64_t axis, bool gradient,
                                  std::mt19937_64& random) {
  std::vector<Literal> arguments;
  if (gradient) arguments.push_back(random_literal(g.type(dtype, axis, g.queries, g.values), random));
  arguments.push_back(random_literal(g.type(dtype, axis, g.queries, g.features), random));
  arguments.push_back(random_literal(g.type(dtype, axis, g.keys, g.features), random));
  arguments.push_back(random_literal(g.type(dtype, axis, g.keys, g.values), random));
  if (g.mask.empty()) return arguments;
  arguments.push_back(random_literal({DType::Bool, g.mask}, random));
  // Each query sees a key: where one sees none, more than its own row may be NaN.
  if (g.causal)
    for (int64_t i = 0; i < arguments.back().num_elements(); ++i)
      if (i % g.keys == i / g.keys % g.queries) arguments.back().set_int(i, 1);
  return arguments;
}

Values build(GraphBuilder& b, const Values& x, const Geometry& g, int64_t axis, bool gradient) {
  const Attributes attributes{{Attr::Axis, axis}, {Attr::Causal, g.causal}};
  if (!gradient) return {b.add(Op::Attention, x, attributes)};
  const NodeId node =
      b.add_multi(Op::AttentionGradient, x, {b.type(x[1]), b.type(x[2]), b.type(x[3])}, attributes);
  return {{node, 0}, {node, 1}, {node, 2}};
}

class Attention : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Kernel, Attention, ::testing::Bool(),
                         [](const auto& info) { return std::string(info.param ? "gradient" : "forward"); });

TEST_P(Attention, OverOddSizes) {
  std::mt19937_64 random(11);
  KernelCases cases;
  int64_t count = 0;
  const auto add = [&](const Geometry& g, DType dtype, Tolerance tolerance) {
    const int64_t axis = 1 + count++ % 2;
    cases.add(g.str(dtype, axis), arguments_of(g, dtype, axis, GetParam(), random), tolerance,
              [&](GraphBuilder& b, const Values& x) { return build(b, x, g, axis, GetParam()); });
  };
  for (const Geometry& g : kGeometries) add(g, DType::F32, {64, 2e-5});
  for (const int i : {2, 3, 6, 9}) add(kGeometries[i], DType::F64, {64, 1e-12});
  for (const int i : {3, 6}) add(kGeometries[i], DType::BF16, {4, 4e-2});
  cases.run();
}

// Processors with few registers and short vectors have other tiles.
TEST_P(Attention, ForOtherTargets) {
  std::mt19937_64 random(12);
  Diagnostics diags;
  const std::unique_ptr<TargetInfo> target = find_target("x86-64-v3", diags);
  KernelCases cases(1, *target);
  for (const Geometry& g : std::span(kGeometries).first(5))
    cases.add(g.str(DType::F32, 1), arguments_of(g, DType::F32, 1, GetParam(), random), {64, 2e-5},
              [&](GraphBuilder& b, const Values& x) { return build(b, x, g, 1, GetParam()); });
  cases.run();
}

// A query that sees no key gives NaN, as a softmax of -infinity alone does; NaN spreads along its row.
TEST_P(Attention, NanAndHiddenRows) {
  std::mt19937_64 random(13);
  const Geometry g{1, 1, 9, 20, 4, 16, false, {1, 1, 9, 20}};
  std::vector<Literal> arguments = arguments_of(g, DType::F32, 2, GetParam(), random);
  const size_t q = GetParam() ? 1 : 0;
  for (int64_t i = 0; i < arguments.back().num_elements(); ++i)
    arguments.back().set_int(i, i / 20 == 3 ? 0 : 1);
  arguments[q].set(5 * 4 + 1, std::numeric_limits<double>::quiet_NaN());
  arguments[q].set(6 * 4 + 2, std::numeric_limits<double>::infinity());
  KernelCases cases;
  cases.add("hidden", arguments, {64, 2e-5},
            [&](GraphBuilder& b, const Values& x) { return build(b, x, g, 2, GetParam()); });
  cases.run();
}

// Scores of one head that do not fit on the stack.
TEST_P(Attention, OfLongSequences) {
  std::mt19937_64 random(14);
  KernelCases cases;
  const Geometry g{1, 1, 200, 300, 4, 8, true};
  cases.add("long", arguments_of(g, DType::F32, 2, GetParam(), random), {64, 1e-4},
            [&](GraphBuilder& b, const Values& x) { return build(b, x, g, 2, GetParam()); });
  cases.run();
}

TEST_P(Attention, SameBitsForAnyNumberOfThreads) {
  std::mt19937_64 random(15);
  for (const Geometry& g : {Geometry{4, 5, 70, 70, 16, 16, true}, Geometry{1, 2, 160, 160, 32, 32, true}}) {
    const std::vector<Literal> arguments = arguments_of(g, DType::F32, 1, GetParam(), random);
    Function function;
    function.kind = FunctionKind::Kernel;
    function.name = "attention";
    Values x;
    for (size_t i = 0; i < arguments.size(); ++i)
      x.push_back(function.body.add_argument("x" + std::to_string(i), arguments[i].type()));
    GraphBuilder b(function.body);
    for (const Value y : build(b, x, g, 1, GetParam())) function.body.results.push_back({"y", y});
    expect_same_bits_for_any_threads(function, arguments);
  }
}

}  // namespace
}  // namespace nncc::testing
