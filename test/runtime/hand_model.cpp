#include "hand_model.h"

#include <nn/runtime_symbols.h>

#include <cstddef>
#include <cstring>

// The shared libraries of library_test are this file, compiled with these set to something else.
#ifndef HAND_ABI_VERSION
#define HAND_ABI_VERSION NN_ABI_VERSION
#endif
#ifndef HAND_FEATURE
#define HAND_FEATURE nullptr
#endif

namespace hand {

void (*chunk)(int index) = nullptr;
int prepared = 0;

namespace {

// Laid out as plan-memory would.
struct Variables {
  float weight[weights];
  float momentum[weights];
  double scale;
  int64_t counter;
  int64_t seed;
  float lr;
  float cache[4];
  uint8_t flags[2];
  alignas(64) float doubled[weights];
  float odd;
};

Variables& variables(nn_context* context) { return *reinterpret_cast<Variables*>(context->variables); }

template <class T>
const T* in(const void* const* inputs, int i) {
  return static_cast<const T*>(inputs[i]);
}
template <class T>
T* out(void* const* outputs, int i) {
  return static_cast<T*>(outputs[i]);
}

int32_t initialize(nn_context* context, const void* const*, void* const*) {
  for (int i = 0; i < weights; i++)
    variables(context).weight[i] = static_cast<float>(variables(context).seed + i);
  variables(context).scale = 0.5;
  return NN_OK;
}

// weight -= lr * mean of x; loss = sum of weights; accuracy = share of labels that are 1.
int32_t fit(nn_context* context, const void* const* inputs, void* const* outputs) {
  Variables& v = variables(context);
  auto* x = in<float>(inputs, 0);
  auto* label = in<int32_t>(inputs, 1);
  float mean = 0, loss = 0, accuracy = 0;
  for (int i = 0; i < 8; i++) mean += x[i] / 8;
  for (int i = 0; i < 4; i++) accuracy += label[i] == 1 ? 0.25f : 0;
  for (int i = 0; i < weights; i++) {
    v.momentum[i] = 0.5f * v.momentum[i] + mean;
    v.weight[i] -= v.lr * v.momentum[i];
    loss += v.weight[i];
  }
  v.counter++;
  *out<float>(outputs, 0) = loss;
  *out<float>(outputs, 1) = accuracy;
  if (context->on_kernel) context->on_kernel(context->on_kernel_user, 0);
  if (context->on_kernel) context->on_kernel(context->on_kernel_user, 1);
  return NN_OK;
}

int32_t prepare_classify(nn_context* context, const void* const*, void* const*) {
  Variables& v = variables(context);
  for (int i = 0; i < weights; i++) v.doubled[i] = 2 * v.weight[i];
  prepared++;
  return NN_OK;
}

int32_t classify(nn_context* context, const void* const* inputs, void* const* outputs) {
  for (int i = 0; i < weights; i++)
    out<float>(outputs, 0)[i] = variables(context).doubled[i] * in<float>(inputs, 0)[i];
  return NN_OK;
}

int32_t remember(nn_context* context, const void* const* inputs, void* const* outputs) {
  Variables& v = variables(context);
  for (int i = 0; i < 4; i++) v.cache[i] += *in<float>(inputs, 0);
  memcpy(out<float>(outputs, 0), v.cache, sizeof v.cache);
  return NN_OK;
}

int32_t scalars(nn_context*, const void* const* inputs, void* const* outputs) {
  *out<double>(outputs, 0) = *in<float>(inputs, 0) + static_cast<double>(*in<int32_t>(inputs, 1)) +
                             *in<uint8_t>(inputs, 2) + static_cast<double>(*in<int64_t>(inputs, 3)) +
                             *in<uint8_t>(inputs, 4);
  *out<int64_t>(outputs, 1) = *in<int64_t>(inputs, 3);
  *out<uint8_t>(outputs, 2) = *in<uint8_t>(inputs, 4);
  *out<uint16_t>(outputs, 3) = *in<uint16_t>(inputs, 5);
  return NN_OK;
}

struct Closure {
  int32_t* out;
};

int nested_task(void*, int index, uint8_t* closure) {
  reinterpret_cast<Closure*>(closure)->out[0] += index;
  return 0;
}

// Not begun from 0, as loops of kernels need not be. Each chunk has a parallel loop of its own.
int task(void* context, int index, uint8_t* closure) {
  if (chunk) chunk(index - 10);
  Closure nested{reinterpret_cast<Closure*>(closure)->out + (index - 10)};
  nested.out[0] = index;
  return halide_do_par_for(context, nested_task, 0, 3, reinterpret_cast<uint8_t*>(&nested));
}

int32_t parallel(nn_context* context, const void* const*, void* const* outputs) {
  Closure closure{out<int32_t>(outputs, 0)};
  return halide_do_par_for(context, task, 10, chunks, reinterpret_cast<uint8_t*>(&closure));
}

int failing_task(void* context, int index, uint8_t*) {
  if (index != 3) return 0;
  halide_error(context, "label 12 is not below 10");
  return NN_RUNTIME_ERROR;
}

int32_t failing(nn_context* context, const void* const*, void* const*) {
  return halide_do_par_for(context, failing_task, 0, 8, nullptr);
}

int32_t silent(nn_context*, const void* const*, void* const*) { return -7; }

constexpr int64_t by8[] = {8}, by4x2[] = {4, 2}, by4[] = {4}, by2[] = {2}, by_chunks[] = {chunks};
constexpr float initial_lr = 0.1f;
constexpr uint8_t initial_flags[] = {1, 0};

#define TENSOR(name, dtype, shape, bytes) \
  { name, dtype, sizeof(shape) / sizeof(int64_t), shape, bytes }
#define SCALAR(name, dtype, bytes) \
  { name, dtype, 0, nullptr, bytes }
#define AT(field) offsetof(Variables, field)

const nn_variable_info variable_table[] = {
    {TENSOR("net.weight", NN_F32, by8, 32), NN_PARAMETER, AT(weight), nullptr},
    {TENSOR("fit.momentum.v/net.weight", NN_F32, by8, 32), NN_OPTIMIZER_STATE, AT(momentum), nullptr},
    {SCALAR("net.scale", NN_F64, 8), NN_STATE, AT(scale), nullptr},
    {SCALAR("fit.step", NN_I64, 8), NN_COUNTER, AT(counter), nullptr},
    {SCALAR("seed", NN_I64, 8), NN_SEED, AT(seed), nullptr},
    {SCALAR("lr", NN_F32, 4), NN_HYPER, AT(lr), &initial_lr},
    {TENSOR("net.cache", NN_F32, by4, 16), NN_MEMORY, AT(cache), nullptr},
    {TENSOR("net.flags", NN_BOOL, by2, 2), NN_STATE, AT(flags), initial_flags},
    {TENSOR("classify.doubled", NN_F32, by8, 32), NN_HOISTED, AT(doubled), nullptr},
    {SCALAR(odd_name, NN_F32, 4), NN_STATE, AT(odd), nullptr},
};

const nn_tensor_info fit_inputs[] = {TENSOR("x", NN_F32, by4x2, 32), TENSOR("label", NN_I32, by4, 16)};
const nn_tensor_info fit_outputs[] = {SCALAR("loss", NN_F32, 4), SCALAR("accuracy", NN_F32, 4)};
const nn_kernel_info fit_kernels[] = {{"mean", 8, 32}, {"update", 24, 96}};
const nn_tensor_info vector_input[] = {TENSOR("x", NN_F32, by8, 32)};
const nn_tensor_info vector_output[] = {TENSOR("y", NN_F32, by8, 32)};
const nn_tensor_info remember_input[] = {SCALAR("value", NN_F32, 4)};
const nn_tensor_info remember_output[] = {TENSOR("cache", NN_F32, by4, 16)};
const nn_tensor_info scalars_inputs[] = {SCALAR("a", NN_F32, 4),  SCALAR("b", NN_I32, 4),
                                         SCALAR("c", NN_U8, 1),   SCALAR("d", NN_I64, 8),
                                         SCALAR("e", NN_BOOL, 1), SCALAR("f", NN_F16, 2)};
const nn_tensor_info scalars_outputs[] = {SCALAR("sum", NN_F64, 8), SCALAR("long", NN_I64, 8),
                                          SCALAR("truth", NN_BOOL, 1), SCALAR("half", NN_F16, 2)};
const nn_tensor_info parallel_output[] = {TENSOR("sums", NN_I32, by_chunks, 4 * chunks)};

const nn_entry_info entry_table[] = {
    {"fit", NN_ENTRY_TRAIN, 2, 2, 2, 1, fit_inputs, fit_outputs, fit_kernels, fit, fit, nullptr, 0},
    {"classify", NN_ENTRY_MODEL, 1, 1, 0, 0, vector_input, vector_output, nullptr, classify, classify,
     prepare_classify, 256},
    {"remember", NN_ENTRY_MODEL, 1, 1, 0, 0, remember_input, remember_output, nullptr, remember, remember,
     nullptr, 0},
    {"scalars", NN_ENTRY_MODEL, 6, 4, 0, 0, scalars_inputs, scalars_outputs, nullptr, scalars, scalars,
     nullptr, 0},
    {"parallel", NN_ENTRY_MODEL, 0, 1, 0, 0, nullptr, parallel_output, nullptr, parallel, parallel, nullptr,
     0},
    {"failing", NN_ENTRY_MODEL, 0, 0, 0, 0, nullptr, nullptr, nullptr, failing, failing, nullptr, 0},
    {"silent", NN_ENTRY_MODEL, 0, 0, 0, 0, nullptr, nullptr, nullptr, silent, silent, nullptr, 0},
    {"init", NN_ENTRY_INIT, 0, 0, 0, 1, nullptr, nullptr, nullptr, initialize, initialize, nullptr, 0},
};

const char* const cpu_features[] = {HAND_FEATURE, nullptr};
alignas(64) const unsigned char constants[64] = {};

}  // namespace

#define HAND_MODEL                                                                                      \
  {                                                                                                     \
    HAND_ABI_VERSION, sizeof(nn_model), "hand", "by hand", "x86-64-v2", cpu_features,                   \
        sizeof variable_table / sizeof *variable_table, sizeof entry_table / sizeof *entry_table,       \
        variable_table, entry_table, sizeof(Variables), 256, constants, nn_runtime_missing_cpu_feature, \
        nn_runtime_create, nn_runtime_destroy, nn_runtime_error, nn_runtime_initialize, nn_runtime_run, \
        nn_runtime_run_profiled, nn_runtime_variable, nn_runtime_set_variable, nn_runtime_reset_memory, \
        nn_runtime_save, nn_runtime_load                                                                \
  }

#ifndef HAND_SHARED
const nn_model model = HAND_MODEL;
#endif

}  // namespace hand

#ifdef HAND_SHARED
extern "C" [[gnu::visibility("default")]] const nn_model nn_model_v1 = [] {
  using namespace hand;
  return nn_model HAND_MODEL;
}();
#endif
