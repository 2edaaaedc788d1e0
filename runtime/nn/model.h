// Running and training a network that nncc compiled. Header-only; link nothing but libdl where libc needs it.
//
//   nn::Library library = nn::Library::open("mlp.so");
//   nn::Session session(library, {.seed = 42, .threads = 2});
//   auto fit = session.entry("fit");
//   for (auto& [image, label] : batches) {
//     auto metrics = fit(image, label);
//     std::cout << metrics["loss"] << '\n';
//   }
//   session.save("mlp.safetensors");
//
// Memory: a session takes all it needs when it is made: variables, workspace, outputs. Calling an entry
// allocates nothing and copies nothing.
//
// Threads: a Library is immutable and may be used by any number of threads. A Session, with its entries and
// outputs, belongs to one thread at a time; different sessions, also of one library, run at the same time.
//
// Lifetimes: a Session keeps its Library loaded. Entries, outputs and tensors of variables must not be used
// after their Session has gone (moving it is fine). An entry's outputs hold until that entry is called again;
// a variable's tensor always shows the present values.
//
// Errors are thrown as nn::Error. A call that throws because of its arguments has changed nothing.
#pragma once
#include <nn/abi.h>
#include <nn/detail/shared_object.h>
#include <nn/tensor.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nn {

namespace detail {

template <class Infos, class Name>
std::string names_of(const Infos& infos, Name name) {
  std::string text;
  for (const auto& info : infos) text += (text.empty() ? "" : ", ") + std::string(name(info));
  return text.empty() ? "none" : text;
}

}  // namespace detail

// A compiled model. Cheap to copy.
class Library {
 public:
  // Loads a .so that nncc made. Throws if it isn't one, was made for another version of this interface, or
  // needs instructions that this processor lacks.
  static Library open(const std::string& path) {
    auto file = std::make_shared<const detail::SharedObject>(path);
    auto* model = static_cast<const nn_model*>(file->symbol(NN_MODEL_SYMBOL));
    if (!model) throw Error(NN_IO_ERROR, path + " is not a model compiled by nncc");
    return Library(*model, path, std::move(file));
  }
  // A model that is linked into the program.
  explicit Library(const nn_model& model) : Library(model, "the model", nullptr) {}

  std::string_view name() const { return model_->name; }
  std::string_view compiler() const { return model_->compiler; }
  std::string_view target() const { return model_->target; }
  // What can be called: the models and trainings of the program.
  std::span<const nn_entry_info> entries() const {
    auto count = static_cast<std::size_t>(model_->num_entries);
    while (count > 0 && model_->entries[count - 1].kind == NN_ENTRY_INIT) count--;
    return {model_->entries, count};
  }
  std::span<const nn_variable_info> variables() const {
    return {model_->variables, static_cast<std::size_t>(model_->num_variables)};
  }
  const nn_entry_info& entry(std::string_view name) const { return model_->entries[entry_index(name)]; }
  std::span<const nn_tensor_info> inputs(std::string_view entry_name) const {
    const nn_entry_info& info = entry(entry_name);
    return {info.inputs, static_cast<std::size_t>(info.num_inputs)};
  }
  std::span<const nn_tensor_info> outputs(std::string_view entry_name) const {
    const nn_entry_info& info = entry(entry_name);
    return {info.outputs, static_cast<std::size_t>(info.num_outputs)};
  }
  const nn_model& model() const { return *model_; }

  int entry_index(std::string_view name) const {
    for (std::size_t i = 0; i < entries().size(); i++) {
      if (entries()[i].name == name) return static_cast<int>(i);
    }
    throw Error(NN_INVALID_ARGUMENT,
                "there is no entry " + std::string(name) + "; the model has " +
                    detail::names_of(entries(), [](const nn_entry_info& e) { return e.name; }));
  }
  // Negative if there is none.
  int find_variable(std::string_view name) const {
    for (std::size_t i = 0; i < variables().size(); i++) {
      if (variables()[i].tensor.name == name) return static_cast<int>(i);
    }
    return -1;
  }

