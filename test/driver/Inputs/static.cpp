// Uses two statically linked models.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>

#include "one.h"
#include "two.h"

struct Free {
  void operator()(std::byte* memory) const { std::free(memory); }
};

int main() {
  const std::size_t bytes = one::Session::memory_bytes();
  auto take = [&] { return std::unique_ptr<std::byte, Free>(static_cast<std::byte*>(std::aligned_alloc(64, bytes))); };
  auto first = take(), second = take();
  one::Session a({first.get(), bytes}, 7);
  two::Session b({second.get(), bytes}, 7);
  float x[32], t[24], loss = 0, other = 0, start = 0;
  for (int i = 0; i < 32; ++i) x[i] = 0.1f * static_cast<float>(i % 7) - 0.2f;
  for (int i = 0; i < 24; ++i) t[i] = static_cast<float>(i % 3);
  a.fit(x, t, start);
  b.fit(x, t, other);
  for (int i = 0; i < 50; ++i) a.fit(x, t, loss), b.fit(x, t, other);
  if (loss < 0.5f * start) std::puts("the loss falls");
  if (loss == other) std::puts("both agree");
  a.save("static_test.safetensors");
  a.fit(x, t, loss);
  b.initialize(1);
  b.load("static_test.safetensors");
  b.fit(x, t, other);
  std::remove("static_test.safetensors");
  if (loss == other) std::puts("saved and loaded");
  try {
    one::Session c({first.get(), 64}, 7);
  } catch (const std::exception& error) {
    std::printf("too little memory: %s\n", error.what());
  }
}
