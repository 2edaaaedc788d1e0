#include "fuzz/generator.h"

#include <algorithm>
#include <cctype>
#include <numeric>

#include "ir/builder.h"

namespace nncc::fuzz {

Program random_program(uint64_t seed) { return Generator(seed).make(); }

Generator::Generator(uint64_t seed) : random_(seed * 7919 + 17) {
  program_.seed = seed;
  if (seed % 12 == 5) program_.half = DType::F16;
  if (seed % 12 == 11) program_.half = DType::BF16;
}

Program Generator::make() {
  Scope scope{&program_.statements, {}};
  if (chance(0.03)) most_ = 8000;  // several threads share these
  for (int64_t i = between(1, 3); i > 0; --i)
    program_.inputs.push_back({fresh("x"), DType::F32, some_shape()});
  if (chance(0.5))
    program_.inputs.push_back({fresh("x"), chance(0.5) ? DType::I32 : DType::I64, some_shape()});
  if (program_.half && chance(0.5)) program_.inputs.push_back({fresh("x"), *program_.half, some_shape()});
  scope.values = program_.inputs;
  for (int64_t i = between(2, most_ > 1000 ? 4 : 8); i > 0; --i) grow(scope);
  std::set<std::string> used;
  const std::function<void(const std::vector<Statement>&)> walk =
      [&](const std::vector<Statement>& statements) {
        for (const Statement& s : statements) {
          used.merge(identifiers(s.text));
          if (!s.loop) continue;
          used.insert(s.loop->sequences.begin(), s.loop->sequences.end());
          for (const Loop::Carry& c : s.loop->carries) used.merge(identifiers(c.first + " " + c.next));
          used.insert(s.loop->yields.begin(), s.loop->yields.end());
          walk(s.loop->body);
        }
      };
  walk(program_.statements);
  for (const Name& v : scope.values)
    if (v.text[0] != 'x' && (!used.count(v.text) || chance(0.1))) program_.sinks.push_back(v);
  if (program_.sinks.empty()) program_.sinks.push_back(scope.values.back());
  const std::string stage =
      one_of({"", "", "", "clip_norm(0.5) |> ", "clip_value(0.1) |> ", "l2_decay(0.01) |> "});
  program_.optimizer =
      stage + one_of({"sgd(0.05)", "sgd(0.05)", "sgd(0.05)", "momentum(0.01)", "nesterov(0.01)",
                      "adagrad(0.01, eps = 0.01)", "rmsprop(0.01, eps = 0.01)", "adam(0.01, eps = 0.01)",
                      "adamw(0.01, eps = 0.01)", "adamax(0.01, eps = 0.01)", "nadam(0.01, eps = 0.01)",
                      "adadelta(eps = 0.01)", "rmsprop_nesterov(0.01, eps = 0.01)", "own(0.02)"});
  if (chance(0.15)) program_.other_optimizer = one_of({"sgd(0.1)", "adam(0.01, eps = 0.01)", "own(0.05)"});
  program_.second_derivative = chance(0.4);
  return program_;
}

Shape Generator::some_shape() {
  static const int64_t ranks[] = {0, 1, 2, 2, 2, 2, 3, 3, 3, 4, 5};
  static const int64_t large[] = {2, 3, 5, 8, 16, 31, 32, 64, 65, 100, 130, 257};
  static const int64_t extents[] = {1, 2, 3, 4, 5, 7, 8, 2, 3, 5, 9, 16, 17, 33};
  Shape shape(ranks[below(std::size(ranks))]);
  for (int64_t& e : shape)
    e = most_ > 1000 ? large[below(std::size(large))] : extents[below(std::size(extents))];
  while (num_elements(shape) > most_) shape[below(shape.size())] = between(1, 2);
  return shape;
}

std::vector<int64_t> Generator::shuffled(int64_t count) {
  std::vector<int64_t> list(count);
  std::iota(list.begin(), list.end(), 0);
  std::shuffle(list.begin(), list.end(), random_);
  return list;
}

// Late values and those of this scope are wanted more.
std::optional<Name> Generator::pick(const Scope& s, const Wanted& wanted) {
  std::vector<Name> candidates;
  for (size_t i = 0; i < s.values.size(); ++i) {
    if (!wanted(s.values[i])) continue;
    const bool own = std::find(s.own.begin(), s.own.end(), s.values[i].text) != s.own.end();
    for (int k = 1 + (i + 5 > s.values.size() ? 2 : 0) + (own ? 3 : 0); k > 0; --k)
      candidates.push_back(s.values[i]);
  }
  if (candidates.empty()) return std::nullopt;
  return candidates[below(candidates.size())];
}

Name Generator::pick_float(const Scope& s) {
  return *pick(s, [](const Name& v) { return v.dtype == DType::F32; });
}

Name Generator::pick_float(Scope& s, size_t rank) {
  if (auto v = pick(s, [&](const Name& v) { return v.dtype == DType::F32 && v.shape.size() >= rank; }))
    return *v;
  const Name v = pick_float(s);
  Shape shape = v.shape;
  for (size_t i = shape.size(); i < rank; ++i) shape.insert(shape.begin(), between(1, 4));
  if (num_elements(shape) > 4 * most_) shape = Shape(rank, 1);
  if (num_elements(shape) < num_elements(v.shape))
    return add_float(s, shape, "reshape(sum(" + v.text + ") * 0.1, " + str(shape) + ")");
  return add_float(s, shape, "broadcast(" + v.text + ", " + str(shape) + ") * 1");
}

Name Generator::add(Scope& s, DType dtype, Shape shape, const std::string& text) {
  Name name{fresh("v"), dtype, std::move(shape)};
  Statement statement{{name}, text};
  const size_t at = text.find("param_");
  if (at != std::string::npos) {
    const size_t end = text.find(' ', at);
    const std::string whole = text.substr(at, end - at);  // param_7:[2,3]
    const size_t colon = whole.find(':');
    std::string shape_text = whole.substr(colon + 1);
    statement.text = text.substr(0, at) + whole.substr(0, colon) + text.substr(end);
    statement.declaration = "param " + whole.substr(0, colon) + ": f32" +
                            (shape_text == "[]" ? "" : shape_text) + " = uniform(-0.9, 0.9)";
  }
  if (program_.half && chance(0.5)) {
    if (const std::string halves = in_halves(s, statement.text); !halves.empty()) {
      statement.text = dtype == DType::F32 ? "cast(" + halves + ", f32)" : halves;
      if (dtype == DType::F32 && chance(0.3)) {
        const Name half{fresh("v"), *program_.half, name.shape};
        s.statements->push_back({{half},
                                 "cast(" + halves + ", " + std::string(dtype_name(half.dtype)) + ")",
                                 statement.declaration});
        s.values.push_back(half);
        s.own.push_back(half.text);
        statement.declaration.clear();
        statement.text = "cast(" + half.text + ", f32)";
      }
    }
  }
  s.statements->push_back(std::move(statement));
  s.values.push_back(name);
  s.own.push_back(name.text);
  return name;
}

std::string Generator::in_halves(const Scope& s, const std::string& text) const {
  static const std::set<std::string> single = {
      "dense",    "layer_norm", "rms_norm", "batch_norm", "instance_norm", "group_norm",
      "prelu",    "rnn",        "lstm",     "gru",        "bidirectional", "multi_head_attention",
      "upsample", "dropout",    "uniform",  "normal",     "bernoulli",     "grad",
      "one_hot",  "gain",       "attention"};
  const std::string half(dtype_name(*program_.half));
  std::string result;
  bool any = false;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) || text[end] == '_'))
      ++end;
    const std::string word = text.substr(i, end - i);
    const auto value =
        std::find_if(s.values.begin(), s.values.end(), [&](const Name& v) { return v.text == word; });
    const bool real = value != s.values.end() ? value->dtype == DType::F32 : word.rfind("param_", 0) == 0;
    if (single.count(word)) return "";
    any |= real;
    result += real ? "cast(" + word + ", " + half + ")" : word == "f32" ? half : word;
    if (end == i) result += text[end++];
    i = end;
  }
  return any ? result : "";
}

