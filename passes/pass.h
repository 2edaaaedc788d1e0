// Passes and pipelines: graph to graph.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/diagnostic.h"
#include "ir/module.h"
#include "ir/print.h"

namespace nncc {

// What passes need to know of the machine and the user's wishes; no pass asks anything else.
struct PassOptions {
  int vector_lanes = 16;      // f32 lanes of the target's widest vector
  bool accurate = false;      // --accurate: no form that costs digits
  int64_t memory_budget = 0;  // --memory-budget: bytes of each entry's arena, 0: as it comes
};

// Handed to every pass. count() feeds --stats.
class PassContext {
 public:
  PassContext(const PassOptions& options, Diagnostics& diags) : options(options), diags(diags) {}
  const PassOptions& options;
  Diagnostics& diags;
  // "fuse-kernels: 12 kernels made"
  void count(std::string what, int64_t n = 1) {
    if (n) statistics[std::move(what)] += n;
  }
  std::map<std::string, int64_t> statistics;  // of the pass that runs
  std::string table;                          // what --stats shows below them
};

// Returns whether the module changed. Errors a user can cause go to context.diags.
using PassFunction = bool (*)(Module&, PassContext&);

struct PassInfo {
  std::string_view name;         // "fuse-kernels"
  std::string_view description;  // one line, from the header of the pass
  PassFunction run;
};
// Every pass, in the one explicit list.
std::span<const PassInfo> all_passes();
const PassInfo* find_pass(std::string_view name);

struct PipelineOptions {
  PassOptions pass;
  bool verify_each = false;               // --verify-each
  std::vector<std::string> print_before;  // names, or "all"
  std::vector<std::string> print_after;
  PrintOptions print;                     // of what print_before and print_after show
  std::string stop_after;
  std::string dump_dir;  // one numbered .nnir for each pass that changed something
  bool time_passes = false;
  bool stats = false;
};

// A comma-separated list of pass names and of the pipelines O0, O1, O2. Unknown names are errors that suggest
// the nearest.
std::vector<const PassInfo*> parse_pipeline(std::string_view text, Diagnostics&);
// The passes in order; reports go to `log`. Stops early after stop_after or an error. A pass that breaks the
// graph is an InternalError that names it and shows the graph before and after. True if all passes up to the
// end (or stop_after) ran without a user error.
bool run_pipeline(Module&, std::span<const PassInfo* const>, const PipelineOptions&, Diagnostics&,
                  llvm::raw_ostream& log);

}  // namespace nncc
