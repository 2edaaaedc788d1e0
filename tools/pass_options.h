// The options about passes that nncc and nncc-opt have in common.
#pragma once
#include "passes/pass.h"
#include "tools/options.h"

namespace nncc {

// Adds a group of options: what to print, where to stop. `options` must outlive the parsing.
void add_pass_options(OptionParser& line, PipelineOptions& options);

// --list-passes.
std::string list_passes();
// The primitives as a table in Markdown, as in docs/ops.md.
std::string list_ops();

}  // namespace nncc
