// Movement that needs no copy: what it makes lies in what it is made from, or the other way round.
#include "ir/diagnostic.h"
#include "ir/row_layout.h"
#include "passes/fusion_rules.h"
#include "passes/graph_planner.h"
#include "passes/graph_util.h"
#include "passes/kernel_aliasing.h"

namespace nncc {

// Of the source: a kernel of it makes the value, and nothing else needs what lies there.
bool GraphPlanner::is_last_use(Value source) const {
  if (!has_single_use(source_, source)) return false;
  const Node& node = source_[source.node];
  if (fusion_role(node.op) == FusionRole::View) return is_last_use(node.operands[0]);
  return node.op == Op::Kernel && is_whole_fresh(regions_.at(mapped(source)));
}

void GraphPlanner::place_view(NodeId source, NodeId copy) {
  const Region& from = regions_.at(graph_[copy].operands[0]);
  regions_[{copy, 0}] = {from.storage, from.offset + *view_offset(source_, source),
                         graph_[copy].types[0].byte_size()};
}

void GraphPlanner::place_concat(NodeId source) {
  Node node = source_[source];
  for (Value& operand : node.operands) operand = mapped(operand);
  const int64_t bytes = node.types[0].byte_size();
  // The pieces may lie side by side already, as the parameters of a slab do.
  Region whole = root_region(node.operands[0]);
  bool adjacent = true;
  for (size_t i = 1; i < node.operands.size() && adjacent; ++i) {
    const Region piece = root_region(node.operands[i]);
    adjacent = piece.storage == whole.storage && piece.offset == whole.end();
    whole.bytes += piece.bytes;
  }
  if (!adjacent) {
    // Else whoever makes a piece writes it where it belongs; what cannot move is copied there.
    whole = {add_fresh(bytes), 0, bytes};
    int64_t offset = 0;
    for (Value& operand : node.operands) {
      if (!is_whole_fresh(regions_.at(operand))) operand = add_copy(operand);
      Storage& piece = storages_[regions_.at(operand).storage];
      piece.parent = whole.storage;
      piece.offset = offset;
      offset += piece.bytes;
    }
  }
  const NodeId copy = add_to_copy(std::move(node));
  regions_[{copy, 0}] = whole;
  node_map_[source] = copy;
}

// The concat that is all a kernel does, if its pieces can be written where they belong though they do not lie
// one after the other.
const Node* GraphPlanner::row_concat(NodeId source) const {
  const Node& call = source_[source];
  if (call.op != Op::Kernel || call.types.size() != 1) return nullptr;
  const Graph& body = module_.find_function(call.attributes.string(Attr::Symbol))->body;
  const NodeId concat = body.results[0].value.node;
  const Node& node = body[concat];
  if (node.op != Op::Concat || is_contiguous_concat(body, concat)) return nullptr;
  if (node.operands.size() != body.arguments.size()) return nullptr;
  for (size_t i = 0; i < node.operands.size(); ++i) {
    if (node.operands[i] != body.arguments[i].value) return nullptr;
    if (!may_be_row_piece(call.operands[i], layout_in_concat(body, concat, i).row)) return nullptr;
  }
  return &node;
}

// A kernel's result that nobody else reads, and that its kernel can write with gaps.
bool GraphPlanner::may_be_row_piece(Value piece, int64_t row) const {
  if (!is_last_use(piece)) return false;
  while (source_[piece.node].op == Op::Reshape) piece = source_[piece.node].operands[0];
  const Node& producer = source_[piece.node];
  if (producer.op != Op::Kernel) return false;
  return may_lie_in_rows(*module_.find_function(producer.attributes.string(Attr::Symbol)), piece.result, row);
}

// Instead of a kernel that copies. `concat`: of the kernel's body.
void GraphPlanner::place_row_concat(NodeId source, const Node& concat) {
  Node node = concat;
  node.operands = source_[source].operands;
  node.name = source_[source].name;
  node.location = source_[source].location;
  for (Value& operand : node.operands) operand = mapped(operand);
  const int64_t bytes = node.types[0].byte_size();
  const Region whole{add_fresh(bytes), 0, bytes};
  const NodeId copy = graph_.add(std::move(node));
  int64_t offset = 0;
  for (size_t i = 0; i < graph_[copy].operands.size(); ++i) {
    const Value operand = graph_[copy].operands[i];
    Storage& piece = storages_[regions_.at(operand).storage];
    piece.parent = whole.storage;
    piece.offset = offset;
    piece.in_rows = true;
    offset += layout_in_concat(graph_, copy, i).row * dtype_size(graph_.type(operand).dtype);
  }
  regions_[{copy, 0}] = whole;
  node_map_[source] = copy;
  collect_producers({copy, 0}, row_concats_[source]);
  ++result_.in_rows;
}

}  // namespace nncc
