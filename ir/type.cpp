#include "ir/type.h"

#include <array>

namespace nncc {
namespace {

struct DTypeInfo {
  std::string_view name;
  int64_t size;
};
// In the order of DType.
constexpr std::array<DTypeInfo, 9> kDTypes{{
    {"f32", 4},
    {"f16", 2},
    {"bf16", 2},
    {"f64", 8},
    {"i8", 1},
    {"u8", 1},
    {"i32", 4},
    {"i64", 8},
    {"bool", 1},
}};

}  // namespace

std::string_view dtype_name(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].name; }

std::optional<DType> parse_dtype(std::string_view name) {
  for (size_t i = 0; i < kDTypes.size(); ++i)
    if (kDTypes[i].name == name) return static_cast<DType>(i);
  return std::nullopt;
}

int64_t dtype_size(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].size; }

bool is_float(DType dtype) {
  return dtype == DType::F32 || dtype == DType::F16 || dtype == DType::BF16 || dtype == DType::F64;
}

bool is_integer(DType dtype) { return !is_float(dtype) && dtype != DType::Bool; }

int64_t num_elements(const Shape& shape) {
  int64_t n = 1;
  for (int64_t extent : shape) n *= extent;
  return n;
}

std::string TensorType::str() const {
  std::string text(dtype_name(dtype));
  if (shape.empty()) return text;
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "[" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace nncc
