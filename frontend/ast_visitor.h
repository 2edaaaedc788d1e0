// A walk over expressions and statements, for analyses that look at names and care little for what stands
// around them.
#pragma once
#include <string>
#include <string_view>

#include "frontend/ast.h"

namespace nncc {

// Visits everything below a node in the order of the text. A derived class says what happens at names, and
// may look at some kinds of node in its own way: what it overrides goes no deeper by itself.
class AstVisitor {
 public:
  virtual ~AstVisitor() = default;
  void visit(const ast::Block&);
  void visit(const ast::ExprPtr&);  // null: nothing to see
  void visit(const ast::TypeExpr&);

 protected:
  // A name is looked up; `kind` is "name", or "function" if it is called.
  virtual void use(const std::string& name, SourceRange, std::string_view kind) = 0;
  // A name is given a value: by an assignment, a declaration, a loop or a scan.
  virtual void bind(const ast::Name&) {}
  virtual void visit_path(const ast::PathRef&) {}
  virtual void visit_scan(const ast::ScanExpr&);
  virtual void visit_type_literal(const ast::TypeLiteral&);
  virtual void visit_declaration(const ast::Declaration&);
  virtual void visit_minimize(const ast::Minimize&);
};

}  // namespace nncc
