// Every op's shape rule, accepted and refused at least once.
#include <gtest/gtest.h>

#include <set>

#include "ir/builder.h"
#include "test/ir/nnir.h"

namespace nncc {
namespace {

struct Case {
  const char* op;
  const char* operands;
  const char* attributes;
  const char* result;
  const char* error;  // null: accepted
};

const Case kCases[] = {
    {"input", "", "{index = 0}", "f32[2]", nullptr},
    {"input", "", "{index = -1}", "f32[2]", "`index` is negative"},
    {"variable", "", "{symbol = @w}", "f32[2]", nullptr},
    {"variable", "", "", "f32[2]", "`symbol` is missing"},
    {"constant", "", "{value = 1}", "i32[2]", nullptr},
    {"constant", "", "{value = dense<1, 2, 3>}", "i32[2]",
     "the literal has 3 elements, expected 2 for i32[2]"},
    {"constant", "", "", "i32", "`value` is missing"},
    {"iota", "", "{axis = 1}", "i32[2, 3]", nullptr},
    {"iota", "", "{axis = 2}", "i32[2, 3]", "axis 2 is not below the rank 2"},
    {"iota", "", "{axis = 0}", "bool[2]", "expected numbers"},
    {"random", "i64;i64", "{stream = 7}", "f32[2, 3]", nullptr},
    {"random", "i64;i64", "{stream = 7}", "f64", nullptr},
    {"random", "i64;i32", "{stream = 7}", "f32[2]", "operand 1 is i32, expected i64"},
    {"random", "i64;i64", "{stream = 7}", "f16[2]", "expected f32 or f64"},
    {"random", "i64;i64", "{stream = 4294967296}", "f32", "`stream` is not in"},
    {"neg", "i32[2]", "", "i32[2]", nullptr},
    {"neg", "bool[2]", "", "bool[2]", "operand 0 is bool[2], expected numbers"},
    {"abs", "f32[2]", "", "f32[2]", nullptr},
    {"abs", "f32[2]", "", "f32[3]", "the result is f32[2], not f32[3]"},
    {"sign", "f32", "", "f32", nullptr},
    {"sign", "bool", "", "bool", "expected numbers"},
    {"floor", "f64", "", "f64", nullptr},
    {"floor", "i32", "", "i32", "operand 0 is i32, expected floats"},
    {"ceil", "f64", "", "f64", nullptr},
    {"ceil", "i32", "", "i32", "expected floats"},
    {"round", "f64", "", "f64", nullptr},
    {"round", "i32", "", "i32", "expected floats"},
    {"exp", "f16", "", "f16", nullptr},
    {"exp", "i32", "", "i32", "expected floats"},
    {"log", "f64", "", "f64", nullptr},
    {"log", "i32", "", "i32", "expected floats"},
    {"log1p", "f64", "", "f64", nullptr},
    {"log1p", "i32", "", "i32", "expected floats"},
    {"expm1", "f64", "", "f64", nullptr},
    {"expm1", "i32", "", "i32", "expected floats"},
    {"sqrt", "bf16", "", "bf16", nullptr},
    {"sqrt", "i32", "", "i32", "expected floats"},
    {"rsqrt", "f64", "", "f64", nullptr},
    {"rsqrt", "i32", "", "i32", "expected floats"},
    {"sin", "f64", "", "f64", nullptr},
    {"sin", "i32", "", "i32", "expected floats"},
    {"cos", "f64", "", "f64", nullptr},
    {"cos", "i32", "", "i32", "expected floats"},
    {"tanh", "f64", "", "f64", nullptr},
    {"tanh", "i32", "", "i32", "expected floats"},
    {"sigmoid", "f64", "", "f64", nullptr},
    {"sigmoid", "i32", "", "i32", "expected floats"},
    {"erf", "f64", "", "f64", nullptr},
    {"erf", "f64;f64", "", "f64", "2 operands, expected 1"},
    {"not", "bool[2]", "", "bool[2]", nullptr},
    {"not", "i32[2]", "", "i32[2]", "expected bools"},
    {"is_nan", "f32[2]", "", "bool[2]", nullptr},
    {"is_nan", "i32[2]", "", "bool[2]", "expected floats"},
    {"is_finite", "f32[2]", "", "bool[2]", nullptr},
    {"is_finite", "f32[2]", "", "f32[2]", "the result is bool[2], not f32[2]"},
    {"cast", "f32[2]", "", "i8[2]", nullptr},
    {"cast", "f32[2]", "", "i8[3]", "the result is i8[2], not i8[3]"},
    {"stop_gradient", "bool", "", "bool", nullptr},
    {"stop_gradient", "bool", "", "f32", "the result is bool, not f32"},
    {"add", "f32[2];f32[2]", "", "f32[2]", nullptr},
    {"add", "f32[2];f32[1]", "", "f32[2]", "operands have different types, f32[2] and f32[1]"},
    {"sub", "i8;i8", "", "i8", nullptr},
    {"sub", "i8;u8", "", "i8", "different types"},
    {"mul", "f32[2];f32[2]", "", "f32[2]", nullptr},
    {"mul", "bool[2];bool[2]", "", "bool[2]", "expected numbers"},
    {"div", "i64;i64", "", "i64", nullptr},
    {"div", "i64", "", "i64", "1 operands, expected 2"},
    {"pow", "f32;f32", "", "f32", nullptr},
    {"pow", "i32;i32", "", "i32", "expected floats"},
    {"max", "f32;f32", "", "f32", nullptr},
    {"max", "bool;bool", "", "bool", "expected numbers"},
    {"min", "f32;f32", "", "f32", nullptr},
    {"min", "bool;bool", "", "bool", "expected numbers"},
    {"eq", "bool[2];bool[2]", "", "bool[2]", nullptr},
    {"eq", "bool[2];i8[2]", "", "bool[2]", "different types"},
    {"ne", "f32[2];f32[2]", "", "bool[2]", nullptr},
    {"ne", "f32[2];f32[2]", "", "f32[2]", "the result is bool[2], not f32[2]"},
    {"lt", "i32;i32", "", "bool", nullptr},
    {"lt", "bool;bool", "", "bool", "expected numbers"},
    {"le", "i32;i32", "", "bool", nullptr},
    {"le", "bool;bool", "", "bool", "expected numbers"},
    {"gt", "i32;i32", "", "bool", nullptr},
    {"gt", "bool;bool", "", "bool", "expected numbers"},
    {"ge", "i32;i32", "", "bool", nullptr},
    {"ge", "bool;bool", "", "bool", "expected numbers"},
    {"and", "bool;bool", "", "bool", nullptr},
    {"and", "i32;i32", "", "i32", "expected bools"},
    {"or", "bool;bool", "", "bool", nullptr},
    {"or", "i32;i32", "", "i32", "expected bools"},
    {"select", "bool[2];i8[2];i8[2]", "", "i8[2]", nullptr},
    {"select", "i8[2];i8[2];i8[2]", "", "i8[2]", "expected bools"},
    {"select", "bool[2];i8[2];u8[2]", "", "i8[2]", "operands 1 and 2 have different types"},
    {"select", "bool;i8[2];i8[2]", "", "i8[2]", "the condition is bool where the operands are i8[2]"},
    {"reduce_sum", "f32[2, 3, 4]", "{axes = [0, 2]}", "f32[3]", nullptr},
    {"reduce_sum", "f32[2, 3]", "{axes = [1, 0]}", "f32", "axes [1, 0] do not increase"},
    {"reduce_sum", "f32[2, 3]", "{axes = []}", "f32[2, 3]", "`axes` is empty"},
    {"reduce_sum", "bool[2]", "{axes = [0]}", "bool", "expected numbers"},
    {"reduce_prod", "i32[2]", "{axes = [0]}", "i32", nullptr},
    {"reduce_prod", "i32[2]", "{axes = [1]}", "i32", "axis 1 is not below the rank 1"},
    {"reduce_max", "bool[2]", "{axes = [0]}", "bool", nullptr},
    {"reduce_max", "f32[2]", "{axes = [-1]}", "f32", "axis -1 is not below"},
    {"reduce_min", "bool[2]", "{axes = [0]}", "bool", nullptr},
    {"reduce_min", "f32", "{axes = [0]}", "f32", "axis 0 is not below the rank 0"},
    {"argmax", "f32[2, 3]", "{axis = 1}", "i32[2]", nullptr},
    {"argmax", "f32[2, 3]", "{axis = 1}", "i64[2]", "the result is i32[2]"},
    {"argmin", "i8[2, 3]", "{axis = 0}", "i32[3]", nullptr},
    {"argmin", "bool[2]", "{axis = 0}", "i32", "expected numbers"},
    {"reshape", "f32[2, 3]", "", "f32[3, 1, 2]", nullptr},
    {"reshape", "f32[2, 3]", "", "f32[5]", "f32[2, 3] and f32[5] have different numbers of elements"},
    {"reshape", "f32[6]", "", "i32[2, 3]", "the result has element type i32, expected f32"},
    {"broadcast", "f32[3, 1]", "{dims = [1, 2]}", "f32[2, 3, 4]", nullptr},
    {"broadcast", "f32", "{dims = []}", "f32[2]", nullptr},
    {"broadcast", "f32[3]", "{dims = [0]}", "f32[2]", "axis 0 of f32[3] does not fit axis 0 of f32[2]"},
    {"broadcast", "f32[3]", "{dims = [0, 1]}", "f32[3, 3]", "`dims` has 2 elements, expected 1"},
    {"transpose", "f32[2, 3, 4]", "{perm = [2, 0, 1]}", "f32[4, 2, 3]", nullptr},
    {"transpose", "f32[2, 3]", "{perm = [0, 0]}", "f32[2, 2]", "`perm` [0, 0] is not a permutation"},
    {"transpose", "f32[2, 3]", "{perm = [0, 2]}", "f32[2, 2]", "is not a permutation"},
    {"slice", "f32[10]", "{starts = [1], strides = [3]}", "f32[3]", nullptr},
    {"slice", "f32[10]", "{starts = [1], strides = [3]}", "f32[4]", "axis 0 of the slice leaves f32[10]"},
    {"slice", "f32[10]", "{starts = [0], strides = [0]}", "f32[4]", "are not all above 0"},
    {"slice", "f32[10]", "{starts = [-1], strides = [1]}", "f32[4]", "leaves f32[10]"},
    {"slice", "f32[10]", "{starts = [0], strides = [9223372036854775807]}", "f32[4]", "leaves f32[10]"},
    {"pad", "f32[2];f32", "{low = [1], interior = [2]}", "f32[6]", nullptr},
    {"pad", "f32[2];f32", "{low = [1], interior = [2]}", "f32[4]",
     "axis 0 of the result f32[4] is too short"},
    {"pad", "f32[2];f32", "{low = [-1], interior = [0]}", "f32[4]", "must not be negative"},
    {"pad", "f32[2];i32", "{low = [1], interior = [0]}", "f32[4]", "the padding value is i32, expected f32"},
    {"concat", "f32[2, 3];f32[2, 1]", "{axis = 1}", "f32[2, 4]", nullptr},
    {"concat", "f32[2, 3];f32[1, 3]", "{axis = 1}", "f32[2, 4]",
     "operand 1 is f32[1, 3], which does not fit f32[2, 3]"},
    {"concat", "", "{axis = 1}", "f32[2, 4]", "there is no operand"},
    {"reverse", "i8[2, 3]", "{axes = [0, 1]}", "i8[2, 3]", nullptr},
    {"reverse", "i8[2, 3]", "{axes = [2]}", "i8[2, 3]", "axis 2 is not below the rank 2"},
    {"matmul", "f32[5, 2, 3];f32[5, 3, 4]", "{transpose_a = false, transpose_b = false}", "f32[5, 2, 4]",
     nullptr},
    {"matmul", "f32[3, 2];f32[4, 3]", "{transpose_a = true, transpose_b = true}", "f32[2, 4]", nullptr},
    {"matmul", "f32[2, 3];f32[4, 3]", "{transpose_a = false, transpose_b = false}", "f32[2, 3]",
     "inner extents of f32[2, 3] and f32[4, 3] differ, 3 and 4"},
    {"matmul", "f32[3];f32[3]", "{transpose_a = false, transpose_b = false}", "f32", "are not matrices"},
    {"pack_panels", "f32[3, 10]", "{lanes = 8, transpose_b = false}", "f32[2, 3, 8]", nullptr},
    {"pack_panels", "f32[10, 3]", "{lanes = 8, transpose_b = true}", "f32[2, 3, 8]", nullptr},
    {"pack_panels", "f32[10, 3]", "{lanes = 0, transpose_b = true}", "f32[2, 3, 8]", "`lanes` is not in"},
    {"matmul_packed", "f32[5, 3];f32[2, 3, 8]", "{transpose_a = false}", "f32[5, 10]", nullptr},
    {"matmul_packed", "f32[5, 3];f32[2, 3, 8]", "{transpose_a = false}", "f32[5, 17]", "does not fit"},
    {"matmul_packed", "f32[5, 4];f32[2, 3, 8]", "{transpose_a = false}", "f32[5, 10]", "differ, 4 and 3"},
    {"conv", "f32[2, 4, 9, 8];f32[6, 2, 3, 2]",
     "{strides = [2, 1], low = [1, 0], dilation = [1, 2], groups = 2}", "f32[2, 6, 5, 6]", nullptr},
    {"conv", "f32[2, 4, 9];f32[6, 4, 3]", "{strides = [1], low = [0], dilation = [1], groups = 1}",
     "f32[2, 6, 7]", nullptr},
    {"conv", "f32[2, 4, 9, 8];f32[6, 4, 3, 2]",
     "{strides = [2, 1], low = [1, 0], dilation = [1, 2], groups = 2}", "f32[2, 6, 5, 6]",
     "the weight is f32[6, 4, 3, 2], expected f32[6, 2, 3, 2]"},
    {"conv", "f32[2, 5, 9, 8];f32[6, 2, 3, 2]",
     "{strides = [2, 1], low = [1, 0], dilation = [1, 2], groups = 2}", "f32[2, 6, 5, 6]",
     "`groups` does not divide the channels"},
    {"conv", "i32[2, 4, 9, 8];i32[6, 2, 3, 2]",
     "{strides = [2, 1], low = [1, 0], dilation = [1, 2], groups = 2}", "i32[2, 6, 5, 6]",
     "not floats of one element type"},
    {"conv", "f32[2, 4, 9];f32[6, 4, 3]", "{strides = [0], low = [0], dilation = [1], groups = 1}",
     "f32[2, 6, 7]", "`strides` is too small"},
    {"conv", "f32[2, 4, 9];f32[6, 4, 3]", "{strides = [1], low = [0, 0], dilation = [1], groups = 1}",
     "f32[2, 6, 7]", "`low` has 2 elements, expected 1"},
    {"conv_input_gradient", "f32[2, 6, 5, 6];f32[6, 2, 3, 2]",
     "{strides = [2, 1], low = [1, 0], dilation = [1, 2], groups = 2}", "f32[2, 4, 9, 8]", nullptr},
    {"conv_input_gradient", "f32[2, 6, 5, 6];f32[6, 2, 3, 2]",
     "{strides = [2, 1], low = [1, 0], dilation = [1, 2], groups = 2}", "f32[2, 6, 9, 8]",
     "expected f32[6, 3, 3, 2]"},
    {"conv_weight_gradient", "f32[2, 4, 9, 8];f32[2, 6, 5, 6]",
     "{strides = [2, 1], low = [1, 0], dilation = [1, 2], groups = 2}", "f32[6, 2, 3, 2]", nullptr},
    {"conv_weight_gradient", "f32[2, 4, 9, 8];f32[3, 6, 5, 6]",
     "{strides = [2, 1], low = [1, 0], dilation = [1, 2], groups = 2}", "f32[6, 2, 3, 2]",
     "do not fit each other"},
    {"conv_packed", "f32[2, 9, 8, 4];f32[2, 3, 2, 2, 16]",
     "{strides = [2, 1], low = [1, 0], dilation = [1, 2], groups = 2}", "f32[2, 5, 6, 6]", nullptr},
    {"conv_packed", "f32[2, 9, 8, 4];f32[2, 3, 2, 2, 16]",
     "{strides = [2, 1], low = [1, 0], dilation = [1, 2], groups = 2}", "f32[2, 5, 6, 36]",
     "expected f32[4, 3, 2, 2, 16]"},
    {"conv_input_gradient_packed", "f32[2, 5, 6, 6];f32[2, 3, 3, 2, 16]",
     "{strides = [2, 1], low = [1, 0], dilation = [1, 2], groups = 2}", "f32[2, 9, 8, 4]", nullptr},
    {"conv_input_gradient_packed", "f32[2, 5, 6, 6];f32[2, 3, 2, 2, 16]",
     "{strides = [2, 1], low = [1, 0], dilation = [1, 2], groups = 2}", "f32[2, 9, 8, 4]",
     "expected f32[2, 3, 3, 2, 16]"},
    {"conv_weight_gradient_packed", "f32[2, 9, 8, 4];f32[2, 5, 6, 6]",
     "{strides = [2, 1], low = [1, 0], dilation = [1, 2], groups = 2}", "f32[2, 3, 2, 2, 16]", nullptr},
    {"conv_weight_gradient_packed", "f32[2, 9, 8, 4];f32[2, 5, 6, 6]",
     "{strides = [2, 1], low = [1, 0], dilation = [1, 2], groups = 2}", "f32[6, 2, 3, 2]",
     "of rank 4 and weights of rank 5"},
    {"depthwise_conv", "f32[2, 9, 8, 4];f32[3, 2, 4]", "{strides = [2, 1], low = [1, 0], dilation = [1, 2]}",
     "f32[2, 5, 6, 4]", nullptr},
    {"depthwise_conv", "f32[2, 9, 8, 4];f32[3, 2, 4]", "{strides = [2, 1], low = [1, 0], dilation = [1, 2]}",
     "f32[2, 5, 6, 8]", "do not fit each other"},
    {"depthwise_conv_input_gradient", "f32[2, 5, 6, 4];f32[3, 2, 4]",
     "{strides = [2, 1], low = [1, 0], dilation = [1, 2]}", "f32[2, 9, 8, 4]", nullptr},
    {"depthwise_conv_input_gradient", "f32[2, 5, 6, 4];f32[3, 2, 4]",
     "{strides = [2, 1], low = [1, 0], dilation = [1]}", "f32[2, 9, 8, 4]",
     "`dilation` has 1 elements, expected 2"},
    {"depthwise_conv_weight_gradient", "f32[2, 9, 8, 4];f32[2, 5, 6, 4]",
     "{strides = [2, 1], low = [1, 0], dilation = [1, 2]}", "f32[3, 2, 4]", nullptr},
    {"depthwise_conv_weight_gradient", "f32[2, 9, 8, 4];f32[2, 5, 6, 4]",
     "{strides = [2, 1], low = [1, 0], dilation = [1, 2]}", "f32[3, 2, 5]", "expected f32[3, 2, 4]"},
    {"winograd_weights", "f32[5, 3, 3, 3]", "{tile = 4, lanes = 2, turned = false}", "f32[3, 36, 3, 2]",
     nullptr},
    {"winograd_weights", "f64[5, 3, 3, 3]", "{tile = 2, lanes = 2, turned = true}", "f64[2, 16, 5, 2]",
     nullptr},
    {"winograd_weights", "f32[5, 3, 3, 3]", "{tile = 4, lanes = 2, turned = true}", "f32[3, 36, 3, 2]",
     "the result is f32[3, 36, 3, 2], expected f32[2, 36, 5, 2]"},
    {"winograd_weights", "f32[5, 3, 3, 2]", "{tile = 4, lanes = 2, turned = false}", "f32[3, 36, 3, 2]",
     "operand 0 is f32[5, 3, 3, 2], expected f32[5, 3, 3, 3]"},
    {"winograd_weights", "f32[5, 3, 3, 3]", "{tile = 3, lanes = 2, turned = false}", "f32[3, 25, 3, 2]",
     "`tile` is neither 2 nor 4"},
    {"winograd_weights", "f32[5, 3, 3, 3]", "{tile = 4, lanes = 0, turned = false}", "f32[3, 36, 3, 2]",
     "`lanes` is not above 0"},
    {"winograd_weights", "f16[5, 3, 3, 3]", "{tile = 4, lanes = 2, turned = false}", "f16[3, 36, 3, 2]",
     "not f32 or f64, all the same"},
    {"winograd_input", "f32[2, 9, 7, 3]", "{tile = 4, low = [1, 1], lanes = 2}", "f32[2, 36, 2, 3, 2, 2]",
     nullptr},
    {"winograd_input", "f32[2, 9, 7, 3]", "{tile = 4, low = [1], lanes = 2}", "f32[2, 36, 2, 3, 2, 2]",
     "`low` is not two numbers from 0 on"},
    {"winograd_input", "f32[2, 9, 7, 3]", "{tile = 4, low = [1, 1], lanes = 2}", "f32[2, 36, 1, 3, 2, 2]",
     "the result is f32[2, 36, 1, 3, 2, 2], expected f32[2, 36, 2, 3, 2, 2]"},
    {"winograd_output_gradient", "f32[2, 9, 7, 3]", "{tile = 4, lanes = 2}", "f32[2, 36, 2, 3, 2, 2]",
     nullptr},
    {"winograd_output_gradient", "f32[2, 9, 7, 3]", "{tile = 4, lanes = 2}", "f32[2, 36, 2, 2, 2, 2]",
     "expected f32[2, 36, 2, 3, 2, 2]"},
    {"winograd_weight_gradient", "f32[3, 36, 3, 2]", "{tile = 4}", "f32[5, 3, 3, 3]", nullptr},
    {"winograd_weight_gradient", "f32[3, 36, 3, 2]", "{tile = 4}", "f32[7, 3, 3, 3]",
     "operand 0 is f32[3, 36, 3, 2], expected f32[4, 36, 3, 2]"},
    {"conv_winograd", "f32[2, 9, 7, 3];f32[3, 36, 3, 2]", "{tile = 4, low = [0, 1]}", "f32[2, 7, 7, 5]",
     nullptr},
    {"conv_winograd", "f32[2, 9, 7, 3];f32[3, 36, 3, 2]", "{tile = 4, low = [0, 1]}", "f32[1, 7, 7, 5]",
     "do not fit each other"},
    {"conv_winograd", "f32[2, 9, 7, 3];f32[3, 16, 3, 2]", "{tile = 4, low = [0, 1]}", "f32[2, 7, 7, 5]",
     "operand 1 is f32[3, 16, 3, 2], expected f32[3, 36, 3, 2]"},
    {"conv_winograd", "f32[2, 9, 7, 3];f32[36, 3, 2]", "{tile = 4, low = [0, 1]}", "f32[2, 7, 7, 5]",
     "operand 1 is f32[36, 3, 2], expected rank 4"},
    {"conv_winograd_transformed", "f32[2, 36, 2, 2, 2, 2];f32[3, 36, 3, 2]", "{tile = 4}", "f32[2, 7, 7, 5]",
     nullptr},
    {"conv_winograd_transformed", "f32[2, 36, 2, 2, 2, 2];f32[3, 36, 5, 2]", "{tile = 4}", "f32[2, 7, 7, 5]",
     "operand 0 is f32[2, 36, 2, 2, 2, 2], expected f32[3, 36, 2, 2, 2, 2]"},
    {"conv_winograd_weight_gradient", "f32[2, 36, 2, 2, 3, 2];f32[3, 36, 2, 2, 3, 4]", "{tile = 4}",
     "f32[3, 36, 3, 4]", nullptr},
    {"conv_winograd_weight_gradient", "f32[2, 36, 2, 2, 3, 2];f32[3, 36, 2, 2, 2, 4]", "{tile = 4}",
     "f32[3, 36, 3, 4]", "operand 1 is f32[3, 36, 2, 2, 2, 4], expected f32[3, 36, 2, 2, 3, 4]"},
    {"window_sum", "f32[2, 7]", "{sizes = [1, 3], strides = [1, 2], low = [0, 1]}", "f32[2, 4]", nullptr},
    {"window_sum", "f32[2, 7]", "{sizes = [3], strides = [1], low = [0]}", "f32[2, 4]",
     "`sizes` has 1 elements, expected 2"},
    {"window_spread", "f32[2, 4]", "{sizes = [1, 3], strides = [1, 2], low = [0, 1]}", "f32[2, 7]", nullptr},
    {"window_spread", "f32[2, 4]", "{sizes = [1, 3], strides = [1, 2], low = [0, 1]}", "f32[7]",
     "has another rank"},
    {"window_max", "i32[2, 7]", "{sizes = [1, 3], strides = [1, 2], low = [0, 1]}", "i32[2, 4]", nullptr},
    {"window_max", "bool[2, 7]", "{sizes = [1, 3], strides = [1, 2], low = [0, 1]}", "bool[2, 4]",
     "expected numbers"},
    {"window_max", "f32[2, 7]", "{sizes = [1, 0], strides = [1, 2], low = [0, 1]}", "f32[2, 4]",
     "`sizes` is too small"},
    {"window_argmax", "f32[2, 7]", "{sizes = [1, 3], strides = [1, 2], low = [0, 1]}", "i32[2, 4]", nullptr},
    {"window_argmax", "f32[2, 7]", "{sizes = [1, 3], strides = [1, 2], low = [0, 1]}", "f32[2, 4]",
     "expected elements of i32"},
    {"window_scatter", "f32[2, 4];i32[2, 4]", "{sizes = [1, 3], strides = [1, 2], low = [0, 1]}", "f32[2, 7]",
     nullptr},
    {"window_scatter", "f32[2, 4];i32[2, 7]", "{sizes = [1, 3], strides = [1, 2], low = [0, 1]}", "f32[2, 7]",
     "operand 1 is i32[2, 7], expected i32[2, 4]"},
    {"window_gather", "f32[2, 7];i32[2, 4]", "{sizes = [1, 3], strides = [1, 2], low = [0, 1]}", "f32[2, 4]",
     nullptr},
    {"window_gather", "f32[2, 7];f32[2, 4]", "{sizes = [1, 3], strides = [1, 2], low = [0, 1]}", "f32[2, 4]",
     "operand 1 is f32[2, 4], expected i32[2, 4]"},
    {"gather", "f32[5, 2];i64[3, 4]", "{axis = 0}", "f32[3, 4, 2]", nullptr},
    {"gather", "f32[5, 2];i32", "{axis = 1}", "f32[5]", nullptr},
    {"gather", "f32[5, 2];f32[3]", "{axis = 0}", "f32[3, 2]", "the index is f32[3], expected integers"},
    {"gather", "f32[5, 2];i32[3]", "{axis = 2}", "f32[3, 2]", "there is no axis 2 in f32[5, 2]"},
    {"scatter_add", "f32[5, 2];i32[3];f32[3, 2]", "{axis = 0}", "f32[5, 2]", nullptr},
    {"scatter_add", "f32[5, 2];i32[3];f32[2, 2]", "{axis = 0}", "f32[5, 2]",
     "the values are f32[2, 2], expected f32[3, 2]"},
    {"scatter_add", "bool[5];i32[3];bool[3]", "{axis = 0}", "bool[5]", "truth values cannot be added"},
    {"check_index", "u8[3]", "{extent = 5, label = @text}", "u8[3]", nullptr},
    {"check_index", "f32[3]", "{extent = 5, label = @text}", "f32[3]", "expected integers"},
    {"check_index", "u8[3]", "{extent = 0, label = @text}", "u8[3]", "`extent` is below 1"},
    {"attention", "f32[2, 3, 5, 4];f32[2, 3, 6, 4];f32[2, 3, 6, 7]", "{axis = 2, causal = true}",
     "f32[2, 3, 5, 7]", nullptr},
    {"attention", "f64[2, 5, 3, 4];f64[2, 6, 3, 4];f64[2, 6, 3, 7];bool[2, 1, 1, 6]",
     "{axis = 1, causal = false}", "f64[2, 5, 3, 7]", nullptr},
    {"attention", "f32[2, 3, 5, 4];f32[2, 3, 6, 4]", "{axis = 2, causal = true}", "f32[2, 3, 5, 7]",
     "2 operands, expected 3 or 4"},
    {"attention", "f32[2, 3, 5, 4];f32[2, 3, 6, 4];f32[2, 3, 6, 7]", "{axis = 3, causal = true}",
     "f32[2, 3, 5, 7]", "`axis` is neither 1 nor 2"},
    {"attention", "f32[2, 5, 4];f32[2, 6, 4];f32[2, 6, 7]", "{axis = 2, causal = true}", "f32[2, 5, 7]",
     "operand 0 is f32[2, 5, 4], expected floats of rank 4, all of one type"},
    {"attention", "f32[2, 3, 5, 4];f32[2, 3, 6, 5];f32[2, 3, 6, 7]", "{axis = 2, causal = true}",
     "f32[2, 3, 5, 7]", "operand 1 is f32[2, 3, 6, 5], expected f32[2, 3, 6, 4]"},
    {"attention", "f32[2, 3, 6, 4];f32[2, 3, 5, 4];f32[2, 3, 5, 7]", "{axis = 2, causal = true}",
     "f32[2, 3, 6, 7]", "6 queries and only 5 keys: some would see none"},
    {"attention", "f32[2, 3, 5, 4];f32[2, 3, 6, 4];f32[2, 3, 6, 7];bool[2, 1, 6]",
     "{axis = 2, causal = false}", "f32[2, 3, 5, 7]",
     "the mask is bool[2, 1, 6], which does not broadcast to bool[2, 3, 5, 6]"},
    {"attention_gradient", "f32[2, 3, 5, 7];f32[2, 3, 5, 4];f32[2, 3, 6, 4];f32[2, 3, 6, 7]",
     "{axis = 2, causal = true}", "f32[2, 3, 5, 4];f32[2, 3, 6, 4];f32[2, 3, 6, 7]", nullptr},
    {"attention_gradient", "f32[2, 3, 5, 4];f32[2, 3, 5, 4];f32[2, 3, 6, 4];f32[2, 3, 6, 7]",
     "{axis = 2, causal = true}", "f32[2, 3, 5, 4];f32[2, 3, 6, 4];f32[2, 3, 6, 7]",
     "operand 0 is f32[2, 3, 5, 4], expected f32[2, 3, 5, 7]"},
    {"scan", "f32[2];f32[4, 3];f32", "{symbol = @s, steps = 4, carries = 1, sequences = 1, reversed = false}",
     "f32[2]", nullptr},
    {"scan", "f32[2];f32[4, 3]", "{symbol = @s, steps = 4, carries = 1, sequences = 1, reversed = false}",
     "f32[3]", "carried value 0 is f32[2] at first and f32[3] at last"},
    {"scan", "f32[2];f32[5, 3]", "{symbol = @s, steps = 4, carries = 1, sequences = 1, reversed = false}",
     "f32[2]", "operand 1 is f32[5, 3], no sequence of 4 steps"},
    {"scan", "f32[2]", "{symbol = @s, steps = 0, carries = 1, sequences = 0, reversed = false}", "f32[2]",
     "there is no step"},
    {"call", "f32[2]", "{symbol = @g}", "f32[3]", nullptr},
    {"call", "f32[2]", "", "f32[3]", "`symbol` is missing"},
    {"kernel", "f32[2]", "{symbol = @g}", "f32[3]", nullptr},
    {"kernel", "f32[2]", "", "f32[3]", "`symbol` is missing"},
    {"gradient", "f32;f32[2]", "", "f32[2]", nullptr},
    {"gradient", "f32[2];f32[2]", "", "f32[2]", "the loss is f32[2], expected a scalar"},
    {"gradient", "f32;i32[2]", "", "i32[2]", "expected floats"},
};

TEST(ShapeRules, AcceptAndRefuse) {
  for (const Case& c : kCases) {
    const test::Parsed parsed(test::one_op(c.operands, c.op, c.attributes, c.result));
    const std::string what = std::string(c.op) + " " + c.operands + " " + c.attributes + " : " + c.result;
    if (c.error)
      EXPECT_NE(parsed.error.find(c.error), std::string::npos) << what << ": \"" << parsed.error << "\"";
    else
      EXPECT_EQ(parsed.error, "") << what;
  }
}

TEST(ShapeRules, EveryOpIsTried) {
  std::set<std::string_view> accepted, refused;
  for (const Case& c : kCases) (c.error ? refused : accepted).insert(c.op);
  for (const OpInfo& info : all_ops()) {
    EXPECT_TRUE(accepted.contains(info.name)) << info.name;
    EXPECT_TRUE(refused.contains(info.name)) << info.name;
  }
}

TEST(ShapeRules, AttributesMustBeTheOpsOwn) {
  std::string error;
  const TensorType vector{DType::F32, {2}};
  EXPECT_TRUE(infer_types(Op::Neg, {{vector}}, {{Attr::Axis, int64_t{0}}}, {}, error).empty());
  EXPECT_EQ(error, "attribute `axis` does not belong to the op");
  infer_types(Op::ReduceSum, {{vector}}, {{Attr::Axes, int64_t{0}}}, {}, error);
  EXPECT_EQ(error, "attribute `axes` is not a list of integers");
}

TEST(Builder, BroadcastsAsNumPyDoes) {
  EXPECT_EQ(broadcast_shapes({2, 1, 3}, {4, 1}), (Shape{2, 4, 3}));
  EXPECT_EQ(broadcast_shapes({}, {4}), (Shape{4}));
  EXPECT_EQ(broadcast_shapes({2}, {3}), std::nullopt);
  Graph graph;
  GraphBuilder builder(graph);
  const Value x = graph.add_argument("x", {DType::F32, {3, 1}});
  const Value y = builder.broadcast_to(x, {2, 3, 4});
  EXPECT_EQ(builder.type(y).str(), "f32[2, 3, 4]");
  EXPECT_EQ(graph[y.node].attributes.integers(Attr::Dims), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(builder.broadcast_to(x, {3, 1}), x);
  EXPECT_EQ(builder.type(builder.reduce_to(y, {3, 1})).str(), "f32[3, 1]");
  EXPECT_EQ(builder.type(builder.reduce_to(y, {})).str(), "f32");
  EXPECT_EQ(builder.reduce_to(x, {3, 1}), x);
}

TEST(Builder, ReturnsTheValueWhenThereIsNothingToDo) {
  Graph graph;
  GraphBuilder builder(graph);
  const Value x = graph.add_argument("x", {DType::F32, {2, 3}});
  EXPECT_EQ(builder.reshape(x, {2, 3}), x);
  EXPECT_EQ(builder.cast(x, DType::F32), x);
  EXPECT_EQ(builder.transpose(x, {0, 1}), x);
  EXPECT_EQ(builder.reduce(Op::ReduceSum, x, {}), x);
  EXPECT_EQ(builder.type(builder.reduce(Op::ReduceMax, x, {1}, true)).str(), "f32[2, 1]");
  EXPECT_THROW(builder.add(Op::Add, {x, builder.scalar(DType::F32, 1)}), InternalError);
}

}  // namespace
}  // namespace nncc
