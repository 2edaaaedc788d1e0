#include "fuzz/program.h"

#include <algorithm>
#include <cctype>

namespace nncc::fuzz {
namespace {

template <class Range, class Text>
std::string joined(const Range& range, const Text& text) {
  std::string result;
  for (const auto& element : range) result += (result.empty() ? "" : ", ") + text(element);
  return result;
}

// A constant of that type.
std::string constant(const Name& name) {
  const std::string half = "fill(" + str(name.shape) + ", 0.5)";
  if (name.dtype == DType::F32) return half;
  if (name.dtype == DType::Bool) return half + " > 1.0";
  return "cast(" + half + ", " + std::string(dtype_name(name.dtype)) + ")";
}

void insert(std::set<std::string>& names, const std::string& text) { names.merge(identifiers(text)); }

class Printer {
 public:
  Printer(Form form, bool lean) : form_(form), lean_(lean) {}

  // `needed`: what comes after the statements uses.
  std::string block(const std::vector<Statement>& statements, std::set<std::string> needed, int depth) {
    std::vector<std::string> lines;
    for (auto s = statements.rbegin(); s != statements.rend(); ++s) {
      const bool used = is_used(*s, needed);
      if (lean_ && !used) continue;
      lines.push_back(statement(*s, needed, depth));
      if (!s->dropped && !s->declaration.empty()) declarations_.insert("  " + s->declaration + "\n");
    }
    std::string text;
    for (auto line = lines.rbegin(); line != lines.rend(); ++line) text += *line;
    return text;
  }
  std::string declarations() const {
    std::string text;
    for (const std::string& d : declarations_) text += d;
    return text;
  }

 private:
  static bool is_used(const Statement& s, const std::set<std::string>& needed) {
    const auto has = [&](const Name& name) { return needed.count(name.text) > 0; };
    if (std::any_of(s.results.begin(), s.results.end(), has)) return true;
    return s.loop && std::any_of(s.loop->carries.begin(), s.loop->carries.end(),
                                 [&](const Loop::Carry& c) { return has(c.name); });
  }

  // Adds what the statement needs.
  std::string statement(const Statement& s, std::set<std::string>& needed, int depth) {
    const std::string indent(2 * depth, ' ');
    if (s.dropped) {
      std::string text;
      std::vector<Name> names = s.results;
      if (s.loop)
        for (const Loop::Carry& c : s.loop->carries) names.push_back(c.name);
      for (const Name& name : names) text += indent + name.text + " = " + constant(name) + "\n";
      return text;
    }
    if (s.loop) return loop(s, needed, depth);
    insert(needed, s.text);
    return indent + joined(s.results, [](const Name& n) { return n.text; }) + " = " + s.text + "\n";
  }

  std::string loop(const Statement& s, std::set<std::string>& needed, int depth) {
    const Loop& l = *s.loop;
    const std::string indent(2 * depth, ' '), inner = indent + "  ";
    std::vector<std::string> yields;
    std::vector<Name> results;
    for (size_t i = 0; i < l.yields.size(); ++i) {
      if (lean_ && !needed.count(s.results[i].text)) continue;
      yields.push_back(l.yields[i]);
      results.push_back(s.results[i]);
    }
    std::set<std::string> inside(yields.begin(), yields.end());
    for (const Loop::Carry& c : l.carries) insert(inside, c.next);
    std::string body = block(l.body, inside, depth + 1);
    insert(needed, body);
    for (const std::string& sequence : l.sequences) needed.insert(sequence);
    for (const Loop::Carry& c : l.carries) insert(needed, c.first);
    needed.insert(inside.begin(), inside.end());

    const auto itself = [](const std::string& text) { return text; };
    const std::string id = l.names[0].text;
    if (l.yields_before)
      for (std::string& y : yields) {
        body += inner + "old_" + y + " = " + y + "\n";
        y = "old_" + y;
      }
    for (const Loop::Carry& c : l.carries) body += inner + "next_" + c.name.text + " = " + c.next + "\n";
    for (const Loop::Carry& c : l.carries) body += inner + c.name.text + " = next_" + c.name.text + "\n";
    const std::string names = joined(results, [](const Name& n) { return n.text; });
    if (form_ == Form::Loops) {
      std::string head = indent + (results.empty() ? "" : names + " = ") + "scan " +
                         joined(l.names, [](const Name& n) { return n.text; }) + " in " +
                         joined(l.sequences, itself) + " axis " + std::to_string(l.axis) +
                         (l.reverse ? " reverse" : "");
      if (!l.carries.empty())
        head += " carry (" +
                joined(l.carries, [](const Loop::Carry& c) { return c.name.text + " = " + c.first; }) + ")";
      if (!yields.empty()) body += inner + "yield " + joined(yields, itself) + "\n";
      return head + " {\n" + body + indent + "}\n";
    }
    std::string text;
    for (size_t i = 0; i < results.size(); ++i) text += indent + "list_" + results[i].text + " = []\n";
    for (const Loop::Carry& c : l.carries) text += indent + c.name.text + " = " + c.first + "\n";
    const std::string at = "at_" + id, n = std::to_string(l.steps);
    text += indent + "for step_" + id + " in 0.." + n + " {\n" + inner + at + " = " +
            (l.reverse ? n + " - 1 - step_" + id : "step_" + id) + "\n";
    for (size_t i = 0; i < l.names.size(); ++i) {
      const int64_t axis = l.axis < 0 ? l.axis + l.ranks[i] : l.axis;
      std::string index = at;
      for (int64_t k = 0; k < axis; ++k) index = ":, " + index;
      text += inner + l.names[i].text + " = " + l.sequences[i] + "[" + index + "]\n";
    }
    text += body;
    for (size_t i = 0; i < results.size(); ++i) {
      const std::string list = "list_" + results[i].text;
      text += inner + list + " = " +
              (l.reverse ? "[" + yields[i] + "] + " + list : list + " + [" + yields[i] + "]") + "\n";
    }
    text += indent + "}\n";
    for (const Name& r : results)
      text += indent + r.text + " = stack(list_" + r.text + ", axis = " + std::to_string(l.axis) + ")\n";
    return text;
  }

