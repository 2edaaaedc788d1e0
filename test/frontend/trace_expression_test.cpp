// What expressions mean, on the reference evaluator.
#include <cmath>

#include "trace_fixture.h"

namespace nncc {
namespace {

using Reals = std::vector<double>;

Literal counting(Shape shape) {
  Reals values;
  for (int64_t i = 0; i < num_elements(shape); ++i) values.push_back(static_cast<double>(i));
  return tensor_of(std::move(shape), values);
}

void expect_near(const Reals& found, const Reals& expected, double tolerance = 1e-12) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], tolerance) << i;
}

double constant(const std::string& expression) {
  return evaluate_body("return cast(" + expression + ", f32)").at(0);
}

TEST(Constants, ArithmeticIsPythons) {
  EXPECT_EQ(constant("7 / 2"), 3);
  EXPECT_EQ(constant("-7 / 2"), -4);
  EXPECT_EQ(constant("7 / 2.0"), 3.5);
  EXPECT_EQ(constant("-2 ** 2"), -4);
  EXPECT_EQ(constant("2 ** 3 ** 2"), 512);
  EXPECT_EQ(constant("2 ** -1"), 0.5);
  EXPECT_EQ(constant("min(3, 2.5) + max(1, 2)"), 4.5);
  EXPECT_EQ(constant("floor(7.9) + abs(-2) + round(2.5)"), 11);
  EXPECT_NEAR(constant("sqrt(2) * cos(0) + exp(1)"), std::sqrt(2) + std::exp(1), 1e-12);
  EXPECT_EQ(constant("[1, [2, 3]][1][-1]"), 3);
  EXPECT_EQ(constant("sum([1, 2, 3][1:]) + prod([2, 3]) + len([1] * 4 + [2])"), 16);
  EXPECT_TRUE(std::isinf(constant("-inf")));
}

TEST(Constants, ConditionsShortCircuit) {
  EXPECT_EQ(evaluate_body("y = 1.0\nif false and 1 / 0 == 1 { y = 2.0 }\nreturn y").at(0), 1);
  EXPECT_EQ(evaluate_body("y = 1.0\nif 1 == 1.0 or undefined { y = 2.0 }\nreturn y").at(0), 2);
  EXPECT_EQ(evaluate_body("y = 1.0\nif 1 != \"same\" and not (2 < 1) { y = 2.0 }\nreturn y").at(0), 2);
}

TEST(Constants, MayCallFunctions) {
  const Traced program(R"(
fn doubled(n: int, times: int) {
  list = []
  for i in 0..times {
    n = n * 2
    list = list + [n]
  }
  return list
}
const widths = doubled(1, times = 3)
model f(x: f32[8]) { return reshape(x, [widths[0], widths[1]]) * widths[-1] })");
  EXPECT_EQ(program.errors, "");
}

TEST(Constants, AQuotientOfZeroWarns) {
  const Traced program("const a = 1 / 8\nmodel f(x: f32[2]) { return x * a }");
  EXPECT_EQ(program.warnings, "1 / 8 is 0, since ints round down; write 1.0 / 8 for the float\n");
}

TEST(Constants, MeetTensorsInTheirElementType) {
  expect_near(evaluate_body("return 1 / 2 + a / 2", {vector_of({3})}), {1.5});
  expect_near(
      evaluate_body("return cast(b / 2 + 1, f32) * a", {vector_of({1, 1}), integers_of({2}, {-3, 5})}),
      {-1, 3});
  EXPECT_EQ(Traced("model f(x: i32[2]) { return x * 0.5 }").errors,
            "the float 0.5 meets a tensor of i32; cast the tensor to f32\n");
  EXPECT_EQ(Traced("model f(x: i8[2]) { return x + 200 }").errors, "the int 200 does not fit i8\n");
}

TEST(Tensors, BroadcastAsInNumPy) {
  expect_near(evaluate_body("return a - b", {tensor_of({2, 1}, {10, 20}), vector_of({1, 2, 3})}),
              {9, 8, 7, 19, 18, 17});
  expect_near(evaluate_body("return where(a > 1, a, -b)", {vector_of({0, 2}), tensor_of({2, 1}, {5, 6})}),
              {-5, 2, -6, 2});
}

TEST(Tensors, PowersOfSmallIntsAreProducts) {
  const Traced program("model f(x: f32[3]) { return x ** 2 + x ** 3 + x ** 0.5 }");
  EXPECT_EQ(program.count("f", Op::Pow), 0);
  EXPECT_EQ(program.count("f", Op::Mul), 3);
  expect_near(evaluate_body("return a ** -2 + a ** 1.5 + 2 ** a", {vector_of({4})}), {1.0 / 16 + 8 + 16});
}

