// Text to tree. One file at a time; parse_program in frontend.h follows imports.
#pragma once
#include <memory>

#include "frontend/ast.h"
#include "ir/diagnostic.h"

namespace nncc {

// Recovers at statement and item boundaries, so several errors are reported in one go; the tree then has only what parsed.
std::unique_ptr<ast::File> parse_file(const SourceFile&, Diagnostics&);

}  // namespace nncc
