// The reference evaluator against values worked out by hand.
#include "ir/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "ir/philox.h"
#include "test/ir/nnir.h"

namespace nncc {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// One op on given elements. Elements are doubles; integers and bools are written as such.
struct Case {
  const char* op;
  const char* operands;
  const char* attributes;
  const char* result;
  std::vector<std::vector<double>> elements;
  std::vector<double> expected;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases = {
      {"constant", "", "{value = dense<1, 2>}", "f32[2]", {}, {1, 2}},
      {"iota", "", "{axis = 0}", "i32[2, 3]", {}, {0, 0, 0, 1, 1, 1}},
      {"iota", "", "{axis = 1}", "f32[2, 3]", {}, {0, 1, 2, 0, 1, 2}},
      {"neg", "f32[3]", "", "f32[3]", {{1, -kInf, kNan}}, {-1, kInf, kNan}},
      {"neg", "i8[2]", "", "i8[2]", {{-128, 5}}, {-128, -5}},
      {"abs", "f32[2]", "", "f32[2]", {{-2, kNan}}, {2, kNan}},
      {"abs", "i8[2]", "", "i8[2]", {{-128, -3}}, {-128, 3}},
      {"sign", "f32[4]", "", "f32[4]", {{-3, 0, kInf, kNan}}, {-1, 0, 1, kNan}},
      {"sign", "i32[2]", "", "i32[2]", {{-7, 0}}, {-1, 0}},
      {"floor", "f32[3]", "", "f32[3]", {{-1.5, 1.5, -kInf}}, {-2, 1, -kInf}},
      {"ceil", "f32[2]", "", "f32[2]", {{-1.5, 1.5}}, {-1, 2}},
      {"round", "f32[5]", "", "f32[5]", {{0.5, 1.5, 2.5, -0.5, 2.51}}, {0, 2, 2, 0, 3}},
      {"exp", "f64[4]", "", "f64[4]", {{0, 1, -kInf, 1000}}, {1, M_E, 0, kInf}},
      {"log", "f64[4]", "", "f64[4]", {{1, 0, -1, kInf}}, {0, -kInf, kNan, kInf}},
      {"log1p", "f64[3]", "", "f64[3]", {{1e-20, -1, -2}}, {1e-20, -kInf, kNan}},
      {"expm1", "f64[3]", "", "f64[3]", {{1e-20, -kInf, 1000}}, {1e-20, -1, kInf}},
      {"sqrt", "f64[3]", "", "f64[3]", {{4, 0, -1}}, {2, 0, kNan}},
      {"rsqrt", "f64[3]", "", "f64[3]", {{4, 0, kInf}}, {0.5, kInf, 0}},
      {"sin", "f64[2]", "", "f64[2]", {{M_PI / 2, kInf}}, {1, kNan}},
      {"cos", "f64[2]", "", "f64[2]", {{0, M_PI}}, {1, -1}},
      {"tanh", "f64[3]", "", "f64[3]", {{1000, -kInf, 0}}, {1, -1, 0}},
      {"sigmoid", "f64[4]", "", "f64[4]", {{0, -1000, 1000, kNan}}, {0.5, 0, 1, kNan}},
      {"erf", "f64[3]", "", "f64[3]", {{0, kInf, 0.5}}, {0, 1, 0.5204998778130465}},
      {"not", "bool[2]", "", "bool[2]", {{1, 0}}, {0, 1}},
      {"is_nan", "f32[3]", "", "bool[3]", {{kNan, kInf, 0}}, {1, 0, 0}},
      {"is_finite", "f32[4]", "", "bool[4]", {{kNan, kInf, 0, -kInf}}, {0, 0, 1, 0}},
      {"cast", "f32[5]", "", "i8[5]", {{1.9, -1.9, 1e9, -kInf, kNan}}, {1, -1, 127, -128, 0}},
      {"cast", "f32[3]", "", "u8[3]", {{-1, 255.5, 256}}, {0, 255, 255}},
      {"cast", "f64[2]", "", "i64[2]", {{1e300, -1e300}}, {0x1p63, -0x1p63}},
      {"cast", "i32[2]", "", "i8[2]", {{300, -129}}, {44, 127}},
      {"cast", "f32[3]", "", "bool[3]", {{0.5, -0.0, kNan}}, {1, 0, 1}},
      {"cast", "bool[2]", "", "f32[2]", {{1, 0}}, {1, 0}},
      {"cast", "f64[1]", "", "f32[1]", {{0.1}}, {static_cast<double>(0.1f)}},
      {"stop_gradient", "f32[1]", "", "f32[1]", {{7}}, {7}},
      {"add", "f32[2];f32[2]", "", "f32[2]", {{1, kInf}, {2, -kInf}}, {3, kNan}},
      {"add", "i8[1];i8[1]", "", "i8[1]", {{100}, {100}}, {-56}},
      {"sub", "u8[1];u8[1]", "", "u8[1]", {{1}, {2}}, {255}},
      {"mul", "f32[2];f32[2]", "", "f32[2]", {{0, 3}, {kInf, 4}}, {kNan, 12}},
      {"mul", "i32[1];i32[1]", "", "i32[1]", {{65536}, {65536}}, {0}},
      {"div", "f32[3];f32[3]", "", "f32[3]", {{1, 0, -1}, {0, 0, 2}}, {kInf, kNan, -0.5}},
      {"div",
       "i32[6];i32[6]",
       "",
       "i32[6]",
       {{7, -7, 7, -7, 6, 5}, {2, 2, -2, -2, 3, 0}},
       {3, -4, -4, 3, 2, 0}},
      {"div", "i8[1];i8[1]", "", "i8[1]", {{-128}, {-1}}, {-128}},
      {"pow", "f64[4];f64[4]", "", "f64[4]", {{2, -8, 0, 0}, {10, 1.0 / 3, 0, -1}}, {1024, kNan, 1, kInf}},
      {"max", "f32[4];f32[4]", "", "f32[4]", {{1, kNan, 1, -kInf}, {2, 1, kNan, 0}}, {2, kNan, kNan, 0}},
      {"max", "i32[2];i32[2]", "", "i32[2]", {{1, -5}, {2, -6}}, {2, -5}},
      {"min", "f32[3];f32[3]", "", "f32[3]", {{1, kNan, 1}, {2, 1, kNan}}, {1, kNan, kNan}},
      {"min", "i32[2];i32[2]", "", "i32[2]", {{1, -5}, {2, -6}}, {1, -6}},
      {"eq", "f32[3];f32[3]", "", "bool[3]", {{1, kNan, 0}, {1, kNan, -0.0}}, {1, 0, 1}},
      {"eq", "bool[2];bool[2]", "", "bool[2]", {{1, 0}, {1, 1}}, {1, 0}},
      {"ne", "f32[2];f32[2]", "", "bool[2]", {{1, kNan}, {1, kNan}}, {0, 1}},
      {"lt", "f32[3];f32[3]", "", "bool[3]", {{1, kNan, 2}, {2, 1, 2}}, {1, 0, 0}},
      {"le", "f32[3];f32[3]", "", "bool[3]", {{1, kNan, 2}, {2, 1, 2}}, {1, 0, 1}},
      {"gt", "i32[3];i32[3]", "", "bool[3]", {{1, 3, 2}, {2, 1, 2}}, {0, 1, 0}},
      {"ge", "i32[3];i32[3]", "", "bool[3]", {{1, 3, 2}, {2, 1, 2}}, {0, 1, 1}},
      {"and", "bool[4];bool[4]", "", "bool[4]", {{0, 0, 1, 1}, {0, 1, 0, 1}}, {0, 0, 0, 1}},
      {"or", "bool[4];bool[4]", "", "bool[4]", {{0, 0, 1, 1}, {0, 1, 0, 1}}, {0, 1, 1, 1}},
      {"select", "bool[2];f32[2];f32[2]", "", "f32[2]", {{1, 0}, {1, kNan}, {kNan, 2}}, {1, 2}},
      {"reduce_sum", "f32[2, 3]", "{axes = [1]}", "f32[2]", {{1, 2, 3, 4, 5, kInf}}, {6, kInf}},
      {"reduce_sum", "f32[2, 3]", "{axes = [0]}", "f32[3]", {{1, 2, 3, 4, 5, 6}}, {5, 7, 9}},
      {"reduce_sum", "i8[3]", "{axes = [0]}", "i8", {{100, 100, 1}}, {-55}},
      {"reduce_prod", "f32[2, 2]", "{axes = [0, 1]}", "f32", {{1, 2, 3, 4}}, {24}},
      {"reduce_max", "f32[2, 2]", "{axes = [1]}", "f32[2]", {{-3, -2, kNan, 9}}, {-2, kNan}},
      {"reduce_max", "f32[1]", "{axes = [0]}", "f32", {{-kInf}}, {-kInf}},
      {"reduce_max", "bool[2, 2]", "{axes = [1]}", "bool[2]", {{0, 0, 0, 1}}, {0, 1}},
      {"reduce_min", "f32[2, 2]", "{axes = [1]}", "f32[2]", {{-3, -2, 9, kNan}}, {-3, kNan}},
      {"reduce_min", "bool[2, 2]", "{axes = [1]}", "bool[2]", {{1, 1, 0, 1}}, {1, 0}},
      {"argmax", "f32[2, 3]", "{axis = 1}", "i32[2]", {{1, 5, 5, kInf, kNan, kNan}}, {1, 1}},
      {"argmax", "i32[2, 2]", "{axis = 0}", "i32[2]", {{1, 5, 2, 5}}, {1, 0}},
      {"argmin", "f32[2, 3]", "{axis = 1}", "i32[2]", {{1, -5, -5, -kInf, kNan, 0}}, {1, 1}},
      // y[t] = x[2 t - 1] + 10 x[2 t], in every layout.
      {"conv",
       "f32[1, 1, 4];f32[1, 1, 2]",
       "{strides = [2], low = [1], dilation = [1], groups = 1}",
       "f32[1, 1, 3]",
       {{1, 2, 3, 4}, {1, 10}},
       {10, 32, 4}},
      {"conv_input_gradient",
       "f32[1, 1, 3];f32[1, 1, 2]",
       "{strides = [2], low = [1], dilation = [1], groups = 1}",
       "f32[1, 1, 4]",
       {{1, 2, 3}, {1, 10}},
       {10, 2, 20, 3}},
      {"conv_weight_gradient",
       "f32[1, 1, 4];f32[1, 1, 3]",
       "{strides = [2], low = [1], dilation = [1], groups = 1}",
       "f32[1, 1, 2]",
       {{1, 2, 3, 4}, {1, 2, 3}},
       {16, 7}},
      {"conv_packed",
       "f32[1, 1, 4, 1];f32[1, 1, 1, 2, 2]",
       "{strides = [1, 2], low = [0, 1], dilation = [1, 1], groups = 1}",
       "f32[1, 1, 3, 1]",
       {{1, 2, 3, 4}, {1, 0, 10, 0}},
       {10, 32, 4}},
      {"conv_input_gradient_packed",
       "f32[1, 1, 3, 1];f32[1, 1, 1, 2, 2]",
       "{strides = [1, 2], low = [0, 1], dilation = [1, 1], groups = 1}",
       "f32[1, 1, 4, 1]",
       {{1, 2, 3}, {1, 0, 10, 0}},
       {10, 2, 20, 3}},
      {"conv_weight_gradient_packed",
       "f32[1, 1, 4, 1];f32[1, 1, 3, 1]",
       "{strides = [1, 2], low = [0, 1], dilation = [1, 1], groups = 1}",
       "f32[1, 1, 1, 2, 2]",
       {{1, 2, 3, 4}, {1, 2, 3}},
       {16, 0, 7, 0}},
      {"depthwise_conv",
       "f32[1, 1, 4, 2];f32[1, 2, 2]",
       "{strides = [1, 2], low = [0, 1], dilation = [1, 1]}",
       "f32[1, 1, 3, 2]",
       {{1, 1, 2, 1, 3, 1, 4, 1}, {1, 2, 10, 20}},
       {10, 20, 32, 22, 4, 2}},
      {"depthwise_conv_input_gradient",
       "f32[1, 1, 3, 2];f32[1, 2, 2]",
       "{strides = [1, 2], low = [0, 1], dilation = [1, 1]}",
       "f32[1, 1, 4, 2]",
       {{1, 1, 2, 1, 3, 1}, {1, 2, 10, 20}},
       {10, 20, 2, 2, 20, 20, 3, 2}},
      {"depthwise_conv_weight_gradient",
       "f32[1, 1, 4, 2];f32[1, 1, 3, 2]",
       "{strides = [1, 2], low = [0, 1], dilation = [1, 1]}",
       "f32[1, 2, 2]",
       {{1, 1, 2, 1, 3, 1, 4, 1}, {1, 1, 2, 1, 3, 1}},
       {16, 2, 7, 2}},
      // A window with 1 in its middle, in tiles of 2 x 2: (0, 1/2, -1/2, 0) from both sides.
      {"winograd_weights",
       "f32[1, 1, 3, 3]",
       "{tile = 2, lanes = 2, turned = false}",
       "f32[1, 16, 1, 2]",
       {{0, 0, 0, 0, 1, 0, 0, 0, 0}},
       {0, 0, 0,     0, 0,    0, 0, 0, 0, 0, 0.25, 0, -0.25, 0, 0, 0,
        0, 0, -0.25, 0, 0.25, 0, 0, 0, 0, 0, 0,    0, 0,     0, 0, 0}},
      // Its last corner: (0, 0, 0, 1); turned it is the first, and in and out change places.
      {"winograd_weights",
       "f32[2, 1, 3, 3]",
       "{tile = 2, lanes = 1, turned = true}",
       "f32[1, 16, 2, 1]",
       {{0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 0, 0, 0, 0, 0, 0, 0, 0}},
       {4, 0, 2, 0, 2, 0, 0, 0, 2, 0, 1, 1, 1, 1, 0, 2, 2, 0, 1, 1, 1, 1, 0, 2, 0, 0, 0, 2, 0, 2, 0, 4}},
      // The element at (1, 1) of a tile: (0, 1, -1, 1).
      {"winograd_input",
       "f32[1, 2, 2, 1]",
       "{tile = 2, low = [1, 1], lanes = 1}",
       "f32[1, 16, 1, 1, 1, 1]",
       {{3, 0, 0, 0}},
       {0, 0, 0, 0, 0, 3, -3, 3, 0, -3, 3, -3, 0, 3, -3, 3}},
      // The element at (0, 0) of a tile: (1, 1, 1, 0).
      {"winograd_output_gradient",
       "f32[1, 1, 1, 1]",
       "{tile = 2, lanes = 1}",
       "f32[1, 16, 1, 1, 1, 1]",
       {{2}},
       {2, 2, 2, 0, 2, 2, 2, 0, 2, 2, 2, 0, 0, 0, 0, 0}},
      {"winograd_weight_gradient",
       "f32[1, 16, 1, 2]",
       "{tile = 2}",
       "f32[1, 1, 3, 3]",
       {{1, 9, 0, 9, 0, 9, 0, 9, 0, 9, 8, 9, 0, 9, 0, 9, 0, 9, 0, 9, 0, 9, 0, 9, 0, 9, 0, 9, 0, 9, 0, 9}},
       {3, 2, 2, 2, 2, 2, 2, 2, 2}},
      // Weights with 1 in the middle leave the image as it is.
      {"conv_winograd",
       "f32[1, 3, 2, 1];f32[1, 16, 1, 1]",
       "{tile = 2, low = [1, 1]}",
       "f32[1, 3, 2, 1]",
       {{1, 2, 3, 4, 5, 6}, {0, 0, 0, 0, 0, 0.25, -0.25, 0, 0, -0.25, 0.25, 0, 0, 0, 0, 0}},
       {1, 2, 3, 4, 5, 6}},
      {"conv_winograd_transformed",
       "f32[1, 16, 1, 1, 1, 1];f32[1, 16, 1, 1]",
       "{tile = 2}",
       "f32[1, 2, 2, 1]",
       {{0, 0, 0, 0, 0, 3, -3, 3, 0, -3, 3, -3, 0, 3, -3, 3},
        {0, 0, 0, 0, 0, 0.25, -0.25, 0, 0, -0.25, 0.25, 0, 0, 0, 0, 0}},
       {3, 0, 0, 0}},
      {"conv_winograd_weight_gradient",
       "f32[1, 16, 2, 1, 1, 1];f32[1, 16, 2, 1, 1, 1]",
       "{tile = 2}",
       "f32[1, 16, 1, 1]",
       {{1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 4},
        {5, 6, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 8}},
       {17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 53}},
      // Windows over -1, 0, 1 and 1, 2, 3.
      {"window_sum", "f32[4]", "{sizes = [3], strides = [2], low = [1]}", "f32[2]", {{1, 2, 3, 4}}, {3, 9}},
      {"window_spread",
       "i32[2]",
       "{sizes = [3], strides = [2], low = [1]}",
       "i32[4]",
       {{1, 10}},
       {1, 11, 10, 10}},
      {"window_max",
       "f32[4]",
       "{sizes = [3], strides = [2], low = [1]}",
       "f32[2]",
       {{-3, -2, kNan, 9}},
       {-2, kNan}},
      {"window_max", "i8[4]", "{sizes = [1], strides = [4], low = [4]}", "i8[2]", {{5, 2, 3, 4}}, {-128, 5}},
      {"window_argmax",
       "f32[4]",
       "{sizes = [3], strides = [2], low = [1]}",
       "i32[2]",
       {{2, 2, 1, kNan}},
       {1, 2}},
      {"window_argmax",
       "f32[4]",
       "{sizes = [3], strides = [2], low = [1]}",
       "i32[2]",
       {{-kInf, -kInf, -kInf, -kInf}},
       {1, 0}},
      {"window_scatter",
       "f32[2];i32[2]",
       "{sizes = [3], strides = [2], low = [1]}",
       "f32[4]",
       {{5, 7}, {2, 0}},
       {0, 12, 0, 0}},
      {"window_gather",
       "f32[4];i32[2]",
       "{sizes = [3], strides = [2], low = [1]}",
       "f32[2]",
       {{1, 2, 3, 4}, {0, 2}},
       {0, 4}},
      {"reshape", "f32[2, 3]", "", "f32[3, 2]", {{1, 2, 3, 4, 5, 6}}, {1, 2, 3, 4, 5, 6}},
      {"broadcast", "f32[2, 1]", "{dims = [1, 2]}", "f32[2, 2, 2]", {{1, 2}}, {1, 1, 2, 2, 1, 1, 2, 2}},
      {"transpose",
       "f32[1, 2, 3]",
       "{perm = [2, 0, 1]}",
       "f32[3, 1, 2]",
       {{1, 2, 3, 4, 5, 6}},
       {1, 4, 2, 5, 3, 6}},
      {"slice",
       "f32[2, 5]",
       "{starts = [1, 0], strides = [1, 2]}",
       "f32[1, 3]",
       {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
       {5, 7, 9}},
      {"pad", "f32[2];f32", "{low = [1], interior = [1]}", "f32[6]", {{1, 2}, {9}}, {9, 1, 9, 2, 9, 9}},
      {"gather",
       "f32[3, 2];i32[4]",
       "{axis = 0}",
       "f32[4, 2]",
       {{1, 2, 3, 4, 5, 6}, {2, 0, -1, 9}},
       {5, 6, 1, 2, 1, 2, 5, 6}},
      {"gather",
       "i8[2, 3];i64[2, 1]",
       "{axis = 1}",
       "i8[2, 2, 1]",
       {{1, 2, 3, 4, 5, 6}, {2, 0}},
       {3, 1, 6, 4}},
      {"scatter_add",
       "f32[3, 2];i32[3];f32[3, 2]",
       "{axis = 0}",
       "f32[3, 2]",
       {{0, 0, 10, 10, 0, 0}, {1, 0, 1}, {1, 2, 3, 4, 5, 6}},
       {3, 4, 16, 18, 0, 0}},
      {"scatter_add",
       "i32[2, 2];i32;i32[2]",
       "{axis = 1}",
       "i32[2, 2]",
       {{1, 2, 3, 4}, {1}, {5, 6}},
       {1, 7, 3, 10}},
      {"check_index", "i32[2]", "{extent = 5, label = @t}", "i32[2]", {{1, 4}}, {1, 4}},
      {"concat",
       "f32[2, 1];f32[2, 2]",
       "{axis = 1}",
       "f32[2, 3]",
       {{1, 2}, {3, 4, 5, 6}},
       {1, 3, 4, 2, 5, 6}},
      {"reverse", "f32[2, 3]", "{axes = [1]}", "f32[2, 3]", {{1, 2, 3, 4, 5, 6}}, {3, 2, 1, 6, 5, 4}},
      {"matmul",
       "f32[2, 2];f32[2, 1]",
       "{transpose_a = false, transpose_b = false}",
       "f32[2, 1]",
       {{1, 2, 3, 4}, {5, 6}},
       {17, 39}},
      {"matmul",
       "f32[2, 2];f32[1, 2]",
       "{transpose_a = true, transpose_b = true}",
       "f32[2, 1]",
       {{1, 2, 3, 4}, {5, 6}},
       {23, 34}},
      {"matmul",
       "f32[2, 1, 2];f32[2, 2, 1]",
       "{transpose_a = false, transpose_b = false}",
       "f32[2, 1, 1]",
       {{1, 2, 3, 4}, {5, 6, 7, 8}},
       {17, 53}},
      {"pack_panels",
       "f32[2, 3]",
       "{lanes = 2, transpose_b = false}",
       "f32[2, 2, 2]",
       {{1, 2, 3, 4, 5, 6}},
       {1, 2, 4, 5, 3, 0, 6, 0}},
      {"pack_panels",
       "f32[3, 2]",
       "{lanes = 2, transpose_b = true}",
       "f32[2, 2, 2]",
       {{1, 4, 2, 5, 3, 6}},
       {1, 2, 4, 5, 3, 0, 6, 0}},
      {"matmul_packed",
       "f32[1, 2];f32[2, 2, 2]",
       "{transpose_a = false}",
       "f32[1, 3]",
       {{10, 1}, {1, 2, 4, 5, 3, 0, 6, 0}},
       {14, 25, 36}},
      // Scores 0 0 and 0 log(3): weights 1/2 1/2 and 1/4 3/4.
      {"attention",
       "f64[1, 1, 2, 1];f64[1, 1, 2, 1];f64[1, 1, 2, 2]",
       "{axis = 2, causal = false}",
       "f64[1, 1, 2, 2]",
       {{0, std::log(3)}, {0, 1}, {4, 1, 8, 2}},
       {6, 1.5, 7, 1.75}},
      {"attention",
       "f64[1, 2, 1, 1];f64[1, 2, 1, 1];f64[1, 2, 1, 2]",
       "{axis = 1, causal = true}",
       "f64[1, 2, 1, 2]",
       {{0, std::log(3)}, {0, 1}, {4, 1, 8, 2}},
       {4, 1, 7, 1.75}},
      // The second query sees no key.
      {"attention",
       "f64[1, 1, 2, 1];f64[1, 1, 2, 1];f64[1, 1, 2, 1];bool[1, 1, 2, 2]",
       "{axis = 2, causal = false}",
       "f64[1, 1, 2, 1]",
       {{0, 1}, {0, 1}, {4, 8}, {0, 1, 0, 0}},
       {8, kNan}},
      // dy v' = 4 8, weights 1/4 3/4: 1/4 3/4 of (-3 1) with respect to the scores.
      {"attention_gradient",
       "f64[1, 1, 1, 1];f64[1, 1, 1, 1];f64[1, 1, 2, 1];f64[1, 1, 2, 1]",
       "{axis = 2, causal = false}",
       "f64[1, 1, 1, 1];f64[1, 1, 2, 1];f64[1, 1, 2, 1]",
       {{1}, {std::log(3)}, {0, 1}, {4, 8}},
       {0.75}},
  };
  return kCases;
}

Literal literal(const TensorType& type, const std::vector<double>& elements) {
  Literal result(type);
  EXPECT_EQ(static_cast<size_t>(type.num_elements()), elements.size());
  for (int64_t i = 0; i < result.num_elements(); ++i) result.set(i, elements[i]);
  return result;
}

TEST(Evaluate, EachOpByHand) {
  for (const Case& c : cases()) {
    const std::string what = std::string(c.op) + " " + c.operands + " " + c.attributes;
    const test::Parsed parsed(test::one_op(c.operands, c.op, c.attributes, c.result));
    ASSERT_EQ(parsed.error, "") << what;
    const Function& function = parsed.module->functions[0];
    std::vector<Literal> arguments;
    for (size_t i = 0; i < c.elements.size(); ++i)
      arguments.push_back(literal(function.body.type(function.body.arguments[i].value), c.elements[i]));
    const Literal result = Evaluator(*parsed.module).call(function, arguments)[0];
    ASSERT_EQ(static_cast<size_t>(result.num_elements()), c.expected.size()) << what;
    for (size_t i = 0; i < c.expected.size(); ++i) {
      if (std::isnan(c.expected[i]))
        EXPECT_TRUE(std::isnan(result.real(i))) << what << " element " << i << " is " << result.real(i);
      else
        EXPECT_DOUBLE_EQ(result.real(i), c.expected[i]) << what << " element " << i;
    }
  }
}

TEST(Evaluate, EveryOpIsTried) {
  std::set<std::string_view> tried{"input",  "variable", "random",  "call",
                                   "kernel", "scan",     "gradient"};  // below, or not evaluable
  for (const Case& c : cases()) tried.insert(c.op);
  for (const OpInfo& info : all_ops()) EXPECT_TRUE(tried.contains(info.name)) << info.name;
}

// Running sums: forwards, and backwards with what every step reads.
const char* const kLoop = R"(module @m {
  step @sum (%s: f32, %x: f32, %k: f32) -> (s: f32, y: f32) {
    %0 = mul %x, %k : f32
    %1 = add %s, %0 : f32
    return %1, %1
  }
  composite @forwards (%x: f32[3], %k: f32) -> (last: f32, all: f32[3]) {
    %0 = constant {value = 10} : f32
    %1:2 = scan %0, %x, %k {symbol = @sum, steps = 3, carries = 1, sequences = 1, reversed = false} : f32, f32[3]
    return %1#0, %1#1
  }
  composite @backwards (%x: f32[3], %k: f32) -> (last: f32, all: f32[3]) {
    %0 = constant {value = 10} : f32
    %1:2 = scan %0, %x, %k {symbol = @sum, steps = 3, carries = 1, sequences = 1, reversed = true} : f32, f32[3]
    return %1#0, %1#1
  }
})";

