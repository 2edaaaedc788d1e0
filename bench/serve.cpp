// A compiled model, ready to run blocks of steps on demand: `nncc-serve model.so entry threads [sequence]`.
// Inputs are random: floats in [0, 1), integers 0 or 1. Prints `ready`, then for each line N on standard
// input runs N steps and prints the seconds they took. After `sequence` steps the memory is as at first.
#include <nn/model.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

int main(int argc, char** argv) try {
  if (argc != 4 && argc != 5)
    return std::fprintf(stderr, "usage: %s model.so entry threads [sequence]\n", argv[0]), 1;
  const nn::Library library = nn::Library::open(argv[1]);
  const nn_model& model = library.model();
  int entry = -1;
  for (int i = 0; i < model.num_entries; ++i)
    if (std::strcmp(model.entries[i].name, argv[2]) == 0) entry = i;
  if (entry < 0) return std::fprintf(stderr, "%s: no entry `%s`\n", argv[0], argv[2]), 1;
  const nn_entry_info& info = model.entries[entry];

  std::mt19937 random(1);
  std::vector<std::vector<unsigned char>> storage;
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  for (int i = 0; i < info.num_inputs; ++i) {
    const nn_tensor_info& tensor = info.inputs[i];
    auto& bytes = storage.emplace_back(tensor.bytes + 64);
    if (tensor.dtype == NN_F32)
      for (size_t k = 0; k < tensor.bytes / 4; ++k) {
        const float x = std::uniform_real_distribution<float>(0, 1)(random);
        std::memcpy(&bytes[4 * k], &x, 4);
      }
    else if (tensor.dtype == NN_I32)
      for (size_t k = 0; k < tensor.bytes / 4; ++k) bytes[4 * k] = random() & 1;
    else
      return std::fprintf(stderr, "%s: input `%s` is neither f32 nor i32\n", argv[0], tensor.name), 1;
    inputs.push_back(bytes.data());
  }
  for (int i = 0; i < info.num_outputs; ++i)
    outputs.push_back(storage.emplace_back(info.outputs[i].bytes + 64).data());

  nn_session_options options{};
  options.struct_size = sizeof options;
  options.seed = 1;
  options.threads = std::atoi(argv[3]);
  nn_session* session = nullptr;
  char error[256];
  if (model.create(&model, &options, &session, error, sizeof error) != NN_OK)
    return std::fprintf(stderr, "%s: %s\n", argv[0], error), 1;
  const long sequence = argc == 5 ? std::atol(argv[4]) : 0;
  long steps = 0;
  auto run = [&](long n) {
    for (long i = 0; i < n; ++i) {
      if (sequence > 0 && steps++ % sequence == 0) model.reset_memory(session);
      if (model.run(session, entry, inputs.data(), outputs.data()) != NN_OK)
        std::fprintf(stderr, "%s\n", model.error(session)), std::exit(1);
    }
  };
  run(10);
  std::puts("ready");
  std::fflush(stdout);
  for (long n; std::scanf("%ld", &n) == 1;) {
    const auto start = std::chrono::steady_clock::now();
    run(n);
    std::printf("%.9f\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    std::fflush(stdout);
  }
  model.destroy(session);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
  return 1;
}
