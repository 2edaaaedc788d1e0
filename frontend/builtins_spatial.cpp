// Convolutions and windows over the spatial axes of images [n, c, ..s].
#include <algorithm>
#include <limits>

#include "frontend/builtins.h"

namespace nncc {

namespace {

// What kernels count in 32 bits: extents with their padding, and elements of a tensor.
constexpr int64_t kMost = std::numeric_limits<int32_t>::max();

struct Borders {
  std::vector<int64_t> before, after;
};

// How a window goes over an image; one number for each spatial axis.
struct Sweep {
  std::vector<int64_t> sizes, strides, dilation;
  Borders padding;
};

std::string numbers_for(size_t axes) {
  return axes == 1
             ? "an int or a list of 1 int, for the spatial axis of `x`"
             : "an int or a list of " + std::to_string(axes) + " ints, one for each spatial axis of `x`";
}

void check_range(const BuiltinCall& call, int argument, const std::vector<int64_t>& numbers, int64_t least) {
  const std::string name = "`" + call.builtin.parameters[argument].name + "` of `" + call.builtin.name + "`";
  for (const int64_t n : numbers) {
    if (n < least)
      throw OpError(name + " is at least " + std::to_string(least) + ", found " + std::to_string(n),
                    argument);
    if (n > kMost) throw OpError(name + " is too large: " + std::to_string(n), argument);
  }
}

// Numbers of 1 or more; an int counts for every axis.
std::vector<int64_t> one_for_each(const BuiltinCall& call, int argument, size_t axes) {
  std::vector<int64_t> result;
  if (call[argument].is_int()) {
    result.assign(axes, call[argument].integer());
  } else {
    const auto list = as_integers(call[argument]);
    if (!list || list->size() != axes) call.fail(argument, numbers_for(axes));
    result = *list;
  }
  check_range(call, argument, result, 1);
  return result;
}

// Numbers of 0 or more: an int, or [[before, after], ..].
Borders borders(const BuiltinCall& call, int argument, size_t axes) {
  Borders result;
  if (call[argument].is_int()) {
    result.before.assign(axes, call[argument].integer());
    result.after = result.before;
  } else {
    const std::string wanted = "an int or a list of " + count_text(axes, "pair") +
                               " [before, after], one for each spatial axis of `x`";
    if (!call[argument].is_list() || call[argument].elements().size() != axes) call.fail(argument, wanted);
    for (const AbstractValue& element : call[argument].elements()) {
      const auto pair = element.is_list() ? as_integers(element) : std::nullopt;
      if (!pair || pair->size() != 2) call.fail(argument, wanted);
      result.before.push_back((*pair)[0]);
      result.after.push_back((*pair)[1]);
    }
  }
  check_range(call, argument, result.before, 0);
  check_range(call, argument, result.after, 0);
  return result;
}

TensorValue image(const BuiltinCall& call, int argument) {
  const TensorValue x = call.tensor(argument);
  if (x.type.rank() < 3 || !is_float(x.type.dtype))
    call.fail(argument, "floats of rank 3 or more: [n, c, ..], with a spatial axis or more");
  return x;
}

// How many steps fit each spatial axis.
Shape steps(const Sweep& sweep, const Shape& image, int argument) {
  Shape result;
  for (size_t i = 0; i < sweep.sizes.size(); ++i) {
    const int64_t padded = sweep.padding.before[i] + image[i + 2] + sweep.padding.after[i];
    const int64_t size = sweep.sizes[i];
    const int64_t span = size > padded ? size : (size - 1) * sweep.dilation[i] + 1;  // no overflow
    const std::string axis = "axis " + std::to_string(i + 2) + " of `x`";
    if (padded > kMost)
      throw OpError(axis + " is too large with its padding: " + std::to_string(padded) + " elements");
    if (span > padded) {
      std::string window = "a window of " + count_text(size, "element");
      if (span > size)
        window +=
            ", " + std::to_string(sweep.dilation[i]) + " apart, which spans " + std::to_string(span) + ",";
      throw OpError(window + " does not fit " + axis + ", which has " + std::to_string(image[i + 2]) +
                        (padded > image[i + 2] ? ", with its padding " + std::to_string(padded) : ""),
                    argument);
    }
    result.push_back((padded - span) / sweep.strides[i] + 1);
  }
  return result;
}

// For axes 0 and 1, where a window goes from element to element.
std::vector<int64_t> on_every_axis(const std::vector<int64_t>& spatial, int64_t other) {
  std::vector<int64_t> result{other, other};
  result.insert(result.end(), spatial.begin(), spatial.end());
  return result;
}

AbstractValue conv(BuiltinCall& call) {
  enum { kX, kW, kStride, kPadding, kDilation, kGroups };
  const TensorValue x = image(call, kX), w = call.tensor(kW);
  if (w.type.rank() != x.type.rank())
    call.fail(kW, "a kernel [out, in, ..window] with as many axes as `x`, which is " + x.type.str());
  if (w.type.dtype != x.type.dtype)
    throw OpError("`conv` joins " + x.type.str() + " with " + w.type.str() + "; cast one of them");
  const size_t axes = x.type.rank() - 2;
  const Shape window(w.type.shape.begin() + 2, w.type.shape.end());
  const Sweep sweep{window, one_for_each(call, kStride, axes), one_for_each(call, kDilation, axes),
                    borders(call, kPadding, axes)};
  const int64_t groups = call.integer(kGroups);
  const int64_t channels = x.type.shape[1], out = w.type.shape[0], in = w.type.shape[1];
  check_range(call, kGroups, {groups}, 1);
  for (const auto& [count, whose] : {std::pair{channels, "channels of `x`"}, {out, "kernels of `w`"}})
    if (count % groups != 0)
      throw OpError("`groups` of `conv` is " + std::to_string(groups) + ", which does not divide the " +
                        std::to_string(count) + " " + whose,
                    kGroups);
  if (in != channels / groups)
    throw OpError("the kernels " + w.type.str() + " take " + count_text(in, "channel") + ", but `x` has " +
                      std::to_string(channels / groups) + (groups > 1 ? " in each group" : ""),
                  kW);
  Shape shape = steps(sweep, x.type.shape, kW);
  shape.insert(shape.begin(), {x.type.shape[0], out});
  check_shape(shape);
  return call.context.tensor(call.context.builder.add_typed(Op::Conv, {x.value, w.value},
                                                            {x.type.dtype, shape},
                                                            {{Attr::Strides, sweep.strides},
                                                             {Attr::Low, sweep.padding.before},
                                                             {Attr::Dilation, sweep.dilation},
                                                             {Attr::Groups, groups}}));
}

template <Op op>
AbstractValue window(BuiltinCall& call) {
  enum { kX, kSize, kStride, kPadding };
  const TensorValue x = image(call, kX);
  const size_t axes = x.type.rank() - 2;
  const auto sizes = one_for_each(call, kSize, axes);
  const auto strides = call[kStride].is_nothing() ? sizes : one_for_each(call, kStride, axes);
  const Sweep sweep{sizes, strides, std::vector<int64_t>(axes, 1), borders(call, kPadding, axes)};
  const Shape counts = steps(sweep, x.type.shape, kSize);
  check_shape(sizes, kSize);
  Shape shape{x.type.shape[0], x.type.shape[1]};
  shape.insert(shape.end(), counts.begin(), counts.end());
  check_shape(shape);
  return call.context.tensor(
      call.context.builder.add_typed(op, {x.value}, {x.type.dtype, shape},
                                     {{Attr::Sizes, on_every_axis(sizes, 1)},
                                      {Attr::Strides, on_every_axis(strides, 1)},
                                      {Attr::Low, on_every_axis(sweep.padding.before, 0)}}));
}

}  // namespace

std::vector<Builtin> spatial_builtins() {
  return {
      {"conv", "x, w, stride = 1, padding = 0, dilation = 1, groups = 1", conv},
      {"window_max", "x, size, stride = none, padding = 0", window<Op::WindowMax>},
      {"window_sum", "x, size, stride = none, padding = 0", window<Op::WindowSum>},
  };
}

}  // namespace nncc
