// The header of a .safetensors file: a JSON object that gives each tensor's type, shape and place.
#pragma once
#include <cstddef>
#include <cstdint>

#include "nn/abi.h"

namespace nn::runtime {

// The format's name of an element type, "F32".
const char* safetensors_dtype(nn_dtype dtype);
size_t element_size(nn_dtype dtype);

constexpr size_t max_file_rank = 16;

struct FileTensor {
  const char* name;  // UTF-8, unescaped, not terminated
  size_t name_length;
  char dtype[8];
  int32_t rank;
  int64_t shape[max_file_rank];
  uint64_t begin, end;  // bytes from the end of the header
};

// How many tensors a header of `length` bytes can describe at most: the room that parse_header needs.
size_t max_tensors(size_t length);

// Reads a header that describes `data_bytes` bytes of data, and holds it to the format: known element types,
// shapes that fit the places, places that follow each other without gap or overlap from the first byte to the
// last, no name twice. Unescapes in place: names point into `text`. Returns null, with tensors sorted by
// name, or what is wrong.
const char* parse_header(char* text, size_t length, uint64_t data_bytes, FileTensor* tensors,
                         size_t* num_tensors);

// Compares as strings of bytes do: below, equal to or above 0.
int compare_names(const char* a, size_t a_length, const char* b, size_t b_length);

}  // namespace nn::runtime