 private:
  Library(const nn_model& model, const std::string& what, std::shared_ptr<const detail::SharedObject> file)
      : file_(std::move(file)), model_(&model) {
    if (model.abi_version != NN_ABI_VERSION || model.struct_size < sizeof(nn_model)) {
      throw Error(NN_IO_ERROR, what + " was compiled for version " + std::to_string(model.abi_version) +
                                   " of the interface, this program was for version " +
                                   std::to_string(NN_ABI_VERSION) + ": compile them with the same nncc");
    }
    if (const char* feature = model.missing_cpu_feature(&model))
      throw Error(NN_UNSUPPORTED_CPU,
                  what + " was compiled for " + model.target + "; this processor lacks " + feature);
  }

  std::shared_ptr<const detail::SharedObject> file_;
  const nn_model* model_;
};

// Calls body(i) for each i in [0, count), in any order and on any threads, and returns when all are done.
using ParallelFor = std::function<void(int count, const std::function<void(int)>& body)>;

struct SessionOptions {
  int64_t seed = 0;  // of all randomness: the same seed gives the same bits, on any number of threads
  int threads = 0;   // 0: as many as the process may use; 1: none but the caller
  // The host's own, in place of the built-in ones. The allocator must live as long as the session.
  std::pmr::memory_resource* allocator = nullptr;
  ParallelFor parallel_for = nullptr;
};

namespace detail {

// An entry of a session, ready to be called.
struct EntryState {
  const nn_model* model;
  nn_session* session;
  const nn_entry_info* info;
  int32_t index;
  std::vector<void*> outputs;
  std::vector<const void*> inputs;  // room for calls with a run-time number of them

  void check(nn_status status) const {
    if (status != NN_OK) [[unlikely]]
      throw Error(status, model->error(session));
  }
  void run(const void* const* arguments) const {
    check(model->run(session, index, arguments, outputs.data()));
  }

  [[noreturn]] void throw_count(std::size_t got) const {
    auto names = std::span(info->inputs, static_cast<std::size_t>(info->num_inputs));
    throw Error(NN_INVALID_ARGUMENT, std::string(info->name) + " takes " + std::to_string(info->num_inputs) +
                                         " inputs (" +
                                         names_of(names, [](const nn_tensor_info& t) { return t.name; }) +
                                         "), got " + std::to_string(got));
  }
  [[noreturn]] void throw_mismatch(const nn_tensor_info& tensor, const std::string& got) const {
    throw Error(NN_INVALID_ARGUMENT, std::string(info->name) + ": input " + tensor.name + " is " +
                                         type_name(tensor) + ", got " + got);
  }

  // The address of an argument that fits the tensor; scalars are converted into `slot`.
  template <class T>
  const void* argument(const nn_tensor_info& tensor, const T& value, Slot& slot) const {
    if constexpr (std::is_arithmetic_v<T>) {
      if (tensor.bytes != dtype_size(tensor.dtype)) [[unlikely]]
        throw_mismatch(tensor, "one number");
      return convert_scalar(tensor, value, slot, info->name);
    } else if constexpr (std::is_same_v<T, Tensor>) {
      return argument(tensor, View(value.dtype(), value.data(), value.shape()), slot);
    } else {
      static_assert(std::is_convertible_v<const T&, View>,
                    "an input is a number, a span, vector or array of f32, f64, i32 … elements, an "
                    "nn::Tensor, or an nn::View of a pointer and a shape");
      const View view(value);
      if (!view.fits(tensor)) [[unlikely]]
        throw_mismatch(tensor, view.type_name());
      return view.data();
    }
  }
};

// Both of the host's hooks, behind the one pointer that the C interface passes on.
struct Host {
  std::pmr::memory_resource* allocator;
  ParallelFor parallel_for;

