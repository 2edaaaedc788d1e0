#include "ir/literal.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "ir/diagnostic.h"

namespace nncc {
namespace {

// A binary floating-point format narrower than double.
struct FloatFormat {
  int precision;     // bits of the significand, the hidden one included
  int min_exponent;  // of the smallest normal number
  int max_exponent;  // of the largest number
};
constexpr FloatFormat kF32{24, -126, 127}, kF16{11, -14, 15}, kBF16{8, -126, 127};

// To nearest, ties to even, in one step from double.
double round_to_format(double x, const FloatFormat& format) {
  if (x == 0 || !std::isfinite(x)) return x;
  const int exponent = std::max(std::ilogb(x), format.min_exponent);
  const int quantum = exponent - format.precision + 1;
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(x, -quantum)), quantum);
  if (std::abs(rounded) >= std::ldexp(1.0, format.max_exponent + 1))
    return std::copysign(std::numeric_limits<double>::infinity(), x);
  return rounded;
}

uint16_t encode16(double x, const FloatFormat& format) {
  x = round_to_format(x, format);
  const int fraction_bits = format.precision - 1;
  const uint16_t exponent_mask = static_cast<uint16_t>(0x7FFF & ~((1 << fraction_bits) - 1));
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  if (std::isnan(x)) return sign | exponent_mask | static_cast<uint16_t>(1 << (fraction_bits - 1));
  if (std::isinf(x)) return sign | exponent_mask;
  if (x == 0) return sign;
  const int exponent = std::max(std::ilogb(x), format.min_exponent);
  // The hidden bit of a normal number carries into the exponent field.
  const auto significand = static_cast<uint32_t>(std::ldexp(std::abs(x), fraction_bits - exponent));
  const auto biased = static_cast<uint32_t>(exponent - format.min_exponent);
  return static_cast<uint16_t>(sign | ((biased << fraction_bits) + significand));
}

double decode16(uint16_t bits, const FloatFormat& format) {
  const int fraction_bits = format.precision - 1;
  const int field = (bits & 0x7FFF) >> fraction_bits;
  const int fraction = bits & ((1 << fraction_bits) - 1);
  double magnitude;
  if (field == 0x7FFF >> fraction_bits)
    magnitude = fraction ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
  else if (field == 0)
    magnitude = std::ldexp(fraction, format.min_exponent - fraction_bits);
  else
    magnitude = std::ldexp(fraction + (1 << fraction_bits), format.min_exponent + field - 1 - fraction_bits);
  return bits & 0x8000 ? -magnitude : magnitude;
}

double round_float(double x, DType dtype) {
  switch (dtype) {
    case DType::F32:
      return round_to_format(x, kF32);
    case DType::F16:
      return round_to_format(x, kF16);
    case DType::BF16:
      return round_to_format(x, kBF16);
    default:
      return x;
  }
}

int64_t wrap_integer(int64_t x, DType dtype) {
  switch (dtype) {
    case DType::I8:
      return static_cast<int8_t>(x);
    case DType::U8:
      return static_cast<uint8_t>(x);
    case DType::I32:
      return static_cast<int32_t>(x);
    case DType::Bool:
      return x != 0;
    default:
      return x;
  }
}

// Toward zero; saturates, NaN gives 0.
int64_t truncate(double x) {
  if (std::isnan(x)) return 0;
  if (x >= 0x1p63) return std::numeric_limits<int64_t>::max();
  if (x < -0x1p63) return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(x);
}

template <typename T>
void append(std::vector<std::byte>& bytes, T value) {
  const auto* begin = reinterpret_cast<const std::byte*>(&value);
  bytes.insert(bytes.end(), begin, begin + sizeof(T));
}

template <typename T>
T load(std::span<const std::byte> bytes, int64_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

std::string float_text(double x) {
  if (std::isnan(x)) return "nan";
  if (std::isinf(x)) return x > 0 ? "inf" : "-inf";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, x).ptr;
  return std::string(buffer, end);
}

}  // namespace

Literal::Literal(TensorType type) : type_(std::move(type)) {
  const auto n = static_cast<size_t>(type_.num_elements());
  if (nncc::is_float(type_.dtype))
    values_ = Floats(n);
  else
    values_ = Ints(n);
}

Literal Literal::splat(TensorType type, double value) {
  if (!nncc::is_float(type.dtype))
    return splat_int(std::move(type), type.dtype == DType::Bool ? value != 0 : truncate(value));
  return floats(std::move(type), {value});
}

Literal Literal::splat_int(TensorType type, int64_t value) {
  if (nncc::is_float(type.dtype)) return floats(std::move(type), {static_cast<double>(value)});
  return ints(std::move(type), {value});
}

Literal Literal::floats(TensorType type, Floats values) {
  NNCC_CHECK(nncc::is_float(type.dtype), "a literal of floats has type " + type.str());
  NNCC_CHECK(values.size() == 1 || static_cast<int64_t>(values.size()) == type.num_elements(),
             std::to_string(values.size()) + " values for a literal of type " + type.str());
  Literal result;
  result.type_ = std::move(type);
  result.values_ = std::move(values);
  return result;
}