TEST(Evaluate, ScanGoesThroughItsSteps) {
  const test::Parsed parsed(kLoop);
  Evaluator evaluator(*parsed.module);
  Literal x({DType::F32, {3}});
  for (int64_t i = 0; i < 3; ++i) x.set(i, static_cast<double>(i + 1));
  const std::vector<Literal> arguments{x, Literal::splat({DType::F32, {}}, 2)};
  const auto expect = [&](const char* function, double last, std::vector<double> all) {
    const std::vector<Literal> results = evaluator.call(*parsed.module->find_function(function), arguments);
    EXPECT_EQ(results[0].real(0), last);
    for (int64_t i = 0; i < 3; ++i)
      EXPECT_EQ(results[1].real(i), all[static_cast<size_t>(i)]) << function << i;
  };
  expect("forwards", 22, {12, 16, 22});
  expect("backwards", 22, {22, 20, 16});
}

TEST(Evaluate, RandomIsPhilox) {
  const test::Parsed parsed(test::one_op("i64;i64", "random", "{stream = 3}", "f32[70]"));
  Evaluator evaluator(*parsed.module);
  const std::vector<Literal> arguments{Literal::splat_int({DType::I64, {}}, 11),
                                       Literal::splat_int({DType::I64, {}}, 5)};
  const Literal result = evaluator.call(parsed.module->functions[0], arguments)[0];
  for (int64_t i = 0; i < 70; ++i) EXPECT_EQ(result.real(i), random_unit_f32(random_word(11, 5, 3, i)));
}