  static void* allocate(void* host, std::size_t size, std::size_t alignment) {
    try {
      return static_cast<Host*>(host)->allocator->allocate(size, alignment);
    } catch (...) {
      return nullptr;
    }
  }
  static void release(void* host, void* memory, std::size_t size) {
    static_cast<Host*>(host)->allocator->deallocate(memory, size, 64);
  }
  static void run_parallel(void* host, int32_t count, void (*body)(void* user, int32_t i), void* user) {
    static_cast<Host*>(host)->parallel_for(count, [body, user](int i) { body(user, i); });
  }
};

}  // namespace detail

// What an entry returned. Holds until the entry is called again.
class Outputs {
 public:
  explicit Outputs(const detail::EntryState& state) : state_(&state) {}

  std::size_t size() const { return state_->outputs.size(); }
  Output operator[](std::size_t i) const {
    if (i >= size())
      throw Error(NN_INVALID_ARGUMENT,
                  std::string(state_->info->name) + " has no output " + std::to_string(i));
    return Output(state_->info->outputs[i], state_->outputs[i]);
  }
  Output operator[](std::string_view name) const {
    for (std::size_t i = 0; i < size(); i++) {
      if (state_->info->outputs[i].name == name) return (*this)[i];
    }
    auto infos = std::span(state_->info->outputs, size());
    throw Error(NN_INVALID_ARGUMENT,
                std::string(state_->info->name) + " has no output " + std::string(name) + "; it has " +
                    detail::names_of(infos, [](const nn_tensor_info& t) { return t.name; }));
  }
  Output operator[](const char* name) const { return (*this)[std::string_view(name)]; }
  Output operator[](int i) const { return (*this)[static_cast<std::size_t>(i)]; }

  // Where there is one output, it can be used without naming it.
  Output only() const {
    if (size() != 1)
      throw Error(NN_INVALID_ARGUMENT,
                  std::string(state_->info->name) + " has " + std::to_string(size()) + " outputs, not one");
    return (*this)[std::size_t{0}];
  }
  template <Element T>
  std::span<const T> as() const {
    return only().as<T>();
  }
  template <Element T>
  operator std::span<const T>() const {
    return as<T>();
  }                                           // NOLINT: implicit
  operator double() const { return only(); }  // NOLINT: implicit

 private:
  const detail::EntryState* state_;
};

// A callable entry of a session.
//
// `auto [loss, accuracy] = fit(image, label)` needs the number of outputs when the program is compiled, which
// a model loaded at run time cannot give. So it is named once: session.entry<2>("fit") checks it against the
// model and returns an entry whose calls give a std::array of 2 outputs; entry<1> gives the output itself.
// Without a number, calls give Outputs.
template <int NumOutputs>
class Entry {
 public:
  explicit Entry(detail::EntryState& state) : state_(&state) {}

  const nn_entry_info& info() const { return *state_->info; }

  // One argument for each input, in order: numbers, anything contiguous of the right element type and size,
  // nn::Views, nn::Tensors.
  template <class... Inputs>
  auto operator()(const Inputs&... inputs) const {
    return with_pointers([this](const void* const* pointers) { state_->run(pointers); }, inputs...);
  }
  // The same with a number of inputs that is known at run time.
  auto call(std::span<const View> inputs) const {
    if (inputs.size() != state_->inputs.size()) state_->throw_count(inputs.size());
    detail::Slot unused;
    for (std::size_t i = 0; i < inputs.size(); i++)
      state_->inputs[i] = state_->argument(info().inputs[i], inputs[i], unused);
    state_->run(state_->inputs.data());
    return results();
  }
  // The same, calling on_kernel(i) after each kernel i of info().kernels.
  template <class OnKernel, class... Inputs>
  auto run_profiled(OnKernel&& on_kernel, const Inputs&... inputs) const {
    auto run = [&](const void* const* pointers) {
      using F = std::remove_reference_t<OnKernel>;
      auto trampoline = [](void* user, int32_t kernel) {
        (*static_cast<F*>(user))(static_cast<int>(kernel));
      };
      state_->check(state_->model->run_profiled(state_->session, state_->index, pointers,
                                                state_->outputs.data(), trampoline,
                                                const_cast<void*>(static_cast<const void*>(&on_kernel))));
    };
    if constexpr (sizeof...(Inputs) == 1 &&
                  (std::is_convertible_v<const Inputs&, std::span<const View>> && ...)) {
      detail::Slot unused;
      std::span<const View> views(inputs...);
      if (views.size() != state_->inputs.size()) state_->throw_count(views.size());
      for (std::size_t i = 0; i < views.size(); i++)
        state_->inputs[i] = state_->argument(info().inputs[i], views[i], unused);
      run(state_->inputs.data());
      return results();
    } else {
      return with_pointers(run, inputs...);
    }
  }

