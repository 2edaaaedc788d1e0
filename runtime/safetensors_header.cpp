#include "safetensors_header.h"

#include <string.h>

#include <algorithm>

namespace nn::runtime {
namespace {

struct ElementType {
  char name[8];
  uint64_t size;
};
constexpr ElementType element_types[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"U16", 2}, {"I16", 2}, {"F16", 2},
    {"BF16", 2}, {"U32", 4}, {"I32", 4}, {"F32", 4},     {"U64", 8},     {"I64", 8}, {"F64", 8},
};

// The smallest that a tensor can be: "":{"dtype":"U8","shape":[],"data_offsets":[0,0]}
constexpr size_t smallest_tensor = 49;

bool is_utf8(const unsigned char* text, size_t length) {
  for (size_t i = 0; i < length;) {
    unsigned char lead = text[i];
    size_t more = lead < 0x80                   ? 0
                  : lead >= 0xc2 && lead < 0xe0 ? 1
                  : (lead & 0xf0) == 0xe0       ? 2
                  : lead >= 0xf0 && lead < 0xf5 ? 3
                                                : 4;
    if (more == 4 || length - i <= more) return false;
    uint32_t point = more == 0 ? lead : lead & (0x3f >> more);
    for (size_t k = 1; k <= more; k++) {
      if ((text[i + k] & 0xc0) != 0x80) return false;
      point = point << 6 | (text[i + k] & 0x3f);
    }
    bool surrogate = point >= 0xd800 && point < 0xe000;
    bool too_long = (more == 2 && point < 0x800) || (more == 3 && point < 0x10000);
    if (surrogate || too_long || point > 0x10ffff) return false;
    i += more + 1;
  }
  return true;
}

// Only what the format needs of JSON: objects, arrays of numbers, strings, whole numbers. Every function
// returns null, or what is wrong, and leaves the position behind what it read.
class HeaderReader {
 public:
  HeaderReader(char* text, size_t length) : at_(text), end_(text + length) {}

  const char* read(FileTensor* tensors, size_t* num_tensors) {
    *num_tensors = 0;
    if (!take('{')) return "its header is not a JSON object";
    if (take('}')) return expect_end();
    bool has_metadata = false;
    do {
      FileTensor& tensor = tensors[*num_tensors];
      if (const char* wrong = read_string(&tensor.name, &tensor.name_length)) return wrong;
      if (!take(':')) return "a name in its header is not followed by a colon";
      if (is(tensor, "__metadata__")) {
        if (has_metadata) return "its header has two __metadata__";
        has_metadata = true;
        if (const char* wrong = skip_metadata()) return wrong;
      } else {
        if (const char* wrong = read_tensor(tensor)) return wrong;
        ++*num_tensors;
      }
    } while (take(','));
    if (!take('}')) return "its header does not end with a brace";
    return expect_end();
  }

 private:
  static bool is(const FileTensor& tensor, const char* name) {
    return compare_names(tensor.name, tensor.name_length, name, strlen(name)) == 0;
  }

