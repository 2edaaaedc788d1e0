// The text of frontend/std/*.nn, which is built into the compiler.
#pragma once
#include <span>
#include <string_view>

namespace nncc {

struct LibraryFile {
  std::string_view path;  // "<std>/layers.nn"
  std::string_view text;
};
// In the order of their names.
std::span<const LibraryFile> library_files();

}  // namespace nncc
