#include "test/codegen/kernel_library.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "Halide.h"
#include "codegen/kernel.h"
#include "ir/scatter.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/raw_ostream.h"

// The kernels' runtime: pieces of a parallel loop run backwards, as no order is promised.
extern "C" __attribute__((visibility("default"))) int halide_do_par_for(void* user_context,
                                                                        int (*task)(void*, int, uint8_t*),
                                                                        int min, int size, uint8_t* closure) {
  nncc::testing::KernelLibrary::pieces().push_back(size);
  for (int i = min + size; i-- > min;) task(user_context, i, closure);
  return 0;
}

namespace nncc::testing {
namespace {

constexpr size_t kGuard = 64;
constexpr std::byte kGuardByte{0xA5};

// Host memory with guard bytes before and after.
class GuardedBuffer {
 public:
  GuardedBuffer(size_t bytes, size_t alignment) : bytes_(bytes), memory_(bytes + 4 * kGuard, kGuardByte) {
    const size_t address = reinterpret_cast<size_t>(memory_.data()) + kGuard;
    // A multiple of `alignment`, and of nothing more.
    start_ = kGuard + (64 - address % 64) % 64 + alignment;
  }
  std::byte* data() { return memory_.data() + start_; }
  bool intact() const {
    for (size_t i = 0; i < memory_.size(); ++i)
      if ((i < start_ || i >= start_ + bytes_) && memory_[i] != kGuardByte) return false;
    return true;
  }

