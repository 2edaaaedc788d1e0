#include "frontend/purity.h"

#include "frontend/ast_visitor.h"
#include "frontend/builtins.h"

namespace nncc {

namespace {

// Looks at everything in a body; `impure` once something was found.
class Walker : public AstVisitor {
 public:
  Walker(const Symbol& function, const SymbolTable& symbols, PurityAnalysis& analysis)
      : file_(*function.file), symbols_(symbols), analysis_(analysis) {
    for (const ast::Parameter& p : function.function().parameters) parameters_.insert(p.name.text);
  }

  bool impure = false;

 private:
  void use(const std::string& text, SourceRange, std::string_view) override {
    if (parameters_.count(text)) return;
    if (text == "step") impure = true;
    if (const Symbol* s = symbols_.find(file_, text)) {
      if (s->kind == SymbolKind::Hyper || s->kind == SymbolKind::Model) impure = true;
      if (s->kind == SymbolKind::Fn && !analysis_.is_pure(*s)) impure = true;
    } else if (const Builtin* b = find_builtin(text)) {
      if (!b->pure) impure = true;
    }
  }

  void visit_path(const ast::PathRef&) override { impure = true; }
  void visit_scan(const ast::ScanExpr&) override { impure = true; }
  void visit_type_literal(const ast::TypeLiteral&) override {}
  void visit_declaration(const ast::Declaration&) override { impure = true; }
  void visit_minimize(const ast::Minimize&) override { impure = true; }

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
