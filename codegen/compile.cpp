// A planned module to objects: every kernel on its own, in parallel and from the cache, then entries and
// tables.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "codegen/cache.h"
#include "codegen/codegen.h"
#include "codegen/emit.h"
#include "codegen/entry.h"
#include "codegen/kernel.h"
#include "codegen/tables.h"
#include "ir/print.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"

namespace nncc {
namespace {

// One native function; several functions of a module may share it.
struct KernelJob {
  const Function* function = nullptr;
  std::vector<std::optional<RowLayout>> layouts;  // of its results
  std::string key;                                // of the cache
  std::string symbol() const { return "nn_kernel_" + key.substr(0, 16); }
};

struct KernelJobs {
  std::vector<KernelJob> jobs;  // in the order of first use
  KernelSymbols symbols;
};

std::string kernel_key(const Function& function, const std::vector<std::optional<RowLayout>>& layouts,
                       const CodegenOptions& options) {
  std::string text = build_identity();
  text += "\nkernels " + std::to_string(kKernelVersion) + "\n" + options.target->halide + " " +
          options.target->llvm_cpu;
  text += "\nthreads " + std::to_string(options.threads) + (options.accurate ? " accurate\n" : "\n");
  for (size_t i = 0; i < layouts.size(); ++i)
    if (layouts[i])
      text += "result " + std::to_string(i) + " in rows of " + std::to_string(layouts[i]->row) + " every " +
              std::to_string(layouts[i]->pitch) + "\n";
  return content_hash(text + canonical_text(function.body));
}

// Kernels count elements in 32 bits. What a program names was checked when it was traced; passes join what
// it names, such as the parameters of an update.
bool check_sizes(const Module& module, Diagnostics& diags) {
  bool good = true;
  // Where the user's own text leads there.
  const auto place = [](const Location& location) {
    SourceRange range = location.range;
    for (const CallFrame* frame = location.frame.get(); frame; frame = frame->caller.get())
      range = frame->call;
    return range;
  };
  const auto check = [&](const Graph& graph) {
    for (const NodeId id : graph.nodes()) {
      if (graph[id].op != Op::Kernel) continue;
      const Graph& body = module.find_function(graph[id].attributes.string(Attr::Symbol))->body;
      for (const NodeId inner : body.nodes())
        for (const TensorType& type : body[inner].types) {
          if (type.num_elements() <= INT32_MAX) continue;
          diags.error(place(graph[id].location), "a tensor of " + type.str() +
                                                     " is made here, which is too large: " +
                                                     std::to_string(INT32_MAX) + " elements are the most");
          good = false;
          break;
        }
    }
  };
  for (const Entry& entry : module.entries) check(entry.graph), check(entry.prepare);
  for (const Function& function : module.functions)
    if (function.kind == FunctionKind::Step) check(function.body);
  return good;
}

KernelJobs collect_kernels(const Module& module, const CodegenOptions& options) {
  KernelJobs result;
  std::set<std::string> keys;
  auto collect = [&](const Graph& graph) {
    for (NodeId id : graph.topological_order()) {
      if (graph[id].op != Op::Kernel) continue;
      const std::string variant = kernel_variant(graph, id);
      if (result.symbols.count(variant)) continue;
      const std::string& name = graph[id].attributes.string(Attr::Symbol);
      const Function* function = module.find_function(name);
      NNCC_CHECK(function, "no function `" + name + "` for a kernel node");
      KernelJob job{function, result_layouts(graph, id), {}};
      job.key = kernel_key(*function, job.layouts, options);
      result.symbols[variant] = job.symbol();
      if (keys.insert(job.key).second) result.jobs.push_back(std::move(job));
    }
  };
  for (const Entry& entry : module.entries) {
    collect(entry.graph);
    collect(entry.prepare);
  }
  for (const Function& function : module.functions)
    if (function.kind == FunctionKind::Step) collect(function.body);
  return result;
}

// Runs body(i) for each i in [0, count) on up to `threads` threads. If some throw, the first by index is
// thrown on.
template <class Body>
void parallel_for(size_t count, int threads, const Body& body) {
  if (threads <= 0) threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::vector<std::exception_ptr> errors(count);
  std::atomic<size_t> next{0};
  auto work = [&] {
    for (size_t i; (i = next++) < count;) {
      try {
        body(i);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  };
  std::vector<std::thread> pool;
  for (size_t i = 1; i < std::min(count, static_cast<size_t>(threads)); ++i) pool.emplace_back(work);
  work();
  for (std::thread& thread : pool) thread.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

std::vector<std::vector<std::byte>> compile_objects(const std::vector<KernelJob>& jobs,
                                                    const CodegenOptions& options, CompiledModule& result) {
  ObjectCache cache(options.cache_dir);
  std::vector<std::vector<std::byte>> objects(jobs.size());
  std::vector<size_t> missing;
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (auto object = cache.find(jobs[i].key))
      objects[i] = std::move(*object);
    else
      missing.push_back(i);
  }
  // The largest first, so that no thread is left alone with one at the end.
  std::stable_sort(missing.begin(), missing.end(), [&](size_t a, size_t b) {
    return jobs[a].function->body.num_nodes() > jobs[b].function->body.num_nodes();
  });
  parallel_for(missing.size(), options.jobs, [&](size_t m) {
    const KernelJob& job = jobs[missing[m]];
    KernelSource source{job.function, job.symbol(), job.layouts};
    std::vector<std::byte> object = compile_kernels_to_object({&source, 1}, options);
    cache.store(job.key, object);
    objects[missing[m]] = std::move(object);
  });
  if (!missing.empty()) cache.trim();
  result.kernels_compiled = static_cast<int>(missing.size());
  result.kernels_cached = static_cast<int>(jobs.size() - missing.size());
  return objects;
}

std::unique_ptr<llvm::Module> model_module(const Module& module, const CodegenOptions& options,
                                           const KernelSymbols& symbols, const llvm::TargetMachine& machine,
                                           llvm::LLVMContext& context) {
  auto result = std::make_unique<llvm::Module>(module.name, context);
  result->setTargetTriple(options.target->llvm_triple);
  result->setDataLayout(machine.createDataLayout());
  std::vector<EntryFunctions> functions;
  for (const Entry& entry : module.entries) functions.push_back(emit_entry(module, entry, symbols, *result));
  emit_tables(module, *options.target, functions, options.model_symbol, *result);
  return result;
}

// Everything as one LLVM module, for people to read.
void compile_text(const Module& module, const KernelJobs& kernels, const CodegenOptions& options,
                  llvm::TargetMachine& machine, CompiledModule& result) {
  llvm::LLVMContext context;
  auto all = model_module(module, options, kernels.symbols, machine, context);
  std::vector<KernelSource> sources;
  for (const KernelJob& job : kernels.jobs) sources.push_back({job.function, job.symbol(), job.layouts});
  if (!sources.empty()) {
    auto compiled = compile_kernels(sources, options, context);
    compiled->setTargetTriple(all->getTargetTriple());
    compiled->setDataLayout(all->getDataLayout());
    NNCC_CHECK(!llvm::Linker::linkModules(*all, std::move(compiled)), "kernels and entries do not link");
  }
  result.kernels_compiled = static_cast<int>(sources.size());
  if (options.want_llvm_ir) {
    llvm::raw_string_ostream stream(result.llvm_ir);
    all->print(stream, nullptr);
  }
  if (options.want_assembly) result.assembly = emit_assembly(*all, machine);
}

}  // namespace

std::unique_ptr<CompiledModule> compile_module(const Module& module, const CodegenOptions& options,
                                               Diagnostics& diags) {
  NNCC_CHECK(options.target, "no target to compile for");
  if (!check_sizes(module, diags)) return nullptr;
  using Clock = std::chrono::steady_clock;
  auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
  auto result = std::make_unique<CompiledModule>();
  result->model_symbol = options.model_symbol;
  auto machine = make_target_machine(*options.target);
  auto start = Clock::now();
  KernelJobs kernels = collect_kernels(module, options);
  if (options.want_llvm_ir || options.want_assembly) {
    compile_text(module, kernels, options, *machine, *result);
    result->kernel_seconds = seconds(Clock::now() - start);
    return result;
  }
  result->objects = compile_objects(kernels.jobs, options, *result);
  auto middle = Clock::now();
  llvm::LLVMContext context;
  auto model = model_module(module, options, kernels.symbols, *machine, context);
  result->objects.push_back(emit_object(*model, *machine));
  result->kernel_seconds = seconds(middle - start);
  result->entry_seconds = seconds(Clock::now() - middle);
  return result;
}

}  // namespace nncc
