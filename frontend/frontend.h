// Text to graph.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ir/diagnostic.h"
#include "ir/module.h"

namespace nncc {

namespace ast {
struct Program;
}

// Reads `path` ("-": standard input) and what it imports, and the standard library. Nothing after errors.
// A file that is missing, a directory, not UTF-8 or cyclic in its imports is an error.
std::shared_ptr<const ast::Program> parse_program(const std::string& path, SourceManager&, Diagnostics&);
// The same of a program given as text, which errors call `name`; its imports are relative to the current folder.
std::shared_ptr<const ast::Program> parse_program_text(const std::string& name, std::string text, SourceManager&, Diagnostics&);
// The program's own file printed back; parses to the same tree.
std::string print_program(const ast::Program&);

struct TraceOptions {
  std::map<std::string, std::string> constants;  // --set name=value, as text
  DType float_type = DType::F32;                 // --float=f64: what `f32` means
  // Library functions whose calls stay visible as `call` nodes, because a pass claims them.
  std::set<std::string> kept_calls;
  // For checking gradients: each train entry returns, for each of its `minimize`, the loss and then its gradient with respect to every
  // parameter (result named "gradient/<path>"), and updates nothing.
  bool gradient_entries = false;
  // With gradient_entries: after each train entry another, its name and kLossesSuffix, which returns the losses alone.
  bool loss_entries = false;
};
inline constexpr std::string_view kLossesSuffix = ".losses";
// Checks the program and traces every model and train entry, plus `init`. Nothing after errors.
std::unique_ptr<Module> trace_program(const ast::Program&, const TraceOptions&, Diagnostics&);

}  // namespace nncc
