/* The C interface of a compiled model. A library made by nncc exports one symbol, `nn_model_v1`, of type
 * nn_model; everything else is reached through it. Plain C99. <nn/model.h> is the C++ interface on top of it.
 *
 * Threads: a model is immutable and may be used from any number of threads. A session belongs to one thread
 * at a time. Errors: functions return NN_OK or an nn_status; nn_session_error() then has the reason, in
 * words, until the next call. Sizes are in bytes unless said otherwise; shapes are row-major, outermost
 * extent first.
 */
#ifndef NN_ABI_H
#define NN_ABI_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NN_ABI_VERSION 1u
#define NN_MODEL_SYMBOL "nn_model_v1"

typedef enum nn_status {
  NN_OK = 0,
  NN_INVALID_ARGUMENT = 1, /* a name, index, shape or type that does not fit */
  NN_OUT_OF_MEMORY = 2,
  NN_IO_ERROR = 3,        /* a file could not be read or written, or is not what it should be */
  NN_UNSUPPORTED_CPU = 4, /* the processor lacks instructions the model was compiled for */
  NN_RUNTIME_ERROR = 5,   /* an entry found data it cannot work with; nothing was changed */
} nn_status;

typedef enum nn_dtype { NN_F32, NN_F16, NN_BF16, NN_F64, NN_I8, NN_U8, NN_I32, NN_I64, NN_BOOL } nn_dtype;

typedef enum nn_variable_kind {
  NN_PARAMETER,
  NN_STATE,
  NN_MEMORY,
  NN_OPTIMIZER_STATE,
  NN_COUNTER,
  NN_SEED,
  NN_HYPER,
  NN_HOISTED
} nn_variable_kind;

typedef enum nn_entry_kind { NN_ENTRY_MODEL, NN_ENTRY_TRAIN, NN_ENTRY_INIT } nn_entry_kind;

typedef struct nn_tensor_info {
  const char* name;
  nn_dtype dtype;
  int32_t rank;
  const int64_t* shape; /* rank extents; null when rank is 0 */
  uint64_t bytes;
} nn_tensor_info;

typedef struct nn_variable_info {
  nn_tensor_info tensor;
  nn_variable_kind kind;
  uint64_t offset;     /* from the start of the session's variables */
  const void* initial; /* tensor.bytes bytes, or null: zeros */
} nn_variable_info;

typedef struct nn_kernel_info {
  const char* name; /* "matmul 64x256x784 + add + relu" */
  uint64_t flops; /* of one run of the entry: a kernel in a loop counts with all its calls; a multiply-add is
                     2; transcendental functions count 1 */
  uint64_t bytes; /* likewise, read and written, each tensor once a call */
} nn_kernel_info;

/* What generated code is given. Owned by the session. */
typedef struct nn_context {
  unsigned char* variables;
  unsigned char* arena; /* 64-byte aligned */
  const unsigned char* constants;
  void* session;                                 /* the nn_session, for the pool and for errors */
  void (*on_kernel)(void* user, int32_t kernel); /* called after each kernel by run_profiled alone */
  void* on_kernel_user;
} nn_context;

/* Generated. inputs and outputs: one pointer for each, in the order of the entry's tables. Returns an
 * nn_status. */
typedef int32_t (*nn_entry_function)(nn_context* context, const void* const* inputs, void* const* outputs);

typedef struct nn_entry_info {
  const char* name;
  nn_entry_kind kind;
  int32_t num_inputs;
  int32_t num_outputs;
  int32_t num_kernels;
  int32_t changes_weights; /* 1: prepare functions must run again after this entry */
  const nn_tensor_info* inputs;
  const nn_tensor_info* outputs;
  const nn_kernel_info* kernels; /* of `run`, in order of execution */
  nn_entry_function run;
  nn_entry_function run_profiled; /* the same, calling context->on_kernel */
  nn_entry_function prepare;      /* computes hoisted values; null if there are none */
  uint64_t arena_bytes;
} nn_entry_info;

typedef struct nn_session nn_session;

/* Runs body(user, i) for each i in [0, count), in any order, on any threads; returns when all are done. */
typedef void (*nn_parallel_for)(void* host, int32_t count, void (*body)(void* user, int32_t i), void* user);

typedef struct nn_session_options {
  uint32_t struct_size; /* sizeof(nn_session_options) */
  int64_t seed;
  int32_t threads; /* 0: as many as the process may use; 1: none but the caller */
  /* The host's own; null for the built-in ones. allocate returns 64-byte aligned memory or null. */
  void* host;
  void* (*allocate)(void* host, size_t size, size_t alignment);
  void (*release)(void* host, void* memory, size_t size);
  nn_parallel_for parallel_for;
} nn_session_options;

typedef struct nn_model {
  uint32_t abi_version; /* NN_ABI_VERSION */
  uint32_t struct_size;
  const char* name;
  const char* compiler;            /* "nncc 0.1.0" */
  const char* target;              /* "x86-64-v4", and the Halide features behind it */
  const char* const* cpu_features; /* what the processor must have, as in /proc/cpuinfo; null-terminated */
  int32_t num_variables;
  int32_t num_entries;
  const nn_variable_info* variables;
  const nn_entry_info* entries; /* with the `init` entry last */
  uint64_t variable_bytes;
  uint64_t arena_bytes; /* the largest of the entries' */
  const unsigned char* constants;

  /* The runtime inside the library. */
  const char* (*missing_cpu_feature)(const struct nn_model* model); /* null if the processor has all */
  /* Takes all memory the session will ever use, starts the threads, runs `init`. On failure *session is null
   * and error (of error_size bytes) has the reason. */
  nn_status (*create)(const struct nn_model* model, const nn_session_options* options, nn_session** session,
                      char* error, size_t error_size);
  void (*destroy)(nn_session* session);
  const char* (*error)(const nn_session* session);
  /* Gives every variable but hypers its first value again, from `seed`. */
  nn_status (*initialize)(nn_session* session, int64_t seed);
  /* Runs an entry. Pointers must be valid for the tables' bytes, and may be unaligned for the vector unit but
   * not for their element type. Outputs may not overlap inputs. No allocation, no lock where one thread does
   * the work. */
  nn_status (*run)(nn_session* session, int32_t entry, const void* const* inputs, void* const* outputs);
  nn_status (*run_profiled)(nn_session* session, int32_t entry, const void* const* inputs,
                            void* const* outputs, void (*on_kernel)(void* user, int32_t kernel), void* user);
  /* The variable's memory, for reading. Writing goes through set_variable, so that hoisted values are
   * computed again. */
  const void* (*variable)(const nn_session* session, int32_t variable);
  nn_status (*set_variable)(nn_session* session, int32_t variable, const void* data, uint64_t bytes);
  /* Memory variables back to their initial values. */
  void (*reset_memory)(nn_session* session);
  /* .safetensors, every saved variable under its name. save writes a temporary file beside `path` and renames
   * it. load demands every saved variable with its type and shape (NN_IO_ERROR says what differs) unless
   * `partial`, which takes those that are there; nothing is changed on failure. */
  nn_status (*save)(nn_session* session, const char* path);
  nn_status (*load)(nn_session* session, const char* path, int32_t partial);
} nn_model;

/* Each compiled model defines this; in a static library it is named nn_model_v1_NAME instead. */
extern const nn_model nn_model_v1;

#ifdef __cplusplus
}
#endif
#endif
