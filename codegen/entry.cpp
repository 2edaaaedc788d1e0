#include "codegen/entry.h"

#include "codegen/scan_loop.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "ir/diagnostic.h"
#include "ir/row_layout.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/GlobalVariable.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"
#include "nn/abi.h"

namespace nncc {
namespace {

// Buffers that an entry keeps on its stack. A tensor stays in its buffer while there is room, so one that
// several kernels read is stored once; an entry of hundreds of kernels still takes a few KiB.
constexpr size_t kMaxBuffers = 64;
constexpr int kHostField = 2;

struct Call {
  NodeId node;
  std::vector<Place> places;  // operands', then results'
};

std::vector<Call> calls_in_order(const Graph& graph) {
  std::vector<Call> calls;
  for (NodeId id : graph.topological_order()) {
    const Node& node = graph[id];
    if (node.op != Op::Kernel && node.op != Op::Scan && node.op != Op::CheckIndex) {
      const OpInfo& info = op_info(node.op);
      NNCC_CHECK(info.has(Leaf) || info.has(Movement),
                 "an entry still computes `" + std::string(info.name) + "` outside of kernels");
      continue;
    }
    Call call{id, {}};
    for (Value v : node.operands) {
      const Node& from = graph[v.node];
      NNCC_CHECK(from.places.size() == from.types.size(), "a kernel's operand has no place in memory");
      call.places.push_back(from.places[v.result]);
    }
    NNCC_CHECK(node.places.size() == node.types.size(), "a kernel's result has no place in memory");
    call.places.insert(call.places.end(), node.places.begin(), node.places.end());
    calls.push_back(std::move(call));
  }
  return calls;
}

class EntryEmitter {
 public:
  // `entry_name`: for messages.
  EntryEmitter(const Module& source, const std::string& entry_name, const std::vector<Call>& calls,
               const Graph& graph, const KernelSymbols& symbols, llvm::Module& into)
      : source_(source),
        entry_name_(entry_name),
        calls_(calls),
        graph_(graph),
        symbols_(symbols),
        module_(into),
        b_(into.getContext()) {
    // As in HalideRuntime.h: device, device_interface, host, flags, type, dimensions, dim, padding.
    auto* i64 = b_.getInt64Ty();
    auto* pointer = b_.getInt8PtrTy();
    buffer_ = llvm::StructType::get(b_.getContext(), {i64, pointer, pointer, i64, i64, pointer, pointer});
  }

  // `next_kernel`: the number of the first kernel, and then of the one after the last; counted if profiled.
  llvm::Function* emit(const std::string& name, bool profiled, int32_t& next_kernel) {
    // Those of steps first: one function is built at a time.
    std::map<NodeId, llvm::Function*> loops;
    std::map<NodeId, int32_t> numbers;
    for (const Call& call : calls_) {
      numbers[call.node] = next_kernel;
      if (graph_[call.node].op == Op::Scan)
        loops[call.node] =
            emit_loop(name + "_scan" + std::to_string(loops.size()), call.node, profiled, next_kernel);
      else if (graph_[call.node].op == Op::Kernel)
        ++next_kernel;
    }

    auto* pointers = b_.getInt8PtrTy()->getPointerTo();
    auto* type = llvm::FunctionType::get(b_.getInt32Ty(), {b_.getInt8PtrTy(), pointers, pointers}, false);
    function_ = llvm::Function::Create(type, llvm::GlobalValue::InternalLinkage, name, module_);
    function_->addFnAttr(llvm::Attribute::NoUnwind);
    b_.SetInsertPoint(llvm::BasicBlock::Create(b_.getContext(), "", function_));
    context_ = function_->getArg(0);
    context_->setName("context");
    function_->getArg(1)->setName("inputs");
    function_->getArg(2)->setName("outputs");
    std::fill(std::begin(bases_), std::end(bases_), nullptr);
    make_slots();
    for (const Call& call : calls_) {
      if (auto loop = loops.find(call.node); loop != loops.end()) {
        emit_loop_call(call, loop->second);
        continue;
      }
      if (graph_[call.node].op == Op::CheckIndex) {
        emit_check(call);
        continue;
      }
      emit_call(call);
      if (profiled) emit_hook(numbers.at(call.node));
    }
    b_.CreateRet(b_.getInt32(NN_OK));
    return function_;
  }

 private:
  struct Slot {
    llvm::Value* buffer = nullptr;
    std::optional<Place> holds;
    size_t last_call = 0;
  };