TEST(Tensors, Products) {
  const Literal matrix = tensor_of({2, 3}, {1, 2, 3, 4, 5, 6});
  expect_near(evaluate_body("return a @ b", {matrix, vector_of({1, 0, -1})}), {-2, -2});
  expect_near(evaluate_body("return b @ a", {matrix, vector_of({1, 2})}), {9, 12, 15});
  expect_near(evaluate_body("return a @ a", {vector_of({1, 2, 3})}), {14});
  expect_near(evaluate_body("return a @ transpose(a)", {matrix}), {14, 32, 32, 77});
  // Leading axes: one product for all rows, or one each.
  expect_near(evaluate_body("return a @ b", {counting({2, 2, 2}), tensor_of({2, 1}, {1, 10})}),
              {10, 32, 54, 76});
  expect_near(evaluate_body("return a @ b", {tensor_of({1, 2}, {1, 1}), counting({2, 2, 1})}), {1, 5});
  const Traced program("model f(x: f32[5, 4, 3], w: f32[3, 2]) -> f32[5, 4, 2] { return x @ w }");
  EXPECT_EQ(program.count("f", Op::MatMul), 1);
}

TEST(Tensors, Indexing) {
  const Literal x = counting({2, 3, 4});
  expect_near(evaluate_body("return a[1, -1, 0]", {x}), {20});
  expect_near(evaluate_body("return a[.., -1]", {x}), {3, 7, 11, 15, 19, 23});
  expect_near(evaluate_body("return a[0, 1:3, ::2]", {x}), {4, 6, 8, 10});
  expect_near(evaluate_body("return a[0, 0, ::-1]", {x}), {3, 2, 1, 0});
  expect_near(evaluate_body("return a[0, 0, 3:0:-2]", {x}), {3, 1});
  expect_near(evaluate_body("return a[0, 0, -3:-1]", {x}), {1, 2});
  expect_near(evaluate_body("return a[1, .., 1:2]", {x}), {13, 17, 21});
}

TEST(Tensors, Reductions) {
  const Literal x = tensor_of({2, 3}, {3, 1, 2, 6, 5, 9});
  expect_near(evaluate_body("return sum(a)", {x}), {26});
  expect_near(evaluate_body("return mean(a, axis = -1)", {x}), {2, 20.0 / 3});
  expect_near(evaluate_body("return a - max(a, axis = 1, keep = true)", {x}), {0, -2, -1, -3, -4, 0});
  expect_near(evaluate_body("return min(a, axis = [0, 1]) + prod(a[0])", {x}), {7});
  expect_near(evaluate_body("return cast(argmax(a), f32) + cast(argmin(a), f32)", {x}), {1, 3});
  expect_near(evaluate_body("return mean(a > 2) + sum(a > 2)", {x}), {4.0 / 6 + 4});
  expect_near(evaluate_body("return where(any(a > 8) and not all(a > 1), 1, 0) * a[0, 0]", {x}), {3});
}

TEST(Tensors, ShapesAndJoining) {
  const Literal x = counting({2, 3});
  expect_near(evaluate_body("return reshape(a, [3, -1])[2]", {x}), {4, 5});
  expect_near(evaluate_body("return transpose(a, [1, 0])[0]", {x}), {0, 3});
  expect_near(evaluate_body("return concat([a[0], a[1]])", {x}), {0, 1, 2, 3, 4, 5});
  expect_near(evaluate_body("return stack([a[0], a[1]], axis = 1)", {x}), {0, 3, 1, 4, 2, 5});
  expect_near(evaluate_body("p, q, r = split(a, 3, axis = 1)\nreturn concat([r, p], axis = 1)", {x}),
              {2, 0, 5, 3});
  expect_near(evaluate_body("return pad(a[0], [[1, 2]], value = -1)", {x}), {-1, 0, 1, 2, -1, -1});
  expect_near(evaluate_body("return reverse(a, 1)", {x}), {2, 1, 0, 5, 4, 3});
  expect_near(evaluate_body("return one_hot(b, 3)", {x, integers_of({2}, {2, 0})}), {0, 0, 1, 1, 0, 0});
  expect_near(evaluate_body("return cast(iota(3), f32) + fill([3], 2) + ones(like(a[0]))", {x}), {3, 4, 5});
  expect_near(evaluate_body("return broadcast(a[0, 1:], shape = [2, 2])", {x}), {1, 2, 1, 2});
}

TEST(Tensors, IndicesOfBothWidthsMeet) {
  const Traced program("model f(z: f32[4, 3], label: i64[4]) -> f32 { return mean(argmax(z) == label) }");
  EXPECT_EQ(program.errors, "");
}

TEST(Tensors, PipesAndLocalsDoNotHideFunctions) {
  expect_near(evaluate_body("sum = a |> sum(axis = 0)\nreturn sum + sum(a)", {vector_of({1, 2})}), {6});
}

}  // namespace
}  // namespace nncc
