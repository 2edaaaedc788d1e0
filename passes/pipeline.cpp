// Pipelines: from text to passes, and running them with everything one wants to see on the way.
#include <algorithm>
#include <chrono>
#include <iterator>

#include "ir/print.h"
#include "ir/verify.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include "passes/pass.h"
#include "passes/pipelines.h"

namespace nncc {
namespace {

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\n");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1);
}

std::string quoted(std::string_view name) { return "`" + std::string(name) + "`"; }

void unknown_pass(std::string_view name, bool pipelines_too, Diagnostics& diags) {
  std::vector<std::string> candidates;
  for (const PassInfo& pass : all_passes()) candidates.emplace_back(pass.name);
  if (pipelines_too)
    for (const NamedPipeline& p : named_pipelines()) candidates.emplace_back(p.name);
  auto error = diags.error("no pass is called " + quoted(name));
  const std::string nearest = nearest_name(std::string(name), candidates);
  if (!nearest.empty()) {
    error.note("did you mean " + quoted(nearest) + "?");
    return;
  }
  std::string known;
  for (const std::string& c : candidates) known += (known.empty() ? "" : ", ") + c;
  error.note("there are " + known);
}

bool append_passes(std::string_view text, std::vector<const PassInfo*>& passes, Diagnostics& diags) {
  bool ok = true;
  while (!text.empty()) {
    const auto comma = text.find(',');
    const std::string_view name = trim(text.substr(0, comma));
    text = comma == text.npos ? std::string_view{} : text.substr(comma + 1);
    if (name.empty()) continue;
    const auto pipelines = named_pipelines();
    const auto named = std::find_if(pipelines.begin(), pipelines.end(),
                                    [&](const NamedPipeline& p) { return p.name == name; });
    if (named != pipelines.end()) {
      ok &= append_passes(named->passes, passes, diags);
    } else if (const PassInfo* pass = find_pass(name)) {
      passes.push_back(pass);
    } else {
      unknown_pass(name, true, diags);
      ok = false;
    }
  }
  return ok;
}

bool check_order(std::span<const PassInfo* const> passes, Diagnostics& diags) {
  bool ok = true;
  for (const PassOrder& order : pass_orders()) {
    const auto is = [](std::string_view name) {
      return [name](const PassInfo* p) { return p->name == name; };
    };
    const auto first_after = std::find_if(passes.begin(), passes.end(), is(order.after));
    if (std::find_if(first_after, passes.end(), is(order.before)) == passes.end()) continue;
    diags.error("pass " + quoted(order.before) + " must come before " + quoted(order.after) + ": " +
                std::string(order.reason));
    ok = false;
  }
  return ok;
}

bool names_pass(const std::vector<std::string>& names, std::string_view pass) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& n) { return n == "all" || n == pass; });
}

bool check_names(const PipelineOptions& options, std::span<const PassInfo* const> passes,
                 Diagnostics& diags) {
  bool ok = true;
  for (const auto* names : {&options.print_before, &options.print_after}) {
    for (const std::string& name : *names) {
      if (name == "all" || find_pass(name)) continue;
      unknown_pass(name, false, diags);
      ok = false;
    }
  }
  if (options.stop_after.empty()) return ok;
  if (!find_pass(options.stop_after)) {
    unknown_pass(options.stop_after, false, diags);
    return false;
  }
  if (std::none_of(passes.begin(), passes.end(), [&](auto* p) { return p->name == options.stop_after; })) {
    diags.error("cannot stop after " + quoted(options.stop_after) + ": it is not in the pipeline");
    return false;
  }
  return ok;
}

// Where the reports of one run go, and what they need to remember.
class Reporter {
 public:
  Reporter(const PipelineOptions& options, Diagnostics& diags, llvm::raw_ostream& log)
      : options_(options), diags_(diags), log_(log) {}

  bool start(const Module& module) {
    if (options_.dump_dir.empty()) return true;
    if (const std::error_code error = llvm::sys::fs::create_directories(options_.dump_dir)) {
      diags_.error("cannot make the folder " + quoted(options_.dump_dir) + ": " + error.message());
      return false;
    }
    return dump(module, 0, "input");
  }

  void before(const Module& module, std::string_view pass) {
    if (names_pass(options_.print_before, pass)) show(module, "before", pass);
  }

