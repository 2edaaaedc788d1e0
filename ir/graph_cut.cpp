#include "ir/graph_cut.h"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/boykov_kolmogorov_max_flow.hpp>

namespace nncc {

using Traits = boost::adjacency_list_traits<boost::vecS, boost::vecS, boost::directedS>;
using Network = boost::adjacency_list<
    boost::vecS, boost::vecS, boost::directedS,
    boost::property<boost::vertex_color_t, boost::default_color_type,
                    boost::property<boost::vertex_distance_t, int64_t,
                                    boost::property<boost::vertex_predecessor_t, Traits::edge_descriptor>>>,
    boost::property<boost::edge_capacity_t, int64_t,
                    boost::property<boost::edge_residual_capacity_t, int64_t,
                                    boost::property<boost::edge_reverse_t, Traits::edge_descriptor>>>>;

struct FlowNetwork::Impl {
  Network network{2};  // the source, the sink, then the nodes
  static constexpr int kSource = 0, kSink = 1, kFirst = 2;

  void connect(int from, int to, int64_t capacity) {
    const auto edge = boost::add_edge(from, to, network).first;
    const auto back = boost::add_edge(to, from, network).first;
    const auto capacities = boost::get(boost::edge_capacity, network);
    const auto reverses = boost::get(boost::edge_reverse, network);
    capacities[edge] = capacity;
    capacities[back] = 0;
    reverses[edge] = back;
    reverses[back] = edge;
  }
};

FlowNetwork::FlowNetwork() : impl_(std::make_unique<Impl>()) {}
FlowNetwork::~FlowNetwork() = default;

int FlowNetwork::add_node() { return static_cast<int>(boost::add_vertex(impl_->network)) - Impl::kFirst; }

void FlowNetwork::add_edge(int from, int to, int64_t capacity) {
  impl_->connect(from + Impl::kFirst, to + Impl::kFirst, capacity);
}
void FlowNetwork::tie_to_source(int node, int64_t capacity) {
  impl_->connect(Impl::kSource, node + Impl::kFirst, capacity);
}
void FlowNetwork::tie_to_sink(int node, int64_t capacity) {
  impl_->connect(node + Impl::kFirst, Impl::kSink, capacity);
}

FlowNetwork::Cut FlowNetwork::minimum_cut() {
  Network& network = impl_->network;
  Cut cut;
  // Augmenting paths add up to the cut's capacity and no more: infinite edges do not overflow.
  cut.capacity = boost::boykov_kolmogorov_max_flow(network, Impl::kSource, Impl::kSink);
  // What the source still reaches, and what still reaches the sink: along edges with capacity left, and
  // against those whose reverse has some.
  const auto residual = boost::get(boost::edge_residual_capacity, network);
  const auto reverse = boost::get(boost::edge_reverse, network);
  const auto reached = [&](size_t from, bool backwards) {
    std::vector<bool> seen(boost::num_vertices(network), false);
    std::vector<size_t> stack = {from};
    seen[from] = true;
    while (!stack.empty()) {
      const size_t at = stack.back();
      stack.pop_back();
      for (auto [edge, end] = boost::out_edges(at, network); edge != end; ++edge) {
        const size_t to = boost::target(*edge, network);
        if (seen[to] || residual[backwards ? reverse[*edge] : *edge] <= 0) continue;
        seen[to] = true;
        stack.push_back(to);
      }
    }
    return std::vector<bool>(seen.begin() + Impl::kFirst, seen.end());
  };
  cut.in_source = reached(Impl::kSource, false);
  cut.in_sink = reached(Impl::kSink, true);
  return cut;
}

}  // namespace nncc
