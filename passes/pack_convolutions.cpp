#include "passes/pack_convolutions.h"

#include <algorithm>
#include <array>

#include "ir/diagnostic.h"
#include "passes/winograd.h"

namespace nncc {

namespace {

using Ints = std::vector<int64_t>;

bool all_are(const Ints& list, int64_t value) {
  return std::all_of(list.begin(), list.end(), [&](int64_t v) { return v == value; });
}

// The convolution of two spatial axes that one of one axis is.
Convolution with_two_axes(Convolution conv) {
  if (conv.input.size() == 2) return conv;
  for (Shape* extents : {&conv.input, &conv.output, &conv.window}) extents->insert(extents->begin(), 1);
  conv.strides.insert(conv.strides.begin(), 1);
  conv.low.insert(conv.low.begin(), 0);
  conv.dilation.insert(conv.dilation.begin(), 1);
  return conv;
}

class Packer {
 public:
  Packer(GraphBuilder& builder, const Convolution& conv, DType dtype, const PassOptions& options)
      : b_(builder), conv_(with_two_axes(conv)), dtype_(dtype), options_(options) {}

  // Images are [n, h, w, c], weights [o, c / groups, kh, kw].
  Value forward(Value x, Value w) { return convolve(conv_, x, w, false); }

  Value input_gradient(Value dy, Value w) {
    // Of stride 1: a convolution of dy, if its padding is not negative.
    Convolution turned = conv_;
    std::swap(turned.in_channels, turned.out_channels);
    std::swap(turned.input, turned.output);
    bool is_convolution = all_are(conv_.strides, 1);
    for (size_t i = 0; i < conv_.low.size(); ++i) {
      turned.low[i] = (conv_.window[i] - 1) * conv_.dilation[i] - conv_.low[i];
      is_convolution = is_convolution && turned.low[i] >= 0;
    }
    if (is_convolution) {
      turned.kind = ConvKind::Forward;
      return convolve(turned, dy, w, true);
    }
    if (is_depthwise())
      return b_.add_typed(Op::DepthwiseConvInputGradient, std::array{dy, by_channel(w, false)},
                          image(conv_.input), attributes(conv_, false));
    return b_.add_typed(Op::ConvInputGradientPacked, std::array{dy, panels(w, true, false)},
                        image(conv_.input, conv_.in_channels), attributes(conv_, true));
  }

  Value weight_gradient(Value x, Value dy) {
    const Shape w{conv_.out_channels, conv_.in_per_group(), conv_.window[0], conv_.window[1]};
    if (is_depthwise()) {
      const Value dw = b_.add_typed(Op::DepthwiseConvWeightGradient, std::array{x, dy},
                                    {dtype_, {conv_.window[0], conv_.window[1], conv_.in_channels}},
                                    attributes(conv_, false));
      return b_.reshape(b_.transpose(dw, {2, 0, 1}), w);
    }
    if (const WinogradPlan plan = winograd(conv_); plan.tile)
      return winograd_weight_gradient(b_, conv_, plan, x, dy, options_.vector_lanes);
    const int64_t lanes = lanes_of(conv_);
    const int64_t groups = conv_.groups, channels = conv_.out_per_group(),
                  count = (channels + lanes - 1) / lanes;
    const Value dw = b_.add_typed(
        Op::ConvWeightGradientPacked, std::array{x, dy},
        {dtype_, {groups * count, conv_.window[0], conv_.in_per_group(), conv_.window[1], lanes}},
        attributes(conv_, true));
    // [group, panel, lane, c, kh, kw], without the lanes that stand for no channel.
    Value rows = b_.reshape(b_.transpose(dw, {0, 4, 2, 1, 3}),
                            {groups, count * lanes, conv_.in_per_group(), conv_.window[0], conv_.window[1]});
    if (count * lanes != channels) {
      Shape kept = b_.type(rows).shape;
      kept[1] = channels;
      rows = b_.add_typed(Op::Slice, std::array{rows}, {dtype_, kept},
                          {{Attr::Starts, Ints(5, 0)}, {Attr::Strides, Ints(5, 1)}});
    }
    return b_.reshape(rows, w);
  }

  // Images get a second spatial axis where they have one.
  Value widened(Value v) {
    const Shape& shape = b_.type(v).shape;
    return shape.size() == 4 ? v : b_.reshape(v, {shape[0], 1, shape[1], shape[2]});
  }
  Value widened_weight(Value v) {
    const Shape& shape = b_.type(v).shape;
    return shape.size() == 4 ? v : b_.reshape(v, {shape[0], shape[1], 1, shape[2]});
  }

 private:
  bool is_depthwise() const {
    return conv_.groups > 1 && conv_.groups == conv_.in_channels && conv_.groups == conv_.out_channels;
  }
  bool is_product() const {
    return conv_.groups == 1 && all_are(conv_.window, 1) && all_are(conv_.strides, 1) &&
           all_are(conv_.low, 0) && conv_.input == conv_.output;
  }

