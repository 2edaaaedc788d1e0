// Attention: y_i = sum over j of p_ij v_j, where p_i is the softmax of q_i k_j over the keys j that query i
// sees. Vaswani et al. 2017, "Attention Is All You Need", section 3.2.1, with the scale left to q. Where a query
// sees none y_i is NaN; so may then be, in the gradient, what belongs to keys of its head.
#pragma once
#include "ir/eval_rules.h"

namespace nncc {

// Of an `attention` or `attention_gradient` node.
struct AttentionShape {
  int64_t batch = 1, heads = 1;
  int64_t queries = 1, keys = 1;        // t, u
  int64_t features = 1, values = 1;     // d of q and k, e of v and y
  int axis = 2;                         // of positions: 2, or 1
  bool causal = false, masked = false;  // masked: the last operand is the mask
  // The last key that query i sees, if `causal`.
  int64_t last_key(int64_t i) const { return i + keys - queries; }
  // Pairs of a query and a key that it sees, of all heads; a mask hides none of them here.
  int64_t pairs() const;
  // Multiply-adds are 2, an exponential is 1.
  double flops(bool gradient) const;
  // What a kernel keeps of one head on its stack, at most: the keys, and for the gradient the values, with
  // the scores of a few queries; for the gradient two matrices of the scores of all queries besides.
  int64_t stack_bytes(bool gradient, DType dtype) const;
};
// More than that is neither computed in one kernel, nor made so by fuse-attention.
inline constexpr int64_t kMostAttentionStack = 400 << 10;

// The operands of the types that attention_types() accepts.
AttentionShape attention_shape(Op op, std::span<const TensorType> operands, const Attributes& attributes);
AttentionShape attention_shape(const Graph& graph, const Node& node);
inline bool is_attention(Op op) { return op == Op::Attention || op == Op::AttentionGradient; }

// As infer_types(); the attributes' kinds have been checked.
std::vector<TensorType> attention_types(Op op, std::span<const TensorType> operands,
                                        const Attributes& attributes, std::string& error);

std::vector<Literal> evaluate_attention(const EvalQuery& q);
std::vector<Literal> evaluate_attention_gradient(const EvalQuery& q);

}  // namespace nncc
