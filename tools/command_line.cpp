#include "tools/command_line.h"

#include <array>
#include <vector>

#include "llvm/ADT/STLExtras.h"

namespace nncc {

namespace cl = llvm::cl;

void forget_llvm_options() {
  constexpr std::array<llvm::StringRef, 3> kKept{"help", "h", "version"};
  std::vector<cl::Option*> forgotten;
  for (auto& entry : cl::getRegisteredOptions())
    if (llvm::find(kKept, entry.getKey()) == kKept.end()) forgotten.push_back(entry.getValue());
  for (cl::Option* option : forgotten) option->removeArgument();
}

void parse_command_line(int argc, const char* const* argv, cl::OptionCategory& category,
                        const char* overview) {
  cl::SetVersionPrinter([](llvm::raw_ostream& out) { out << "nncc " NNCC_VERSION "\n"; });
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv, overview);
}

bool split_assignment(const std::string& text, const char* option, std::pair<std::string, std::string>& parts,
                      Diagnostics& diags) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    diags.error(std::string("expected ") + option + " NAME=VALUE, found `" + text + "`");
    return false;
  }
  parts = {text.substr(0, equals), text.substr(equals + 1)};
  return true;
}

}  // namespace nncc
