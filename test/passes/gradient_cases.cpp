#include "test/passes/gradient_cases.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ir/indexed_rules.h"

namespace nncc::test {
namespace {

constexpr Fill kPositive{Fill::Uniform, 0.5, 2};
// Distinct values, at least 0.05 apart and away from 0: no kink is near.
constexpr Fill kSpread{Fill::Spread};
constexpr Fill kSomeZeros{Fill::SomeZeros};

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

}  // namespace

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

namespace {

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

}  // namespace

Slopes slopes_of(const Case& c, int order) {
  std::mt19937 random(17);
  Module module = make_module(c, order, random);
  run_passes(module, "autodiff");
  if (::testing::Test::HasFatalFailure()) return {};
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
  return {expected, found};
}

double Slopes::error() const {
  return std::abs(expected - found) / std::max({1.0, std::abs(expected), std::abs(found)});
}

namespace {

// ---- the table ----

}  // namespace

Build apply(Op op) {
  return [op](GraphBuilder& b, const Values& x) { return b.add(op, x); };
}

Build reduce(Op op, Ints axes) {
  return [=](GraphBuilder& b, const Values& x) { return b.reduce(op, x[0], axes); };
}

namespace {

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

}  // namespace

Build pow_by(double exponent) {
  return [=](GraphBuilder& b, const Values& x) {
    return b.add(Op::Pow, {x[0], b.splat_like(x[0], exponent)});
  };
}

namespace {

Shape transposed(Shape shape, bool swap) {
  if (swap) std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  return shape;
}

}  // namespace

std::vector<Case> gradient_cases() {
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

  // Positions on either axis, all keys or those that come first or that a mask lets through.
  for (const int64_t axis : {1, 2}) {
    for (const int kind : {0, 1, 2}) {
      const Shape q = axis == 2 ? Shape{2, 1, 3, 2} : Shape{2, 3, 1, 2},
                  k = axis == 2 ? Shape{2, 1, 4, 2} : Shape{2, 4, 1, 2},
                  v = axis == 2 ? Shape{2, 1, 4, 3} : Shape{2, 4, 1, 3},
                  y = axis == 2 ? Shape{2, 1, 3, 3} : Shape{2, 3, 1, 3};
      const Attributes attributes{{Attr::Axis, axis}, {Attr::Causal, kind == 1}};
      const auto operands = [=](GraphBuilder& b, const Values& x) {
        Values all = x;
        if (kind == 2) {
          Literal mask = Literal::splat_int({DType::Bool, {1, 1, 3, 4}}, 1).dense();
          for (const int64_t hidden : {1, 6, 8}) mask.set_int(hidden, 0);
          all.push_back(b.constant(mask));
        }
        return all;
      };
      add(Op::Attention, {q, k, v}, {},
          [=](GraphBuilder& b, const Values& x) { return b.add(Op::Attention, operands(b, x), attributes); });
      for (const int result : {0, 1, 2})
        add(Op::AttentionGradient, {y, q, k, v}, {}, [=](GraphBuilder& b, const Values& x) {
          return Value{b.add_multi(Op::AttentionGradient, operands(b, x),
                                   {b.type(x[1]), b.type(x[2]), b.type(x[3])}, attributes),
                       result};
        });
    }
  }
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

}  // namespace nncc::test
