#include "ir/literal.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "ir/philox.h"

namespace nncc {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double rounded(DType dtype, double x) {
  Literal literal = Literal::splat({dtype, {}}, x);
  literal.round_to_type();
  return literal.real(0);
}

int64_t wrapped(DType dtype, int64_t x) {
  Literal literal = Literal::splat_int({dtype, {}}, x);
  literal.round_to_type();
  return literal.integer(0);
}

TEST(Literal, RoundsToFloatAsTheProcessorDoes) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> significand(-2, 2);
  for (int i = 0; i < 100000; ++i) {
    // Exponents past both ends of float's range, subnormal numbers included.
    const double x = std::ldexp(significand(random), static_cast<int>(random() % 320) - 170);
    EXPECT_EQ(rounded(DType::F32, x), static_cast<double>(static_cast<float>(x))) << x;
  }
}

TEST(Literal, RoundsToHalfToNearestEven) {
  EXPECT_EQ(rounded(DType::F16, 1 + std::ldexp(1, -11)), 1);
  EXPECT_EQ(rounded(DType::F16, 1 + std::ldexp(3, -11)), 1 + std::ldexp(1, -9));
  EXPECT_EQ(rounded(DType::F16, 65504), 65504);
  EXPECT_EQ(rounded(DType::F16, 65519.99), 65504);
  EXPECT_EQ(rounded(DType::F16, 65520), kInf);
  EXPECT_EQ(rounded(DType::F16, -1e9), -kInf);
  EXPECT_EQ(rounded(DType::F16, std::ldexp(1, -24)), std::ldexp(1, -24));
  EXPECT_EQ(rounded(DType::F16, std::ldexp(1, -25)), 0);
  EXPECT_EQ(rounded(DType::F16, std::ldexp(1.001, -25)), std::ldexp(1, -24));
  EXPECT_TRUE(std::isnan(rounded(DType::F16, kNan)));
}

TEST(Literal, RoundsToBfloat) {
  EXPECT_EQ(rounded(DType::BF16, 1 + std::ldexp(1, -8)), 1);
  EXPECT_EQ(rounded(DType::BF16, 1 + std::ldexp(3, -8)), 1 + std::ldexp(1, -6));
  EXPECT_EQ(rounded(DType::BF16, 3.5e38), kInf);
  EXPECT_EQ(rounded(DType::BF16, 3e38), std::ldexp(226, 120));
}

TEST(Literal, WrapsIntegers) {
  EXPECT_EQ(wrapped(DType::I8, 200), -56);
  EXPECT_EQ(wrapped(DType::U8, -1), 255);
  EXPECT_EQ(wrapped(DType::I32, int64_t{1} << 31), -(int64_t{1} << 31));
  EXPECT_EQ(wrapped(DType::I64, std::numeric_limits<int64_t>::min()), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(wrapped(DType::Bool, 7), 1);
}

TEST(Literal, KeepsEveryHalfThroughBytes) {
  for (const DType dtype : {DType::F16, DType::BF16}) {
    for (uint32_t bits = 0; bits < 65536; ++bits) {
      const auto b = static_cast<uint16_t>(bits);
      const TensorType type{dtype, {1}};
      const Literal literal = Literal::from_bytes(type, std::as_bytes(std::span(&b, 1)));
      const std::vector<std::byte> bytes = literal.to_bytes();
      uint16_t again;
      std::memcpy(&again, bytes.data(), 2);
      if (std::isnan(literal.real(0))) {
        EXPECT_TRUE(std::isnan(Literal::from_bytes(type, bytes).real(0)));
      } else {
        ASSERT_EQ(again, b);
        ASSERT_EQ(rounded(dtype, literal.real(0)), literal.real(0));
      }
    }
  }
}

TEST(Literal, MemoryImageOfEveryType) {
  for (const DType dtype : {DType::F32, DType::F64, DType::I8, DType::I32, DType::I64}) {
    Literal literal(TensorType{dtype, {2, 2}});
    for (int i = 0; i < 4; ++i) literal.set(i, i - 2);
    const std::vector<std::byte> bytes = literal.to_bytes();
    EXPECT_EQ(static_cast<int64_t>(bytes.size()), 4 * dtype_size(dtype));
    EXPECT_EQ(Literal::from_bytes(literal.type(), bytes), literal);
  }
}

TEST(Literal, PrintsTheShortestTextThatReadsBack) {
  const TensorType scalar{DType::F32, {}};
  EXPECT_EQ(Literal::splat(scalar, 0.001).str(), "0.001");
  EXPECT_EQ(Literal::splat(scalar, 1).str(), "1");
  EXPECT_EQ(Literal::splat(scalar, -0.0).str(), "-0");
  EXPECT_EQ(Literal::splat(scalar, kInf).str(), "inf");
  EXPECT_EQ(Literal::splat(scalar, -kInf).str(), "-inf");
  EXPECT_EQ(Literal::splat(scalar, kNan).str(), "nan");
  EXPECT_EQ(Literal::splat(scalar, 1e-300).str(), "1e-300");
  EXPECT_EQ(Literal::floats({DType::F32, {2}}, {0.5, 2}).str(), "dense<0.5, 2>");
  EXPECT_EQ(Literal::splat({DType::Bool, {2}}, 1).str(), "true");
}

TEST(Literal, SplatStandsForEveryElement) {
  const Literal splat = Literal::splat({DType::F32, {2, 3}}, 4);
  EXPECT_TRUE(splat.is_splat());
  EXPECT_EQ(splat.real(5), 4);
  const Literal dense = splat.dense();
  EXPECT_FALSE(dense.is_splat());
  EXPECT_EQ(dense.real(5), 4);
  EXPECT_EQ(dense.reshaped({6}).type().str(), "f32[6]");
}

TEST(Literal, TruncatesAndSaturatesIntoIntegers) {
  Literal literal(TensorType{DType::I64, {3}});
  literal.set(0, -1.9);
  literal.set(1, 1e30);
  literal.set(2, kNan);
  EXPECT_EQ(literal.integer(0), -1);
  EXPECT_EQ(literal.integer(1), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(literal.integer(2), 0);
}

// The vectors published with the generator (Random123, kat_vectors).
TEST(Philox, KnownAnswers) {
  using Block = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, ElementsComeFromTheDocumentedWords) {
  constexpr int64_t kSeed = 0x0123456789abcdef, kStep = 0x100000002;
  const auto block = philox4x32({16 + 3, 7, 2, 1}, {0x89abcdef, 0x01234567});
  EXPECT_EQ(random_word(kSeed, kStep, 7, 64 + 3), block[0]);
  EXPECT_EQ(random_word(kSeed, kStep, 7, 64 + 16 * 2 + 3), block[2]);
  EXPECT_LT(random_unit_f32(0xffffffff), 1);
  EXPECT_EQ(static_cast<float>(random_unit_f32(0xffffffff)), random_unit_f32(0xffffffff));
}

}  // namespace
}  // namespace nncc
