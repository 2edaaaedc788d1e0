#include "frontend/name_check.h"

#include "frontend/ast_visitor.h"
#include "frontend/builtins.h"

namespace nncc {

namespace {

// Goes over a body twice: first to collect what it binds, wherever that is, then to look every name up.
class NameChecker : public AstVisitor {
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
        if (p.type) visit_signature_type(*p.type);
        visit(p.default_value);
      }
      for (const ast::ReturnType& r : f.returns) visit_signature_type(r.type);
      visit(f.body);
      if (!collecting_) return;
    }
  }

 private:
  void bind(const ast::Name& name) override {
    if (collecting_) bound_.insert(name.text);
  }

  void use(const std::string& name, SourceRange range, std::string_view kind) override {
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

  // In a signature a plain name as an extent is bound there, if nothing else binds it.
  void visit_signature_type(const ast::TypeExpr& type) {
    for (const ast::Dim& dim : type.dims) {
      if (dim.name) bind(*dim.name);
      if (const auto* name = dim.extent ? std::get_if<ast::NameRef>(&dim.extent->node) : nullptr) {
        bind({name->name, dim.range});
      } else {
        visit(dim.extent);
      }
    }
    visit(type.like);
    if (type.element) visit_signature_type(*type.element);
  }

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
