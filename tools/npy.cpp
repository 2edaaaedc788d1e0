#include "tools/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "tools/files.h"

namespace nncc {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
// Ends the header where NumPy ends it.
constexpr size_t kAlignment = 64;
constexpr size_t kMaxRank = 32;

struct Header {
  char order = '|', kind = 0;
  int size = 0;
  bool column_major = false;
  Shape shape;
};

// What follows `'key':` in the header, a Python dictionary.
std::optional<std::string_view> value_of(std::string_view dictionary, std::string_view key) {
  for (char quote : {'\'', '"'}) {
    const std::string quoted = quote + std::string(key) + quote;
    size_t at = dictionary.find(quoted);
    if (at == std::string_view::npos) continue;
    at = dictionary.find_first_not_of(" ", at + quoted.size());
    if (at == std::string_view::npos || dictionary[at] != ':') continue;
    at = dictionary.find_first_not_of(" ", at + 1);
    if (at != std::string_view::npos) return dictionary.substr(at);
  }
  return std::nullopt;
}

bool parse_shape(std::string_view text, Shape& shape) {
  if (text.empty() || text[0] != '(') return false;
  const size_t end = text.find(')');
  if (end == std::string_view::npos) return false;
  text = text.substr(1, end - 1);
  while (!text.empty()) {
    text.remove_prefix(std::min(text.find_first_not_of(" "), text.size()));
    if (text.empty()) break;
    int64_t extent = 0;
    auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), extent);
    if (error != std::errc{} || extent < 0 || shape.size() == kMaxRank) return false;
    shape.push_back(extent);
    text.remove_prefix(static_cast<size_t>(rest - text.data()));
    if (!text.empty() && text[0] == 'L') text.remove_prefix(1);  // Python 2
    if (!text.empty() && text[0] != ',') return false;
    if (!text.empty()) text.remove_prefix(1);
  }
  return true;
}

bool parse_header(std::string_view text, Header& header) {
  const auto descr = value_of(text, "descr"), order = value_of(text, "fortran_order"),
             shape = value_of(text, "shape");
  if (!descr || !order || !shape || descr->size() < 5) return false;
  if ((*descr)[0] != '\'' && (*descr)[0] != '"') return false;
  header.order = (*descr)[1];
  header.kind = (*descr)[2];
  const char* digits = descr->data() + 3;
  auto [rest, error] = std::from_chars(digits, descr->data() + descr->size(), header.size);
  if (error != std::errc{} || rest == descr->data() + descr->size() || *rest != (*descr)[0]) return false;
  header.column_major = order->substr(0, 4) == "True";
  if (!header.column_major && order->substr(0, 5) != "False") return false;
  return parse_shape(*shape, header.shape);
}

// The element type that holds the file's; its size may be larger.
std::optional<DType> element_type(const Header& h) {
  switch (h.kind) {
    case 'f':
      return h.size == 4   ? std::optional(DType::F32)
             : h.size == 8 ? std::optional(DType::F64)
             : h.size == 2 ? std::optional(DType::F16)
                           : std::nullopt;
    case 'i':
      return h.size == 1                  ? std::optional(DType::I8)
             : h.size == 2 || h.size == 4 ? std::optional(DType::I32)
             : h.size == 8                ? std::optional(DType::I64)
                                          : std::nullopt;
    case 'u':
      return h.size == 1                  ? std::optional(DType::U8)
             : h.size == 2                ? std::optional(DType::I32)
             : h.size == 4 || h.size == 8 ? std::optional(DType::I64)
                                          : std::nullopt;
    case 'b':
      return h.size == 1 ? std::optional(DType::Bool) : std::nullopt;
    default:
      return std::nullopt;
  }
}

// Element i of the file as an integer of 64 bits, little-endian order restored.
uint64_t raw_element(const Header& h, std::string_view data, size_t i) {
  uint64_t value = 0;
  const auto size = static_cast<size_t>(h.size);
  for (size_t k = 0; k < size; ++k) {
    const size_t at = i * size + (h.order == '>' ? k : size - 1 - k);
    value = value << 8 | static_cast<unsigned char>(data[at]);
  }
  const bool is_signed = h.kind == 'i';
  const unsigned unused = 64 - 8 * static_cast<unsigned>(h.size);
  if (is_signed && unused) value = static_cast<uint64_t>(static_cast<int64_t>(value << unused) >> unused);
  return value;
}

