// A syntax tree as text again.
#include <algorithm>

#include "frontend/ast.h"
#include "frontend/frontend.h"
#include "frontend/lexer.h"
#include "frontend/parser.h"

namespace nncc {

using namespace ast;

namespace {

constexpr size_t kLineWidth = 110;
constexpr int kIndent = 2;
constexpr int kContinuation = 4;
// Places where a line that got too long may be broken; neither can come from a program's text.
constexpr char kSoftBreak = '\x01';  // behind a comma or an operator
constexpr char kPipeBreak = '\x02';  // before a |> outside brackets

std::string flat(std::string text) {
  std::replace(text.begin(), text.end(), kSoftBreak, ' ');
  std::replace(text.begin(), text.end(), kPipeBreak, ' ');
  return text;
}

// Columns, as bytes that are not continuations of a UTF-8 sequence.
size_t width(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

class Printer {
 public:
  explicit Printer(size_t line_width = kLineWidth) : width_(line_width) {}

  std::string file(const File& file) {
    bool first = true;
    for (const Item& item : file.items) {
      comments(item.comments, first);
      if (item.blank_before && !(first && item.comments.empty())) out_ += '\n';
      first = false;
      std::visit([&](const auto& node) { print(node); }, item.node);
      end_line(item.trailing_comment);
    }
    comments(file.trailing_comments, first);
    return std::move(out_);
  }

  std::string signature(const ast::Function& f) {
    header(f, /*with_kind=*/true);
    return flat(std::move(out_));
  }

  std::string flat_type(const TypeExpr& t) { return flat(type(t)); }

 private:
  // Lines.

  void begin_line() { out_.append(indent_, ' '); }

  void end_line(const std::optional<Comment>& comment) {
    if (comment) out_ += "  //" + comment->text;
    out_ += '\n';
  }

  void comments(const std::vector<Comment>& comments, bool first) {
    for (const Comment& comment : comments) {
      if (comment.blank_before && !first) out_ += '\n';
      first = false;
      begin_line();
      out_ += "//" + comment.text + '\n';
    }
  }

  // Writes the text of one statement or header, broken where it is too long for a line. A scan's body, behind
  // the first newline, is laid out already.
  void lay_out(const std::string& text) {
    const size_t newline = text.find('\n');
    std::string head = text.substr(0, newline);
    const std::string rest = newline == std::string::npos ? "" : flat(text.substr(newline));
    if (indent_ + width(head) <= width_) {
      out_ += flat(std::move(head)) + rest;
      return;
    }
    const bool has_pipes = head.find(kPipeBreak) != std::string::npos;
    size_t begin = 0;
    for (bool first = true; begin <= head.size(); first = false) {
      const size_t end = std::min(head.find(kPipeBreak, begin), head.size());
      if (!first) {
        out_ += '\n';
        out_.append(indent_ + kContinuation, ' ');
      }
      fill(head.substr(begin, end - begin), first ? indent_ : indent_ + kContinuation,
           indent_ + kContinuation * (has_pipes ? 2 : 1));
      begin = end + 1;
    }
    out_ += rest;
  }

  // As much on each line as fits, broken outside brackets before inside them. Returns the column behind the
  // text.
  size_t fill(const std::string& text, size_t column, size_t continuation, int depth = 0) {
    const int deepest = deepest_break(text);
    if (column + width(text) <= width_ || depth > deepest) {
      out_ += flat(text);
      return column + width(text);
    }
    size_t begin = 0;
    int open = 0;
    for (size_t i = 0; i <= text.size(); ++i) {
      const char c = i < text.size() ? text[i] : kSoftBreak;
      if (c == '(' || c == '[') ++open;
      if (c == ')' || c == ']') --open;
      if (c != kSoftBreak || (i < text.size() && open > depth)) continue;
      const std::string piece = text.substr(begin, i - begin);
      if (begin > 0) {
        if (column + 1 + width(piece) > width_) {
          out_ += '\n';
          out_.append(continuation, ' ');
          column = continuation;
        } else {
          out_ += ' ';
          ++column;
        }
      }
      column = fill(piece, column, continuation, depth + 1);
      begin = i + 1;
    }
    return column;
  }

  // Brackets open at the most deeply nested place where the text may be broken; -1 without such a place.
  static int deepest_break(std::string_view text) {
    int open = 0, deepest = -1;
    for (char c : text) {
      if (c == '(' || c == '[') ++open;
      if (c == ')' || c == ']') --open;
      if (c == kSoftBreak) deepest = std::max(deepest, open);
    }
    return deepest;
  }

  // Items.

  void print(const Import& item) { out_ += "import " + encode_string(item.path); }
  void print(const Const& item) { lay_out("const " + item.name.text + " = " + expr(*item.value)); }
  void print(const Hyper& item) {
    lay_out("hyper " + item.name.text + (item.type ? ": " + type(*item.type) : "") + " = " +
            expr(*item.value));
  }
  void print(const ast::Function& f) {
    header(f, true);
    out_ += ' ';
    block(f.body);
  }

  void header(const ast::Function& f, bool with_kind) {
    static const char* const words[] = {"fn", "model", "train", "optimizer"};
    std::string text = with_kind ? std::string(words[static_cast<int>(f.kind)]) + " " : "";
    text += f.name.text + "(";
    for (size_t i = 0; i < f.parameters.size(); ++i) {
      const Parameter& p = f.parameters[i];
      if (i > 0) text += std::string(",") + kSoftBreak;
      text += p.name.text;
      if (p.joined) continue;
      if (p.type) text += ": " + type(*p.type);
      if (p.default_value) text += " = " + expr(*p.default_value);
    }
    text += ")";
    if (!f.returns.empty()) {
      text += f.returns_parenthesized ? " -> (" : " -> ";
      for (size_t i = 0; i < f.returns.size(); ++i) {
        if (i > 0) text += std::string(",") + kSoftBreak;
        if (f.returns[i].name) text += f.returns[i].name->text + ": ";
        text += type(f.returns[i].type);
      }
      if (f.returns_parenthesized) text += ")";
    }
    lay_out(text);
  }

  // Statements.

  static bool was_on_one_line(const Block& b) {
    if (!b.range || b.opening_comment || !b.trailing_comments.empty() || b.statements.size() != 1)
      return false;
    const Statement& only = *b.statements.front();
    if (!only.comments.empty() || only.trailing_comment) return false;
    return b.range.file->text.substr(b.range.begin, b.range.end - b.range.begin).find('\n') ==
           std::string::npos;
  }

  void block(const Block& b) {
    if (b.statements.empty() && !b.opening_comment && b.trailing_comments.empty()) {
      out_ += "{}";
      return;
    }
    if (was_on_one_line(b)) {
      const size_t start = out_.size();
      out_ += "{ ";
      statement(*b.statements.front());
      out_ += " }";
      const size_t line = out_.rfind('\n', start) + 1;
      if (out_.find('\n', start) == std::string::npos && width(std::string_view(out_).substr(line)) <= width_)
        return;
      out_.resize(start);
    }
    out_ += "{";
    end_line(b.opening_comment);
    indent_ += kIndent;
    bool first = true;
    for (const auto& s : b.statements) {
      comments(s->comments, first);
      if (s->blank_before && !(first && s->comments.empty())) out_ += '\n';
      first = false;
      begin_line();
      statement(*s);
      end_line(s->trailing_comment);
    }
    comments(b.trailing_comments, first);
    indent_ -= kIndent;
    begin_line();
    out_ += "}";
  }

  void statement(const Statement& s) {
    std::visit([&](const auto& node) { print(node); }, s.node);
  }

  void print(const Assign& s) {
    std::string text;
    for (const Name& target : s.targets) text += (text.empty() ? "" : ", ") + target.text;
    lay_out(text + " = " + expr(*s.value));
  }
  void print(const Declaration& s) {
    static const char* const words[] = {"param ", "state ", "memory "};
    lay_out(words[static_cast<int>(s.kind)] + s.name.text + ": " + type(s.type) + " = " +
            expr(*s.initializer));
  }
  void print(const If& s) {
    lay_out("if " + expr(*s.condition));
    out_ += ' ';
    block(s.then_block);
    if (!s.else_block) return;
    out_ += " else ";
    if (s.else_is_if)
      statement(*s.else_block->statements.front());
    else
      block(*s.else_block);
  }
  void print(const For& s) {
    lay_out("for " + s.name.text + " in " + expr(*s.first) + (s.limit ? ".." + expr(*s.limit) : ""));
    out_ += ' ';
    block(s.body);
  }
  void print(const Return& s) { lay_out(s.values.empty() ? "return" : "return " + values(s.values)); }
  void print(const Yield& s) { lay_out("yield " + values(s.values)); }
  void print(const Minimize& s) {
    std::string text = "minimize " + expr(*s.loss);
    for (size_t i = 0; i < s.over.size(); ++i) text += (i == 0 ? " over " : ", ") + path(s.over[i]);
    lay_out(text + " with " + expr(*s.stages));
  }
  void print(const ExprStatement& s) { lay_out(expr(*s.value)); }

  // Expressions.

  static std::string path(const Path& p) {
    std::string text;
    for (const Name& part : p.parts) text += (text.empty() ? "" : ".") + part.text;
    return text;
  }

  std::string values(const std::vector<ExprPtr>& list) {
    std::string text;
    for (const ExprPtr& e : list) text += (text.empty() ? "" : std::string(",") + kSoftBreak) + expr(*e);
    return text;
  }

  std::string expr(const Expr& e) {
    if (!e.parenthesized) return node(e);
    ++brackets_;
    std::string text = "(" + node(e) + ")";
    --brackets_;
    return text;
  }

  std::string node(const Expr& e) {
    return std::visit(
        Overloaded{
            [](const IntLiteral& n) { return std::to_string(n.value); },
            [](const FloatLiteral& n) { return n.text; },
            [](const BoolLiteral& n) { return std::string(n.value ? "true" : "false"); },
            [](const StringLiteral& n) { return encode_string(n.value); },
            [](const NameRef& n) { return n.name; },
            [](const PathRef& n) { return path(n.path); },
            [&](const ListExpr& n) {
              ++brackets_;
              std::string text = "[" + values(n.elements) + "]";
              --brackets_;
              return text;
            },
            [&](const Unary& n) { return (n.op == UnaryOp::Neg ? "-" : "not ") + expr(*n.operand); },
            [&](const Binary& n) {
              const bool loose = n.op <= BinaryOp::And || n.op == BinaryOp::Add || n.op == BinaryOp::Sub;
              return expr(*n.left) + " " + std::string(spelling(n.op)) + (loose ? kSoftBreak : ' ') +
                     expr(*n.right);
            },
            [&](const Call& n) { return call(n); },
            [&](const Index& n) { return index(n); },
            [&](const ScanExpr& n) { return scan(n); },
            [&](const TypeLiteral& n) { return type(*n.type); },
        },
        e.node);
  }

  std::string call(const Call& n) {
    std::string text;
    if (n.piped) {
      text = expr(*n.arguments.front().value) + (brackets_ == 0 ? kPipeBreak : ' ') + "|> ";
    }
    text += n.callee.text;
    if (!n.parentheses) return text;
    ++brackets_;
    text += "(";
    const size_t skipped = n.piped ? 1 : 0;
    for (size_t i = skipped; i < n.arguments.size(); ++i) {
      if (i > skipped) text += std::string(",") + kSoftBreak;
      if (n.arguments[i].name) text += n.arguments[i].name->text + " = ";
      text += expr(*n.arguments[i].value);
    }
    --brackets_;
    return text + ")";
  }

  std::string index(const Index& n) {
    std::string text = expr(*n.base) + "[";
    ++brackets_;
    for (size_t i = 0; i < n.subscripts.size(); ++i) {
      const Subscript& s = n.subscripts[i];
      if (i > 0) text += ", ";
      switch (s.kind) {
        case Subscript::Kind::Ellipsis:
          text += "..";
          break;
        case Subscript::Kind::Index:
          text += expr(*s.index);
          break;
        case Subscript::Kind::Range:
          if (s.start) text += expr(*s.start);
          text += ":";
          if (s.stop) text += expr(*s.stop);
          if (s.step) text += ":" + expr(*s.step);
          break;
      }
    }
    --brackets_;
    return text + "]";
  }

  std::string scan(const ScanExpr& n) {
    std::string text = "scan ";
    for (size_t i = 0; i < n.names.size(); ++i) text += (i > 0 ? ", " : "") + n.names[i].text;
    text += " in ";
    for (size_t i = 0; i < n.sequences.size(); ++i) text += (i > 0 ? ", " : "") + expr(*n.sequences[i]);
    text += " axis " + expr(*n.axis);
    if (n.reverse) text += " reverse";
    if (!n.carry.empty()) {
      ++brackets_;
      text += " carry (";
      for (size_t i = 0; i < n.carry.size(); ++i) {
        if (i > 0) text += std::string(",") + kSoftBreak;
        text += n.carry[i].first.text + " = " + expr(*n.carry[i].second);
      }
      text += ")";
      --brackets_;
    }
    // The body is printed where the statement will stand.
    std::string outer = std::move(out_);
    const int outer_brackets = std::exchange(brackets_, 0);
    out_.clear();
    block(*n.body);
    text += " " + std::exchange(out_, std::move(outer));
    brackets_ = outer_brackets;
    return text;
  }

  std::string type(const TypeExpr& t) {
    switch (t.kind) {
      case TypeExpr::Kind::Int:
        return "int";
      case TypeExpr::Kind::Float:
        return "float";
      case TypeExpr::Kind::Bool:
        return "bool";
      case TypeExpr::Kind::String:
        return "string";
      case TypeExpr::Kind::Function:
        return "fn";
      case TypeExpr::Kind::List:
        return "[" + type(*t.element) + "]";
      case TypeExpr::Kind::Like:
        return "like(" + expr(*t.like) + ")";
      case TypeExpr::Kind::Tensor:
        break;
    }
    std::string text(dtype_name(t.dtype));
    if (!t.has_brackets) return text;
    text += "[";
    ++brackets_;
    for (size_t i = 0; i < t.dims.size(); ++i) {
      const Dim& d = t.dims[i];
      if (i > 0) text += ", ";
      text += d.kind == Dim::Kind::Spread ? ".." + (d.name ? d.name->text : "") : expr(*d.extent);
    }
    --brackets_;
    return text + "]";
  }

  const size_t width_;  // of a line
  std::string out_;
  size_t indent_ = 0;
  int brackets_ = 0;  // open around what is being printed
};

}  // namespace

std::string print_file(const File& file) { return Printer().file(file); }

std::string print_program(const Program& program) {
  return program.files.empty() ? std::string() : print_file(*program.files.back());
}

std::string print_signature(const ast::Function& f) { return Printer(SIZE_MAX).signature(f); }

std::string print_type(const TypeExpr& t) { return Printer(SIZE_MAX).flat_type(t); }

}  // namespace nncc
