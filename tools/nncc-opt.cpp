// nncc-opt: reads a module as .nnir, runs passes on it, prints it.
#include "ir/print.h"
#include "ir/verify.h"
#include "llvm/Support/CommandLine.h"
#include "passes/pass.h"
#include "tools/command_line.h"
#include "tools/files.h"

namespace nncc {
namespace {

namespace cl = llvm::cl;

#ifdef NNCC_VERIFY_EACH
constexpr bool kVerifyEach = true;
#else
constexpr bool kVerifyEach = false;
#endif

enum class Emit { Nnir, Dot };

struct Options {
  cl::OptionCategory category{"Options"};
  cl::opt<std::string> input{cl::Positional, cl::desc("INPUT.nnir, or - for standard input"), cl::init("-"),
                             cl::cat(category)};
  cl::opt<std::string> output{"o", cl::desc("Where to write; - is standard output, the default"),
                              cl::value_desc("FILE"), cl::init("-"), cl::cat(category)};
  cl::opt<Emit> emit{
      "emit", cl::desc("What to write"), cl::init(Emit::Nnir), cl::cat(category),
      cl::values(clEnumValN(Emit::Nnir, "nnir", "the module as text, which reads back (default)"),
                 clEnumValN(Emit::Dot, "dot", "its graphs in Graphviz's language"))};
  cl::opt<std::string> passes{"passes", cl::desc("Passes and pipelines to run, in order: inline,dce or O2"),
                              cl::value_desc("LIST"), cl::cat(category)};
  cl::list<std::string> print_before{"print-ir-before",
                                     cl::desc("Print the module before a pass, or before all"),
                                     cl::value_desc("PASS"), cl::CommaSeparated, cl::cat(category)};
  cl::list<std::string> print_after{"print-ir-after", cl::desc("Print the module after a pass, or after all"),
                                    cl::value_desc("PASS"), cl::CommaSeparated, cl::cat(category)};
  cl::opt<std::string> stop_after{"stop-after", cl::desc("Run no pass after this one"),
                                  cl::value_desc("PASS"), cl::cat(category)};
  cl::opt<std::string> dump_dir{"dump-dir",
                                cl::desc("Write one numbered file for each pass that changed the module"),
                                cl::value_desc("FOLDER"), cl::cat(category)};
  cl::opt<bool> time_passes{"time-passes", cl::desc("Say how long each pass took"), cl::cat(category)};
  cl::opt<bool> stats{"stats", cl::desc("Say what each pass did"), cl::cat(category)};
  cl::opt<bool> verify_each{"verify-each", cl::desc("Verify the module after each pass"),
                            cl::init(kVerifyEach), cl::cat(category)};
  cl::opt<bool> locations{"print-locations", cl::desc("Print where each node comes from"), cl::cat(category)};
};

std::string dot_text(const Module& module) {
  std::string text;
  const auto append = [&](const std::string& name, const Graph& graph) {
    text += "// " + name + "\n" + graph.graphviz([&](NodeId id) {
      const Node& node = graph[id];
      std::string label = node.name.empty() ? "" : node.name + "\n";
      label += op_info(node.op).name;
      if (const AttrValue* symbol = node.attributes.find(Attr::Symbol))
        label += " @" + std::get<std::string>(*symbol);
      for (const TensorType& type : node.types) label += "\n" + type.str();
      return label;
    });
  };
  for (const Function& function : module.functions) append(function.name, function.body);
  for (const Entry& entry : module.entries) {
    append(entry.name, entry.graph);
    if (entry.prepare.num_nodes() > 0) append(entry.name + ", prepare", entry.prepare);
  }
  return text;
}

bool check(const Module& module, Diagnostics& diags) {
  for (const std::string& violation : verify(module)) diags.error(violation);
  return !diags.has_errors();
}

bool process(const Options& options, Diagnostics& diags, SourceManager& sources) {
  const SourceFile* file = read_source(options.input, sources, diags);
  if (!file) return false;
  const std::unique_ptr<Module> module = parse_nnir(*file, diags);
  if (!module || !check(*module, diags)) return false;

  PipelineOptions pipeline;
  pipeline.verify_each = options.verify_each;
  pipeline.print_before.assign(options.print_before.begin(), options.print_before.end());
  pipeline.print_after.assign(options.print_after.begin(), options.print_after.end());
  pipeline.stop_after = options.stop_after;
  pipeline.dump_dir = options.dump_dir;
  pipeline.time_passes = options.time_passes;
  pipeline.stats = options.stats;
  const std::vector<const PassInfo*> passes = parse_pipeline(options.passes.getValue(), diags);
  if (diags.has_errors() || !run_pipeline(*module, passes, pipeline, diags, llvm::errs())) return false;

  const std::string text =
      options.emit == Emit::Dot
          ? dot_text(*module)
          : to_string(*module, {.locations = options.locations, .large_constants = true});
  return write_file(options.output, text, diags);
}

int run(int argc, char** argv) {
  forget_llvm_options();
  Options options;
  parse_command_line(argc, argv, options.category,
                     "nncc-opt: run passes of nncc on a module in the text form of its graphs\n");
  SourceManager sources;
  Diagnostics diags;
  const bool ok = process(options, diags, sources);
  diags.print(llvm::errs());
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace nncc

int main(int argc, char** argv) {
  return nncc::run_tool("nncc-opt", [&] { return nncc::run(argc, argv); });
}
