#include "ir/graph_cut.h"

#include <gtest/gtest.h>

#include <random>

namespace nncc {
namespace {

TEST(FlowNetwork, CutsTheCheapestEdges) {
  FlowNetwork network;
  const int a = network.add_node(), b = network.add_node(), c = network.add_node();
  network.tie_to_source(a);
  network.add_edge(a, b, 5);
  network.add_edge(b, c, 3);
  network.add_edge(a, c, 1);
  network.tie_to_sink(c);
  const FlowNetwork::Cut cut = network.minimum_cut();
  EXPECT_EQ(cut.capacity, 4);
  EXPECT_EQ(cut.in_source, (std::vector<bool>{true, true, false}));
  EXPECT_EQ(cut.in_sink, (std::vector<bool>{false, false, true}));
}

TEST(FlowNetwork, LeavesWhatNobodyPaysForWithTheSink) {
  FlowNetwork network;
  const int a = network.add_node(), b = network.add_node();
  network.tie_to_sink(a, 7);
  const FlowNetwork::Cut cut = network.minimum_cut();
  EXPECT_EQ(cut.capacity, 0);
  EXPECT_FALSE(cut.in_source[a]);
  EXPECT_FALSE(cut.in_source[b]);
  EXPECT_FALSE(cut.in_sink[b]);  // on either side
}

TEST(FlowNetwork, SaysWhenThereIsNoCut) {
  FlowNetwork network;
  const int a = network.add_node();
  for (int i = 0; i < 20; ++i) network.tie_to_source(a);  // sums beyond 2^63 must not overflow
  network.tie_to_sink(a);
  EXPECT_GE(network.minimum_cut().capacity, FlowNetwork::kInfinite);
}

// Against all cuts of small networks.
TEST(FlowNetwork, FindsTheMinimum) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 200; ++trial) {
    const int n = 2 + static_cast<int>(random() % 6);
    struct Edge {
      int from, to;
      int64_t capacity;
    };
    std::vector<Edge> edges;  // -1: the source, -2: the sink
    FlowNetwork network;
    for (int i = 0; i < n; ++i) network.add_node();
    for (int i = 0; i < 3 * n; ++i) {
      const auto capacity = static_cast<int64_t>(random() % 9);
      const int a = static_cast<int>(random() % n), b = static_cast<int>(random() % n);
      const auto kind = random() % 4;
      if (kind == 0) {
        network.tie_to_source(a, capacity);
        edges.push_back({-1, a, capacity});
      } else if (kind == 1) {
        network.tie_to_sink(a, capacity);
        edges.push_back({a, -2, capacity});
      } else if (a != b) {
        network.add_edge(a, b, capacity);
        edges.push_back({a, b, capacity});
      }
    }
    const auto cost = [&](const auto& in_source) {
      int64_t sum = 0;
      for (const Edge& e : edges)
        if ((e.from == -1 || in_source(e.from)) && (e.to == -2 || !in_source(e.to))) sum += e.capacity;
      return sum;
    };
    int64_t best = INT64_MAX;
    for (unsigned set = 0; set < 1u << n; ++set)
      best = std::min(best, cost([&](int i) { return ((set >> i) & 1) != 0; }));
    const FlowNetwork::Cut cut = network.minimum_cut();
    EXPECT_EQ(cut.capacity, best);
    EXPECT_EQ(cost([&](int i) { return bool(cut.in_source[i]); }), best);
    EXPECT_EQ(cost([&](int i) { return !cut.in_sink[i]; }), best);
  }
}

}  // namespace
}  // namespace nncc
