#include "ir/graph.h"

#include <gtest/gtest.h>

#include <array>

#include "ir/builder.h"
#include "ir/diagnostic.h"
#include "ir/verify.h"

namespace nncc {
namespace {

const TensorType kVector{DType::F32, {4}};

// x -> a = -x -> b = |a| -> d = b + c, and x -> c = sign(x).
struct Diamond {
  Graph graph;
  Value x, a, b, c, d;
  Diamond() {
    GraphBuilder builder(graph);
    x = graph.add_argument("x", kVector);
    a = builder.neg(x);
    b = builder.add(Op::Abs, {a});
    c = builder.add(Op::Sign, {x});
    d = builder.add(b, c);
    graph.results.push_back({"result", d});
  }
};

std::vector<NodeId> ids(std::initializer_list<Value> values) {
  std::vector<NodeId> result;
  for (Value v : values) result.push_back(v.node);
  return result;
}

TEST(Graph, UsesFollowEdits) {
  Diamond g;
  EXPECT_EQ(g.graph.uses(g.x), (std::vector<Use>{{g.a.node, 0}, {g.c.node, 0}}));
  g.graph.set_operand(g.d.node, 1, g.b);
  EXPECT_EQ(g.graph.uses(g.b), (std::vector<Use>{{g.d.node, 0}, {g.d.node, 1}}));
  EXPECT_EQ(g.graph.users(g.b.node), ids({g.d}));
  EXPECT_TRUE(g.graph.uses(g.c).empty());
  g.graph.erase(g.c.node);
  EXPECT_FALSE(g.graph.contains(g.c.node));
  EXPECT_EQ(g.graph.uses(g.x), (std::vector<Use>{{g.a.node, 0}}));
  EXPECT_EQ(g.graph.nodes(), ids({g.x, g.a, g.b, g.d}));
}

TEST(Graph, ReplacesOperandsResultsAndUpdates) {
  Diamond g;
  g.graph.updates.push_back({"w", g.d});
  g.graph.replace_all_uses(g.d, g.c);
  EXPECT_EQ(g.graph.results[0].value, g.c);
  EXPECT_EQ(g.graph.updates[0].value, g.c);
  EXPECT_TRUE(g.graph.is_result_or_update(g.c));
  EXPECT_FALSE(g.graph.is_result_or_update(g.d));
  g.graph.replace_all_uses(g.x, g.x);
  EXPECT_EQ(g.graph.uses(g.x).size(), 2u);
}

TEST(Graph, ReplacesOneResultOfSeveral) {
  Graph graph;
  GraphBuilder builder(graph);
  const Value x = graph.add_argument("x", kVector);
  const NodeId pair =
      builder.add_multi(Op::Call, std::array{x}, {kVector, kVector}, {{Attr::Symbol, std::string("f")}});
  const Value sum = builder.add(Value{pair, 0}, Value{pair, 1});
  graph.replace_all_uses({pair, 1}, x);
  EXPECT_EQ(graph[sum.node].operands, (std::vector<Value>{{pair, 0}, x}));
}

TEST(Graph, ErasesTheDeadButNoArgument) {
  Diamond g;
  const Value y = g.graph.add_argument("y", kVector);
  g.graph.results[0].value = g.c;
  EXPECT_EQ(g.graph.erase_dead(), 3);
  EXPECT_EQ(g.graph.nodes(), ids({g.x, g.c, y}));
  EXPECT_EQ(g.graph.erase_dead(), 0);
}

TEST(Graph, EraseDemandsThatNothingUsesTheNode) {
  Diamond g;
  EXPECT_THROW(g.graph.erase(g.a.node), InternalError);
  EXPECT_THROW(g.graph.erase(g.d.node), InternalError);
  EXPECT_THROW(g.graph.erase(NodeId{99}), InternalError);
}

TEST(Graph, TopologicalOrderTakesTheOldestFirst) {
  Diamond g;
  EXPECT_EQ(g.graph.topological_order(), ids({g.x, g.a, g.b, g.c, g.d}));
  // b now waits for d's elder sister c only through a younger node.
  GraphBuilder builder(g.graph);
  const Value late = builder.neg(g.x);
  g.graph.set_operand(g.a.node, 0, late);
  EXPECT_EQ(g.graph.topological_order(), ids({g.x, g.c, late, g.a, g.b, g.d}));
}

TEST(Graph, CompactRenumbersInTopologicalOrder) {
  Diamond g;
  GraphBuilder builder(g.graph);
  const Value late = builder.neg(g.x);
  const Value y = g.graph.add_argument("y", kVector);
  g.graph.set_operand(g.a.node, 0, late);
  g.graph.replace_all_uses(g.c, y);
  g.graph.erase_dead();
  g.graph.compact();
  EXPECT_EQ(g.graph.num_nodes(), 6);
  EXPECT_EQ(g.graph.arguments[1].value.node.index, 1);
  const std::vector<NodeId> order = g.graph.topological_order();
  for (int i = 0; i < 6; ++i) EXPECT_EQ(order[i].index, i);
  EXPECT_EQ(g.graph[g.graph.results[0].value.node].op, Op::Add);
  EXPECT_EQ(g.graph[NodeId{5}].operands[1], g.graph.arguments[1].value);
}

TEST(Graph, CopiesAreIndependent) {
  Diamond g;
  Graph copy = g.graph;
  copy.set_operand(g.d.node, 0, g.x);
  EXPECT_EQ(g.graph.uses(g.b).size(), 1u);
  EXPECT_EQ(copy.uses(g.b).size(), 0u);
  copy = g.graph;
  EXPECT_EQ(copy.uses(g.b).size(), 1u);
}

TEST(Graph, ConvexityLooksOutsideTheSet) {
  Diamond g;
  EXPECT_TRUE(g.graph.is_convex(ids({g.a, g.b})));
  EXPECT_TRUE(g.graph.is_convex(ids({g.a, g.c})));
  EXPECT_FALSE(g.graph.is_convex(ids({g.a, g.d})));
  EXPECT_FALSE(g.graph.is_convex(ids({g.x, g.d, g.b, g.a})));
  EXPECT_TRUE(g.graph.is_convex(ids({g.x, g.d, g.b, g.a, g.c})));
  EXPECT_TRUE(g.graph.is_convex({}));
}

TEST(Graph, AncestorsAndDescendants) {
  Diamond g;
  EXPECT_EQ(g.graph.ancestors(ids({g.b})), ids({g.x, g.a, g.b}));
  EXPECT_EQ(g.graph.descendants(ids({g.a, g.c})), ids({g.a, g.b, g.c, g.d}));
}

TEST(Graph, FindsACycle) {
  Diamond g;
  EXPECT_TRUE(g.graph.find_cycle().empty());
  g.graph.set_operand(g.a.node, 0, g.d);
  EXPECT_EQ(g.graph.find_cycle(), ids({g.a, g.b, g.d}));
  EXPECT_THROW(g.graph.topological_order(), InternalError);
  g.graph.set_operand(g.a.node, 0, g.a);
  EXPECT_EQ(g.graph.find_cycle(), ids({g.a}));
}

TEST(Graph, GraphvizShowsLiveNodesAndEdges) {
  Diamond g;
  g.graph.set_operand(g.d.node, 1, g.b);
  g.graph.erase(g.c.node);
  const std::string dot =
      g.graph.graphviz([&](NodeId id) { return std::string(op_info(g.graph[id].op).name) + " \"q\""; });
  EXPECT_NE(dot.find("label=\"abs \\\"q\\\"\""), std::string::npos) << dot;
  EXPECT_NE(dot.find("2->3"), std::string::npos) << dot;
  EXPECT_EQ(dot.find("sign"), std::string::npos) << dot;
}

TEST(Attributes, CompareInAnyOrder) {
  const Attributes a{{Attr::Axis, int64_t{1}}, {Attr::Lanes, int64_t{2}}};
  Attributes b{{Attr::Lanes, int64_t{2}}, {Attr::Axis, int64_t{0}}};
  EXPECT_FALSE(a == b);
  b.set(Attr::Axis, int64_t{1});
  EXPECT_TRUE(a == b);
  EXPECT_EQ(a.integer(Attr::Lanes), 2);
  EXPECT_THROW(a.boolean(Attr::Lanes), InternalError);
  EXPECT_THROW(a.integer(Attr::Axes), InternalError);
}

TEST(Verify, NamesWhatIsBroken) {
  Module module;
  Entry& entry = module.entries.emplace_back();
  entry.name = "run";
  Diamond g;
  entry.graph = g.graph;
  EXPECT_TRUE(verify(module).empty());
  entry.graph.set_operand(g.a.node, 0, g.d);
  EXPECT_EQ(verify(module),
            std::vector<std::string>{"entry @run: the graph has a cycle, %0 -> %1 -> %3 -> %0"});
  entry.graph = g.graph;
  entry.graph.set_operand(g.d.node, 1, {g.c.node, 1});
  EXPECT_EQ(verify(module), std::vector<std::string>{"entry @run, %3 = add: operand 1 does not exist"});
}

}  // namespace
}  // namespace nncc
