// A module compiled, linked and loaded, for tests that run what nncc makes.
#pragma once
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "codegen/codegen.h"
#include "ir/print.h"
#include "nn/abi.h"
#include "test/support/temporary_folder.h"

namespace nncc::test {

inline std::string messages(const Diagnostics& diags) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  diags.print(stream);
  return stream.str();
}

// A planned module as a loaded library.
class CompiledModel {
 public:
  explicit CompiledModel(const Module& module, CodegenOptions options = {}) {
    Diagnostics diags;
    auto target = find_target("host", diags);
    if (!options.target) options.target = target.get();
    auto compiled = compile_module(module, options, diags);
    std::string path = folder_.file("model.so");
    if (!compiled || !link_shared_library(*compiled, *options.target, path, diags)) {
      ADD_FAILURE() << messages(diags);
      return;
    }
    handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle_) {
      ADD_FAILURE() << dlerror();
      return;
    }
    model_ = static_cast<const nn_model*>(dlsym(handle_, NN_MODEL_SYMBOL));
    EXPECT_NE(model_, nullptr);
  }
  ~CompiledModel() {
    if (handle_) dlclose(handle_);
  }
  CompiledModel(const CompiledModel&) = delete;
  CompiledModel& operator=(const CompiledModel&) = delete;

  explicit operator bool() const { return model_ != nullptr; }
  const nn_model& operator*() const { return *model_; }
  const nn_model* operator->() const { return model_; }
  int32_t entry(const std::string& name) const {
    for (int32_t i = 0; i < model_->num_entries; ++i)
      if (name == model_->entries[i].name) return i;
    ADD_FAILURE() << "no entry " << name;
    return -1;
  }
  int32_t variable(const std::string& name) const {
    for (int32_t i = 0; i < model_->num_variables; ++i)
      if (name == model_->variables[i].tensor.name) return i;
    ADD_FAILURE() << "no variable " << name;
    return -1;
  }

 private:
  TemporaryFolder folder_;
  void* handle_ = nullptr;
  const nn_model* model_ = nullptr;
};

// A session of a compiled model that works on literals.
class CompiledSession {
 public:
  explicit CompiledSession(const CompiledModel& model, int64_t seed = 0, int32_t threads = 1)
      : model_(model) {
    nn_session_options options = {};
    options.struct_size = sizeof options;
    options.seed = seed;
    options.threads = threads;
    char error[256] = "";
    EXPECT_EQ(model_->create(&*model_, &options, &session_, error, sizeof error), NN_OK) << error;
  }
  ~CompiledSession() { model_->destroy(session_); }
  CompiledSession(const CompiledSession&) = delete;
  CompiledSession& operator=(const CompiledSession&) = delete;

  nn_session* get() const { return session_; }
  static TensorType type_of(const nn_tensor_info& info) {
    return {static_cast<DType>(info.dtype), Shape(info.shape, info.shape + info.rank)};
  }
  std::vector<Literal> run(const std::string& name, const std::vector<Literal>& arguments) {
    int32_t index = model_.entry(name);
    const nn_entry_info& entry = model_->entries[index];
    EXPECT_EQ(static_cast<size_t>(entry.num_inputs), arguments.size());
    std::vector<std::vector<std::byte>> in, out;
    std::vector<const void*> inputs;
    std::vector<void*> outputs;
    for (const Literal& a : arguments) in.push_back(a.to_bytes());
    for (int32_t i = 0; i < entry.num_outputs; ++i) out.emplace_back(entry.outputs[i].bytes);
    for (auto& bytes : in) inputs.push_back(bytes.data());
    for (auto& bytes : out) outputs.push_back(bytes.data());
    EXPECT_EQ(model_->run(session_, index, inputs.data(), outputs.data()), NN_OK) << model_->error(session_);
    std::vector<Literal> results;
    for (int32_t i = 0; i < entry.num_outputs; ++i)
      results.push_back(Literal::from_bytes(type_of(entry.outputs[i]), out[i]));
    return results;
  }
  Literal variable(const std::string& name) const {
    int32_t index = model_.variable(name);
    const nn_tensor_info& info = model_->variables[index].tensor;
    auto* data = static_cast<const std::byte*>(model_->variable(session_, index));
    return Literal::from_bytes(type_of(info), {data, info.bytes});
  }
  void set(const std::string& name, const Literal& value) {
    std::vector<std::byte> bytes = value.to_bytes();
    EXPECT_EQ(model_->set_variable(session_, model_.variable(name), bytes.data(), bytes.size()), NN_OK)
        << model_->error(session_);
  }

 private:
  const CompiledModel& model_;
  nn_session* session_ = nullptr;
};

}  // namespace nncc::test
