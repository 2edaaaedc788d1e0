// Random networks over images, in training: with other layouts, with everything O2 does, and from memory they
// compute what they did before.
#include <numeric>

#include "test/passes/planned_session.h"
#include "test/passes/random_movement.h"

namespace nncc::test {
namespace {

using Ints = std::vector<int64_t>;

class RandomImages {
 public:
  explicit RandomImages(unsigned seed) : random_(seed), b_(make_entry()) {}

  Module make(int nodes) {
    for (int i = 0; i < 2; ++i) {
      Shape shape{pick(2) + 1, pick(3) + 1, pick(4) + 4};
      if (i == 0 || pick(3)) shape.push_back(pick(4) + 4);
      images_.push_back(graph().add_argument("x" + std::to_string(i), {DType::F64, shape}));
    }
    for (int i = 0; i < nodes; ++i) grow();
    Value loss = b_.scalar(DType::F64, 0);
    for (int i = 0; i < 3; ++i) {
      const Value v = images_[images_.size() - 1 - pick(std::min<int64_t>(4, images_.size()))];
      graph().results.push_back({"r" + std::to_string(i), v});
      Ints axes(b_.type(v).rank());
      std::iota(axes.begin(), axes.end(), 0);
      loss = b_.add(loss, b_.reduce(Op::ReduceSum, b_.mul(v, v), axes));
    }
    differentiate(loss);
    return std::move(module_);
  }

 private:
  Graph& make_entry() {
    Entry& entry = module_.entries.emplace_back();
    entry.name = "fit";
    entry.kind = EntryKind::Train;
    return entry.graph;
  }
  Graph& graph() { return module_.entries[0].graph; }
  int64_t pick(int64_t n) { return static_cast<int64_t>(random_() % n); }
  Value any() { return images_[pick(images_.size())]; }

  Value weight(const Shape& shape) {
    Variable& variable = module_.variables.emplace_back();
    variable.name = "w" + std::to_string(module_.variables.size());
    variable.type = {DType::F64, shape};
    variable.initial = random_literal(variable.type, random_, -0.5, 0.5);
    weights_.push_back(b_.variable(variable.name, variable.type));
    return weights_.back();
  }

  void differentiate(Value loss) {
    if (weights_.empty()) return;
    std::vector<Value> operands{loss};
    std::vector<TensorType> types;
    for (const Value w : weights_) {
      operands.push_back(w);
      types.push_back(b_.type(w));
    }
    const NodeId id = b_.add_multi(Op::Gradient, operands, types);
    for (size_t i = 0; i < weights_.size(); ++i) {
      const Value slope{id, static_cast<int32_t>(i)};
      const Node& variable = graph()[weights_[i].node];
      graph().updates.push_back(
          {variable.attributes.string(Attr::Symbol), b_.add(weights_[i], b_.mul(slope, -0.01))});
    }
  }

  void grow() {
    const Value x = any();
    switch (pick(10)) {
      case 0:
      case 1:
      case 2:
        return convolve(x);
      case 3:
        return pool(x);
      case 4:
        return reduce(x);
      case 5:
        images_.push_back(random_movement(b_, random_, x, [&](int64_t axis) {
          return b_.add(Op::Concat, {x, b_.neg(x)}, {{Attr::Axis, axis}});
        }));
        return;
      case 6:
        return reshape(x);
      case 7:
        return add_bias(x);
      default:
        return combine(x);
    }
  }

  void convolve(Value x) {
    const TensorType type = b_.type(x);
    if (type.rank() < 3 || type.num_elements() > 4000) return;
    const int64_t channels = type.shape[1];
    const bool depthwise = pick(3) == 0;
    const int64_t groups = depthwise ? channels : channels % 2 == 0 && pick(2) ? 2 : 1;
    const int64_t out = depthwise ? channels : groups * (1 + pick(3));
    Shape w{out, channels / groups}, y{type.shape[0], out};
    Ints strides, low, dilation;
    const bool single = pick(4) == 0;
    for (int axis = 2; axis < type.rank(); ++axis) {
      const int64_t k = single ? 1 : 1 + pick(3), pad = single ? 0 : pick(k), step = single ? 1 : 1 + pick(2),
                    apart = 1 + (pick(4) == 0);
      const int64_t room = type.shape[axis] + 2 * pad - (k - 1) * apart - 1;
      if (room < 0) return;
      w.push_back(k);
      y.push_back(room / step + 1);
      strides.push_back(step);
      low.push_back(pad);
      dilation.push_back(apart);
    }
    images_.push_back(b_.add_typed(
        Op::Conv, std::array{x, weight(w)}, {DType::F64, y},
        {{Attr::Strides, strides}, {Attr::Low, low}, {Attr::Dilation, dilation}, {Attr::Groups, groups}}));
  }