  WinogradPlan winograd(const Convolution& conv) const {
    return options_.accurate || dtype_ != DType::F32 ? WinogradPlan{} : winograd_plan(conv);
  }

  // `turned`: w is that of the convolution whose gradient this is.
  Value convolve(const Convolution& conv, Value x, Value w, bool turned) {
    const TensorType result = image(conv.output, conv.out_channels);
    if (is_depthwise())
      return b_.add_typed(Op::DepthwiseConv, std::array{x, by_channel(w, turned)}, result,
                          attributes(conv, false));
    if (is_product()) {
      const Value rows = b_.reshape(w, {conv_.out_channels, conv_.in_channels});
      const Value product =
          b_.add(Op::MatMul, {matrix(x), rows}, {{Attr::TransposeA, false}, {Attr::TransposeB, !turned}});
      return b_.reshape(product, result.shape);
    }
    if (const WinogradPlan plan = winograd(conv); plan.tile)
      return winograd_convolution(b_, conv, plan, x, w, turned, options_.vector_lanes);
    return b_.add_typed(Op::ConvPacked, std::array{x, panels(w, turned, turned)}, result,
                        attributes(conv, true));
  }

  int64_t lanes_of(const Convolution& conv) const {
    return convolution_lanes(conv, static_cast<int>(dtype_size(dtype_)), options_.vector_lanes * 4);
  }

  Attributes attributes(const Convolution& conv, bool with_groups) const {
    Attributes result{{Attr::Strides, conv.strides}, {Attr::Low, conv.low}, {Attr::Dilation, conv.dilation}};
    if (with_groups) result.set(Attr::Groups, conv.groups);
    return result;
  }
  TensorType image(const Shape& extents, int64_t channels = 0) const {
    return {dtype_, {conv_.batch, extents[0], extents[1], channels ? channels : conv_.in_channels}};
  }
  Value matrix(Value v) {
    const Shape& shape = b_.type(v).shape;
    return b_.reshape(v, {shape[0] * shape[1] * shape[2], shape[3]});
  }

  // [c, 1, kh, kw] to [kh, kw, c].
  Value by_channel(Value w, bool turned) {
    Value v = b_.reshape(w, {conv_.in_channels, conv_.window[0], conv_.window[1]});
    if (turned) v = b_.add(Op::Reverse, {v}, {{Attr::Axes, Ints{1, 2}}});
    return b_.transpose(v, {1, 2, 0});
  }

  // [o, c / groups, kh, kw] to panels over output channels, or over input channels.
  Value panels(Value w, bool over_input, bool turned) {
    Convolution conv = conv_;
    conv.kind = over_input ? ConvKind::InputGradient : ConvKind::Forward;
    const int64_t lanes = lanes_of(conv);
    const int64_t groups = conv.groups, kh = conv.window[0], kw = conv.window[1];
    const int64_t inner = over_input ? conv.out_per_group() : conv.in_per_group();
    Value v = b_.reshape(w, {groups, conv.out_per_group(), conv.in_per_group(), kh, kw});
    if (turned && kh * kw > 1) v = b_.add(Op::Reverse, {v}, {{Attr::Axes, Ints{3, 4}}});
    if (over_input) v = b_.transpose(v, {0, 2, 1, 3, 4});
    const int64_t channels = conv.panel_channels(), count = (channels + lanes - 1) / lanes;
    if (count * lanes != channels)
      v = b_.add_typed(Op::Pad, std::array{v, b_.scalar(dtype_, 0)},
                       {dtype_, {groups, count * lanes, inner, kh, kw}},
                       {{Attr::Low, Ints(5, 0)}, {Attr::Interior, Ints(5, 0)}});
    v = b_.reshape(v, {groups * count, lanes, inner, kh, kw});
    return b_.transpose(v, {0, 3, 2, 4, 1});
  }

  GraphBuilder& b_;
  Convolution conv_;  // of the node
  DType dtype_;
  const PassOptions& options_;
};

}  // namespace

Value pack_convolution(GraphBuilder& builder, const Node& node, Value a, Value b,
                       const PassOptions& options) {
  const TensorType type = node.types[0];
  Packer packer(builder, convolution(builder.graph(), node), type.dtype, options);
  switch (convolution(builder.graph(), node).kind) {
    case ConvKind::Forward: {
      const Value y = packer.forward(packer.widened(a), packer.widened_weight(b));
      return builder.reshape(
          y, type.rank() == 4 ? builder.type(y).shape : Shape{type.shape[0], type.shape[2], type.shape[1]});
    }
    case ConvKind::InputGradient: {
      const Value x = packer.input_gradient(packer.widened(a), packer.widened_weight(b));
      return builder.reshape(
          x, type.rank() == 4 ? builder.type(x).shape : Shape{type.shape[0], type.shape[2], type.shape[1]});
    }
    case ConvKind::WeightGradient:
      return builder.reshape(packer.weight_gradient(packer.widened(a), packer.widened(b)), type.shape);
  }
  NNCC_UNREACHABLE("unknown kind of convolution");
}

}  // namespace nncc
