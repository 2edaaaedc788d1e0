// Contractions, windows, look-ups, what the library is made of.
#include "fuzz/generator.h"

#include <algorithm>

#include "ir/builder.h"

namespace nncc::fuzz {

void Generator::product(Scope& s) {
  const Name x = pick_float(s, chance(0.8) ? 2 : 1);
  const size_t rank = x.shape.size();
  const int64_t k = x.shape.back();
  const std::string scale = " / " + n(k) + ".0";
  Shape shape = x.shape;
  if (rank >= 2) {
    const auto y = pick(s, [&](const Name& v) {
      return v.dtype == DType::F32 && v.text != x.text && v.shape.size() == 2 && v.shape[0] == k;
    });
    if (y && chance(0.5)) {
      shape.back() = y->shape[1];
      add_float(s, shape, x.text + " @ " + y->text + scale);
      return;
    }
    if (chance(0.3)) {
      shape.back() = shape[rank - 2];
      add_float(s, shape,
                (chance(0.5) ? x.text : "tanh(" + x.text + ")") + " @ transpose(" + x.text + ")" + scale);
      return;
    }
    if (chance(0.2)) {
      Shape left = x.shape;
      left[rank - 2] = between(1, 5);
      if (chance(0.5))
        left = {left[rank - 2], x.shape[rank - 2]};
      else
        left[rank - 1] = x.shape[rank - 2];
      shape[rank - 2] = left[left.size() - 2];
      add_float(s, shape, parameter(s, left) + " @ " + x.text + " / " + n(x.shape[rank - 2]) + ".0");
      return;
    }
  }
  static const int64_t columns[] = {1, 2, 3, 4, 5, 8, 10, 17, 32};
  shape.back() = columns[below(std::size(columns))];
  if (num_elements(shape) > 2 * most_) shape.back() = 2;
  if (rank >= 2 && chance(0.7))
    add_float(s, shape, x.text + " @ " + parameter(s, {k, shape.back()}) + scale);
  else
    add_float(s, shape,
              "dense(" + x.text + ", " + n(shape.back()) +
                  one_of({"", ", init = he_normal", ", bias = false"}) + ")"),
        program_.unrollable = program_.unrollable && s.depth == 0;
}

// A product whose columns are parts for different uses.
void Generator::gates(Scope& s) {
  const Name x = pick_float(s, 2);
  const int64_t parts = between(2, 4), width = between(1, 5);
  Shape shape = x.shape;
  shape.back() = parts * width;
  if (num_elements(shape) > 2 * most_) return unary(s);
  const Name sums =
      add_float(s, shape, x.text + " @ " + parameter(s, {x.shape.back(), shape.back()}) + " * 0.5");
  shape.back() = width;
  Statement statement;
  for (int64_t i = 0; i < parts; ++i) statement.results.push_back({fresh("v"), DType::F32, shape});
  statement.text = "split(" + sums.text + ", " + n(parts) +
                   ", axis = " + n(chance(0.5) ? -1 : static_cast<int64_t>(shape.size()) - 1) + ")";
  s.statements->push_back(statement);
  for (const Name& r : statement.results) {
    s.values.push_back(r);
    s.own.push_back(r.text);
  }
  add_float(s, shape,
            "sigmoid(" + statement.results[0].text + ") * tanh(" + statement.results.back().text + ")");
}

void Generator::gather(Scope& s) {
  const Name x = pick_float(s, 1);
  const auto axis = static_cast<int64_t>(below(x.shape.size()));
  const Name i = some_index(s, x.shape[axis]);
  Shape shape(x.shape.begin(), x.shape.begin() + axis);
  shape.insert(shape.end(), i.shape.begin(), i.shape.end());
  shape.insert(shape.end(), x.shape.begin() + axis + 1, x.shape.end());
  if (num_elements(shape) > 4 * most_ || shape.size() > 6) return;
  if (chance(0.5)) {
    add_float(s, shape, "gather(" + x.text + ", " + i.text + ", axis = " + n(axis) + ")");
    return;
  }
  std::string index;
  for (int64_t k = 0; k < axis; ++k) index += ":, ";
  add_float(s, shape, x.text + "[" + index + i.text + "]");
}

void Generator::take_along(Scope& s) {
  const Name x = pick_float(s, 1);
  const auto axis = static_cast<int64_t>(below(x.shape.size()));
  Shape shape = x.shape;
  if (chance(0.5)) shape[axis] = between(1, 5);
  const std::string text = index(s, shape, x.shape[axis]);
  add_float(s, shape, "take_along(" + x.text + ", " + text + ", " + n(axis) + ")");
}

void Generator::scatter(Scope& s) {
  const Name values = pick_float(s, chance(0.1) ? 0 : 1);
  const size_t lead = values.shape.empty() ? 0 : 1 + below(std::min<size_t>(values.shape.size(), 2));
  Shape shape(values.shape.begin() + static_cast<int64_t>(lead), values.shape.end());
  shape.insert(shape.begin(), between(1, 7));
  if (num_elements(shape) > 4 * most_) return;
  const std::string text =
      index(s, Shape(values.shape.begin(), values.shape.begin() + static_cast<int64_t>(lead)), shape[0]);
  add_float(s, shape, "scatter_add(" + str(shape) + ", " + text + ", " + values.text + ")");
}

void Generator::convolution(Scope& s) {
  const size_t rank = chance(0.65) ? 4 : chance(0.6) ? 3 : 5;
  Name x = pick_float(s, rank);
  if (x.shape.size() != rank) {
    if (auto y = pick(s, [&](const Name& v) { return v.dtype == DType::F32 && v.shape.size() == rank; })) {
      x = *y;
    } else {
      Shape shape(rank);
      for (int64_t& e : shape) e = between(1, 3);
      for (size_t i = 2; i < rank; ++i) shape[i] = rank == 5 ? between(1, 4) : between(2, 9);
      x = add_float(s, shape,
                    "broadcast(mean(" + x.text + "), " + str(shape) + ") * " + parameter(s, shape) + " ");
    }
  }
  const int64_t groups = chance(0.6) ? 1 : x.shape[1] % 2 == 0 && chance(0.5) ? 2 : x.shape[1];
  const int64_t out = groups * between(1, chance(0.2) ? 9 : 3);
  Shape w{out, x.shape[1] / groups}, shape{x.shape[0], out};
  std::vector<int64_t> strides, dilation;
  std::string padding;
  const bool plain = chance(0.4);  // as Winograd's algorithm takes it
  for (size_t i = 2; i < rank; ++i) {
    const int64_t before = plain ? 1 : between(0, 2), after = plain ? 1 : between(0, 2),
                  all = x.shape[i] + before + after;
    int64_t size = plain ? 3 : between(1, 4);
    dilation.push_back(plain ? 1 : between(1, 2));
    while ((size - 1) * dilation.back() + 1 > all) --size;
    strides.push_back(plain ? 1 : between(1, 3));
    w.push_back(size);
    shape.push_back((all - ((size - 1) * dilation.back() + 1)) / strides.back() + 1);
    padding += (padding.empty() ? "[" : ", [") + n(before) + ", " + n(after) + "]";
  }
  if (num_elements(shape) > 4 * most_ || num_elements(w) > 1500) return unary(s);
  add_float(s, shape,
            "conv(" + x.text + ", " + parameter(s, w) + " , stride = " + str(strides) + ", padding = [" +
                padding + "], dilation = " + str(dilation) + ", groups = " + n(groups) + ") * 0.3");
}

void Generator::window(Scope& s) {
  const Name x = pick_float(s, 3);
  Shape shape{x.shape[0], x.shape[1]};
  std::vector<int64_t> sizes, strides;
  std::string padding;
  for (size_t i = 2; i < x.shape.size(); ++i) {
    const int64_t size = between(1, std::min<int64_t>(4, x.shape[i]));
    const int64_t before = between(0, size - 1), after = between(0, size - 1);
    sizes.push_back(size);
    strides.push_back(between(1, 3));
    shape.push_back((x.shape[i] + before + after - size) / strides.back() + 1);
    padding += (padding.empty() ? "[" : ", [") + n(before) + ", " + n(after) + "]";
  }
  add_float(s, shape,
            one_of({"window_max", "window_sum"}) + "(" + x.text + ", " + str(sizes) +
                ", stride = " + str(strides) + ", padding = [" + padding + "]) * 0.5");
}

void Generator::layer(Scope& s) {
  program_.unrollable = program_.unrollable && s.depth == 0;
  const Name x = pick_float(s, 3);
  if (x.shape.size() == 3 && num_elements(x.shape) < 200) {
    const int64_t units = between(1, 5);
    const std::string cell = one_of({"rnn", "lstm", "gru"});
    if (chance(0.6))
      add_float(s, {x.shape[0], x.shape[1], units},
                cell + "(" + x.text + ", " + n(units) + one_of({"", ", reverse = true"}) + ")");
    else if (x.shape[2] % 2 == 0 && chance(0.5))
      add_float(s, x.shape,
                "multi_head_attention(" + x.text + ", 2, causal = " + one_of({"true", "false"}) + ")");
    else
      add_float(s, {x.shape[0], x.shape[1], 2 * units},
                "bidirectional(" + x.text + ", " + cell + ", " + n(units) + ")");
    return;
  }
  if (x.shape.size() == 4)
    add_float(s, {x.shape[0], x.shape[1], x.shape[2] * 2, x.shape[3] * 2}, "upsample(" + x.text + ")");
  else
    normalization(s);
}

void Generator::normalization(Scope& s) {
  program_.unrollable = program_.unrollable && s.depth == 0;
  const Name x = pick_float(s, 2);
  if (s.depth == 0 && chance(0.5) && num_elements(x.shape) > x.shape[1])
    add_float(s, x.shape,
              filled(one_of({"batch_norm({}, eps = 0.1)", "instance_norm({}, eps = 0.1)", "prelu({})",
                             "group_norm({}, groups = 1, eps = 0.1)"}),
                     x.text));
  else
    add_float(s, x.shape, one_of({"layer_norm(", "rms_norm("}) + x.text + ", eps = 0.1)");
}

void Generator::gradient(Scope& s) {
  const auto own = [&](const Name& v) {
    return v.dtype == DType::F32 && std::find(s.own.begin(), s.own.end(), v.text) != s.own.end();
  };
  const auto x = pick(s, own), y = pick(s, own);
  if (!x || !y) return unary(s);
  // What a loop carried last is a value of its own; written out it is the one that was computed.
  if (x->text[0] == 'h') program_.unrollable = false;
  const Name loss =
      add_float(s, {}, "mean(tanh(" + y->text + ") * 2) + mean(" + x->text + " * tanh(" + x->text + "))");
  add_float(s, x->shape, "grad(" + loss.text + ", " + x->text + ")");
}

void Generator::draw(Scope& s) {
  const Name x = pick_float(s);
  program_.unrollable = program_.unrollable && s.depth == 0;
  add_float(s, x.shape,
            filled(one_of({"dropout({}, 0.3)", "bernoulli(shape({}), 0.5) * {}",
                           "uniform(shape({}), -1, 1) + {}", "normal(shape({}), 0, 0.5) * {}"}),
                   x.text));
}

}  // namespace nncc::fuzz