  void make_slots() {
    std::vector<Place> distinct;
    size_t most = 0;
    for (const Call& call : calls_) {
      distinct.insert(distinct.end(), call.places.begin(), call.places.end());
      most = std::max(most, call.places.size());
    }
    std::sort(distinct.begin(), distinct.end());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    slots_.assign(std::max(most, std::min(distinct.size(), kMaxBuffers)), {});
    for (Slot& slot : slots_) slot.buffer = b_.CreateAlloca(buffer_);
    call_ = 0;
  }

  // Field `offset` of nn_context, loaded where it is first needed; blocks follow each other.
  llvm::Value* context_field(size_t offset, llvm::Type* type) {
    llvm::Value* address = b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), context_, offset);
    return b_.CreateLoad(type, b_.CreateBitCast(address, type->getPointerTo()));
  }

  llvm::Value* base(Space space, int32_t index) {
    switch (space) {
      case Space::Arena:
      case Space::Variables:
      case Space::Constants: {
        auto i = static_cast<size_t>(space);
        if (!bases_[i]) bases_[i] = context_field(base_fields_[i], b_.getInt8PtrTy());
        return bases_[i];
      }
      case Space::Input:
      case Space::Output: {
        llvm::Value* table = function_->getArg(space == Space::Input ? 1 : 2);
        return b_.CreateLoad(b_.getInt8PtrTy(),
                             b_.CreateConstInBoundsGEP1_64(b_.getInt8PtrTy(), table, index));
      }
    }
    NNCC_UNREACHABLE("a place in no space");
  }

  llvm::Value* address_of(const Place& place) {
    return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), base(place.space, place.index), place.offset);
  }

  // The buffer with `place` as its host.
  llvm::Value* buffer_of(const Place& place) {
    for (Slot& slot : slots_)
      if (slot.holds == place) return slot.last_call = call_, slot.buffer;
    // Not one that this call already uses: there are at least as many as a call has arguments.
    Slot& slot = *std::min_element(slots_.begin(), slots_.end(),
                                   [](const Slot& a, const Slot& b) { return a.last_call < b.last_call; });
    b_.CreateStore(address_of(place), b_.CreateStructGEP(buffer_, slot.buffer, kHostField));
    slot.holds = place;
    slot.last_call = call_;
    return slot.buffer;
  }

  void emit_call(const Call& call) {
    ++call_;
    // First those that are there already, lest a new one pushes them out.
    for (const Place& place : call.places)
      for (Slot& slot : slots_)
        if (slot.holds == place) slot.last_call = call_;
    std::vector<llvm::Value*> arguments = {context_};
    std::vector<llvm::Type*> types = {b_.getInt8PtrTy()};
    for (const Place& place : call.places) {
      arguments.push_back(b_.CreateBitCast(buffer_of(place), b_.getInt8PtrTy()));
      types.push_back(b_.getInt8PtrTy());
    }
    const std::string kernel = kernel_variant(graph_, call.node);
    auto symbol = symbols_.find(kernel);
    NNCC_CHECK(symbol != symbols_.end(), "kernel `" + kernel + "` was not compiled");
    auto callee =
        module_.getOrInsertFunction(symbol->second, llvm::FunctionType::get(b_.getInt32Ty(), types, false));
    b_.CreateCall(callee, arguments)->setDoesNotThrow();
  }

  // The addresses of a scan's operands and results go to the loop in one array.
  void emit_loop_call(const Call& call, llvm::Function* loop) {
    auto* type = llvm::ArrayType::get(b_.getInt8PtrTy(), call.places.size());
    llvm::BasicBlock& first = function_->getEntryBlock();
    llvm::Value* addresses = llvm::IRBuilder<>(&first, first.begin()).CreateAlloca(type);
    for (size_t i = 0; i < call.places.size(); ++i)
      b_.CreateStore(address_of(call.places[i]), b_.CreateConstInBoundsGEP2_64(type, addresses, 0, i));
    llvm::CallInst* status =
        b_.CreateCall(loop, {context_, b_.CreateConstInBoundsGEP2_64(type, addresses, 0, 0)});
    status->setDoesNotThrow();
    return_if_failed(status);
  }

  void emit_check(const Call& call) {
    const Node& node = graph_[call.node];
    const TensorType& type = node.types[0];
    llvm::Type* i64 = b_.getInt64Ty();
    std::vector<llvm::Constant*> extents;
    for (int64_t extent : type.shape) extents.push_back(b_.getInt64(static_cast<uint64_t>(extent)));
    auto* table = llvm::ArrayType::get(i64, extents.size());
    auto* shape = new llvm::GlobalVariable(module_, table, true, llvm::GlobalValue::PrivateLinkage,
                                           llvm::ConstantArray::get(table, extents), "nn_index_shape");
    llvm::Value* label = b_.CreateGlobalStringPtr(node.attributes.string(Attr::Label), "nn_index_text");
    llvm::Value* entry = b_.CreateGlobalStringPtr(entry_name_, "nn_index_text");
    llvm::Type* pointer = b_.getInt8PtrTy();
    auto* signature = llvm::FunctionType::get(
        b_.getInt32Ty(), {pointer, pointer, b_.getInt32Ty(), b_.getInt32Ty(), pointer, i64, pointer, pointer},
        false);
    llvm::CallInst* status = b_.CreateCall(
        module_.getOrInsertFunction("nn_runtime_check_index", signature),
        {context_, address_of(call.places[0]), b_.getInt32(static_cast<uint32_t>(type.dtype)),
         b_.getInt32(static_cast<uint32_t>(type.rank())), b_.CreateBitCast(shape, pointer),
         b_.getInt64(static_cast<uint64_t>(node.attributes.integer(Attr::Extent))), entry, label});
    status->setDoesNotThrow();
    return_if_failed(status);
  }

  void return_if_failed(llvm::Value* status) {
    auto* failed = llvm::BasicBlock::Create(b_.getContext(), "failed", function_);
    auto* next = llvm::BasicBlock::Create(b_.getContext(), "", function_);
    b_.CreateCondBr(b_.CreateICmpNE(status, b_.getInt32(NN_OK)), failed, next);
    b_.SetInsertPoint(failed);
    b_.CreateRet(status);
    b_.SetInsertPoint(next);
  }

  llvm::Function* emit_loop(const std::string& name, NodeId scan, bool profiled, int32_t& next_kernel);

  void emit_hook(int32_t index) {
    auto* type = llvm::FunctionType::get(b_.getVoidTy(), {b_.getInt8PtrTy(), b_.getInt32Ty()}, false);
    llvm::Value* hook = context_field(offsetof(nn_context, on_kernel), type->getPointerTo());
    llvm::Value* user = context_field(offsetof(nn_context, on_kernel_user), b_.getInt8PtrTy());
    b_.CreateCall(type, hook, {user, b_.getInt32(index)});
  }

  const Module& source_;
  const std::string& entry_name_;
  const std::vector<Call>& calls_;
  const Graph& graph_;
  const KernelSymbols& symbols_;
  llvm::Module& module_;
  llvm::IRBuilder<> b_;
  llvm::StructType* buffer_;
  llvm::Function* function_ = nullptr;
  llvm::Value* context_ = nullptr;
  // By Space: arena, variables, constants.
  static constexpr size_t base_fields_[3] = {offsetof(nn_context, arena), offsetof(nn_context, variables),
                                             offsetof(nn_context, constants)};
  llvm::Value* bases_[3] = {};
  std::vector<Slot> slots_;
  size_t call_ = 0;
};

