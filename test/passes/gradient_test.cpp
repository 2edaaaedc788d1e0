// Every primitive's gradient, and the gradient of its gradient, against differences along random directions,
// in double precision.
#include <algorithm>
#include <numeric>
#include <set>

#include "ir/indexed_rules.h"
#include "passes/gradient_rules.h"
#include "test/passes/graphs.h"

namespace nncc::test {
namespace {

using Values = std::vector<Value>;
using Ints = std::vector<int64_t>;
using Build = std::function<Value(GraphBuilder&, const Values&)>;

// How an argument is filled.
struct Fill {
  enum Kind { Uniform, Spread, SomeZeros } kind = Uniform;
  double low = -2, high = 2;
};
constexpr Fill kPositive{Fill::Uniform, 0.5, 2};
// Distinct values, at least 0.05 apart and away from 0: no kink is near.
constexpr Fill kSpread{Fill::Spread};
constexpr Fill kSomeZeros{Fill::SomeZeros};

struct Case {
  Op op;
  std::string label;
  std::vector<Shape> shapes;  // of the arguments
  std::vector<Fill> fills;    // missing ones: uniform
  Build build;
};

Literal fill(const Shape& shape, Fill fill, size_t index, std::mt19937& random) {
  const TensorType type{DType::F64, shape};
  Literal literal = random_literal(type, random, fill.low, fill.high);
  if (fill.kind == Fill::Spread) {
    Ints order(literal.num_elements());
    std::iota(order.begin(), order.end(), -literal.num_elements() / 2);
    std::shuffle(order.begin(), order.end(), random);
    for (size_t i = 0; i < order.size(); ++i) literal.set(i, 0.1 * order[i] + 0.03 + 0.05 * index);
  }
  if (fill.kind == Fill::SomeZeros)
    for (int64_t i = 0; i < literal.num_elements(); ++i)
      if (random() % 3 == 0) literal.set(i, 0);
  return literal;
}

// sum over i of v[i] * w[i], with w drawn at random.
Value weighed_sum(GraphBuilder& b, Value v, std::mt19937& random) {
  Ints axes(b.type(v).rank());
  std::iota(axes.begin(), axes.end(), 0);
  return b.reduce(Op::ReduceSum, b.mul(v, b.constant(random_literal(b.type(v), random))), axes);
}

Values gradient(GraphBuilder& b, Value loss, const Values& xs) {
  Values operands{loss};
  std::vector<TensorType> types;
  for (const Value x : xs) {
    operands.push_back(x);
    types.push_back(b.type(x));
  }
  const NodeId id = b.add_multi(Op::Gradient, operands, types);
  Values results;
  for (size_t i = 0; i < xs.size(); ++i) results.push_back({id, static_cast<int32_t>(i)});
  return results;
}

void add_results(Graph& graph, const Values& gradients) {
  for (const Value g : gradients) graph.results.push_back({"g" + std::to_string(graph.results.size()), g});
}

// One entry: the loss and its gradients; at order 2 the loss is a weighed sum of the gradients of another.
Module make_module(const Case& c, int order, std::mt19937& random) {
  Module module;
  Entry& entry = module.entries.emplace_back();
  entry.name = "check";
  GraphBuilder b(entry.graph);
  Values xs;
  for (size_t i = 0; i < c.shapes.size(); ++i)
    xs.push_back(entry.graph.add_argument("x" + std::to_string(i), {DType::F64, c.shapes[i]}));
  Value loss = weighed_sum(b, b.cast(c.build(b, xs), DType::F64), random);
  for (int i = 1; i < order; ++i) {
    Value sum = b.scalar(DType::F64, 0);
    for (const Value g : gradient(b, loss, xs)) sum = b.add(sum, weighed_sum(b, g, random));
    loss = sum;
  }
  entry.graph.results.push_back({"loss", loss});
  add_results(entry.graph, gradient(b, loss, xs));
  return module;
}

double dot(const Literal& a, const Literal& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.num_elements(); ++i) sum += a.real(i) * b.real(i);
  return sum;
}

void check(const Case& c, int order) {
  SCOPED_TRACE(c.label + ", order " + std::to_string(order));
  std::mt19937 random(17);
  Module module = make_module(c, order, random);
  run_passes(module, "autodiff");
  if (::testing::Test::HasFatalFailure()) return;
  const Entry& entry = module.entries[0];
  Evaluator evaluator(module);
  std::vector<Literal> at, direction;
  for (size_t i = 0; i < c.shapes.size(); ++i) {
    at.push_back(fill(c.shapes[i], i < c.fills.size() ? c.fills[i] : Fill{}, i, random));
    direction.push_back(random_literal(at[i].type(), random, -1, 1));
  }
  const std::vector<Literal> results = evaluator.run(entry, at);
  const auto loss_at = [&](double step) {
    std::vector<Literal> moved = at;
    for (size_t i = 0; i < at.size(); ++i)
      for (int64_t j = 0; j < at[i].num_elements(); ++j)
        moved[i].set(j, at[i].real(j) + step * direction[i].real(j));
    return evaluator.run(entry, moved)[0].real(0);
  };
  const double h = 1e-3;
  const double expected = (8 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h))) / (12 * h);
  double found = 0;
  for (size_t i = 0; i < at.size(); ++i) found += dot(results[i + 1], direction[i]);
  EXPECT_TRUE(close(expected, found, 1e-7))
      << "differences say " << expected << ", the gradient says " << found;
}

