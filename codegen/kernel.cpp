#include "codegen/kernel.h"

#include <map>
#include <mutex>
#include <set>
#include <sstream>

#include "codegen/schedule.h"
#include "ir/print.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/raw_ostream.h"

namespace nncc {
namespace {

// Halide's messages: errors are bugs of ours, warnings are of no use to nncc's user.
class Reporter final : public Halide::CompileTimeErrorReporter {
 public:
  void warning(const char*) override {}
  void error(const char* message) override { throw InternalError(std::string("Halide: ") + message); }
};

void install_reporter() {
  static Reporter reporter;
  static std::once_flag once;
  std::call_once(once, [] { Halide::set_custom_compile_time_error_reporter(&reporter); });
}

Pipeline schedule(Lowering& lowering, const ScheduleOptions& options) {
  switch (schedule_form(lowering.body())) {
    case ScheduleForm::Elementwise:
      return schedule_elementwise(lowering, options);
    case ScheduleForm::MatMul:
      return schedule_matmul(lowering, options);
    case ScheduleForm::Convolution:
      return schedule_convolution(lowering, options);
    case ScheduleForm::RowReduction:
      return schedule_row_reduction(lowering, options);
    case ScheduleForm::ColumnReduction:
      return schedule_column_reduction(lowering, options);
    case ScheduleForm::PlaneReduction:
      return schedule_plane_reduction(lowering, options);
    case ScheduleForm::FullReduction:
      return schedule_full_reduction(lowering, options);
    case ScheduleForm::Winograd:
      return schedule_winograd(lowering, options);
    case ScheduleForm::WeightGradient:
      return schedule_weight_gradient(lowering, options);
    case ScheduleForm::Depthwise:
      return schedule_depthwise(lowering, options);
    case ScheduleForm::Scatter:
      return schedule_scatter(lowering, options);
    case ScheduleForm::Attention:
      return schedule_attention(lowering, options);
    case ScheduleForm::Generic:
      break;
  }
  return schedule_generic(lowering, options);
}

// What Halide 14 says to LLVM about the memory behind a constant index is wrong where the index runs
// backwards, and a failed assertion where masked lanes lie in front of the buffer. It says nothing if the
// constant has a name.
class NameConstantBases final : public Halide::Internal::IRMutator {
  using IRMutator::visit;
  Halide::Expr visit(const Halide::Internal::Load* op) override {
    using namespace Halide::Internal;
    const Halide::Expr load = IRMutator::visit(op);
    op = load.as<Load>();
    const auto* ramp = op->index.as<Ramp>();
    const int64_t* base = ramp ? as_const_int(ramp->base) : nullptr;
    const int64_t* stride = ramp ? as_const_int(ramp->stride) : nullptr;
    if (!base || !stride || (*base >= 0 && *stride >= 0)) return load;
    const std::string name = "constant_base";
    const Halide::Expr index =
        Ramp::make(Halide::Internal::Variable::make(ramp->base.type(), name), ramp->stride, ramp->lanes);
    return Let::make(
        name, ramp->base,
        Load::make(op->type, op->name, index, op->image, op->param, op->predicate, op->alignment));
  }
};

// Halide 14 takes the kernel's own result, where a later stage reads it again, for memory aligned to vectors;
// an element of a stacked result, as the steps of loops write them, is not.
class ForgetAlignmentOfResults final : public Halide::Internal::IRMutator {
 public:
  // The bodies of parallel loops are functions too, and call the buffers what the module's kernel does.
  explicit ForgetAlignmentOfResults(const Halide::Module& module) {
    for (const Halide::Internal::LoweredFunc& function : module.functions())
      for (const Halide::Internal::LoweredArgument& argument : function.args)
        if (argument.is_buffer()) buffers_.insert(argument.name);
  }