const char* const kCounting = R"(module @m {
  variable @seed : i64 seed
  variable @w : f32[2] parameter = 5
  variable @doubled : f32[2] hoisted
  composite @twice(%x: f32[2]) -> (r: f32[2]) {
    %r = add %x, %x : f32[2]
    return %r
  }
  entry @init init () -> () {
    %seed = variable {symbol = @seed} : i64
    %f = cast %seed : f32
    %w = broadcast %f {dims = []} : f32[2]
    update @w = %w
  }
  entry @fit train (%x: f32[2]) -> (old: f32[2], doubled: f32[2]) {
    %w = variable {symbol = @w} : f32[2]
    %d = variable {symbol = @doubled} : f32[2]
    %new = add %w, %x : f32[2]
    update @w = %new
    return %w, %d
  } prepare {
    %w = variable {symbol = @w} : f32[2]
    %d = call %w {symbol = @twice} : f32[2]
    update @doubled = %d
  }
})";

TEST(Evaluate, SessionKeepsVariables) {
  const test::Parsed parsed(kCounting);
  ASSERT_EQ(parsed.error, "");
  Evaluator evaluator(*parsed.module);
  EXPECT_EQ(evaluator.variable("w").real(1), 5);
  evaluator.initialize(3);
  EXPECT_EQ(evaluator.variable("w").real(1), 3);
  const Entry& fit = *parsed.module->find_entry("fit");
  const std::vector<Literal> x{literal({DType::F32, {2}}, {1, 10})};
  evaluator.run(fit, x);
  const std::vector<Literal> results = evaluator.run(fit, x);
  EXPECT_EQ(results[0].real(1), 13);  // an update counts from the next run on
  EXPECT_EQ(results[1].real(1), 26);  // prepare runs before the entry
  EXPECT_EQ(evaluator.variable("w").real(1), 23);
}

TEST(Evaluate, RoundsOnRequest) {
  const test::Parsed parsed(R"(module @m {
    composite @f(%x: f32) -> (r: f32) {
      %tiny = constant {value = 1e-9} : f32
      %y = add %x, %tiny : f32
      %r = sub %y, %x : f32
      return %r
    }
  })");
  const std::vector<Literal> one{Literal::splat({DType::F32, {}}, 1)};
  const Function& f = parsed.module->functions[0];
  EXPECT_NEAR(Evaluator(*parsed.module).call(f, one)[0].real(0), 1e-9, 1e-15);
  EXPECT_EQ(Evaluator(*parsed.module, {.round = true}).call(f, one)[0].real(0), 0);
}

}  // namespace
}  // namespace nncc
