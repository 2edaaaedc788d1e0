// The threads of a session. They spin briefly between kernels and then sleep; none is woken for little work.
#pragma once
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "nn/abi.h"

namespace nn::runtime {

// As Halide's: returns 0, or the error that ended it.
using Task = int (*)(void* context, int index, uint8_t* closure);

class Pool {
 public:
  Pool() = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // How many threads a session gets that asked for `wanted`; 0 asks for as many as the process may use.
  static int thread_count(int wanted);

  // Starts threads - 1 workers, whose handles are kept in `handles`. False, and none runs, if one cannot be
  // started.
  bool start(int threads, pthread_t* handles);
  // All work goes to the host instead; no thread is started.
  void use_host(nn_parallel_for parallel_for, void* host);
  // Ends the workers. No region may be running.
  void stop();

  // Calls task(context, i, closure) for each i in [first, first + count), and returns when all are done: 0,
  // or an error that one of them returned. Serial inside another region.
  int run(void* context, Task task, int first, int count, uint8_t* closure);

 private:
  // What a region cost the last times, to tell whether it is worth waking somebody.
  struct Cost {
    Task task;
    int count;
    int64_t nanoseconds;  // on one thread
  };
  static constexpr int cost_slots = 256;

  static void* enter_worker(void* pool);
  static void host_body(void* pool, int32_t index);
  static int run_serially(void* context, Task task, int first, int count, uint8_t* closure);
  void work_until_stopped();
  int take_chunks(bool from_the_end);
  bool wait_for_region(uint32_t seen);
  void leave_callers_core();
  void wake_one_of_sleepers();
  Cost& cost_of(Task task, int count);
  bool worth_waking(const Cost& cost, int64_t now);
  void learn(Cost& cost, int64_t nanoseconds);

  // Written by the caller between regions alone.
  int threads_ = 1;
  bool in_region_ = false;
  nn_parallel_for host_parallel_for_ = nullptr;
  void* host_ = nullptr;
  pthread_t* handles_ = nullptr;
  cpu_set_t allowed_;  // where workers may run
  int64_t burst_ =
      0;  // nanoseconds of parallel work since the last pause long enough for workers to fall asleep
  int64_t last_burst_ = 0;  // the same between the two pauses before
  int64_t last_end_ = 0;
  Cost costs_[cost_slots] = {};

  // The region. Read by a thread only while it holds a chunk that is not done, which keeps the caller from
  // changing it.
  void* context_ = nullptr;
  Task task_ = nullptr;
  int first_ = 0;
  int count_ = 0;
  uint8_t* closure_ = nullptr;
  uint64_t float_control_ = 0;

  // Each on its own cache line: different threads write them.
  alignas(64) std::atomic<uint32_t> epoch_{0};  // one more for each region; what workers sleep on
  alignas(64) std::atomic<uint64_t> remaining_{
      0};  // chunks nobody has begun: from the low half's to before the high half's
  alignas(64) std::atomic<int32_t> pending_{0};  // chunks that are not done
  alignas(64) std::atomic<int32_t> sleepers_{0};
  std::atomic<int32_t> result_{0};
  std::atomic<int32_t> caller_cpu_{-1};
  std::atomic<bool> quit_{false};
};

}  // namespace nn::runtime
