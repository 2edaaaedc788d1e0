/* The C symbols of the runtime that a generated object refers to. Hidden: a linked model exports its nn_model
 * alone.
 *
 * nn_model's function pointers are filled by field name: field `run` points to nn_runtime_run, and so on for
 * every one. What each does is written at the field, in <nn/abi.h>.
 */
#ifndef NN_RUNTIME_SYMBOLS_H
#define NN_RUNTIME_SYMBOLS_H
#include <nn/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Used as is by code generators: X(field of nn_model, symbol), in the order of the fields. */
#define NN_RUNTIME_FUNCTIONS(X)                          \
  X(missing_cpu_feature, nn_runtime_missing_cpu_feature) \
  X(create, nn_runtime_create)                           \
  X(destroy, nn_runtime_destroy)                         \
  X(error, nn_runtime_error)                             \
  X(initialize, nn_runtime_initialize)                   \
  X(run, nn_runtime_run)                                 \
  X(run_profiled, nn_runtime_run_profiled)               \
  X(variable, nn_runtime_variable)                       \
  X(set_variable, nn_runtime_set_variable)               \
  X(reset_memory, nn_runtime_reset_memory)               \
  X(save, nn_runtime_save)                               \
  X(load, nn_runtime_load)

const char* nn_runtime_missing_cpu_feature(const nn_model* model);
nn_status nn_runtime_create(const nn_model* model, const nn_session_options* options, nn_session** session,
                            char* error, size_t error_size);
void nn_runtime_destroy(nn_session* session);
const char* nn_runtime_error(const nn_session* session);
nn_status nn_runtime_initialize(nn_session* session, int64_t seed);
nn_status nn_runtime_run(nn_session* session, int32_t entry, const void* const* inputs, void* const* outputs);
nn_status nn_runtime_run_profiled(nn_session* session, int32_t entry, const void* const* inputs,
                                  void* const* outputs, void (*on_kernel)(void* user, int32_t kernel),
                                  void* user);
const void* nn_runtime_variable(const nn_session* session, int32_t variable);
nn_status nn_runtime_set_variable(nn_session* session, int32_t variable, const void* data, uint64_t bytes);
void nn_runtime_reset_memory(nn_session* session);
nn_status nn_runtime_save(nn_session* session, const char* path);
nn_status nn_runtime_load(nn_session* session, const char* path, int32_t partial);

/* What entries call where an integer tensor of `rank` extents is used to look something up: NN_OK if all of
 * it lies in [0, limit), else NN_RUNTIME_ERROR and a text that names the entry, the tensor, the first
 * position and its value. */
int32_t nn_runtime_check_index(nn_context* context, const void* data, int32_t dtype, int32_t rank,
                               const int64_t* shape, int64_t limit, const char* entry, const char* label);

/* What kernels call, with Halide's names and signatures; user_context is the nn_context. An entry may call
 * halide_error, too, before it returns NN_RUNTIME_ERROR: the text becomes the session's error. */
int halide_do_par_for(void* user_context, int (*task)(void* user_context, int index, uint8_t* closure),
                      int first, int count, uint8_t* closure);
void* halide_malloc(void* user_context, size_t size);
void halide_free(void* user_context, void* memory);
void halide_error(void* user_context, const char* message);

#ifdef __cplusplus
}
#endif
#endif
