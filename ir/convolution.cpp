#include "ir/convolution.h"

#include "ir/diagnostic.h"

namespace nncc {
std::optional<ConvForm> convolution_form(Op op) {
  using enum ConvKind;
  using enum ConvLayout;
  switch (op) {
    case Op::Conv:
      return ConvForm{Forward, ChannelsFirst};
    case Op::ConvInputGradient:
      return ConvForm{InputGradient, ChannelsFirst};
    case Op::ConvWeightGradient:
      return ConvForm{WeightGradient, ChannelsFirst};
    case Op::ConvPacked:
      return ConvForm{Forward, Packed};
    case Op::ConvInputGradientPacked:
      return ConvForm{InputGradient, Packed};
    case Op::ConvWeightGradientPacked:
      return ConvForm{WeightGradient, Packed};
    case Op::DepthwiseConv:
      return ConvForm{Forward, Depthwise};
    case Op::DepthwiseConvInputGradient:
      return ConvForm{InputGradient, Depthwise};
    case Op::DepthwiseConvWeightGradient:
      return ConvForm{WeightGradient, Depthwise};
    default:
      return std::nullopt;
  }
}

bool is_convolution(Op op) { return convolution_form(op).has_value(); }

int64_t Convolution::num_products() const {
  return batch * out_channels * in_per_group() * num_elements(output) * num_elements(window);
}

Convolution convolution(Op op, std::span<const TensorType> operands, const TensorType& result,
                        const Attributes& attributes) {
  const auto form = convolution_form(op);
  NNCC_CHECK(form, "not a convolution");
  Convolution conv;
  conv.kind = form->kind;
  conv.layout = form->layout;
  const bool by_data = conv.kind == ConvKind::InputGradient,
             by_weight = conv.kind == ConvKind::WeightGradient;
  const Shape& x = by_data ? result.shape : operands[0].shape;
  const Shape& w = by_weight ? result.shape : operands[1].shape;
  const Shape& y = by_data ? operands[0].shape : by_weight ? operands[1].shape : result.shape;
  conv.strides = attributes.integers(Attr::Strides);
  conv.low = attributes.integers(Attr::Low);
  conv.dilation = attributes.integers(Attr::Dilation);
  conv.batch = x[0];
  if (conv.layout == ConvLayout::ChannelsFirst) {
    conv.groups = attributes.integer(Attr::Groups);
    conv.in_channels = x[1];
    conv.out_channels = y[1];
    conv.input.assign(x.begin() + 2, x.end());
    conv.output.assign(y.begin() + 2, y.end());
    conv.window.assign(w.begin() + 2, w.end());
    return conv;
  }
  conv.in_channels = x.back();
  conv.out_channels = y.back();
  conv.input.assign(x.begin() + 1, x.end() - 1);
  conv.output.assign(y.begin() + 1, y.end() - 1);
  if (conv.layout == ConvLayout::Depthwise) {
    conv.groups = conv.in_channels;
    conv.window = {w[0], w[1]};
  } else {
    conv.groups = attributes.integer(Attr::Groups);
    conv.window = {w[1], w[3]};
    conv.lanes = w[4];
  }
  return conv;
}

Convolution convolution(const Graph& graph, const Node& node) {
  std::vector<TensorType> operands;
  for (Value operand : node.operands) operands.push_back(graph.type(operand));
  return convolution(node.op, operands, node.types[0], node.attributes);
}

int convolution_lanes(int64_t panel_channels, int64_t columns, int element_bytes, int vector_bytes) {
  const int vector = vector_bytes / element_bytes;
  // Four vectors need fewer pixels in a tile: for short rows.
  std::vector<std::pair<int, double>> choices = {{2 * vector, 1}, {vector, vector_bytes >= 64 ? 1.03 : 1.3}};
  if (columns < 4 && vector_bytes >= 64) choices.insert(choices.begin(), {4 * vector, 1});
  // Half as wide vectors: some processors do as much with them, some half as much.
  if (vector_bytes >= 64) choices.emplace_back(vector / 2, 1.5);
  if (vector_bytes >= 32) choices.emplace_back(16 / element_bytes, vector_bytes >= 64 ? 3 : 2);
  int best = vector;
  double best_cost = 1e300;
  for (const auto& [lanes, cost] : choices) {
    const int64_t computed = (panel_channels + lanes - 1) / lanes * lanes;
    if (static_cast<double>(computed) * cost < best_cost)
      best_cost = static_cast<double>(computed) * cost, best = lanes;
  }
  return best;
}

int convolution_lanes(const Convolution& conv, int element_bytes, int vector_bytes) {
  const bool by_data = conv.kind == ConvKind::InputGradient;
  const int64_t columns =
      by_data ? (conv.input.back() + conv.strides.back() - 1) / conv.strides.back() : conv.output.back();
  return convolution_lanes(conv.panel_channels(), columns, element_bytes, vector_bytes);
}

}  // namespace nncc