// To stand once in a text for add(), followed by a space.
std::string Generator::parameter(Scope&, const Shape& shape) {
  std::string text = fresh("param_") + ":[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? "," : "") + n(shape[i]);
  return text + "]";
}

std::string Generator::index(Scope& s, const Shape& shape, int64_t extent) {
  const std::string kind = chance(0.5) ? "i32" : "i64";
  const auto whole = pick(s, [&](const Name& v) { return is_index(v) && v.shape == shape; });
  if (whole && chance(0.6)) return "max(0, min(" + whole->text + ", " + n(extent - 1) + "))";
  const auto real = pick(s, [&](const Name& v) { return v.dtype == DType::F32 && v.shape == shape; });
  if (real && chance(0.7)) {
    program_.smooth = false;
    return "max(0, min(cast(floor(sigmoid(" + real->text + ") * " + n(extent) + ".97 + 0.0131), " + kind +
           "), " + n(extent - 1) + "))";
  }
  int64_t count = num_elements(shape);
  return "min(cast(reshape(iota(" + n(count) + ") * " + n(between(1, 5)) + ", " + str(shape) + "), " + kind +
         ") / " + n(between(1, 3)) + ", " + n(extent - 1) + ")";
}

Name Generator::some_index(Scope& s, int64_t extent) {
  Shape shape;
  if (const auto v = pick(s, is_index); v && chance(0.5) && num_elements(v->shape) <= 40)
    shape = v->shape;
  else
    for (int64_t i = between(0, 2); i > 0; --i) shape.push_back(between(1, 6));
  const std::string text = index(s, shape, extent);
  return add(s, text.find("i64") != std::string::npos ? DType::I64 : DType::I32, shape, text);
}

