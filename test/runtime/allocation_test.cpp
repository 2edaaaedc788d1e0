// A call of an entry takes no memory: everything was taken when the session was made.
#include <gtest/gtest.h>
#include <nn/model.h>

#include <atomic>
#include <cstdlib>

#include "hand_model.h"

namespace {
std::atomic<int> allocations{0};
}

// In place of libc's, for the whole program; operator new ends up here, too.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void* malloc(size_t size) { return allocations++, __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return allocations++, __libc_calloc(count, size); }
void* realloc(void* memory, size_t size) { return allocations++, __libc_realloc(memory, size); }
void* aligned_alloc(size_t alignment, size_t size) { return allocations++, __libc_memalign(alignment, size); }
}

namespace {

TEST(Allocation, IsCounted) {
  int before = allocations;
  delete new int(3);
  free(std::aligned_alloc(64, 64));
  EXPECT_GE(allocations - before, 1);
}

TEST(Allocation, NoneInACall) {
  nn::Library library(hand::model);
  std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<int32_t> label = {1, 0, 1, 1};
  std::vector<nn::View> views = {x, label};
  for (int threads : {1, 2}) {
    int before = allocations;
    nn::Session session(library, {.threads = threads});
    EXPECT_GT(allocations, before);
    before = allocations;
    double sum = 0;
    for (int i = 0; i < 100; i++) {
      auto fit = session.entry("fit");
      sum += fit(x, label)["loss"];
      auto [loss, accuracy] = session.entry<2>("fit")(nn::View(x.data(), {4, 2}), label);
      sum += loss + accuracy + fit.call(views)[0];
      sum += session.entry("scalars")(1, 2, 3, 4, true, 0.5)["sum"];
      sum += session.entry("parallel")().as<int32_t>()[3];
      session.set("lr", 0.01 * i);
      sum += session.get("lr") + session.variable("net.weight")[0];
      fit.run_profiled([&](int kernel) { sum += kernel; }, x, label);
    }
    EXPECT_EQ(allocations, before);
    EXPECT_NE(sum, 0);
  }
}

}  // namespace
