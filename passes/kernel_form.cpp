#include "passes/kernel_form.h"

#include <algorithm>
#include <map>
#include <set>

#include "ir/pooling.h"
#include "ir/reduction_shape.h"
#include "ir/statistics.h"
#include "ir/window.h"
#include "passes/fusion_rules.h"

namespace nncc {

namespace {

constexpr int64_t kLongestRow = 16384;

int64_t product(std::span<const int64_t> extents) {
  int64_t n = 1;
  for (int64_t extent : extents) n *= extent;
  return n;
}

// The parts a value can play.
enum class Part : uint8_t {
  Outside,  // from memory, or made from nothing
  Whole,    // element of the iteration space
  Reduced,  // by the kernel's reductions: [rows], [cols] or a scalar
  Small,    // anything less, cheap enough to make again
};

class Classifier {
 public:
  Classifier(const Graph& graph, std::span<const NodeId> nodes, const std::function<bool(NodeId)>& is_result)
      : graph_(graph), nodes_(nodes), is_result_(is_result) {}

  std::optional<KernelForm> classify() {
    NodeId contraction;
    std::vector<NodeId> windows;
    bool rearranges = false;
    std::optional<ReductionShape> reduce;
    for (NodeId id : nodes_) {
      const FusionRole role = fusion_role(graph_[id].op);
      if (role == FusionRole::Unsupported) return std::nullopt;
      if (is_alone(id) && nodes_.size() > 1) return std::nullopt;
      if (role == FusionRole::Contract) {
        if (contraction) return std::nullopt;
        contraction = id;
      }
      rearranges = rearranges || role == FusionRole::Rearrange;
      if (role == FusionRole::Windowed) windows.push_back(id);
      if (role == FusionRole::Reduce) {
        const ReductionShape shape = reduction_shape(graph_, id);
        if (reduce && *reduce != shape) return std::nullopt;
        reduce = shape;
      }
      inside_[id] = Part::Outside;
    }
    if (contraction && (reduce || rearranges))
      return has_statistics(contraction) ? std::optional(KernelForm::Statistics) : std::nullopt;
    if (contraction && !windows.empty())
      return is_pooled(contraction, windows) ? std::optional(KernelForm::Pooled) : std::nullopt;
    if (contraction) return is_matmul(contraction) ? std::optional(KernelForm::MatMul) : std::nullopt;
    if (!reduce) {
      if (nodes_.size() == 1 && is_alone(nodes_[0])) return KernelForm::Single;
      return is_elementwise() ? std::optional(KernelForm::Elementwise) : std::nullopt;
    }
    extents_ = *reduce;
    switch (reduce->kind) {
      case ReductionShape::Full:
        if (is_reduction(KernelForm::FullReduce)) return KernelForm::FullReduce;
        if (is_single_row() && is_reduction(KernelForm::RowReduce)) return KernelForm::RowReduce;
        break;
      case ReductionShape::Inner:
        if (is_reduction(KernelForm::RowReduce)) return KernelForm::RowReduce;
        break;
      case ReductionShape::Outer:
        if (is_reduction(KernelForm::ColumnReduce)) return KernelForm::ColumnReduce;
        break;
      case ReductionShape::Ends:
        if (is_reduction(KernelForm::PlaneReduce)) return KernelForm::PlaneReduce;
        break;
      case ReductionShape::Other:
        if (nodes_.size() == 1) return KernelForm::Single;
        break;
    }
    return std::nullopt;
  }

 private:
  int64_t count(NodeId id) const { return graph_[id].types[0].num_elements(); }
  bool is_alone(NodeId id) const {
    const FusionRole role = fusion_role(graph_[id].op);
    return role == FusionRole::Alone || role == FusionRole::Outside ||
           (role == FusionRole::Windowed && !is_small_window(graph_, id));
  }
  bool is_cheap(NodeId id) const { return op_info(graph_[id].op).has(Cheap); }
  // The node behind reshapes and broadcasts.
  NodeId behind(Value v) const {
    while (!inside_.contains(v.node)) {
      const FusionRole role = fusion_role(graph_[v.node].op);
      if (role != FusionRole::View && role != FusionRole::Repeat) break;
      v = graph_[v.node].operands[0];
    }
    return v.node;
  }

  bool is_matmul(NodeId contraction) {
    const int64_t n = count(contraction);
    for (NodeId id : nodes_) {
      if (is_result_(id) && count(id) != n) return false;
      if (id == contraction) continue;
      const FusionRole role = fusion_role(graph_[id].op);
      if (role != FusionRole::Pointwise && role != FusionRole::Draw) return false;
      if (count(id) != n && !is_cheap(id)) return false;
    }
    return true;
  }