 private:
  template <class Run, class... Inputs>
  auto with_pointers(const Run& run, const Inputs&... inputs) const {
    constexpr std::size_t count = sizeof...(Inputs);
    if (count != static_cast<std::size_t>(state_->info->num_inputs)) [[unlikely]]
      state_->throw_count(count);
    const void* pointers[count + 1] = {};
    [[maybe_unused]] detail::Slot slots[count + 1];
    std::size_t i = 0;
    ((pointers[i] = state_->argument(state_->info->inputs[i], inputs, slots[i]), i++), ...);
    run(pointers);
    return results();
  }

  auto results() const {
    if constexpr (NumOutputs < 0) {
      return Outputs(*state_);
    } else if constexpr (NumOutputs == 1) {
      return Output(state_->info->outputs[0], state_->outputs[0]);
    } else {
      std::array<Output, static_cast<std::size_t>(NumOutputs)> outputs;
      for (std::size_t i = 0; i < outputs.size(); i++)
        outputs[i] = Output(state_->info->outputs[i], state_->outputs[i]);
      return outputs;
    }
  }

  detail::EntryState* state_;
};

// Weights, optimizer state and workspace of one network.
class Session {
 public:
  explicit Session(const Library& library, const SessionOptions& options = {})
      : state_(std::make_unique<State>(library, options)) {}

  const Library& library() const { return state_->library; }

  template <int NumOutputs = -1>
  Entry<NumOutputs> entry(std::string_view name) const {
    detail::EntryState& entry = state_->entries[static_cast<std::size_t>(library().entry_index(name))];
    if (NumOutputs >= 0 && NumOutputs != entry.info->num_outputs) {
      throw Error(NN_INVALID_ARGUMENT, std::string(name) + " has " + std::to_string(entry.info->num_outputs) +
                                           " outputs, not " + std::to_string(NumOutputs));
    }
    return Entry<NumOutputs>(entry);
  }

  // A hyper, a parameter or any other variable, by its path.
  template <class T>
  void set(std::string_view name, const T& value) {
    int index = variable_index(name);
    const nn_tensor_info& tensor = library().variables()[static_cast<std::size_t>(index)].tensor;
    detail::Slot slot;
    const void* data;
    if constexpr (std::is_arithmetic_v<T>) {
      if (tensor.bytes != dtype_size(tensor.dtype)) throw_mismatch(tensor, "one number");
      data = detail::convert_scalar(tensor, value, slot, "set");
    } else if constexpr (std::is_same_v<T, Tensor>) {
      return set(name, View(value.dtype(), value.data(), value.shape()));
    } else {
      const View view(value);
      if (!view.fits(tensor)) throw_mismatch(tensor, view.type_name());
      data = view.data();
    }
    state_->check(model().set_variable(state_->session, index, data, tensor.bytes));
  }
  Tensor get(std::string_view name) const {
    int index = variable_index(name);
    return Tensor(library().variables()[static_cast<std::size_t>(index)].tensor,
                  model().variable(state_->session, index));
  }
  // The elements of a variable.
  template <Element T = float>
  std::span<const T> variable(std::string_view name) const {
    return get(name).as<T>();
  }

  // Everything but hypers is as in a new session with this seed.
  void initialize(int64_t seed) { state_->check(model().initialize(state_->session, seed)); }
  // `memory` variables have their first values again: the next call begins a new sequence.
  void reset_memory() { model().reset_memory(state_->session); }

