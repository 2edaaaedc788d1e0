// A syntax tree as text in which nothing is lost: for comparing trees. Ranges are left out, comments are not.
#pragma once
#include <string>

#include "frontend/ast.h"

namespace nncc::ast {

std::string dump(const File&);
std::string dump(const Expr&);

}  // namespace nncc::ast
