#include "dump_tree.h"

namespace nncc::ast {

namespace {

std::string dump(const Block&);
std::string dump(const TypeExpr&);

std::string optional(const ExprPtr& e) { return e ? ast::dump(*e) : "_"; }

std::string dump(const std::vector<ExprPtr>& list) {
  std::string text;
  for (const ExprPtr& e : list) text += " " + ast::dump(*e);
  return text;
}

std::string dump(const Path& path) {
  std::string text = "(path";
  for (const Name& part : path.parts) text += " " + part.text;
  return text + ")";
}

std::string dump(const Comment& c) {
  return "(comment" + std::string(c.blank_before ? "'" : "") + c.text + ")";
}

std::string dump(const std::vector<Comment>& comments) {
  std::string text;
  for (const Comment& c : comments) text += dump(c) + "\n";
  return text;
}

std::string dump(const std::optional<Comment>& c) { return c ? " " + dump(*c) : ""; }

std::string dump(const TypeExpr& t) {
  std::string text = "(type " + std::to_string(static_cast<int>(t.kind));
  if (t.kind == TypeExpr::Kind::Tensor) text += " " + std::string(dtype_name(t.dtype));
  if (t.has_brackets) text += " []";
  for (const Dim& d : t.dims)
    text += d.kind == Dim::Kind::Spread ? " .." + (d.name ? d.name->text : "") : " " + ast::dump(*d.extent);
  if (t.like) text += " " + ast::dump(*t.like);
  if (t.element) text += " " + dump(*t.element);
  return text + ")";
}

std::string dump(const Subscript& s) {
  switch (s.kind) {
    case Subscript::Kind::Ellipsis:
      return "..";
    case Subscript::Kind::Index:
      return ast::dump(*s.index);
    case Subscript::Kind::Range:
      break;
  }
  return optional(s.start) + ":" + optional(s.stop) + ":" + optional(s.step);
}

std::string dump(const Statement& s) {
  const auto node = Overloaded{
      [](const Assign& n) {
        std::string text = "(=";
        for (const Name& target : n.targets) text += " " + target.text;
        return text + " " + ast::dump(*n.value) + ")";
      },
      [](const Declaration& n) {
        return "(decl " + std::to_string(static_cast<int>(n.kind)) + " " + n.name.text + " " + dump(n.type) +
               " " + ast::dump(*n.initializer) + ")";
      },
      [](const If& n) {
        return "(if " + ast::dump(*n.condition) + " " + dump(n.then_block) +
               (n.else_block ? (n.else_is_if ? " else-if " : " else ") + dump(*n.else_block) : "") + ")";
      },
      [](const For& n) {
        return "(for " + n.name.text + " " + ast::dump(*n.first) + " " + optional(n.limit) + " " +
               dump(n.body) + ")";
      },
      [](const Return& n) { return "(return" + dump(n.values) + ")"; },
      [](const Yield& n) { return "(yield" + dump(n.values) + ")"; },
      [](const Minimize& n) {
        std::string text = "(minimize " + ast::dump(*n.loss);
        for (const Path& p : n.over) text += " " + dump(p);
        return text + " with " + ast::dump(*n.stages) + ")";
      },
      [](const ExprStatement& n) { return ast::dump(*n.value); },
  };
  return dump(s.comments) + (s.blank_before ? "'" : "") + std::visit(node, s.node) +
         dump(s.trailing_comment) + "\n";
}

std::string dump(const Block& b) {
  std::string text = "{" + dump(b.opening_comment) + "\n";
  for (const auto& s : b.statements) text += dump(*s);
  return text + dump(b.trailing_comments) + "}";
}

std::string dump(const Function& f) {
  std::string text = "(function " + std::to_string(static_cast<int>(f.kind)) + " " + f.name.text;
  for (const Parameter& p : f.parameters)
    text += " (" + p.name.text + (p.joined ? "," : "") + " " + (p.type ? dump(*p.type) : "_") + " " +
            optional(p.default_value) + ")";
  text += f.returns_parenthesized ? " ->()" : " ->";
  for (const ReturnType& r : f.returns) text += " " + (r.name ? r.name->text : "_") + dump(r.type);
  return text + " " + dump(f.body) + ")";
}

}  // namespace

std::string dump(const Expr& e) {
  const auto node = Overloaded{
      [](const IntLiteral& n) { return std::to_string(n.value); },
      [](const FloatLiteral& n) { return n.text; },
      [](const BoolLiteral& n) { return std::string(n.value ? "true" : "false"); },
      [](const StringLiteral& n) { return '"' + n.value + '"'; },
      [](const NameRef& n) { return n.name; },
      [](const PathRef& n) { return dump(n.path); },
      [](const ListExpr& n) { return "[" + dump(n.elements) + " ]"; },
      [](const Unary& n) {
        return std::string(n.op == UnaryOp::Neg ? "(neg " : "(not ") + dump(*n.operand) + ")";
      },
      [](const Binary& n) {
        return "(" + std::string(spelling(n.op)) + " " + dump(*n.left) + " " + dump(*n.right) + ")";
      },
      [](const Call& n) {
        std::string text = std::string(n.piped ? "(|> " : "(call ") + n.callee.text;
        for (const Argument& a : n.arguments)
          text += " " + (a.name ? a.name->text + "=" : "") + dump(*a.value);
        return text + (n.parentheses ? ")" : " ~)");
      },
      [](const Index& n) {
        std::string text = "(index " + dump(*n.base);
        for (const Subscript& s : n.subscripts) text += " " + dump(s);
        return text + ")";
      },
      [](const ScanExpr& n) {
        std::string text = "(scan";
        for (const Name& name : n.names) text += " " + name.text;
        text += " in" + dump(n.sequences) + " axis " + dump(*n.axis) + (n.reverse ? " reverse" : "");
        for (const auto& [name, value] : n.carry) text += " (" + name.text + " " + dump(*value) + ")";
        return text + " " + dump(*n.body) + ")";
      },
      [](const TypeLiteral& n) { return dump(*n.type); },
  };
  return (e.parenthesized ? "#" : "") + std::visit(node, e.node);
}

std::string dump(const File& file) {
  std::string text;
  for (const Item& item : file.items) {
    text += dump(item.comments) + (item.blank_before ? "'" : "");
    text +=
        std::visit(Overloaded{
                       [](const Import& n) { return "(import " + n.path + ")"; },
                       [](const Const& n) { return "(const " + n.name.text + " " + dump(*n.value) + ")"; },
                       [](const Hyper& n) {
                         return "(hyper " + n.name.text + " " + (n.type ? dump(*n.type) : "_") + " " +
                                dump(*n.value) + ")";
                       },
                       [](const Function& n) { return dump(n); },
                   },
                   item.node);
    text += dump(item.trailing_comment) + "\n";
  }
  return text + dump(file.trailing_comments);
}

}  // namespace nncc::ast
