#include "ir/kernel_info.h"

#include <algorithm>

#include "ir/attention.h"
#include "ir/convolution.h"
#include "ir/scatter.h"
#include "ir/winograd.h"

namespace nncc {
namespace {

int64_t depth_of_product(const Graph& body, const Node& node) {
  const TensorType& a = body.type(node.operands[0]);
  return a.shape[a.rank() - (node.attributes.boolean(Attr::TransposeA) ? 2 : 1)];
}

std::string extents_text(const Shape& shape) {
  std::string text;
  for (int64_t e : shape) text += (text.empty() ? "" : "x") + std::to_string(e);
  return text.empty() ? "scalar" : text;
}

// Of the rows that a kernel adds to where they lie.
int64_t bytes_added(const Graph& body) {
  const Value rows = body[body.results[0].value.node].operands[2];
  return std::min(body.type(rows).byte_size(), body.type(body.results[0].value).byte_size());
}

}  // namespace

int64_t bytes_written(const Graph& body, size_t result) {
  return accumulated_argument(body) ? bytes_added(body) : body.type(body.results[result].value).byte_size();
}

int64_t bytes_read(const Graph& body, size_t argument) {
  const Value v = body.arguments[argument].value;
  const int64_t whole = body.type(v).byte_size();
  if (body.is_result_or_update(v)) return whole;
  if (accumulated_argument(body) == static_cast<int>(argument)) return bytes_added(body);
  int64_t parts = 0;
  for (const Use& use : body.uses(v)) {
    const Node& user = body[use.user];
    const bool is_looked_up = user.op == Op::Gather && use.operand == 0;
    if (user.op != Op::Slice && !is_looked_up) return whole;
    parts += user.types[0].byte_size();
  }
  return std::min(parts, whole);
}

KernelInfo describe_kernel(const Function& function) {
  const Graph& body = function.body;
  KernelInfo info;
  std::string anchors, others;
  int named = 0, unnamed = 0;
  std::string last;
  for (NodeId id : body.topological_order()) {
    const Node& node = body[id];
    const OpInfo& op = op_info(node.op);
    if (node.types.empty()) continue;
    const int64_t elements = node.types[0].num_elements();
    if (is_convolution(node.op)) {
      const Convolution conv = convolution(body, node);
      info.flops += static_cast<uint64_t>(2 * conv.num_products());
      anchors += (anchors.empty() ? "" : " + ") + std::string(op.name) + " " +
                 extents_text(node.types[0].shape) + " window " + extents_text(conv.window);
    } else if (is_winograd(node.op)) {
      // What the definition of the convolution takes.
      info.flops += static_cast<uint64_t>(winograd_flops(node.op, winograd_shape(body, node)));
      anchors += (anchors.empty() ? "" : " + ") + std::string(op.name) + " " +
                 extents_text(node.types[0].shape) + " of " + extents_text(body.type(node.operands[0]).shape);
    } else if (is_attention(node.op)) {
      const AttentionShape shape = attention_shape(body, node);
      info.flops += static_cast<uint64_t>(shape.flops(node.op == Op::AttentionGradient));
      anchors += (anchors.empty() ? "" : " + ") + std::string(op.name) + " " +
                 extents_text({shape.batch, shape.heads, shape.queries, shape.keys, shape.features});
    } else if (op.has(Contraction)) {
      const int64_t k = depth_of_product(body, node);
      info.flops += static_cast<uint64_t>(2 * k * elements);
      Shape extents = node.types[0].shape;
      extents.push_back(k);
      anchors += (anchors.empty() ? "" : " + ") + std::string(op.name) + " " + extents_text(extents);
    } else if (op.has(Reduction)) {
      const int64_t reduced = body.type(node.operands[0]).num_elements();
      info.flops += static_cast<uint64_t>(reduced);
      anchors += (anchors.empty() ? "" : " + ") + std::string(op.name) + " " +
                 extents_text(body.type(node.operands[0]).shape);
    } else if (op.has(Leaf) || node.op == Op::Reshape || node.op == Op::Broadcast) {
      continue;
    } else {
      if (op.has(Elementwise) && is_float(node.types[0].dtype)) info.flops += static_cast<uint64_t>(elements);
      // A long chain of ops is named by its first ones.
      if (op.name == last) continue;
      last = op.name;
      if (++named <= 4)
        others += (others.empty() ? "" : " + ") + std::string(op.name);
      else
        ++unnamed;
    }
  }
  if (unnamed > 0) others += " + " + std::to_string(unnamed) + " more";
  if (anchors.empty()) {
    const Shape shape = body.results.empty() ? Shape{} : body.type(body.results[0].value).shape;
    info.description = (others.empty() ? std::string("copy") : others) + " " + extents_text(shape);
  } else {
    info.description = anchors + (others.empty() ? "" : " + " + others);
  }
  for (size_t i = 0; i < body.arguments.size(); ++i) info.bytes += static_cast<uint64_t>(bytes_read(body, i));
  for (size_t i = 0; i < body.results.size(); ++i)
    info.bytes += static_cast<uint64_t>(bytes_written(body, i));
  return info;
}

}  // namespace nncc