  bool is_pooled(NodeId convolution, const std::vector<NodeId>& windows) const {
    const Node& first = graph_[windows[0]];
    const auto pooling = pooling_after(graph_, convolution, windows[0]);
    for (NodeId id : windows)
      if (!pooling || graph_[id].operands != first.operands ||
          pooling_after(graph_, convolution, id) != pooling)
        return false;
    const int64_t elements = count(convolution), pools = count(windows[0]);
    // What is made of the convolution's elements, and of windows; all else is apart.
    enum Stage { Apart, Element, Window };
    std::map<NodeId, Stage> stages;
    for (NodeId id : nodes_) {
      const FusionRole role = fusion_role(graph_[id].op);
      if (is_result_(id) && count(id) != pools) return false;
      Stage stage = id == convolution ? Element : Apart;
      if (id != convolution) {
        for (Value operand : graph_[id].operands) {
          const auto it = stages.find(behind(operand));
          if (it == stages.end() || it->second == Apart) continue;
          if (stage != Apart && stage != it->second) return false;
          if (graph_.type(operand).num_elements() != count(it->first)) return false;
          stage = it->second;
        }
        if (role == FusionRole::Windowed) {
          if (stage != Element) return false;
          stage = Window;
        } else if (role != FusionRole::Pointwise && role != FusionRole::Draw) {
          return false;
        }
      }
      if (stage == Element && count(id) != elements) return false;
      if (stage == Window && count(id) != pools) return false;
      if (stage == Apart && count(id) != elements && count(id) != pools && !is_cheap(id)) return false;
      stages[id] = stage;
    }
    return true;
  }

  bool has_statistics(NodeId convolution) const {
    const auto blocks = statistics_blocks(graph_, convolution);
    if (!blocks) return false;
    const int64_t elements = count(convolution);
    const Shape whole{blocks->count, blocks->pixels, graph_[convolution].types[0].shape[3]};
    // What is made of the convolution's elements, of blocks, and all else.
    enum Stage { Apart, Element, First, Sum };
    std::map<NodeId, Stage> stages;
    for (NodeId id : nodes_) {
      const Node& node = graph_[id];
      const FusionRole role = fusion_role(node.op);
      Stage read = Apart;
      if (id != convolution) {
        for (Value operand : node.operands) {
          const auto it = stages.find(behind(operand));
          if (it == stages.end() || it->second == Apart) continue;
          if (it->second == Sum) return false;
          // The first pixels go to all of their blocks, and nothing else is repeated.
          const bool repeats = graph_.type(operand).num_elements() != count(it->first);
          if (repeats != (it->second == First)) return false;
          if (repeats && (graph_[operand.node].op != Op::Broadcast || graph_.type(operand).shape != whole ||
                          graph_[operand.node].operands[0].node != it->first))
            return false;
          read = Element;
        }
      }
      Stage stage = id == convolution ? Element : read;
      if (role == FusionRole::Reduce) {
        if (node.op != Op::ReduceSum || read != Element || graph_.type(node.operands[0]).shape != whole ||
            node.attributes.integers(Attr::Axes) != std::vector<int64_t>{1})
          return false;
        stage = Sum;
      } else if (role == FusionRole::Rearrange) {
        if (read != Element || !is_first_of_blocks(graph_, id, *blocks)) return false;
        stage = First;
      } else if (id != convolution && role != FusionRole::Pointwise && role != FusionRole::Draw) {
        return false;
      }
      if (stage == Element && count(id) != elements) return false;
      if (stage == Apart && count(id) != elements && (!is_cheap(id) || is_result_(id))) return false;
      stages[id] = stage;
    }
    return true;
  }

  bool is_elementwise() {
    int64_t n = 0;
    for (NodeId id : nodes_)
      if (is_result_(id)) {
        if (n != 0 && count(id) != n) return false;
        n = count(id);
      }
    std::map<NodeId, bool> dear;  // it, or something that leads to it
    std::set<NodeId> rearranged;  // likewise
    for (NodeId id : nodes_) {
      const FusionRole role = fusion_role(graph_[id].op);
      const bool is_windowed = role == FusionRole::Windowed;
      const bool rearranges = role == FusionRole::Rearrange || is_windowed;
      // A broadcast that was put among the nodes has to lie in memory itself.
      bool is_dear = !is_cheap(id) && !rearranges && role != FusionRole::Repeat &&
                     role != FusionRole::Generated && role != FusionRole::Data;
      is_dear = is_dear || is_windowed;
      if (is_dear && count(id) != n) return false;
      for (Value operand : graph_[id].operands) {
        const auto it = dear.find(behind(operand));
        if (it == dear.end()) continue;
        if (rearranged.contains(it->first)) {
          if (is_windowed) return false;
          rearranged.insert(id);
        }
        if (is_windowed && window_shape(graph_, id).overlaps()) return false;
        if (!it->second) continue;
        // What is read at other indices may be made more than once.
        if (rearranges) return false;
        is_dear = true;
      }
      dear[id] = is_dear;
      if (rearranges) rearranged.insert(id);
    }
    return true;
  }

