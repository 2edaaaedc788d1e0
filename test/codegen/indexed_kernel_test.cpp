// Looking up and adding up by index: every element type, axes in front, in the middle and at the end, rows
// that are no whole vectors, and indices that lie outside.
#include <gtest/gtest.h>

#include "ir/indexed_rules.h"
#include "test/codegen/kernel_cases.h"

namespace nncc::testing {
namespace {

struct Lookup {
  Shape from, index;
  int64_t axis;
};
const std::vector<Lookup> kLookups = {{{7, 5}, {3}, 0},     {{7, 32}, {4, 3}, 0}, {{7, 48}, {9}, 0},
                                      {{3, 7, 17}, {5}, 1}, {{3, 7}, {2, 5}, 1},  {{19}, {23}, 0},
                                      {{5, 33}, {}, 0},     {{2, 3, 4}, {1}, 2},  {{65, 130}, {40}, 0},
                                      {{4}, {1}, 0},        {{4}, {}, 0},         {{3, 40}, {1}, 0}};

Literal index_literal(DType dtype, const Shape& shape, int64_t extent, std::mt19937_64& random) {
  Literal index({dtype, shape});
  for (int64_t i = 0; i < index.num_elements(); ++i)
    index.set_int(i, static_cast<int64_t>(random() % static_cast<uint64_t>(extent + 2)) - 1);
  index.round_to_type();
  return index;
}

std::string type_name(const ::testing::TestParamInfo<DType>& info) {
  return std::string(dtype_name(info.param));
}

class Gather : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Indexed, Gather, ::testing::ValuesIn(kAllTypes), type_name);

// Truth values cannot be added.
class ScatterAddOf : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Indexed, ScatterAddOf,
                         ::testing::Values(DType::F32, DType::F64, DType::F16, DType::BF16, DType::I8,
                                           DType::U8, DType::I32, DType::I64),
                         type_name);

TEST_P(Gather, OfEveryType) {
  std::mt19937_64 random(1);
  KernelCases cases;
  for (const Lookup& l : kLookups)
    for (const DType dtype : {DType::I8, DType::U8, DType::I32, DType::I64})
      cases.add("gather",
                {random_literal({GetParam(), l.from}, random, -1, 1),
                 index_literal(dtype, l.index, l.from[l.axis], random)},
                {}, [&](GraphBuilder& b, const Values& x) {
                  return Values{b.add(Op::Gather, x, {{Attr::Axis, l.axis}})};
                });
  cases.run();
}

TEST_P(ScatterAddOf, OfEveryType) {
  std::mt19937_64 random(2);
  KernelCases cases;
  for (const Lookup& l : kLookups)
    cases.add("scatter_add",
              {random_literal({GetParam(), l.from}, random, -1, 1),
               index_literal(DType::I32, l.index, l.from[l.axis], random),
               random_literal({GetParam(), gathered_shape(l.from, l.index, l.axis)}, random, -1, 1)},
              {.ulp = 64, .absolute = is_float(GetParam()) ? 4e-2 * (dtype_size(GetParam()) == 2) + 1e-6 : 0},
              [&](GraphBuilder& b, const Values& x) {
                return Values{b.add(Op::ScatterAdd, x, {{Attr::Axis, l.axis}})};
              });
  cases.run();
}

TEST(ScatterAdd, SameBitsForAnyNumberOfThreads) {
  std::mt19937_64 random(3);
  const TensorType whole{DType::F32, {50, 300}}, index{DType::I32, {4000}}, values{DType::F32, {4000, 300}};
  Function function;
  function.kind = FunctionKind::Kernel;
  GraphBuilder b(function.body);
  const Value x = function.body.add_argument("x", whole), i = function.body.add_argument("i", index),
              v = function.body.add_argument("v", values);
  function.body.results = {{"y", b.add(Op::ScatterAdd, {x, i, v}, {{Attr::Axis, int64_t{0}}})}};
  const std::vector<Literal> arguments{random_literal(whole, random),
                                       index_literal(index.dtype, index.shape, 50, random),
                                       random_literal(values, random)};
  expect_same_bits_for_any_threads(function, arguments);
}

}  // namespace
}  // namespace nncc::testing
