#include "tools/driver.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <thread>

#include "codegen/check_plan.h"
#include "codegen/output_file.h"
#include "frontend/ast.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include "passes/claimed_calls.h"

namespace nncc {
namespace {

struct EmitKindRow {
  EmitKind kind;
  std::string_view name;
  bool text;
};
constexpr EmitKindRow kEmitKinds[] = {
    {EmitKind::SharedLibrary, "so", false}, {EmitKind::Object, "o", false},  {EmitKind::Archive, "a", false},
    {EmitKind::Header, "h", true},          {EmitKind::Program, "nn", true}, {EmitKind::Ir, "nnir", true},
    {EmitKind::Dot, "dot", true},           {EmitKind::LlvmIr, "ll", true},  {EmitKind::Assembly, "s", true},
};
const EmitKindRow& row_of(EmitKind kind) {
  return *std::find_if(std::begin(kEmitKinds), std::end(kEmitKinds),
                       [&](const EmitKindRow& row) { return row.kind == kind; });
}

// A name that may stand in C: what the file is called, without its folder and suffix.
std::string model_name(const std::string& input) {
  std::string name = input == "-" ? "model" : llvm::sys::path::stem(input).str();
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0]))) name.insert(0, "_");
  return name;
}

}  // namespace

std::optional<EmitKind> parse_emit_kind(std::string_view name) {
  for (const EmitKindRow& row : kEmitKinds)
    if (row.name == name) return row.kind;
  return std::nullopt;
}
std::vector<std::string> emit_kind_names() {
  std::vector<std::string> names;
  for (const EmitKindRow& row : kEmitKinds) names.emplace_back(row.name);
  return names;
}
std::string_view emit_kind_name(EmitKind kind) { return row_of(kind).name; }
bool is_text(EmitKind kind) { return row_of(kind).text; }

std::string default_cache_dir() {
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg && *xdg == '/') return std::string(xdg) + "/nncc";
  if (const char* home = std::getenv("HOME"); home && *home == '/') return std::string(home) + "/.cache/nncc";
  return {};
}

Driver::Driver(DriverOptions options, Diagnostics& diags, llvm::raw_ostream& log)
    : options_(std::move(options)), diags_(diags), log_(log) {
  if (llvm::StringRef(options_.input).endswith(".nnir")) options_.input_is_ir = true;
  if (options_.threads == 0)
    options_.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}
Driver::~Driver() = default;

