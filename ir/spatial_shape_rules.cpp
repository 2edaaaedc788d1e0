#include <algorithm>

#include "ir/convolution.h"
#include "ir/spatial_rules.h"

namespace nncc {
namespace {

using Types = std::vector<TensorType>;

bool all_at_least(const std::vector<int64_t>& list, int64_t least) {
  return std::all_of(list.begin(), list.end(), [&](int64_t e) { return e >= least; });
}

// The ranks of x (and y) and of w.
std::pair<int, int> ranks(const TensorType& image, ConvLayout layout) {
  if (layout == ConvLayout::ChannelsFirst) return {std::max(3, image.rank()), std::max(3, image.rank())};
  return {4, layout == ConvLayout::Packed ? 5 : 3};
}

}  // namespace

Types convolution_types(Op op, std::span<const TensorType> operands, const Attributes& attributes,
                        const TensorType& wanted, std::string& error) {
  const auto fail = [&](std::string message) {
    error = std::move(message);
    return Types{};
  };
  for (const TensorType& type : operands)
    if (!is_float(type.dtype) || type.dtype != wanted.dtype)
      return fail("operands and result are not floats of one element type");
  const auto [kind, layout] = *convolution_form(op);
  const bool by_weight = kind == ConvKind::WeightGradient;
  const TensorType& weight = by_weight ? wanted : operands[1];
  const TensorType& other = by_weight ? operands[1] : wanted;
  const auto [image_rank, weight_rank] = ranks(operands[0], layout);
  if (operands[0].rank() != image_rank || other.rank() != image_rank || weight.rank() != weight_rank)
    return fail("images of rank " + std::to_string(image_rank) + " and weights of rank " +
                std::to_string(weight_rank) + " are expected");
  const size_t axes = layout == ConvLayout::ChannelsFirst ? image_rank - 2 : 2;
  for (const Attr attr : {Attr::Strides, Attr::Low, Attr::Dilation}) {
    const auto& list = attributes.integers(attr);
    if (list.size() != axes)
      return fail("`" + std::string(attr_name(attr)) + "` has " + std::to_string(list.size()) +
                  " elements, expected " + std::to_string(axes));
    if (!all_at_least(list, attr == Attr::Low ? 0 : 1))
      return fail("`" + std::string(attr_name(attr)) + "` is too small");
  }
  if (layout != ConvLayout::Depthwise && attributes.integer(Attr::Groups) < 1)
    return fail("`groups` is not above 0");
  const Convolution conv = convolution(op, operands, wanted, attributes);
  if (conv.in_channels % conv.groups != 0 || conv.out_channels % conv.groups != 0)
    return fail("`groups` does not divide the channels");
  Shape expected;
  switch (conv.layout) {
    case ConvLayout::ChannelsFirst:
      expected = {conv.out_channels, conv.in_per_group()};
      expected.insert(expected.end(), conv.window.begin(), conv.window.end());
      break;
    case ConvLayout::Packed:
      expected = {conv.groups * conv.panels_per_group(), conv.window[0],
                  conv.kind == ConvKind::InputGradient ? conv.out_per_group() : conv.in_per_group(),
                  conv.window[1], conv.lanes};
      break;
    case ConvLayout::Depthwise:
      expected = {conv.window[0], conv.window[1], conv.in_channels};
      break;
  }
  if (weight.shape != expected)
    return fail("the weight is " + weight.str() + ", expected " + TensorType{weight.dtype, expected}.str());
  if (operands[0].shape[0] != other.shape[0] ||
      (conv.layout == ConvLayout::Depthwise && conv.in_channels != conv.out_channels))
    return fail(operands[0].str() + " and " + other.str() + " do not fit each other");
  return {wanted};
}

Types window_types(Op op, std::span<const TensorType> operands, const Attributes& attributes,
                   const TensorType& wanted, std::string& error) {
  const auto fail = [&](std::string message) {
    error = std::move(message);
    return Types{};
  };
  const TensorType& x = operands[0];
  for (const Attr attr : {Attr::Sizes, Attr::Strides, Attr::Low}) {
    const auto& list = attributes.integers(attr);
    if (static_cast<int>(list.size()) != x.rank())
      return fail("`" + std::string(attr_name(attr)) + "` has " + std::to_string(list.size()) +
                  " elements, expected " + std::to_string(x.rank()));
    if (!all_at_least(list, attr == Attr::Low ? 0 : 1))
      return fail("`" + std::string(attr_name(attr)) + "` is too small");
  }
  if (num_elements(attributes.integers(Attr::Sizes)) > INT32_MAX) return fail("the window is too large");
  if (x.dtype == DType::Bool) return fail("operand 0 is " + x.str() + ", expected numbers");
  if (wanted.rank() != x.rank())
    return fail("the result " + wanted.str() + " has another rank than " + x.str());
  const DType dtype = op == Op::WindowArgMax ? DType::I32 : x.dtype;
  if (wanted.dtype != dtype)
    return fail("the result is " + wanted.str() + ", expected elements of " + std::string(dtype_name(dtype)));
  if (operands.size() == 2) {
    const TensorType position{DType::I32, op == Op::WindowScatter ? x.shape : wanted.shape};
    if (operands[1] != position)
      return fail("operand 1 is " + operands[1].str() + ", expected " + position.str());
  }
  return {wanted};
}

}  // namespace nncc
