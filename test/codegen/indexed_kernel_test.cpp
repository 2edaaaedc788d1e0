// Looking up and adding up by index: every element type, axes in front, in the middle and at the end, rows that are no
// whole vectors, and indices that lie outside.
#include <gtest/gtest.h>

#include "ir/indexed_rules.h"
#include "test/codegen/kernel_cases.h"

namespace nncc::testing {
namespace {

struct Lookup {
  Shape from, index;
  int64_t axis;
};
const std::vector<Lookup> kLookups = {{{7, 5}, {3}, 0},       {{7, 32}, {4, 3}, 0}, {{7, 48}, {9}, 0},
                                      {{3, 7, 17}, {5}, 1},   {{3, 7}, {2, 5}, 1},  {{19}, {23}, 0},
                                      {{5, 33}, {}, 0},       {{2, 3, 4}, {1}, 2},  {{65, 130}, {40}, 0}};

Literal index_literal(DType dtype, const Shape& shape, int64_t extent, std::mt19937_64& random) {
  Literal index({dtype, shape});
  for (int64_t i = 0; i < index.num_elements(); ++i)
    index.set_int(i, static_cast<int64_t>(random() % static_cast<uint64_t>(extent + 2)) - 1);
  index.round_to_type();
  return index;
}

class Indexed : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Types, Indexed, ::testing::ValuesIn(kAllTypes),
                         [](const auto& info) { return std::string(dtype_name(info.param)); });

TEST_P(Indexed, Gather) {
  std::mt19937_64 random(1);
  KernelCases cases;
  for (const Lookup& l : kLookups)
    for (const DType dtype : {DType::I8, DType::U8, DType::I32, DType::I64})
      cases.add("gather", {random_literal({GetParam(), l.from}, random, -1, 1), index_literal(dtype, l.index, l.from[l.axis], random)},
                {}, [&](GraphBuilder& b, const Values& x) {
                  return Values{b.add(Op::Gather, x, {{Attr::Axis, l.axis}})};
                });
  cases.run();
}

TEST_P(Indexed, ScatterAdd) {
  if (GetParam() == DType::Bool) GTEST_SKIP() << "truth values cannot be added";
  std::mt19937_64 random(2);
  KernelCases cases;
  for (const Lookup& l : kLookups)
    cases.add("scatter_add",
              {random_literal({GetParam(), l.from}, random, -1, 1), index_literal(DType::I32, l.index, l.from[l.axis], random),
               random_literal({GetParam(), gathered_shape(l.from, l.index, l.axis)}, random, -1, 1)},
              {.ulp = 64, .absolute = is_float(GetParam()) ? 4e-2 * (dtype_size(GetParam()) == 2) + 1e-6 : 0},
              [&](GraphBuilder& b, const Values& x) {
                return Values{b.add(Op::ScatterAdd, x, {{Attr::Axis, l.axis}})};
              });
  cases.run();
}

TEST(Indexed, SameBitsForAnyNumberOfThreads) {
  std::vector<std::vector<std::vector<Literal>>> results;
  for (const int threads : {1, 2, 3}) {
    std::mt19937_64 random(3);
    KernelCases cases(threads);
    cases.add("scatter_add",
              {random_literal({DType::F32, {50, 300}}, random, -1, 1), index_literal(DType::I32, {4000}, 50, random),
               random_literal({DType::F32, {4000, 300}}, random, -1, 1)},
              {}, [](GraphBuilder& b, const Values& x) {
                return Values{b.add(Op::ScatterAdd, x, {{Attr::Axis, int64_t{0}}})};
              });
    results.push_back(cases.results());
  }
  for (size_t i = 1; i < results.size(); ++i)
    EXPECT_EQ(results[i][0][0].to_bytes(), results[0][0][0].to_bytes());
}

}  // namespace
}  // namespace nncc::testing