Literal Literal::ints(TensorType type, Ints values) {
  NNCC_CHECK(!nncc::is_float(type.dtype), "a literal of integers has type " + type.str());
  NNCC_CHECK(values.size() == 1 || static_cast<int64_t>(values.size()) == type.num_elements(),
             std::to_string(values.size()) + " values for a literal of type " + type.str());
  Literal result;
  result.type_ = std::move(type);
  result.values_ = std::move(values);
  return result;
}

bool Literal::is_splat() const {
  return std::visit([](const auto& v) { return v.size() == 1; }, values_);
}

double Literal::real(int64_t i) const {
  return std::visit([&](const auto& v) { return static_cast<double>(v.size() == 1 ? v[0] : v.at(i)); },
                    values_);
}

int64_t Literal::integer(int64_t i) const {
  if (const auto* v = std::get_if<Ints>(&values_)) return v->size() == 1 ? (*v)[0] : v->at(i);
  return truncate(real(i));
}

void Literal::set(int64_t i, double value) {
  NNCC_CHECK(!is_splat() || num_elements() == 1, "an element of a splat cannot be set");
  if (auto* v = std::get_if<Floats>(&values_))
    v->at(i) = value;
  else
    std::get<Ints>(values_).at(i) = truncate(value);
}

void Literal::set_int(int64_t i, int64_t value) {
  NNCC_CHECK(!is_splat() || num_elements() == 1, "an element of a splat cannot be set");
  if (auto* v = std::get_if<Ints>(&values_))
    v->at(i) = value;
  else
    std::get<Floats>(values_).at(i) = static_cast<double>(value);
}

void Literal::copy_elements(int64_t to, const Literal& source, int64_t from, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    if (is_float())
      set(to + i, source.real(from + i));
    else
      set_int(to + i, source.integer(from + i));
  }
}

Literal Literal::dense() const {
  Literal result = *this;
  if (is_splat())
    std::visit(
        [&](auto& v) { v.assign(num_elements(), typename std::decay_t<decltype(v)>::value_type(v[0])); },
        result.values_);
  return result;
}

Literal Literal::reshaped(Shape shape) const {
  NNCC_CHECK(nncc::num_elements(shape) == num_elements(),
             "a literal is reshaped to another number of elements");
  Literal result = *this;
  result.type_.shape = std::move(shape);
  return result;
}

void Literal::round_to_type() {
  if (auto* v = std::get_if<Floats>(&values_)) {
    for (double& x : *v) x = round_float(x, type_.dtype);
  } else {
    for (int64_t& x : std::get<Ints>(values_)) x = wrap_integer(x, type_.dtype);
  }
}

std::vector<std::byte> Literal::to_bytes() const {
  std::vector<std::byte> bytes;
  const int64_t n = num_elements();
  bytes.reserve(static_cast<size_t>(type_.byte_size()));
  for (int64_t i = 0; i < n; ++i) {
    switch (type_.dtype) {
      case DType::F32:
        append(bytes, static_cast<float>(real(i)));
        break;
      case DType::F16:
        append(bytes, encode16(real(i), kF16));
        break;
      case DType::BF16:
        append(bytes, encode16(real(i), kBF16));
        break;
      case DType::F64:
        append(bytes, real(i));
        break;
      case DType::I8:
        append(bytes, static_cast<int8_t>(integer(i)));
        break;
      case DType::U8:
        append(bytes, static_cast<uint8_t>(integer(i)));
        break;
      case DType::I32:
        append(bytes, static_cast<int32_t>(integer(i)));
        break;
      case DType::I64:
        append(bytes, integer(i));
        break;
      case DType::Bool:
        append(bytes, static_cast<uint8_t>(integer(i) != 0));
        break;
    }
  }
  return bytes;
}

Literal Literal::from_bytes(TensorType type, std::span<const std::byte> bytes) {
  NNCC_CHECK(static_cast<int64_t>(bytes.size()) == type.byte_size(),
             std::to_string(bytes.size()) + " bytes for a literal of type " + type.str());
  Literal result(std::move(type));
  const int64_t n = result.num_elements();
  for (int64_t i = 0; i < n; ++i) {
    switch (result.type_.dtype) {
      case DType::F32:
        result.set(i, load<float>(bytes, i));
        break;
      case DType::F16:
        result.set(i, decode16(load<uint16_t>(bytes, i), kF16));
        break;
      case DType::BF16:
        result.set(i, decode16(load<uint16_t>(bytes, i), kBF16));
        break;
      case DType::F64:
        result.set(i, load<double>(bytes, i));
        break;
      case DType::I8:
        result.set_int(i, load<int8_t>(bytes, i));
        break;
      case DType::U8:
        result.set_int(i, load<uint8_t>(bytes, i));
        break;
      case DType::I32:
        result.set_int(i, load<int32_t>(bytes, i));
        break;
      case DType::I64:
        result.set_int(i, load<int64_t>(bytes, i));
        break;
      case DType::Bool:
        result.set_int(i, load<uint8_t>(bytes, i) != 0);
        break;
    }
  }
  return result;
}

std::string Literal::str() const {
  const auto element = [&](int64_t i) -> std::string {
    if (is_float()) return float_text(real(i));
    if (type_.dtype == DType::Bool) return integer(i) ? "true" : "false";
    return std::to_string(integer(i));
  };
  if (is_splat()) return element(0);
  std::string text = "dense<";
  for (int64_t i = 0; i < num_elements(); ++i) {
    if (i > 0) text += ", ";
    text += element(i);
  }
  return text + ">";
}

}  // namespace nncc
