#include "ir/attention.h"

#include <cmath>
#include <limits>

#include "ir/index_space.h"
#include "ir/memory.h"

namespace nncc {
namespace {

using Matrix = std::vector<std::vector<double>>;

// Operands before q.
size_t num_before(Op op) { return op == Op::AttentionGradient ? 1 : 0; }

// What one head reads, as matrices.
class Head {
 public:
  Head(const AttentionShape& shape, int64_t b, int64_t h) : s_(shape), b_(b), h_(h) {}

  Matrix read(const Literal& x, int64_t rows, int64_t columns) const {
    Matrix m(rows, std::vector<double>(columns));
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t c = 0; c < columns; ++c) m[i][c] = x.real(offset_of(index(i, c), x.type().shape));
    return m;
  }
  void write(Literal& x, const Matrix& m) const {
    for (size_t i = 0; i < m.size(); ++i)
      for (size_t c = 0; c < m[i].size(); ++c)
        x.set(offset_of(index(static_cast<int64_t>(i), static_cast<int64_t>(c)), x.type().shape), m[i][c]);
  }

  // p_ij; 0 for keys that a query does not see.
  Matrix probabilities(const Matrix& q, const Matrix& k, const Literal* mask) const {
    Matrix p(q.size(), std::vector<double>(k.size(), 0));
    for (int64_t i = 0; i < s_.queries; ++i) {
      const int64_t end = s_.causal ? s_.last_key(i) + 1 : s_.keys;
      double largest = -std::numeric_limits<double>::infinity(), total = 0;
      for (int64_t j = 0; j < end; ++j) {
        double score = 0;
        for (int64_t c = 0; c < s_.features; ++c) score += q[i][c] * k[j][c];
        if (mask && !sees(*mask, i, j)) score = -std::numeric_limits<double>::infinity();
        p[i][j] = score;
        largest = std::isnan(score) ? score : std::fmax(largest, score);
      }
      for (int64_t j = 0; j < end; ++j) total += p[i][j] = std::exp(p[i][j] - largest);
      for (int64_t j = 0; j < end; ++j) p[i][j] /= total;
    }
    return p;
  }

 private:
  Coordinates index(int64_t position, int64_t column) const {
    return s_.axis == 2 ? Coordinates{b_, h_, position, column} : Coordinates{b_, position, h_, column};
  }
  bool sees(const Literal& mask, int64_t i, int64_t j) const {
    Coordinates at{b_, h_, i, j};
    for (size_t axis = 0; axis < at.size(); ++axis)
      if (mask.type().shape[axis] == 1) at[axis] = 0;
    return mask.integer(offset_of(at, mask.type().shape)) != 0;
  }
  const AttentionShape& s_;
  const int64_t b_, h_;
};

// a t(b), and a b.
Matrix times_transposed(const Matrix& a, const Matrix& b) {
  Matrix m(a.size(), std::vector<double>(b.size(), 0));
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t j = 0; j < b.size(); ++j)
      for (size_t c = 0; c < a[i].size(); ++c) m[i][j] += a[i][c] * b[j][c];
  return m;
}
Matrix times(const Matrix& a, const Matrix& b) {
  Matrix m(a.size(), std::vector<double>(b[0].size(), 0));
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t j = 0; j < b.size(); ++j)
      for (size_t c = 0; c < b[j].size(); ++c) m[i][c] += a[i][j] * b[j][c];
  return m;
}
Matrix transposed(const Matrix& a) {
  Matrix m(a[0].size(), std::vector<double>(a.size()));
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t j = 0; j < a[i].size(); ++j) m[j][i] = a[i][j];
  return m;
}

AttentionShape shape_of(Op op, const EvalQuery& q) {
  std::vector<TensorType> types;
  for (const Literal& operand : q.operands) types.push_back(operand.type());
  return attention_shape(op, types, q.attributes);
}

}  // namespace

int64_t AttentionShape::pairs() const {
  const int64_t rectangle = queries * keys, unseen = causal ? queries * (queries - 1) / 2 : 0;
  return batch * heads * (rectangle - unseen);
}

double AttentionShape::flops(bool gradient) const {
  const int64_t products = gradient ? 3 * features + 2 * values : features + values;
  return static_cast<double>(pairs()) * (2 * static_cast<double>(products) + 1);
}

int64_t AttentionShape::stack_bytes(bool gradient, DType dtype) const {
  const int64_t rows = 8, padded_queries = align_up(queries, rows), padded_keys = align_up(keys, 32);
  const int64_t columns = gradient ? features + values + 2 * padded_queries + 3 * rows : features + 2 * rows;
  return padded_keys * columns * dtype_size(dtype);
}

