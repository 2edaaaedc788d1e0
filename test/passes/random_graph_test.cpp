// Passes on random graphs: what they compute stays the same.
#include <algorithm>
#include <numeric>

#include "test/passes/random_movement.h"

namespace nncc::test {
namespace {

// Grows a graph node by node. Values stay moderate: functions that could overflow or leave their domain are
// applied to bounded ones.
class RandomGraph {
 public:
  explicit RandomGraph(unsigned seed) : random_(seed), b_(graph_) {
    const std::vector<Shape> shapes = {{}, {1}, {3}, {2, 3}, {3, 2}, {2, 1, 3}};
    for (int i = 0; i < 4; ++i)
      floats_.push_back(
          graph_.add_argument("x" + std::to_string(i), {DType::F64, shapes[pick(shapes.size())]}));
  }

  // With `gradients`, a gradient of a sum of some values by others, used in turn by more nodes.
  Graph make(int nodes, bool gradients) {
    for (int i = 0; i < nodes; ++i) {
      floats_.push_back(grow());
      if (gradients && i == nodes / 2) add_gradient();
    }
    if (gradients) add_gradient();
    for (int i = 0; i < 3; ++i)
      graph_.results.push_back({"r" + std::to_string(i), floats_[floats_.size() - 1 - i]});
    return graph_;
  }

 private:
  size_t pick(size_t n) { return random_() % n; }
  Value any() { return floats_[pick(floats_.size())]; }
  std::vector<int64_t> shuffled(int64_t n) {
    std::vector<int64_t> list(n);
    std::iota(list.begin(), list.end(), 0);
    std::shuffle(list.begin(), list.end(), random_);
    return list;
  }
  std::vector<int64_t> some_axes(int rank) {
    std::vector<int64_t> axes;
    for (int axis = 0; axis < rank; ++axis)
      if (pick(2)) axes.push_back(axis);
    if (axes.empty()) axes.push_back(static_cast<int64_t>(pick(rank)));
    return axes;
  }
  Value bounded(Value v) { return b_.add(Op::Tanh, {v}); }

  // Something of the same type as v: a value there is, a constant, or one broadcast.
  Value like(Value v) {
    const TensorType type = b_.type(v);
    std::vector<Value> same;
    for (const Value candidate : floats_)
      if (b_.type(candidate) == type) same.push_back(candidate);
    switch (pick(5)) {
      case 0:
        return b_.splat(type, std::vector<double>{0, 1, -1, 2, 0.5, 3}[pick(6)]);
      case 1:
        return b_.constant(random_literal(type, random_));
      case 2:
        for (const Value candidate : floats_)
          if (broadcast_shapes(b_.type(candidate).shape, type.shape) == type.shape)
            if (b_.type(candidate).rank() <= type.rank()) return b_.broadcast_to(candidate, type.shape);
        [[fallthrough]];
      default:
        return same[pick(same.size())];
    }
  }

  Value condition(Value v) {
    const Op compare[] = {Op::Lt, Op::Le, Op::Gt, Op::Ge, Op::Eq, Op::Ne};
    const Value c = b_.add(compare[pick(6)], {v, like(v)});
    switch (pick(4)) {
      case 0:
        return b_.add(Op::Not, {c});
      case 1:
        return b_.add(pick(2) ? Op::And : Op::Or, {c, b_.splat({DType::Bool, b_.type(v).shape}, pick(2))});
      default:
        return c;
    }
  }