  void skip_space() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) at_++;
  }

  bool take(char wanted) {
    skip_space();
    if (at_ == end_ || *at_ != wanted) return false;
    at_++;
    return true;
  }

  const char* expect_end() {
    skip_space();
    return at_ == end_ ? nullptr : "its header goes on after the closing brace";
  }

  // Unescaped text is never longer than escaped text, so it is written over it.
  const char* read_string(const char** text, size_t* length) {
    if (!take('"')) return "its header lacks a string where one must be";
    char* out = at_;
    *text = out;
    while (at_ < end_ && *at_ != '"') {
      auto c = static_cast<unsigned char>(*at_++);
      if (c < 0x20) return "a string in its header has an unescaped control character";
      if (c != '\\') {
        *out++ = static_cast<char>(c);
        continue;
      }
      if (at_ == end_) break;
      constexpr char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
      char escaped = *at_++;
      if (escaped == 'u') {
        if (!read_code_point(&out)) return "a string in its header has a malformed \\u escape";
        continue;
      }
      size_t i = 0;
      while (i + 1 < sizeof escapes && escapes[i] != escaped) i += 2;
      if (i + 1 >= sizeof escapes) return "a string in its header has an unknown escape";
      *out++ = escapes[i + 1];
    }
    if (at_ == end_) return "a string in its header does not end";
    at_++;
    *length = static_cast<size_t>(out - *text);
    return nullptr;
  }

  bool read_hex(uint32_t* value) {
    if (end_ - at_ < 4) return false;
    *value = 0;
    for (int i = 0; i < 4; i++) {
      char c = *at_++;
      int digit = c >= '0' && c <= '9'   ? c - '0'
                  : c >= 'a' && c <= 'f' ? c - 'a' + 10
                  : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                         : -1;
      if (digit < 0) return false;
      *value = *value << 4 | static_cast<uint32_t>(digit);
    }
    return true;
  }

  bool read_code_point(char** out) {
    uint32_t point, low;
    if (!read_hex(&point)) return false;
    if (point >= 0xdc00 && point < 0xe000) return false;
    if (point >= 0xd800 && point < 0xdc00) {
      if (end_ - at_ < 2 || *at_++ != '\\' || *at_++ != 'u' || !read_hex(&low)) return false;
      if (low < 0xdc00 || low >= 0xe000) return false;
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    int more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    constexpr unsigned char leads[] = {0, 0xc0, 0xe0, 0xf0};
    *(*out)++ = static_cast<char>(leads[more] | point >> (6 * more));
    for (int i = more - 1; i >= 0; i--) *(*out)++ = static_cast<char>(0x80 | (point >> (6 * i) & 0x3f));
    return true;
  }

  const char* read_number(uint64_t* value) {
    skip_space();
    if (at_ == end_ || *at_ < '0' || *at_ > '9') return "its header lacks a whole number where one must be";
    if (*at_ == '0' && end_ - at_ > 1 && at_[1] >= '0' && at_[1] <= '9')
      return "a number in its header begins with 0";
    *value = 0;
    for (; at_ < end_ && *at_ >= '0' && *at_ <= '9'; at_++) {
      if (__builtin_mul_overflow(*value, 10, value) || __builtin_add_overflow(*value, *at_ - '0', value))
        return "a number in its header is too large";
    }
    return nullptr;
  }

  // An array of at most `room` numbers.
  const char* read_numbers(uint64_t* values, size_t room, size_t* count) {
    *count = 0;
    if (!take('[')) return "its header lacks an array where one must be";
    if (take(']')) return nullptr;
    do {
      if (*count == room) return "an array in its header has too many numbers";
      if (const char* wrong = read_number(&values[(*count)++])) return wrong;
    } while (take(','));
    return take(']') ? nullptr : "an array in its header does not end";
  }

  const char* skip_metadata() {
    if (!take('{')) return "its __metadata__ is not an object";
    if (take('}')) return nullptr;
    do {
      const char* text;
      size_t length;
      if (const char* wrong = read_string(&text, &length)) return wrong;
      if (!take(':')) return "a name in its __metadata__ is not followed by a colon";
      if (const char* wrong = read_string(&text, &length)) return wrong;
    } while (take(','));
    return take('}') ? nullptr : "its __metadata__ does not end";
  }

  const char* read_tensor(FileTensor& tensor) {
    enum { Dtype = 1, Shape = 2, Offsets = 4, All = 7 };
    int seen = 0;
    if (!take('{')) return "a tensor in its header is not an object";
    do {
      const char* key;
      size_t length;
      if (const char* wrong = read_string(&key, &length)) return wrong;
      if (!take(':')) return "a name in its header is not followed by a colon";
      auto is_key = [&](const char* name) { return compare_names(key, length, name, strlen(name)) == 0; };
      int field = is_key("dtype") ? Dtype : is_key("shape") ? Shape : is_key("data_offsets") ? Offsets : 0;
      if (field == 0) return "a tensor in its header has an unknown property";
      if (seen & field) return "a tensor in its header has a property twice";
      seen |= field;
      const char* wrong = field == Dtype   ? read_dtype(tensor)
                          : field == Shape ? read_shape(tensor)
                                           : read_offsets(tensor);
      if (wrong) return wrong;
    } while (take(','));
    if (!take('}')) return "a tensor in its header does not end";
    if (seen != All) return "a tensor in its header lacks its type, shape or place";
    return check_size(tensor);
  }

  const char* read_dtype(FileTensor& tensor) {
    const char* text;
    size_t length;
    if (const char* wrong = read_string(&text, &length)) return wrong;
    for (const ElementType& type : element_types) {
      if (compare_names(text, length, type.name, strlen(type.name)) != 0) continue;
      memcpy(tensor.dtype, type.name, sizeof type.name);
      return nullptr;
    }
    return "a tensor in its header has an unknown element type";
  }

  const char* read_shape(FileTensor& tensor) {
    uint64_t extents[max_file_rank];
    size_t rank;
    if (const char* wrong = read_numbers(extents, max_file_rank, &rank)) return wrong;
    tensor.rank = static_cast<int32_t>(rank);
    for (size_t i = 0; i < rank; i++) {
      if (extents[i] > INT64_MAX) return "an extent in its header is too large";
      tensor.shape[i] = static_cast<int64_t>(extents[i]);
    }
    return nullptr;
  }

  const char* read_offsets(FileTensor& tensor) {
    uint64_t offsets[2];
    size_t count;
    if (const char* wrong = read_numbers(offsets, 2, &count)) return wrong;
    if (count != 2 || offsets[0] > offsets[1]) return "the place of a tensor in its header is not a range";
    tensor.begin = offsets[0];
    tensor.end = offsets[1];
    return nullptr;
  }

  static const char* check_size(const FileTensor& tensor) {
    uint64_t bytes = 0;
    for (const ElementType& type : element_types) {
      if (strcmp(type.name, tensor.dtype) == 0) bytes = type.size;
    }
    for (int32_t i = 0; i < tensor.rank; i++) {
      if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(tensor.shape[i]), &bytes))
        return "a tensor in its header is too large";
    }
    return bytes == tensor.end - tensor.begin ? nullptr
                                              : "the shape of a tensor in its header does not fit its place";
  }

  char* at_;
  char* end_;
};