// ---- the table ----

Build apply(Op op) {
  return [op](GraphBuilder& b, const Values& x) { return b.add(op, x); };
}

Build reduce(Op op, Ints axes) {
  return [=](GraphBuilder& b, const Values& x) { return b.reduce(op, x[0], axes); };
}

// A convolution: odd extents, strides that leave elements over, padding, dilation, groups.
struct Geometry {
  Shape x, w, y;
  Ints strides, low, dilation;
  int64_t groups;
};
std::vector<Geometry> geometries() {
  return {{{2, 3, 5}, {4, 3, 3}, {2, 4, 5}, {1}, {1}, {1}, 1},
          {{1, 2, 6, 5}, {3, 2, 3, 2}, {1, 3, 3, 5}, {2, 1}, {1, 0}, {1, 1}, 1},
          {{2, 4, 5, 4}, {4, 2, 2, 2}, {2, 4, 4, 2}, {1, 2}, {1, 0}, {2, 1}, 2},
          {{1, 3, 4, 4}, {3, 1, 3, 3}, {1, 3, 4, 4}, {1, 1}, {1, 1}, {1, 1}, 3}};
}

// Distinct numbers in no order.
Literal range_literal(const Shape& shape) {
  Literal literal(TensorType{DType::F64, shape});
  for (int64_t i = 0; i < literal.num_elements(); ++i)
    literal.set(i, static_cast<double>(i * 7 % 11) + 0.01 * i);
  return literal;
}

Build matmul(bool ta, bool tb) {
  return [=](GraphBuilder& b, const Values& x) {
    return b.add(Op::MatMul, x, {{Attr::TransposeA, ta}, {Attr::TransposeB, tb}});
  };
}

Build slice(Shape shape, Ints starts, Ints strides) {
  return [=](GraphBuilder& b, const Values& x) {
    return b.add_typed(Op::Slice, x, {DType::F64, shape}, {{Attr::Starts, starts}, {Attr::Strides, strides}});
  };
}

Build pad(Shape shape, Ints low, Ints interior) {
  return [=](GraphBuilder& b, const Values& x) {
    return b.add_typed(Op::Pad, x, {DType::F64, shape}, {{Attr::Low, low}, {Attr::Interior, interior}});
  };
}

Build broadcast(Shape shape, Ints dims) {
  return [=](GraphBuilder& b, const Values& x) { return b.broadcast(x[0], shape, dims); };
}

Build pow_by(double exponent) {
  return [=](GraphBuilder& b, const Values& x) {
    return b.add(Op::Pow, {x[0], b.splat_like(x[0], exponent)});
  };
}

Shape transposed(Shape shape, bool swap) {
  if (swap) std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  return shape;
}

