#include "codegen/tables.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "codegen/kernel.h"
#include "ir/kernel_info.h"
#include "ir/memory.h"
#include "ir/scan.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/DataLayout.h"
#include "llvm/IR/DerivedTypes.h"
#include "llvm/IR/GlobalVariable.h"
#include "llvm/IR/Module.h"
#include "nn/abi.h"
#include "nn/runtime_symbols.h"

namespace nncc {
namespace {

// The enumerations of the ABI are those of the IR.
static_assert(static_cast<int>(DType::F32) == NN_F32 && static_cast<int>(DType::F64) == NN_F64 &&
              static_cast<int>(DType::I32) == NN_I32 && static_cast<int>(DType::Bool) == NN_BOOL);
static_assert(static_cast<int>(VariableKind::Parameter) == NN_PARAMETER &&
              static_cast<int>(VariableKind::OptimizerState) == NN_OPTIMIZER_STATE &&
              static_cast<int>(VariableKind::Hoisted) == NN_HOISTED);
static_assert(static_cast<int>(EntryKind::Model) == NN_ENTRY_MODEL &&
              static_cast<int>(EntryKind::Train) == NN_ENTRY_TRAIN &&
              static_cast<int>(EntryKind::Init) == NN_ENTRY_INIT);

class TableEmitter {
 public:
  TableEmitter(const Module& module, const TargetInfo& target, llvm::Module& into)
      : source_(module), target_(target), into_(into), context_(into.getContext()) {}

  void emit(const std::vector<EntryFunctions>& functions, const std::string& symbol);

 private:
  using Fields = std::vector<llvm::Constant*>;

  llvm::PointerType* pointer() { return llvm::Type::getInt8PtrTy(context_); }
  llvm::Constant* i32(int64_t v) { return llvm::ConstantInt::get(llvm::Type::getInt32Ty(context_), v, true); }
  llvm::Constant* i64(int64_t v) { return llvm::ConstantInt::get(llvm::Type::getInt64Ty(context_), v, true); }
  llvm::Constant* null() { return llvm::ConstantPointerNull::get(pointer()); }
  llvm::Constant* address(llvm::Constant* of) { return llvm::ConstantExpr::getBitCast(of, pointer()); }

  // The module has none of this name.
  llvm::GlobalVariable* define(llvm::Constant* value, const std::string& name, uint64_t alignment) {
    auto* g = llvm::cast<llvm::GlobalVariable>(into_.getOrInsertGlobal(name, value->getType()));
    g->setInitializer(value);
    g->setConstant(true);
    g->setAlignment(llvm::Align(alignment));
    return g;
  }
  // A private constant; the linker may merge equal ones.
  llvm::Constant* global(llvm::Constant* value, const std::string& name, uint64_t alignment) {
    llvm::GlobalVariable* g = define(value, name + "." + std::to_string(num_globals_++), alignment);
    g->setLinkage(llvm::GlobalValue::PrivateLinkage);
    g->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);
    return address(g);
  }
  llvm::Constant* text(const std::string& s) {
    auto [at, added] = texts_.try_emplace(s, nullptr);
    if (added) at->second = global(llvm::ConstantDataArray::getString(context_, s), "nn_text", 1);
    return at->second;
  }
  llvm::Constant* data(const std::vector<std::byte>& bytes, const char* name) {
    llvm::StringRef raw(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return global(llvm::ConstantDataArray::getString(context_, raw, false), name, 64);
  }
  // null if there are none.
  llvm::Constant* array(const Fields& elements, const char* name) {
    if (elements.empty()) return null();
    return global(
        llvm::ConstantArray::get(llvm::ArrayType::get(elements[0]->getType(), elements.size()), elements),
        name, 8);
  }
  // A struct laid out as C does; what the ABI's header says of it is checked.
  llvm::Constant* record(const Fields& fields, size_t size) {
    llvm::Constant* s = llvm::ConstantStruct::getAnon(context_, fields);
    NNCC_CHECK(into_.getDataLayout().getTypeAllocSize(s->getType()) == size,
               "a table does not have the layout of nn/abi.h");
    return s;
  }

  llvm::Constant* shape(const Shape& shape) {
    Fields extents;
    for (int64_t extent : shape) extents.push_back(i64(extent));
    return array(extents, "nn_shape");
  }
  llvm::Constant* tensor(const std::string& name, const TensorType& type) {
    return record({text(name), i32(static_cast<int>(type.dtype)), i32(type.rank()), shape(type.shape),
                   i64(type.byte_size())},
                  sizeof(nn_tensor_info));
  }
  llvm::Constant* initial(const Variable& variable) {
    if (!variable.initial) return null();
    std::vector<std::byte> bytes = variable.initial->dense().to_bytes();
    NNCC_CHECK(static_cast<int64_t>(bytes.size()) == variable.type.byte_size(),
               "the initial value of `" + variable.name + "` has another type");
    if (std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; })) return null();
    return data(bytes, "nn_initial");
  }
  llvm::Constant* variables();
  void add_kernels(const Graph& graph, int64_t steps, Fields& rows);
  llvm::Constant* kernels(const Graph& graph, int32_t& count);
  llvm::Constant* entry(const Entry& entry, const EntryFunctions& functions);
  llvm::Constant* constants();
  llvm::Constant* runtime_function(const char* symbol) {
    return address(llvm::cast<llvm::Constant>(
        into_.getOrInsertFunction(symbol, llvm::FunctionType::get(llvm::Type::getVoidTy(context_), false))
            .getCallee()));
  }

