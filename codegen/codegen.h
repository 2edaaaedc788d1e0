// From planned modules to native code. Halide and LLVM stay behind this header.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ir/diagnostic.h"
#include "ir/module.h"

namespace nncc {

// A processor, described by us and never detected by Halide (which takes a Zen 4 for a Sapphire Rapids).
struct TargetInfo {
  std::string name;                        // "x86-64-v4"
  std::string halide;                      // Halide's target string, with the features nncc always sets
  std::string llvm_triple, llvm_cpu;
  std::vector<std::string> cpu_features;   // what loading checks, as in /proc/cpuinfo
  int vector_lanes = 16;                   // f32 lanes of the widest vector
  int vector_registers = 32;
  bool is_host_architecture = true;        // can be loaded on this machine's architecture
};
// "host", "x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64". Unknown: an error naming the known ones, and nothing.
std::unique_ptr<TargetInfo> find_target(std::string_view name, Diagnostics&);
// One line for each name that find_target knows, with what it means.
std::vector<std::string> list_targets();

struct CodegenOptions {
  const TargetInfo* target = nullptr;
  int threads = 2;             // kernels are scheduled for sessions of up to this many; 1: no parallel loop
  int jobs = 0;                // compiling threads; 0: as many as there are processors
  std::string cache_dir;       // empty: no cache
  bool accurate = false;
  std::string model_symbol = "nn_model_v1";
  // What is wanted instead of objects, for --emit.
  bool want_llvm_ir = false, want_assembly = false;
};

struct CompiledModule {
  // Relocatable ELF objects: kernels, then entries and tables. They need the runtime's symbols alone.
  std::vector<std::vector<std::byte>> objects;
  std::string model_symbol;
  std::string llvm_ir, assembly;
  int kernels_compiled = 0, kernels_cached = 0;
  double kernel_seconds = 0, entry_seconds = 0;
};
// The module must have been through plan-memory. Nothing if there were errors.
std::unique_ptr<CompiledModule> compile_module(const Module&, const CodegenOptions&, Diagnostics&);

// What a compiled module can be written as. Nothing is written to `path` unless it is complete.
// A shared library with the embedded runtime, linked with lld; it exports the model's symbol alone.
bool link_shared_library(const CompiledModule&, const TargetInfo&, const std::string& path, Diagnostics&);
// One relocatable object with everything but the runtime.
bool link_object(const CompiledModule&, const TargetInfo&, const std::string& path, Diagnostics&);
// A static library with everything, the runtime included; several models may be linked into one program.
bool link_archive(const CompiledModule&, const TargetInfo&, const std::string& path, Diagnostics&);
// A C++ header with typed functions and sizes for linking statically.
std::string emit_header(const Module&, std::string_view stem);

}  // namespace nncc
