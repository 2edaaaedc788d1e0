#include "frontend/name_check.h"

#include "frontend/builtins.h"

namespace nncc {

namespace {

// Goes over a body twice: first to collect what it binds, wherever that is, then to look every name up.
class NameChecker {
 public:
  NameChecker(const Symbol& function, const SymbolTable& symbols, Diagnostics& diags)
      : function_(function), symbols_(symbols), diags_(diags) {}

  void run() {
    const ast::Function& f = function_.function();
    bound_ = {"training", "step"};
    if (f.kind == ast::FunctionKind::Optimizer) bound_.insert({"w", "g"});
    for (collecting_ = true;; collecting_ = false) {
      for (const ast::Parameter& p : f.parameters) {
        bind(p.name);
        if (p.type) visit_type(*p.type, true);
        visit(p.default_value);
      }
      for (const ast::ReturnType& r : f.returns) visit_type(r.type, true);
      visit(f.body);
      if (!collecting_) return;
    }
  }

 private:
  void bind(const ast::Name& name) {
    if (collecting_) bound_.insert(name.text);
  }

  void use(const std::string& name, SourceRange range, std::string_view kind) {
    if (collecting_ || bound_.count(name) || symbols_.find(*function_.file, name) || find_builtin(name))
      return;
    if (!reported_.insert(name).second) return;
    std::vector<std::string> known = symbols_.visible_names(*function_.file);
    known.insert(known.end(), bound_.begin(), bound_.end());
    for (const Builtin& b : all_builtins()) known.push_back(b.name);
    const std::string near = nearest_name(name, known);
    diags_.error(range, "unknown " + std::string(kind) + " `" + name + "`" +
                            (near.empty() ? "" : "; did you mean `" + near + "`?"));
  }

  void visit(const ast::Block& block) {
    for (const auto& s : block.statements)
      std::visit([this](const auto& node) { visit_node(node); }, s->node);
  }

  void visit(const ast::ExprPtr& e) {
    if (!e) return;
    if (const auto* name = std::get_if<ast::NameRef>(&e->node)) {
      use(name->name, e->range, "name");
    } else {
      std::visit([this](const auto& node) { visit_node(node); }, e->node);
    }
  }

  void visit_type(const ast::TypeExpr& type, bool binds) {
    for (const ast::Dim& dim : type.dims) {
      if (dim.name && binds) bind(*dim.name);
      const auto* name = dim.extent ? std::get_if<ast::NameRef>(&dim.extent->node) : nullptr;
      if (name && binds) {
        bind({name->name, dim.range});
      } else {
        visit(dim.extent);
      }
    }
    visit(type.like);
    if (type.element) visit_type(*type.element, binds);
  }

  void visit_node(const ast::IntLiteral&) {}
  void visit_node(const ast::FloatLiteral&) {}
  void visit_node(const ast::BoolLiteral&) {}
  void visit_node(const ast::StringLiteral&) {}
  void visit_node(const ast::NameRef&) {}
  void visit_node(const ast::PathRef&) {}
  void visit_node(const ast::ListExpr& l) {
    for (const auto& e : l.elements) visit(e);
  }
  void visit_node(const ast::Unary& u) { visit(u.operand); }
  void visit_node(const ast::Binary& b) {
    visit(b.left);
    visit(b.right);
  }
  void visit_node(const ast::Call& c) {
    use(c.callee.text, c.callee.range, "function");
    for (const auto& a : c.arguments) visit(a.value);
  }
  void visit_node(const ast::Index& i) {
    visit(i.base);
    for (const auto& s : i.subscripts)
      for (const ast::ExprPtr* e : {&s.index, &s.start, &s.stop, &s.step}) visit(*e);
  }
  void visit_node(const ast::ScanExpr& s) {
    for (const auto& e : s.sequences) visit(e);
    visit(s.axis);
    for (const auto& [name, first] : s.carry) {
      bind(name);
      visit(first);
    }
    for (const ast::Name& n : s.names) bind(n);
    if (s.body) visit(*s.body);
  }
  void visit_node(const ast::TypeLiteral& t) { visit_type(*t.type, false); }
  void visit_node(const ast::Assign& a) {
    visit(a.value);
    for (const ast::Name& n : a.targets) bind(n);
  }
  void visit_node(const ast::Declaration& d) {
    bind(d.name);
    visit_type(d.type, false);
    visit(d.initializer);
  }
  void visit_node(const ast::If& i) {
    visit(i.condition);
    visit(i.then_block);
    if (i.else_block) visit(*i.else_block);
  }
  void visit_node(const ast::For& f) {
    bind(f.name);
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
  void visit_node(const ast::Minimize& m) { visit(m.loss); }
  void visit_node(const ast::ExprStatement& e) { visit(e.value); }

  const Symbol& function_;
  const SymbolTable& symbols_;
  Diagnostics& diags_;
  std::set<std::string> bound_, reported_;
  bool collecting_ = true;
};

}  // namespace

void check_names(const Symbol& function, const SymbolTable& symbols, Diagnostics& diags) {
  NameChecker(function, symbols, diags).run();
}

}  // namespace nncc
