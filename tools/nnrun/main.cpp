// nnrun: trains, runs, measures and checks compiled models.
#include <cstring>
#include <string>

#include "ir/diagnostic.h"
#include "llvm/Support/raw_ostream.h"
#include "tools/nnrun/common.h"
#include "tools/nnrun/verbs.h"

namespace nncc {
namespace {

struct Verb {
  const char* name;
  int (*run)(int argc, const char* const* argv);
  const char* summary;
};

constexpr Verb kVerbs[] = {
    {"info", info_verb, "what a model is: entries, shapes, parameters, memory, work, target"},
    {"train", train_verb, "trains on files of data, with checkpoints, held-out data and a log"},
    {"eval", eval_verb, "measures a trained model on files of data"},
    {"predict", predict_verb, "calls a model on every row of files of data"},
    {"run", run_verb, "calls an entry a number of times, .npy in and out"},
    {"bench", bench_verb, "how long a call takes, and which kernels take it"},
    {"check-gradients", check_gradients_verb, "compares the gradients of a .nn program with differences"},
};

void print_usage(llvm::raw_ostream& out) {
  out << "usage: nnrun VERB MODEL.so [options]\n\n";
  for (const Verb& verb : kVerbs)
    out << "  " << verb.name << std::string(18 - std::strlen(verb.name), ' ') << verb.summary << '\n';
  out << "\n`nnrun VERB --help` lists the options of a verb.\n"
         "Exit status: 0 all went well, 1 the command line or a file is wrong, 70 a bug in nnrun.\n";
}

int main(int argc, const char* const* argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (name == "--help" || name == "-h" || name == "help") return print_usage(llvm::outs()), 0;
  if (name == "--version") return llvm::outs() << "nnrun " NNCC_VERSION "\n", 0;
  if (name.empty()) return print_usage(llvm::errs()), 1;
  std::vector<std::string> names;
  for (const Verb& verb : kVerbs) {
    names.push_back(verb.name);
    if (name != verb.name) continue;
    const std::string tool = "nnrun " + name;
    std::vector<const char*> rest(argv + 1, argv + argc);
    rest[0] = tool.c_str();
    try {
      return verb.run(static_cast<int>(rest.size()), rest.data());
    } catch (const nn::Error& error) {
      llvm::errs() << tool << ": error: " << error.what() << '\n';
    } catch (const UserError& error) {
      llvm::errs() << tool << ": error: " << error.what() << '\n';
    }
    return 1;
  }
  const std::string nearest = nearest_name(name, names);
  llvm::errs() << "nnrun: error: there is no verb " << name
               << (nearest.empty() ? "" : "; did you mean " + nearest + "?") << '\n';
  return 1;
}

}  // namespace
}  // namespace nncc

int main(int argc, char** argv) {
  return nncc::run_tool("nnrun", [&] { return nncc::main(argc, argv); });
}
