#include "session.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <new>

namespace nn::runtime {
namespace {

constexpr size_t huge_page = size_t{2} << 20;

void* allocate_aligned(void*, size_t size, size_t wanted_alignment) {
  if (size < 2 * huge_page) return aligned_alloc(wanted_alignment, size);
  void* memory = aligned_alloc(huge_page, size);
  if (memory) madvise(memory, size, MADV_HUGEPAGE);
  return memory;
}

void release_aligned(void*, void* memory, size_t) { free(memory); }

size_t round_up(size_t size) { return (size + alignment - 1) / alignment * alignment; }

nn_status refuse(char* error, size_t error_size, nn_status status, const char* text) {
  if (error && error_size > 0) snprintf(error, error_size, "%s", text);
  return status;
}

// True if the bytes are a float's, of a kind a hyper may have, and that float is not a number or infinite.
bool is_not_finite(nn_dtype dtype, const void* data) {
  switch (dtype) {
    case NN_F32: {
      float value;
      memcpy(&value, data, sizeof value);
      return !isfinite(value);
    }
    case NN_F64: {
      double value;
      memcpy(&value, data, sizeof value);
      return !isfinite(value);
    }
    case NN_F16:
    case NN_BF16: {
      uint16_t bits, exponent = dtype == NN_F16 ? 0x7c00 : 0x7f80;
      memcpy(&bits, data, sizeof bits);
      return (bits & exponent) == exponent;
    }
    default:
      return false;
  }
}

}  // namespace

void* Allocator::take(size_t size) const { return allocate(host, round_up(size), alignment); }
void Allocator::give_back(void* memory, size_t size) const { release(host, memory, round_up(size)); }

nn_status make_session(const nn_model* model, const nn_session_options* options, nn_session** session,
                       char* error, size_t error_size) {
  nn_session_options defaults{};
  defaults.struct_size = sizeof defaults;
  if (!options) options = &defaults;
  if (options->struct_size < sizeof *options)
    return refuse(error, error_size, NN_INVALID_ARGUMENT, "struct_size of the session's options is not set");
  if (options->threads < 0)
    return refuse(error, error_size, NN_INVALID_ARGUMENT, "the number of threads is negative");
  if (!options->allocate != !options->release)
    return refuse(error, error_size, NN_INVALID_ARGUMENT, "allocate and release must be given together");
  if (const char* feature = nn_runtime_missing_cpu_feature(model)) {
    char text[128];
    snprintf(text, sizeof text, "this processor lacks %s, which the model was compiled for (%s)", feature,
             model->target);
    return refuse(error, error_size, NN_UNSUPPORTED_CPU, text);
  }

  int threads = options->parallel_for ? 1 : Pool::thread_count(options->threads);
  size_t prepared_offset = round_up(sizeof(nn_session));
  size_t handles_offset = prepared_offset + round_up(sizeof(uint64_t) * model->num_entries);
  size_t variables_offset = handles_offset + round_up(sizeof(pthread_t) * threads);
  size_t arena_offset = variables_offset + round_up(model->variable_bytes + spare_bytes);
  size_t size = arena_offset + round_up(model->arena_bytes + spare_bytes);

  Allocator allocator{options->host, options->allocate, options->release};
  if (!allocator.allocate) allocator = {nullptr, allocate_aligned, release_aligned};
  auto* block = static_cast<unsigned char*>(allocator.take(size));
  if (!block) {
    char text[96];
    snprintf(text, sizeof text, "out of memory: the session needs %zu bytes", size);
    return refuse(error, error_size, NN_OUT_OF_MEMORY, text);
  }
  if (reinterpret_cast<uintptr_t>(block) % alignment != 0) {
    allocator.give_back(block, size);
    return refuse(error, error_size, NN_INVALID_ARGUMENT,
                  "the host's allocate returned memory that is not 64-byte aligned");
  }
  memset(block, 0, size);  // also brings the pages in, so that no step pays for it

  auto* made = new (block) nn_session(model, allocator);
  made->block = block;
  made->block_size = size;
  made->prepared = reinterpret_cast<uint64_t*>(block + prepared_offset);
  made->context.variables = block + variables_offset;
  made->context.arena = block + arena_offset;
  made->context.constants = model->constants;
  made->context.session = made;
  if (options->parallel_for && options->threads != 1) {
    made->pool.use_host(options->parallel_for, options->host);
  } else if (!made->pool.start(threads, reinterpret_cast<pthread_t*>(block + handles_offset))) {
    destroy_session(made);
    return refuse(error, error_size, NN_OUT_OF_MEMORY, "cannot start the session's threads");
  }
  for (int32_t i = 0; i < model->num_variables; i++) reset_variable(made, i);
  nn_status status = initialize(made, options->seed);
  if (status != NN_OK) {
    refuse(error, error_size, status, made->error);
    destroy_session(made);
    return status;
  }
  *session = made;
  return NN_OK;
}

void destroy_session(nn_session* session) {
  session->pool.stop();
  Allocator allocator = session->allocator;
  void* block = session->block;
  size_t size = session->block_size;
  session->~nn_session();
  allocator.give_back(block, size);
}

void reset_variable(nn_session* session, int32_t variable) {
  const nn_variable_info& info = session->model->variables[variable];
  if (info.initial) {
    memcpy(session->bytes_of(variable), info.initial, info.tensor.bytes);
  } else {
    memset(session->bytes_of(variable), 0, info.tensor.bytes);
  }
}

nn_status initialize(nn_session* session, int64_t seed) {
  const nn_model* model = session->model;
  for (int32_t i = 0; i < model->num_variables; i++) {
    nn_variable_kind kind = model->variables[i].kind;
    if (kind != NN_HYPER) reset_variable(session, i);
    if (kind == NN_SEED) memcpy(session->bytes_of(i), &seed, sizeof seed);
  }
  session->version++;
  for (int32_t i = 0; i < model->num_entries; i++) {
    const nn_entry_info& entry = model->entries[i];
    if (entry.kind != NN_ENTRY_INIT) continue;
    if (int32_t result = entry.run(&session->context, nullptr, nullptr))
      return session->entry_failed(entry, result);
  }
  session->version++;
  return NN_OK;
}

nn_status set_variable(nn_session* session, int32_t variable, const void* data, uint64_t bytes) {
  if (!session->is_variable(variable))
    return session->fail(NN_INVALID_ARGUMENT, "there is no variable %d", variable);
  const nn_variable_info& info = session->model->variables[variable];
  if (info.kind == NN_HOISTED)
    return session->fail(NN_INVALID_ARGUMENT, "%s is computed from other variables and cannot be set",
                         info.tensor.name);
  if (bytes != info.tensor.bytes) {
    return session->fail(NN_INVALID_ARGUMENT, "%s takes %llu bytes, got %llu", info.tensor.name,
                         static_cast<unsigned long long>(info.tensor.bytes),
                         static_cast<unsigned long long>(bytes));
  }
  if (info.kind == NN_HYPER && is_not_finite(info.tensor.dtype, data))
    return session->fail(NN_INVALID_ARGUMENT, "hyper %s can be neither infinite nor not a number",
                         info.tensor.name);
  memcpy(session->bytes_of(variable), data, bytes);
  session->version++;
  return NN_OK;
}

bool is_saved(nn_variable_kind kind) { return kind != NN_HYPER && kind != NN_HOISTED; }

}  // namespace nn::runtime

nn_status nn_session::fail(nn_status status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error, sizeof error, format, arguments);
  va_end(arguments);
  return status;
}

nn_status nn_session::entry_failed(const nn_entry_info& entry, int32_t result) {
  bool reported = error_taken.exchange(false);
  if (!reported) fail(NN_RUNTIME_ERROR, "%s failed with code %d", entry.name, result);
  return result > NN_OK && result <= NN_RUNTIME_ERROR ? static_cast<nn_status>(result) : NN_RUNTIME_ERROR;
}

nn_status nn_session::prepare(int32_t entry) {
  const nn_entry_info& info = model->entries[entry];
  if (int32_t result = info.prepare(&context, nullptr, nullptr)) return entry_failed(info, result);
  prepared[entry] = version;
  return NN_OK;
}
