#!/usr/bin/env python3
"""Writes image_layers.txt: what PyTorch makes of the layers for images, in double precision, with their gradients.

A case is the line `case CALL | SHAPE of x` and lines of a word (and the name of a variable) and numbers:
  x           the input
  set V       the value of a variable before the runs
  inference   the layer's result outside of training
  training    the result in training
  seed        s: the gradients are those of sum(s * result in training)
  gradient    by x
  weight V    by the variable
  state V     the value of the variable after the step
Needs PyTorch. Usage: python3 image_layers.py > image_layers.txt
"""
import torch
import torch.nn.functional as F

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)


def numbers(tensor):
    return " ".join(f"{v:.10g}" for v in tensor.detach().reshape(-1).tolist())


def random(shape):
    """Numbers that two decimals write down exactly."""
    return torch.round(torch.randn(shape), decimals=2)


def case(call, shape, layer, weights=None, states=None):
    """weights, states: variable -> shape. layer(x, variables, training) -> y; it may change states in place."""
    x = random(shape).requires_grad_()
    variables = {name: random(s).requires_grad_() for name, s in (weights or {}).items()}
    for name, s in (states or {}).items():
        variables[name] = random(s).abs() + 0.5
    print(f"case {call} | {', '.join(map(str, shape))}")
    print("x", numbers(x))
    for name, value in variables.items():
        print("set", name, numbers(value))
    print("inference", numbers(layer(x, variables, False)))
    y = layer(x, variables, True)
    seed = random(y.shape)
    print("training", numbers(y))
    print("seed", numbers(seed))
    (seed * y).sum().backward()
    print("gradient", numbers(x.grad))
    for name in weights or {}:
        print("weight", name, numbers(variables[name].grad))
    for name in states or {}:
        print("state", name, numbers(variables[name]))


def same(x, kernel, stride, dilation=(1, 1)):
    """Pads such that the extents become ceil(n / stride), an odd element at the end."""
    widths = []
    for n, k, s, d in reversed(list(zip(x.shape[2:], kernel, stride, dilation))):
        total = max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
        widths += [total // 2, total - total // 2]
    return F.pad(x, widths)


def conv(call, shape, weight, run):
    name = call.split("(")[0]
    case(call, shape, lambda x, v, _: run(x, v[f"f.{name}.weight"], v[f"f.{name}.bias"]),
         {f"f.{name}.weight": weight, f"f.{name}.bias": [weight[1 if name == "conv2d_transpose" else 0]]})


conv("conv2d(x, 4, kernel = 3)", [2, 3, 5, 4], [4, 3, 3, 3], F.conv2d)
conv("conv2d(x, 4, kernel = 3, stride = 2, padding = 1)", [2, 3, 6, 5], [4, 3, 3, 3],
     lambda x, w, b: F.conv2d(x, w, b, 2, 1))
conv("conv2d(x, 2, kernel = [3, 2], stride = [2, 1], padding = [1, 2], dilation = [1, 3])", [1, 2, 6, 5], [2, 2, 3, 2],
     lambda x, w, b: F.conv2d(x, w, b, (2, 1), (1, 2), (1, 3)))
conv("conv2d(x, 6, kernel = 3, padding = 1, groups = 2)", [2, 4, 4, 4], [6, 2, 3, 3],
     lambda x, w, b: F.conv2d(x, w, b, 1, 1, 1, 2))
conv("conv2d(x, 2, kernel = 2, padding = [1, 0, 2, 1])", [1, 2, 4, 3], [2, 2, 2, 2],
     lambda x, w, b: F.conv2d(F.pad(x, (2, 1, 1, 0)), w, b))
conv("conv2d(x, 2, kernel = [4, 3], stride = 2, padding = \"same\")", [1, 2, 7, 6], [2, 2, 4, 3],
     lambda x, w, b: F.conv2d(same(x, (4, 3), (2, 2)), w, b, 2))
conv("conv2d(x, 2, kernel = 3, padding = \"same\", dilation = 2)", [1, 2, 5, 4], [2, 2, 3, 3],
     lambda x, w, b: F.conv2d(same(x, (3, 3), (1, 1), (2, 2)), w, b, 1, 0, 2))
conv("conv1d(x, 3, kernel = 3, stride = 2, padding = 1, dilation = 2)", [2, 2, 9], [3, 2, 3],
     lambda x, w, b: F.conv1d(x, w, b, 2, 1, 2))
conv("depthwise_conv2d(x, 3, multiplier = 2, padding = 1, stride = 2)", [2, 3, 5, 4], [6, 1, 3, 3],
     lambda x, w, b: F.conv2d(x, w, b, 2, 1, 1, 3))
case("separable_conv2d(x, 5, 3, padding = 1)", [1, 3, 4, 4],
     lambda x, v, _: F.conv2d(F.conv2d(x, v["f.separable_conv2d.depthwise.weight"],
                                       v["f.separable_conv2d.depthwise.bias"], 1, 1, 1, 3),
                              v["f.separable_conv2d.pointwise.weight"], v["f.separable_conv2d.pointwise.bias"]),
     {"f.separable_conv2d.depthwise.weight": [3, 1, 3, 3], "f.separable_conv2d.depthwise.bias": [3],
      "f.separable_conv2d.pointwise.weight": [5, 3, 1, 1], "f.separable_conv2d.pointwise.bias": [5]})

conv("conv2d_transpose(x, 3, kernel = 4, stride = 2, padding = 1)", [2, 2, 3, 4], [2, 3, 4, 4],
     lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1))
