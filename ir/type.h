// Element types and tensor types.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nncc {

enum class DType : uint8_t { F32, F16, BF16, F64, I8, U8, I32, I64, Bool };

// The name in programs and dumps: "f32", "bool", …
std::string_view dtype_name(DType);
std::optional<DType> parse_dtype(std::string_view);
// Bytes of one element in memory; a bool takes one.
int64_t dtype_size(DType);
bool is_float(DType);
// i8, u8, i32, i64; a bool is not an integer.
bool is_integer(DType);

// Extents, outermost first; every extent is at least 1. Rank 0 is a scalar.
using Shape = std::vector<int64_t>;
int64_t num_elements(const Shape&);

// A dense, row-major tensor: element type and static shape.
struct TensorType {
  DType dtype = DType::F32;
  Shape shape;

  int rank() const { return static_cast<int>(shape.size()); }
  int64_t num_elements() const { return nncc::num_elements(shape); }
  int64_t byte_size() const { return num_elements() * dtype_size(dtype); }
  // "f32[64, 10]", "f32" for a scalar.
  std::string str() const;
  friend bool operator==(const TensorType&, const TensorType&) = default;
};

}  // namespace nncc