AttentionShape attention_shape(Op op, std::span<const TensorType> operands, const Attributes& attributes) {
  const size_t first = num_before(op);
  const Shape &q = operands[first].shape, &k = operands[first + 1].shape, &v = operands[first + 2].shape;
  AttentionShape s;
  s.axis = static_cast<int>(attributes.integer(Attr::Axis));
  s.batch = q[0];
  s.heads = q[s.axis == 2 ? 1 : 2];
  s.queries = q[s.axis];
  s.keys = k[s.axis];
  s.features = q[3];
  s.values = v[3];
  s.causal = attributes.boolean(Attr::Causal);
  s.masked = operands.size() == first + 4;
  return s;
}

AttentionShape attention_shape(const Graph& graph, const Node& node) {
  std::vector<TensorType> types;
  for (const Value operand : node.operands) types.push_back(graph.type(operand));
  return attention_shape(node.op, types, node.attributes);
}

std::vector<TensorType> attention_types(Op op, std::span<const TensorType> operands,
                                        const Attributes& attributes, std::string& error) {
  const auto fail = [&](std::string message) {
    error = std::move(message);
    return std::vector<TensorType>{};
  };
  const size_t first = num_before(op), tensors = first + 3;
  if (operands.size() != tensors && operands.size() != tensors + 1)
    return fail(std::to_string(operands.size()) + " operands, expected " + std::to_string(tensors) + " or " +
                std::to_string(tensors + 1));
  const int64_t axis = attributes.integer(Attr::Axis);
  if (axis != 1 && axis != 2) return fail("`axis` is neither 1 nor 2");
  for (size_t i = 0; i < tensors; ++i)
    if (!is_float(operands[i].dtype) || operands[i].rank() != 4 || operands[i].dtype != operands[0].dtype)
      return fail("operand " + std::to_string(i) + " is " + operands[i].str() +
                  ", expected floats of rank 4, all of one type");
  const AttentionShape s = attention_shape(op, operands, attributes);
  const auto expected = [&](int64_t positions, int64_t columns) {
    TensorType type{operands[0].dtype, {s.batch, s.heads, positions, columns}};
    if (axis == 1) std::swap(type.shape[1], type.shape[2]);
    return type;
  };
  const TensorType q = expected(s.queries, s.features), k = expected(s.keys, s.features),
                   v = expected(s.keys, s.values), y = expected(s.queries, s.values);
  std::vector<TensorType> all = {q, k, v};
  if (first == 1) all.insert(all.begin(), y);
  for (size_t i = 0; i < tensors; ++i)
    if (operands[i] != all[i])
      return fail("operand " + std::to_string(i) + " is " + operands[i].str() + ", expected " + all[i].str());
  if (s.causal && s.queries > s.keys)
    return fail(std::to_string(s.queries) + " queries and only " + std::to_string(s.keys) +
                " keys: some would see none");
  if (s.masked) {
    const TensorType& mask = operands[tensors];
    const Shape full{s.batch, s.heads, s.queries, s.keys};
    bool fits = mask.dtype == DType::Bool && mask.rank() == 4;
    for (size_t i = 0; i < 4 && fits; ++i) fits = mask.shape[i] == 1 || mask.shape[i] == full[i];
    if (!fits)
      return fail("the mask is " + mask.str() + ", which does not broadcast to " +
                  TensorType{DType::Bool, full}.str());
  }
  if (op == Op::Attention) return {y};
  return {q, k, v};
}

std::vector<Literal> evaluate_attention(const EvalQuery& query) {
  const AttentionShape s = shape_of(Op::Attention, query);
  const Literal* mask = s.masked ? &query.operands[3] : nullptr;
  Literal y(query.types[0]);
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const Head head(s, b, h);
      const Matrix q = head.read(query.operands[0], s.queries, s.features),
                   k = head.read(query.operands[1], s.keys, s.features),
                   v = head.read(query.operands[2], s.keys, s.values);
      head.write(y, times(head.probabilities(q, k, mask), v));
    }
  }
  return {y};
}

std::vector<Literal> evaluate_attention_gradient(const EvalQuery& query) {
  const AttentionShape s = shape_of(Op::AttentionGradient, query);
  const Literal* mask = s.masked ? &query.operands[4] : nullptr;
  std::vector<Literal> results;
  for (const TensorType& type : query.types) results.emplace_back(type);
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const Head head(s, b, h);
      const Matrix dy = head.read(query.operands[0], s.queries, s.values),
                   q = head.read(query.operands[1], s.queries, s.features),
                   k = head.read(query.operands[2], s.keys, s.features),
                   v = head.read(query.operands[3], s.keys, s.values);
      const Matrix p = head.probabilities(q, k, mask), dp = times_transposed(dy, v);
      Matrix ds = p;
      for (int64_t i = 0; i < s.queries; ++i) {
        double mean = 0;
        for (int64_t j = 0; j < s.keys; ++j) mean += p[i][j] * dp[i][j];
        for (int64_t j = 0; j < s.keys; ++j) ds[i][j] = p[i][j] * (dp[i][j] - mean);
      }
      head.write(results[0], times(ds, k));
      head.write(results[1], times(transposed(ds), q));
      head.write(results[2], times(transposed(p), dy));
    }
  }
  return results;
}

}  // namespace nncc
