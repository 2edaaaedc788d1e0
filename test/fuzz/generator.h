// Grows a random program statement by statement.
#pragma once
#include <functional>
#include <optional>
#include <random>

#include "fuzz/program.h"

namespace nncc::fuzz {

inline std::string n(int64_t number) { return std::to_string(number); }
// "{}" stands for x, "[]" for y.
inline std::string filled(const std::string& pattern, const std::string& x, const std::string& y = "") {
  std::string text;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const bool hole = i + 1 < pattern.size() && pattern[i + 1] == '}' && pattern[i] == '{';
    const bool second = i + 1 < pattern.size() && pattern[i + 1] == ']' && pattern[i] == '[';
    if (hole || second) ++i;
    text += hole ? x : second ? y : std::string(1, pattern[i]);
  }
  return text;
}

inline bool is_index(const Name& v) { return v.dtype == DType::I32 || v.dtype == DType::I64; }

class Generator {
 public:
  explicit Generator(uint64_t seed);
  Program make();

 private:
  // The statements of the model or of a step, and all that may stand in the next one.
  struct Scope {
    std::vector<Statement>* statements;
    std::vector<Name> values;
    int depth = 0;                      // of loops
    std::vector<std::string> own = {};  // values made in this scope
  };
  using Wanted = std::function<bool(const Name&)>;

  size_t below(size_t n) { return random_() % n; }
  int64_t between(int64_t low, int64_t high) { return low + static_cast<int64_t>(below(high - low + 1)); }
  bool chance(double p) { return std::uniform_real_distribution<double>(0, 1)(random_) < p; }
  std::string one_of(std::initializer_list<const char*> list) { return list.begin()[below(list.size())]; }
  Shape some_shape();
  std::vector<int64_t> shuffled(int64_t n);
  std::string fresh(const char* prefix) { return prefix + std::to_string(serial_++); }

  std::optional<Name> pick(const Scope&, const Wanted&);
  Name pick_float(const Scope&);
  // A float of at least that rank, made of any other if there is none.
  Name pick_float(Scope&, size_t rank);
  Name add(Scope&, DType, Shape, const std::string& text);
  Name add_float(Scope& s, Shape shape, const std::string& text) {
    return add(s, DType::F32, std::move(shape), text);
  }
  std::string parameter(Scope&, const Shape&);
  // The same of operands in half precision; empty where a function takes f32 alone.
  std::string in_halves(const Scope&, const std::string& text) const;
  // Integers in [0, extent).
  std::string index(Scope&, const Shape&, int64_t extent);
  Name some_index(Scope&, int64_t extent);

  void grow(Scope&);
  void unary(Scope&);
  void binary(Scope&);
  void broadcast(Scope&);
  void reduce(Scope&);
  void product(Scope&);
  void gates(Scope&);
  void slice(Scope&);
  void reshape(Scope&);
  void transpose(Scope&);
  void join(Scope&);
  void pad(Scope&);
  void split(Scope&);
  void condition(Scope&);
  void integers(Scope&);
  void gather(Scope&);
  void take_along(Scope&);
  void scatter(Scope&);
  void convolution(Scope&);
  void window(Scope&);
  void layer(Scope&);
  void normalization(Scope&);
  void gradient(Scope&);
  void draw(Scope&);
  // What networks are made of, in the forms that passes look for.
  void attend(Scope&);
  void image_block(Scope&);
  void rows(Scope&);
  void table(Scope&);
  void loop(Scope&);
  void recurrent_step(Scope&, Loop&);

  std::mt19937_64 random_;
  Program program_;
  int64_t most_ = 600;  // elements of an input; values have up to four times as many
  int serial_ = 0;
};

}  // namespace nncc::fuzz
