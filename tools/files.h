// Reading and writing whole files, with errors worded for the user.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "ir/diagnostic.h"
#include "ir/source.h"

namespace nncc {

// "-" is standard input. Nothing after an error, which is then in `diags`.
std::optional<std::string> read_file(const std::string& path, Diagnostics& diags);
// The same, kept as a source that diagnostics can point into; null after an error.
const SourceFile* read_source(const std::string& path, SourceManager& sources, Diagnostics& diags);
// "-" is standard output. A file appears whole or not at all.
bool write_file(const std::string& path, std::string_view content, Diagnostics& diags);

}  // namespace nncc