void Generator::grow(Scope& s) {
  using Rule = void (Generator::*)(Scope&);
  static const std::pair<Rule, int> rules[] = {
      {&Generator::unary, 5},      {&Generator::binary, 4},      {&Generator::broadcast, 3},
      {&Generator::reduce, 3},     {&Generator::product, 4},     {&Generator::gates, 2},
      {&Generator::slice, 2},      {&Generator::reshape, 1},     {&Generator::transpose, 2},
      {&Generator::join, 3},       {&Generator::pad, 1},         {&Generator::split, 1},
      {&Generator::condition, 1},  {&Generator::integers, 2},    {&Generator::gather, 2},
      {&Generator::take_along, 1}, {&Generator::scatter, 2},     {&Generator::convolution, 2},
      {&Generator::window, 1},     {&Generator::layer, 1},       {&Generator::normalization, 1},
      {&Generator::gradient, 1},   {&Generator::draw, 1},        {&Generator::loop, 9},
      {&Generator::attend, 1},     {&Generator::image_block, 2}, {&Generator::rows, 2},
      {&Generator::table, 2},
  };
  int total = 0;
  for (const auto& [rule, weight] : rules) total += weight;
  auto at = static_cast<int>(below(total));
  for (const auto& [rule, weight] : rules)
    if ((at -= weight) < 0) return (this->*rule)(s);
}

