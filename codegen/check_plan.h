// Whether a module is ready for code: everything that computes is in kernels, and everything has a place in
// memory.
#pragma once
#include <string>

#include "ir/module.h"

namespace nncc {

// What is missing or lies outside of its space, worded for a reader of .nnir; empty if the module can be
// compiled. Modules that plan-memory has left always can; those that somebody wrote may not.
std::string why_not_planned(const Module&);

}  // namespace nncc
