// Loops and what stands in their steps.
#include "fuzz/generator.h"

#include <algorithm>

#include "ir/builder.h"

namespace nncc::fuzz {

// Its values end as those of the next step.
void Generator::loop(Scope& s) {
  if (s.depth >= 2 || (s.depth == 1 && chance(0.6))) return unary(s);
  const Name first = pick_float(s, 1);
  auto loop = std::make_shared<Loop>();
  const auto rank = static_cast<int64_t>(first.shape.size());
  const int64_t axis = static_cast<int64_t>(below(rank));
  loop->steps = first.shape[axis];
  if (loop->steps > 9) return slice(s);
  loop->axis = axis;
  loop->reverse = chance(0.35);
  std::vector<Name> sequences{first};
  while (sequences.size() < 3 && chance(0.35)) {
    const auto other = pick(s, [&](const Name& v) {
      return v.shape.size() > static_cast<size_t>(axis) && v.shape[axis] == loop->steps;
    });
    sequences.push_back(*other);
  }
  Scope body{&loop->body, s.values, s.depth + 1};
  const auto add_name = [&](const char* prefix, DType dtype, const Shape& shape) {
    const Name name{fresh(prefix), dtype, shape};
    body.values.push_back(name);
    body.own.push_back(name.text);
    return name;
  };
  for (const Name& q : sequences) {
    Shape shape = q.shape;
    shape.erase(shape.begin() + axis);
    loop->names.push_back(add_name("e", q.dtype, shape));
    loop->sequences.push_back(q.text);
    loop->ranks.push_back(static_cast<int>(q.shape.size()));
  }
  const int64_t carries = chance(0.15) ? 0 : between(1, 3);
  for (int64_t i = 0; i < carries; ++i) {
    Loop::Carry carry;
    const auto value =
        pick(s, [&](const Name& v) { return num_elements(v.shape) <= most_ && v.dtype != DType::Bool; });
    const int way = static_cast<int>(below(4));
    if (value && way == 0) {
      carry.name = add_name("h", value->dtype, value->shape);
      carry.first = value->text;
    } else {
      const Shape shape = way == 1 ? some_shape() : loop->names[0].shape;
      carry.name = add_name("h", DType::F32, shape);
      carry.first = chance(0.3) ? "fill(" + str(shape) + ", 0.25)" : "zeros(" + str(shape) + ")";
    }
    loop->carries.push_back(carry);
  }
  for (int64_t i = between(1, s.depth ? 4 : 6); i > 0; --i) {
    if (chance(0.3) && !loop->carries.empty())
      recurrent_step(body, *loop);
    else
      grow(body);
  }
  for (Loop::Carry& c : loop->carries) {
    const auto same = [&](const Name& v) { return v.dtype == c.name.dtype && v.shape == c.name.shape; };
    const Name next = *pick(body, same);
    c.next = next.text;
    // Mostly a step that stays small.
    if (is_float(c.name.dtype) && chance(0.85))
      c.next = add(body, c.name.dtype, c.name.shape,
                   filled(one_of({"tanh(0.5 * {} + 0.5 * [])", "0.5 * {} + 0.5 * tanh([])", "sin({} - [])"}),
                          c.name.text, next.text))
                   .text;
    else if (is_index(c.name) && chance(0.8))
      c.next = add(body, c.name.dtype, c.name.shape, "(" + c.name.text + " + " + next.text + ") / 2").text;
  }
  Statement statement;
  const int64_t yields = loop->carries.empty() ? between(1, 3) : between(0, 3);
  for (int64_t i = 0; i < yields; ++i) {
    const auto own = pick(body, [&](const Name& v) {
      return static_cast<int64_t>(v.shape.size()) >= axis &&
             num_elements(v.shape) * loop->steps <= 4 * most_ &&
             std::find(body.own.begin(), body.own.end(), v.text) != body.own.end();
    });
    if (!own) continue;
    Shape shape = own->shape;
    shape.insert(shape.begin() + axis, loop->steps);
    loop->yields.push_back(own->text);
    statement.results.push_back({fresh("v"), own->dtype, shape});
  }
  if (loop->yields.empty() && loop->carries.empty()) return unary(s);
  loop->yields_before = chance(0.3);
  statement.loop = loop;
  for (const Name& r : statement.results) s.values.push_back(r), s.own.push_back(r.text);
  for (const Loop::Carry& c : loop->carries) s.values.push_back(c.name), s.own.push_back(c.name.text);
  s.statements->push_back(statement);
}

// A product of what a step gets and what it carries: side by side, or apart.
void Generator::recurrent_step(Scope& s, Loop& loop) {
  const Name h = loop.carries[below(loop.carries.size())].name;
  if (h.dtype != DType::F32 || h.shape.empty()) return unary(s);
  const int64_t k = h.shape.back();
  const auto x = pick(s, [&](const Name& v) {
    if (v.dtype != DType::F32 || v.shape.size() != h.shape.size()) return false;
    return std::equal(v.shape.begin(), v.shape.end() - 1, h.shape.begin());
  });
  if (h.shape.size() < 2) {
    // A vector is a row.
    const std::string row = "reshape(" + h.text + ", [1, " + n(k) + "])";
    add_float(s, h.shape, "reshape(" + row + " @ " + parameter(s, {k, k}) + " , [" + n(k) + "]) * 0.5");
    return;
  }
  const int64_t parts = chance(0.5) ? 1 : between(2, 4);
  Shape wide = h.shape;
  wide.back() = parts * k;
  if (num_elements(wide) > 2 * most_) return unary(s);
  Name sums;
  if (chance(0.5)) {
    const Name joined = add_float(
        s,
        [&] {
          Shape shape = h.shape;
          shape.back() += x->shape.back();
          return shape;
        }(),
        "concat([" + x->text + ", " + h.text + "], axis = " + n(static_cast<int64_t>(h.shape.size()) - 1) +
            ")");
    sums =
        add_float(s, wide, joined.text + " @ " + parameter(s, {joined.shape.back(), parts * k}) + " * 0.4");
  } else {
    const Name of_x =
        add_float(s, wide, x->text + " @ " + parameter(s, {x->shape.back(), parts * k}) + " * 0.4");
    const Name of_h = add_float(s, wide, h.text + " @ " + parameter(s, {k, parts * k}) + " * 0.4");
    sums = add_float(s, wide, of_x.text + " + " + of_h.text + " + " + parameter(s, {parts * k}) + " ");
  }
  if (parts == 1) {
    add_float(s, h.shape, "tanh(" + sums.text + ")");
    return;
  }
  Statement statement;
  std::string text;
  for (int64_t i = 0; i < parts; ++i) {
    statement.results.push_back({fresh("v"), DType::F32, h.shape});
    text += (i ? " * " : "") + one_of({"sigmoid(", "tanh("}) + statement.results.back().text + ")";
  }
  statement.text = "split(" + sums.text + ", " + n(parts) +
                   ", axis = " + n(static_cast<int64_t>(h.shape.size()) - 1) + ")";
  s.statements->push_back(statement);
  for (const Name& r : statement.results) {
    s.values.push_back(r);
    s.own.push_back(r.text);
  }
  add_float(s, h.shape, text + " + 0.5 * " + h.text);
}

}  // namespace nncc::fuzz
