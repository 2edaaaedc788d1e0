// Blocks of several statements, as networks have them.
#include <algorithm>

#include "fuzz/generator.h"

namespace nncc::fuzz {

// Keys, values and scores by one name each, with and without a mask, heads and projections.
void Generator::attend(Scope& s) {
  const Name x = pick_float(s, 3);
  const auto rank = static_cast<int64_t>(x.shape.size());
  const int64_t t = x.shape[rank - 2], d = x.shape[rank - 1];
  const auto other = pick(s, [&](const Name& v) {
    if (v.dtype != DType::F32 || v.shape.size() != x.shape.size() || v.shape.back() != d) return false;
    return std::equal(v.shape.begin(), v.shape.end() - 2, x.shape.begin());
  });
  const Name memory = chance(0.4) ? *other : x;
  const int64_t keys = memory.shape[rank - 2];
  Shape scores = x.shape;
  scores.back() = keys;
  if (num_elements(scores) > 2 * most_) return unary(s);
  const auto projected = [&](const Name& v) {
    return chance(0.4) ? v : add_float(s, v.shape, v.text + " @ " + parameter(s, {d, d}) + " ");
  };
  const Name q = projected(x), k = projected(memory), v = projected(memory);
  if (rank == 4 && chance(0.6)) {
    const std::string mask = one_of({"", ", causal = true", ""});
    add_float(s, x.shape,
              "attention(" + q.text + ", " + k.text + ", " + v.text + (t == keys ? mask : "") + ")");
    program_.unrollable = program_.unrollable && s.depth == 0;
    return;
  }
  std::string text = q.text + " @ transpose(" + k.text + ") * " + one_of({"0.5", "0.3535", "gain"});
  if (chance(0.4))
    text = "where(reshape(iota(" + n(keys) + "), [1, " + n(keys) + "]) <= reshape(iota(" + n(t) + "), [" +
           n(t) + ", 1]), " + text + ", -1e9)";
  const Name weights = add_float(s, scores, "softmax(" + text + ")");
  const Name read = add_float(s, x.shape, weights.text + " @ " + v.text);
  if (chance(0.5)) return;
  program_.unrollable = program_.unrollable && s.depth == 0;
  add_float(s, x.shape, "layer_norm(" + x.text + " + " + read.text + ", eps = 0.1)");
}

// A convolution with what follows it: bias, activation, a second branch, a pool.
void Generator::image_block(Scope& s) {
  const auto image = pick(s, [](const Name& v) { return v.dtype == DType::F32 && v.shape.size() == 4; });
  if (!image) return convolution(s);
  const Shape& from = image->shape;
  const int64_t size = chance(0.6) ? 3 : 1,
                channels = chance(0.3) ? from[1] : between(1, chance(0.3) ? 17 : 5);
  Shape shape = from;
  shape[1] = channels;
  if (num_elements(shape) > 3 * most_ || channels * from[1] * size * size > 1500) return convolution(s);
  const std::string p = size == 3 ? "[1, 1]" : "[0, 0]";
  const Name y = add_float(s, shape,
                           "conv(" + image->text + ", " + parameter(s, {channels, from[1], size, size}) +
                               " , stride = [1, 1], padding = [" + p + ", " + p +
                               "], dilation = [1, 1], groups = 1) * 0.3");
  const Name biased = add_float(s, shape, y.text + " + " + parameter(s, {channels, 1, 1}) + " ");
  std::string text = one_of({"relu({})", "silu({})", "tanh({})", "leaky_relu({})", "{} * 0.5"});
  if (channels == from[1] && chance(0.5)) text += " + []";
  const Name z = add_float(s, shape, filled(text, biased.text, image->text));
  const bool pools = shape[2] >= 2 && shape[3] >= 2 && chance(0.6);
  if (!pools) return;
  const int64_t stride = between(1, 2);
  shape[2] = (shape[2] - 2) / stride + 1;
  shape[3] = (shape[3] - 2) / stride + 1;
  add_float(s, shape,
            one_of({"window_max", "window_max", "window_sum"}) + "(" + z.text + ", [2, 2], stride = [" +
                n(stride) + ", " + n(stride) + "], padding = [[0, 0], [0, 0]])");
}

// Each row by what the whole of it says.
void Generator::rows(Scope& s) {
  const Name x = pick_float(s, 1);
  const std::string last = n(chance(0.7) ? -1 : static_cast<int64_t>(below(x.shape.size())));
  const std::string axis = ", axis = " + last + ", keep = true)";
  std::string pattern =
      one_of({"{} / (1 + sum(abs({})@)", "{} - mean({}@", "({} - mean({}@) / sqrt(mean({} * {}@ + 0.1)",
              "exp({} - max({}@)", "{} * 0.3 + tanh(sum({} * 0.2@)",
              "log_softmax({}, axis = @@) * softmax({}, axis = @@)"});
  std::string text;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern.compare(i, 2, "@@") == 0)
      text += last, ++i;
    else
      text += pattern[i] == '@' ? axis : std::string(1, pattern[i]);
  }
  const Name y = add_float(s, x.shape, filled(text, x.text));
  if (chance(0.5)) add_float(s, x.shape, y.text + " * " + parameter(s, {x.shape.back()}) + " + " + x.text);
}

// Rows of a parameter: word vectors and the like.
void Generator::table(Scope& s) {
  const int64_t count = between(1, 40), width = between(1, chance(0.3) ? 33 : 6);
  const Name i = some_index(s, count);
  Shape shape = i.shape;
  shape.push_back(width);
  if (num_elements(shape) > 2 * most_) return unary(s);
  const std::string rows = parameter(s, {count, width});
  add_float(s, shape, chance(0.5) ? "gather(" + rows + " , " + i.text + ")" : rows + " [" + i.text + "]");
}

}  // namespace nncc::fuzz
