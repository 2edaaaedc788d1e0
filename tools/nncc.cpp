// nncc: compiles a program to a library.
#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include "tools/driver.h"
#include "tools/list_library.h"
#include "tools/options.h"
#include "tools/pass_options.h"

namespace nncc {
namespace {

struct Arguments {
  DriverOptions driver;
  std::vector<std::string> inputs;
  std::string output, emit;
  bool no_cache = false;
  bool help = false, version = false;
  bool list_library = false, list_ops = false, list_targets = false, list_passes = false;
};

OptionParser option_parser(Arguments& a) {
  OptionParser line(
      "nncc", "MODEL.nn [-o OUTPUT] [options]",
      "Compiles a network, written in the nncc language or as .nnir, to a library that runs and trains it.\n"
      "`-` is standard input or output.");
  line.positional(a.inputs);
  line.group("Output");
  line.text("output,o", "FILE",
            "what to write; the suffix says what it is:\n"
            ".so .o .a .h .nn .nnir .dot .ll .s (default: MODEL.so)",
            a.output);
  line.text("emit", "KIND",
            "what to write, whatever the suffix: so, o, a, …;\ntext goes to standard output without -o",
            a.emit);
  line.text("depfile", "FILE", "also write what the output depends on, as a rule for make", a.driver.depfile);
  line.text("name", "NAME", "the model's name in static libraries and headers\n(default: the input's)",
            a.driver.name);

  line.group("The program");
  line.each("set", "NAME=VALUE", "overrides a `const` of the program; may be repeated",
            [&a](const std::string& value) {
              size_t equals = value.find('=');
              if (equals == 0 || equals == std::string::npos) return std::string("`NAME=VALUE` is expected");
              a.driver.constants[value.substr(0, equals)] = value.substr(equals + 1);
              return std::string();
            });
  line.each("float", "TYPE", "what `f32` means: f32 or f64 (default: f32)", [&a](const std::string& value) {
    auto type = parse_dtype(value);
    if (type != DType::F32 && type != DType::F64) return std::string("`f32` or `f64` is expected");
    a.driver.float_type = *type;
    return std::string();
  });
  line.flag("gradients", "train entries return gradients and change nothing", a.driver.gradient_entries);
  line.flag("ir", "the input is .nnir, whatever its name", a.driver.input_is_ir);

  line.group("Code");
  line.text("target", "NAME", "the processor to compile for, see --list-targets\n(default: host)",
            a.driver.target);
  line.each("O", "0|1|2", "how much to optimize (default: 2)", [&a](const std::string& value) {
    if (value != "0" && value != "1" && value != "2") return std::string("there are -O0, -O1 and -O2");
    a.driver.opt_level = value[0] - '0';
    return std::string();
  });
  line.count("threads", "N",
             "up to how many threads a session will use\n(default: as many as this machine has)",
             a.driver.threads);
  line.count("jobs,j", "N", "threads to compile with (default: all)", a.driver.jobs);
  line.text("cache-dir", "DIR",
            "where compiled kernels are kept\n(default: $XDG_CACHE_HOME/nncc or ~/.cache/nncc)",
            a.driver.cache_dir);
  line.flag("no-cache", "keep and use no compiled kernels", a.no_cache);

  line.group("Passes");
  line.each("passes", "LIST", "run these instead of those of -O; see --list-passes",
            [&a](const std::string& value) {
              a.driver.passes = value;
              return std::string();
            });
  add_pass_options(line, a.driver.pipeline);

  line.group("Information");
  line.flag(
      "list-library",
      "the functions of the standard library, and which of them\nhave a kernel, a gradient and a double "
      "gradient",
      a.list_library);
  line.flag("list-ops", "the primitives, likewise", a.list_ops);
  line.flag("list-passes", "the passes", a.list_passes);
  line.flag("list-targets", "the processors", a.list_targets);
  line.flag("version", "print the version", a.version);
  line.flag("help,h", "print this", a.help);
  return line;
}

// True if some information was asked for, and printed.
bool print_information(const Arguments& a, const OptionParser& line) {
  llvm::raw_ostream& out = llvm::outs();
  auto list = [&](const std::vector<std::string>& lines) {
    for (const std::string& l : lines) out << l << '\n';
  };
  if (a.help) return out << line.help(), true;
  if (a.version) return out << "nncc " << NNCC_VERSION << '\n', true;
  if (a.list_library) return out << list_library(), true;
  if (a.list_targets) return list(list_targets()), true;
  if (a.list_ops) return out << list_primitives(), true;
  if (a.list_passes) return out << list_passes(), true;
  return false;
}

std::string quoted_list(const std::vector<std::string>& names, const char* prefix) {
  std::string list;
  for (const std::string& name : names)
    list += (list.empty() ? "`" : ", `") + std::string(prefix) + name + "`";
  return list;
}

// What to write and where, from --emit and -o. Nothing after an error.
std::optional<EmitKind> choose_output(Arguments& a, Diagnostics& diags) {
  std::optional<EmitKind> kind;
  if (!a.emit.empty()) {
    kind = parse_emit_kind(a.emit);
    if (!kind) {
      diags.error("`--emit=" + a.emit + "`: there are " + quoted_list(emit_kind_names(), ""));
      return std::nullopt;
    }
  } else if (!a.output.empty() && a.output != "-") {
    llvm::StringRef suffix = llvm::sys::path::extension(a.output);
    kind = parse_emit_kind(suffix.ltrim('.').str());
    if (!kind || suffix.empty()) {
      diags.error("cannot tell what to write from the name `" + a.output + "`")
          .note("the suffixes are " + quoted_list(emit_kind_names(), "."))
          .note("or say it with `--emit`");
      return std::nullopt;
    }
  } else if (a.output == "-") {
    diags.error("what to write to standard output must be said with `--emit`");
    return std::nullopt;
  }
  if (!kind) kind = EmitKind::SharedLibrary;
  if (a.output.empty()) {
    const std::string& input = a.inputs[0];
    std::string stem = input == "-" ? "model" : llvm::sys::path::stem(input).str();
    a.output = is_text(*kind) ? "-" : stem + "." + std::string(emit_kind_name(*kind));
  }
  return kind;
}

bool is_identifier(const std::string& name) {
  auto word = [](unsigned char c) { return std::isalnum(c) || c == '_'; };
  return !std::isdigit(static_cast<unsigned char>(name[0])) && std::all_of(name.begin(), name.end(), word);
}

bool check(const Arguments& a, Diagnostics& diags) {
  if (a.inputs.empty()) {
    diags.error("no input").note("usage: `nncc MODEL.nn -o MODEL.so`; `nncc --help` says more");
    return false;
  }
  if (a.inputs.size() > 1) {
    diags.error("one input is expected, but there are `" + a.inputs[0] + "` and `" + a.inputs[1] + "`")
        .note("a program takes in others with `import`");
    return false;
  }
  if (!a.driver.name.empty() && !is_identifier(a.driver.name)) {
    diags.error("`--name=" + a.driver.name + "`: letters, digits and `_` are expected, no digit first");
    return false;
  }
  return true;
}

// Prints what there is to say while the sources live.
bool compile(Arguments& a, Diagnostics& diags) {
  std::optional<EmitKind> kind;
  if (check(a, diags)) kind = choose_output(a, diags);
  if (!kind) {
    diags.print(llvm::errs());
    return false;
  }
  a.driver.input = a.inputs[0];
  if (a.no_cache)
    a.driver.cache_dir.clear();
  else if (a.driver.cache_dir.empty())
    a.driver.cache_dir = default_cache_dir();
  Driver driver(a.driver, diags, llvm::errs());
  bool ok = driver.compile_file(*kind, a.output);
  if (ok && a.driver.pipeline.time_passes) driver.print_times();
  diags.print(llvm::errs());
  return ok;
}

int main(int argc, char** argv) {
  Arguments arguments;
#ifdef NNCC_VERIFY_EACH
  arguments.driver.pipeline.verify_each = true;
#endif
  OptionParser line = option_parser(arguments);
  Diagnostics diags;
  if (!line.parse(argc, argv, diags)) {
    diags.print(llvm::errs());
    return 1;
  }
  if (print_information(arguments, line)) return 0;
  return compile(arguments, diags) ? 0 : 1;
}

}  // namespace
}  // namespace nncc

int main(int argc, char** argv) {
  return nncc::run_tool("nncc", [&] { return nncc::main(argc, argv); });
}
