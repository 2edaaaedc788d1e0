#include <cmath>
#include <limits>

#include "ir/convolution.h"
#include "ir/diagnostic.h"
#include "ir/index_space.h"
#include "ir/spatial_rules.h"

namespace nncc {
namespace {

using Results = std::vector<Literal>;

// visit(x, w, y) with the positions of the three elements of each product whose x lies in the image.
template <typename Visit>
void for_each_product(const Convolution& conv, const Shape& x, const Shape& w, const Shape& y, Visit visit) {
  Shape outer{conv.batch, conv.groups, conv.out_per_group()};
  outer.insert(outer.end(), conv.output.begin(), conv.output.end());
  Shape inner{conv.in_per_group()};
  inner.insert(inner.end(), conv.window.begin(), conv.window.end());
  const size_t axes = conv.input.size();
  Coordinates at(axes);
  for_each_index(outer, [&](const Coordinates& o, int64_t) {
    const Coordinates t(o.begin() + 3, o.end());
    const int64_t y_at = offset_of(conv.image_index(o[0], o[1] * conv.out_per_group() + o[2], t), y);
    for_each_index(inner, [&](const Coordinates& i, int64_t) {
      for (size_t axis = 0; axis < axes; ++axis) {
        at[axis] = t[axis] * conv.strides[axis] + i[axis + 1] * conv.dilation[axis] - conv.low[axis];
        if (at[axis] < 0 || at[axis] >= conv.input[axis]) return;
      }
      const Coordinates k(i.begin() + 1, i.end());
      visit(offset_of(conv.image_index(o[0], o[1] * conv.in_per_group() + i[0], at), x),
            offset_of(conv.weight_index(o[1], o[2], i[0], k), w), y_at);
    });
  });
}

Literal filled(const TensorType& type, double real, int64_t integer) {
  Literal result(type);
  for (int64_t i = 0; i < result.num_elements(); ++i) {
    if (result.is_float())
      result.set(i, real);
    else
      result.set_int(i, integer);
  }
  return result;
}

// visit(window, element, position): for every window its elements that lie in the image, in order.
template <typename Visit>
void for_each_covered(const Attributes& attributes, const Shape& image, const Shape& windows, Visit visit) {
  const auto &sizes = attributes.integers(Attr::Sizes), &strides = attributes.integers(Attr::Strides),
             &low = attributes.integers(Attr::Low);
  Coordinates at(image.size());
  for_each_index(windows, [&](const Coordinates& t, int64_t window) {
    for_each_index(sizes, [&](const Coordinates& k, int64_t position) {
      for (size_t axis = 0; axis < at.size(); ++axis) {
        at[axis] = t[axis] * strides[axis] + k[axis] - low[axis];
        if (at[axis] < 0 || at[axis] >= image[axis]) return;
      }
      visit(window, offset_of(at, image), position);
    });
  });
}

// target[to] += source[from]
void accumulate(Literal& target, int64_t to, const Literal& source, int64_t from) {
  if (target.is_float())
    target.set(to, target.real(to) + source.real(from));
  else
    target.set_int(to, static_cast<int64_t>(static_cast<uint64_t>(target.integer(to)) +
                                            static_cast<uint64_t>(source.integer(from))));
}

// Whether x[i] takes the place of x[best]: the first largest stays, and the first NaN.
bool is_larger(const Literal& x, int64_t i, int64_t best) {
  if (!x.is_float()) return x.integer(i) > x.integer(best);
  return !std::isnan(x.real(best)) && (std::isnan(x.real(i)) || x.real(i) > x.real(best));
}

// The position of the largest in its window and in the image; -1 where the window is empty.
struct Largest {
  std::vector<int64_t> position, element;
};
Largest largest(const EvalQuery& q) {
  const Literal& x = q.operands[0];
  const auto n = static_cast<size_t>(q.types[0].num_elements());
  Largest result{std::vector<int64_t>(n, 0), std::vector<int64_t>(n, -1)};
  for_each_covered(q.attributes, x.type().shape, q.types[0].shape,
                   [&](int64_t window, int64_t element, int64_t position) {
                     int64_t& best = result.element[window];
                     if (best >= 0 && !is_larger(x, element, best)) return;
                     best = element;
                     result.position[window] = position;
                   });
  return result;
}

}  // namespace

Results evaluate_convolution(Op op, const EvalQuery& q) {
  const TensorType types[] = {q.operands[0].type(), q.operands[1].type()};
  const Convolution conv = convolution(op, types, q.types[0], q.attributes);
  Literal result = filled(q.types[0], 0, 0);
  const Literal &a = q.operands[0], &b = q.operands[1];
  const auto add = [&](int64_t at, double product) { result.set(at, result.real(at) + product); };
  switch (conv.kind) {
    case ConvKind::Forward:
      for_each_product(conv, types[0].shape, types[1].shape, result.type().shape,
                       [&](int64_t x, int64_t w, int64_t y) { add(y, a.real(x) * b.real(w)); });
      break;
    case ConvKind::InputGradient:
      for_each_product(conv, result.type().shape, types[1].shape, types[0].shape,
                       [&](int64_t x, int64_t w, int64_t y) { add(x, a.real(y) * b.real(w)); });
      break;
    case ConvKind::WeightGradient:
      for_each_product(conv, types[0].shape, result.type().shape, types[1].shape,
                       [&](int64_t x, int64_t w, int64_t y) { add(w, a.real(x) * b.real(y)); });
      break;
  }
  return {result};
}

Results evaluate_window(Op op, const EvalQuery& q) {
  const Literal& x = q.operands[0];
  const Shape &from = x.type().shape, &to = q.types[0].shape;
  const bool empty_is_least = op == Op::WindowMax;
  const int64_t least = x.type().dtype == DType::I64  ? INT64_MIN
                        : x.type().dtype == DType::U8 ? 0
                        : x.type().dtype == DType::I8 ? INT8_MIN
                                                      : INT32_MIN;
  Literal result = filled(q.types[0], empty_is_least ? -std::numeric_limits<double>::infinity() : 0,
                          empty_is_least ? least : 0);
  switch (op) {
    case Op::WindowSum:
      for_each_covered(q.attributes, from, to, [&](int64_t window, int64_t element, int64_t) {
        accumulate(result, window, x, element);
      });
      break;
    case Op::WindowSpread:
      for_each_covered(q.attributes, to, from, [&](int64_t window, int64_t element, int64_t) {
        accumulate(result, element, x, window);
      });
      break;
    case Op::WindowMax: {
      const Largest best = largest(q);
      for (int64_t i = 0; i < result.num_elements(); ++i) {
        if (best.element[i] < 0) continue;
        if (x.is_float())
          result.set(i, x.real(best.element[i]));
        else
          result.set_int(i, x.integer(best.element[i]));
      }
      break;
    }
    case Op::WindowArgMax: {
      const Largest best = largest(q);
      for (int64_t i = 0; i < result.num_elements(); ++i) result.set_int(i, best.position[i]);
      break;
    }
    case Op::WindowScatter:
      for_each_covered(q.attributes, to, from, [&](int64_t window, int64_t element, int64_t position) {
        if (q.operands[1].integer(window) == position) accumulate(result, element, x, window);
      });
      break;
    case Op::WindowGather:
      for_each_covered(q.attributes, from, to, [&](int64_t window, int64_t element, int64_t position) {
        if (q.operands[1].integer(window) == position) accumulate(result, window, x, element);
      });
      break;
    default:
      NNCC_UNREACHABLE("not a window");
  }
  return {result};
}

}  // namespace nncc
