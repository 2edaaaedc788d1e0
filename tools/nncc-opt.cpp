// nncc-opt: reads a module as .nnir, runs passes on it, and prints or evaluates it.
#include <charconv>

#include "ir/print.h"
#include "ir/verify.h"
#include "passes/pass.h"
#include "tools/evaluate_module.h"
#include "tools/files.h"
#include "tools/options.h"
#include "tools/pass_options.h"

namespace nncc {
namespace {

struct Arguments {
  std::vector<std::string> inputs;
  std::string output = "-", emit = "nnir", passes;
  PipelineOptions pipeline;
  EvaluateOptions evaluate;
  bool list_ops = false, list_passes = false, version = false, help = false;
};

OptionParser::Action append_to(std::vector<std::string>& list) {
  return [&list](const std::string& value) {
    const size_t equals = value.find('=');
    if (equals == 0 || equals == std::string::npos) return std::string("`NAME=VALUE` is expected");
    list.push_back(value);
    return std::string();
  };
}

template <typename Integer>
OptionParser::Action integer(Integer& result) {
  return [&result](const std::string& value) {
    int64_t parsed;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
    if (error != std::errc() || end != value.data() + value.size())
      return std::string("an integer is expected");
    result = parsed;
    return std::string();
  };
}

OptionParser option_parser(Arguments& a) {
  OptionParser line("nncc-opt", "[MODULE.nnir] [options]",
                    "Runs passes on a module in the text form of its graphs, and prints or evaluates it.\n"
                    "`-` is standard input, the default, or standard output.");
  line.positional(a.inputs);
  line.group("Output");
  line.text("output-file,o", "FILE", "where to write the module (default: -)", a.output);
  line.each("emit", "nnir|dot", "as text that reads back, the default, or as graphs for Graphviz",
            [&a](const std::string& value) {
              if (value != "nnir" && value != "dot") return std::string("`nnir` or `dot` is expected");
              a.emit = value;
              return std::string();
            });

  line.group("Passes");
  line.text("passes", "LIST", "passes and pipelines in order: inline,dce or O2", a.passes);
  add_pass_options(line, a.pipeline);

  line.group("Evaluation, in double precision, instead of printing the module");
  line.text("evaluate", "NAME", "run this entry or function on the reference evaluator", a.evaluate.name);
  line.each("input", "NAME=FILE.npy", "an input; with --steps it may have one more, leading axis for them",
            append_to(a.evaluate.inputs));
  line.each("set", "NAME=VALUE", "a variable's value before the first step: a number or FILE.npy",
            append_to(a.evaluate.set));
  line.each("output", "NAME=FILE.npy",
            "where to write a result, or a variable after the last step;\nother results are printed",
            append_to(a.evaluate.outputs));
  line.each("seed", "N", "seed of the random numbers (default: 0)", integer(a.evaluate.seed));
  line.each("steps", "N", "run an entry N times", integer(a.evaluate.steps));
  line.flag("round", "round to the element type after each op", a.evaluate.round);

  line.group("Information");
  line.flag("list-ops", "the primitives, as a table in Markdown", a.list_ops);
  line.flag("list-passes", "the passes", a.list_passes);
  line.flag("version", "print the version", a.version);
  line.flag("help,h", "print this", a.help);
  return line;
}

bool check(const Module& module, Diagnostics& diags) {
  for (const std::string& violation : verify(module)) diags.error(violation);
  return !diags.has_errors();
}

bool process(const Arguments& a, Diagnostics& diags, SourceManager& sources) {
  if (a.inputs.size() > 1) {
    diags.error("there is more than one input: `" + a.inputs[0] + "`, `" + a.inputs[1] + "`");
    return false;
  }
  const SourceFile* file = read_source(a.inputs.empty() ? "-" : a.inputs[0], sources, diags);
  if (!file) return false;
  const std::unique_ptr<Module> module = parse_nnir(*file, diags);
  if (!module || !check(*module, diags)) return false;
  const std::vector<const PassInfo*> passes = parse_pipeline(a.passes, diags);
  if (diags.has_errors() || !run_pipeline(*module, passes, a.pipeline, diags, llvm::errs())) return false;
  if (!a.evaluate.name.empty()) return evaluate_module(*module, a.evaluate, llvm::outs(), diags);
  const PrintOptions print{.locations = a.pipeline.print.locations, .large_constants = true};
  return write_file(a.output, a.emit == "dot" ? graphviz(*module) : to_string(*module, print), diags);
}

int run(int argc, char** argv) {
  Arguments arguments;
#ifdef NNCC_VERIFY_EACH
  arguments.pipeline.verify_each = true;
#endif
  const OptionParser line = option_parser(arguments);
  SourceManager sources;
  Diagnostics diags;
  bool ok = line.parse(argc, argv, diags);
  if (ok) {
    if (arguments.help)
      llvm::outs() << line.help();
    else if (arguments.version)
      llvm::outs() << "nncc-opt " << NNCC_VERSION << "\n";
    else if (arguments.list_ops)
      llvm::outs() << list_ops();
    else if (arguments.list_passes)
      llvm::outs() << list_passes();
    else
      ok = process(arguments, diags, sources);
  }
  diags.print(llvm::errs());
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace nncc

int main(int argc, char** argv) {
  return nncc::run_tool("nncc-opt", [&] { return nncc::run(argc, argv); });
}