void Generator::unary(Scope& s) {
  const Name x = pick_float(s);
  std::string pattern = one_of({"exp(tanh({}))",
                                "log(abs({}) + 1.5)",
                                "log1p(abs({}))",
                                "expm1(tanh({}))",
                                "sqrt({} * {} + 0.5)",
                                "rsqrt(abs({}) + 1)",
                                "abs({})",
                                "sin({})",
                                "cos({})",
                                "tanh({})",
                                "sigmoid({})",
                                "erf({})",
                                "-{}",
                                "1 / ({} * {} + 1)",
                                "relu({})",
                                "relu6({})",
                                "leaky_relu({})",
                                "elu({})",
                                "selu({})",
                                "gelu({})",
                                "gelu({}, approximate = true)",
                                "silu({})",
                                "mish({})",
                                "softplus({})",
                                "softsign({})",
                                "hard_tanh({})",
                                "hard_sigmoid({})",
                                "hard_swish({})",
                                "stop_gradient({}) + {}",
                                "tanh({}) ** 2",
                                "tanh({}) ** 3",
                                "(abs({}) + 0.5) ** 0.5",
                                "min({}, 0.3)",
                                "max(0.1, {})",
                                "softmax({})",
                                "log_softmax({})",
                                "{} * gain",
                                "0.5 * {} - 0.25",
                                "0.5 * {}",
                                "{} + 1",
                                "sign({}) * {}",
                                "floor({}) * 0.1 + {}",
                                "round({} * 2) * 0.1"});
  if (x.shape.empty() && pattern.find("softmax") != std::string::npos) pattern = "tanh({})";
  if (pattern.find("sign") == 0 || pattern.find("floor") == 0 || pattern.find("round") == 0)
    program_.smooth = false;
  std::string text = filled(pattern, x.text);
  if (pattern.find("softmax") != std::string::npos)
    text.insert(text.size() - 1, ", axis = " + n(between(-static_cast<int64_t>(x.shape.size()),
                                                         static_cast<int64_t>(x.shape.size()) - 1)));
  add_float(s, x.shape, text);
}

void Generator::binary(Scope& s) {
  const Name x = pick_float(s);
  const Name y = *pick(s, [&](const Name& v) { return v.dtype == x.dtype && v.shape == x.shape; });
  add_float(s, x.shape,
            filled(one_of({"{} + []", "{} - []", "{} * tanh([])", "{} / (abs([]) + 1)", "max({}, [])",
                           "min({}, [])", "tanh({}) * []", "(abs({}) + 1) ** tanh([])",
                           "sigmoid({}) * [] + (1 - sigmoid({})) * {}"}),
                   x.text, y.text));
}

void Generator::broadcast(Scope& s) {
  const Name x = pick_float(s);
  const auto both = [&](const Name& v) { return broadcast_shapes(x.shape, v.shape); };
  const auto y = pick(s, [&](const Name& v) {
    const auto shape = v.dtype == DType::F32 ? both(v) : std::nullopt;
    return shape && num_elements(*shape) <= 4 * most_;
  });
  if (!y) return unary(s);
  if (chance(0.3)) {
    Shape shape = x.shape;
    for (int64_t& e : shape)
      if (chance(0.5)) e = 1;
    while (!shape.empty() && chance(0.4)) shape.erase(shape.begin());
    add_float(s, x.shape, x.text + " * " + parameter(s, shape) + " ");
    return;
  }
  add_float(s, *both(*y),
            filled(one_of({"{} + []", "[] - {}", "tanh({}) * []", "max({}, [])", "{} / (1 + abs([]))"}),
                   x.text, y->text));
}

void Generator::reduce(Scope& s) {
  const Name x = pick_float(s, 1);
  std::vector<int64_t> axes = shuffled(static_cast<int64_t>(x.shape.size()));
  axes.resize(1 + below(axes.size()));
  std::sort(axes.begin(), axes.end());
  const bool keep = chance(0.4);
  Shape shape;
  int64_t count = 1;
  for (size_t i = 0; i < x.shape.size(); ++i) {
    const bool reduced = std::count(axes.begin(), axes.end(), static_cast<int64_t>(i)) > 0;
    if (reduced) count *= x.shape[i];
    if (reduced && keep)
      shape.push_back(1);
    else if (!reduced)
      shape.push_back(x.shape[i]);
  }
  if (chance(0.12)) {
    program_.smooth = false;
    const int64_t axis = axes[0];
    Shape left = x.shape;
    left.erase(left.begin() + axis);
    add(s, DType::I32, left, one_of({"argmax", "argmin"}) + "(" + x.text + ", axis = " + n(axis) + ")");
    return;
  }
  const std::string op = one_of({"sum", "sum", "mean", "max", "min", "prod"});
  const std::string what = op == "prod" ? "0.9 + 0.3 * tanh(" + x.text + ")" : x.text;
  add_float(s, shape,
            op + "(" + what + ", axis = " + str(axes) + ", keep = " + (keep ? "true" : "false") + ")" +
                (op == "sum" ? " / " + n(count) + ".0" : ""));
}