  // The part that an operand plays; nothing if it is read in a way no form has.
  std::optional<Part> operand_part(Value v, KernelForm form) const {
    if (auto it = inside_.find(v.node); it != inside_.end()) return it->second;
    const FusionRole role = fusion_role(graph_[v.node].op);
    if (role == FusionRole::View) return operand_part(graph_[v.node].operands[0], form);
    if (role != FusionRole::Repeat) return Part::Outside;
    const auto from = operand_part(graph_[v.node].operands[0], form);
    if (!from || *from == Part::Outside || *from == Part::Small) return from;
    if (graph_.type(v).num_elements() == graph_.type(graph_[v.node].operands[0]).num_elements()) return from;
    if (*from == Part::Reduced && form == KernelForm::RowReduce && repeats_rows(v.node)) return Part::Whole;
    return std::nullopt;
  }

  // A broadcast of [rows] along the columns.
  bool repeats_rows(NodeId id) const {
    const Shape& shape = graph_[id].types[0].shape;
    const Shape& from = graph_.type(graph_[id].operands[0]).shape;
    const auto& dims = graph_[id].attributes.integers(Attr::Dims);
    size_t inner = 0;
    int64_t outer_count = 1;
    while (inner < shape.size() && outer_count < extents_.rows) outer_count *= shape[inner++];
    if (outer_count != extents_.rows || product(std::span(shape).subspan(inner)) != extents_.cols)
      return false;
    int64_t covered = 1;
    for (size_t axis = 0; axis < from.size(); ++axis) {
      if (from[axis] == 1) continue;
      if (dims[axis] >= static_cast<int64_t>(inner)) return false;
      covered *= from[axis];
    }
    return covered == extents_.rows;
  }

  // All that is reduced lies along the last axis, and stays in cache between reductions.
  bool is_single_row() const {
    if (extents_.cols > kLongestRow) return false;
    return std::all_of(nodes_.begin(), nodes_.end(), [&](NodeId id) {
      return fusion_role(graph_[id].op) != FusionRole::Reduce ||
             graph_.type(graph_[id].operands[0]).shape.back() == extents_.cols;
    });
  }

  bool is_reduction(KernelForm form) {
    const int64_t whole = extents_.whole(), rows = extents_.rows;
    const int64_t reduced = form == KernelForm::RowReduce ? rows : extents_.results();
    for (NodeId id : nodes_) {
      const FusionRole role = fusion_role(graph_[id].op);
      bool uses_whole = false, uses_reduced = false;
      for (Value operand : graph_[id].operands) {
        const auto part = operand_part(operand, form);
        if (!part) return false;
        uses_whole = uses_whole || *part == Part::Whole;
        uses_reduced = uses_reduced || *part == Part::Reduced;
      }
      Part part = Part::Small;
      if (role == FusionRole::Reduce) {
        if (uses_reduced) return false;
        part = Part::Reduced;
      } else if (role == FusionRole::Pointwise || role == FusionRole::Draw) {
        if (uses_whole && uses_reduced) return false;
        if (uses_reduced)
          part = Part::Reduced;
        else if (uses_whole || count(id) == whole)
          part = Part::Whole;
        else if (form == KernelForm::RowReduce && count(id) == rows && rows > 1)
          part = Part::Reduced;  // made once for each row
        else if (!is_cheap(id))
          return false;
        if (part == Part::Whole && count(id) != whole) return false;
        if (part == Part::Reduced && count(id) != reduced) return false;
      } else {
        return false;
      }
      inside_[id] = part;
      if (!is_result_(id) || part == Part::Reduced) continue;
      if (part != Part::Whole || form != KernelForm::RowReduce) return false;
    }
    return true;
  }

  const Graph& graph_;
  std::span<const NodeId> nodes_;
  const std::function<bool(NodeId)>& is_result_;
  std::map<NodeId, Part> inside_;
  ReductionShape extents_;
};

}  // namespace

std::string_view kernel_form_name(KernelForm form) {
  switch (form) {
    case KernelForm::Elementwise:
      return "elementwise";
    case KernelForm::MatMul:
      return "matmul";
    case KernelForm::Pooled:
      return "pooled convolution";
    case KernelForm::Statistics:
      return "convolution with statistics";
    case KernelForm::RowReduce:
      return "row reduction";
    case KernelForm::ColumnReduce:
      return "column reduction";
    case KernelForm::PlaneReduce:
      return "plane reduction";
    case KernelForm::FullReduce:
      return "full reduction";
    case KernelForm::Single:
      return "single";
  }
  return "";
}

std::optional<KernelForm> kernel_form(const Graph& graph, std::span<const NodeId> nodes,
                                      const std::function<bool(NodeId)>& is_result) {
  return Classifier(graph, nodes, is_result).classify();
}

}  // namespace nncc
