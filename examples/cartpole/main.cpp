// Balances a pole on a cart with the policy gradient of examples/zoo/reinforce.nn: the host is the world, the
// compiled model is the agent.
//
//   nncc examples/zoo/reinforce.nn -o reinforce.so
//   cartpole reinforce.so [seed]
//
// Succeeds when the last 100 episodes lasted 195 steps on average (an episode is cut at 200). The physics:
// Barto, Sutton, Anderson, "Neuronlike adaptive elements that can solve difficult learning control problems",
// 1983, with the constants that have become customary.
#include <nn/model.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <numeric>
#include <random>
#include <vector>

namespace {

constexpr int kObservation = 4, kEpisodeLimit = 200;
using Random = std::mt19937;

class CartPole {
 public:
  explicit CartPole(Random& random) { reset(random); }

  void reset(Random& random) {
    std::uniform_real_distribution<float> start(-0.05f, 0.05f);
    for (float& x : state_) x = start(random);
    steps_ = 0;
  }
  // Pushes the cart left (0) or right (1) for 20 ms. Returns false once the pole has fallen or the cart left
  // the track.
  bool step(int action) {
    constexpr float kGravity = 9.8f, kPole = 0.1f, kTotal = 1.1f, kLength = 0.5f, kForce = 10, kTime = 0.02f;
    auto& [x, v, angle, turn] = state_;
    const float c = std::cos(angle), s = std::sin(angle);
    const float pushed = ((action ? kForce : -kForce) + kPole * kLength * turn * turn * s) / kTotal;
    const float turning = (kGravity * s - c * pushed) / (kLength * (4.0f / 3.0f - kPole * c * c / kTotal));
    const float moving = pushed - kPole * kLength * turning * c / kTotal;
    x += kTime * v, v += kTime * moving, angle += kTime * turn, turn += kTime * turning;
    ++steps_;
    return std::abs(x) <= 2.4f && std::abs(angle) <= 12 * 3.14159265f / 180;
  }
  bool cut() const { return steps_ >= kEpisodeLimit; }
  int steps() const { return steps_; }
  const std::array<float, kObservation>& observation() const { return state_; }

 private:
  std::array<float, kObservation> state_{};
  int steps_ = 0;
};

int run(const char* model, int64_t seed) {
  const nn::Library library = nn::Library::open(model);
  nn::Session session(library, {.seed = seed, .threads = 1});
  auto policy = session.entry<1>("policy");
  auto value = session.entry<1>("value");
  auto learn = session.entry<2>("policy_step");

  // As many worlds as the model's batch run side by side; every `kRollout` steps the agent learns from what
  // they saw.
  constexpr int kRollout = 32, kBatches = 4, kUpdates = 1000;
  constexpr float kDiscount = 0.98f;
  constexpr float kScale = 0.02f;  // returns of about 1 suit the value network
  const auto worlds = static_cast<size_t>(policy.info().inputs[0].shape[0]);
  Random random(static_cast<uint32_t>(seed));
  std::vector<CartPole> world(worlds, CartPole(random));
  for (CartPole& w : world) w.reset(random);

  std::vector<std::vector<float>> seen(kRollout, std::vector<float>(worlds * kObservation)),
      reward(kRollout, std::vector<float>(worlds)), alive = reward;
  std::vector<std::vector<int32_t>> action(kRollout, std::vector<int32_t>(worlds));
  std::vector<float> now(worlds * kObservation), future(worlds), drawn_return(worlds);
  std::vector<int32_t> drawn_action(worlds);
  std::deque<int> lengths;
  auto observe = [&](std::vector<float>& to) {
    for (size_t i = 0; i < worlds; ++i)
      std::copy_n(world[i].observation().begin(), kObservation,
                  to.begin() + static_cast<ptrdiff_t>(i) * kObservation);
  };

  for (int update = 1; update <= kUpdates; ++update) {
    for (int t = 0; t < kRollout; ++t) {
      observe(seen[t]);
      const std::span<const float> probability = policy(seen[t]);
      for (size_t i = 0; i < worlds; ++i) {
        const int push = std::uniform_real_distribution<float>(0, 1)(random) < probability[2 * i + 1];
        action[t][i] = push;
        const bool up = world[i].step(push);
        const bool over = !up || world[i].cut();
        reward[t][i] = kScale;
        alive[t][i] = over ? 0.0f : 1.0f;
        if (!over) continue;
        if (up) reward[t][i] = kScale / (1 - kDiscount);  // cut while balanced: it would have gone on
        lengths.push_back(world[i].steps());
        if (lengths.size() > 100) lengths.pop_front();
        world[i].reset(random);
      }
    }
    observe(now);
    const std::span<const float> expected = value(now);
    std::copy(expected.begin(), expected.end(), future.begin());
    float policy_loss = 0, value_loss = 0;
    for (int t = kRollout - 1; t >= 0; --t) {
      for (size_t i = 0; i < worlds; ++i) future[i] = reward[t][i] + kDiscount * alive[t][i] * future[i];
      reward[t] = future;
    }
    // A few batches drawn from everything that was seen: with more, the policy would leave the one that
    // played.
    for (int batch = 0; batch < kBatches; ++batch) {
      for (size_t i = 0; i < worlds; ++i) {
        const size_t t = random() % kRollout, w = random() % worlds;
        std::copy_n(seen[t].begin() + static_cast<ptrdiff_t>(w) * kObservation, kObservation,
                    now.begin() + static_cast<ptrdiff_t>(i) * kObservation);
        drawn_action[i] = action[t][w];
        drawn_return[i] = reward[t][w];
      }
      auto [p, v] = learn(now, drawn_action, drawn_return);
      policy_loss += static_cast<float>(p) / kBatches;
      value_loss += static_cast<float>(v) / kBatches;
    }
    const double mean = lengths.empty() ? 0
                                        : std::accumulate(lengths.begin(), lengths.end(), 0.0) /
                                              static_cast<double>(lengths.size());
    const bool solved = lengths.size() == 100 && mean >= 195;
    if (update % 10 == 0 || solved)
      std::printf("update %3d  policy loss %8.4f  value loss %8.5f  last %zu episodes %6.1f steps\n", update,
                  policy_loss, value_loss, lengths.size(), mean);
    if (solved) {
      std::printf("balanced for 195 steps on average\n");
      return 0;
    }
  }
  std::printf("not balanced after %d updates\n", kUpdates);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: %s reinforce.so [seed]\n", argv[0]);
    return 1;
  }
  try {
    return run(argv[1], argc > 2 ? std::atoll(argv[2]) : 1);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 1;
  }
}
