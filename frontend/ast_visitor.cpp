#include "frontend/ast_visitor.h"

namespace nncc {

void AstVisitor::visit(const ast::Block& block) {
  for (const auto& s : block.statements)
    std::visit(ast::Overloaded{
                   [&](const ast::Assign& a) {
                     visit(a.value);
                     for (const ast::Name& n : a.targets) bind(n);
                   },
                   [&](const ast::Declaration& d) { visit_declaration(d); },
                   [&](const ast::If& i) {
                     visit(i.condition);
                     visit(i.then_block);
                     if (i.else_block) visit(*i.else_block);
                   },
                   [&](const ast::For& f) {
                     bind(f.name);
                     visit(f.first);
                     visit(f.limit);
                     visit(f.body);
                   },
                   [&](const ast::Return& r) {
                     for (const auto& e : r.values) visit(e);
                   },
                   [&](const ast::Yield& y) {
                     for (const auto& e : y.values) visit(e);
                   },
                   [&](const ast::Minimize& m) { visit_minimize(m); },
                   [&](const ast::ExprStatement& e) { visit(e.value); },
               },
               s->node);
}

void AstVisitor::visit(const ast::ExprPtr& e) {
  if (!e) return;
  std::visit(ast::Overloaded{
                 [](const ast::IntLiteral&) {},
                 [](const ast::FloatLiteral&) {},
                 [](const ast::BoolLiteral&) {},
                 [](const ast::StringLiteral&) {},
                 [&](const ast::NameRef& n) { use(n.name, e->range, "name"); },
                 [&](const ast::PathRef& p) { visit_path(p); },
                 [&](const ast::ListExpr& l) {
                   for (const auto& element : l.elements) visit(element);
                 },
                 [&](const ast::Unary& u) { visit(u.operand); },
                 [&](const ast::Binary& b) {
                   visit(b.left);
                   visit(b.right);
                 },
                 [&](const ast::Call& c) {
                   use(c.callee.text, c.callee.range, "function");
                   for (const auto& a : c.arguments) visit(a.value);
                 },
                 [&](const ast::Index& i) {
                   visit(i.base);
                   for (const auto& s : i.subscripts)
                     for (const ast::ExprPtr* part : {&s.index, &s.start, &s.stop, &s.step}) visit(*part);
                 },
                 [&](const ast::ScanExpr& s) { visit_scan(s); },
                 [&](const ast::TypeLiteral& t) { visit_type_literal(t); },
             },
             e->node);
}

void AstVisitor::visit(const ast::TypeExpr& type) {
  for (const ast::Dim& dim : type.dims) visit(dim.extent);
  visit(type.like);
  if (type.element) visit(*type.element);
}

void AstVisitor::visit_scan(const ast::ScanExpr& s) {
  for (const auto& e : s.sequences) visit(e);
  visit(s.axis);
  for (const auto& [name, first] : s.carry) {
    bind(name);
    visit(first);
  }
  for (const ast::Name& n : s.names) bind(n);
  if (s.body) visit(*s.body);
}

void AstVisitor::visit_type_literal(const ast::TypeLiteral& t) { visit(*t.type); }

void AstVisitor::visit_declaration(const ast::Declaration& d) {
  bind(d.name);
  visit(d.type);
  visit(d.initializer);
}

void AstVisitor::visit_minimize(const ast::Minimize& m) { visit(m.loss); }

}  // namespace nncc
