// nncc-opt: reads a module as .nnir, runs passes on it, prints it.
#include "ir/print.h"
#include "ir/verify.h"
#include "llvm/Support/CommandLine.h"
#include "passes/pass.h"
#include "tools/command_line.h"
#include "tools/evaluate_module.h"
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
  cl::opt<std::string> evaluate{
      "evaluate",
      cl::desc("Run an entry or a function on the reference evaluator instead of writing the module"),
      cl::value_desc("NAME"), cl::cat(category)};
  cl::list<std::string> inputs{"input", cl::desc("An input of --evaluate"), cl::value_desc("NAME=FILE.npy"),
                               cl::cat(category)};
  cl::list<std::string> set{"set", cl::desc("A variable's value before the first step of --evaluate"),
                            cl::value_desc("NAME=NUMBER|FILE.npy"), cl::cat(category)};
  cl::list<std::string> outputs{
      "output",
      cl::desc("Where --evaluate writes a result, or a variable after the last step, which are else printed"),
      cl::value_desc("NAME=FILE.npy"), cl::cat(category)};
  cl::opt<long long> seed{"seed", cl::desc("The seed of --evaluate"), cl::init(0), cl::cat(category)};
  cl::opt<long long> steps{"steps", cl::desc("Steps of --evaluate"), cl::value_desc("N"), cl::cat(category)};
  cl::opt<bool> round{"round",
                      cl::desc("Let --evaluate round to the element type after each op, not compute in f64"),
                      cl::cat(category)};
  cl::opt<bool> list_ops{"list-ops", cl::desc("Print the ops as a table in Markdown"), cl::cat(category)};
  cl::opt<bool> constants{"print-constants",
                          cl::desc("Print large literals whole, so that the output reads back (default)"),
                          cl::init(true), cl::cat(category)};
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

EvaluateOptions evaluate_options(const Options& options) {
  EvaluateOptions result;
  result.name = options.evaluate;
  result.inputs.assign(options.inputs.begin(), options.inputs.end());
  result.set.assign(options.set.begin(), options.set.end());
  result.outputs.assign(options.outputs.begin(), options.outputs.end());
  result.seed = options.seed;
  if (options.steps.getNumOccurrences()) result.steps = options.steps;
  result.round = options.round;
  return result;
}

bool check(const Module& module, Diagnostics& diags) {
  for (const std::string& violation : verify(module)) diags.error(violation);
  return !diags.has_errors();
}

std::string ops_table() {
  std::string text = "| op | operands | attributes | meaning |\n|---|---|---|---|\n";
  const auto count = [](int n) { return n == kVariadic ? std::string("any") : std::to_string(n); };
  for (const OpInfo& info : all_ops()) {
    std::string attributes;
    for (Attr attr : info.attributes)
      attributes += (attributes.empty() ? "`" : ", `") + std::string(attr_name(attr)) + "`";
    text += "| `" + std::string(info.name) + "` | " + count(info.num_operands) + " | " + attributes + " | ";
    for (char c : info.doc) text += c == '|' ? std::string("\\|") : std::string(1, c);
    text += " |\n";
  }
  return text;
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

  if (options.evaluate.getNumOccurrences())
    return evaluate_module(*module, evaluate_options(options), llvm::outs(), diags);
  const std::string text =
      options.emit == Emit::Dot
          ? dot_text(*module)
          : to_string(*module, {.locations = options.locations, .large_constants = options.constants});
  return write_file(options.output, text, diags);
}

int run(int argc, char** argv) {
  forget_llvm_options();
  Options options;
  parse_command_line(argc, argv, options.category,
                     "nncc-opt: run passes of nncc on a module in the text form of its graphs\n");
  SourceManager sources;
  Diagnostics diags;
  if (options.list_ops) {
    llvm::outs() << ops_table();
    return 0;
  }
  const bool ok = process(options, diags, sources);
  diags.print(llvm::errs());
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace nncc

int main(int argc, char** argv) {
  return nncc::run_tool("nncc-opt", [&] { return nncc::run(argc, argv); });
}