 private:
  size_t bytes_;
  std::vector<std::byte> memory_;
  size_t start_ = 0;
};

}  // namespace

const TargetInfo& host_target() {
  static const std::unique_ptr<TargetInfo> target = [] {
    Diagnostics diags;
    return find_target("host", diags);
  }();
  return *target;
}

std::vector<int>& KernelLibrary::pieces() {
  static std::vector<int> pieces;
  return pieces;
}

KernelLibrary::KernelLibrary(std::span<const Function> kernels, const CodegenOptions& options,
                             std::vector<Layouts> layouts)
    : kernels_(kernels), layouts_(std::move(layouts)) {
  layouts_.resize(kernels.size());
  std::vector<KernelSource> sources;
  for (size_t i = 0; i < kernels.size(); ++i)
    sources.push_back({&kernels[i], "nn_kernel_" + std::to_string(i), layouts_[i]});
  llvm::LLVMContext context;
  const auto module = compile_kernels(sources, options, context);
  for (llvm::Function& function : *module) {
    if (function.isDeclaration() && !function.isIntrinsic()) undefined_.push_back(function.getName().str());
    if (!function.isDeclaration() && function.hasWeakAnyLinkage())
      function.setVisibility(llvm::GlobalValue::DefaultVisibility);
  }
  llvm::SmallVector<char, 0> object;
  llvm::raw_svector_ostream out(object);
  Halide::compile_llvm_module_to_object(*module, out);

  const std::string base = (std::filesystem::temp_directory_path() / "nncc_kernels_XXXXXX").string();
  std::string directory = base;
  if (!mkdtemp(directory.data())) throw std::runtime_error("no temporary directory");
  const std::filesystem::path folder = directory;
  std::ofstream(folder / "k.o", std::ios::binary)
      .write(object.data(), static_cast<std::streamsize>(object.size()));
  const std::string command = std::string(NNCC_LD_LLD) + " -shared " + (folder / "k.o").string() + " -o " +
                              (folder / "k.so").string();
  if (std::system(command.c_str()) != 0) throw std::runtime_error("cannot link: " + command);
  handle_ = dlopen((folder / "k.so").c_str(), RTLD_NOW | RTLD_LOCAL);
  if (std::getenv("NNCC_KEEP_KERNELS"))
    llvm::errs() << "kernels kept in " << directory << "\n";
  else
    std::filesystem::remove_all(folder);
  if (!handle_) throw std::runtime_error(dlerror());
  for (const KernelSource& source : sources) {
    functions_.push_back(dlsym(handle_, source.symbol.c_str()));
    if (!functions_.back()) throw std::runtime_error("no function " + source.symbol);
  }
}

KernelLibrary::~KernelLibrary() {
  if (handle_) dlclose(handle_);
}

void KernelLibrary::call_raw(size_t i, std::span<void* const> hosts) const {
  constexpr size_t kMost = 40;
  if (hosts.size() > kMost) throw std::invalid_argument("more buffers than call_raw knows");
  std::array<halide_buffer_t, kMost> buffers{};
  for (size_t b = 0; b < hosts.size(); ++b) buffers[b].host = static_cast<uint8_t*>(hosts[b]);
  // Superfluous arguments do no harm in the C calling convention.
  const auto call = [&]<size_t... B>(std::index_sequence<B...>) {
    reinterpret_cast<int (*)(void*, ...)>(functions_[i])(nullptr, &buffers[B]...);
  };
  if (hosts.size() <= 10)
    call(std::make_index_sequence<10>());
  else
    call(std::make_index_sequence<kMost>());
}

std::vector<Literal> KernelLibrary::call(size_t i, std::span<const Literal> arguments,
                                         std::span<const int> in_place) const {
  const Graph& body = kernels_[i].body;
  // In elements; a contiguous one is one row.
  const auto layout_of = [&](size_t r) {
    const int64_t count = body.type(body.results[r].value).num_elements();
    return r < layouts_[i].size() && layouts_[i][r] ? *layouts_[i][r] : RowLayout{count, count};
  };
  std::vector<std::unique_ptr<GuardedBuffer>> buffers;
  std::vector<void*> hosts;
  for (size_t a = 0; a < arguments.size(); ++a) {
    const TensorType& type = arguments[a].type();
    const std::vector<std::byte> bytes = arguments[a].to_bytes();
    buffers.push_back(
        std::make_unique<GuardedBuffer>(bytes.size(), static_cast<size_t>(dtype_size(type.dtype))));
    std::memcpy(buffers.back()->data(), bytes.data(), bytes.size());
    hosts.push_back(buffers.back()->data());
  }
  for (size_t r = 0; r < body.results.size(); ++r) {
    const TensorType& type = body.type(body.results[r].value);
    if (r < in_place.size() && in_place[r] >= 0) {
      hosts.push_back(hosts[static_cast<size_t>(in_place[r])]);
      continue;
    }
    const int64_t element = dtype_size(type.dtype);
    const auto bytes = static_cast<size_t>(layout_of(r).span(type.num_elements()) * element);
    buffers.push_back(std::make_unique<GuardedBuffer>(bytes, static_cast<size_t>(element)));
    std::memset(buffers.back()->data(), static_cast<int>(kGuardByte), bytes);
    hosts.push_back(buffers.back()->data());
    if (const auto x = accumulated_argument(body)) {
      const std::vector<std::byte> bytes = arguments[static_cast<size_t>(*x)].to_bytes();
      std::memcpy(hosts.back(), bytes.data(), bytes.size());
    }
  }
  call_raw(i, hosts);
  for (const auto& buffer : buffers)
    if (!buffer->intact())
      throw std::runtime_error("kernel " + kernels_[i].name + " wrote outside of its buffers");
  std::vector<Literal> results;
  for (size_t r = 0; r < body.results.size(); ++r) {
    const TensorType& type = body.type(body.results[r].value);
    const auto* memory = static_cast<const std::byte*>(hosts[arguments.size() + r]);
    const RowLayout layout = layout_of(r);
    const int64_t row = layout.row * dtype_size(type.dtype), pitch = layout.pitch * dtype_size(type.dtype);
    std::vector<std::byte> bytes;
    for (int64_t left = type.byte_size(); left > 0; memory += pitch) {
      bytes.insert(bytes.end(), memory, memory + row);
      left -= row;
      if (left > 0 && std::any_of(memory + row, memory + pitch, [](std::byte b) { return b != kGuardByte; }))
        throw std::runtime_error("kernel " + kernels_[i].name + " wrote between its rows");
    }
    results.push_back(Literal::from_bytes(type, bytes));
  }
  return results;
}

}  // namespace nncc::testing
