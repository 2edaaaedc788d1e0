#include "codegen/window.h"

#include <functional>
#include <limits>

#include "codegen/elementary.h"
#include "ir/window.h"

namespace nncc {
using Halide::Expr;
using Halide::Internal::const_true;
using Halide::Internal::is_const_one;
using Halide::Internal::make_const;
using Halide::Internal::simplify;

namespace {

int as_int(int64_t i) { return static_cast<int>(i); }

// One operand element of a result element, along one axis or along all of them.
struct Tap {
  Expr inside = const_true();  // whether it exists
  Index at;                    // clamped, so that it does
  Expr position = 0;  // of the image's element in the window; where the tap was clamped, of what it became
};

// Clamps `at`, of which the least and the largest value are known, into [0, extent). Along the axis of a
// vector's lanes the loop is split where clamping begins, as its middle is to load whole vectors.
Expr clamp_into(const Expr& at, int64_t least, int64_t largest, int64_t extent, bool in_lanes, Expr& inside) {
  const int last = as_int(extent) - 1;
  const auto mark = [&](const Expr& e) { return in_lanes ? Halide::likely(e) : e; };
  Expr clamped = at;
  if (least < 0 || largest > last) clamped = mark(clamped);
  if (least < 0) {
    inside = inside && mark(at >= 0);
    clamped = Halide::max(clamped, 0);
  }
  if (largest > last) {
    inside = inside && mark(at <= last);
    clamped = Halide::min(clamped, last);
  }
  return clamped;
}

class Taps {
 public:
  Taps(const WindowShape& shape, const Index& index) : shape_(shape), index_(index) {}

  // In row-major order of what lies in the window, or of the windows from the last.
  std::vector<Tap> all() const {
    std::vector<Tap> taps(1);
    for (size_t axis = 0; axis < shape_.sizes.size(); ++axis) {
      std::vector<Tap> longer;
      for (const Tap& tap : taps)
        for (int64_t k = 0; k < shape_.taps(axis); ++k) {
          const auto next = shape_.back ? window_tap(axis, k) : image_tap(axis, k);
          if (!next) continue;
          longer.push_back(tap);
          longer.back().inside = simplify(longer.back().inside && next->inside);
          longer.back().at.push_back(next->at[0]);
          longer.back().position =
              simplify(longer.back().position * as_int(shape_.sizes[axis]) + next->position);
        }
      taps = std::move(longer);
    }
    return taps;
  }

 private:
  bool in_lanes(size_t axis) const { return axis + 1 == shape_.sizes.size(); }

  // Element k of window `index`.
  std::optional<Tap> image_tap(size_t axis, int64_t k) const {
    const int64_t stride = shape_.strides[axis], offset = k - shape_.low[axis];
    const int64_t largest = (shape_.windows[axis] - 1) * stride + offset;
    if (largest < 0 || offset >= shape_.image[axis]) return std::nullopt;
    Tap tap;
    const Expr start = simplify(index_[axis] * as_int(stride) - as_int(shape_.low[axis]));
    const Expr at = simplify(index_[axis] * as_int(stride) + as_int(offset));
    tap.at = {clamp_into(at, offset, largest, shape_.image[axis], in_lanes(axis), tap.inside)};
    tap.position = is_const_one(tap.inside) ? Expr(as_int(k)) : tap.at[0] - start;
    return tap;
  }

  // The window j before the last that may cover element `index`.
  std::optional<Tap> window_tap(size_t axis, int64_t j) const {
    const int64_t stride = shape_.strides[axis], low = shape_.low[axis], size = shape_.sizes[axis];
    const int64_t least = low / stride - j, largest = (shape_.image[axis] - 1 + low) / stride - j;
    if (largest < 0 || least >= shape_.windows[axis]) return std::nullopt;
    Tap tap;
    const Expr p = simplify(index_[axis] + as_int(low));
    const Expr at = stride == 1 ? simplify(p - as_int(j)) : p / as_int(stride) - as_int(j);
    tap.position = stride == 1 ? Expr(as_int(j)) : p % as_int(stride) + as_int(j * stride);
    const int64_t places = low < 0 ? stride : std::min(stride, shape_.image[axis] + low);
    if (j * stride + places > size)
      tap.inside = tap.inside && tap.position < as_int(size);
    tap.at = {clamp_into(at, least, largest, shape_.windows[axis], in_lanes(axis), tap.inside)};
    return tap;
  }