 private:
  using IRMutator::visit;
  Halide::Expr visit(const Halide::Internal::Load* op) override {
    using namespace Halide::Internal;
    const Halide::Expr load = IRMutator::visit(op);
    op = load.as<Load>();
    if (!op || op->param.defined() || op->image.defined() || !buffers_.contains(op->name)) return load;
    return Load::make(op->type, op->name, op->index, op->image, op->param, op->predicate, ModulusRemainder());
  }
  std::set<std::string> buffers_;
};

// Kernels check nothing when they run: a bound that Halide finds broken while it compiles is a bug of the
// schedule.
class CheckBounds final : public Halide::Internal::IRVisitor {
  using IRVisitor::visit;
  void visit(const Halide::Internal::AssertStmt* op) override {
    if (!Halide::Internal::is_const_zero(op->condition)) return;
    std::ostringstream message;
    message << op->message;
    throw InternalError("a schedule breaks its bounds: " + message.str());
  }
};

// The strides of results that do not lie contiguously, instead of those the schedule has told.
void lay_out_results(const Pipeline& pipeline, std::span<const std::optional<RowLayout>> layouts) {
  std::vector<Halide::OutputImageParam> buffers;
  for (Halide::Func f : pipeline.outputs)
    for (const Halide::OutputImageParam& buffer : f.output_buffers()) buffers.push_back(buffer);
  for (size_t result = 0; result < layouts.size(); ++result) {
    if (!layouts[result]) continue;
    const auto [row, pitch] = *layouts[result];
    Halide::OutputImageParam buffer = buffers.at(static_cast<size_t>(pipeline.order[result]));
    bool has_rows = false;
    for (int i = 0; i < buffer.dimensions(); ++i) {
      const int64_t* stride = Halide::Internal::as_const_int(buffer.parameter().stride_constraint(i));
      NNCC_CHECK(stride && (*stride < row || *stride % row == 0), "a result that is not stored by rows");
      has_rows = has_rows || *stride == row;
      if (*stride >= row) buffer.dim(i).set_stride(static_cast<int>(*stride / row * pitch));
    }
    NNCC_CHECK(has_rows, "a schedule whose loops go on from row to row");
  }
}

// The native function and the bodies of its parallel loops.
void append_kernel(Halide::Module& all, const KernelSource& source, const CodegenOptions& options) {
  const Graph& body = source.function->body;
  ScheduleOptions schedule_options;
  schedule_options.vector_bytes = options.target->vector_lanes * 4;
  schedule_options.vector_registers = options.target->vector_registers;
  schedule_options.parallel = options.threads > 1;
  schedule_options.accurate = options.accurate;
  Lowering lowering(body, source.symbol, options.accurate);
  const Pipeline pipeline = schedule(lowering, schedule_options);
  lay_out_results(pipeline, source.layouts);
  Halide::Module module = Halide::Pipeline(pipeline.outputs)
                              .compile_to_module(lowering.arguments(), source.symbol, all.target(),
                                                 Halide::LinkageType::External);
  for (Halide::Internal::LoweredFunc function : module.functions()) {
    if (function.name == source.symbol) {
      // Buffers in the order of the body's results.
      auto& args = function.args;
      NNCC_CHECK(args.size() >= pipeline.order.size(), "a kernel with too few arguments");
      const size_t first = args.size() - pipeline.order.size();
      const std::vector<Halide::Internal::LoweredArgument> outputs(
          args.begin() + static_cast<std::ptrdiff_t>(first), args.end());
      for (size_t i = 0; i < outputs.size(); ++i) args[first + i] = outputs[pipeline.order[i]];
    }
    CheckBounds check;
    function.body.accept(&check);
    function.body = NameConstantBases().mutate(function.body);
    function.body = ForgetAlignmentOfResults(module).mutate(function.body);
    all.append(function);
  }
  for (const auto& buffer : module.buffers()) all.append(buffer);
}

// A session has all its memory before the first kernel runs: what Halide would take from the heap (all
// buffers over 16 KiB) lies in the frame of the function that asks for it. Schedules keep it below
// kStackBytes.
void put_buffers_on_stack(llvm::Module& module) {
  const auto calls_of = [&](const char* name) {
    std::vector<llvm::CallInst*> calls;
    if (llvm::Function* function = module.getFunction(name)) {
      for (llvm::User* user : function->users()) {
        auto* call = llvm::dyn_cast<llvm::CallInst>(user);
        NNCC_CHECK(call && call->getCalledFunction() == function,
                   std::string("the address of ") + name + " is taken");
        calls.push_back(call);
      }
    }
    return calls;
  };
  for (llvm::CallInst* call : calls_of("halide_free")) call->eraseFromParent();
  std::map<llvm::Function*, uint64_t> total;
  for (llvm::CallInst* call : calls_of("halide_malloc")) {
    llvm::Function* function = call->getFunction();
    const auto* size = llvm::dyn_cast<llvm::ConstantInt>(call->getArgOperand(1));
    NNCC_CHECK(size, "a buffer of unknown size in " + function->getName().str());
    NNCC_CHECK((total[function] += size->getZExtValue()) <= 2 * kStackBytes,
               "a buffer too large for the stack in " + function->getName().str());
    llvm::IRBuilder<> builder(&function->getEntryBlock(), function->getEntryBlock().begin());
    llvm::AllocaInst* buffer =
        builder.CreateAlloca(llvm::ArrayType::get(builder.getInt8Ty(), size->getZExtValue()));
    buffer->setAlignment(llvm::Align(64));
    call->replaceAllUsesWith(builder.CreateBitCast(buffer, call->getType()));
    call->eraseFromParent();
  }
  for (const char* name : {"halide_free", "halide_malloc"})
    if (llvm::Function* function = module.getFunction(name)) function->eraseFromParent();
}

// The calls that hide infinities and NaN, see kOpaqueNumber. The variables are not constant to LLVM either.
void load_opaque_numbers(llvm::Module& module) {
  std::map<uint64_t, llvm::GlobalVariable*> variables[2];
  for (const bool wide : {false, true}) {
    llvm::Function* function = module.getFunction(kOpaqueNumber + (wide ? "64" : "32"));
    if (!function) continue;
    const std::vector<llvm::User*> users(function->user_begin(), function->user_end());
    for (llvm::User* user : users) {
      auto* call = llvm::cast<llvm::CallInst>(user);
      const llvm::APInt& bits = llvm::cast<llvm::ConstantInt>(call->getArgOperand(0))->getValue();
      llvm::GlobalVariable*& variable = variables[wide][bits.getZExtValue()];
      if (!variable) {
        const auto& format = wide ? llvm::APFloat::IEEEdouble() : llvm::APFloat::IEEEsingle();
        variable = new llvm::GlobalVariable(
            module, call->getType(), /*isConstant=*/false, llvm::GlobalValue::InternalLinkage,
            llvm::ConstantFP::get(module.getContext(), llvm::APFloat(format, bits)), "nn_number");
      }
      call->replaceAllUsesWith(new llvm::LoadInst(call->getType(), variable, "", call));
      call->eraseFromParent();
    }
    function->eraseFromParent();
  }
}

bool is_output_store(const llvm::Instruction& instruction) {
  const llvm::Value* address = nullptr;
  if (const auto* store = llvm::dyn_cast<llvm::StoreInst>(&instruction))
    address = store->getPointerOperand();
  else if (const auto* call = llvm::dyn_cast<llvm::IntrinsicInst>(&instruction);
           call && call->getIntrinsicID() == llvm::Intrinsic::masked_store)
    address = call->getArgOperand(1);
  return address && !llvm::isa<llvm::AllocaInst>(llvm::getUnderlyingObject(address));
}

// Several results of an elementwise kernel may each lie on an argument. Halide stores one before it loads
// what the next needs, as it takes buffers of different names for different memory. So all of an element's
// results are stored after everything was loaded, and nothing is left that lets LLVM's scheduler think the
// same.
void store_after_loads(llvm::Function& function) {
  for (llvm::BasicBlock& block : function) {
    std::vector<llvm::Instruction*> stores;
    for (llvm::Instruction& instruction : block) {
      instruction.setMetadata(llvm::LLVMContext::MD_tbaa, nullptr);
      if (is_output_store(instruction)) stores.push_back(&instruction);
    }
    for (llvm::Instruction* store : stores) store->moveBefore(block.getTerminator());
  }
}

bool has_several_results_in_one_loop(const Graph& body) {
  return body.results.size() > 1 && schedule_form(body) == ScheduleForm::Elementwise;
}

}  // namespace

std::unique_ptr<llvm::Module> compile_kernels(std::span<const KernelSource> sources,
                                              const CodegenOptions& options, llvm::LLVMContext& context) {
  install_reporter();
  Halide::Module all("kernels", Halide::Target(options.target->halide));
  std::set<std::string> symbols;
  for (const KernelSource& source : sources) {
    symbols.insert(source.symbol);
    try {
      append_kernel(all, source, options);
    } catch (const std::exception& error) {
      std::string text;
      llvm::raw_string_ostream out(text);
      print(source.function->body, source.function->name, out);
      throw InternalError(std::string(error.what()) + "\nin the kernel\n" + out.str());
    }
  }
  std::unique_ptr<llvm::Module> module = Halide::compile_module_to_llvm_module(all, context);
  for (llvm::Function& function : *module) {
    if (function.isDeclaration()) continue;
    if (symbols.count(function.getName().str())) {
      function.setLinkage(llvm::GlobalValue::WeakAnyLinkage);
      function.setVisibility(llvm::GlobalValue::HiddenVisibility);
    } else {
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
    }
  }
  put_buffers_on_stack(*module);
  load_opaque_numbers(*module);
  // Bodies of parallel loops have the kernel's symbol in their names.
  for (const KernelSource& source : sources)
    if (has_several_results_in_one_loop(source.function->body))
      for (llvm::Function& function : *module)
        if (function.getName().contains(source.symbol)) store_after_loads(function);
  // The bodies of parallel loops: Halide's names count what the process has compiled before.
  int tasks = 0;
  for (llvm::Function& function : *module)
    if (function.hasInternalLinkage()) function.setName("nn_task" + std::to_string(tasks++));
  for (llvm::GlobalVariable& variable : module->globals())
    if (!variable.isDeclaration()) variable.setLinkage(llvm::GlobalValue::InternalLinkage);
  return module;
}

std::vector<std::byte> compile_kernels_to_object(std::span<const KernelSource> sources,
                                                 const CodegenOptions& options) {
  llvm::LLVMContext context;
  const std::unique_ptr<llvm::Module> module = compile_kernels(sources, options, context);
  llvm::SmallVector<char, 0> object;
  llvm::raw_svector_ostream out(object);
  Halide::compile_llvm_module_to_object(*module, out);
  const auto* bytes = reinterpret_cast<const std::byte*>(object.data());
  return {bytes, bytes + object.size()};
}

}  // namespace nncc
