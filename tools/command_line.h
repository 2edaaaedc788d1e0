// What the tools' command lines have in common.
#pragma once
#include <string>
#include <utility>

#include "ir/diagnostic.h"
#include "llvm/Support/CommandLine.h"

namespace nncc {

// libLLVM brings hundreds of options of its own, some with names that the tools use. Forgets all but --help
// and --version. To be called before a tool makes its options, which must not be static for that reason.
void forget_llvm_options();

// Parses; shows only the options of `category` in --help. Exits after --help and --version, and with status 1
// and a message if the command line is wrong.
void parse_command_line(int argc, const char* const* argv, llvm::cl::OptionCategory& category,
                        const char* overview);

// "name=rest" in two; an error that names `option` if there is no `=` or no name.
bool split_assignment(const std::string& text, const char* option, std::pair<std::string, std::string>& parts,
                      Diagnostics& diags);

}  // namespace nncc