  const Module& source_;
  const TargetInfo& target_;
  llvm::Module& into_;
  llvm::LLVMContext& context_;
  std::map<std::string, llvm::Constant*> texts_;
  std::set<std::string> read_by_prepare_;
  int num_globals_ = 0;
};

llvm::Constant* TableEmitter::variables() {
  Fields rows;
  for (const Variable& v : source_.variables) {
    NNCC_CHECK(v.offset.has_value(), "variable `" + v.name + "` has no place in memory");
    rows.push_back(record({tensor(v.name, v.type), i32(static_cast<int>(v.kind)), i64(*v.offset), initial(v)},
                          sizeof(nn_variable_info)));
  }
  return array(rows, "nn_variables");
}

// In the order of emit_entry(): those of a scan's step where the scan stands, each with what it does in all
// steps.
void TableEmitter::add_kernels(const Graph& graph, int64_t steps, Fields& rows) {
  for (NodeId id : graph.topological_order()) {
    const Node& node = graph[id];
    if (node.op != Op::Kernel && node.op != Op::Scan) continue;
    const Function* function = source_.find_function(node.attributes.string(Attr::Symbol));
    NNCC_CHECK(function, "a kernel node names no function");
    if (node.op == Op::Scan) {
      add_kernels(function->body, steps * scan_parts(node).steps, rows);
      continue;
    }
    KernelInfo info = describe_kernel(*function);
    std::string description = info.description;
    if (steps > 1) description += ", " + std::to_string(steps) + " times";
    rows.push_back(record({text(description), i64(steps * static_cast<int64_t>(info.flops)),
                           i64(steps * static_cast<int64_t>(info.bytes))},
                          sizeof(nn_kernel_info)));
  }
}

llvm::Constant* TableEmitter::kernels(const Graph& graph, int32_t& count) {
  Fields rows;
  add_kernels(graph, 1, rows);
  count = static_cast<int32_t>(rows.size());
  return array(rows, "nn_kernels");
}