  bool after(const Module& module, size_t index, std::string_view pass, bool changed, double milliseconds,
             const PassContext& context) {
    // With `all`, what a pass left alone isn't repeated.
    const auto& names = options_.print_after;
    if (changed || std::find(names.begin(), names.end(), pass) != names.end()) {
      if (names_pass(names, pass)) show(module, "after", pass);
    } else if (names_pass(names, pass)) {
      log_ << "// -----// IR after " << pass << " (no change) //----- //\n";
    }
    if (options_.stats) {
      for (const auto& [what, n] : context.statistics) log_ << pass << ": " << n << ' ' << what << '\n';
      log_ << context.table;
    }
    times_.emplace_back(pass, milliseconds);
    return !changed || options_.dump_dir.empty() || dump(module, index + 1, pass);
  }

  void finish() {
    if (!options_.time_passes) return;
    double total = 0;
    for (const auto& [pass, time] : times_) total += time;
    log_ << "   ms      %  pass\n";
    for (const auto& [pass, time] : times_)
      log_ << llvm::format("%8.2f %5.1f  ", time, total > 0 ? 100 * time / total : 0.0) << pass << '\n';
    log_ << llvm::format("%8.2f %5.1f  ", total, 100.0) << "total\n";
  }

 private:
  void show(const Module& module, std::string_view when, std::string_view pass) {
    log_ << "// -----// IR " << when << ' ' << pass << " //----- //\n";
    print(module, log_, options_.print);
    log_.flush();
  }

  bool dump(const Module& module, size_t number, std::string_view pass) {
    llvm::SmallString<128> path(options_.dump_dir);
    std::string name;
    llvm::raw_string_ostream(name) << llvm::format("%02u-", static_cast<unsigned>(number)) << pass << ".nnir";
    llvm::sys::path::append(path, name);
    std::error_code error;
    llvm::raw_fd_ostream file(path, error);
    if (!error) {
      print(module, file, {.locations = false, .large_constants = true});  // to be read back
      file.close();
      error = file.error();
      file.clear_error();
    }
    if (!error) return true;
    diags_.error("cannot write " + quoted(path.str().str()) + ": " + error.message());
    return false;
  }

  const PipelineOptions& options_;
  Diagnostics& diags_;
  llvm::raw_ostream& log_;
  std::vector<std::pair<std::string, double>> times_;
};

void demand_valid(const Module& module, const Module& before, std::string_view pass) {
  const std::vector<std::string> violations = verify(module);
  if (violations.empty()) return;
  std::string message = "pass " + quoted(pass) + " broke the graph:\n";
  for (const std::string& v : violations) message += "  " + v + "\n";
  message += "// -----// IR before " + std::string(pass) + " //----- //\n" + to_string(before);
  message += "// -----// IR after " + std::string(pass) + " //----- //\n" + to_string(module);
  throw InternalError(message);
}

bool run_pass(const PassInfo& pass, Module& module, PassContext& context) {
  try {
    return pass.run(module, context);
  } catch (const InternalError& error) {
    throw InternalError("in pass " + quoted(pass.name) + ": " + error.what());
  }
}

}  // namespace

std::vector<const PassInfo*> parse_pipeline(std::string_view text, Diagnostics& diags) {
  std::vector<const PassInfo*> passes;
  if (!append_passes(text, passes, diags) || !check_order(passes, diags)) return {};
  return passes;
}

bool run_pipeline(Module& module, std::span<const PassInfo* const> passes, const PipelineOptions& options,
                  Diagnostics& diags, llvm::raw_ostream& log) {
  Reporter reporter(options, diags, log);
  if (!check_names(options, passes, diags) || !reporter.start(module)) return false;
  const int errors_before = diags.error_count();
  for (size_t i = 0; i < passes.size() && diags.error_count() == errors_before; ++i) {
    const PassInfo& pass = *passes[i];
    reporter.before(module, pass.name);
    std::optional<Module> before;
    if (options.verify_each) before = module;
    PassContext context(options.pass, diags);
    const auto start = std::chrono::steady_clock::now();
    const bool changed = run_pass(pass, module, context);
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    if (diags.error_count() != errors_before) break;
    if (before) demand_valid(module, *before, pass.name);
    if (!reporter.after(module, i, pass.name, changed, time.count(), context)) break;
    if (pass.name == options.stop_after) break;
  }
  reporter.finish();
  return diags.error_count() == errors_before;
}

}  // namespace nncc
