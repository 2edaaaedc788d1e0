// The global names of a program: what each file may refer to.
#pragma once
#include <deque>
#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/ast.h"
#include "ir/diagnostic.h"

namespace nncc {

enum class SymbolKind : uint8_t { Const, Hyper, Fn, Model, Train, Optimizer };
std::string_view symbol_kind_name(SymbolKind);  // "const", "fn", …

// One item with a name.
struct Symbol {
  SymbolKind kind;
  std::string name;
  const ast::Item* item = nullptr;
  const ast::File* file = nullptr;
  bool is_library() const { return file->source->is_library; }
  const ast::Function& function() const { return std::get<ast::Function>(item->node); }
  SourceRange name_range() const;
};

// A file sees its own names, those of the files it imports (and what these import), and the library's, which
// its own may replace. The library sees itself alone.
class SymbolTable {
 public:
  // Reports names that are there twice.
  SymbolTable(const ast::Program&, Diagnostics&);
  const Symbol* find(const ast::File&, std::string_view name) const;
  // Likewise, but passing over what is not of these kinds: `const momentum = 0.9` does not hide the optimizer
  // of this name.
  const Symbol* find(const ast::File&, std::string_view name, std::initializer_list<SymbolKind> kinds) const;
  std::vector<std::string> visible_names(const ast::File&) const;
  // In the order of the program, without those that were reported as duplicates.
  const std::deque<Symbol>& all() const { return symbols_; }
  // Consts of the user's files, by name.
  std::vector<const Symbol*> user_symbols(SymbolKind) const;

 private:
  using Names = std::map<std::string, const Symbol*, std::less<>>;
  void add_items(const ast::File&, Diagnostics&);
  void compute_visibility(const ast::Program&);

  std::deque<Symbol> symbols_;
  Names library_;
  Names user_;
  std::map<const ast::File*, std::set<const ast::File*>> imports_;  // transitive, itself included
};

}  // namespace nncc
