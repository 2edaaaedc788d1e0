// What an op is: its row of ops.def as data.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace nncc {

enum class Op : uint8_t {
#define NNCC_OP(Enum, text, operands, results, traits, attributes, doc) Enum,
#include "ir/ops.def"
};
inline constexpr int kNumOps = 0
#define NNCC_OP(Enum, text, operands, results, traits, attributes, doc) +1
#include "ir/ops.def"
    ;

enum class Attr : uint8_t {
  Index,       // int
  Symbol,      // string: a variable's or function's name
  Value,       // literal
  Axis,        // int
  Axes,        // ints, increasing
  Stream,      // int: which of the program's places draws
  Dims,        // ints
  Perm,        // ints
  Starts,      // ints
  Strides,     // ints
  Low,         // ints
  Interior,    // ints
  Lanes,       // int
  TransposeA,  // bool
  TransposeB,  // bool
  Dilation,    // ints
  Groups,      // int
  Sizes,       // ints
  Tile,        // int
  Turned,      // bool
  Steps,       // int
  Carries,     // int: how many operands and results are carried
  Sequences,   // int: how many operands are sequences
  Reversed,    // bool
  Extent,      // int
  Label,       // string: what the user calls it
  Causal,      // bool
};
std::string_view attr_name(Attr);  // "transpose_a"
std::optional<Attr> parse_attr(std::string_view);

// What an attribute holds; the alternatives of AttrValue.
enum class AttrKind : uint8_t { Integer, Boolean, String, Integers, Literal };
AttrKind attr_kind(Attr);

// Properties that passes ask for instead of naming ops.
enum OpTrait : uint32_t {
  Nothing = 0,
  Leaf = 1 << 0,         // no operand that carries data
  Elementwise = 1 << 1,  // result element i depends on operand elements i alone
  Cheap = 1 << 2,        // cheaper to compute again than to load
  Commutative = 1 << 3,
  Reduction = 1 << 4,
  Movement = 1 << 5,
  Contraction = 1 << 6,
  Structural = 1 << 7,
  Window = 1 << 8,  // result elements come from windows of operand 0's elements, or back
};

inline constexpr int kVariadic = -1;

struct OpInfo {
  Op op;
  std::string_view name;
  int num_operands;  // or kVariadic
  int num_results;   // or kVariadic
  uint32_t traits;
  std::vector<Attr> attributes;
  std::string_view doc;
  bool has(OpTrait t) const { return (traits & t) != 0; }
};
const OpInfo& op_info(Op);
std::optional<Op> parse_op(std::string_view name);
std::span<const OpInfo> all_ops();

}  // namespace nncc
