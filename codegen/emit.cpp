#include "codegen/emit.h"

#include <mutex>

#include "llvm/ADT/SmallString.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"

namespace nncc {
namespace {

void initialize_targets() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
  });
}

llvm::SmallVector<char, 0> emit(llvm::Module& module, llvm::TargetMachine& machine,
                                llvm::CodeGenFileType type) {
  std::string problems;
  llvm::raw_string_ostream stream(problems);
  NNCC_CHECK(!llvm::verifyModule(module, &stream), "invalid LLVM IR: " + stream.str());
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream out(bytes);
  llvm::legacy::PassManager passes;
  NNCC_CHECK(!machine.addPassesToEmitFile(passes, out, nullptr, type), "LLVM cannot write this kind of file");
  passes.run(module);
  return bytes;
}

}  // namespace

std::unique_ptr<llvm::TargetMachine> make_target_machine(const TargetInfo& target) {
  initialize_targets();
  std::string error;
  const llvm::Target* llvm_target = llvm::TargetRegistry::lookupTarget(target.llvm_triple, error);
  NNCC_CHECK(llvm_target, error);
  llvm::TargetOptions options;
  std::unique_ptr<llvm::TargetMachine> machine(
      llvm_target->createTargetMachine(target.llvm_triple, target.llvm_cpu, "", options, llvm::Reloc::PIC_));
  NNCC_CHECK(machine, "LLVM has no code generator for " + target.llvm_triple);
  return machine;
}

std::vector<std::byte> emit_object(llvm::Module& module, llvm::TargetMachine& machine) {
  llvm::SmallVector<char, 0> bytes = emit(module, machine, llvm::CGFT_ObjectFile);
  auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  return {data, data + bytes.size()};
}

std::string emit_assembly(llvm::Module& module, llvm::TargetMachine& machine) {
  llvm::SmallVector<char, 0> text = emit(module, machine, llvm::CGFT_AssemblyFile);
  return {text.begin(), text.end()};
}

}  // namespace nncc
