#include "codegen/schedule.h"

#include <algorithm>
#include <limits>
#include <set>

#include "codegen/elementary.h"
#include "codegen/pooling.h"
#include "codegen/reduction.h"
#include "codegen/spatial.h"
#include "codegen/statistics.h"
#include "codegen/winograd.h"
#include "ir/attention.h"
#include "ir/convolution.h"
#include "ir/diagnostic.h"
#include "ir/window.h"

namespace nncc {
using Halide::Expr;
using Halide::Func;
using Halide::RDom;
using Halide::Tuple;
using Halide::Var;

std::string_view schedule_form_name(ScheduleForm form) {
  switch (form) {
    case ScheduleForm::Elementwise:
      return "elementwise";
    case ScheduleForm::MatMul:
      return "matmul";
    case ScheduleForm::Convolution:
      return "convolution";
    case ScheduleForm::RowReduction:
      return "row reduction";
    case ScheduleForm::ColumnReduction:
      return "column reduction";
    case ScheduleForm::PlaneReduction:
      return "plane reduction";
    case ScheduleForm::FullReduction:
      return "full reduction";
    case ScheduleForm::Winograd:
      return "winograd";
    case ScheduleForm::WeightGradient:
      return "weight gradient";
    case ScheduleForm::Depthwise:
      return "depthwise";
    case ScheduleForm::Scatter:
      return "scatter";
    case ScheduleForm::Attention:
      return "attention";
    case ScheduleForm::Generic:
      return "generic";
  }
  NNCC_UNREACHABLE("unknown kernel form");
}

namespace {

// Every result has one element for each of the product's or convolution's, and reads it at the same place.
bool is_element_by_element(const Graph& body, Value product) {
  const int64_t size = body.type(product).num_elements();
  const auto reads_in_place = [&](NodeId id) {
    const Node& node = body[id];
    return op_info(node.op).has(Elementwise) || node.op == Op::Reshape;
  };
  for (const Graph::Result& r : body.results)
    if (body.type(r.value).num_elements() != size) return false;
  const NodeId roots[] = {product.node};
  for (NodeId id : body.descendants(roots))
    if (id != product.node && !reads_in_place(id)) return false;
  return true;
}

ScheduleForm convolution_form(const Graph& body, NodeId id) {
  switch (body[id].op) {
    case Op::ConvWeightGradientPacked:
      return ScheduleForm::WeightGradient;
    case Op::DepthwiseConv:
    case Op::DepthwiseConvInputGradient:
    case Op::DepthwiseConvWeightGradient:
      return ScheduleForm::Depthwise;
    default:
      return has_convolution_schedule(body, id) ? ScheduleForm::Convolution : ScheduleForm::Generic;
  }
}

}  // namespace

ScheduleForm schedule_form(const Graph& body) {
  int reductions = 0, products = 0, spatial = 0, winograd = 0;
  Value product;
  for (NodeId id : body.nodes()) {
    const OpInfo& info = op_info(body[id].op);
    reductions += info.has(Reduction);
    if (info.has(Contraction)) ++products, product = {id, 0};
    spatial += (info.has(Window) && !is_small_window(body, id)) || is_convolution(body[id].op);
    winograd += is_winograd(body[id].op);
    if (body[id].op == Op::ScatterAdd) return ScheduleForm::Scatter;
    if (is_attention(body[id].op)) return ScheduleForm::Attention;
  }
  if (reductions + products + spatial == 0) return ScheduleForm::Elementwise;
  if (has_half_floats(body)) return ScheduleForm::Generic;
  const bool one_product =
      products == 1 && ((reductions == 0 && is_element_by_element(body, product)) ||
                        (reductions == 0 && pooled_body(body, product)) || statistics_body(body, product));
  if (spatial > 0)
    return one_product && spatial == 1 ? convolution_form(body, product.node) : ScheduleForm::Generic;
  if (one_product) return winograd == 1 ? ScheduleForm::Winograd : ScheduleForm::MatMul;
  if (products == 0) return reduction_form(body);
  return ScheduleForm::Generic;
}

bool has_half_floats(const Graph& body) {
  for (NodeId id : body.nodes())
    for (const TensorType& type : body[id].types)
      if (type.dtype == DType::F16 || type.dtype == DType::BF16) return true;
  return false;
}

int ScheduleOptions::lanes(const Graph& body) const {
  if (has_half_floats(body)) return 1;
  int widest = 1;
  for (NodeId id : body.nodes()) {
    for (const TensorType& type : body[id].types)
      if (type.rank() > 0) widest = std::max(widest, compute_type(type.dtype).bytes());
  }
  // Where only bytes are computed, 16 lanes do for any vector unit.
  return std::max(1, vector_bytes / std::max(widest, 4));
}

double estimate_nanoseconds(const Graph& body) {
  double total = 0;
  for (NodeId id : body.nodes()) {
    const Node& node = body[id];
    const OpInfo& info = op_info(node.op);
    if (node.types.empty()) continue;
    const double elements = static_cast<double>(node.types[0].num_elements());
    if (node.op == Op::MatMul || node.op == Op::MatMulPacked) {
      const TensorType& a = body.type(node.operands[0]);
      const bool transposed = node.attributes.boolean(Attr::TransposeA);
      total += elements * static_cast<double>(a.shape[a.rank() - (transposed ? 2 : 1)]) * 0.02;
    } else if (is_attention(node.op)) {
      total += attention_shape(body, node).flops(node.op == Op::AttentionGradient) * 0.01;
    } else if (is_convolution(node.op)) {
      total += static_cast<double>(convolution(body, node).num_products()) * 0.02;
    } else if (is_winograd(node.op)) {
      // A quarter of the products of the definition, or the steps of a transform.
      total += winograd_flops(node.op, winograd_shape(body, node)) * 0.0025;
    } else if (info.has(Window)) {
      total += elements * static_cast<double>(window_shape(body, id).taps()) * 0.06;
    } else if (info.has(Reduction)) {
      total += static_cast<double>(body.type(node.operands[0]).num_elements()) * 0.06;
    } else if (node.op == Op::Input) {
      total += static_cast<double>(node.types[0].byte_size()) * 0.02;
    } else if (info.has(Elementwise)) {
      total += elements * (info.has(Cheap) ? 0.03 : 0.2);
    } else if (node.op == Op::Random) {
      total += elements * 0.5;
    }
  }
  for (const Graph::Result& r : body.results)
    total += static_cast<double>(body.type(r.value).byte_size()) * 0.04;
  return total;
}

std::vector<Var> axis_vars(const std::string& prefix, size_t rank) {
  std::vector<Var> vars;
  for (size_t i = 0; i < rank; ++i) vars.emplace_back(prefix + std::to_string(i));
  return vars;
}

std::vector<Var> reversed(std::vector<Var> vars) {
  std::reverse(vars.begin(), vars.end());
  return vars;
}
Index reversed(Index index) {
  std::reverse(index.begin(), index.end());
  return index;
}
Index as_index(const std::vector<Var>& vars) { return {vars.begin(), vars.end()}; }

void parallelize(Halide::Func out, const Halide::Var& loop, int64_t extent) {
  if (extent < 4 * kParallelPieces) {
    out.parallel(loop);
    return;
  }
  const Halide::Var piece("piece");
  const int step = static_cast<int>((extent + kParallelPieces - 1) / kParallelPieces);
  out.split(loop, piece, loop, step,
            extent % step ? Halide::TailStrategy::GuardWithIf : Halide::TailStrategy::RoundUp)
      .parallel(piece);
}

void fix_output(Func f, const Shape& extents) {
  const std::vector<Halide::OutputImageParam> buffers = f.output_buffers();
  for (size_t b = 0; b < buffers.size(); ++b) {
    Halide::OutputImageParam buffer = buffers[b];
    int stride = 1;
    for (size_t i = 0; i < extents.size(); ++i) {
      const int extent = static_cast<int>(extents[extents.size() - 1 - i]);
      buffer.dim(static_cast<int>(i)).set_stride(stride);
      // All elements of a Tuple take the bounds of the first.
      if (b == 0) buffer.dim(static_cast<int>(i)).set_bounds(0, extent);
      stride *= extent;
    }
  }
}

std::vector<Expr> results_at(Lowering& lowering, Value anchor, const Index& at) {
  const Graph& body = lowering.body();
  std::vector<Expr> values;
  for (const Graph::Result& result : body.results)
    values.push_back(lowering.stored_at(
        result.value, lowering.reshape(body.type(anchor).shape, body.type(result.value).shape, at)));
  return values;
}

Accumulation accumulation_of(const Node& node, DType operand) {
  const Halide::Type type = compute_type(operand);
  const auto constant = [&](double v) { return Halide::Internal::make_const(type, v); };
  const Expr lowest = type.is_float() ? constant(-std::numeric_limits<double>::infinity()) : Expr(type.min());
  const Expr highest = type.is_float() ? constant(std::numeric_limits<double>::infinity()) : Expr(type.max());
  switch (node.op) {
    case Op::ReduceSum:
    case Op::MatMul:
    case Op::MatMulPacked:
    case Op::Conv:
    case Op::ConvInputGradient:
    case Op::ConvWeightGradient:
    case Op::ConvPacked:
    case Op::ConvInputGradientPacked:
    case Op::ConvWeightGradientPacked:
    case Op::DepthwiseConv:
    case Op::DepthwiseConvInputGradient:
    case Op::DepthwiseConvWeightGradient:
    case Op::WinogradWeights:
    case Op::WinogradInput:
    case Op::WinogradOutputGradient:
    case Op::WinogradWeightGradient:
    case Op::ConvWinograd:
    case Op::ConvWinogradTransformed:
    case Op::ConvWinogradWeightGradient:
    case Op::WindowSum:
    case Op::WindowSpread:
    case Op::WindowScatter:
      return {Tuple(constant(0)), [](const Tuple& s, const Expr& x, const Expr&) { return Tuple(s[0] + x); }};
    case Op::ReduceProd:
      return {Tuple(constant(1)), [](const Tuple& s, const Expr& x, const Expr&) { return Tuple(s[0] * x); }};
    case Op::WindowMax:
      return {Tuple(lowest),
              [](const Tuple& s, const Expr& x, const Expr&) { return Tuple(max_e(s[0], x)); }};
    case Op::WindowArgMax: {
      // The first element that exists, then what is larger, or the first NaN.
      auto update = [](const Tuple& s, const Expr& x, const Expr& position) {
        Expr better = x > s[0];
        if (x.type().is_float()) better = !is_nan_bits(s[0]) && (better || is_nan_bits(x));
        better = position >= 0 && (s[2] == 0 || better);
        return Tuple(select(better, x, s[0]), select(better, position, s[1]), select(better, 1, s[2]));
      };
      return {Tuple(std::vector<Expr>{lowest, Expr(0), Expr(0)}), update, 1};
    }
    case Op::ReduceMax:
      if (type.is_bool())
        return {Tuple(Halide::Internal::const_false()),
                [](const Tuple& s, const Expr& x, const Expr&) { return Tuple(s[0] || x); }};
      return {Tuple(lowest),
              [](const Tuple& s, const Expr& x, const Expr&) { return Tuple(max_e(s[0], x)); }};
    case Op::ReduceMin:
      if (type.is_bool())
        return {Tuple(Halide::Internal::const_true()),
                [](const Tuple& s, const Expr& x, const Expr&) { return Tuple(s[0] && x); }};
      return {Tuple(highest),
              [](const Tuple& s, const Expr& x, const Expr&) { return Tuple(min_e(s[0], x)); }};
    case Op::ArgMax:
    case Op::ArgMin: {
      const bool largest = node.op == Op::ArgMax;
      // The first wins among equals, and the first NaN over all.
      auto update = [largest](const Tuple& s, const Expr& x, const Expr& position) {
        Expr better = largest ? x > s[0] : x < s[0];
        if (x.type().is_float()) better = !is_nan_bits(s[0]) && (better || is_nan_bits(x));
        return Tuple(select(better, x, s[0]), select(better, position, s[1]));
      };
      return {Tuple(largest ? lowest : highest, Expr(0)), update, 1};
    }
    default:
      NNCC_UNREACHABLE("not a reduction: " + std::string(op_info(node.op).name));
  }
}

Expr counted_at(const Expr& element, const Index& where) {
  class Finder final : public Halide::Internal::IRVisitor {
   public:
    std::set<std::string> names;

   private:
    using IRVisitor::visit;
    void visit(const Halide::Internal::Variable* v) override {
      if (v->reduction_domain.defined()) names.insert(v->name);
    }
  };
  Finder named;
  element.accept(&named);
  Expr nothing = 0;
  for (const Expr& coordinate : where) {
    Finder loops;
    coordinate.accept(&loops);
    if (!std::includes(named.names.begin(), named.names.end(), loops.names.begin(), loops.names.end()))
      nothing = nothing + coordinate * 0;
  }
  if (Halide::Internal::is_const_zero(nothing)) return element;
  return element.type().is_bool() ? element || nothing != 0 : element + cast(element.type(), nothing);
}

namespace {

// The coordinates of the operand of a reduction: result axes from `outer`, reduced ones from `inner`.
Index operand_index(const Node& node, size_t rank, const Index& outer, const Index& inner) {
  const std::vector<int64_t> axes = node.op == Op::ArgMax || node.op == Op::ArgMin
                                        ? std::vector<int64_t>{node.attributes.integer(Attr::Axis)}
                                        : node.attributes.integers(Attr::Axes);
  Index index;
  size_t o = 0, i = 0;
  for (size_t axis = 0; axis < rank; ++axis) {
    const bool reduced = std::find(axes.begin(), axes.end(), static_cast<int64_t>(axis)) != axes.end();
    index.push_back(reduced ? inner[i++] : outer[o++]);
  }
  return index;
}

RDom domain(const Shape& extents, const std::string& name) {
  Halide::Region region;
  for (size_t i = extents.size(); i-- > 0;) region.emplace_back(0, static_cast<int>(extents[i]));
  return RDom(region, name);
}
Index domain_index(const RDom& r) {
  Index index;
  for (int i = r.dimensions(); i-- > 0;) index.push_back(r[i]);
  return index;
}

Expr product_element(Lowering& lowering, const Node& node, const Index& out, const Expr& k) {
  const bool ta = node.attributes.boolean(Attr::TransposeA);
  Index a(out.begin(), out.end() - 2), b = a;
  const Expr m = out[out.size() - 2], n = out[out.size() - 1];
  a.push_back(ta ? k : m);
  a.push_back(ta ? m : k);
  if (node.op == Op::MatMulPacked) {
    const int lanes = static_cast<int>(lowering.body().type(node.operands[1]).shape[2]);
    b = {n / lanes, k, n % lanes};
  } else {
    const bool tb = node.attributes.boolean(Attr::TransposeB);
    b.push_back(tb ? n : k);
    b.push_back(tb ? k : n);
  }
  return lowering.at(node.operands[0], a) * lowering.at(node.operands[1], b);
}

}  // namespace

Func define_reduction(Lowering& lowering, Value v, const std::string& name) {
  const Graph& body = lowering.body();
  const Node& node = body[v.node];
  const TensorType& operand = body.type(node.operands[0]);
  const std::vector<Var> vars = axis_vars("i", node.types[0].shape.size());
  const Index outer = as_index(vars);
  const Accumulation reduction = accumulation_of(node, operand.dtype);
  Func f(name);
  f(reversed(vars)) = reduction.initial;
  Expr element, position = 0;
  Index inner_index;
  if (is_convolution(node.op) || is_winograd(node.op) || op_info(node.op).has(Window)) {
    const SpatialTerms terms =
        is_winograd(node.op) ? winograd_terms(lowering, v) : spatial_terms(lowering, v);
    const RDom r = domain(terms.extents, name + "_r");
    inner_index = domain_index(r);
    element = terms.element(outer, inner_index);
    if (node.op == Op::WindowArgMax) position = terms.position(outer, inner_index);
  } else if (op_info(node.op).has(Contraction)) {
    const bool ta = node.attributes.boolean(Attr::TransposeA);
    const RDom r(0, static_cast<int>(operand.shape[operand.rank() - (ta ? 2 : 1)]), name + "_r");
    inner_index = {r};
    element = product_element(lowering, node, outer, r);
  } else {
    Shape extents;
    std::vector<bool> kept(operand.shape.size(), true);
    if (node.op == Op::ArgMax || node.op == Op::ArgMin)
      kept[node.attributes.integer(Attr::Axis)] = false;
    else
      for (int64_t axis : node.attributes.integers(Attr::Axes)) kept[axis] = false;
    for (size_t i = 0; i < kept.size(); ++i)
      if (!kept[i]) extents.push_back(operand.shape[i]);
    if (extents.empty()) {
      // Over no axis: each element is reduced with the initial value.
      element = lowering.at(node.operands[0], outer);
    } else {
      const RDom r = domain(extents, name + "_r");
      inner_index = domain_index(r);
      position = inner_index.back();
      element = lowering.at(node.operands[0], operand_index(node, operand.shape.size(), outer, inner_index));
    }
  }
  if (inner_index.size() > 0) element = counted_at(element, inner_index);
  std::vector<Expr> sum;
  const std::vector<Expr> where(reversed(outer));
  if (reduction.initial.size() == 1)
    sum.push_back(f(where));
  else
    for (size_t i = 0; i < reduction.initial.size(); ++i) sum.push_back(f(where)[static_cast<int>(i)]);
  f(where) = reduction.update(Tuple(sum), element, position);
  return f;
}

Access access_reduction(const Graph& body, Value v, Func f) {
  const Node& node = body[v.node];
  const Accumulation reduction = accumulation_of(node, body.type(node.operands[0]).dtype);
  return [f, result = reduction.result,
          tuple = reduction.initial.size() > 1](const Index& index) mutable -> Expr {
    const std::vector<Expr> where(reversed(index));
    return tuple ? Expr(f(where)[result]) : Expr(f(where));
  };
}

}  // namespace nncc
