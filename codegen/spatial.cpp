#include "codegen/spatial.h"

#include <limits>

#include "codegen/elementary.h"
#include "ir/convolution.h"
#include "ir/diagnostic.h"

namespace nncc {
using Halide::Expr;
using Halide::Internal::make_const;
using Halide::Internal::simplify;

Guarded guard(const Expr& at, int64_t extent) {
  const int last = static_cast<int>(extent) - 1;
  return {at >= 0 && at <= last, Halide::clamp(at, 0, last)};
}

namespace {

int as_int(int64_t i) { return static_cast<int>(i); }

// The coordinates along every axis, or nothing that exists.
struct Place {
  Expr inside = Halide::Internal::const_true();
  Index at;

  void add(const Guarded& guarded) {
    inside = inside && guarded.inside;
    at.push_back(guarded.at);
  }
};

// For window t and tap k the element t * stride + k * dilation - low.
Place covered(const Index& t, const Index& k, const std::vector<int64_t>& strides,
              const std::vector<int64_t>& dilation, const std::vector<int64_t>& low, const Shape& image) {
  Place place;
  for (size_t i = 0; i < image.size(); ++i)
    place.add(
        guard(simplify(t[i] * as_int(strides[i]) + k[i] * as_int(dilation[i]) - as_int(low[i])), image[i]));
  return place;
}

// For element p and tap k the window t with t * stride + k * dilation - low = p.
Place covering(const Index& p, const Index& k, const std::vector<int64_t>& strides,
               const std::vector<int64_t>& dilation, const std::vector<int64_t>& low, const Shape& windows) {
  Place place;
  for (size_t i = 0; i < windows.size(); ++i) {
    const Expr first = simplify(p[i] + as_int(low[i]) - k[i] * as_int(dilation[i]));
    const int stride = as_int(strides[i]);
    if (stride > 1) place.inside = place.inside && first % stride == 0;
    place.add(guard(stride > 1 ? first / stride : first, windows[i]));
  }
  return place;
}

Expr where_inside(const Place& place, const Expr& x, double otherwise) {
  const Expr inside = simplify(place.inside);
  return Halide::Internal::is_const_one(inside) ? x : select(inside, x, make_const(x.type(), otherwise));
}

SpatialTerms convolution_terms(Lowering& lowering, const Node& node) {
  const Convolution conv = convolution(lowering.body(), node);
  const size_t axes = conv.input.size();
  const Value a = node.operands[0], b = node.operands[1];
  const auto spatial = [conv, axes](const Index& image) {
    const auto first = image.begin() + (conv.layout == ConvLayout::ChannelsFirst ? 2 : 1);
    return Index(first, first + static_cast<std::ptrdiff_t>(axes));
  };
  const auto channel = [conv](const Index& image) {
    return conv.layout == ConvLayout::ChannelsFirst ? image[1] : image.back();
  };
  const Expr in_group = as_int(conv.in_per_group()), out_group = as_int(conv.out_per_group());
  SpatialTerms terms;
  switch (conv.kind) {
    case ConvKind::Forward:
      terms.extents = {conv.in_per_group()};
      terms.extents.insert(terms.extents.end(), conv.window.begin(), conv.window.end());
      terms.element = [=, &lowering](const Index& out, const Index& inner) {
        const Index k(inner.begin() + 1, inner.end());
        const Expr group = simplify(channel(out) / out_group), o = simplify(channel(out) % out_group);
        const Place x = covered(spatial(out), k, conv.strides, conv.dilation, conv.low, conv.input);
        const Expr c = simplify(group * in_group + inner[0]);
        return where_inside(x, lowering.at(a, conv.image_index(out[0], c, x.at)), 0) *
               lowering.at(b, conv.weight_index(group, o, inner[0], k));
      };
      break;
    case ConvKind::InputGradient:
      terms.extents = {conv.out_per_group()};
      terms.extents.insert(terms.extents.end(), conv.window.begin(), conv.window.end());
      terms.element = [=, &lowering](const Index& out, const Index& inner) {
        const Index k(inner.begin() + 1, inner.end());
        const Expr group = simplify(channel(out) / in_group), c = simplify(channel(out) % in_group);
        const Place y = covering(spatial(out), k, conv.strides, conv.dilation, conv.low, conv.output);
        const Expr o = simplify(group * out_group + inner[0]);
        return where_inside(y, lowering.at(a, conv.image_index(out[0], o, y.at)), 0) *
               lowering.at(b, conv.weight_index(group, inner[0], c, k));
      };
      break;
    case ConvKind::WeightGradient:
      terms.extents = {conv.batch};
      terms.extents.insert(terms.extents.end(), conv.output.begin(), conv.output.end());
      terms.element = [=, &lowering](const Index& out, const Index& inner) {
        const Index t(inner.begin() + 1, inner.end());
        Expr group, o, c;
        Index k;
        Place place;
        if (conv.layout == ConvLayout::ChannelsFirst) {
          group = out[0] / out_group, o = out[0] % out_group, c = out[1];
          k = Index(out.begin() + 2, out.end());
        } else if (conv.layout == ConvLayout::Depthwise) {
          group = out[2], o = 0, c = 0, k = {out[0], out[1]};
        } else {
          const int panels = as_int(conv.panels_per_group());
          group = out[0] / panels, c = out[2], k = {out[1], out[3]};
          const Guarded real =
              guard(simplify((out[0] % panels) * as_int(conv.lanes) + out[4]), conv.out_per_group());
          place.inside = real.inside;
          o = real.at;
        }
        const Place x = covered(t, k, conv.strides, conv.dilation, conv.low, conv.input);
        place.inside = place.inside && x.inside;
        return where_inside(place,
                            lowering.at(a, conv.image_index(inner[0], simplify(group * in_group + c), x.at)),
                            0) *
               lowering.at(b, conv.image_index(inner[0], simplify(group * out_group + o), t));
      };
      break;
  }
  return terms;
}

SpatialTerms window_terms(Lowering& lowering, const Node& node) {
  const auto& sizes = node.attributes.integers(Attr::Sizes);
  const auto& strides = node.attributes.integers(Attr::Strides);
  const auto& low = node.attributes.integers(Attr::Low);
  const std::vector<int64_t> ones(sizes.size(), 1);
  const Shape shape = lowering.body().type(node.operands[0]).shape;
  const Value x = node.operands[0];
  const bool back = node.op == Op::WindowSpread || node.op == Op::WindowScatter;
  const auto place = [=](const Index& out, const Index& inner) {
    return back ? covering(out, inner, strides, ones, low, shape)
                : covered(out, inner, strides, ones, low, shape);
  };
  const auto flat = [sizes](const Index& inner) {
    Expr position = 0;
    for (size_t i = 0; i < sizes.size(); ++i) position = position * as_int(sizes[i]) + inner[i];
    return simplify(position);
  };
  const bool extremum = node.op == Op::WindowMax || node.op == Op::WindowArgMax;
  const Halide::Type type = compute_type(lowering.body().type(x).dtype);
  SpatialTerms terms;
  terms.extents = sizes;
  terms.element = [=, &lowering, &node](const Index& out, const Index& inner) {
    Place p = place(out, inner);
    const Expr value = lowering.at(x, p.at);
    if (node.op == Op::WindowScatter)
      p.inside = p.inside && lowering.at(node.operands[1], p.at) == flat(inner);
    if (!extremum) return where_inside(p, value, 0);
    if (type.is_float()) return where_inside(p, value, -std::numeric_limits<double>::infinity());
    const Expr inside = simplify(p.inside);
    return select(inside, value, type.min());
  };
  terms.position = [=](const Index& out, const Index& inner) {
    return select(simplify(place(out, inner).inside), flat(inner), -1);
  };
  return terms;
}

}  // namespace

SpatialTerms spatial_terms(Lowering& lowering, Value v) {
  const Node& node = lowering.body()[v.node];
  return is_convolution(node.op) ? convolution_terms(lowering, node) : window_terms(lowering, node);
}

}  // namespace nncc
