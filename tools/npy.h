// NumPy's .npy files.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/diagnostic.h"
#include "ir/type.h"

namespace nncc {

// A dense, row-major array in memory. Unlike those of tensors, extents may be 0.
struct Array {
  TensorType type;
  std::vector<std::byte> bytes;
};

// Element types that tensors lack become the nearest one that holds them: i16 and u16 i32, u32 and u64 i64.
// Other byte orders and column-major order are turned round. Nothing, and what is wrong in `why`, if the file
// is damaged or holds something else.
std::optional<Array> parse_npy(std::string_view file, std::string& why);
std::optional<Array> read_npy(const std::string& path, Diagnostics&);
// bf16, which NumPy lacks, is written as f32. A file appears whole or not at all.
bool write_npy(const std::string& path, const Array&, Diagnostics&);

}  // namespace nncc
