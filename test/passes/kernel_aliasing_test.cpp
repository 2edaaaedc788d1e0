#include "passes/kernel_aliasing.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace nncc
