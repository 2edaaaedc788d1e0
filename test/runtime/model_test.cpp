// What a C++ program does with a model: <nn/model.h> over the runtime, on the model written by hand.
#include <gtest/gtest.h>
#include <nn/model.h>

#include <cmath>
#include <limits>
#include <list>
#include <thread>
#include <vector>

#include "hand_model.h"

namespace {

// The message of the nn::Error that f throws.
template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const nn::Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

class Model : public testing::Test {
 protected:
  nn::Library library{hand::model};
  nn::Session session{library, {.seed = 7, .threads = 1}};
  std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<int32_t> label = {1, 0, 1, 1};
};

TEST_F(Model, DescribesItself) {
  EXPECT_EQ(library.name(), "hand");
  EXPECT_EQ(library.target(), "x86-64-v2");
  EXPECT_EQ(library.entries().size(), 7u);  // without init
  EXPECT_EQ(library.variables().size(), 10u);
  EXPECT_EQ(library.inputs("fit").size(), 2u);
  EXPECT_STREQ(library.outputs("fit")[1].name, "accuracy");
  EXPECT_EQ(nn::type_name(library.inputs("fit")[0]), "f32[4, 2]");
}

TEST_F(Model, Trains) {
  auto fit = session.entry("fit");
  auto metrics = fit(x, label);
  float lr = session.get("lr");
  float expected = 0;
  for (int i = 0; i < hand::weights; i++) expected += static_cast<float>(7 + i) - lr * 4.5f;
  EXPECT_FLOAT_EQ(metrics["loss"], expected);
  EXPECT_FLOAT_EQ(metrics[1], 0.75f);
  EXPECT_EQ(metrics.size(), 2u);
  EXPECT_EQ(session.get("fit.step").item<int64_t>(), 1);
  EXPECT_FLOAT_EQ(session.variable("net.weight")[0], 7 - lr * 4.5f);
}

TEST_F(Model, UnpacksOutputsWhoseNumberIsNamed) {
  auto fit = session.entry<2>("fit");
  auto [loss, accuracy] = fit(x, label);
  EXPECT_EQ(loss.name(), "loss");
  EXPECT_EQ(float(accuracy), 0.75f);
  nn::Output probabilities = session.entry<1>("classify")(x);
  EXPECT_EQ(probabilities.size(), 8u);
  EXPECT_EQ(error_of([&] { session.entry<3>("fit"); }), "fit has 2 outputs, not 3");
}

TEST_F(Model, TakesEverythingContiguous) {
  auto classify = session.entry("classify");
  const float c_array[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  float nested[4][2] = {{1, 1}, {1, 1}, {1, 1}, {1, 1}};
  std::array<float, 8> array{};
  std::array<std::array<float, 2>, 4> arrays{};
  array.fill(1);
  arrays.fill({1, 1});
  std::span<const float> expected;
  std::vector<float> first(8);
  expected = classify(array);
  std::ranges::copy(expected, first.begin());
  EXPECT_EQ(first[3], 2 * (7 + 3));
  auto same = [&](nn::Outputs y) { return std::ranges::equal(y.as<float>(), first); };
  EXPECT_TRUE(same(classify(c_array)));
  EXPECT_TRUE(same(classify(nested)));
  EXPECT_TRUE(same(classify(arrays)));
  EXPECT_TRUE(same(classify(std::span(array))));
  EXPECT_TRUE(same(classify(nn::View(c_array, {8}))));
  EXPECT_TRUE(same(classify(nn::View(NN_F32, c_array, std::vector<int64_t>{8}))));
  std::vector<nn::View> views = {nn::View(array)};
  EXPECT_TRUE(same(classify.call(views)));
}

TEST_F(Model, ConvertsNumbers) {
  auto scalars = session.entry("scalars");
  auto out = scalars(1.5, 2, 3u, int64_t{1} << 40, true, 0.333251953125f);
  EXPECT_EQ(out["sum"].item<double>(), 1.5 + 2 + 3 + std::pow(2, 40) + 1);
  EXPECT_EQ(out["long"].item<int64_t>(), int64_t{1} << 40);
  EXPECT_TRUE(out["truth"].item<bool>());
  EXPECT_EQ(float(out["half"]), 0.333251953125f);
  EXPECT_EQ(error_of([&] { scalars(1, 2.5, 0, 0, 0, 0); }), "scalars: a number does not fit i32 b");
  EXPECT_EQ(error_of([&] { scalars(1, 3e9, 0, 0, 0, 0); }), "scalars: a number does not fit i32 b");
  EXPECT_EQ(error_of([&] { scalars(1, 2, 256, 0, 0, 0); }), "scalars: a number does not fit u8 c");
  EXPECT_EQ(error_of([&] { scalars(1, 2, -1, 0, 0, 0); }), "scalars: a number does not fit u8 c");
  EXPECT_EQ(error_of([&] { scalars(1, std::nan(""), 0, 0, 0, 0); }), "scalars: a number does not fit i32 b");
  EXPECT_EQ(error_of([&] { scalars(1, 2, 3, 4, 5, 0); }), "scalars: only 0, 1, false and true fit bool e");
}

TEST_F(Model, RefusesWhatDoesNotFit) {
  auto fit = session.entry("fit");
  std::vector<float> short_x(6), float_label(4);
  std::vector<double> double_x(8);
  EXPECT_EQ(error_of([&] { fit(short_x, label); }), "fit: input x is f32[4, 2], got 6 elements of f32");
  EXPECT_EQ(error_of([&] { fit(double_x, label); }), "fit: input x is f32[4, 2], got 8 elements of f64");
  EXPECT_EQ(error_of([&] { fit(x, float_label); }), "fit: input label is i32[4], got 4 elements of f32");
  EXPECT_EQ(error_of([&] {
              fit(nn::View(x.data(), {2, 4}), label);
            }),
            "fit: input x is f32[4, 2], got f32[2, 4]");
  EXPECT_EQ(error_of([&] { fit(1.0f, label); }), "fit: input x is f32[4, 2], got one number");
  EXPECT_EQ(error_of([&] { fit(x); }), "fit takes 2 inputs (x, label), got 1");
  EXPECT_EQ(error_of([&] { fit.call(std::vector<nn::View>{x}); }), "fit takes 2 inputs (x, label), got 1");
  EXPECT_EQ(
      error_of([&] { session.entry("fits"); }),
      "there is no entry fits; the model has fit, classify, remember, scalars, parallel, failing, silent");
  EXPECT_EQ(error_of([&] { fit(x, label)["los"]; }), "fit has no output los; it has loss, accuracy");
  EXPECT_EQ(error_of([&] { fit(x, label)[2]; }), "fit has no output 2");
  EXPECT_EQ(error_of([&] { (void)double(fit(x, label)); }), "fit has 2 outputs, not one");
  EXPECT_EQ(error_of([&] { (void)session.entry("classify")(x).only().item<float>(); }),
            "y is f32[8], not one number");
  EXPECT_EQ(error_of([&] { session.variable<double>("net.weight"); }), "net.weight is f32[8], not of f64");
  EXPECT_EQ(session.get("fit.step").item<int64_t>(), 3);  // the three calls that went through
}

TEST_F(Model, SetsVariables) {
  session.set("lr", 1e-4f);
  EXPECT_EQ(float(session.get("lr")), 1e-4f);
  session.set("lr", 1);
  EXPECT_EQ(float(session.get("lr")), 1);
  EXPECT_EQ(error_of([&] { session.set("lr", std::nanf("")); }),
            "hyper lr can be neither infinite nor not a number");
  EXPECT_EQ(error_of([&] { session.set("lr", std::numeric_limits<float>::infinity()); }),
            "hyper lr can be neither infinite nor not a number");
  EXPECT_EQ(error_of([&] { session.set("lr", 1e300); }), "hyper lr can be neither infinite nor not a number");
  EXPECT_EQ(error_of([&] { session.set("learning_rate", 1); }), "there is no variable learning_rate in hand");
  EXPECT_EQ(error_of([&] { session.set("lr", x); }), "set: lr is f32, got 8 elements of f32");
  EXPECT_EQ(error_of([&] { session.set("net.weight", 1); }), "set: net.weight is f32[8], got one number");
  EXPECT_EQ(error_of([&] { session.set("classify.doubled", x); }),
            "classify.doubled is computed from other variables and cannot be set");
  EXPECT_EQ(float(session.get("lr")), 1);
}

TEST_F(Model, ComputesHoistedValuesAgainAfterWeightsChanged) {
  auto classify = session.entry("classify");
  hand::prepared = 0;
  EXPECT_EQ(classify(x).as<float>()[0], 14);
  classify(x);
  EXPECT_EQ(hand::prepared, 1);
  session.set("net.weight", x);
  EXPECT_EQ(classify(x).as<float>()[1], 8);
  EXPECT_EQ(hand::prepared, 2);
  session.entry("remember")(1.0f);
  classify(x);
  EXPECT_EQ(hand::prepared, 2);
  session.entry("fit")(x, label);
  classify(x);
  EXPECT_EQ(hand::prepared, 3);
  session.initialize(100);
  EXPECT_EQ(classify(x).as<float>()[0], 200);
  EXPECT_EQ(hand::prepared, 4);
}

TEST_F(Model, StartsAgain) {
  session.set("lr", 0.5f);
  session.entry("fit")(x, label);
  session.initialize(3);
  EXPECT_EQ(session.variable("net.weight")[0], 3);
  EXPECT_EQ(session.get("fit.step").item<int64_t>(), 0);
  EXPECT_EQ(session.get("seed").item<int64_t>(), 3);
  EXPECT_EQ(session.variable("fit.momentum.v/net.weight")[0], 0);
  EXPECT_EQ(float(session.get("lr")), 0.5f);  // the host's, not the network's
  EXPECT_TRUE(session.variable<bool>("net.flags")[0]);
}

TEST_F(Model, ResetsMemoryAlone) {
  auto remember = session.entry("remember");
  remember(2.0f);
  EXPECT_EQ(remember(2.0f).as<float>()[3], 4);
  session.reset_memory();
  EXPECT_EQ(remember(2.0f).as<float>()[3], 2);
  EXPECT_EQ(session.variable("net.weight")[1], 8);
}

TEST_F(Model, ReportsWhatAnEntryFindsWrong) {
  for (int threads : {1, 2}) {
    nn::Session failing(library, {.threads = threads});
    for (int repeat = 0; repeat < 3; repeat++)
      EXPECT_EQ(error_of([&] { failing.entry("failing")(); }), "label 12 is not below 10");
    EXPECT_EQ(error_of([&] { failing.entry("silent")(); }), "silent failed with code -7");
    failing.entry("fit")(x, label);
  }
}

TEST_F(Model, ProfilesKernels) {
  std::vector<int> kernels;
  auto out = session.entry("fit").run_profiled([&](int kernel) { kernels.push_back(kernel); }, x, label);
  EXPECT_EQ(kernels, (std::vector<int>{0, 1}));
  EXPECT_FLOAT_EQ(out["accuracy"], 0.75f);
  std::vector<nn::View> views = {x, label};
  session.entry("fit").run_profiled([&](int kernel) { kernels.push_back(kernel); }, views);
  EXPECT_EQ(kernels.size(), 4u);
  session.entry("fit")(x, label);
  EXPECT_EQ(kernels.size(), 4u);
}

TEST_F(Model, AlignsEverything) {
  auto aligned = [](const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 64 == 0; };
  EXPECT_TRUE(aligned(session.get("net.weight").data()));
  EXPECT_TRUE(aligned(session.entry("classify")(x).only().data()));
  auto out = session.entry("fit")(x, label);
  EXPECT_TRUE(aligned(out[0].data()));
  EXPECT_TRUE(aligned(out[1].data()));
}

TEST_F(Model, MovesAndOutlivesItsLibrary) {
  std::optional<nn::Library> gone(library);
  nn::Session first(*gone, {.seed = 1, .threads = 2});
  gone.reset();
  auto fit = first.entry("fit");
  nn::Session second = std::move(first);
  fit(x, label);
  EXPECT_EQ(second.get("fit.step").item<int64_t>(), 1);
}

// Gives memory out of a fixed budget and keeps count.
class CountingMemory : public std::pmr::memory_resource {
 public:
  explicit CountingMemory(std::size_t budget = SIZE_MAX) : budget_(budget) {}
  std::size_t taken = 0, given_back = 0;
  int calls = 0;

 private:
  void* do_allocate(std::size_t size, std::size_t alignment) override {
    calls++;
    if (size > budget_ - (taken - given_back)) throw std::bad_alloc();
    taken += size;
    EXPECT_EQ(alignment, 64u);
    return std::pmr::new_delete_resource()->allocate(size, alignment);
  }
  void do_deallocate(void* memory, std::size_t size, std::size_t alignment) override {
    given_back += size;
    std::pmr::new_delete_resource()->deallocate(memory, size, alignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
  std::size_t budget_;
};

TEST_F(Model, TakesAllMemoryFromTheHostsAllocator) {
  CountingMemory memory;
  {
    nn::Session hosted(library, {.threads = 2, .allocator = &memory});
    int calls = memory.calls;
    EXPECT_GT(memory.taken, 0u);
    hosted.entry("fit")(x, label);
    hosted.entry("parallel")();
    EXPECT_EQ(memory.calls, calls);
  }
  EXPECT_EQ(memory.taken, memory.given_back);
}

TEST_F(Model, SaysWhenThereIsNotEnoughMemory) {
  CountingMemory none(0), little(2048);
  EXPECT_EQ(error_of([&] { nn::Session(library, {.allocator = &none}); }).substr(0, 13), "out of memory");
  EXPECT_EQ(error_of([&] { nn::Session(library, {.allocator = &little}); }).substr(0, 13), "out of memory");
  EXPECT_EQ(little.taken, little.given_back);
}

TEST_F(Model, RunsParallelLoopsInTheHost) {
  int loops = 0;
  std::thread::id caller = std::this_thread::get_id();
  bool elsewhere = false;
  auto in_a_thread = [&](int count, const std::function<void(int)>& body) {
    loops++;
    std::thread thread([&] {
      elsewhere = std::this_thread::get_id() != caller;
      for (int i = count; i-- > 0;) body(i);
    });
    thread.join();
  };
  nn::Session hosted(library, {.parallel_for = in_a_thread});
  auto sums = hosted.entry("parallel")();
  EXPECT_EQ(loops, 1);  // loops inside loops are serial
  EXPECT_TRUE(elsewhere);
  EXPECT_EQ(sums.as<int32_t>()[5], 15 + 0 + 1 + 2);
}

TEST_F(Model, RunsSessionsInSeveralThreads) {
  std::vector<std::thread> threads;
  std::array<float, 4> losses{};
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([&, t] {
      nn::Session own(library, {.seed = 7, .threads = 2});
      auto fit = own.entry("fit");
      for (int i = 0; i < 200; i++) {
        losses[static_cast<std::size_t>(t)] = static_cast<float>(fit(x, label)["loss"]);
        own.entry("parallel")();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (float loss : losses) EXPECT_EQ(loss, losses[0]);
}

TEST(NarrowFloats, RoundToNearestEven) {
  EXPECT_EQ(nn::float16(1.0f).bits, 0x3c00);
  EXPECT_EQ(nn::float16(65504.0f).bits, 0x7bff);
  EXPECT_EQ(nn::float16(65519.996f).bits, 0x7bff);
  EXPECT_EQ(nn::float16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(nn::float16(5.9604645e-8f).bits, 1);
  EXPECT_EQ(nn::float16(2.9802322e-8f).bits, 0);  // half way to the smallest: to even
  EXPECT_EQ(nn::float16(-0.0f).bits, 0x8000);
  EXPECT_EQ(nn::float16(1.00048828125f).bits, 0x3c00);
  EXPECT_EQ(nn::bfloat16(1.00390625f).bits, 0x3f80);
  EXPECT_EQ(nn::bfloat16(1.01171875f).bits, 0x3f82);
  EXPECT_TRUE(std::isnan(static_cast<float>(nn::bfloat16(std::nanf("")))));
  EXPECT_TRUE(std::isnan(static_cast<float>(nn::float16(std::nanf("")))));
  for (uint32_t bits = 0; bits < 0x7c00; bits++) {
    nn::float16 half;
    half.bits = static_cast<uint16_t>(bits);
    ASSERT_EQ(nn::float16(static_cast<float>(half)).bits, bits);
  }
}

}  // namespace