  Form form_;
  bool lean_;
  std::set<std::string> declarations_;
};

const char* const kOwn = R"(optimizer own(lr: f32) {
  state m: like(w) = zeros()
  state size: f32 = ones()
  size = 0.5 * size + 0.5 * global_norm(g)
  if rank(w) > 1 { m = 0.5 * m + g } else { m = g }
  w = w - lr * m / (1 + size) * step
}

)";

}  // namespace

std::string str(const Shape& shape) {
  return "[" + joined(shape, [](int64_t n) { return std::to_string(n); }) + "]";
}

std::set<std::string> identifiers(const std::string& text) {
  std::set<std::string> result;
  for (size_t i = 0; i < text.size(); ++i) {
    size_t end = i;
    while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) || text[end] == '_'))
      ++end;
    if (end > i && !std::isdigit(static_cast<unsigned char>(text[i]))) result.insert(text.substr(i, end - i));
    if (end > i) i = end;
  }
  return result;
}

std::string Program::text(Form form, bool lean) const {
  const auto name = [](const Name& n) { return n.text; };
  std::set<std::string> needed;
  for (const Name& s : sinks) needed.insert(s.text);
  Printer printer(form, lean);
  const std::string body = printer.block(statements, needed, 1);
  const std::string arguments = joined(inputs, [](const Name& n) {
    return n.text + ": " + std::string(dtype_name(n.dtype)) + (n.shape.empty() ? "" : str(n.shape));
  });
  std::string text = "hyper gain: f32 = 0.75\n\n";
  if ((optimizer + other_optimizer).find("own") != std::string::npos) text += kOwn;
  text += "model net(" + arguments + ") {\n" + printer.declarations() + "  param extra: f32[3] = normal()\n" +
          body + "  return " + joined(sinks, name) + ", extra\n}\n\n";
  const bool other = !other_optimizer.empty();
  if (other) text += "model other(x: f32[3]) {\n  param q: f32[3] = normal()\n  return tanh(x * q)\n}\n\n";

  text += "train fit(" + arguments + ") {\n  " + joined(sinks, [](const Name& n) { return "o_" + n.text; }) +
          ", e = net(" + joined(inputs, name) + ")\n";
  std::string loss = "sum(e * e)";
  for (const Name& s : sinks)
    if (s.dtype == DType::F32) loss += " + mean((o_" + s.text + " - 0.3) ** 2)";
  text += "  loss = " + loss + "\n";
  std::string returned = "loss";
  for (const Name& input : inputs) {
    if (input.dtype != DType::F32 || !second_derivative) continue;
    text += "  slope_" + input.text + " = grad(loss + mean(sin(" + input.text + ")), " + input.text + ")\n";
    text += "  loss = loss + mean(slope_" + input.text + " ** 2)\n";
    returned += ", slope_" + input.text;
    break;
  }
  if (other) {
    text += "  second = sum(other(e)) * loss\n";
    text += "  minimize loss over net with " + optimizer + "\n";
    text += "  minimize second over other with " + other_optimizer + "\n";
  } else {
    text += "  minimize loss with " + optimizer + "\n";
  }
  return text + "  return " + returned + "\n}\n";
}

}  // namespace nncc::fuzz
