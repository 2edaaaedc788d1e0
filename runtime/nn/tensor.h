// What goes in and out of a compiled model: errors, element types, views of the caller's arrays and of the
// session's tensors. Included by <nn/model.h>.
#pragma once
#include <nn/abi.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace nn {

// Everything that can go wrong, with the reason in words.
class Error : public std::runtime_error {
 public:
  Error(nn_status status, const std::string& what) : std::runtime_error(what), status_(status) {}
  nn_status status() const { return status_; }

 private:
  nn_status status_;
};

// The two narrow floats, which C++20 has no type for. Round to nearest even.
struct float16 {
  uint16_t bits = 0;
  float16() = default;
  explicit float16(float value) {
    uint32_t word = std::bit_cast<uint32_t>(value), magnitude = word & 0x7fffffff;
    auto sign = static_cast<uint16_t>(word >> 16 & 0x8000);
    if (magnitude > 0x7f800000) {
      bits = sign | 0x7e00;
    } else if (magnitude >= 0x477ff000) {  // rounds to 65536 or more
      bits = sign | 0x7c00;
    } else if (magnitude < 0x38800000) {  // subnormal: a multiple of 2^-24
      bits = sign | static_cast<uint16_t>(std::lrint(std::ldexp(std::bit_cast<float>(magnitude), 24)));
    } else {
      uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1) - (112u << 23);
      bits = sign | static_cast<uint16_t>(rounded >> 13);
    }
  }
  explicit operator float() const {
    int exponent = bits >> 10 & 31;
    auto fraction = static_cast<float>(bits & 1023);
    float value = exponent == 31  ? (fraction == 0 ? std::numeric_limits<float>::infinity()
                                                   : std::numeric_limits<float>::quiet_NaN())
                  : exponent == 0 ? std::ldexp(fraction, -24)
                                  : std::ldexp(fraction + 1024, exponent - 25);
    return bits & 0x8000 ? -value : value;
  }
};

