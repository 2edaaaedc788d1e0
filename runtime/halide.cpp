// What kernels call: parallel loops, memory, errors.
#include <stdlib.h>

#include "session.h"

namespace {

nn_session* session_of(void* user_context) {
  return static_cast<nn_session*>(static_cast<nn_context*>(user_context)->session);
}

}  // namespace

int halide_do_par_for(void* user_context, int (*task)(void*, int, uint8_t*), int first, int count,
                      uint8_t* closure) {
  return session_of(user_context)->pool.run(user_context, task, first, count, closure);
}

// Kernels keep what they need on the stack and in the arena; this is for the one that cannot.
void* halide_malloc(void*, size_t size) {
  constexpr size_t vector = 128;
  return aligned_alloc(vector, (size + 2 * vector - 1) / vector * vector);
}

void halide_free(void*, void* memory) { free(memory); }

void halide_error(void* user_context, const char* message) {
  nn_session* session = session_of(user_context);
  if (!session->error_taken.exchange(true)) session->fail(NN_RUNTIME_ERROR, "%s", message);
}