llvm::Constant* TableEmitter::entry(const Entry& entry, const EntryFunctions& functions) {
  Fields inputs, outputs;
  for (const Graph::Argument& a : entry.graph.arguments)
    inputs.push_back(tensor(a.name, entry.graph.type(a.value)));
  for (const Graph::Result& r : entry.graph.results)
    outputs.push_back(tensor(r.name, entry.graph.type(r.value)));
  int32_t num_kernels = 0;
  llvm::Constant* kernel_table = kernels(entry.graph, num_kernels);
  bool changes_weights =
      std::any_of(entry.graph.updates.begin(), entry.graph.updates.end(),
                  [&](const Graph::Update& u) { return read_by_prepare_.count(u.variable) > 0; });
  auto count = [&](const Fields& fields) { return i32(static_cast<int64_t>(fields.size())); };
  llvm::Constant* num_inputs = count(inputs);
  llvm::Constant* num_outputs = count(outputs);
  return record(
      {text(entry.name), i32(static_cast<int>(entry.kind)), num_inputs, num_outputs, i32(num_kernels),
       i32(changes_weights), array(inputs, "nn_inputs"), array(outputs, "nn_outputs"), kernel_table,
       address(functions.run), address(functions.run_profiled),
       functions.prepare ? address(functions.prepare) : null(), i64(entry.arena_bytes)},
      sizeof(nn_entry_info));
}

// Every constant of every graph, at the offset plan-memory gave it.
llvm::Constant* TableEmitter::constants() {
  std::vector<std::byte> bytes;
  auto collect = [&](const Graph& graph) {
    for (NodeId id : graph.nodes()) {
      const Node& node = graph[id];
      if (node.op != Op::Constant || node.places.empty() || node.places[0].space != Space::Constants)
        continue;
      std::vector<std::byte> value = node.attributes.literal(Attr::Value).dense().to_bytes();
      auto offset = static_cast<size_t>(node.places[0].offset);
      bytes.resize(std::max(bytes.size(), offset + value.size()));
      std::memcpy(bytes.data() + offset, value.data(), value.size());
    }
  };
  for (const Entry& e : source_.entries) {
    collect(e.graph);
    collect(e.prepare);
  }
  for (const Function& f : source_.functions)
    if (f.kind == FunctionKind::Step) collect(f.body);
  if (bytes.empty()) return null();
  bytes.resize(bytes.size() + static_cast<size_t>(kSpareBytes));
  return data(bytes, "nn_constants");
}

void TableEmitter::emit(const std::vector<EntryFunctions>& functions, const std::string& symbol) {
  for (const Entry& e : source_.entries)
    for (NodeId id : e.prepare.nodes())
      if (e.prepare[id].op == Op::Variable)
        read_by_prepare_.insert(e.prepare[id].attributes.string(Attr::Symbol));

  // `init` comes last.
  std::vector<size_t> order(source_.entries.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_partition(order.begin(), order.end(),
                        [&](size_t i) { return source_.entries[i].kind != EntryKind::Init; });
  Fields entries;
  int64_t arena_bytes = 0;
  for (size_t i : order) {
    entries.push_back(entry(source_.entries[i], functions[i]));
    arena_bytes = std::max(arena_bytes, source_.entries[i].arena_bytes);
  }
  Fields features;
  for (const std::string& feature : target_.cpu_features) features.push_back(text(feature));
  features.push_back(null());

  Fields model = {i32(NN_ABI_VERSION),
                  i32(sizeof(nn_model)),
                  text(source_.name),
                  text("nncc " NNCC_VERSION),
                  text(target_.name + " (" + target_.halide + ")"),
                  array(features, "nn_cpu_features"),
                  i32(static_cast<int64_t>(source_.variables.size())),
                  i32(static_cast<int64_t>(entries.size())),
                  variables(),
                  array(entries, "nn_entries"),
                  i64(source_.variable_bytes),
                  i64(arena_bytes),
                  constants()};
#define NNCC_FIELD(field, runtime_symbol) model.push_back(runtime_function(#runtime_symbol));
  NN_RUNTIME_FUNCTIONS(NNCC_FIELD)
#undef NNCC_FIELD
  llvm::Constant* value = record(model, sizeof(nn_model));
  define(value, symbol, 8);
}

}  // namespace

void emit_tables(const Module& module, const TargetInfo& target, const std::vector<EntryFunctions>& functions,
                 const std::string& symbol, llvm::Module& into) {
  NNCC_CHECK(functions.size() == module.entries.size(), "an entry has no function");
  TableEmitter(module, target, into).emit(functions, symbol);
}

}  // namespace nncc