  const WindowShape& shape_;
  const Index& index_;
};

Halide::Type bits_of(const Expr& x) { return Halide::UInt(x.type().bits()); }
Expr constant_bits(const Expr& x, uint32_t of_f32, uint64_t of_f64) {
  return x.type().bits() == 64 ? make_const(bits_of(x), static_cast<int64_t>(of_f64))
                               : make_const(bits_of(x), static_cast<int64_t>(of_f32));
}

// A tap clamped to the border is an element of the window already: it changes no maximum. Of the bits the
// largest magnitude says whether one is NaN.
Expr largest(const std::vector<Expr>& x) {
  const bool is_float = x[0].type().is_float();
  const auto magnitude = [](const Expr& e) {
    return Halide::reinterpret(bits_of(e), e) & constant_bits(e, 0x7fffffff, 0x7fffffffffffffff);
  };
  Expr result = x[0], bits = is_float ? magnitude(x[0]) : Expr();
  for (size_t k = 1; k < x.size(); ++k) {
    result = Halide::max(result, x[k]);
    if (is_float) bits = Halide::max(bits, magnitude(x[k]));
  }
  return is_float ? keep_nan(Halide::reinterpret(result.type(), bits), result) : result;
}

// Signed integers in the order of floats, zeros of both signs being equal, and every NaN the one largest key.
Expr key_of(const Expr& x) {
  if (!x.type().is_float()) return x;
  const Expr bits = Halide::reinterpret(bits_of(x), x),
             infinity = constant_bits(x, 0x7f800000, 0x7ff0000000000000);
  const Halide::Type key = Halide::Int(x.type().bits());
  const Expr negative = Halide::reinterpret(key, bits) < make_const(key, 0);
  const Expr shifted =
      select(negative, infinity - bits, bits - constant_bits(x, 0x00800000, 0x0010000000000000));
  return Halide::min(Halide::reinterpret(key, shifted),
                     Halide::reinterpret(key, constant_bits(x, 0x7f000001, 0x7fe0000000000001)));
}
Expr from_key(const Expr& key, Halide::Type type) {
  if (!type.is_float()) return key;
  const Expr zero = make_const(type, 0), bits = Halide::reinterpret(bits_of(zero), key);
  const Expr one_binade = constant_bits(zero, 0x00800000, 0x0010000000000000);
  const Expr negative = key < Halide::reinterpret(key.type(), Expr(make_const(bits.type(), 0) - one_binade));
  return Halide::reinterpret(
      type, select(negative, constant_bits(zero, 0x7f800000, 0x7ff0000000000000) - bits, bits + one_binade));
}

struct Extremum {
  Expr value, position;
};
// The first NaN, or the first of the largest.
Extremum first_largest(const std::vector<Tap>& taps, const std::vector<Expr>& x) {
  Expr best = key_of(x[0]), position = taps[0].position;
  for (size_t k = 1; k < x.size(); ++k) {
    const Expr key = key_of(x[k]);
    position = select(key > best, taps[k].position, position);
    best = Halide::max(best, key);
  }
  return {from_key(best, x[0].type()), position};
}

// The same body asks for the positions of these maxima.
bool wants_position(const Graph& body, const Node& maximum) {
  for (NodeId id : body.nodes())
    if (body[id].op == Op::WindowArgMax && body[id].operands == maximum.operands &&
        body[id].types[0].shape == maximum.types[0].shape && body[id].attributes == maximum.attributes)
      return true;
  return false;
}

}  // namespace

Expr window_element(Lowering& lowering, Value v, const Index& index) {
  const Graph& body = lowering.body();
  const Node& node = body[v.node];
  const WindowShape shape = window_shape(body, v.node);
  const std::vector<Tap> taps = Taps(shape, index).all();
  std::vector<Expr> x;
  for (const Tap& tap : taps) x.push_back(lowering.at(node.operands[0], tap.at));
  const Expr zero = make_const(compute_type(node.types[0].dtype), 0);
  const auto where = [](const Expr& condition, const Expr& e, const Expr& otherwise) {
    return is_const_one(condition) ? e : select(condition, e, otherwise);
  };
  const auto has_position = [&](const Tap& tap, const Expr& position) {
    return is_const_one(tap.inside) ? position == tap.position : tap.inside && position == tap.position;
  };
  const auto sum = [&](const std::function<Expr(const Tap&)>& condition) {
    Expr result;
    for (size_t k = 0; k < taps.size(); ++k) {
      const Expr term = where(condition(taps[k]), x[k], zero);
      result = k == 0 ? term : result + term;
    }
    return result.defined() ? result : zero;
  };
  switch (node.op) {
    case Op::WindowMax:
      return wants_position(body, node) ? first_largest(taps, x).value : largest(x);
    case Op::WindowArgMax:
      return first_largest(taps, x).position;
    case Op::WindowScatter:
      return sum([&](const Tap& tap) { return has_position(tap, lowering.at(node.operands[1], tap.at)); });
    case Op::WindowGather: {
      const Expr position = lowering.at(node.operands[1], index);
      Expr result = zero;
      for (size_t k = 0; k < taps.size(); ++k) result = where(has_position(taps[k], position), x[k], result);
      return result;
    }
    default:
      return sum([](const Tap& tap) { return tap.inside; });
  }
}

}  // namespace nncc
