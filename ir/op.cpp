#include "ir/op.h"

#include <array>

namespace nncc {
namespace {

struct AttrInfo {
  std::string_view name;
  AttrKind kind;
};
// In the order of Attr.
constexpr std::array kAttrs{
    AttrInfo{"index", AttrKind::Integer},       AttrInfo{"symbol", AttrKind::String},
    AttrInfo{"value", AttrKind::Literal},       AttrInfo{"axis", AttrKind::Integer},
    AttrInfo{"axes", AttrKind::Integers},       AttrInfo{"stream", AttrKind::Integer},
    AttrInfo{"dims", AttrKind::Integers},       AttrInfo{"perm", AttrKind::Integers},
    AttrInfo{"starts", AttrKind::Integers},     AttrInfo{"strides", AttrKind::Integers},
    AttrInfo{"low", AttrKind::Integers},        AttrInfo{"interior", AttrKind::Integers},
    AttrInfo{"lanes", AttrKind::Integer},       AttrInfo{"transpose_a", AttrKind::Boolean},
    AttrInfo{"transpose_b", AttrKind::Boolean}, AttrInfo{"dilation", AttrKind::Integers},
    AttrInfo{"groups", AttrKind::Integer},      AttrInfo{"sizes", AttrKind::Integers},
    AttrInfo{"tile", AttrKind::Integer},        AttrInfo{"turned", AttrKind::Boolean},
    AttrInfo{"steps", AttrKind::Integer},       AttrInfo{"carries", AttrKind::Integer},
    AttrInfo{"sequences", AttrKind::Integer},   AttrInfo{"reversed", AttrKind::Boolean},
    AttrInfo{"extent", AttrKind::Integer},      AttrInfo{"label", AttrKind::String},
    AttrInfo{"causal", AttrKind::Boolean},
};
static_assert(kAttrs.size() == static_cast<size_t>(Attr::Causal) + 1);

// The words that the rows of ops.def are written in.
using AttrList = std::vector<Attr>;
constexpr int Variadic = kVariadic;

const std::array<OpInfo, kNumOps>& op_table() {
  static const std::array<OpInfo, kNumOps> table{{
#define NNCC_OP(Enum, text, operands, results, traits, attributes, doc) \
  {Op::Enum, text, operands, results, traits, attributes, doc},
#include "ir/ops.def"
  }};
  return table;
}

}  // namespace

std::string_view attr_name(Attr attr) { return kAttrs[static_cast<size_t>(attr)].name; }
AttrKind attr_kind(Attr attr) { return kAttrs[static_cast<size_t>(attr)].kind; }

std::optional<Attr> parse_attr(std::string_view name) {
  for (size_t i = 0; i < kAttrs.size(); ++i)
    if (kAttrs[i].name == name) return static_cast<Attr>(i);
  return std::nullopt;
}

const OpInfo& op_info(Op op) { return op_table()[static_cast<size_t>(op)]; }

std::optional<Op> parse_op(std::string_view name) {
  for (const OpInfo& info : op_table())
    if (info.name == name) return info.op;
  return std::nullopt;
}

std::span<const OpInfo> all_ops() { return op_table(); }

}  // namespace nncc
