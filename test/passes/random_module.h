// Random training entries: variables in slabs, draws, products, reductions and movement, updates of every
// kind.
#pragma once
#include <numeric>

#include "test/passes/random_movement.h"

namespace nncc::test {

class RandomModule {
 public:
  explicit RandomModule(unsigned seed) : random_(seed), b_(entry().graph) {}

  Module make(int nodes) {
    add_variables();
    for (int i = 0; i < 3; ++i)
      values_.push_back(graph().add_argument("x" + std::to_string(i), {DType::F64, some_shape()}));
    for (int i = 0; i < nodes; ++i) values_.push_back(grow());
    for (int i = 0; i < 4; ++i)
      graph().results.push_back({"r" + std::to_string(i), i < 3 ? any_late() : any()});
    for (const Variable& variable : module_.variables) {
      if (variable.kind == VariableKind::Seed || pick(5) == 0) continue;
      const Value value = pick(4) == 0 ? any_sized(variable.type) : step(variable);
      if (value) graph().updates.push_back({variable.name, value});
    }
    return std::move(module_);
  }

 private:
  Entry& entry() {
    if (module_.entries.empty()) {
      module_.entries.emplace_back().name = "fit";
      module_.entries[0].kind = EntryKind::Train;
    }
    return module_.entries[0];
  }
  Graph& graph() { return entry().graph; }
  size_t pick(size_t n) { return random_() % n; }
  Shape some_shape() {
    const std::vector<Shape> shapes = {{}, {1}, {3}, {5}, {2, 3}, {3, 5}, {5, 3}, {4, 1}, {2, 2, 3}};
    return shapes[pick(shapes.size())];
  }
  Value any() { return values_[pick(values_.size())]; }
  Value any_late() { return values_[values_.size() - 1 - pick(std::min<size_t>(values_.size(), 8))]; }

  void add_variable(const std::string& name, TensorType type, VariableKind kind, const std::string& slab) {
    Variable& variable = module_.variables.emplace_back();
    variable.name = name;
    variable.type = type;
    variable.kind = kind;
    variable.slab = slab;
    if (kind == VariableKind::Seed)
      variable.initial = Literal::splat_int(type, 7);
    else
      variable.initial = random_literal(type, random_);
  }
  void add_variables() {
    add_variable("seed", {DType::I64, {}}, VariableKind::Seed, "");
    std::vector<Shape> shapes;
    for (size_t i = 0; i < 2 + pick(3); ++i) shapes.push_back(some_shape());
    for (size_t i = 0; i < shapes.size(); ++i)
      add_variable("p" + std::to_string(i), {DType::F64, shapes[i]}, VariableKind::Parameter, "fit");
    for (size_t i = 0; i < shapes.size(); ++i)
      add_variable("m" + std::to_string(i), {DType::F64, shapes[i]}, VariableKind::OptimizerState, "fit.m");
    add_variable("s", {DType::F64, {3}}, VariableKind::State, "");
    for (const Variable& variable : module_.variables) {
      if (variable.kind == VariableKind::Seed) continue;
      const Value v = b_.variable(variable.name, variable.type);
      variables_[variable.name] = v;
      values_.push_back(v);
    }
  }

  // A step of a usual kind: from the variable, its neighbour's state and something computed.
  Value step(const Variable& variable) {
    const Value w = variables_.at(variable.name);
    Value g = any_sized(variable.type);
    if (!g) g = b_.mul(w, 0.5);
    switch (pick(3)) {
      case 0:
        return b_.sub(w, b_.mul(g, 0.1));
      case 1:
        return b_.add(b_.mul(w, 0.9), g);
      default:
        return g;
    }
  }
  // A value with as many elements, reshaped.
  Value any_sized(const TensorType& type) {
    for (int attempt = 0; attempt < 20; ++attempt) {
      const Value v = any();
      if (b_.type(v).num_elements() == type.num_elements()) return b_.reshape(v, type.shape);
    }
    return {};
  }
  Value like(Value v) {
    const TensorType type = b_.type(v);
    if (pick(5) == 0) return b_.splat(type, 0.5);
    for (int attempt = 0; attempt < 8; ++attempt) {
      const Value other = any();
      if (b_.type(other) == type) return other;
      if (broadcast_shapes(b_.type(other).shape, type.shape) == type.shape &&
          b_.type(other).rank() <= type.rank())
        return b_.broadcast_to(other, type.shape);
    }
    return v;
  }
  Value bounded(Value v) { return b_.add(Op::Tanh, {v}); }

