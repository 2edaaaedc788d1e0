// --emit=h: a C++ header with one typed function for each entry, for a model linked statically.
#include <cctype>
#include <functional>
#include <set>

#include "codegen/codegen.h"

namespace nncc {
namespace {

const char* cpp_type(DType dtype) {
  switch (dtype) {
    case DType::F32:
      return "float";
    case DType::F64:
      return "double";
    case DType::F16:
    case DType::BF16:
      return "std::uint16_t";
    case DType::I8:
      return "std::int8_t";
    case DType::U8:
      return "std::uint8_t";
    case DType::I32:
      return "std::int32_t";
    case DType::I64:
      return "std::int64_t";
    case DType::Bool:
      return "bool";
  }
  NNCC_UNREACHABLE("an element type without a C++ type");
}

// Names of one scope of C++: letters, digits and `_`, no keyword, none twice.
class Names {
 public:
  std::string make(std::string_view wanted) {
    static const std::set<std::string, std::less<>> keywords = {
        "alignas",     "alignof",  "and",        "and_eq",    "asm",       "auto",         "bitand",
        "bitor",       "bool",     "break",      "case",      "catch",     "char",         "char8_t",
        "char16_t",    "char32_t", "class",      "co_await",  "co_return", "co_yield",     "compl",
        "concept",     "const",    "const_cast", "consteval", "constexpr", "constinit",    "continue",
        "decltype",    "default",  "delete",     "do",        "double",    "dynamic_cast", "else",
        "enum",        "explicit", "export",     "extern",    "false",     "float",        "for",
        "friend",      "goto",     "if",         "inline",    "int",       "long",         "mutable",
        "namespace",   "new",      "noexcept",   "not",       "not_eq",    "nullptr",      "operator",
        "or",          "or_eq",    "private",    "protected", "public",    "register",     "reinterpret_cast",
        "requires",    "return",   "short",      "signed",    "sizeof",    "static",       "static_assert",
        "static_cast", "std",      "struct",     "switch",    "template",  "this",         "thread_local",
        "throw",       "true",     "try",        "typedef",   "typeid",    "typename",     "union",
        "unsigned",    "using",    "virtual",    "void",      "volatile",  "wchar_t",      "while",
        "xor",         "xor_eq"};
    std::string name(wanted);
    for (char& c : name)
      if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
    if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0]))) name.insert(0, "_");
    if (keywords.count(name)) name += "_";
    std::string unique = name;
    for (int i = 1; !taken_.insert(unique).second; ++i) unique = name + "_" + std::to_string(i);
    return unique;
  }

 private:
  std::set<std::string> taken_;
};

std::string input_type(const TensorType& type) {
  if (type.rank() == 0) return cpp_type(type.dtype);
  return std::string("std::span<const ") + cpp_type(type.dtype) + ", " + std::to_string(type.num_elements()) +
         ">";
}
std::string output_type(const TensorType& type) {
  if (type.rank() == 0) return std::string(cpp_type(type.dtype)) + "&";
  return std::string("std::span<") + cpp_type(type.dtype) + ", " + std::to_string(type.num_elements()) + ">";
}
std::string address(const TensorType& type, const std::string& name) {
  return type.rank() == 0 ? "&" + name : name + ".data()";
}

std::string entry_function(const Entry& entry, const std::string& name, int index) {
  std::string comment, parameters, inputs, outputs;
  Names names;
  auto add = [](std::string& list, const std::string& item) { list += (list.empty() ? "" : ", ") + item; };
  std::string types;
  for (const Graph::Argument& a : entry.graph.arguments) {
    const TensorType& type = entry.graph.type(a.value);
    std::string parameter = names.make(a.name);
    add(types, a.name + ": " + type.str());
    add(parameters, input_type(type) + " " + parameter);
    add(inputs, address(type, parameter));
  }
  comment = "  // " + entry.name + "(" + types + ")";
  types.clear();
  for (const Graph::Result& r : entry.graph.results) {
    const TensorType& type = entry.graph.type(r.value);
    std::string parameter = names.make(r.name);
    add(types, r.name + ": " + type.str());
    add(parameters, output_type(type) + " " + parameter);
    add(outputs, address(type, parameter));
  }
  if (!types.empty()) comment += " -> (" + types + ")";
  std::string body;
  names.make("nn_model_");
  std::string input_array = names.make("inputs"), output_array = names.make("outputs");
  body += "    const void* const " + input_array + "[] = {" + (inputs.empty() ? "nullptr" : inputs) + "};\n";
  body += "    void* const " + output_array + "[] = {" + (outputs.empty() ? "nullptr" : outputs) + "};\n";
  body += "    this->check(nn_model_.run(this->session_, " + std::to_string(index) + ", " + input_array +
          ", " + output_array + "));\n";
  return comment + "\n  void " + name + "(" + parameters + ") {\n" + body + "  }\n";
}