llvm::Function* EntryEmitter::emit_loop(const std::string& name, NodeId scan, bool profiled,
                                        int32_t& next_kernel) {
  const Node& node = graph_[scan];
  const Function& step = *source_.find_function(node.attributes.string(Attr::Symbol));
  const std::vector<Call> calls = calls_in_order(step.body);
  llvm::Function* body = EntryEmitter(source_, entry_name_, calls, step.body, symbols_, module_)
                             .emit(name + "_step", profiled, next_kernel);
  return emit_scan_loop(name, node, step, body, module_);
}

llvm::Function* emit_graph(const Module& source, const Entry& entry, const Graph& graph,
                           const std::string& name, bool profiled, const KernelSymbols& symbols,
                           llvm::Module& into) {
  const std::vector<Call> calls = calls_in_order(graph);
  int32_t next_kernel = 0;
  return EntryEmitter(source, entry.name, calls, graph, symbols, into).emit(name, profiled, next_kernel);
}

}  // namespace

EntryFunctions emit_entry(const Module& source, const Entry& entry, const KernelSymbols& symbols,
                          llvm::Module& into) {
  EntryFunctions functions;
  const std::string name = "nn_entry_" + entry.name;
  functions.run = emit_graph(source, entry, entry.graph, name, false, symbols, into);
  functions.run_profiled = emit_graph(source, entry, entry.graph, name + "_profiled", true, symbols, into);
  if (!calls_in_order(entry.prepare).empty())
    functions.prepare = emit_graph(source, entry, entry.prepare, name + "_prepare", false, symbols, into);
  return functions;
}

}  // namespace nncc