  Value grow() {
    const Value x = pick(2) ? any_late() : any();
    const TensorType type = b_.type(x);
    switch (pick(14)) {
      case 0:
        return bounded(x);
      case 1:
        return b_.add(Op::Exp, {bounded(x)});
      case 2:
        return b_.add(Op::Abs, {x});
      case 3:
      case 4:
        return b_.add(std::vector{Op::Add, Op::Sub, Op::Max}[pick(3)], {x, like(x)});
      case 5:
        return b_.mul(bounded(x), like(x));
      case 6:
        return b_.select(b_.add(Op::Gt, {x, like(x)}), x, like(x));
      case 7: {
        if (type.rank() == 0) return bounded(x);
        std::vector<int64_t> axes(type.rank());
        std::iota(axes.begin(), axes.end(), 0);
        const size_t some = pick(4);  // all, outer, inner, any one
        if (some == 1) axes.pop_back();
        if (some == 2) axes.erase(axes.begin());
        if (some == 3) axes = {static_cast<int64_t>(pick(type.rank()))};
        if (axes.empty()) axes = {0};
        return b_.reduce(std::vector{Op::ReduceSum, Op::ReduceMax}[pick(2)], bounded(x), axes, pick(2));
      }
      case 8: {
        if (type.rank() < 2) return x;
        const Value y = bounded(x);
        const bool ta = pick(2);
        return b_.add(Op::MatMul, {bounded(x), y}, {{Attr::TransposeA, ta}, {Attr::TransposeB, !ta}});
      }
      case 9:
        return b_.reshape(x, pick(2) ? Shape{type.num_elements()} : Shape{1, type.num_elements()});
      case 10: {
        std::vector<int64_t> perm(type.rank());
        std::iota(perm.rbegin(), perm.rend(), 0);
        return b_.transpose(x, perm);
      }
      case 11:
        return move(x);
      case 12: {
        const Value seed = b_.variable("seed", {DType::I64, {}});
        const Value count = b_.constant(Literal::splat_int({DType::I64, {}}, 3));
        const Value u = b_.add_typed(Op::Random, std::vector{seed, count}, type,
                                     {{Attr::Stream, static_cast<int64_t>(stream_++)}});
        return b_.select(b_.add(Op::Ge, {u, b_.splat(type, 0.3)}), x, b_.splat(type, 0));
      }
      default: {
        // Normalized along the last axis.
        if (type.rank() == 0 || type.num_elements() == 1) return bounded(x);
        const int64_t last = type.rank() - 1;
        const Value top = b_.reduce(Op::ReduceMax, x, {last}, true);
        const Value e = b_.add(Op::Exp, {b_.sub(x, b_.broadcast_to(top, type.shape))});
        return b_.div(e, b_.broadcast_to(b_.reduce(Op::ReduceSum, e, {last}, true), type.shape));
      }
    }
  }

  Value move(Value x) {
    return random_movement(b_, random_, x, [&](int64_t axis) {
      return b_.type(x).num_elements() > 40 ? x : b_.add(Op::Concat, {x, like(x)}, {{Attr::Axis, axis}});
    });
  }

  std::mt19937 random_;
  Module module_;
  GraphBuilder b_;
  std::map<std::string, Value> variables_;
  std::vector<Value> values_;
  int stream_ = 0;
};

}  // namespace nncc::test