std::string variable_functions(const Variable& variable, Names& names, int index) {
  const TensorType& type = variable.type;
  std::string name = names.make(variable.name), setter = names.make("set_" + variable.name);
  std::string text = "  // " + variable.name + ": " + type.str() + ", " +
                     std::string(variable_kind_name(variable.kind)) + "\n";
  std::string pointer = std::string("static_cast<const ") + cpp_type(type.dtype) +
                        "*>(nn_model_.variable(session_, " + std::to_string(index) + "))";
  text += "  " + input_type(type) + " " + name + "() const { return " +
          (type.rank() == 0
               ? "*" + pointer
               : input_type(type) + "(" + pointer + ", " + std::to_string(type.num_elements()) + ")") +
          "; }\n";
  text += "  void " + setter + "(" + input_type(type) + " value) { check(nn_model_.set_variable(session_, " +
          std::to_string(index) + ", " + address(type, "value") + ", " + std::to_string(type.byte_size()) +
          ")); }\n";
  return text;
}

constexpr std::string_view kSessionHead =
    R"(// Weights, optimizer state and workspace. Failures are exceptions with the reason.
class Session {
 public:
  // What a session takes, all of it when it is made.
  static std::size_t memory_bytes(int threads = 1) {
    Memory memory;
    nn_session_options options = options_for(memory, 0, threads);
    nn_session* session = nullptr;
    nn_model_.create(&nn_model_, &options, &session, nullptr, 0);
    return memory.wanted;
  }
  // In memory of the caller's: at least memory_bytes(threads), aligned to 64 bytes, there for as long as the session.
  explicit Session(std::span<std::byte> memory, std::int64_t seed = 0, int threads = 1) {
    memory_.bytes = memory;
    nn_session_options options = options_for(memory_, seed, threads);
    char error[512] = "";
    if (nn_model_.create(&nn_model_, &options, &session_, error, sizeof error) != NN_OK) throw std::runtime_error(error);
  }
  ~Session() { nn_model_.destroy(session_); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // First values again, for everything but hypers.
  void initialize(std::int64_t seed) { check(nn_model_.initialize(session_, seed)); }
  void reset_memory() { nn_model_.reset_memory(session_); }
  void save(const char* path) { check(nn_model_.save(session_, path)); }
  void load(const char* path, bool partial = false) { check(nn_model_.load(session_, path, partial)); }
  nn_session* get() { return session_; }

)";

constexpr std::string_view kSessionTail = R"(
 private:
  // Hands out the caller's memory once; reading a checkpoint takes from the heap for as long as it lasts.
  struct Memory {
    std::span<std::byte> bytes;
    std::size_t wanted = 0;
    bool taken = false;
    static void* allocate(void* self, std::size_t size, std::size_t alignment) {
      auto& memory = *static_cast<Memory*>(self);
      if (memory.taken) return std::aligned_alloc(alignment, size);
      memory.wanted = size;
      if (memory.bytes.size() < size || reinterpret_cast<std::uintptr_t>(memory.bytes.data()) % alignment != 0) return nullptr;
      memory.taken = true;
      return memory.bytes.data();
    }
    static void release(void* self, void* address, std::size_t) {
      if (address != static_cast<Memory*>(self)->bytes.data()) std::free(address);
    }
  };
  static nn_session_options options_for(Memory& memory, std::int64_t seed, int threads) {
    nn_session_options options = {};
    options.struct_size = sizeof options;
    options.seed = seed;
    options.threads = threads;
    options.host = &memory;
    options.allocate = Memory::allocate;
    options.release = Memory::release;
    return options;
  }
  void check(nn_status status) const {
    if (status != NN_OK) throw std::runtime_error(nn_model_.error(session_));
  }
  static constexpr const nn_model& nn_model_ = MODEL_SYMBOL;
  Memory memory_;
  nn_session* session_ = nullptr;
};
)";

std::string replaced(std::string_view text, std::string_view from, const std::string& to) {
  std::string result(text);
  for (size_t at = 0; (at = result.find(from, at)) != std::string::npos; at += to.size())
    result.replace(at, from.size(), to);
  return result;
}

}  // namespace

std::string emit_header(const Module& module, std::string_view stem) {
  std::string symbol = "nn_model_v1_" + module.name;
  std::string text = "// Made by nncc from `" + std::string(stem) +
                     "`; goes with its static library (nncc … -o lib" + module.name + ".a).\n";
  text +=
      "#pragma once\n#include <nn/abi.h>\n\n#include <cstddef>\n#include <cstdint>\n#include "
      "<cstdlib>\n#include <span>\n#include <stdexcept>\n\n";
  text += "extern \"C\" const nn_model " + symbol + ";\n\n";
  Names outer;
  std::string space = outer.make(module.name);
  text += "namespace " + space + " {\n\n";
  text += "inline constexpr std::size_t variable_bytes = " + std::to_string(module.variable_bytes) + ";\n\n";
  text += kSessionHead;
  Names names;
  for (const char* taken : {"Session", "Memory", "memory_bytes", "initialize", "reset_memory", "save", "load",
                            "get", "check", "options_for", "nn_model_", "memory_", "session_"})
    names.make(taken);
  int index = 0;
  for (const Entry& entry : module.entries)  // `init` is last in the tables, so it does not count here
    if (entry.kind != EntryKind::Init) text += entry_function(entry, names.make(entry.name), index++);
  text += "\n";
  index = 0;
  for (const Variable& variable : module.variables) {
    if (variable.kind != VariableKind::Hoisted) text += variable_functions(variable, names, index);
    ++index;
  }
  text += replaced(kSessionTail, "MODEL_SYMBOL", symbol);
  text += "\n}  // namespace " + space + "\n";
  return text;
}

}  // namespace nncc