  Value grow() {
    const Value x = any();
    const TensorType type = b_.type(x);
    switch (pick(16)) {
      case 0:
        return b_.add(
            std::vector{Op::Neg, Op::Abs, Op::Sin, Op::Cos, Op::Tanh, Op::Sigmoid, Op::Erf}[pick(7)], {x});
      case 1:
        return b_.add(std::vector{Op::Exp, Op::Expm1, Op::Neg}[pick(3)], {bounded(x)});
      case 2:
      case 3:
        return b_.add(std::vector{Op::Add, Op::Sub, Op::Max, Op::Min}[pick(4)], {x, like(x)});
      case 4: {
        const Value y = bounded(x);
        return b_.mul(y, bounded(like(y)));
      }
      case 5:
        return b_.div(x, b_.splat(type, std::vector<double>{1, 2, 4, -8, 3}[pick(5)]));
      case 6:
        return b_.add(Op::Pow, {bounded(x), b_.splat(type, std::vector<double>{0, 1, 2, 3}[pick(4)])});
      case 7:
        return b_.select(condition(x), like(x), like(x));
      case 8:
        return b_.cast(b_.cast(x, DType::F32), DType::F64);
      case 9:
        return b_.reshape(x, pick(2) ? Shape{type.num_elements()} : Shape{1, type.num_elements()});
      case 10:
        return b_.transpose(x, shuffled(type.rank()));
      case 11: {
        Shape shape = type.shape;
        shape.insert(shape.begin(), 2);
        return b_.broadcast_to(x, shape.size() > 4 ? type.shape : shape);
      }
      case 12:
        if (type.rank() == 0) return x;
        return b_.reduce(std::vector{Op::ReduceSum, Op::ReduceMax, Op::ReduceMin}[pick(3)], bounded(x),
                         some_axes(type.rank()), pick(2));
      case 13:
        return random_movement(b_, random_, x, [&](int64_t axis) {
          return b_.add(Op::Concat, {x, x}, {{Attr::Axis, axis}});
        });
      case 14: {
        if (type.rank() < 2) return x;
        const bool ta = pick(2);
        std::vector<int64_t> swap = shuffled(0);
        for (int axis = 0; axis < type.rank(); ++axis) swap.push_back(axis);
        std::swap(swap[type.rank() - 1], swap[type.rank() - 2]);
        const Value y = pick(2) ? b_.transpose(bounded(x), swap) : bounded(x);
        const bool same = b_.type(y) == type;
        const bool tb = same ? !ta : ta;
        return b_.add(Op::MatMul, {bounded(x), y}, {{Attr::TransposeA, ta}, {Attr::TransposeB, tb}});
      }
      default:
        return b_.add(Op::StopGradient, {x});
    }
  }

  void add_gradient() {
    Value loss = b_.scalar(DType::F64, 0);
    for (int i = 0; i < 3; ++i) {
      const Value v = bounded(any());
      std::vector<int64_t> axes(b_.type(v).rank());
      std::iota(axes.begin(), axes.end(), 0);
      loss = b_.add(loss, b_.reduce(Op::ReduceSum, v, axes));
    }
    std::vector<Value> operands{loss};
    std::vector<TensorType> types;
    for (int i = 0; i < 3; ++i) {
      operands.push_back(any());
      types.push_back(b_.type(operands.back()));
    }
    const NodeId id = b_.add_multi(Op::Gradient, operands, types);
    for (int i = 0; i < 3; ++i) floats_.push_back({id, i});
  }

  std::mt19937 random_;
  Graph graph_;
  GraphBuilder b_;
  std::vector<Value> floats_;
};

Module module_of(Graph graph) {
  Module module;
  Entry& entry = module.entries.emplace_back();
  entry.name = "f";
  entry.graph = std::move(graph);
  return module;
}

void expect_same(const Module& before, const Module& after, unsigned seed, double tolerance) {
  std::mt19937 random(seed);
  const std::vector<Literal> arguments = random_arguments(before.entries[0].graph, random);
  const auto expected = Evaluator(before).run(before.entries[0], arguments);
  const auto found = Evaluator(after).run(after.entries[0], arguments);
  ASSERT_EQ(expected.size(), found.size());
  for (size_t i = 0; i < found.size(); ++i)
    expect_close(expected[i], found[i], tolerance,
                 "seed " + std::to_string(seed) + ", result " + std::to_string(i));
}

class OnRandomGraphs : public ::testing::TestWithParam<const char*> {};

constexpr unsigned kSeeds = 150;

TEST_P(OnRandomGraphs, computes_the_same) {
  for (unsigned seed = 0; seed < kSeeds && !HasFatalFailure(); ++seed) {
    const Module before = module_of(RandomGraph(seed).make(30, false));
    Module after = before;
    run_passes(after, GetParam());
    expect_same(before, after, seed, 1e-11);
  }
}

// Before the gradients are made, and after.
TEST_P(OnRandomGraphs, keeps_gradients) {
  for (unsigned seed = 0; seed < kSeeds && !HasFatalFailure(); ++seed) {
    Module before = module_of(RandomGraph(seed).make(16, true));
    Module after = before;
    run_passes(before, "autodiff");
    for (const char* passes : {GetParam(), "autodiff", GetParam()}) run_passes(after, passes);
    expect_same(before, after, seed, 1e-8);
  }
}

INSTANTIATE_TEST_SUITE_P(Passes, OnRandomGraphs,
                         ::testing::Values("inline", "canonicalize", "fold-constants", "cse", "dce",
                                           "canonicalize,fold-constants,cse,dce"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !isalnum(c); }, '_');
                           return name;
                         });

// A canonical graph is left alone.
TEST(Canonicalize, has_nothing_left_to_do) {
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    Module module = module_of(RandomGraph(seed).make(30, false));
    run_passes(module, "canonicalize");
    const std::string once = to_string(module);
    run_passes(module, "canonicalize");
    EXPECT_EQ(once, to_string(module)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace nncc::test