using Before = bool (*)(const FileTensor& a, const FileTensor& b);

// One instance for both orders: this ends up in every model.
void sort(FileTensor* tensors, FileTensor* end, Before before) { std::sort(tensors, end, before); }

}  // namespace

const char* safetensors_dtype(nn_dtype dtype) {
  constexpr const char* names[] = {"F32", "F16", "BF16", "F64", "I8", "U8", "I32", "I64", "BOOL"};
  return names[dtype];
}

size_t element_size(nn_dtype dtype) {
  constexpr size_t sizes[] = {4, 2, 2, 8, 1, 1, 4, 8, 1};
  return sizes[dtype];
}

// One more than fits: the reader fills in a name before it knows whether a tensor follows.
size_t max_tensors(size_t length) { return length / smallest_tensor + 1; }

int compare_names(const char* a, size_t a_length, const char* b, size_t b_length) {
  int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
  return order ? order : a_length < b_length ? -1 : a_length > b_length;
}

const char* parse_header(char* text, size_t length, uint64_t data_bytes, FileTensor* tensors,
                         size_t* num_tensors) {
  if (!is_utf8(reinterpret_cast<const unsigned char*>(text), length)) return "its header is not UTF-8";
  if (const char* wrong = HeaderReader(text, length).read(tensors, num_tensors)) return wrong;
  FileTensor* end = tensors + *num_tensors;

  sort(tensors, end, [](const FileTensor& a, const FileTensor& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  uint64_t covered = 0;
  for (const FileTensor* tensor = tensors; tensor != end; tensor++) {
    if (tensor->begin < covered) return "tensors in its header overlap";
    if (tensor->begin > covered) return "its header leaves a gap between tensors";
    if (tensor->end > data_bytes) return "it ends before the last tensor does";
    covered = tensor->end;
  }
  if (covered != data_bytes) return "it goes on after the last tensor";

  sort(tensors, end, [](const FileTensor& a, const FileTensor& b) {
    return compare_names(a.name, a.name_length, b.name, b.name_length) < 0;
  });
  for (const FileTensor* tensor = tensors; tensor + 1 < end; tensor++) {
    if (compare_names(tensor[0].name, tensor[0].name_length, tensor[1].name, tensor[1].name_length) == 0)
      return "its header has a name twice";
  }
  return nullptr;
}

}  // namespace nn::runtime
