#include "passes/kernel_aliasing.h"

#include <gtest/gtest.h>

#include <functional>

#include "ir/builder.h"

namespace nncc {
namespace {

const TensorType kVector{DType::F32, {8}};

struct Kernel {
  Function function;
  GraphBuilder b{function.body};
  Value a = function.body.add_argument("a", kVector);
  Value c = function.body.add_argument("c", kVector);
  void result(Value v) { function.body.results.push_back({"r", v}); }
};

TEST(KernelAliasing, AResultLiesOnAnArgumentItReads) {
  Kernel k;
  k.result(k.b.mul(k.a, k.c));
  EXPECT_TRUE(may_overwrite(k.function, 0, 0));
  EXPECT_TRUE(may_overwrite(k.function, 1, 0));
}

TEST(KernelAliasing, AlsoWhereAnotherResultReadsItAtTheSameIndex) {
  Kernel k;
  k.result(k.b.mul(k.a, 2));
  k.result(k.b.add(k.a, k.c));
  EXPECT_TRUE(may_overwrite(k.function, 0, 0));
  EXPECT_TRUE(may_overwrite(k.function, 1, 1));
}

TEST(KernelAliasing, NotOnAnArgumentThatOnlyAnotherResultReads) {
  Kernel k;
  k.result(k.b.mul(k.c, 2));
  k.result(k.b.add(k.a, k.c));
  EXPECT_FALSE(may_overwrite(k.function, 0, 0));
}

TEST(KernelAliasing, NotOnWhatIsReadAtOtherIndices) {
  Kernel k;
  k.result(k.b.add(k.b.add(Op::Reverse, {k.a}, {{Attr::Axes, std::vector<int64_t>{0}}}), k.c));
  EXPECT_FALSE(may_overwrite(k.function, 0, 0));
  EXPECT_TRUE(may_overwrite(k.function, 1, 0));
}

TEST(KernelAliasing, NotBesideAReduction) {
  Kernel k;
  k.result(k.b.mul(k.a, 2));
  k.result(k.b.reduce(Op::ReduceSum, k.c, {0}));
  EXPECT_FALSE(may_overwrite(k.function, 0, 0));
}

TEST(KernelAliasing, NotOnAnotherSize) {
  Kernel k;
  const Value scalar = k.function.body.add_argument("s", {DType::F32, {}});
  k.result(k.b.add(k.a, k.b.broadcast_to(scalar, kVector.shape)));
  EXPECT_FALSE(may_overwrite(k.function, 2, 0));
}

// A product of [4, 6] and [6, 8], and what `finish` makes of it.
Function product_kernel(const std::function<Value(GraphBuilder&, Value)>& finish, DType dtype = DType::F32) {
  Function function;
  GraphBuilder b(function.body);
  const Value x = function.body.add_argument("x", {dtype, {4, 6}});
  const Value w = function.body.add_argument("w", {dtype, {6, 8}});
  const Value p = b.add(Op::MatMul, {x, w}, {{Attr::TransposeA, false}, {Attr::TransposeB, false}});
  function.body.results.push_back({"r", finish(b, p)});
  return function;
}

TEST(RowsWithGaps, ProductsWriteTheirLastAxis) {
  const Function product = product_kernel([](GraphBuilder&, Value p) { return p; });
  EXPECT_TRUE(may_lie_in_rows(product, 0, 8));
  EXPECT_FALSE(may_lie_in_rows(product, 0, 4));
  EXPECT_FALSE(may_lie_in_rows(product, 0, 16));
  const auto split = [](GraphBuilder& b, Value p) { return b.reshape(b.neg(p), {2, 2, 8}); };
  EXPECT_TRUE(may_lie_in_rows(product_kernel(split), 0, 8));
}

TEST(RowsWithGaps, NotWhereARowIsNoAxisOfTheResult) {
  const auto flat = [](GraphBuilder& b, Value p) { return b.reshape(p, {32}); };
  EXPECT_FALSE(may_lie_in_rows(product_kernel(flat), 0, 8));
}

TEST(RowsWithGaps, NotOfElementwiseKernels) {
  Kernel k;
  k.result(k.b.mul(k.a, k.c));
  EXPECT_FALSE(may_lie_in_rows(k.function, 0, 8));
}

TEST(RowsWithGaps, NotWhereElementsAreComputedOneByOne) {
  const auto product = [](GraphBuilder&, Value p) { return p; };
  EXPECT_FALSE(may_lie_in_rows(product_kernel(product, DType::F16), 0, 8));
  EXPECT_FALSE(may_lie_in_rows(product_kernel(product, DType::BF16), 0, 8));
}

}  // namespace
}  // namespace nncc
