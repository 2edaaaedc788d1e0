#include "pool.h"

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace nn::runtime {
namespace {

// Longer than the gaps between the kernels of a step, short enough to leave the core to others soon after it.
constexpr int64_t spin_nanoseconds = 50'000;
// Waking a sleeping thread costs the caller about 8 us, and 5 to 35 us pass until it runs.
constexpr int64_t wake_nanoseconds = 100'000;
constexpr int pauses_per_look = 32;
constexpr int max_threads = 256;
// A thread that waits for another's chunk gives up its core after this many pauses: the other may need it.
constexpr int pauses_before_yield = 4000;

// Of what is left a thread takes at most one part in so many for each thread.
constexpr uint32_t chunk_shares = 8;

// Chunks begin .. end - 1 as one word.
constexpr uint64_t range(uint32_t begin, uint32_t end) { return uint64_t{end} << 32 | begin; }
constexpr uint32_t begin_of(uint64_t range) { return static_cast<uint32_t>(range); }
constexpr uint32_t end_of(uint64_t range) { return static_cast<uint32_t>(range >> 32); }
constexpr uint32_t length(uint64_t range) { return end_of(range) - begin_of(range); }

void pause_briefly() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Rounding and the treatment of denormals: a chunk has the same result on whichever thread.
uint64_t float_control() {
#if defined(__x86_64__)
  return _mm_getcsr() & ~uint64_t{_MM_EXCEPT_MASK};
#elif defined(__aarch64__)
  uint64_t control;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  return control;
#endif
}

void set_float_control(uint64_t control) {
  if (control == float_control()) return;
#if defined(__x86_64__)
  _mm_setcsr(static_cast<unsigned>(control));
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" : : "r"(control));
#endif
}

int64_t nanoseconds_now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1'000'000'000) + now.tv_nsec;
}

void futex_wait(std::atomic<uint32_t>& word, uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

void futex_wake(std::atomic<uint32_t>& word, int count) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

}  // namespace

int Pool::thread_count(int wanted) {
  if (wanted == 0) {
    cpu_set_t allowed;
    wanted = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
  }
  return wanted < 1 ? 1 : wanted > max_threads ? max_threads : wanted;
}

bool Pool::start(int threads, pthread_t* handles) {
  threads_ = 1;
  handles_ = handles;
  CPU_ZERO(&allowed_);
  sched_getaffinity(0, sizeof allowed_, &allowed_);
  // The host's signal handlers stay on the host's threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = true;
  while (threads_ < threads && started) {
    started = pthread_create(&handles_[threads_ - 1], nullptr, enter_worker, this) == 0;
    if (started) threads_++;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!started) stop();
  return started;
}

void Pool::use_host(nn_parallel_for parallel_for, void* host) {
  host_parallel_for_ = parallel_for;
  host_ = host;
}

void Pool::stop() {
  quit_.store(true);
  epoch_.fetch_add(1);
  futex_wake(epoch_, INT_MAX);
  for (int i = 0; i + 1 < threads_; i++) pthread_join(handles_[i], nullptr);
  threads_ = 1;
}

int Pool::run(void* context, Task task, int first, int count, uint8_t* closure) {
  bool alone = threads_ == 1 && !host_parallel_for_;
  if (alone || count <= 1 || in_region_) return run_serially(context, task, first, count, closure);

  if (host_parallel_for_) {
    context_ = context, task_ = task, first_ = first, count_ = count, closure_ = closure;
    result_.store(0, std::memory_order_relaxed);
    in_region_ = true;
    host_parallel_for_(host_, count, host_body, this);
    in_region_ = false;
    return result_.load(std::memory_order_relaxed);
  }

  int64_t begin = nanoseconds_now();
  Cost& cost = cost_of(task, count);
  bool wake = worth_waking(cost, begin);
  if (!wake && sleepers_.load(std::memory_order_relaxed) == threads_ - 1) {
    int result = run_serially(context, task, first, count, closure);
    last_end_ = nanoseconds_now();
    learn(cost, last_end_ - begin);
    return result;
  }

  context_ = context, task_ = task, first_ = first, count_ = count, closure_ = closure;
  float_control_ = float_control();
  in_region_ = true;
  caller_cpu_.store(sched_getcpu(), std::memory_order_relaxed);
  result_.store(0, std::memory_order_relaxed);
  pending_.store(count, std::memory_order_relaxed);
  remaining_.store(range(0, static_cast<uint32_t>(count)), std::memory_order_release);
  epoch_.fetch_add(1, std::memory_order_seq_cst);
  if (wake) wake_one_of_sleepers();

  int mine = take_chunks(false);
  int64_t after_mine = nanoseconds_now();
  // Nobody has begun a chunk that isn't taken, so what is waited for here is being worked on.
  for (int pauses = 0; pending_.load(std::memory_order_acquire) != 0;) {
    if (++pauses < pauses_before_yield) {
      pause_briefly();
    } else {
      sched_yield();
    }
  }
  in_region_ = false;
  last_end_ = nanoseconds_now();
  if (mine > 0) learn(cost, (after_mine - begin) * count / mine);
  return result_.load(std::memory_order_relaxed);
}

int Pool::run_serially(void* context, Task task, int first, int count, uint8_t* closure) {
  for (int i = 0; i < count; i++) {
    if (int result = task(context, first + i, closure)) return result;
  }
  return 0;
}

void Pool::host_body(void* pool, int32_t index) {
  auto* self = static_cast<Pool*>(pool);
  int result = self->task_(self->context_, self->first_ + index, self->closure_);
  if (result) self->result_.store(result, std::memory_order_relaxed);
}

// Takes chunks until none is left, and returns how many it did. The caller begins with the first ones and
// workers with the last, so that in kernel after kernel a thread finds what it wrote in its own cache. Where
// many are left, several are taken at once: all threads take from one cache line.
int Pool::take_chunks(bool from_the_end) {
  int done = 0;
  uint64_t left = remaining_.load(std::memory_order_relaxed);
  while (length(left) > 0) {
    const uint32_t share = length(left) / (chunk_shares * static_cast<uint32_t>(threads_)),
                   taken = share > 1 ? share : 1;
    const uint32_t begin = from_the_end ? end_of(left) - taken : begin_of(left);
    const uint64_t rest = from_the_end ? range(begin_of(left), begin) : range(begin + taken, end_of(left));
    // Once this succeeds the region cannot end before these chunks are done, so its description may be read.
    // A thread that comes late takes chunks of the region that runs now, whichever it meant.
    if (!remaining_.compare_exchange_weak(left, rest, std::memory_order_acq_rel, std::memory_order_relaxed))
      continue;
    if (done == 0) set_float_control(float_control_);
    for (uint32_t i = begin; i < begin + taken; i++) {
      int result = task_(context_, first_ + static_cast<int>(i), closure_);
      if (result) result_.store(result, std::memory_order_relaxed);
    }
    done += static_cast<int>(taken);
    left = remaining_.load(std::memory_order_relaxed);
  }
  if (done > 0) pending_.fetch_sub(done, std::memory_order_acq_rel);
  return done;
}

void* Pool::enter_worker(void* pool) {
  pthread_setname_np(pthread_self(), "nn-worker");
  static_cast<Pool*>(pool)->work_until_stopped();
  return nullptr;
}

void Pool::work_until_stopped() {
  for (uint32_t seen = 0;;) {
    bool slept = wait_for_region(seen);
    seen = epoch_.load(std::memory_order_acquire);
    if (quit_.load(std::memory_order_relaxed)) return;
    if (slept) {
      leave_callers_core();
      if (length(remaining_.load(std::memory_order_relaxed)) > 0) wake_one_of_sleepers();
    }
    take_chunks(true);
  }
}

// Returns whether this thread fell asleep meanwhile.
bool Pool::wait_for_region(uint32_t seen) {
  int64_t deadline = 0;
  for (int pauses = 0;; pauses++) {
    if (epoch_.load(std::memory_order_acquire) != seen) return false;
    if (pauses % pauses_per_look == 0) {
      int64_t now = nanoseconds_now();
      if (deadline == 0) deadline = now + spin_nanoseconds;
      if (now >= deadline) break;
    }
    pause_briefly();
  }
  // Either the caller sees this thread among the sleepers, or this thread sees the caller's new epoch.
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  while (epoch_.load(std::memory_order_seq_cst) == seen) futex_wait(epoch_, seen);
  sleepers_.fetch_sub(1, std::memory_order_seq_cst);
  return true;
}

// The kernel likes to wake a thread on its waker's own core, where the two share that core for milliseconds
// while others idle.
void Pool::leave_callers_core() {
  int cpu = sched_getcpu();
  if (cpu < 0 || cpu >= CPU_SETSIZE || cpu != caller_cpu_.load(std::memory_order_relaxed)) return;
  cpu_set_t others = allowed_;
  CPU_CLR(cpu, &others);
  if (CPU_COUNT(&others) > 0) sched_setaffinity(0, sizeof others, &others);
}

// One wakes the next: a region with many workers doesn't keep the caller busy with waking them.
void Pool::wake_one_of_sleepers() {
  if (sleepers_.load(std::memory_order_seq_cst) > 0) futex_wake(epoch_, 1);
}

Pool::Cost& Pool::cost_of(Task task, int count) {
  auto bits = reinterpret_cast<uintptr_t>(task);
  Cost& cost = costs_[((bits >> 4) ^ (bits >> 12) ^ static_cast<unsigned>(count)) % cost_slots];
  if (cost.task != task || cost.count != count) cost = {task, count, INT64_MAX};
  return cost;
}

// Sleepers are woken when enough work has gone by without them since the last pause, or did in the burst
// before, or is expected of this region alone. What is unknown is taken for much: that happens once.
bool Pool::worth_waking(const Cost& cost, int64_t now) {
  if (now - last_end_ > spin_nanoseconds) {
    last_burst_ = burst_;
    burst_ = 0;
  }
  return cost.nanoseconds >= wake_nanoseconds - burst_ || last_burst_ >= wake_nanoseconds;
}

// The first time is slower than others, and so is one during which a stranger had the core: less is believed
// at once, more slowly.
void Pool::learn(Cost& cost, int64_t nanoseconds) {
  cost.nanoseconds =
      nanoseconds < cost.nanoseconds ? nanoseconds : cost.nanoseconds + (nanoseconds - cost.nanoseconds) / 8;
  burst_ += cost.nanoseconds;
}

}  // namespace nn::runtime