  // A .safetensors file with every variable but the hypers: what it takes to go on as if never stopped.
  // Replaces the file at once or not at all.
  void save(const std::string& path) const { state_->check(model().save(state_->session, path.c_str())); }
  // Demands every saved variable, and no other. On failure nothing has changed.
  void load(const std::string& path) { state_->check(model().load(state_->session, path.c_str(), 0)); }
  // Takes those variables that the file has, as when weights go from one model to another.
  void load_partial(const std::string& path) {
    state_->check(model().load(state_->session, path.c_str(), 1));
  }

 private:
  struct State {
    State(const Library& of, const SessionOptions& options)
        : library(of), host{options.allocator, options.parallel_for} {
      const nn_model& model = library.model();
      if (!host.allocator) host.allocator = std::pmr::new_delete_resource();
      take_outputs();
      nn_session_options c_options{};
      c_options.struct_size = sizeof c_options;
      c_options.seed = options.seed;
      c_options.threads = options.threads;
      c_options.host = &host;
      if (options.allocator)
        c_options.allocate = detail::Host::allocate, c_options.release = detail::Host::release;
      if (host.parallel_for) c_options.parallel_for = detail::Host::run_parallel;
      char error[512] = "";
      nn_status status = model.create(&model, &c_options, &session, error, sizeof error);
      if (status != NN_OK) {
        give_back_outputs();
        throw Error(status, error);
      }
      for (detail::EntryState& entry : entries) entry.session = session;
    }
    ~State() {
      library.model().destroy(session);
      give_back_outputs();
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    void check(nn_status status) const {
      if (status != NN_OK) throw Error(status, library.model().error(session));
    }

    static constexpr std::size_t alignment = 64;

    // One block for the outputs of all entries; each begins on a cache line, and a vector may be written over
    // its end.
    void take_outputs() {
      auto room = [](const nn_tensor_info& tensor) {
        return (tensor.bytes + 2 * alignment - 1) / alignment * alignment;
      };
      output_bytes = alignment;
      for (const nn_entry_info& info : library.entries()) {
        for (int32_t k = 0; k < info.num_outputs; k++) output_bytes += room(info.outputs[k]);
      }
      try {
        output_memory = host.allocator->allocate(output_bytes, alignment);
      } catch (const std::bad_alloc&) {
        throw Error(NN_OUT_OF_MEMORY,
                    "out of memory: the outputs need " + std::to_string(output_bytes) + " bytes");
      }
      std::memset(output_memory, 0, output_bytes);
      auto* at = static_cast<unsigned char*>(output_memory);
      for (const nn_entry_info& info : library.entries()) {
        entries.push_back({&library.model(), nullptr, &info, static_cast<int32_t>(entries.size()), {}, {}});
        detail::EntryState& entry = entries.back();
        entry.inputs.resize(static_cast<std::size_t>(info.num_inputs));
        for (int32_t k = 0; k < info.num_outputs; k++) {
          entry.outputs.push_back(at);
          at += room(info.outputs[k]);
        }
      }
    }
    void give_back_outputs() { host.allocator->deallocate(output_memory, output_bytes, alignment); }

    Library library;
    detail::Host host;
    nn_session* session = nullptr;
    void* output_memory = nullptr;
    std::size_t output_bytes = 0;
    std::vector<detail::EntryState> entries;
  };

  const nn_model& model() const { return library().model(); }
  int variable_index(std::string_view name) const {
    int index = library().find_variable(name);
    if (index < 0)
      throw Error(NN_INVALID_ARGUMENT,
                  "there is no variable " + std::string(name) + " in " + std::string(library().name()));
    return index;
  }
  [[noreturn]] static void throw_mismatch(const nn_tensor_info& tensor, const std::string& got) {
    throw Error(NN_INVALID_ARGUMENT,
                std::string("set: ") + tensor.name + " is " + type_name(tensor) + ", got " + got);
  }

  std::unique_ptr<State> state_;
};

}  // namespace nn
