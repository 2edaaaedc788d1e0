// Text to tree, and back. One file at a time; parse_program in frontend.h follows imports.
#pragma once
#include <memory>
#include <string>

#include "frontend/ast.h"
#include "ir/diagnostic.h"

namespace nncc {

// Recovers at statement and item boundaries, so several errors are reported in one go; the tree then has only what parsed.
std::unique_ptr<ast::File> parse_file(const SourceFile&, Diagnostics&);

// Parses back to the same tree, and reads as a person would have laid it out.
std::string print_file(const ast::File&);
// On one line: "fn dense(x: f32[..s, k], units: int) -> f32[..s, units]", "f32[k, units]".
std::string print_signature(const ast::Function&);
std::string print_type(const ast::TypeExpr&);

}  // namespace nncc
