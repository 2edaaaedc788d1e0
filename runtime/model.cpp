// The functions that a model's table points to.
#include "session.h"

namespace {

nn_status run(nn_session* session, int32_t entry, nn_entry_function nn_entry_info::*function,
              const void* const* inputs, void* const* outputs) {
  if (entry < 0 || entry >= session->model->num_entries) [[unlikely]]
    return session->fail(NN_INVALID_ARGUMENT, "there is no entry %d", entry);
  const nn_entry_info& info = session->model->entries[entry];
  if (info.prepare && session->prepared[entry] != session->version) [[unlikely]] {
    if (nn_status status = session->prepare(entry)) return status;
  }
  if (int32_t result = (info.*function)(&session->context, inputs, outputs)) [[unlikely]]
    return session->entry_failed(info, result);
  session->version += static_cast<uint64_t>(info.changes_weights);
  return NN_OK;
}

}  // namespace

nn_status nn_runtime_create(const nn_model* model, const nn_session_options* options, nn_session** session,
                            char* error, size_t error_size) {
  *session = nullptr;
  return nn::runtime::make_session(model, options, session, error, error_size);
}

void nn_runtime_destroy(nn_session* session) {
  if (session) nn::runtime::destroy_session(session);
}

const char* nn_runtime_error(const nn_session* session) { return session->error; }

nn_status nn_runtime_initialize(nn_session* session, int64_t seed) {
  return nn::runtime::initialize(session, seed);
}

nn_status nn_runtime_run(nn_session* session, int32_t entry, const void* const* inputs,
                         void* const* outputs) {
  return run(session, entry, &nn_entry_info::run, inputs, outputs);
}

nn_status nn_runtime_run_profiled(nn_session* session, int32_t entry, const void* const* inputs,
                                  void* const* outputs, void (*on_kernel)(void* user, int32_t kernel),
                                  void* user) {
  session->context.on_kernel = on_kernel;
  session->context.on_kernel_user = user;
  nn_status status = run(session, entry, &nn_entry_info::run_profiled, inputs, outputs);
  session->context.on_kernel = nullptr;
  return status;
}

const void* nn_runtime_variable(const nn_session* session, int32_t variable) {
  return session->is_variable(variable) ? session->bytes_of(variable) : nullptr;
}

nn_status nn_runtime_set_variable(nn_session* session, int32_t variable, const void* data, uint64_t bytes) {
  return nn::runtime::set_variable(session, variable, data, bytes);
}

void nn_runtime_reset_memory(nn_session* session) {
  for (int32_t i = 0; i < session->model->num_variables; i++) {
    if (session->model->variables[i].kind == NN_MEMORY) nn::runtime::reset_variable(session, i);
  }
}

nn_status nn_runtime_save(nn_session* session, const char* path) { return nn::runtime::save(session, path); }

nn_status nn_runtime_load(nn_session* session, const char* path, int32_t partial) {
  return nn::runtime::load(session, path, partial != 0);
}
