// Writing results: complete or not at all.
#pragma once
#include <string>
#include <string_view>

#include "ir/diagnostic.h"

namespace nncc {

// Writes a temporary file beside `path` and renames it. "-" is standard output; a device or a pipe is written
// directly. False after an error, which is then in the diagnostics, worded for whoever named `path`.
bool write_output(const std::string& path, std::string_view contents, bool executable, Diagnostics&);

}  // namespace nncc