template <class Body>
auto Driver::timed(const char* phase, const Body& body) {
  auto start = std::chrono::steady_clock::now();
  auto result = body();
  times_.emplace_back(phase, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return result;
}

const TargetInfo* Driver::target() {
  if (!target_) target_ = find_target(options_.target, diags_);
  return target_.get();
}

std::shared_ptr<const ast::Program> Driver::parse() {
  return timed("parse", [&] { return parse_program(options_.input, sources_, diags_); });
}

std::unique_ptr<Module> Driver::read_module() {
  std::unique_ptr<Module> module;
  if (options_.input_is_ir) {
    auto buffer = llvm::MemoryBuffer::getFileOrSTDIN(options_.input);
    if (!buffer) {
      diags_.error("cannot read `" + options_.input + "`: " + buffer.getError().message());
      return nullptr;
    }
    const SourceFile& file = sources_.add(options_.input, (*buffer)->getBuffer().str());
    module = timed("parse", [&] { return parse_nnir(file, diags_); });
    if (module)
      for (const std::string& violation : verify(*module)) diags_.error(violation);
  } else {
    program_ = parse();
    if (!program_ || diags_.has_errors()) return nullptr;
    TraceOptions trace;
    trace.constants = options_.constants;
    trace.float_type = options_.float_type;
    trace.kept_calls.insert(std::begin(kClaimedCalls), std::end(kClaimedCalls));
    trace.gradient_entries = options_.gradient_entries;
    trace.loss_entries = options_.loss_entries;
    module = timed("trace", [&] { return trace_program(*program_, trace, diags_); });
  }
  if (!module || diags_.has_errors()) return nullptr;
  if (!options_.name.empty())
    module->name = options_.name;
  else if (!options_.input_is_ir)
    module->name = model_name(options_.input);
  return module;
}

std::unique_ptr<Module> Driver::build_module() {
  if (!target()) return nullptr;
  auto passes = parse_pipeline(options_.passes.value_or("O" + std::to_string(options_.opt_level)), diags_);
  if (diags_.has_errors()) return nullptr;
  std::unique_ptr<Module> module = read_module();
  if (!module) return nullptr;
  options_.pipeline.pass.vector_lanes = target()->vector_lanes;
  bool ok = timed("passes", [&] { return run_pipeline(*module, passes, options_.pipeline, diags_, log_); });
  if (!ok) return nullptr;
  return module;
}

std::unique_ptr<CompiledModule> Driver::compile(const Module& module, EmitKind kind) {
  if (!target()) return nullptr;
  if (std::string reason = why_not_planned(module); !reason.empty()) {
    diags_.error("the program cannot become machine code yet: " + reason)
        .note(
            "the passes must include all of `O0` up to `plan-memory`; what they left can be written as "
            "`.nnir` or `.dot`");
    return nullptr;
  }
  CodegenOptions codegen;
  codegen.target = target();
  codegen.threads = options_.threads;
  codegen.jobs = options_.jobs;
  codegen.cache_dir = options_.cache_dir;
  codegen.accurate = options_.pipeline.pass.accurate;
  codegen.want_llvm_ir = kind == EmitKind::LlvmIr;
  codegen.want_assembly = kind == EmitKind::Assembly;
  if (kind == EmitKind::Object || kind == EmitKind::Archive) codegen.model_symbol += "_" + module.name;
  auto compiled = compile_module(module, codegen, diags_);
  if (!compiled) return nullptr;
  times_.emplace_back("kernels", compiled->kernel_seconds);
  times_.emplace_back("entries", compiled->entry_seconds);
  if (options_.pipeline.stats)
    log_ << "codegen: " << compiled->kernels_compiled
         << " kernels compiled\ncodegen: " << compiled->kernels_cached << " kernels from the cache\n";
  return compiled;
}

bool Driver::write_binary(const Module& module, EmitKind kind, const std::string& output) {
  auto compiled = compile(module, kind);
  if (!compiled) return false;
  return timed("link", [&] {
    switch (kind) {
      case EmitKind::SharedLibrary:
        return link_shared_library(*compiled, *target(), output, diags_);
      case EmitKind::Object:
        return link_object(*compiled, *target(), output, diags_);
      case EmitKind::Archive:
        return link_archive(*compiled, *target(), output, diags_);
      case EmitKind::LlvmIr:
        return write_output(output, compiled->llvm_ir, false, diags_);
      case EmitKind::Assembly:
        return write_output(output, compiled->assembly, false, diags_);
      default:
        NNCC_UNREACHABLE("not made by codegen");
    }
  });
}

bool Driver::write_depfile(const std::string& output) {
  auto escaped = [](const std::string& path) {
    std::string text;
    for (char c : path) {
      if (c == ' ' || c == '#' || c == '\\') text += '\\';
      if (c == '$') text += '$';
      text += c;
    }
    return text;
  };
  std::string rule = escaped(output) + ":";
  if (!program_) rule += " " + escaped(options_.input);
  if (program_)
    for (const auto& file : program_->files)
      if (!file->source->is_library) rule += " " + escaped(file->source->path);
  return write_output(options_.depfile, rule + "\n", false, diags_);
}

bool Driver::compile_file(EmitKind kind, const std::string& output) {
  return write_kind(kind, output) && (options_.depfile.empty() || write_depfile(output));
}

bool Driver::write_kind(EmitKind kind, const std::string& output) {
  if (kind == EmitKind::Program) {
    if (options_.input_is_ir) {
      diags_.error("a .nnir file cannot be printed as a program");
      return false;
    }
    program_ = parse();
    return program_ && !diags_.has_errors() && write_output(output, print_program(*program_), false, diags_);
  }
  std::unique_ptr<Module> module = build_module();
  if (!module) return false;
  switch (kind) {
    case EmitKind::Ir: {
      PrintOptions options;
      options.large_constants = true;
      return write_output(output, to_string(*module, options), false, diags_);
    }
    case EmitKind::Dot:
      return write_output(output, graphviz(*module), false, diags_);
    case EmitKind::Header:
      return write_output(output, emit_header(*module, module->name), false, diags_);
    default:
      return write_binary(*module, kind, output);
  }
}

void Driver::print_times() const {
  double total = 0;
  for (const auto& [phase, time] : times_) total += time;
  log_ << "   ms      %  phase\n";
  auto line = [&](double time, const std::string& what) {
    log_ << llvm::format("%8.2f %5.1f  ", time * 1e3, total > 0 ? 100 * time / total : 0.0) << what << '\n';
  };
  for (const auto& [phase, time] : times_) line(time, phase);
  line(total, "total");
}

}  // namespace nncc
