// The counter-based generator behind `random`: Philox 4x32 with 10 rounds (Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers:
// As Easy as 1, 2, 3", SC 2011). The reference for the evaluator; codegen/ emits the same arithmetic.
#pragma once
#include <array>
#include <cstdint>

namespace nncc {

constexpr std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

// Word of element i of a `random` node, by the layout that fills vectors of 16 lanes with four counters' words:
// element 64 q + 16 j + l is word j of the block with counter {16 q + l, stream, step low, step high} and key {seed low, seed high}.
constexpr uint32_t random_word(int64_t seed, int64_t step, uint32_t stream, int64_t i) {
  const uint32_t q = static_cast<uint32_t>(i / 64), j = static_cast<uint32_t>(i / 16 % 4), l = static_cast<uint32_t>(i % 16);
  const auto block = philox4x32({16 * q + l, stream, static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32)},
                                {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return block[j];
}

// f32: the upper 24 bits; f64: all 32. Both in [0, 1) and exact.
constexpr double random_unit_f32(uint32_t word) { return (word >> 8) * (1.0 / 16777216.0); }
constexpr double random_unit_f64(uint32_t word) { return word * (1.0 / 4294967296.0); }

}  // namespace nncc