void Generator::slice(Scope& s) {
  const Name x = chance(0.8) ? pick_float(s, 1) : *pick(s, [](const Name&) { return true; });
  if (x.shape.empty()) return unary(s);
  Shape shape;
  std::string parts;
  for (const int64_t e : x.shape) {
    parts += parts.empty() ? "" : ", ";
    switch (below(7)) {
      case 0:
        parts += n(between(-e, e - 1));
        continue;
      case 1: {
        const int64_t step = between(1, 3), from = between(0, e - 1);
        parts += n(from) + "::" + n(step);
        shape.push_back((e - from + step - 1) / step);
        continue;
      }
      case 2: {
        const int64_t from = between(0, e - 1), to = between(from + 1, e);
        parts += n(from) + ":" + n(to);
        shape.push_back(to - from);
        continue;
      }
      case 3: {
        const int64_t step = between(1, 3);
        parts += "::-" + n(step);
        shape.push_back((e + step - 1) / step);
        continue;
      }
      case 4:
        if (e > 2) {
          parts += "-2:";
          shape.push_back(2);
          continue;
        }
        [[fallthrough]];
      default:
        parts += ":";
        shape.push_back(e);
    }
  }
  add(s, x.dtype, shape, x.text + "[" + parts + "]");
}

void Generator::reshape(Scope& s) {
  const Name x = *pick(s, [](const Name&) { return true; });
  const int64_t count = num_elements(x.shape);
  Shape shape{count};
  switch (below(4)) {
    case 0:
      break;
    case 1:
      shape = x.shape;
      shape.insert(shape.begin() + static_cast<int64_t>(below(shape.size() + 1)), 1);
      break;
    default: {
      std::vector<int64_t> divisors;
      for (int64_t d = 1; d <= count; ++d)
        if (count % d == 0) divisors.push_back(d);
      const int64_t d = divisors[below(divisors.size())];
      shape = {d, count / d};
    }
  }
  if (shape.size() > 5) shape = {count};
  add(s, x.dtype, shape, "reshape(" + x.text + ", " + str(shape) + ")");
}

void Generator::transpose(Scope& s) {
  const Name x = pick_float(s, 2);
  const auto order = shuffled(static_cast<int64_t>(x.shape.size()));
  Shape shape;
  for (const int64_t axis : order) shape.push_back(x.shape[axis]);
  add_float(s, shape, "transpose(" + x.text + ", " + str(order) + ")");
}

void Generator::join(Scope& s) {
  const Name x = pick_float(s, 1);
  const int64_t axis = static_cast<int64_t>(below(x.shape.size()));
  if (chance(0.3)) {
    const Name y = *pick(s, [&](const Name& v) { return v.dtype == x.dtype && v.shape == x.shape; });
    Shape shape = x.shape;
    shape.insert(shape.begin() + axis, 2);
    add_float(s, shape, "stack([" + x.text + ", " + y.text + "], axis = " + n(axis) + ")");
    return;
  }
  std::string list = x.text;
  Shape shape = x.shape;
  for (int64_t i = between(1, 2); i > 0; --i) {
    const Name y = *pick(s, [&](const Name& v) {
      if (v.dtype != x.dtype || v.shape.size() != x.shape.size()) return false;
      for (size_t k = 0; k < v.shape.size(); ++k)
        if (v.shape[k] != x.shape[k] && k != static_cast<size_t>(axis)) return false;
      return true;
    });
    list += ", " + y.text;
    shape[axis] += y.shape[axis];
  }
  if (num_elements(shape) > 4 * most_) return unary(s);
  const Name joined = add_float(s, shape, "concat([" + list + "], axis = " + n(axis) + ")");
  // A product of several inputs side by side.
  if (axis + 1 == static_cast<int64_t>(shape.size()) && shape.size() >= 2 && chance(0.6)) {
    Shape product = shape;
    product.back() = between(1, 9);
    add_float(s, product, joined.text + " @ " + parameter(s, {shape.back(), product.back()}) + " * 0.3");
  }
}