  void pool(Value x) {
    TensorType type = b_.type(x);
    const Ints ones(type.rank(), 1);
    Ints sizes = ones, strides = ones, low(type.rank(), 0);
    for (int axis = pick(6) ? 2 : 1; axis < type.rank(); ++axis) {
      sizes[axis] = 1 + pick(2);
      strides[axis] = 1 + pick(2);
      low[axis] = pick(sizes[axis]);
      type.shape[axis] = (type.shape[axis] + 2 * low[axis] - sizes[axis]) / strides[axis] + 1;
      if (type.shape[axis] < 1) return;
    }
    images_.push_back(b_.add_typed(pick(2) ? Op::WindowMax : Op::WindowSum, std::array{x}, type,
                                   {{Attr::Sizes, sizes}, {Attr::Strides, strides}, {Attr::Low, low}}));
  }

  // And back to what it was, so that more can be done with it.
  void reduce(Value x) {
    const TensorType type = b_.type(x);
    Ints axes, kept;
    for (int axis = 0; axis < type.rank(); ++axis) (pick(2) ? axes : kept).push_back(axis);
    if (axes.empty()) return;
    const Value sum = b_.reduce(pick(3) ? Op::ReduceSum : Op::ReduceMax, b_.mul(x, 0.3), axes);
    images_.push_back(b_.add(Op::Tanh, {b_.sub(x, b_.broadcast(sum, type.shape, kept))}));
  }

  void reshape(Value x) {
    const TensorType type = b_.type(x);
    if (type.rank() == 4) {
      const Shape& s = type.shape;
      images_.push_back(
          b_.reshape(x, pick(2) ? Shape{s[0], s[1], s[2] * s[3]} : Shape{s[0], 1, s[1] * s[2], s[3]}));
    } else if (type.rank() == 3) {
      images_.push_back(b_.transpose(x, {1, 0, 2}));
    }
  }

  void add_bias(Value x) {
    const Shape shape = b_.type(x).shape;
    const bool padded = pick(2);
    const Shape small = padded ? Shape{1, shape[1], 1} : Shape{shape[1]};
    const Ints dims = padded ? Ints{0, 1, 2} : Ints{1};
    images_.push_back(b_.add(x, b_.broadcast(weight(small), shape, dims)));
  }

  void combine(Value x) {
    const Value y = any();
    if (b_.type(x) != b_.type(y)) {
      const Value count = b_.iota(b_.type(x), static_cast<int>(pick(b_.type(x).rank())));
      images_.push_back(b_.add(Op::Sin, {b_.add(x, count)}));
      return;
    }
    images_.push_back(pick(2) ? b_.add(x, b_.mul(y, 0.5)) : b_.add(Op::Max, {b_.mul(x, 0.5), y}));
  }

  std::mt19937 random_;
  Module module_;
  GraphBuilder b_;
  std::vector<Value> images_, weights_;
};

class OnImages : public ::testing::TestWithParam<unsigned> {};

TEST_P(OnImages, computes_the_same_in_every_layout) {
  Module plain = RandomImages(GetParam()).make(8 + static_cast<int>(GetParam() % 12));
  Module laid_out = plain, planned = plain;
  run_passes(plain, "autodiff");
  run_passes(laid_out, "autodiff,assign-layout,canonicalize,dce");
  run_passes(planned, "O2");
  if (HasFailure()) return;
  Evaluator expected(plain), found(laid_out);
  PlannedSession session(planned);
  for (const Variable& variable : planned.variables)
    if (variable.initial) session.set(variable.name, *variable.initial);
  std::mt19937 random(2);
  for (int step = 0; step < 2; ++step) {
    const auto arguments = random_arguments(plain.entries[0].graph, random);
    const auto right = expected.run(plain.entries[0], arguments);
    const auto other = found.run(laid_out.entries[0], arguments);
    const auto bytes = session.run(planned.entries[0], arguments);
    for (size_t i = 0; i < right.size(); ++i) {
      expect_close(right[i], other[i], 1e-8, "result " + std::to_string(i) + " with layouts");
      expect_close(right[i], bytes[i], 1e-8, "result " + std::to_string(i) + " of kernels");
    }
    if (HasFailure()) break;
  }
  if (HasFailure()) ADD_FAILURE() << to_string(laid_out);
}

INSTANTIATE_TEST_SUITE_P(RandomImages, OnImages, ::testing::Range(0u, 60u));

}  // namespace
}  // namespace nncc::test
