// The gradient of attention is one node; that of the gradient is written out in matrices [b, h, t, u].
#include "ir/attention.h"
#include "passes/gradient_rules.h"

namespace nncc {
namespace {

// In the notation of ir/attention.h, with S = q k', P = softmax(S), A = dy v', D = the row sums of P * A:
//   dq = (P * (A - D)) k,  dk = (P * (A - D))' q,  dv = P' dy.
class WrittenOut {
 public:
  explicit WrittenOut(GradientStep& s)
      : s_(s), b_(s.b), shape_(attention_shape(s.b.graph(), s.node)), dy_(heads_first(s.x(0))) {
    q_ = heads_first(s.x(1));
    k_ = heads_first(s.x(2));
    v_ = heads_first(s.x(3));
  }

  // a, b and c are the gradients with respect to dq, dk and dv; where there is none it is 0.
  void run() {
    const Value p = probabilities();
    const Value a = product(dy_, false, v_, true);
    const Value d = sub_rows(a, row_sums(b_.mul(p, a)));
    const Value ds = b_.mul(p, d);
    Value to_dy, to_q, to_k, to_v, to_p, x;
    if (s_.dys[0]) {
      const Value given = heads_first(s_.dys[0]);
      add(x, product(given, false, k_, true));
      add(to_k, product(ds, true, given, false));
    }
    if (s_.dys[1]) {
      const Value given = heads_first(s_.dys[1]);
      add(x, product(q_, false, given, true));
      add(to_q, product(ds, false, given, false));
    }
    if (s_.dys[2]) {
      const Value given = heads_first(s_.dys[2]);
      add(to_p, product(dy_, false, given, true));
      add(to_dy, product(p, false, given, false));
    }
    if (x) {  // with respect to P * (A - D)
      const Value mean = row_sums(b_.mul(x, p));
      const Value to_a = b_.mul(p, sub_rows(x, mean));
      add(to_p, b_.sub(b_.mul(x, d), b_.mul(repeat(mean), a)));
      add(to_dy, product(to_a, false, v_, false));
      add(to_v, product(to_a, true, dy_, false));
    }
    const Value to_s = b_.mul(p, sub_rows(to_p, row_sums(b_.mul(p, to_p))));
    add(to_q, product(to_s, false, k_, false));
    add(to_k, product(to_s, true, q_, false));
    const Value all[] = {to_dy, to_q, to_k, to_v};
    for (int i = 0; i < 4; ++i)
      if (all[i]) s_.give(i, heads_first(all[i]));
  }

 private:
  // Between [b, h, t, d] and the layout of the node: the same both ways.
  Value heads_first(Value v) { return shape_.axis == 2 ? v : b_.transpose(v, {0, 2, 1, 3}); }
  Value product(Value x, bool tx, Value y, bool ty) {
    return b_.add(Op::MatMul, {x, y}, {{Attr::TransposeA, tx}, {Attr::TransposeB, ty}});
  }
  void add(Value& sum, Value part) { sum = sum ? b_.add(sum, part) : part; }
  Value row_sums(Value m) { return b_.reduce(Op::ReduceSum, m, {3}); }
  Value repeat(Value rows) { return b_.broadcast(rows, full(), {0, 1, 2}); }
  Value sub_rows(Value m, Value rows) { return b_.sub(m, repeat(rows)); }
  Shape full() const { return {shape_.batch, shape_.heads, shape_.queries, shape_.keys}; }

  Value probabilities() {
    Value scores = product(q_, false, k_, true);
    const auto hide = [&](Value seen) {
      scores = b_.select(seen, scores, b_.splat_like(scores, -std::numeric_limits<double>::infinity()));
    };
    if (shape_.causal) {
      const TensorType index{DType::I32, {shape_.queries, shape_.keys}};
      const Value last = b_.add(b_.iota(index, 0), static_cast<double>(shape_.keys - shape_.queries));
      hide(b_.broadcast(b_.add(Op::Ge, {last, b_.iota(index, 1)}), full(), {2, 3}));
    }
    if (shape_.masked) hide(b_.broadcast(s_.x(4), full(), {0, 1, 2, 3}));
    const Value largest = b_.add(Op::StopGradient, {b_.reduce(Op::ReduceMax, scores, {3})});
    const Value e = b_.add(Op::Exp, {sub_rows(scores, largest)});
    return b_.div(e, repeat(row_sums(e)));
  }

  GradientStep& s_;
  GraphBuilder& b_;
  const AttentionShape shape_;
  Value dy_, q_, k_, v_;
};

}  // namespace

void attention_gradient(GradientStep& s) {
  std::vector<Value> operands = {s.dy};
  operands.insert(operands.end(), s.node.operands.begin(), s.node.operands.end());
  const NodeId gradient =
      s.b.add_multi(Op::AttentionGradient, operands, {s.type(0), s.type(1), s.type(2)}, s.node.attributes);
  for (int i = 0; i < 3; ++i) s.give(i, {gradient, i});
}

void attention_gradient_gradient(GradientStep& s) { WrittenOut(s).run(); }

}  // namespace nncc
