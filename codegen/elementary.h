// Elementary functions as Halide expressions. Halide's own are wrong at the edges (exp(NaN) is 0, log(inf)
// is 88.7) or call libm for each lane; these are exact in what they do with NaN, infinities and zeros also
// where LLVM is told that neither exists, because they test bits. f32 and f64; errors in ulp are in the table
// of test/codegen.
#pragma once
#include "Halide.h"

namespace nncc {

// On the bits, which survives fast-math flags.
Halide::Expr is_nan_bits(const Halide::Expr& x);
Halide::Expr is_finite_bits(const Halide::Expr& x);
// y, but x where x is NaN.
Halide::Expr keep_nan(const Halide::Expr& x, const Halide::Expr& y);

Halide::Expr exp_e(const Halide::Expr& x);
// Without the cases of NaN and what over- and underflows: arguments are clamped to the finite range. For sums
// of exponentials.
Halide::Expr log_e(const Halide::Expr& x);
Halide::Expr log1p_e(const Halide::Expr& x);
Halide::Expr expm1_e(const Halide::Expr& x);
Halide::Expr sin_e(const Halide::Expr& x);
Halide::Expr cos_e(const Halide::Expr& x);
Halide::Expr tanh_e(const Halide::Expr& x);
Halide::Expr sigmoid_e(const Halide::Expr& x);
Halide::Expr erf_e(const Halide::Expr& x);
Halide::Expr rsqrt_e(const Halide::Expr& x);
Halide::Expr pow_e(const Halide::Expr& x, const Halide::Expr& y);
// 1 / x of a positive f32 that is neither 0 nor denormal, to 3 ulp: cheaper than a division where divisions
// are all there is to do.
Halide::Expr reciprocal_e(const Halide::Expr& x);
// NaN wins.
Halide::Expr max_e(const Halide::Expr& a, const Halide::Expr& b);
Halide::Expr min_e(const Halide::Expr& a, const Halide::Expr& b);
// From f64 to f32: a number between two goes to the one whose last bit is set, so that another rounding, to
// f16 or bf16, gives what a single one would have given.
Halide::Expr round_to_odd(const Halide::Expr& x);
// From f32 to f16 or bf16.
Halide::Expr round_to_half(const Halide::Expr& x, Halide::Type type);
// Truncates and saturates; NaN becomes 0.
Halide::Expr float_to_int(const Halide::Expr& x, Halide::Type type);
// The largest integer not above a / b; 0 where b is 0.
Halide::Expr floor_divide(const Halide::Expr& a, const Halide::Expr& b);

// Element `i` (a position in row-major order) of a `random` node, see ir/philox.h.
Halide::Expr philox_uniform(const Halide::Expr& seed, const Halide::Expr& step, uint32_t stream,
                            const Halide::Expr& i, Halide::Type type);

}  // namespace nncc
