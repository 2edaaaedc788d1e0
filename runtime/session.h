// What stands behind nn_session: variables, workspace, threads. All of it lies in one block, taken when the
// session is made.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "nn/runtime_symbols.h"
#include "pool.h"

namespace nn::runtime {

// Kernels may read whole vectors over the end of what they are given.
constexpr size_t alignment = 64;
constexpr size_t spare_bytes = 128;

// The host's allocator or the built-in one.
struct Allocator {
  void* host = nullptr;
  void* (*allocate)(void* host, size_t size, size_t alignment) = nullptr;
  void (*release)(void* host, void* memory, size_t size) = nullptr;

  void* take(size_t size) const;
  void give_back(void* memory, size_t size) const;
};

// Memory for the length of one call.
class Scratch {
 public:
  Scratch(const Allocator& allocator, size_t size)
      : allocator_(allocator), size_(size), memory_(static_cast<unsigned char*>(allocator.take(size))) {}
  ~Scratch() {
    if (memory_) allocator_.give_back(memory_, size_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  unsigned char* get() const { return memory_; }

 private:
  const Allocator& allocator_;
  size_t size_;
  unsigned char* memory_;
};

}  // namespace nn::runtime

struct nn_session {
  nn_session(const nn_model* model, const nn::runtime::Allocator& allocator)
      : model(model), allocator(allocator) {}

  const nn_model* model;
  nn_context context{};
  // Hoisted values of entry i are right if prepared[i] == version, which grows whenever what they are
  // computed from may have changed.
  uint64_t version = 1;
  uint64_t* prepared = nullptr;
  nn::runtime::Allocator allocator;
  void* block = nullptr;
  size_t block_size = 0;
  nn::runtime::Pool pool;
  // Kernels may report from several threads; the first report is kept until the call ends.
  std::atomic<bool> error_taken{false};
  char error[512] = "";

  // Sets the error's text and returns `status`.
  [[gnu::format(printf, 3, 4)]] nn_status fail(nn_status status, const char* format, ...);
  unsigned char* bytes_of(int32_t variable) const {
    return context.variables + model->variables[variable].offset;
  }
  bool is_variable(int32_t variable) const { return variable >= 0 && variable < model->num_variables; }
  // Turns what generated code returned into a status and makes sure there is a text.
  nn_status entry_failed(const nn_entry_info& entry, int32_t result);
  nn_status prepare(int32_t entry);
};

namespace nn::runtime {

nn_status make_session(const nn_model* model, const nn_session_options* options, nn_session** session,
                       char* error, size_t error_size);
void destroy_session(nn_session* session);
nn_status initialize(nn_session* session, int64_t seed);
nn_status set_variable(nn_session* session, int32_t variable, const void* data, uint64_t bytes);
// The variable as it is before anything ran.
void reset_variable(nn_session* session, int32_t variable);
// Everything but hypers and hoisted values.
bool is_saved(nn_variable_kind kind);

nn_status save(nn_session* session, const char* path);
nn_status load(nn_session* session, const char* path, bool partial);

}  // namespace nn::runtime