struct bfloat16 {
  uint16_t bits = 0;
  bfloat16() = default;
  explicit bfloat16(float value) {
    uint32_t word = std::bit_cast<uint32_t>(value);
    bool is_nan = (word & 0x7fffffff) > 0x7f800000;
    bits = static_cast<uint16_t>((is_nan ? word | 0x400000 : word + 0x7fff + (word >> 16 & 1)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(uint32_t{bits} << 16); }
};

namespace detail {

template <class T>
struct dtype_of {};
template <>
struct dtype_of<float> {
  static constexpr nn_dtype value = NN_F32;
};
template <>
struct dtype_of<float16> {
  static constexpr nn_dtype value = NN_F16;
};
template <>
struct dtype_of<bfloat16> {
  static constexpr nn_dtype value = NN_BF16;
};
template <>
struct dtype_of<double> {
  static constexpr nn_dtype value = NN_F64;
};
template <>
struct dtype_of<int8_t> {
  static constexpr nn_dtype value = NN_I8;
};
template <>
struct dtype_of<uint8_t> {
  static constexpr nn_dtype value = NN_U8;
};
template <>
struct dtype_of<int32_t> {
  static constexpr nn_dtype value = NN_I32;
};
template <>
struct dtype_of<int64_t> {
  static constexpr nn_dtype value = NN_I64;
};
template <>
struct dtype_of<bool> {
  static constexpr nn_dtype value = NN_BOOL;
};

}  // namespace detail

// A C++ type that a tensor can have as elements.
template <class T>
concept Element = requires {
  detail::dtype_of<std::remove_cv_t<T>>::value;
};

template <Element T>
inline constexpr nn_dtype dtype_of = detail::dtype_of<std::remove_cv_t<T>>::value;

// As in programs: "f32".
inline const char* dtype_name(nn_dtype dtype) {
  constexpr const char* names[] = {"f32", "f16", "bf16", "f64", "i8", "u8", "i32", "i64", "bool"};
  return names[dtype];
}

inline std::size_t dtype_size(nn_dtype dtype) {
  constexpr std::size_t sizes[] = {4, 2, 2, 8, 1, 1, 4, 8, 1};
  return sizes[dtype];
}

// "f32[64, 784]", "f32" for a scalar.
inline std::string type_name(nn_dtype dtype, std::span<const int64_t> shape) {
  std::string text = dtype_name(dtype);
  for (std::size_t i = 0; i < shape.size(); i++) text += (i ? ", " : "[") + std::to_string(shape[i]);
  return shape.empty() ? text : text + "]";
}

inline std::span<const int64_t> shape_of(const nn_tensor_info& tensor) {
  return {tensor.shape, static_cast<std::size_t>(tensor.rank)};
}
inline std::string type_name(const nn_tensor_info& tensor) {
  return type_name(tensor.dtype, shape_of(tensor));
}

namespace detail {

// The element at the bottom of arrays of arrays.
template <class T>
struct innermost {
  using type = std::remove_all_extents_t<T>;
};
template <class T, std::size_t N>
struct innermost<std::array<T, N>> : innermost<T> {};
template <class T>
using innermost_t = typename innermost<std::remove_cv_t<T>>::type;

template <class Range>
concept ElementRange = std::ranges::contiguous_range<Range> && std::ranges::sized_range<Range> &&
    Element<innermost_t<std::ranges::range_value_t<Range>>>;

[[noreturn]] inline void throw_scalar_error(const nn_tensor_info& tensor, const std::string& owner,
                                            const char* why) {
  throw Error(NN_INVALID_ARGUMENT, owner + ": " + why + " " + type_name(tensor) + " " + tensor.name);
}

template <class T>
T load(const void* data) {
  T value;
  std::memcpy(&value, data, sizeof value);
  return value;
}

// An element as another type; the widest of its kind holds every narrower one.
template <class T>
T convert_element(nn_dtype dtype, const void* data) {
  switch (dtype) {
    case NN_F32:
      return static_cast<T>(load<float>(data));
    case NN_F16:
      return static_cast<T>(static_cast<float>(load<float16>(data)));
    case NN_BF16:
      return static_cast<T>(static_cast<float>(load<bfloat16>(data)));
    case NN_F64:
      return static_cast<T>(load<double>(data));
    case NN_I8:
      return static_cast<T>(load<int8_t>(data));
    case NN_U8:
      return static_cast<T>(load<uint8_t>(data));
    case NN_I32:
      return static_cast<T>(load<int32_t>(data));
    case NN_I64:
      return static_cast<T>(load<int64_t>(data));
    case NN_BOOL:
      return static_cast<T>(load<uint8_t>(data) != 0);
  }
  return T{};
}

// Room for one element of any type.
struct alignas(8) Slot {
  unsigned char bytes[8];
  template <class T>
  const void* store(T value) {
    std::memcpy(bytes, &value, sizeof value);
    return bytes;
  }
};

template <class To, class From>
bool is_exact_integer(From value) {
  if constexpr (std::is_integral_v<From>) {
    return std::is_same_v<From, bool> || std::in_range<To>(+value);
  } else {
    return value == std::floor(value) && value >= static_cast<From>(std::numeric_limits<To>::min()) &&
           value < -static_cast<From>(std::numeric_limits<To>::min());
  }
}

// A C++ scalar as an element of `tensor`: floats are rounded to the element type; what should be an integer
// and isn't is an error.
template <class T>
const void* convert_scalar(const nn_tensor_info& tensor, T value, Slot& slot, const char* owner) {
  auto integer = [&]<class To>(To) -> const void* {
    if (!is_exact_integer<To>(value)) throw_scalar_error(tensor, owner, "a number does not fit");
    return slot.store(static_cast<To>(value));
  };
  switch (tensor.dtype) {
    case NN_F32:
      return slot.store(static_cast<float>(value));
    case NN_F64:
      return slot.store(static_cast<double>(value));
    case NN_F16:
      return slot.store(float16(static_cast<float>(value)));
    case NN_BF16:
      return slot.store(bfloat16(static_cast<float>(value)));
    case NN_I8:
      return integer(int8_t{});
    case NN_U8: {
      if (!(value >= T{}) || !(static_cast<double>(value) <= 255) ||
          static_cast<T>(static_cast<uint8_t>(value)) != value)
        throw_scalar_error(tensor, owner, "a number does not fit");
      return slot.store(static_cast<uint8_t>(value));
    }
    case NN_I32:
      return integer(int32_t{});
    case NN_I64:
      return integer(int64_t{});
    case NN_BOOL:
      if (value != T{} && value != static_cast<T>(1))
        throw_scalar_error(tensor, owner, "only 0, 1, false and true fit");
      return slot.store(static_cast<uint8_t>(value != T{}));
  }
  return nullptr;
}

}  // namespace detail

// A dense, row-major array of the caller's: where it is, of what type, and how many elements or which shape.
// Owns nothing. Converts from anything contiguous (spans, vectors, std::array and C arrays, also nested),
// where the number of elements counts; made from a pointer and a shape, the shape must be the tensor's
// exactly.
class View {
 public:
  static constexpr std::size_t max_rank = 8;

  template <class Range>
  requires detail::ElementRange<const Range> View(const Range& range) {  // NOLINT: implicit
    using Item = std::ranges::range_value_t<const Range>;
    using T = detail::innermost_t<Item>;
    dtype_ = dtype_of<T>;
    data_ = std::ranges::data(range);
    bytes_ = std::ranges::size(range) * sizeof(Item);
  }
  template <Element T>
  View(const T* data, std::initializer_list<int64_t> shape)
      : View(dtype_of<T>, data, std::span<const int64_t>(shape.begin(), shape.size())) {}
  template <Element T>
  View(const T* data, std::span<const int64_t> shape) : View(dtype_of<T>, data, shape) {}
  View(nn_dtype dtype, const void* data, std::span<const int64_t> shape)
      : data_(data), bytes_(dtype_size(dtype)), rank_(static_cast<int>(shape.size())), dtype_(dtype) {
    if (shape.size() > max_rank) throw Error(NN_INVALID_ARGUMENT, "a view has more than 8 axes");
    for (std::size_t i = 0; i < shape.size(); i++) {
      shape_[i] = shape[i];
      bytes_ *= static_cast<std::size_t>(shape[i]);
    }
  }

  const void* data() const { return data_; }
  nn_dtype dtype() const { return dtype_; }
  std::size_t bytes() const { return bytes_; }
  bool has_shape() const { return rank_ >= 0; }
  // Empty if it has none.
  std::span<const int64_t> shape() const {
    return {shape_, has_shape() ? static_cast<std::size_t>(rank_) : 0};
  }

  bool fits(const nn_tensor_info& tensor) const {
    if (dtype_ != tensor.dtype || bytes_ != tensor.bytes) return false;
    return !has_shape() || std::ranges::equal(shape(), shape_of(tensor));
  }
  // "f32[64, 784]", or "1000 elements of f32" where there is no shape.
  std::string type_name() const {
    if (has_shape()) return nn::type_name(dtype_, shape());
    return std::to_string(bytes_ / dtype_size(dtype_)) + " elements of " + dtype_name(dtype_);
  }

 private:
  const void* data_ = nullptr;
  std::size_t bytes_ = 0;
  int rank_ = -1;
  nn_dtype dtype_ = NN_F32;
  int64_t shape_[max_rank];
};

// A tensor of a session, for reading: an output or a variable. Owns nothing; what it shows changes when the
// session's does.
class Tensor {
 public:
  Tensor() = default;
  Tensor(const nn_tensor_info& info, const void* data) : info_(&info), data_(data) {}

  std::string_view name() const { return info_->name; }
  nn_dtype dtype() const { return info_->dtype; }
  std::span<const int64_t> shape() const { return shape_of(*info_); }
  std::size_t size() const { return info_->bytes / dtype_size(info_->dtype); }  // elements
  std::size_t bytes() const { return info_->bytes; }
  const void* data() const { return data_; }

  // The elements, row-major. T must be the element type.
  template <Element T>
  std::span<const T> as() const {
    if (dtype_of<T> != dtype())
      throw Error(NN_INVALID_ARGUMENT,
                  std::string(name()) + " is " + type_name(*info_) + ", not of " + dtype_name(dtype_of<T>));
    return {static_cast<const T*>(data_), size()};
  }
  template <Element T>
  operator std::span<const T>() const {
    return as<T>();
  }  // NOLINT: implicit

  // The only element, converted to T.
  template <class T>
  requires std::is_arithmetic_v<T> T item()
  const {
    if (size() != 1)
      throw Error(NN_INVALID_ARGUMENT, std::string(name()) + " is " + type_name(*info_) + ", not one number");
    return detail::convert_element<T>(dtype(), data_);
  }
  // So that a loss can be added, compared and printed. Every element type but a large i64 is exact; for that,
  // item<int64_t>().
  operator double() const { return item<double>(); }  // NOLINT: implicit

 private:
  const nn_tensor_info* info_ = nullptr;
  const void* data_ = nullptr;
};
using Output = Tensor;

}  // namespace nn
