#include "codegen/scan_loop.h"

#include <cstddef>
#include <vector>

#include "ir/scan.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"
#include "nn/abi.h"

namespace nncc {
namespace {

class LoopEmitter {
 public:
  LoopEmitter(const Node& scan, const Function& step, llvm::Function* body, llvm::Module& into)
      : scan_(scan),
        parts_(scan_parts(scan)),
        workspace_(scan_workspace(scan, step)),
        body_(body),
        module_(into),
        b_(into.getContext()),
        pointer_(b_.getInt8PtrTy()) {
    for (int i = parts_.carries; i < parts_.first_other(); ++i)
      sequence_bytes_.push_back(step.body.type(step.body.arguments[i].value).byte_size());
  }

  llvm::Function* emit(const std::string& name) {
    auto* type = llvm::FunctionType::get(b_.getInt32Ty(), {pointer_, pointer_->getPointerTo()}, false);
    function_ = llvm::Function::Create(type, llvm::GlobalValue::InternalLinkage, name, module_);
    function_->addFnAttr(llvm::Attribute::NoUnwind);
    llvm::BasicBlock* entry = block("");
    llvm::BasicBlock* loop = block("loop");
    llvm::BasicBlock* next_step = block("next");
    llvm::BasicBlock* failed = block("failed");
    llvm::BasicBlock* end = block("end");

    b_.SetInsertPoint(entry);
    load_addresses();
    llvm::Value* context = make_context();
    inputs_ = b_.CreateAlloca(pointer_, b_.getInt64(std::max<size_t>(1, scan_.operands.size())));
    outputs_ = b_.CreateAlloca(pointer_, b_.getInt64(std::max(1, parts_.num_results())));
    for (int i = parts_.first_other(); i < static_cast<int>(scan_.operands.size()); ++i)
      b_.CreateStore(operand(i), slot(inputs_, i));
    b_.CreateBr(loop);

    b_.SetInsertPoint(loop);
    llvm::PHINode* done = b_.CreatePHI(b_.getInt64Ty(), 2);
    done->addIncoming(b_.getInt64(0), entry);
    std::vector<llvm::PHINode*> carried;
    for (int i = 0; i < parts_.carries; ++i) {
      carried.push_back(b_.CreatePHI(pointer_, 2));
      carried[i]->addIncoming(operand(i), entry);
    }
    llvm::Value* last = b_.getInt64(parts_.steps - 1);
    llvm::Value* left = b_.CreateSub(last, done);
    llvm::Value* t = parts_.reversed ? left : done;
    for (int i = parts_.carries; i < parts_.first_other(); ++i)
      b_.CreateStore(element(operand(i), sequence_bytes_[i - parts_.carries], t), slot(inputs_, i));
    std::vector<llvm::Value*> stacked;
    for (int i = parts_.carries; i < parts_.num_results(); ++i) {
      stacked.push_back(element(result(i), step_type(scan_.types[i]).byte_size(), t));
      b_.CreateStore(stacked.back(), slot(outputs_, i));
    }
    for (int i = 0; i < parts_.carries; ++i) {
      llvm::Value* next;
      if (const int as = workspace_.stacked_as[i]; as >= 0) {
        next = stacked[as - parts_.carries];
      } else {
        // The last step writes the result, the one before it the workspace, and so on.
        llvm::Value* is_result = b_.CreateICmpEQ(b_.CreateAnd(left, 1), b_.getInt64(0));
        next = b_.CreateSelect(is_result, result(i), workspace_at(workspace_.offsets[i]));
      }
      b_.CreateStore(carried[i], slot(inputs_, i));
      b_.CreateStore(next, slot(outputs_, i));
      carried[i]->addIncoming(next, next_step);
    }
    llvm::CallInst* status = b_.CreateCall(body_, {context, inputs_, outputs_});
    status->setDoesNotThrow();
    b_.CreateCondBr(b_.CreateICmpNE(status, b_.getInt32(NN_OK)), failed, next_step);
    b_.SetInsertPoint(failed);
    b_.CreateRet(status);

    b_.SetInsertPoint(next_step);
    done->addIncoming(b_.CreateAdd(done, b_.getInt64(1)), next_step);
    b_.CreateCondBr(b_.CreateICmpEQ(done, last), end, loop);

    b_.SetInsertPoint(end);
    for (int i = 0; i < parts_.carries; ++i)
      if (workspace_.stacked_as[i] >= 0)
        b_.CreateMemCpy(result(i), llvm::Align(1), carried[i]->getIncomingValueForBlock(next_step),
                        llvm::Align(1), static_cast<uint64_t>(scan_.types[i].byte_size()));
    b_.CreateRet(b_.getInt32(NN_OK));
    return function_;
  }

 private:
  llvm::BasicBlock* block(const char* name) {
    return llvm::BasicBlock::Create(b_.getContext(), name, function_);
  }
  llvm::Value* slot(llvm::Value* array, int i) { return b_.CreateConstInBoundsGEP1_64(pointer_, array, i); }
  llvm::Value* operand(int i) { return addresses_[i]; }
  llvm::Value* result(int i) { return addresses_[scan_.operands.size() + i]; }
  llvm::Value* workspace_at(int64_t offset) {
    return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), addresses_.back(), offset);
  }
  llvm::Value* element(llvm::Value* base, int64_t bytes, llvm::Value* index) {
    return b_.CreateInBoundsGEP(b_.getInt8Ty(), base, b_.CreateMul(index, b_.getInt64(bytes)));
  }
  void load_addresses() {
    for (size_t i = 0; i < scan_.operands.size() + scan_.types.size(); ++i)
      addresses_.push_back(b_.CreateLoad(pointer_, slot(function_->getArg(1), static_cast<int>(i))));
  }

  // The session's context with the workspace as the arena.
  llvm::Value* make_context() {
    llvm::Value* context = b_.CreateAlloca(llvm::ArrayType::get(b_.getInt64Ty(), sizeof(nn_context) / 8));
    context = b_.CreateBitCast(context, pointer_);
    b_.CreateMemCpy(context, llvm::Align(8), function_->getArg(0), llvm::Align(8), sizeof(nn_context));
    llvm::Value* arena = b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), context, offsetof(nn_context, arena));
    b_.CreateStore(addresses_.back(), b_.CreateBitCast(arena, pointer_->getPointerTo()));
    return context;
  }

  const Node& scan_;
  const ScanParts parts_;
  const ScanWorkspace workspace_;
  llvm::Function* body_;
  llvm::Module& module_;
  llvm::IRBuilder<> b_;
  llvm::PointerType* pointer_;
  llvm::Function* function_ = nullptr;
  llvm::Value *inputs_ = nullptr, *outputs_ = nullptr;
  std::vector<llvm::Value*> addresses_;
  std::vector<int64_t> sequence_bytes_;  // of one step
};

}  // namespace

llvm::Function* emit_scan_loop(const std::string& name, const Node& scan, const Function& step,
                               llvm::Function* body, llvm::Module& into) {
  return LoopEmitter(scan, step, body, into).emit(name);
}

}  // namespace nncc