conv("conv2d_transpose(x, 2, kernel = 3, stride = 2, padding = 1, output_padding = 1)", [1, 3, 3, 4], [3, 2, 3, 3],
     lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1))
conv("conv2d_transpose(x, 2, kernel = [2, 3], stride = [3, 2], padding = [0, 1], output_padding = [2, 0])", [1, 3, 3, 4],
     [3, 2, 2, 3], lambda x, w, b: F.conv_transpose2d(x, w, b, (3, 2), (0, 1), (2, 0)))
conv("conv2d_transpose(x, 2, kernel = 4, stride = 2, padding = \"same\")", [1, 2, 3, 3], [2, 2, 4, 4],
     lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1))
conv("conv2d_transpose(x, 2, kernel = 2, padding = [0, 1, 1, 0])", [1, 2, 3, 3], [2, 2, 2, 2],
     lambda x, w, b: F.conv_transpose2d(x, w, b)[:, :, :-1, 1:])

for call, shape, run in [
    ("max_pool(x, 2)", [2, 2, 5, 4], lambda x: F.max_pool2d(x, 2)),
    ("max_pool(x, 3, stride = 2, padding = 1)", [1, 2, 6, 5], lambda x: F.max_pool2d(x, 3, 2, 1)),
    ("max_pool(x, [2, 3], stride = [1, 2])", [1, 2, 4, 5], lambda x: F.max_pool2d(x, (2, 3), (1, 2))),
    ("max_pool(x, 3, stride = 2)", [2, 2, 7], lambda x: F.max_pool1d(x, 3, 2)),
    ("max_pool(x, 2)", [1, 2, 2, 4, 4], lambda x: F.max_pool3d(x, 2)),
    ("avg_pool(x, 2)", [2, 2, 5, 4], lambda x: F.avg_pool2d(x, 2)),
    ("avg_pool(x, 3, stride = 2, padding = 1)", [1, 2, 6, 5],
     lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)),
    ("global_avg_pool(x)", [2, 3, 3, 2], lambda x: x.mean((2, 3))),
    ("global_max_pool(x)", [2, 3, 3, 2], lambda x: x.amax((2, 3))),
    ("flatten(x)", [2, 3, 2, 2], lambda x: x.flatten(1)),
    ("maxout(x, 2)", [2, 3, 4], lambda x: x.reshape(2, 3, 2, 2).amax(-1)),
    ("upsample(x)", [2, 2, 3, 2], lambda x: F.interpolate(x, scale_factor=2)),
    ("upsample(x, [1, 3])", [1, 2, 3, 2], lambda x: F.interpolate(x, scale_factor=(1, 3))),
    ("upsample(x, 2, mode = \"bilinear\")", [2, 2, 3, 4],
     lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)),
    ("upsample(x, [3, 4], mode = \"bilinear\")", [1, 2, 1, 3],
     lambda x: F.interpolate(x, scale_factor=(3, 4), mode="bilinear", align_corners=False)),
]:
    case(call, shape, lambda x, v, _: run(x))

for shape in ([5, 3], [4, 2, 3], [3, 2, 2, 3], [2, 2, 2, 1, 3]):
    c = [shape[1]]
    case("batch_norm(x)", shape,
         lambda x, v, training: F.batch_norm(x, v["f.batch_norm.mean"], v["f.batch_norm.variance"],
                                             v["f.batch_norm.scale"], v["f.batch_norm.offset"], training),
         {"f.batch_norm.scale": c, "f.batch_norm.offset": c}, {"f.batch_norm.mean": c, "f.batch_norm.variance": c})
case("batch_norm(x, momentum = 0.25, eps = 0.5)", [3, 2, 2, 3],
     lambda x, v, training: F.batch_norm(x, v["f.batch_norm.mean"], v["f.batch_norm.variance"],
                                         v["f.batch_norm.scale"], v["f.batch_norm.offset"], training, 0.25, 0.5),
     {"f.batch_norm.scale": [2], "f.batch_norm.offset": [2]}, {"f.batch_norm.mean": [2], "f.batch_norm.variance": [2]})
case("layer_norm(x)", [2, 3, 4],
     lambda x, v, _: F.layer_norm(x, [4], v["f.layer_norm.scale"], v["f.layer_norm.offset"]),
     {"f.layer_norm.scale": [4], "f.layer_norm.offset": [4]})
case("rms_norm(x)", [2, 3, 4], lambda x, v, _: F.rms_norm(x, [4], v["f.rms_norm.scale"], 1e-5),
     {"f.rms_norm.scale": [4]})
case("group_norm(x, groups = 2)", [2, 4, 3, 2],
     lambda x, v, _: F.group_norm(x, 2, v["f.group_norm.scale"], v["f.group_norm.offset"]),
     {"f.group_norm.scale": [4], "f.group_norm.offset": [4]})
case("instance_norm(x)", [2, 3, 3, 2],
     lambda x, v, _: F.instance_norm(x, None, None, v["f.instance_norm.scale"], v["f.instance_norm.offset"]),
     {"f.instance_norm.scale": [3], "f.instance_norm.offset": [3]})
case("prelu(x)", [2, 3, 2, 2], lambda x, v, _: F.prelu(x, v["f.prelu.slope"]), {"f.prelu.slope": [3]})