void Generator::pad(Scope& s) {
  const Name x = pick_float(s, 1);
  if (chance(0.3)) {
    add_float(s, x.shape, "reverse(" + x.text + ", " + n(static_cast<int64_t>(below(x.shape.size()))) + ")");
    return;
  }
  Shape shape = x.shape;
  std::string widths;
  for (int64_t& e : shape) {
    const int64_t before = chance(0.5) ? 0 : between(0, 3), after = chance(0.5) ? 0 : between(0, 3);
    widths += (widths.empty() ? "[" : ", [") + n(before) + ", " + n(after) + "]";
    e += before + after;
  }
  if (num_elements(shape) > 4 * most_) return unary(s);
  add_float(s, shape, "pad(" + x.text + ", [" + widths + "], value = " + one_of({"0", "0.5", "-1"}) + ")");
}

void Generator::split(Scope& s) {
  const Name x = pick_float(s, 1);
  const auto axis = static_cast<int64_t>(below(x.shape.size()));
  const int64_t e = x.shape[axis];
  int64_t parts = 1;
  for (const int64_t d : {2, 3, 5, 7})
    if (e % d == 0) parts = d;
  if (parts == 1) return slice(s);
  Shape shape = x.shape;
  shape[axis] = e / parts;
  Statement statement;
  for (int64_t i = 0; i < parts; ++i) statement.results.push_back({fresh("v"), DType::F32, shape});
  statement.text = "split(" + x.text + ", " + n(parts) + ", axis = " + n(axis) + ")";
  s.statements->push_back(statement);
  for (const Name& r : statement.results) {
    s.values.push_back(r);
    s.own.push_back(r.text);
  }
}

void Generator::condition(Scope& s) {
  program_.smooth = false;
  const Name x = pick_float(s);
  const Name y = *pick(s, [&](const Name& v) { return v.dtype == x.dtype && v.shape == x.shape; });
  const std::string compare = one_of({" > ", " < ", " >= ", " <= ", " == ", " != "});
  const std::string c = x.text + compare + (chance(0.4) ? y.text : one_of({"0.2", "-0.3", "0.51"}));
  const auto other = pick(s, [&](const Name& v) { return v.dtype == DType::Bool && v.shape == x.shape; });
  switch (below(4)) {
    case 0:
      add(s, DType::Bool, x.shape,
          other ? "(" + c + ")" + one_of({" and ", " or "}) + other->text : "not (" + c + ")");
      return;
    case 1:
      add_float(s, x.shape, "where(" + (other ? other->text : c) + ", " + x.text + ", 0.5 * " + y.text + ")");
      return;
    case 2:
      add_float(s, {}, "mean(" + c + ")");
      return;
    default:
      add_float(s, x.shape, "cast(" + c + ", f32) * " + y.text);
  }
}

void Generator::integers(Scope& s) {
  const auto x = pick(s, is_index);
  if (!x || chance(0.2)) {
    some_index(s, between(1, 9));
    return;
  }
  const auto y = pick(s, [&](const Name& v) { return v.dtype == x->dtype && v.shape == x->shape; });
  switch (below(5)) {
    case 0:
      add_float(s, x->shape, "sin(cast(" + x->text + ", f32))");
      return;
    case 1:
      if (num_elements(x->shape) <= 100) {
        Shape shape = x->shape;
        shape.push_back(between(1, 6));
        add_float(s, shape, "one_hot(" + x->text + ", " + n(shape.back()) + ")");
        return;
      }
      [[fallthrough]];
    case 2:
      if (!x->shape.empty()) {
        const auto axis = static_cast<int64_t>(below(x->shape.size()));
        Shape shape = x->shape;
        shape.erase(shape.begin() + axis);
        add(s, x->dtype, shape,
            one_of({"sum", "max", "min"}) + "(" + x->text + ", axis = " + n(axis) + ") / 2");
        return;
      }
      [[fallthrough]];
    default:
      add(s, x->dtype, x->shape,
          filled(one_of({"({} + []) / 3", "{} - [] / 2", "max({}, []) / 2 + 1", "min({} * 2, [] + 1) / 2",
                         "abs({} - [])"}),
                 x->text, y->text));
  }
}

}  // namespace nncc::fuzz
