// A model as the compiler would make one, but written by hand: every kind of variable, and entries that show
// what the runtime does.
#pragma once
#include <nn/abi.h>

#include <cstdint>

namespace hand {

extern const nn_model model;

// Called for each index of the entry "parallel" if set: what the pool's tests put into a chunk.
extern void (*chunk)(int index);
// How often "classify" computed its hoisted values.
extern int prepared;

constexpr int weights = 8;
constexpr int chunks = 64;
constexpr const char* odd_name = "odd \"name\"\\\n\x01 \xc3\xa9";

}  // namespace hand
