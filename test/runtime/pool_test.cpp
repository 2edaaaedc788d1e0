// Parallel loops: every chunk once, whoever sleeps, spins or is held up.
#include "runtime/pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <cfenv>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

namespace {

using nn::runtime::Pool;
using std::chrono::microseconds;
using std::chrono::milliseconds;

class RunningPool {
 public:
  explicit RunningPool(int threads) : handles_(static_cast<std::size_t>(threads)) {
    EXPECT_TRUE(pool.start(threads, handles_.data()));
  }
  ~RunningPool() { pool.stop(); }
  Pool pool;

 private:
  std::vector<pthread_t> handles_;
};

// What a loop's closure points to.
struct Loop {
  explicit Loop(int count) : done(static_cast<std::size_t>(count)) {}
  std::vector<std::atomic<int>> done;
  std::atomic<int> elsewhere{0};
  std::thread::id caller = std::this_thread::get_id();
  microseconds work{0};
};

constexpr int first = 5;

int count_task(void*, int index, uint8_t* closure) {
  auto& loop = *reinterpret_cast<Loop*>(closure);
  loop.done[static_cast<std::size_t>(index - first)]++;
  if (std::this_thread::get_id() != loop.caller) loop.elsewhere++;
  auto end = std::chrono::steady_clock::now() + loop.work;
  while (loop.work.count() > 0 && std::chrono::steady_clock::now() < end) continue;
  return 0;
}

int run(Pool& pool, Loop& loop) {
  return pool.run(nullptr, count_task, first, static_cast<int>(loop.done.size()),
                  reinterpret_cast<uint8_t*>(&loop));
}

void expect_each_once(const Loop& loop) {
  for (const std::atomic<int>& done : loop.done) ASSERT_EQ(done, 1);
}

class PoolOf : public testing::TestWithParam<int> {};

TEST_P(PoolOf, DoesEachChunkOnce) {
  RunningPool running(GetParam());
  std::minstd_rand random(1);
  for (int repeat = 0; repeat < 3000; repeat++) {
    // Now and then so many that threads take several at once.
    Loop loop(static_cast<int>(random() % (repeat % 100 == 0 ? 20000 : 40)));
    if (random() % 64 == 0) std::this_thread::sleep_for(microseconds(random() % 200));
    ASSERT_EQ(run(running.pool, loop), 0);
    expect_each_once(loop);
  }
}

TEST_P(PoolOf, DoesEachChunkOnceWhileEveryCoreIsBusy) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> strangers;
  for (unsigned i = 0; i < std::thread::hardware_concurrency(); i++)
    strangers.emplace_back([&] {
      while (!stop) continue;
    });
  {
    RunningPool running(GetParam());
    for (int repeat = 0; repeat < 50; repeat++) {
      Loop loop(16);
      loop.work = microseconds(20);
      ASSERT_EQ(run(running.pool, loop), 0);
      expect_each_once(loop);
    }
  }
  stop = true;
  for (std::thread& stranger : strangers) stranger.join();
}

INSTANTIATE_TEST_SUITE_P(Threads, PoolOf, testing::Values(1, 2, 3, 8));

TEST(Pool, StartsAndStopsWhileIdle) {
  for (int repeat = 0; repeat < 200; repeat++) {
    RunningPool running(1 + repeat % 4);
    if (repeat % 3 == 0) {
      Loop loop(8);
      run(running.pool, loop);
    }
  }
}

TEST(Pool, ReturnsWhatATaskReturns) {
  RunningPool running(3);
  auto task = [](void*, int index, uint8_t*) { return index == 17 ? 42 : 0; };
  for (int repeat = 0; repeat < 100; repeat++) {
    EXPECT_EQ(running.pool.run(nullptr, task, 0, 32, nullptr), 42);
    EXPECT_EQ(running.pool.run(nullptr, task, 0, 10, nullptr), 0);
  }
}

TEST(Pool, RunsLoopsInsideLoopsSerially) {
  struct Outer {
    Pool* pool;
    std::atomic<int> in_order{0};
  };
  RunningPool running(4);
  Outer outer{&running.pool};
  auto task = [](void*, int, uint8_t* closure) {
    auto& self = *reinterpret_cast<Outer*>(closure);
    int next = 0;
    auto inner = [](void*, int index, uint8_t* at) {
      int& expected = *reinterpret_cast<int*>(at);
      return index == expected++ ? 0 : 1;
    };
    int result = self.pool->run(nullptr, inner, 0, 50, reinterpret_cast<uint8_t*>(&next));
    if (result == 0 && next == 50) self.in_order++;
    return result;
  };
  EXPECT_EQ(running.pool.run(nullptr, task, 0, 64, reinterpret_cast<uint8_t*>(&outer)), 0);
  EXPECT_EQ(outer.in_order, 64);
}

TEST(Pool, SharesLongWork) {
  RunningPool running(2);
  // On a busy machine the worker may come late to any one loop, but not to all.
  int elsewhere = 0;
  for (int repeat = 0; repeat < 100 && elsewhere == 0; repeat++) {
    Loop loop(32);
    loop.work = microseconds(100);
    run(running.pool, loop);
    elsewhere += loop.elsewhere;
  }
  EXPECT_GT(elsewhere, 0);
}

TEST(Pool, WakesNobodyForLittleWork) {
  RunningPool running(2);
  int alone = 0;
  for (int repeat = 0; repeat < 30; repeat++) {
    Loop loop(4);
    run(running.pool, loop);
    if (loop.elsewhere == 0) alone++;
    std::this_thread::sleep_for(milliseconds(1));
  }
  // The first ones find out how little it is.
  EXPECT_GE(alone, 20);
}

TEST(Pool, SleepsSoonAfterwards) {
  RunningPool running(4);
  Loop loop(32);
  loop.work = microseconds(20);
  run(running.pool, loop);
  std::this_thread::sleep_for(milliseconds(20));
  auto cpu_time = [] {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) +
           std::chrono::seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec);
  };
  auto before = cpu_time();
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_LT(cpu_time() - before, milliseconds(20));
}

// Returns 1 if 1 + 2^-30 is above 1, which it is if rounded upward alone. Takes long enough that others take
// part.
int round_task(void*, int, uint8_t*) {
  auto end = std::chrono::steady_clock::now() + microseconds(2);
  while (std::chrono::steady_clock::now() < end) continue;
  volatile float one = 1, little = 0x1p-30f;
  return one + little > 1 ? 1 : 0;
}
int not_round_task(void* context, int index, uint8_t* closure) {
  return !round_task(context, index, closure);
}

TEST(Pool, RoundsOnEveryThreadAsTheCallerDoes) {
  RunningPool running(4);
  std::fesetround(FE_UPWARD);
  for (int repeat = 0; repeat < 50; repeat++)
    EXPECT_EQ(running.pool.run(nullptr, not_round_task, 0, 64, nullptr), 0);
  std::fesetround(FE_TONEAREST);
  for (int repeat = 0; repeat < 50; repeat++)
    EXPECT_EQ(running.pool.run(nullptr, round_task, 0, 64, nullptr), 0);
}

}  // namespace
