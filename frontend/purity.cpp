#include "frontend/purity.h"

#include "frontend/builtins.h"

namespace nncc {

namespace {

// Looks at everything in a body; `impure` once something was found.
class Walker {
 public:
  Walker(const Symbol& function, const SymbolTable& symbols, PurityAnalysis& analysis)
      : file_(*function.file), symbols_(symbols), analysis_(analysis) {
    for (const ast::Parameter& p : function.function().parameters) parameters_.insert(p.name.text);
  }

  bool impure = false;

  void visit(const ast::Block& block) {
    for (const auto& s : block.statements)
      std::visit([this](const auto& node) { visit_node(node); }, s->node);
  }

  void visit(const ast::ExprPtr& e) {
    if (e) std::visit([this](const auto& node) { visit_node(node); }, e->node);
  }

 private:
  void name(const std::string& text) {
    if (parameters_.count(text)) return;
    if (text == "step") impure = true;
    if (const Symbol* s = symbols_.find(file_, text)) {
      if (s->kind == SymbolKind::Hyper || s->kind == SymbolKind::Model) impure = true;
      if (s->kind == SymbolKind::Fn && !analysis_.is_pure(*s)) impure = true;
    } else if (const Builtin* b = find_builtin(text)) {
      if (!b->pure) impure = true;
    }
  }

  void visit_node(const ast::IntLiteral&) {}
  void visit_node(const ast::FloatLiteral&) {}
  void visit_node(const ast::BoolLiteral&) {}
  void visit_node(const ast::StringLiteral&) {}
  void visit_node(const ast::TypeLiteral&) {}
  void visit_node(const ast::NameRef& n) { name(n.name); }
  void visit_node(const ast::PathRef&) { impure = true; }
  void visit_node(const ast::ListExpr& l) {
    for (const auto& e : l.elements) visit(e);
  }
  void visit_node(const ast::Unary& u) { visit(u.operand); }
  void visit_node(const ast::Binary& b) {
    visit(b.left);
    visit(b.right);
  }
  void visit_node(const ast::Call& c) {
    name(c.callee.text);
    for (const auto& a : c.arguments) visit(a.value);
  }
  void visit_node(const ast::Index& i) {
    visit(i.base);
    for (const auto& s : i.subscripts) {
      visit(s.index);
      visit(s.start);
      visit(s.stop);
      visit(s.step);
    }
  }
  void visit_node(const ast::ScanExpr&) { impure = true; }
  void visit_node(const ast::Assign& a) { visit(a.value); }
  void visit_node(const ast::Declaration&) { impure = true; }
  void visit_node(const ast::If& i) {
    visit(i.condition);
    visit(i.then_block);
    if (i.else_block) visit(*i.else_block);
  }
  void visit_node(const ast::For& f) {
    visit(f.first);
    visit(f.limit);
    visit(f.body);
  }
  void visit_node(const ast::Return& r) {
    for (const auto& e : r.values) visit(e);
  }
  void visit_node(const ast::Yield& y) {
    for (const auto& e : y.values) visit(e);
  }
  void visit_node(const ast::Minimize&) { impure = true; }
  void visit_node(const ast::ExprStatement& e) { visit(e.value); }

  const ast::File& file_;
  const SymbolTable& symbols_;
  PurityAnalysis& analysis_;
  std::set<std::string> parameters_;
};

}  // namespace

bool PurityAnalysis::is_pure(const Symbol& function) {
  // A recursive function is an error elsewhere; until then it counts as impure.
  const auto [it, is_new] = known_.try_emplace(&function, false);
  if (!is_new) return it->second;
  Walker walker(function, symbols_, *this);
  walker.visit(function.function().body);
  for (const ast::Parameter& p : function.function().parameters) walker.visit(p.default_value);
  return known_[&function] = !walker.impure;
}

}  // namespace nncc