// Where the row-major element i lies in a column-major array.
size_t column_major_index(const Shape& shape, size_t i) {
  size_t index = 0;
  for (size_t axis = shape.size(); axis-- > 0;) {
    const auto extent = static_cast<size_t>(shape[axis]);
    size_t stride = 1;
    for (size_t k = 0; k < axis; ++k) stride *= static_cast<size_t>(shape[k]);
    index += i % extent * stride;
    i /= extent;
  }
  return index;
}

Array as_floats(const Array& bf16) {
  Array floats{{DType::F32, bf16.type.shape}, std::vector<std::byte>(bf16.bytes.size() * 2)};
  for (size_t i = 0; i < bf16.bytes.size() / 2; ++i)
    std::memcpy(&floats.bytes[4 * i + 2], &bf16.bytes[2 * i], 2);
  return floats;
}

}  // namespace

std::optional<Array> parse_npy(std::string_view file, std::string& why) {
  const auto fail = [&](std::string reason) {
    why = std::move(reason);
    return std::nullopt;
  };
  constexpr size_t kVersion = kMagic.size(), kLength = kVersion + 2;
  if (file.substr(0, kMagic.size()) != kMagic || file.size() < kLength + 4)
    return fail("it is not a .npy file");
  const size_t length_bytes = file[kVersion] == 1 ? 2 : 4;
  size_t length = 0;
  for (size_t i = length_bytes; i-- > 0;)
    length = length << 8 | static_cast<unsigned char>(file[kLength + i]);
  const size_t begin = kLength + length_bytes;
  if (length > file.size() - begin) return fail("it ends within its header");
  Header header;
  if (!parse_header(file.substr(begin, length), header))
    return fail("its header is malformed, or it holds something else than numbers");
  const auto dtype = element_type(header);
  if (!dtype) return fail("its elements are of a type that tensors cannot have");

  const std::string_view data = file.substr(begin + length);
  int64_t elements = 1, bytes = 0;
  bool too_large = false;
  for (int64_t extent : header.shape) too_large |= __builtin_mul_overflow(elements, extent, &elements);
  if (too_large || __builtin_mul_overflow(elements, header.size, &bytes) ||
      static_cast<uint64_t>(bytes) > data.size())
    return fail("it ends before its last element");
  if (static_cast<uint64_t>(bytes) < data.size()) return fail("it goes on after its last element");

  Array array{{*dtype, header.shape}, {}};
  const auto count = static_cast<size_t>(elements), size = static_cast<size_t>(dtype_size(*dtype));
  array.bytes.resize(count * size);
  const bool as_is = header.order != '>' && !header.column_major &&
                     static_cast<size_t>(header.size) == size && *dtype != DType::Bool && header.kind != 'u';
  if (as_is) {
    std::copy_n(reinterpret_cast<const std::byte*>(data.data()), array.bytes.size(), array.bytes.begin());
    return array;
  }
  for (size_t i = 0; i < count; ++i) {
    uint64_t value = raw_element(header, data, header.column_major ? column_major_index(header.shape, i) : i);
    if (header.kind == 'u' && header.size == 8 && value > INT64_MAX)
      return fail("it has a number that i64 does not hold");
    if (*dtype == DType::Bool) value = value != 0;
    std::memcpy(&array.bytes[i * size], &value, size);
  }
  return array;
}

std::optional<Array> read_npy(const std::string& path, Diagnostics& diags) {
  const auto file = read_file(path, diags);
  if (!file) return std::nullopt;
  std::string why;
  auto array = parse_npy(*file, why);
  if (!array) diags.error("cannot read `" + path + "`: " + why);
  return array;
}

bool write_npy(const std::string& path, const Array& array, Diagnostics& diags) {
  if (array.type.dtype == DType::BF16) return write_npy(path, as_floats(array), diags);
  constexpr const char* kDescr[] = {"<f4", "<f2", "", "<f8", "|i1", "|u1", "<i4", "<i8", "|b1"};
  std::string header = "{'descr': '" + std::string(kDescr[static_cast<int>(array.type.dtype)]) +
                       "', 'fortran_order': False, 'shape': (";
  for (int64_t extent : array.type.shape) header += std::to_string(extent) + ", ";
  if (array.type.rank() > 1) header.resize(header.size() - 2);
  header += "), }";
  const size_t before = kMagic.size() + 4;
  header.resize((before + header.size() + 1 + kAlignment - 1) / kAlignment * kAlignment - before - 1, ' ');
  header += '\n';

  std::string file(kMagic);
  file += {'\1', '\0', static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  file += header;
  file.append(reinterpret_cast<const char*>(array.bytes.data()), array.bytes.size());
  return write_file(path, file, diags);
}

}  // namespace nncc
