// Products: transposes become flags, and a matrix repeated over a batch becomes one product.
#include <algorithm>
#include <utility>

#include "passes/rules/rules.h"

namespace nncc {
namespace {

using R = Rewrite;

// Swaps the last two axes and leaves the others.
bool swaps_last_two(const Node& transpose) {
  const auto& perm = transpose.attributes.integers(Attr::Perm);
  const auto rank = static_cast<int64_t>(perm.size());
  if (rank < 2 || perm[rank - 1] != rank - 2 || perm[rank - 2] != rank - 1) return false;
  return std::is_sorted(perm.begin(), perm.end() - 2);
}

Value matmul(const R& r, Value a, bool ta, Value b, bool tb) {
  return r.b.add(Op::MatMul, {a, b}, {{Attr::TransposeA, ta}, {Attr::TransposeB, tb}});
}

Value matmul_of_transpose(const R& r) {
  bool flags[] = {r.node().attributes.boolean(Attr::TransposeA),
                  r.node().attributes.boolean(Attr::TransposeB)};
  Value operands[] = {r.x(0), r.x(1)};
  bool found = false;
  for (const int i : {0, 1}) {
    const Node* transpose = r.made_by(operands[i], Op::Transpose);
    if (!transpose || !swaps_last_two(*transpose)) continue;
    operands[i] = transpose->operands[0];
    flags[i] = !flags[i];
    found = true;
  }
  return found ? matmul(r, operands[0], flags[0], operands[1], flags[1]) : Value{};
}

// (A B)^T = B^T A^T
Value transpose_of_matmul(const R& r) {
  const Node* product = r.made_by(r.x(), Op::MatMul);
  if (!product || !swaps_last_two(r.node()) || !r.only_use(r.x())) return {};
  return matmul(r, product->operands[1], !product->attributes.boolean(Attr::TransposeB), product->operands[0],
                !product->attributes.boolean(Attr::TransposeA));
}

// [..b, m, k] times one [k, n] for all of b is [b * m, k] times [k, n].
Value matmul_of_broadcast(const R& r) {
  const Node* broadcast = r.made_by(r.x(1), Op::Broadcast);
  const int rank = r.type().rank();
  if (!broadcast || rank < 3 || r.node().attributes.boolean(Attr::TransposeA)) return {};
  const Shape from = r.type(broadcast->operands[0]).shape, to = r.type(r.x(1)).shape;
  const auto& dims = broadcast->attributes.integers(Attr::Dims);
  // The operand's last two axes are the matrix; any before them have extent 1.
  const size_t n = from.size();
  if (n < 2 || dims[n - 2] != rank - 2 || from[n - 2] != to[rank - 2] || from[n - 1] != to[rank - 1])
    return {};
  if (!std::all_of(from.begin(), from.end() - 2, [](int64_t extent) { return extent == 1; })) return {};
  const bool tb = r.node().attributes.boolean(Attr::TransposeB);
  const int64_t k = r.type(r.x(0)).shape.back(), rows = r.type(r.x(0)).num_elements() / k;
  const Value a = r.b.reshape(r.x(0), {rows, k});
  const Value b = r.b.reshape(broadcast->operands[0], {from[n - 2], from[n - 1]});
  return r.b.reshape(matmul(r, a, false, b, tb), r.type().shape);
}

}  // namespace

std::span<const RewriteRule> matmul_rules() {
  static const RewriteRule kRules[] = {
      {"matmul-of-transpose", {Op::MatMul}, matmul_of_transpose},
      {"transpose-of-matmul", {Op::Transpose}, transpose_of_matmul},
      {"matmul-of-broadcast", {Op::MatMul}, matmul_of_broadcast},
  };
  return kRules;
}

}  // namespace nncc
