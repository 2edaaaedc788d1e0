#include "frontend/symbols.h"

#include <algorithm>
#include <filesystem>

namespace nncc {

std::string_view symbol_kind_name(SymbolKind kind) {
  switch (kind) {
    case SymbolKind::Const:
      return "const";
    case SymbolKind::Hyper:
      return "hyper";
    case SymbolKind::Fn:
      return "fn";
    case SymbolKind::Model:
      return "model";
    case SymbolKind::Train:
      return "train";
    case SymbolKind::Optimizer:
      return "optimizer";
  }
  NNCC_UNREACHABLE("unknown kind of symbol");
}

namespace {

SymbolKind function_kind(ast::FunctionKind kind) {
  switch (kind) {
    case ast::FunctionKind::Fn:
      return SymbolKind::Fn;
    case ast::FunctionKind::Model:
      return SymbolKind::Model;
    case ast::FunctionKind::Train:
      return SymbolKind::Train;
    case ast::FunctionKind::Optimizer:
      return SymbolKind::Optimizer;
  }
  NNCC_UNREACHABLE("unknown kind of function");
}

// Null for an import.
const ast::Name* item_name(const ast::Item& item, SymbolKind& kind) {
  if (const auto* c = std::get_if<ast::Const>(&item.node)) {
    kind = SymbolKind::Const;
    return &c->name;
  }
  if (const auto* h = std::get_if<ast::Hyper>(&item.node)) {
    kind = SymbolKind::Hyper;
    return &h->name;
  }
  if (const auto* f = std::get_if<ast::Function>(&item.node)) {
    kind = function_kind(f->kind);
    return &f->name;
  }
  return nullptr;
}

}  // namespace

SourceRange Symbol::name_range() const {
  SymbolKind unused;
  return item_name(*item, unused)->range;
}

SymbolTable::SymbolTable(const ast::Program& program, Diagnostics& diags) {
  for (const auto& file : program.files) add_items(*file, diags);
  compute_visibility(program);
}

void SymbolTable::add_items(const ast::File& file, Diagnostics& diags) {
  Names& names = file.source->is_library ? library_ : user_;
  for (const ast::Item& item : file.items) {
    SymbolKind kind;
    const ast::Name* name = item_name(item, kind);
    if (!name) continue;
    if (const auto it = names.find(name->text); it != names.end()) {
      diags.error(name->range, "`" + name->text + "` is there twice")
          .note(it->second->name_range(), "the first is here");
      continue;
    }
    symbols_.push_back({kind, name->text, &item, &file});
    names.emplace(name->text, &symbols_.back());
  }
}

void SymbolTable::compute_visibility(const ast::Program& program) {
  namespace fs = std::filesystem;
  std::map<fs::path, const ast::File*> by_path;
  for (const auto& file : program.files)
    by_path[fs::path(file->source->path).lexically_normal()] = file.get();
  std::map<const ast::File*, std::vector<const ast::File*>> direct;
  for (const auto& file : program.files)
    for (const ast::Item& item : file->items)
      if (const auto* import = std::get_if<ast::Import>(&item.node)) {
        const fs::path path = fs::path(file->source->path).parent_path() / import->path;
        if (const auto it = by_path.find(path.lexically_normal()); it != by_path.end())
          direct[file.get()].push_back(it->second);
        else  // reached under another spelling: be generous
          for (const auto& other : program.files) direct[file.get()].push_back(other.get());
      }
  for (const auto& file : program.files) {
    std::vector<const ast::File*> work{file.get()};
    auto& seen = imports_[file.get()];
    while (!work.empty()) {
      const ast::File* f = work.back();
      work.pop_back();
      if (!seen.insert(f).second) continue;
      for (const ast::File* next : direct[f]) work.push_back(next);
    }
  }
}

const Symbol* SymbolTable::find(const ast::File& file, std::string_view name) const {
  if (!file.source->is_library)
    if (const auto it = user_.find(name); it != user_.end() && imports_.at(&file).count(it->second->file))
      return it->second;
  const auto it = library_.find(name);
  return it == library_.end() ? nullptr : it->second;
}

const Symbol* SymbolTable::find(const ast::File& file, std::string_view name,
                                std::initializer_list<SymbolKind> kinds) const {
  const auto fits = [&](const Symbol* s) {
    return std::find(kinds.begin(), kinds.end(), s->kind) != kinds.end();
  };
  if (const Symbol* s = find(file, name); s && fits(s)) return s;
  const auto it = library_.find(name);
  return it != library_.end() && fits(it->second) ? it->second : nullptr;
}

std::vector<std::string> SymbolTable::visible_names(const ast::File& file) const {
  std::vector<std::string> names;
  for (const auto& [name, symbol] : library_) names.push_back(name);
  if (!file.source->is_library)
    for (const auto& [name, symbol] : user_)
      if (imports_.at(&file).count(symbol->file)) names.push_back(name);
  return names;
}

std::vector<const Symbol*> SymbolTable::user_symbols(SymbolKind kind) const {
  std::vector<const Symbol*> out;
  for (const Symbol& s : symbols_)
    if (s.kind == kind && !s.is_library()) out.push_back(&s);
  return out;
}

}  // namespace nncc
