#include "codegen/elementary.h"

#include <array>
#include <initializer_list>
#include <limits>

namespace nncc {
using Halide::cast;
using Halide::clamp;
using Halide::Expr;
using Halide::reinterpret;
using Halide::select;
using Halide::Type;

namespace {

// For f64: libm, lane by lane. Only gradient checks and small models compute in f64.
Expr libm(const char* name, const Expr& x) {
  return Halide::Internal::Call::make(x.type(), name, {x}, Halide::Internal::Call::PureExtern);
}
Expr libm(const char* name, const Expr& x, const Expr& y) {
  return Halide::Internal::Call::make(x.type(), name, {x, y}, Halide::Internal::Call::PureExtern);
}

Expr f64(double value) { return Halide::Internal::make_const(Halide::Float(64), value); }
bool is_f64(const Expr& x) { return x.type().bits() == 64; }
Expr constant(const Expr& like, double value) { return Halide::Internal::make_const(like.type(), value); }
Expr infinity(const Expr& like) { return constant(like, std::numeric_limits<double>::infinity()); }
Expr quiet_nan(const Expr& like) {
  return is_f64(like)
             ? reinterpret<double>(Halide::Internal::make_const(Halide::UInt(64), 0x7ff8000000000000))
             : reinterpret<float>(cast<uint32_t>(0x7fc00000));
}

Expr magnitude_bits(const Expr& x) {
  if (is_f64(x))
    return reinterpret<uint64_t>(x) & Halide::Internal::make_const(Halide::UInt(64), 0x7fffffffffffffff);
  return reinterpret<uint32_t>(x) & cast<uint32_t>(0x7fffffff);
}
Expr infinity_bits(const Expr& x) {
  if (is_f64(x)) return Halide::Internal::make_const(Halide::UInt(64), 0x7ff0000000000000);
  return cast<uint32_t>(0x7f800000);
}

// Keeps Halide from moving a constant out of a difference that is exact where it stands: (m - 1) + y is not
// (m + y) - 1.
Expr opaque(const Expr& x) { return reinterpret<float>(reinterpret<int32_t>(x)); }

Expr horner(const Expr& u, std::initializer_list<double> high_to_low) {
  Expr r;
  for (double c : high_to_low) r = r.defined() ? r * u + constant(u, c) : constant(u, c);
  return r;
}

// e^x = 2^n e^r correction, r in [-0.35, 0.35].
struct ExpParts {
  Expr n;  // as int32
  Expr r, correction;
};
ExpParts reduce_exp(const Expr& x) {
  const Expr n = Halide::round(x * 1.442695041f);
  // n times the upper bits of log 2 is exact. The lower bits are a factor of the result: subtracted from r,
  // the two products would be reassociated into one.
  return {cast<int32_t>(n), x - n * 0.693145752f, 1.0f - n * 1.42860677e-6f};
}

// e^x of f32 within the finite range; clamped outside.
Expr exp_clamped(const Expr& x) {
  const auto [n, r, correction] = reduce_exp(clamp(x, -87.33f, 88.7228f));
  const Expr p = horner(r, {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2,
                            1.6666665459e-1, 5.0000001201e-1});
  const Expr y = (p * r * r + r + 1.0f) * correction;
  return reinterpret<float>(reinterpret<int32_t>(y) + (n << 23));
}

// log(1 + f) for f in [sqrt(1/2) - 1, sqrt(2) - 1] (Cephes logf), plus e log 2.
Expr log_polynomial(const Expr& f, const Expr& e) {
  const Expr z = f * f;
  Expr y = horner(f, {7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
                      -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1});
  y = y * f * z - 0.5f * z;
  return e * 0.693147180559945f + (f + y);
}

struct LogParts {
  Expr f, e;  // x = 2^e (1 + f)
};
// Of a positive normal number.
LogParts reduce_log(const Expr& x) {
  const Expr bits = reinterpret<int32_t>(x);
  // The exponent counted from sqrt(1/2), so that the mantissa lies in [sqrt(1/2), sqrt(2)).
  const Expr shifted = bits - 0x3f3504f3;
  const Expr e = shifted >> 23;
  const Expr mantissa = reinterpret<float>(bits - (e << 23));
  return {opaque(mantissa - 1.0f), cast<float>(e)};
}

// The special values of a logarithm of y: log(0) = -inf, below NaN, inf and NaN stay.
Expr log_edges(const Expr& y, const Expr& log) {
  Expr v = select(y == constant(y, 0), -infinity(y), select(y < constant(y, 0), quiet_nan(y), log));
  return select(magnitude_bits(y) >= infinity_bits(y), select(y < constant(y, 0), quiet_nan(y), y), v);
}

// sin(x + quarter * pi / 2) of f32. The argument is reduced in double precision, which is exact enough to |x|
// of 10^6 and more.
Expr sine(const Expr& x, int quarter) {
  const Expr wide = cast<double>(clamp(x, -1e9f, 1e9f));
  const Expr n = Halide::round(wide * f64(0.63661977236758134308));
  const Expr r = cast<float>(wide - n * f64(1.57079632679489661923));
  const Expr q = (cast<int32_t>(n) + quarter) & 3;
  const Expr u = r * r;
  const Expr s = r + r * u *
                         horner(u, {2.718311493989822e-6, -1.98393348360966317e-4, 8.3333293858894632e-3,
                                    -1.6666666641626523e-1});
  const Expr c = horner(u, {2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2, -0.5, 1.0});
  const Expr y = select((q & 1) == 1, c, s);
  return select(is_finite_bits(x), select((q & 2) == 2, -y, y), quiet_nan(x));
}

}  // namespace

Expr is_nan_bits(const Expr& x) { return magnitude_bits(x) > infinity_bits(x); }
Expr is_finite_bits(const Expr& x) { return magnitude_bits(x) < infinity_bits(x); }
Expr keep_nan(const Expr& x, const Expr& y) { return select(is_nan_bits(x), x, y); }

Expr exp_e(const Expr& x) {
  if (is_f64(x)) return keep_nan(x, libm("exp", x));
  const Expr y = select(x > 88.7228f, infinity(x), exp_clamped(x));
  return keep_nan(x, select(x < -87.33f, 0.0f, y));
}

Expr log_e(const Expr& x) {
  if (is_f64(x)) return log_edges(x, libm("log", x));
  const Expr tiny = x < 1.17549435e-38f;
  const auto [f, e] = reduce_log(select(tiny, x * 8388608.0f, x));
  return log_edges(x, log_polynomial(f, e - select(tiny, 23.0f, 0.0f)));
}

Expr log1p_e(const Expr& x) {
  const Expr y = x + constant(x, 1);
  if (is_f64(x)) return log_edges(y, libm("log1p", x));
  // Where 1 + x needs no reduction the polynomial takes x itself, and loses nothing near 0.
  const auto [f, e] = reduce_log(Halide::max(y, 1.17549435e-38f));
  const Expr near = Halide::abs(x - 0.06f) < 0.35f;
  return log_edges(y, log_polynomial(select(near, x, f), select(near, 0.0f, e)));
}

Expr expm1_e(const Expr& x) {
  if (is_f64(x)) return keep_nan(x, libm("expm1", x));
  const auto [n, r, correction] = reduce_exp(clamp(x, -30.0f, 88.7228f));
  const Expr p = r + r * r *
                         horner(r, {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2,
                                    1.6666665459e-1, 5.0000001201e-1});
  // 2^n is made from half of it, as 2^128 is not finite.
  const Expr half = reinterpret<float>((n + 126) << 23);
  const Expr y = select(n == 0, p, (half * ((p + 1.0f) * correction) - 0.5f) * 2.0f);
  return keep_nan(x, select(x > 88.7228f, infinity(x), y));
}

Expr sin_e(const Expr& x) { return is_f64(x) ? libm("sin", x) : sine(x, 0); }
Expr cos_e(const Expr& x) { return is_f64(x) ? libm("cos", x) : sine(x, 1); }

// x p(x^2) / q(x^2), a minimax fit on |x| <= 9.01, beyond which the result is 1.
Expr tanh_e(const Expr& x) {
  if (is_f64(x)) return keep_nan(x, libm("tanh", x));
  const Expr c = clamp(x, -9.01f, 9.01f), u = c * c;
  const Expr p = horner(u, {1.820787509e-11, -1.276179204e-08, 9.261178955e-06, 2.920077912e-03,
                            1.291859293e-01, 9.999999410e-01});
  const Expr q = horner(u, {2.280056315e-04, 2.376037038e-02, 4.625187649e-01, 1.0});
  return keep_nan(x, c * p / q);
}

Expr sigmoid_e(const Expr& x) {
  const Expr e = is_f64(x) ? libm("exp", -x) : exp_clamped(-x);
  return keep_nan(x, constant(x, 1) / (constant(x, 1) + e));
}

// x p(x^2) / q(x^2), a fit on |x| <= 3.9.
Expr erf_e(const Expr& x) {
  if (is_f64(x)) return keep_nan(x, libm("erf", x));
  const Expr c = clamp(x, -3.9f, 3.9f), u = c * c;
  const Expr p = horner(u, {2.014685433e-08, -1.962971807e-06, 1.405673457e-04, 3.631191162e-03,
                            5.034162737e-02, 1.981583640e-01, 1.128379113e+00});
  const Expr q = horner(u, {9.402974227e-04, 1.420572122e-02, 1.142708890e-01, 5.089450297e-01, 1.0});
  return keep_nan(x, c * p / q);
}

Expr round_to_half(const Expr& x, Type type) {
  const Expr nan = Halide::reinterpret(type, cast<uint16_t>(type.is_bfloat() ? 0x7fc0 : 0x7e00));
  return select(is_nan_bits(x), nan, Halide::cast(type, x));
}

Expr round_to_odd(const Expr& x) {
  const Expr near = cast<float>(x), back = cast<double>(near);
  const Expr bits = reinterpret<uint32_t>(near);
  const Expr toward_zero = select(Halide::abs(back) > Halide::abs(x), bits - 1, bits);
  return reinterpret<float>(select(back != x, toward_zero | 1, bits));
}

// An estimate and a step of Newton's method, which would make NaN of infinity.
Expr reciprocal_e(const Expr& x) {
  const Expr q = select(x > 1e37f, 1e37f, x), r = Halide::fast_inverse(q);
  return r * (2.0f - r * q);
}

Expr rsqrt_e(const Expr& x) { return constant(x, 1) / Halide::sqrt(x); }

// |x|^y = 2^(y log2 |x|) in double precision; the C standard's special cases around it.
Expr pow_e(const Expr& x, const Expr& y) {
  if (is_f64(x)) return libm("pow", x, y);
  const Expr ax = reinterpret<float>(magnitude_bits(x));
  const Expr tiny = ax < 1.17549435e-38f;
  const auto [f, e] = reduce_log(select(tiny, ax * 8388608.0f, ax));
  const Expr m = cast<double>(f);
  const Expr s = m / (m + f64(2)), u = s * s;
  // 2 atanh(s) / log 2
  const Expr series =
      horner(u, {1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3, 1.0});
  Expr log2 = cast<double>(e) - select(tiny, f64(23), f64(0)) + s * series * f64(2.8853900817779268);
  const Expr big = f64(1e100);
  log2 = select(ax == 0.0f, -big, select(is_finite_bits(x), log2, big));
  const Expr t = clamp(log2 * cast<double>(clamp(y, -1e30f, 1e30f)), f64(-1000), f64(1000));
  const Expr n = Halide::round(t), r = (t - n) * f64(0.69314718055994531);
  const Expr p = horner(r, {1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120,
                            1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0});
  const Expr scale = reinterpret<double>((cast<int64_t>(n) + cast<int64_t>(1023)) << 52);
  const Expr value = cast<float>(p * scale);
  const Expr whole = Halide::floor(y) == y, half = y * 0.5f, odd = whole && Halide::floor(half) != half;
  const Expr negative = reinterpret<int32_t>(x) < 0;
  Expr result = select(negative && odd, -value, value);
  result = select(negative && !whole && ax != 0.0f && is_finite_bits(x), quiet_nan(x), result);
  result = select(is_nan_bits(x), x, select(is_nan_bits(y), y, result));
  return select(x == 1.0f || y == 0.0f, 1.0f, result);
}

Expr max_e(const Expr& a, const Expr& b) {
  if (!a.type().is_float()) return Halide::max(a, b);
  return select(is_nan_bits(a), a, select(is_nan_bits(b), b, Halide::max(a, b)));
}
Expr min_e(const Expr& a, const Expr& b) {
  if (!a.type().is_float()) return Halide::min(a, b);
  return select(is_nan_bits(a), a, select(is_nan_bits(b), b, Halide::min(a, b)));
}

Expr float_to_int(const Expr& x, Type type) {
  const Expr lowest = Halide::cast(x.type(), type.min()), highest = Halide::cast(x.type(), type.max());
  // `highest` may have been rounded up to the first number out of range: it must not be converted.
  const Expr inside = x > lowest && x < highest;
  const Expr converted = Halide::cast(type, select(inside, x, constant(x, 0)));
  const Expr saturated = select(x >= highest, type.max(), select(x <= lowest, type.min(), converted));
  return select(is_nan_bits(x), Halide::Internal::make_zero(type), saturated);
}

Expr floor_divide(const Expr& a, const Expr& b) {
  if (!a.type().is_int()) return a / b;
  // Halide's quotient leaves a remainder that is never negative: too large by one where b is.
  const Expr q = a / b;
  return select(b < 0 && q * b != a, q - 1, q);
}

Expr philox_uniform(const Expr& seed, const Expr& step, uint32_t stream, const Expr& i, Type type) {
  const auto u32 = [](uint32_t v) {
    return Halide::Internal::make_const(Halide::UInt(32), static_cast<uint64_t>(v));
  };
  const auto low = [](const Expr& v) {
    return cast<uint32_t>(v & Halide::Internal::make_const(Halide::Int(64), 0xffffffff));
  };
  const auto high = [&](const Expr& v) {
    return cast<uint32_t>((v >> 32) & Halide::Internal::make_const(Halide::Int(64), 0xffffffff));
  };
  std::array<Expr, 4> c{cast<uint32_t>(i / 64 * 16 + i % 16), u32(stream), low(step), high(step)};
  std::array<Expr, 2> key{low(seed), high(seed)};
  const auto multiply = [&](uint32_t m, const Expr& x) {
    const Expr product = cast<uint64_t>(x) * cast<uint64_t>(u32(m));
    return std::pair(cast<uint32_t>(product >> 32), x * u32(m));
  };
  for (int round = 0; round < 10; ++round) {
    const auto [h0, l0] = multiply(0xD2511F53u, c[0]);
    const auto [h1, l1] = multiply(0xCD9E8D57u, c[2]);
    c = {h1 ^ c[1] ^ key[0], l1, h0 ^ c[3] ^ key[1], l0};
    key = {key[0] + u32(0x9E3779B9u), key[1] + u32(0xBB67AE85u)};
  }
  const Expr word = Halide::mux(i / 16 % 4, {c[0], c[1], c[2], c[3]});
  if (type.bits() == 64) return cast<double>(word) * f64(1.0 / 4294967296.0);
  return cast<float>(word >> 8) * (1.0f / 16777216.0f);
}

}  // namespace nncc
