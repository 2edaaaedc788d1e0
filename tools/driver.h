// The whole way from a program to a file, as a library: what nncc does, and what other tools need of it.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codegen/codegen.h"
#include "frontend/frontend.h"
#include "passes/pass.h"

namespace nncc {

enum class EmitKind { SharedLibrary, Object, Archive, Header, Program, Ir, Dot, LlvmIr, Assembly };
// From the name that --emit takes, which is also the suffix of such files without the dot: "so", "nnir", …
std::optional<EmitKind> parse_emit_kind(std::string_view name);
std::vector<std::string> emit_kind_names();
std::string_view emit_kind_name(EmitKind);
// What people read; goes to standard output where no file is named.
bool is_text(EmitKind);

// $XDG_CACHE_HOME/nncc or ~/.cache/nncc; empty if there is no such place.
std::string default_cache_dir();

struct DriverOptions {
  std::string input;                             // a path, or "-"
  bool input_is_ir = false;                      // .nnir; set by a path's suffix, too
  std::string name;                              // of the model; empty: the module's own, or from the input's
  std::map<std::string, std::string> constants;  // --set
  std::string target = "host";
  DType float_type = DType::F32;
  int opt_level = 2;
  std::optional<std::string> passes;  // instead of those of the level
  int threads = 0;                    // that kernels are scheduled for; 0: as many as this machine has
  int jobs = 0;
  std::string cache_dir;  // empty: no cache
  std::string depfile;    // a rule for make: the output depends on the files that were read; empty: none
  bool gradient_entries = false, loss_entries = false;  // as in TraceOptions
  PipelineOptions pipeline;  // of its `pass`, vector_lanes comes from the target
};

// One compilation. Diagnostics point into the sources it owns: print them while it lives.
class Driver {
 public:
  // Reports (--print-ir-after, --stats, --time-passes) go to `log`.
  Driver(DriverOptions options, Diagnostics& diags, llvm::raw_ostream& log);
  ~Driver();

  // The program as traced, or the module of a .nnir file; then the passes. Null after errors.
  std::unique_ptr<Module> build_module();
  // The planned module as objects, or as text for EmitKind::LlvmIr and Assembly. Null after errors.
  std::unique_ptr<CompiledModule> compile(const Module&, EmitKind kind);
  // From the input to the file `output` ("-": standard output). False after errors; then `output` is as it
  // was.
  bool compile_file(EmitKind kind, const std::string& output);
  // Null after errors.
  const TargetInfo* target();
  // The wall time of each phase that ran, for --time-passes.
  void print_times() const;

 private:
  std::shared_ptr<const ast::Program> parse();
  std::unique_ptr<Module> read_module();
  bool write_kind(EmitKind kind, const std::string& output);
  bool write_depfile(const std::string& output);
  bool write_binary(const Module&, EmitKind kind, const std::string& output);
  template <class Body>
  auto timed(const char* phase, const Body& body);

  DriverOptions options_;
  Diagnostics& diags_;
  llvm::raw_ostream& log_;
  SourceManager sources_;
  std::shared_ptr<const ast::Program> program_;
  std::unique_ptr<TargetInfo> target_;
  std::vector<std::pair<std::string, double>> times_;  // seconds
};

}  // namespace nncc