std::vector<Case> make_cases() {
  std::vector<Case> cases;
  const auto add = [&](Op op, std::vector<Shape> shapes, std::vector<Fill> fills, Build build,
                       const std::string& note = "") {
    std::string label(op_info(op).name);
    for (const Shape& shape : shapes) label += " " + TensorType{DType::F64, shape}.str();
    cases.push_back({op, label + (note.empty() ? "" : " " + note), shapes, fills, build});
  };

  const std::vector<Shape> shapes = {{}, {1}, {5}, {3, 1, 4}};
  for (const Shape& s : shapes) {
    for (const Op op : {Op::Neg, Op::Exp, Op::Expm1, Op::Sin, Op::Cos, Op::Tanh, Op::Sigmoid, Op::Erf})
      add(op, {s}, {}, apply(op));
    for (const Op op : {Op::Log, Op::Log1p, Op::Sqrt, Op::Rsqrt}) add(op, {s}, {kPositive}, apply(op));
    add(Op::Abs, {s}, {kSpread}, apply(Op::Abs));
    for (const Op op : {Op::Add, Op::Sub, Op::Mul}) add(op, {s, s}, {}, apply(op));
    add(Op::Div, {s, s}, {{}, kPositive}, apply(Op::Div));
    add(Op::Pow, {s, s}, {kPositive, {}}, apply(Op::Pow));
    for (const double c : {-2.0, -1.0, 0.5, 1.5})
      add(Op::Pow, {s}, {kPositive}, pow_by(c), std::to_string(c));
    for (const double c : {0.0, 1.0, 2.0, 3.0}) add(Op::Pow, {s}, {kSpread}, pow_by(c), std::to_string(c));
    add(Op::Pow, {s}, {kSomeZeros}, pow_by(2), "2 at 0");
    for (const Op op : {Op::Max, Op::Min}) add(op, {s, s}, {kSpread, kSpread}, apply(op));
    for (const Op op : {Op::Add, Op::Mul, Op::Sub, Op::Div})
      add(
          op, {s}, {kPositive},
          [op](GraphBuilder& b, const Values& x) {
            return b.add(op, {x[0], x[0]});
          },
          "with itself");
    add(Op::Cast, {s}, {}, [](GraphBuilder& b, const Values& x) {
      const Value v = b.add_typed(Op::Cast, x, b.type(x[0]));
      return b.mul(v, v);
    });
    add(Op::Select, {s, s}, {}, [](GraphBuilder& b, const Values& x) {
      std::mt19937 random(5);
      const Value condition = b.constant(random_literal({DType::Bool, b.type(x[0]).shape}, random));
      return b.mul(b.select(condition, x[0], x[1]), x[0]);
    });
  }

  const std::vector<std::pair<Shape, Ints>> reductions = {
      {{1}, {0}},       {{6}, {0}},       {{3, 4}, {0}},       {{3, 4}, {1}},
      {{3, 4}, {0, 1}}, {{2, 1, 3}, {1}}, {{2, 3, 4}, {0, 2}}, {{1, 5, 1}, {0, 1}}};
  for (const auto& [shape, axes] : reductions) {
    add(Op::ReduceSum, {shape}, {}, reduce(Op::ReduceSum, axes));
    add(Op::ReduceMax, {shape}, {kSpread}, reduce(Op::ReduceMax, axes));
    add(Op::ReduceMin, {shape}, {kSpread}, reduce(Op::ReduceMin, axes));
    add(Op::ReduceProd, {shape}, {kPositive}, reduce(Op::ReduceProd, axes));
    add(Op::ReduceProd, {shape}, {kSomeZeros}, reduce(Op::ReduceProd, axes), "with zeros");
  }

  // Movement is linear; a square after it gives second derivatives something to do.
  const auto squared = [](Build build) {
    return [build](GraphBuilder& b, const Values& x) {
      const Value v = build(b, x);
      return b.mul(v, v);
    };
  };
  const auto move = [&](Op op, std::vector<Shape> argument_shapes, Build build) {
    add(op, argument_shapes, {}, squared(build));
  };
  move(Op::Reshape, {{2, 6}}, [](GraphBuilder& b, const Values& x) { return b.reshape(x[0], {3, 1, 4}); });
  move(Op::Reshape, {{1}}, [](GraphBuilder& b, const Values& x) { return b.reshape(x[0], {}); });
  move(Op::Broadcast, {{}}, broadcast({2, 3}, {}));
  move(Op::Broadcast, {{3}}, broadcast({2, 3}, {1}));
  move(Op::Broadcast, {{3}}, broadcast({3, 2}, {0}));
  move(Op::Broadcast, {{1, 3}}, broadcast({4, 3}, {0, 1}));
  move(Op::Broadcast, {{2, 1}}, broadcast({2, 3, 4}, {0, 2}));
  move(Op::Broadcast, {{2, 1}}, broadcast({2, 1, 1}, {0, 1}));
  for (const Ints& perm : {Ints{0, 2, 1}, Ints{2, 0, 1}, Ints{1, 2, 0}, Ints{2, 1, 0}})
    move(Op::Transpose, {{2, 3, 4}},
         [perm](GraphBuilder& b, const Values& x) { return b.transpose(x[0], perm); });
  move(Op::Slice, {{5}}, slice({2}, {1}, {2}));
  move(Op::Slice, {{6, 4}}, slice({2, 2}, {0, 1}, {3, 2}));
  move(Op::Slice, {{3, 1}}, slice({1, 1}, {2, 0}, {1, 1}));
  move(Op::Pad, {{3}, {}}, pad({6}, {1}, {0}));
  move(Op::Pad, {{2, 3}, {}}, pad({4, 8}, {1, 0}, {1, 2}));
  move(Op::Pad, {{2}, {}}, pad({2}, {0}, {0}));
  move(Op::Concat, {{2, 3}, {2, 1}, {2, 2}}, [](GraphBuilder& b, const Values& x) {
    return b.add(Op::Concat, x, {{Attr::Axis, int64_t{1}}});
  });
  move(Op::Concat, {{2}}, [](GraphBuilder& b, const Values& x) {
    return b.add(Op::Concat, {x[0], x[0], x[0]}, {{Attr::Axis, int64_t{0}}});
  });
  for (const Ints& axes : {Ints{0}, Ints{1}, Ints{0, 1}})
    move(Op::Reverse, {{3, 4}}, [axes](GraphBuilder& b, const Values& x) {
      return b.add(Op::Reverse, {x[0]}, {{Attr::Axes, axes}});
    });

  for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{{{3, 4}, {4, 2}},
                                                                 {{1, 4}, {4, 1}},
                                                                 {{3, 1}, {1, 5}},
                                                                 {{2, 3, 4}, {2, 4, 5}},
                                                                 {{2, 1, 3, 4}, {2, 1, 4, 1}}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        add(Op::MatMul, {transposed(a, ta), transposed(b, tb)}, {}, matmul(ta, tb));
  for (const bool transpose : {false, true})
    move(Op::PackPanels, {transposed({3, 5}, transpose)}, [=](GraphBuilder& b, const Values& x) {
      return b.add(Op::PackPanels, x, {{Attr::Lanes, int64_t{4}}, {Attr::TransposeB, transpose}});
    });
  for (const bool ta : {false, true})
    add(Op::MatMulPacked, {transposed({2, 3}, ta), {3, 5}}, {}, [=](GraphBuilder& b, const Values& x) {
      const Value packed =
          b.add(Op::PackPanels, {x[1]}, {{Attr::Lanes, int64_t{4}}, {Attr::TransposeB, false}});
      const std::vector<Value> operands{x[0], packed};
      return b.add_typed(Op::MatMulPacked, operands, {DType::F64, {2, 5}}, {{Attr::TransposeA, ta}});
    });
  for (const Geometry& g : geometries())
    for (const Op op : {Op::Conv, Op::ConvInputGradient, Op::ConvWeightGradient}) {
      const Shape shapes[] = {g.x, g.w, g.y};
      const size_t result = op == Op::Conv ? 2 : op == Op::ConvInputGradient ? 0 : 1;
      const Shape to = shapes[result], first = op == Op::ConvInputGradient ? g.y : g.x,
                  second = op == Op::ConvWeightGradient ? g.y : g.w;
      add(op, {first, second}, {}, [=](GraphBuilder& b, const Values& x) {
        return b.add_typed(op, x, {DType::F64, to},
                           {{Attr::Strides, g.strides},
                            {Attr::Low, g.low},
                            {Attr::Dilation, g.dilation},
                            {Attr::Groups, g.groups}});
      });
    }
  for (const int64_t axis : {0, 1, 2}) {
    const Shape from{3, 2, 4};
    const Literal index = Literal::splat_int({DType::I32, {2, 2}}, 1).dense();
    const auto chosen = [=](GraphBuilder& b) {
      Literal where = index;
      where.set_int(1, 0);  // 1, 0, 1, 1
      return b.constant(where);
    };
    const Shape taken = gathered_shape(from, {2, 2}, axis);
    move(Op::Gather, {from}, [=](GraphBuilder& b, const Values& x) {
      return b.add(Op::Gather, {x[0], chosen(b)}, {{Attr::Axis, axis}});
    });
    move(Op::ScatterAdd, {from, taken}, [=](GraphBuilder& b, const Values& x) {
      return b.add(Op::ScatterAdd, {x[0], chosen(b), x[1]}, {{Attr::Axis, axis}});
    });
  }
  // Overlapping windows with gaps at the end, windows side by side, and windows that miss elements.
  struct Windows {
    Shape image, windows;
    Ints sizes, strides, low;
  };
  for (const Windows& w :
       {Windows{{2, 7}, {2, 4}, {1, 3}, {1, 2}, {0, 1}}, Windows{{4, 6}, {2, 3}, {2, 2}, {2, 2}, {0, 0}},
        Windows{{5, 7}, {3, 3}, {1, 2}, {2, 3}, {0, 1}}}) {
    const Attributes attributes{{Attr::Sizes, w.sizes}, {Attr::Strides, w.strides}, {Attr::Low, w.low}};
    const auto window = [=](Op op, const Shape& to) {
      return squared([=](GraphBuilder& b, const Values& x) {
        return b.add_typed(op, x, {DType::F64, to}, attributes);
      });
    };
    const auto selected = [=](Op op, const Shape& to) {
      return squared([=](GraphBuilder& b, const Values& x) {
        // Positions from numbers that the gradient does not move.
        const Value source = op == Op::WindowGather ? x[0] : b.constant(range_literal(w.image));
        const Value where =
            b.add_typed(Op::WindowArgMax, std::array{source}, {DType::I32, w.windows}, attributes);
        return b.add_typed(op, std::array{x[0], where}, {DType::F64, to}, attributes);
      });
    };
    add(Op::WindowSum, {w.image}, {}, window(Op::WindowSum, w.windows));
    add(Op::WindowSpread, {w.windows}, {}, window(Op::WindowSpread, w.image));
    add(Op::WindowMax, {w.image}, {kSpread}, window(Op::WindowMax, w.windows));
    add(Op::WindowScatter, {w.windows}, {}, selected(Op::WindowScatter, w.image));
    add(Op::WindowGather, {w.image}, {kSpread}, selected(Op::WindowGather, w.windows));
  }
  return cases;
}

class GradientOf : public ::testing::TestWithParam<Op> {};

TEST_P(GradientOf, agrees_with_differences) {
  int cases = 0;
  for (const Case& c : make_cases()) {
    if (c.op != GetParam()) continue;
    ++cases;
    check(c, 1);
    check(c, 2);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(cases, 0) << "no case for `" << op_info(GetParam()).name << "`";
}

std::vector<Op> ops_of_kind(GradientRule::Kind kind) {
  std::vector<Op> ops;
  for (const OpInfo& info : all_ops())
    // Loops need a step function: test/e2e/loops.test. An index is no float.
    if (gradient_rule(info.op).kind == kind && info.op != Op::Scan && info.op != Op::CheckIndex)
      ops.push_back(info.op);
  return ops;
}

std::string op_label(const ::testing::TestParamInfo<Op>& info) {
  return std::string(op_info(info.param).name);
}

// Every primitive that has a gradient is here, so one without a case fails.
INSTANTIATE_TEST_SUITE_P(Primitives, GradientOf,
                         ::testing::ValuesIn(ops_of_kind(GradientRule::Kind::Differentiable)), op_label);

TEST(GradientRules, say_why_there_is_no_gradient) {
  for (const OpInfo& info : all_ops()) {
    const GradientRule& rule = gradient_rule(info.op);
    EXPECT_EQ(rule.kind == GradientRule::Kind::Differentiable, rule.apply != nullptr) << info.name;
    EXPECT_EQ(rule.kind == GradientRule::Kind::Differentiable, rule.reason.empty()) << info.name;
  }
}

// The gradients of one entry at given arguments.
std::vector<Literal> gradients_at(const Build& build, const std::vector<Literal>& at) {
  Module module;
  Entry& entry = module.entries.emplace_back();
  entry.name = "check";
  GraphBuilder b(entry.graph);
  Values xs;
  for (const Literal& x : at)
    xs.push_back(entry.graph.add_argument("x" + std::to_string(xs.size()), x.type()));
  const Value y = b.cast(build(b, xs), DType::F64);
  Ints axes(b.type(y).rank());
  std::iota(axes.begin(), axes.end(), 0);
  add_results(entry.graph, gradient(b, b.reduce(Op::ReduceSum, y, axes), xs));
  run_passes(module, "autodiff");
  return Evaluator(module).run(module.entries[0], at);
}

Literal vector(std::vector<double> values) {
  const auto n = static_cast<int64_t>(values.size());
  return Literal::floats({DType::F64, {n}}, std::move(values));
}

void expect_gradients(const Build& build, const std::vector<Literal>& at,
                      const std::vector<Literal>& expected) {
  const std::vector<Literal> found = gradients_at(build, at);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    expect_close(expected[i], found[i], 1e-15, "operand " + std::to_string(i));
}

TEST(Gradient, is_zero_where_an_op_has_none) {
  for (const Op op : ops_of_kind(GradientRule::Kind::Zero)) {
    const OpInfo& info = op_info(op);
    SCOPED_TRACE(std::string(info.name));
    const Build build = [&](GraphBuilder& b, const Values& x) {
      std::vector<Value> operands(info.num_operands, x[0]);
      if (op == Op::Not || op == Op::And || op == Op::Or)
        for (Value& v : operands) v = b.add(Op::Gt, {v, b.splat_like(v, 0)});
      Attributes attributes;
      for (const Attr attr : info.attributes)
        attributes.set(attr, info.has(Window) ? AttrValue(Ints{1}) : AttrValue(int64_t{0}));
      if (!info.has(Window)) return b.add(op, operands, attributes);
      return b.add_typed(op, operands, {DType::I32, {3}}, attributes);
    };
    expect_gradients(build, {vector({-1.5, 0.25, 2})}, {vector({0, 0, 0})});
  }
}

TEST(Gradient, is_zero_for_what_the_loss_does_not_depend_on) {
  expect_gradients([](GraphBuilder& b, const Values& x) { return b.mul(x[0], x[0]); },
                   {vector({1, 2}), vector({3, 4, 5})}, {vector({2, 4}), vector({0, 0, 0})});
  expect_gradients(
      [](GraphBuilder& b, const Values& x) { return b.add(Op::StopGradient, {b.mul(x[0], x[0])}); },
      {vector({1, 2})}, {vector({0, 0})});
}

TEST(Gradient, of_the_loss_itself_is_one) {
  const Literal scalar = Literal::floats({DType::F64, {}}, {3});
  expect_gradients([](GraphBuilder&, const Values& x) { return x[0]; }, {scalar},
                   {Literal::floats({DType::F64, {}}, {1})});
}

TEST(Gradient, at_ties) {
  expect_gradients(apply(Op::Max), {vector({1, 2, 3}), vector({1, 3, 2})},
                   {vector({0.5, 0, 1}), vector({0.5, 1, 0})});
  expect_gradients(apply(Op::Min), {vector({1, 2, 3}), vector({1, 3, 2})},
                   {vector({0.5, 1, 0}), vector({0.5, 0, 1})});
  expect_gradients(reduce(Op::ReduceMax, {0}), {vector({4, 1, 4, 4, 2})},
                   {vector({1. / 3, 0, 1. / 3, 1. / 3, 0})});
  expect_gradients(reduce(Op::ReduceMin, {0}), {vector({1, 1})}, {vector({0.5, 0.5})});
  expect_gradients(apply(Op::Abs), {vector({-1, 0, 1})}, {vector({-1, 0, 1})});
}

TEST(Gradient, of_powers_at_the_edges) {
  const double nan = std::nan("");
  expect_gradients(pow_by(2), {vector({0, -3})}, {vector({0, -6})});
  expect_gradients(pow_by(0), {vector({0, -3})}, {vector({0, 0})});
  expect_gradients(pow_by(1), {vector({0, -3})}, {vector({1, 1})});
  // 0^2, 0^0, (-2)^2, (-2)^0: by the base b a^(b-1); by the exponent a^b log a, 0 at a = 0 and b >= 0, NaN
  // below.
  expect_gradients(apply(Op::Pow), {vector({0, 0, -2, -2}), vector({2, 0, 2, 0})},
                   {vector({0, 0, -4, 0}), vector({0, 0, nan, nan})});
}

TEST(Gradient, goes_through_casts_between_floats) {
  const Build build = [](GraphBuilder& b, const Values& x) {
    const Value single = b.cast(x[0], DType::F32), half = b.cast(single, DType::F16);
    return b.mul(single, b.cast(half, DType::F32));
  };
  expect_gradients(build, {vector({1, -2.5})}, {vector({2, -5})});
}

TEST(Gradient, ends_at_integers) {
  const Build build = [](GraphBuilder& b, const Values& x) {
    return b.cast(b.cast(x[0], DType::I32), DType::F64);
  };
  expect_gradients(build, {vector({1, -2.5})}, {vector({0, 0})});
}

TEST(Gradient, of_square_root_at_zero_is_infinite) {
  expect_gradients(apply(Op::Sqrt), {vector({0, 4})}, {vector({INFINITY, 0.25})});
}

// Products of what else there is: with one zero that one alone has a gradient, with two none has.
TEST(Gradient, of_products_with_zeros) {
  expect_gradients(reduce(Op::ReduceProd, {0}), {vector({2, 0, 3})}, {vector({0, 6, 0})});
  expect_gradients(reduce(Op::ReduceProd, {0}), {vector({2, 0, 0})}, {vector({0, 0, 0})});
}

// With respect to a value in the middle: paths that go around it do not count.
TEST(Gradient, with_respect_to_an_intermediate_value) {
  Module module;
  Entry& entry = module.entries.emplace_back();
  entry.name = "check";
  GraphBuilder b(entry.graph);
  const TensorType type{DType::F64, {}};
  const Value x = entry.graph.add_argument("x", type);
  const Value h = b.mul(x, x);
  const Value loss = b.add(b.mul(h, h), x);
  const Values g = gradient(b, loss, {h, x});
  entry.graph.results = {{"h", g[0]}, {"x", g[1]}};
  run_passes(module, "autodiff");
  const auto results = Evaluator(module).run(module.entries[0], std::vector{Literal::floats(type, {3})});
  EXPECT_EQ(results[0].real(0), 18);          // 2 h
  EXPECT_EQ(results[1].real(0), 18 * 6 + 1);  // 2 h 2 x + 1
}

TEST(Gradient, carries_the_place_of_the_forward_node) {
  SourceManager sources;
  const SourceFile& file = sources.add("m.nn", "y = exp(x)\n");
  Graph graph;
  GraphBuilder b(graph);
  const Value x = graph.add_argument("x", {DType::F64, {}});
  b.location = {{&file, 4, 10}, nullptr};
  const Value y = b.add(Op::Exp, {x});
  b.location = {};
  graph.results.push_back({"g", gradient(b, y, {x})[0]});
  Module module;
  module.entries.emplace_back().name = "check";
  module.entries[0].graph = graph;
  run_passes(module, "autodiff,dce");
  const Graph& after = module.entries[0].graph;
  for (const NodeId id : after.nodes()) {
    if (after[id].op == Op::Input) continue;
    EXPECT_EQ(after[id].location.range.begin, 4u) << op_info(after[id].op).name;
  }
}

}  // namespace
}  // namespace nncc::test
