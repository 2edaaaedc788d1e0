// nnrun info
#include <algorithm>

#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"
#include "tools/nnrun/common.h"
#include "tools/nnrun/verbs.h"

namespace nncc {
namespace {

uint64_t flops_of(const nn_entry_info& entry) {
  uint64_t flops = 0;
  for (const nn_kernel_info& kernel : kernels_of(entry)) flops += kernel.flops;
  return flops;
}

std::string tensor_list(std::span<const nn_tensor_info> tensors) {
  std::string text;
  for (const nn_tensor_info& t : tensors)
    text += (text.empty() ? "" : ", ") + std::string(t.name) + ": " + nn::type_name(t);
  return "(" + text + ")";
}

uint64_t elements_of(const nn_tensor_info& tensor) { return tensor.bytes / nn::dtype_size(tensor.dtype); }

std::string grouped(uint64_t number) {
  std::string text = std::to_string(number);
  for (size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

void print_entries(const nn::Library& library, bool kernels) {
  llvm::raw_ostream& out = llvm::outs();
  out << "\nentries\n";
  for (const nn_entry_info& entry : library.entries()) {
    out << "  " << entry_kind(entry) << ' ' << entry.name << tensor_list(inputs_of(entry)) << " -> "
        << tensor_list(outputs_of(entry)) << '\n';
    out << "    " << entry.num_kernels << (entry.num_kernels == 1 ? " kernel, " : " kernels, ")
        << flop_text(static_cast<double>(flops_of(entry))) << " a call, "
        << byte_text(static_cast<double>(entry.arena_bytes)) << " of workspace\n";
    if (!kernels) continue;
    for (const nn_kernel_info& kernel : kernels_of(entry))
      out << "      " << kernel.name << ", " << flop_text(static_cast<double>(kernel.flops)) << ", "
          << byte_text(static_cast<double>(kernel.bytes)) << '\n';
  }
}

void print_variables(const nn::Library& library, bool all) {
  llvm::raw_ostream& out = llvm::outs();
  out << "\nvariables\n";
  for (int kind = NN_PARAMETER; kind <= NN_HOISTED; ++kind) {
    uint64_t tensors = 0, elements = 0, bytes = 0;
    for (const nn_variable_info& v : library.variables()) {
      if (v.kind != kind) continue;
      ++tensors;
      elements += elements_of(v.tensor);
      bytes += v.tensor.bytes;
    }
    if (tensors == 0) continue;
    out << "  " << variable_kind(static_cast<nn_variable_kind>(kind)) << ": " << tensors
        << (tensors == 1 ? " tensor, " : " tensors, ") << grouped(elements)
        << (elements == 1 ? " number, " : " numbers, ") << byte_text(static_cast<double>(bytes)) << '\n';
    for (const nn_variable_info& v : library.variables())
      if (v.kind == kind && (all || kind == NN_HYPER))
        out << "    " << v.tensor.name << ": " << nn::type_name(v.tensor) << '\n';
  }
}

llvm::json::Array describe(std::span<const nn_tensor_info> tensors) {
  llvm::json::Array list;
  for (const nn_tensor_info& t : tensors)
    list.push_back(llvm::json::Object{
        {"name", t.name}, {"dtype", nn::dtype_name(t.dtype)}, {"shape", llvm::json::Array(nn::shape_of(t))}});
  return list;
}

void print_json(const nn::Library& library) {
  const nn_model& model = library.model();
  llvm::json::Array entries, variables, features;
  for (const nn_entry_info& entry : library.entries()) {
    llvm::json::Array kernels;
    for (const nn_kernel_info& k : kernels_of(entry))
      kernels.push_back(llvm::json::Object{{"name", k.name},
                                           {"flops", static_cast<int64_t>(k.flops)},
                                           {"bytes", static_cast<int64_t>(k.bytes)}});
    entries.push_back(llvm::json::Object{{"name", entry.name},
                                         {"kind", entry_kind(entry)},
                                         {"inputs", describe(inputs_of(entry))},
                                         {"outputs", describe(outputs_of(entry))},
                                         {"kernels", std::move(kernels)},
                                         {"flops", static_cast<int64_t>(flops_of(entry))},
                                         {"arena_bytes", static_cast<int64_t>(entry.arena_bytes)}});
  }
  for (const nn_variable_info& v : library.variables()) {
    variables.push_back(llvm::json::Object{{"name", v.tensor.name},
                                           {"kind", variable_kind(v.kind)},
                                           {"dtype", nn::dtype_name(v.tensor.dtype)},
                                           {"shape", llvm::json::Array(nn::shape_of(v.tensor))}});
  }
  for (const char* const* name = model.cpu_features; name && *name; ++name) features.push_back(*name);
  llvm::json::Object all{{"name", model.name},
                         {"compiler", model.compiler},
                         {"target", model.target},
                         {"cpu_features", std::move(features)},
                         {"variable_bytes", static_cast<int64_t>(model.variable_bytes)},
                         {"arena_bytes", static_cast<int64_t>(model.arena_bytes)},
                         {"entries", std::move(entries)},
                         {"variables", std::move(variables)}};
  llvm::outs() << llvm::formatv("{0:2}", llvm::json::Value(std::move(all))) << '\n';
}

}  // namespace

int info_verb(int argc, const char* const* argv) {
  SessionArguments arguments;
  bool json = false, all = false, kernels = false;
  OptionParser line(argv[0], "MODEL.so [options]", "Says what a compiled model is.");
  arguments.add_library(line);
  line.group("What to print");
  line.flag("variables", "every variable with its shape", all);
  line.flag("kernels", "every kernel with its work", kernels);
  line.flag("json", "everything, for programs to read", json);
  int status;
  if (!parse_verb(line, arguments, argc, argv, status)) return status;
  const nn::Library library = arguments.open();
  if (json) {
    print_json(library);
    return 0;
  }
  const nn_model& model = library.model();
  llvm::outs() << library.name() << ", compiled by " << library.compiler() << " for " << library.target()
               << '\n';
  print_entries(library, kernels);
  print_variables(library, all);
  llvm::outs() << "\na session takes "
               << byte_text(static_cast<double>(model.variable_bytes + model.arena_bytes)) << ": variables "
               << byte_text(static_cast<double>(model.variable_bytes)) << ", workspace "
               << byte_text(static_cast<double>(model.arena_bytes)) << '\n';
  return 0;
}

}  // namespace nncc
