#!/usr/bin/env python3
"""The programs of test/interop/programs agree with PyTorch: what the documents say of the language and of the library, corner by corner.
Each is written twice, here from the same documents. What counts as agreement: see torch_agreement.py.

  test/interop/torch_own_programs.py --bin build/release/bin [--only gathers] [--steps 5]

Skipped, saying so (status 77), where torch, NumPy or safetensors is missing. Exit status 1 if anything disagrees.
"""
import math

from against_torch import Case, F, Rule, gru, ints, long, lstm, main, np, real, rnn, rng, torch

OWN = "test/interop/programs/"


# ---- rules, stages, schedules: from the tables of the library's documentation ----------------

def sgd(lr):
    def rule(w, g, s, t):
        return w - (lr(t) if callable(lr) else lr) * g
    return rule


def momentum(lr, beta):
    def rule(w, g, s, t):
        s["v"] = beta * s.get("v", 0) + g
        return w - lr * s["v"]
    return rule


def nesterov(lr, beta=0.9):
    def rule(w, g, s, t):
        s["v"] = beta * s.get("v", 0) + g
        return w - lr * (g + beta * s["v"])
    return rule


def adagrad(lr, eps):
    def rule(w, g, s, t):
        s["s"] = s.get("s", 0) + g ** 2
        return w - lr * g / (s["s"].sqrt() + eps)
    return rule


def rmsprop(lr, rho, eps):
    def rule(w, g, s, t):
        s["s"] = rho * s.get("s", 0) + (1 - rho) * g ** 2
        return w - lr * g / (s["s"].sqrt() + eps)
    return rule


def rmsprop_nesterov(lr, rho, beta, eps):
    def rule(w, g, s, t):
        s["s"] = rho * s.get("s", 0) + (1 - rho) * g ** 2
        u = g / (s["s"].sqrt() + eps)
        s["v"] = beta * s.get("v", 0) + u
        return w - lr * (u + beta * s["v"])
    return rule


def adadelta(lr=1.0, rho=0.95, eps=1e-6):
    def rule(w, g, s, t):
        s["s"] = rho * s.get("s", 0) + (1 - rho) * g ** 2
        u = s.get("u", torch.zeros_like(g))
        d = (u + eps).sqrt() / (s["s"] + eps).sqrt() * g
        s["u"] = rho * u + (1 - rho) * d ** 2
        return w - lr * d
    return rule


def moments(g, s, t, beta1, beta2):
    s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0) + (1 - beta2) * g ** 2
    return s["m"], (s["v"] / (1 - beta2 ** t)).sqrt()


def adam(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):
    def rule(w, g, s, t):
        rate = lr(t) if callable(lr) else lr
        w = w - rate * decay * w
        m, v = moments(g, s, t, beta1, beta2)
        return w - rate * (m / (1 - beta1 ** t)) / (v + eps)
    return rule


def adamax(lr, beta1=0.9, beta2=0.999, eps=1e-8):
    def rule(w, g, s, t):
        s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * g
        s["u"] = torch.maximum(beta2 * s.get("u", torch.zeros_like(g)), g.abs() + eps)
        return w - lr / (1 - beta1 ** t) * s["m"] / s["u"]
    return rule


def nadam(lr, beta1=0.9, beta2=0.999, eps=1e-8):
    def rule(w, g, s, t):
        m, v = moments(g, s, t, beta1, beta2)
        return w - lr * (beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1 ** t)) / (v + eps)
    return rule


def norm_of(gradients):
    return sum((g ** 2).sum() for g in gradients).sqrt()


def clip_norm(limit):
    return lambda ws, gs: [g * torch.clamp(limit / (norm_of(gs) + 1e-6), max=1) for g in gs]


def each(change):
    return lambda ws, gs: [change(w, g) for w, g in zip(ws, gs)]


def step_decay(t):
    return 0.3 * 0.1 ** ((t - 1) // 2)


def one_cycle(lr, steps):
    def half_cosine(a, b, t):
        return a + (b - a) * (1 - math.cos(math.pi * t)) / 2

    def at(t):
        s, u = t - 1, math.floor(0.3 * steps)
        return half_cosine(lr / 25, lr, s / u) if s < u else half_cosine(lr, lr / 250000, min(1, (s - u) / (steps - u)))
    return at


SCHEDULES = {
    "a": step_decay, "b": lambda t: 0.3 * 0.7 ** ((t - 1) / 3), "c": lambda t: 0.3 / (1 + 0.5 * (t - 1)), "d": lambda t: 0.02 + (0.15 - 0.02) * (1 - min(t - 1, 4) / 4) ** 2,
    "e": lambda t: 0.01 + (0.3 - 0.01) * (1 + math.cos(math.pi * min(t - 1, 5) / 5)) / 2, "f": lambda t: 0.3 * min(1, t / 3), "g": one_cycle(0.3, 8),
    "h": lambda t: 2 * (0.3 * min(1, t / 3) * (t / 4 - t // 4) + 0.01),
}


def perceptron(w, x, path):
    return w.dense(torch.tanh(w.dense(x, path + ".dense")), path + ".dense_1")


def every_rule(w, x, y):
    return [sum(F.mse_loss(perceptron(w, x, m + ".body"), y) for m in "abcdefghijk")]


def every_schedule(w, x, y):
    return [sum(F.mse_loss(w.dense(x, m + ".line.dense"), y) for m in "abcdefgh")]


def stages(w, x, y):
    return [20 * F.mse_loss(perceptron(w, x, m), y) for m in "abc"]


# ---- losses -----------------------------------------------------------------------------------

def every_loss(w, x, label, small, p, signs, weight):
    label, small = long(label), long(small)

    def all_of(none, total, average):
        share = weight.reshape([-1] + [1] * (none.dim() - 1))
        return (none * share).sum() + 0.01 * total.sum() + 0.3 * average.mean()

    def three(loss):
        v = loss()
        return all_of(v, v, v)
    y = w.dense(torch.tanh(w.dense(x, "f.dense")), "f.dense_1")
    z = w.dense(F.elu(w.dense(x, "g.dense")), "g.dense_1")
    t = z.detach()
    n = dict(reduction="none")
    first = three(lambda: F.mse_loss(y, t, **n)) + three(lambda: F.l1_loss(y, t, **n))
    sharp = F.huber_loss(y, t, delta=0.3, **n)
    first = first + all_of(sharp, sharp, F.huber_loss(y, t, **n)) + three(lambda: F.binary_cross_entropy(torch.sigmoid(y), p, **n))
    bce = F.binary_cross_entropy_with_logits
    first = first + all_of(bce(y, p, **n), bce(y, torch.ones_like(y), **n), bce(y, torch.zeros_like(y), **n))
    first = first + three(lambda: (1 - signs * y[..., 0]).clamp(min=0))

    flat, log_q = y.reshape(-1, 5), F.log_softmax(y, -1)

    def entropy(target, smoothing=0.0):
        return F.cross_entropy(flat, target.reshape(-1, 5) if target.dim() == 3 else target.reshape(-1), label_smoothing=smoothing, **n).reshape(y.shape[:2])
    second = all_of(entropy(label), entropy(label), entropy(p)) + all_of(entropy(small), entropy(p, 0.2), entropy(label, 0.1))
    second = second + all_of(entropy(label), entropy(small), entropy(p))

    def watkins(label):
        return (1 + y - y.gather(2, label[..., None])).clamp(min=0).sum(2) - 1
    second = second + all_of(watkins(label), watkins(small), watkins(label))
    back = (log_q.exp() * (log_q - p.log())).sum(-1)
    second = second + all_of((p * (p.log() - log_q)).sum(-1), back, back)

    r, u = z.flip(2), y.detach()
    third = three(lambda: -(1 + r - z ** 2 - r.exp()).sum(-1) / 2)

    def triplet(margin):
        return (((z - r) ** 2).sum(-1) - ((z - u) ** 2).sum(-1) + margin).clamp(min=0)
    third = third + all_of(triplet(0.5), triplet(1), triplet(1))
    same = (signs > 0).to(x.dtype)

    def contrastive(a, b, margin):
        d = ((a - b) ** 2).sum(-1).sqrt()
        return same * d ** 2 + (1 - same) * (margin - d).clamp(min=0) ** 2
    third = third + all_of(contrastive(z, u, 2), contrastive(z, u, 1), contrastive(z, r, 1))

    def cosine(a, b, margin):
        c = F.cosine_similarity(a, b, dim=-1)
        return torch.where(signs > 0, 1 - c, (c - margin).clamp(min=0))
    third = third + all_of(cosine(z, u, -0.2), cosine(z, u, 0), cosine(z, r, 0))
    return [first, second, third, first + second]


# ---- loops ------------------------------------------------------------------------------------

def rnn_cell(w, x, h, path):
    return torch.tanh(x @ w[path + ".weight_input"] + w[path + ".bias"] + h @ w[path + ".weight_hidden"])


def gru_cell(w, x, h, path):
    return torch._VF.gru_cell(x, h, w[path + ".weight_input"].T, w[path + ".weight_hidden"].T, w[path + ".bias"], w[path + ".bias_hidden"])


def nested_scans(w, text, y):
    n = text.shape[0]
    h, total, hs = w["reader.start"].expand(n, 6), torch.zeros(n), []
    for word in text.unbind(1):
        k, most, marks = torch.tanh(h), torch.full((n,), -2.0), []
        for letter in word.unbind(1):
            k = rnn_cell(w, letter, k, "reader.inner")
            most = torch.maximum(most, k[:, 0])
            marks.append(k * h)
        h = gru_cell(w, torch.cat([k, torch.stack(marks, 1).mean(1)], 1), h, "reader.outer")
        total = total + most
        hs.append(h * total[:, None])
    return [F.mse_loss(torch.stack(hs, 1) + total[:, None, None] * h[:, None], y)]


def reverse_scans(w, x, y, z):
    a = w.dense(x, "f.dense")
    n, t = x.shape[:2]
    h, k = torch.zeros(n, 4), torch.ones(n, 3)
    first, second = [None] * t, [None] * t
    for i in reversed(range(t)):
        h = torch.tanh(a[:, i] + w.dense(torch.cat([h, y[:, i] * k], 1), "f.dense_1"))
        k = torch.sigmoid(w.dense(h, "f.dense_2") + k * y[:, i])
        first[i], second[i] = h, k
    c, sums = torch.zeros(n, 4), []
    for s in first:
        c = 0.5 * c + s * s
        sums.append(c.mean(1))
    m, products = torch.ones(n, 3), []
    for s in second:
        m = m * s + 0.1
        products.append(m.mean(1))
    reward = torch.stack(sums, 1) + torch.stack(products, 1)
    running, returns = torch.zeros(n), [None] * t
    for i in reversed(range(t)):
        running = reward[:, i] + 0.9 * running
        returns[i] = running
    return [F.huber_loss(torch.stack(returns, 1) + h.sum(1, keepdim=True) * k.mean(), z)]


def scalar_scans(w, x, y, z):
    a, b = w["f.a"], w["f.b"]
    h, s = torch.zeros(()), []
    for v in x:
        h = a * h + v * 2
        s.append(h)
    total = h
    for _ in range(2):
        h, after = a, []
        for v, u in zip(s, x):
            h = torch.sin(h) + v * u
            after.append(h - v)
        s = after
    m, columns = b, []
    for c, v in zip(y.unbind(1), s):
        m = m * torch.cos(c) + v
        columns.append(m + total)
    return [F.mse_loss(torch.stack(columns, 1) + (b * y[:, 0])[:, None], z)]


# ---- indices and numbers ----------------------------------------------------------------------

def gathers(w, x, index, table, along, z):
    index, table, along = long(index), long(table), long(along)
    n = x.shape[0]
    wt = w["f.w"]
    y = x * wt
    a, b, c = y[:, index], y[:, table][:, 1], y[..., table[0]]
    d = y[:, index] * y[:, index.flip(0)]
    e = y.gather(1, along)
    g = wt.gather(0, wt.argmax(0, keepdim=True))
    spread = torch.zeros(n, 3, 5).index_add(0, table.reshape(-1)[:7] - 1, w["f.rows"])
    return [F.mse_loss(a + b.mean(1, keepdim=True) + c.mean() * d + e.sum(1, keepdim=True) * g + y[:, table[1, 2]][:, None] + spread, z)]


def doubles(w, x, z):
    def wide(x, path):
        return x @ w[path + ".weight"] + w[path + ".bias"]
    y = wide(torch.exp(torch.sin(wide(x, "f.wide"))), "f.wide_1")
    loss = F.mse_loss(y / (1 + y * y), z) + 1e-9
    return [loss, loss.float()]


def integers(w, x, a, b, c, u):
    y = w.dense(x, "f.dense")
    f = x.dtype
    a, b, c, u = (long(v) for v in (a, b, c, u))
    whole = a // 4 - (-a) // 3
    longer = b * 1000003 + whole * b
    narrow = c * u + c.clamp(min=-3)
    scale = whole.to(f) + 0.001 * (longer - longer // 1000 * 1000).to(f) + 0.01 * narrow.to(f)
    mask = F.one_hot(y.argmin(1), 5).to(f) + 0.5 * F.one_hot(y.argmax(1), 5).to(f)
    odd = a % 2 == 1
    loss = (y * y * scale[:, None] * 0.1).mean() + (y * mask).mean() + (torch.where(odd, 1.0, -2.0).to(f) * y[:, 2] ** 3).mean()
    third = ((odd & ~(c > 0)) | (u >= 7)).to(f).mean() + odd.sum()
    fourth = a.max().to(f) + b.sum().to(f) / 7 + ((u > 3).long() + 1).prod() + c.min()
    fifth = (x * 100).to(torch.int32).to(f).sum() + (torch.floor(x * 10) - torch.ceil(x * 7) + torch.round(x * 4)).sum() + float((u < 50).all() and (c < 0).any())
    return [loss, third, fourth, fifth]


# ---- images -----------------------------------------------------------------------------------

def same(x, kernel, stride=(1, 1), dilation=(1, 1), value=0.0):
    """Padded so that the extent becomes ceil(n / stride), an odd element at the end."""
    border = []
    for n, k, s, d in reversed(list(zip(x.shape[2:], kernel, stride, dilation))):
        total = max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
        border += [total // 2, total - total // 2]
    return F.pad(x, border, value=value)


def odd_convolutions(w, x, s, z):
    def weight(path):
        return w["f." + path + ".weight"], w.p.get("f." + path + ".bias")
    y = torch.tanh(F.conv2d(F.pad(x, (2, 1, 1, 0)), *weight("conv2d"), stride=(2, 1), groups=2))
    y = F.elu(F.conv2d(same(y, (3, 3), dilation=(2, 1)), *weight("conv2d_1"), dilation=(2, 1)))
    y = torch.tanh(F.conv2d(y, *weight("conv2d_2"), stride=(1, 3), padding=(0, 2), groups=2))
    v = F.conv2d(same(x, (2, 5), (2, 2)), *weight("depthwise_conv2d"), stride=2, groups=4)
    v = F.conv2d(v, *weight("separable_conv2d.depthwise"), padding=2, dilation=2, groups=8)
    v = torch.tanh(F.conv2d(v, *weight("separable_conv2d.pointwise")))
    strips = torch.tanh(F.conv1d(same(x[:, :, 3], (4,), (2,), (1,)), *weight("conv1d"), stride=2, groups=2))
    strips = F.conv1d(strips, *weight("conv1d_1"), dilation=2)
    solid = torch.tanh(F.conv3d(F.pad(s, (2, 0, 1, 1, 0, 1)), w["solid.w"], stride=(1, 2, 2), dilation=(2, 1, 1), groups=2))
    return [F.mse_loss(y.mean((2, 3)) + v.amax((2, 3)) + strips.mean(2) + solid.mean((2, 3, 4)), z)]


def transposed(w, x):
    y = torch.tanh(F.conv_transpose2d(x, w["f.conv2d_transpose.weight"], w["f.conv2d_transpose.bias"], stride=(2, 3), padding=(1, 0), output_padding=(1, 2)))
    y = F.conv_transpose2d(y, w["f.conv2d_transpose_1.weight"], stride=2)[:, :, 0:-1, 2:]
    small = F.conv_transpose2d(x, w["small.conv2d_transpose.weight"], w["small.conv2d_transpose.bias"], stride=3)
    return [torch.sin(y).mean() + (small ** 2).mean() + 0.1 * (y ** 3).mean()]


def windows(w, x):
    y = x * w["f.scale"]

    def mean_of_real(y, kernel, stride, border):
        ones = F.avg_pool2d(F.pad(torch.ones_like(y), border), kernel, stride)
        return F.avg_pool2d(F.pad(y, border), kernel, stride) / ones
    a = F.max_pool2d(y, 3, 2, 1)
    b = mean_of_real(y, (2, 3), (3, 1), (1, 1, 0, 1))
    c = F.max_pool2d(y, 2, 3)
    d = 6 * F.avg_pool2d(F.pad(y, (0, 1, 1, 2)), (3, 2), (2, 2))
    e = F.max_pool1d(F.pad(y[:, :, 0], (3, 1), value=-math.inf), 4, 2)
    g = F.avg_pool1d(y[..., 1], 3, padding=1, count_include_pad=False)
    h = F.max_pool3d(F.pad(y[:, :, :6].reshape(2, 3, 2, 3, 8), (1, 1, 0, 1, 0, 1), value=-math.inf), (2, 2, 3), 1)
    i = F.avg_pool2d(a, 2)
    f = (a * a).mean((2, 3)) + (b ** 3).mean((2, 3)) + c.mean((2, 3)) + 0.1 * d.amax((2, 3)) + e.mean(2) + g.amax(-1) + h.exp().mean((2, 3, 4)) + i.amax((2, 3))
    return [(f ** 2).mean()]


def image_norm_network(w, x):
    def batch_norm(x, path, momentum=0.1, eps=1e-5):
        return F.batch_norm(x, w[path + ".mean"], w[path + ".variance"], w[path + ".scale"], w[path + ".offset"], w.training, momentum, eps)

    def group_norm(x, path, groups, eps=1e-5):
        return F.group_norm(x, groups, w[path + ".scale"], w[path + ".offset"], eps)
    y = F.conv2d(batch_norm(x, "f.batch_norm", 0.3), w["f.conv2d.weight"], w["f.conv2d.bias"], padding=1, groups=3)
    y = F.relu(group_norm(y, "f.group_norm", 3)) + group_norm(x, "f.instance_norm", 6, 0.01)
    s = F.prelu(batch_norm(y.reshape(*y.shape[:2], -1), "f.batch_norm_1", eps=0.1), w["f.prelu.slope"])
    r = batch_norm(w.dense(s.mean(2), "f.dense"), "f.batch_norm_2")
    r = F.layer_norm(r, (6,), w["f.layer_norm.scale"], w["f.layer_norm.offset"])
    r = F.rms_norm(F.prelu(r, w["f.prelu_1.slope"]), (6,), w["f.rms_norm.scale"], 0.001)
    return group_norm(r, "f.group_norm_1", 2)


def image_norms(w, x, z):
    return [F.mse_loss(image_norm_network(w, x), z)]


def activations(w, x):
    y = 2 * (w.dense(x, "f.dense") + 0.5 * F.prelu(3 * x, w["f.prelu.slope"]))
    a = F.relu(y) + F.relu6(3 * y) + F.leaky_relu(y) + F.leaky_relu(y, 0.3) + F.elu(y) + F.elu(y, 0.5) + F.selu(y)
    b = F.gelu(y) + F.gelu(y, approximate="tanh") + F.silu(y) + F.mish(y) + F.softplus(y, threshold=1e9) + torch.logaddexp(100 * y, torch.zeros_like(y)) + F.softsign(y)
    # Not F.hardsigmoid: its gradient in double precision is 1 / 6 in single precision.
    c = F.hardtanh(y) + F.relu6(2 * y + 3) / 6 + F.hardswish(2 * y) + torch.sigmoid(y) + torch.tanh(y)

    def maxout(y):
        return y.reshape(*y.shape[:-1], 2, 2).amax(-1)
    e = F.softmax(y, -1) * F.log_softmax(y, -1) + F.softmax(y, 1) - 0.1 * F.log_softmax(y, 0)
    return [torch.sin(a).mean() + (b * b).mean() * 0.01 + (c ** 3).mean() * 0.1 + (maxout(y) * maxout(y.flip(-1))).mean() + e.mean(), F.softmax(50 * y - 1000, -1).mean()]


# ---- functions, recurrences, second derivatives -------------------------------------------------

def snake(x, a=1.0):
    return x + torch.sin(a * x) ** 2 / a


def lists_and_functions(w, x, y, z):
    def bottleneck(x, path, units):
        if units >= 4:
            return w.dense(torch.tanh(w.dense(x, path + ".dense")), path + ".dense_1")
        return w.dense(x, path + ".dense") if units == 3 else x * units
    h = x
    for i in range(3):
        h = snake(w.dense(h, "f.stack_of.dense" + (f"_{i}" if i else "")), 2.5)
    u = x
    for i in range(2):
        u = F.relu(w.dense(u, "f.stack_of_1.dense" + (f"_{i}" if i else "")))
    v = torch.maximum(u, 0.1 * u)
    u = snake(v)
    h = h + 0.5 * bottleneck(h, "f.residual.bottleneck", 5)
    u = u + bottleneck(u, "f.residual_1.bottleneck", 3)
    h, v = h, h.flip(1)
    for c in [2, 3, 2]:
        u = u + (1 / c * u + 0.25 * u ** 2) * 0.1
    b = F.pad(u[:, :2] + u[:, :2] * 2, (0, 1), value=0.25)
    return [F.mse_loss(h - 0.5 * v, y) + F.mse_loss(b, z), torch.tensor(6.5)]


def recurrent(w, x, y):
    a = rnn(w, "f.rnn_1", rnn(w, "f.rnn", x), reverse=True)
    b = gru(w, "f.gru_1", gru(w, "f.gru", x), reverse=True)

    def both(kernel, path, x):
        return torch.cat([kernel(w, path + ".forward", x), kernel(w, path + ".backward", x, reverse=True)], -1)
    m = both(rnn, "f.bidirectional_2", both(gru, "f.bidirectional_1", both(lstm, "f.bidirectional", x)))
    h, c, g, d = torch.zeros(3, 5), torch.ones(3, 5), torch.zeros(3, 5), []
    p = "f.lstm_cell"
    for s in x.unbind(1):
        h, c = torch._VF.lstm_cell(s, (h, c), w[p + ".weight_input"].T, w[p + ".weight_hidden"].T, w[p + ".bias"], torch.zeros(20))
        g = gru_cell(w, h, g, "f.second")
        d.append(rnn_cell(w, c, g, "f.rnn_cell"))
    e = torch.cat([a, b, torch.stack(d, 1)[..., :3]], -1)
    return [F.mse_loss(torch.cat([h, c], 1)[:, None] + e + m.mean(-1, keepdim=True), y)]


def second_derivatives(w, x, image, index, direction):
    def grad(y, x):
        return torch.autograd.grad(y, x, create_graph=True)[0]
    x, image = x.clone().requires_grad_(True), image.clone().requires_grad_(True)
    h, hs = torch.zeros(3, 4), []
    for s in reversed(x.unbind(1)):
        i = s @ w["path.gru_cell.weight_input"] + w["path.gru_cell.bias"]
        j = h @ w["path.gru_cell.weight_hidden"] + w["path.gru_cell.bias_hidden"]
        (ir, iz, i_n), (jr, jz, jn) = i.chunk(3, 1), j.chunk(3, 1)
        z = torch.sigmoid(iz + jz)
        h = (1 - z) * torch.tanh(i_n + torch.sigmoid(ir + jr) * jn) + z * h
        hs.append(h * h)
    y = h + torch.stack(hs, 1).mean(1)
    slope = grad((y ** 3).sum(), x)
    product = grad((slope * direction).sum(), x)
    v = w["inner.w"]
    g = grad(((y @ v - 1) ** 2).mean(), v)
    a = (slope ** 2).mean() + product.abs().mean() + (torch.tanh(y @ (v - 0.5 * g)) ** 2).mean()
    q = F.softplus(F.conv2d(image, w["picture.conv2d.weight"], w["picture.conv2d.bias"], padding=1, stride=2))
    q = F.conv_transpose2d(F.avg_pool2d(q, 2), w["picture.conv2d_transpose.weight"], w["picture.conv2d_transpose.bias"], stride=2)
    q = torch.sigmoid(q).mean((2, 3))
    b = (grad(q.exp().sum(), image) ** 2).mean() * 1000 + q.mean()
    rows = w["table.embedding.weight"][long(index)].sum(1)
    p = F.softmax(w.dense(F.layer_norm(rows, (6,), w["table.layer_norm.scale"], w["table.layer_norm.offset"]), "table.dense"), 1)
    loss = -torch.log(p[:, 2]).mean()
    c = (grad(loss, p) ** 2).sum() + (grad(loss * loss, p)[:, 2] ** 3).mean()
    return [a, b, c]


def partial_training(w, x, y):
    def two(x, path):
        return w.dense(torch.tanh(w.dense(x, path + ".dense")), path + ".out")

    def lower(x):
        return two(x, "lower.two") * w["lower.gain"] + two(x, "lower.again")

    def l1(*paths):
        return sum(p.abs().sum() for p in w.of(*paths) if p.dim() > 1)

    def l2(*paths):
        return sum((p ** 2).sum() / 2 for p in w.of(*paths) if p.dim() > 1)
    u = w.dense(w.dense(torch.tanh(w.dense(lower(lower(x)), "upper.dense")), "upper.dense_1"), "upper.dense_2")
    v = w.dense(lower(x).detach() + 0.1 * x, "side.dense")
    first = F.mse_loss(u, y) + 0.1 * l2("upper") + 0.05 * l1("lower.two") + 0.03 * l2("upper.dense_1")
    second = F.mse_loss(v, u) + 0.01 * l1("side") + (lower(x) ** 2).mean()
    return [first, second, 0.1 * (u * v).mean() + F.mse_loss(lower(x), x)]


def slices(w, x):
    y = x * w["f.w"]
    p = y[1:3, [5, 3, 1], 1] * y[-2:, [5, 3, 1], -1]
    q = y[..., 0] + y[:, 2, 4:5] - y[0, :, 1]
    r, s, t = y.chunk(3, 1)
    joined = torch.cat([r, t.flip(1), s.flip(-1)], -2)
    turned = torch.stack([joined, y, -y], -1).permute(2, 0, 3, 1)
    padded = F.pad(turned, (3, 1, 0, 0, 0, 2, 1, 0), value=0.5)
    a = p.mean() + (q ** 2).mean() + (padded[:, :, ::2] ** 3).mean() + (turned.reshape(-1, 9)[:, 4:6] * 2).mean()
    wide = y[:1, :, :1].expand(2, 6, 5) + y.mean()
    m = y @ y.transpose(1, 2) / 5 - y[0] @ y[1].T
    b = (wide * wide).mean() + (-(m ** 2) * 0.5).mean() - m.mean() ** 4 + 0.5
    inside = ((y > -0.5) & (y <= 0.5)) | (y == 0)
    c = torch.where(inside, y, torch.sign(y) * 0.5).mean() + inside.to(y.dtype).mean() + 1 + torch.where(y[:, :1] < y, y, 0).abs().mean()
    d = 0.01 * y.sum((0, -1)).prod() + y.amax((0, 2), keepdim=True).mean() * 2 - torch.minimum(y.clamp(min=-0.1), (y.detach() / 2 + 0.1).mean())[0, 0, 0]
    c = c + d + 3
    return [a, b, c, a + b + c]


def kinks(w, x):
    # Where PyTorch's rules are others, the gradient is written out: a straight-through sum of the value and a product with it.
    y = x * w["f.w"]

    def with_slope(value, *pairs):
        z = sum((s.detach() * v).sum() for v, s in pairs)
        return value.detach() + z - z.detach()

    def shared(y, dims, largest):
        best = y.amax(dims, keepdim=True) if largest else y.amin(dims, keepdim=True)
        equal = (y == best).to(y.dtype)
        return best.detach() + ((equal / equal.sum(dims, keepdim=True)).detach() * (y - y.detach())).sum(dims, keepdim=True)

    def pick(u, v, largest):
        ahead = (u > v) if largest else (u < v)
        s = ahead.to(y.dtype) + 0.5 * (u == v).to(y.dtype)
        return (torch.maximum(u, v) if largest else torch.minimum(u, v)).detach() + s * (u - u.detach()) + (1 - s) * (v - v.detach())
    n = torch.arange(1, 5).to(y.dtype)
    k = torch.arange(1, 7).to(y.dtype)
    a = shared(y, (1,), True)[:, 0] * n + shared(y, (1,), False)[:, 0] + shared(y, (0, 1), True)[0, 0] - 2 * shared(y, (0, 1), False)[0, 0]
    b = pick(y, y.flip(1), True) * 3 - pick(y, torch.ones_like(y), False) + pick(y, torch.zeros_like(y), True) * 0.5

    def left(value, slope):                                # the derivative at a kink is the one of the left side
        return value.detach() + slope.to(y.dtype) * (y - y.detach())
    c = F.relu(y) + 2 * y.abs() + torch.sign(y) * y + F.leaky_relu(y, 0.2) + left(F.elu(y), torch.where(y > 0, 1, y.exp()))
    c = c + left(F.hardtanh(y), (y > -1) & (y < 1)) + left(F.relu6(6 * y), 6.0 * ((y > 0) & (y < 1))) + left(F.relu6(3 * y + 3) / 6, 0.5 * ((y > -1) & (y < 1)))
    d = F.max_pool1d(y[None], 2, 2) + F.max_pool1d(y.flip(1)[None], 2, 2)
    safe = torch.where(y > 0, y, torch.ones_like(y))
    e = torch.where(y > 0, y, torch.zeros_like(y)) / torch.where(y > 0, safe.sqrt(), torch.ones_like(y))
    return [a.mean() + (b * k).mean() + (c * k).mean() + (d ** 2).mean() + e.mean() + shared(y, (0,), False).mean() + 0.1 * (y ** 2).mean()]


def factored(lr, beta=0.8):
    def rule(w, g, s, t):
        if w.dim() == 2:
            s["row"] = beta * s.get("row", 0) + (1 - beta) * (g * g).mean(1)
            s["column"] = beta * s.get("column", 0) + (1 - beta) * (g * g).mean(0)
            v = s["row"][:, None] * s["column"] / s["row"].mean()
            return w - lr * g / ((v / (1 - beta ** t)).sqrt() + 0.01)
        s["v"] = beta * s.get("v", torch.ones_like(w)) + (1 - beta) * g * g
        return w - lr * g / (s["v"].sqrt() + 0.01)
    return rule


def lamb(lr):
    def rms(x):
        return ((x * x).mean() + 1e-12).sqrt()

    def rule(w, g, s, t):
        m, v = moments(g, s, t, 0.9, 0.99)
        update = m / (1 - 0.9 ** t) / (v + 0.01) + 0.1 * w
        return w - lr * (rms(w) + 0.1) / (rms(update) + 0.1) * update
    return rule


def lookahead(rule, every, share=0.5):
    def whole(w, g, s, t):
        v = rule(w, g, s, t)
        if t == 1:
            s["slow"] = v
        if t % every == 0:
            s["slow"] = v = s["slow"] + share * (v - s["slow"])
        return v
    return whole


def normalized(limit):
    return lambda ws, gs: [g / (norm_of(gs) + 0.01) * torch.clamp(norm_of(ws), max=limit) for g in gs]


def own_optimizers(w, x, y):
    return [F.mse_loss(perceptron(w, x, m), y) for m in "abc"]


def memory(w, x, y):
    p = "step_of.centered."

    def step_of(x):
        h, center, calls = w.states["step_of.h"], w.states[p + "center"], w.states[p + "calls"] + 1
        before = center
        center = 0.8 * center + 0.2 * x.mean(0)
        c = x - center + 0.1 * before + 0.01 * calls
        w.states[p + "center"], w.states[p + "calls"] = center, calls
        h = torch.tanh(w.dense(torch.cat([c, h], 1), "step_of.dense"))
        w.states["step_of.h"] = h.detach()
        return h
    first, second = step_of(x), step_of(2 * x)
    return [F.mse_loss(first, y) + F.mse_loss(second, -y), (second ** 2).mean()]


def masked_attention(w, x, y, mask, z):
    b, t, u = 2, 5, 7

    def heads(x, path, n, d):
        return w.dense(x, path).reshape(x.shape[0], x.shape[1], n, d).transpose(1, 2)

    def multi(x, path, n, causal):
        q, k, v = (heads(x, f"{path}.{name}", n, 8 // n) for name in ("query", "key", "value"))
        return w.dense(F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).reshape(b, t, 8), path + ".output")
    q, k, v = heads(x, "cross.q", 2, 4), heads(y, "cross.k", 2, 4), heads(y, "cross.v", 2, 3)
    later = torch.arange(t)[:, None] + (u - t) >= torch.arange(u)     # the last query sees all
    plain = F.scaled_dot_product_attention(q, k, v) + F.scaled_dot_product_attention(q, k, v, attn_mask=later)
    offset = torch.arange(t)[:, None] - torch.arange(u) + (u - 1)
    score = q @ k.transpose(2, 3) / 2 + w["cross.distance"][offset].permute(2, 0, 1)
    own = 2 * F.softmax(score.masked_fill(~mask, -math.inf), -1) @ v
    y = (plain + own).transpose(1, 2).reshape(b, t, 6)
    path = "cross.multi_head_attention"
    return [F.mse_loss(x + w.dense(y, "cross.dense") + multi(x, path, 4, False) + multi(x, "cross.causal", 2, True), z)]


def metrics(w, x, label, flag, none, tied):
    z = w.dense(x, "f.dense")
    label, none = long(label), long(none)
    best = z.argmax(1)

    def counts(p, a):
        return float((p & a).sum()), float((p & ~a).sum()), float((a & ~p).sum())

    def precision(p, a):
        hit, false_alarm, _ = counts(p, a)
        return hit / max(hit + false_alarm, 1)

    def recall(p, a):
        hit, _, missed = counts(p, a)
        return hit / max(hit + missed, 1)

    def f1(p, a):
        p, r = precision(p, a), recall(p, a)
        return 2 * p * r / (p + r) if p + r else 0.0

    def top(z, label, k):
        return float((z.topk(k, 1).indices == label[:, None]).any(1).to(torch.float64).mean())
    classes = [(best == c, label == c) for c in range(6)]
    shares = [float((p & a).sum()) / float((p | a).sum()) for p, a in classes if (p | a).any()]
    order = [sorted(range(6), key=lambda j: (-float(row[j]), j)) for row in tied]
    ties = sum(int(l) in o[:2] for l, o in zip(label, order)) / 12 + sum(int(l) == o[0] for l, o in zip(label, order)) / 12
    values = [top(z, label, 1), top(z, label, 3), top(z, label, 1), precision(best == 2, label == 2) + precision(torch.sigmoid(z[:, 0]) > 0.5, flag > 0.5),
              recall(best == 1, label == 1) + recall(z[:, 1] > 0.5, flag > 0.5), f1(best == 3, label == 3) + f1(z[:, 2] > 0, flag > 0.5), 0.0 + recall(label == 5, none == 5), sum(shares) / len(shares), ties]
    return [F.cross_entropy(z, label)] + [torch.tensor(v) for v in values]


def trees(w, word, a, b):
    x = torch.tanh(w.dense(w["f.embedding.weight"][long(word)], "f.dense"))

    def tree(x, target, words, path):
        weight, bias = w[path + ".weight"], w[path + ".bias"]
        losses = []
        for row, leaf in zip(x.reshape(-1, 6), (long(target) + words).reshape(-1).tolist()):
            loss = torch.zeros(())
            while leaf > 1:
                parent, right = divmod(leaf, 2)
                score = row @ weight[parent] + bias[parent]
                loss = loss - F.logsigmoid(score if right else -score)
                leaf = parent
            losses.append(loss)
        return torch.stack(losses)
    vectors = w["tied.vectors"]
    z = torch.tanh(vectors[long(word[:, 0])]) @ vectors.T
    counts = torch.bincount(long(word).reshape(-1), minlength=10).to(x.dtype)
    loss = tree(x, a, 8, "full.hierarchical_softmax").mean() + (tree(x, b, 11, "ragged.hierarchical_softmax") ** 2).sum() / 10 + F.cross_entropy(z, long(word[:, 1]))
    return [loss, counts.max() + (counts * counts).sum() / 100]


def pictures(w, x, z):
    def channels(values):
        return torch.tensor(values)[:, None, None]
    y = ((x - channels([0.1, 0.2, -0.3])) / channels([0.5, 2.0, 1.0]) - 0.1) / 2
    y = F.conv2d(y, w["f.conv2d.weight"], w["f.conv2d.bias"])
    a = F.interpolate(y[:, :, 1:5, 1:4], scale_factor=(2, 3))
    b = F.interpolate(y[:, :, :2, :3], scale_factor=(4, 3), mode="bilinear")
    return [F.mse_loss(a * b + F.interpolate(y[:, :, ::3, :1], scale_factor=(4, 9), mode="bilinear"), z)]


def distribution(*shape):
    p = rng.uniform(0.1, 1, shape)
    return (p / p.sum(-1, keepdims=True)).astype(np.float32)


def signs(*shape):
    return np.where(rng.uniform(size=shape) < 0.5, -1, 1).astype(np.float32)


def cases():
    def case(name, function, inputs, minimized=None, **more):
        return Case(OWN + name + ".nn", "fit", function, inputs, minimized, **more)

    def rule(path, update, *before, after=None, index=0):
        return index, path, lambda p: Rule(p, update, before, after)
    rows = dict(x=real(8, 5), y=real(8, 3))
    small = 0.001
    return {
        "every_rule": case("every_rule", every_rule, rows, [
            rule("a", sgd(0.1)), rule("b", momentum(0.1, 0.8)), rule("c", nesterov(0.1)), rule("d", adagrad(0.1, small)), rule("e", rmsprop(0.01, 0.8, small)),
            rule("f", rmsprop_nesterov(0.01, 0.8, 0.7, small)), rule("g", adadelta(eps=small)), rule("h", adam(0.01, 0.8, 0.95, small)), rule("i", adam(0.01, 0.8, 0.95, small, 0.3)),
            rule("j", adamax(0.01, beta2=0.9, eps=small)), rule("k", nadam(0.01, eps=small))]),
        "every_schedule": case("every_schedule", every_schedule, dict(x=real(8, 5), y=real(8, 2)), [rule(m, sgd(at)) for m, at in SCHEDULES.items()]),
        "stages": case("stages", stages, rows, [
            rule("a", momentum(0.1, 0.5), clip_norm(0.5), each(lambda w, g: g + 0.1 * w), after=lambda w: w.clamp(-0.3, 0.3)),
            rule("b", sgd(0.05), each(lambda w, g: g + 0.05 * torch.sign(w)), each(lambda w, g: g.clamp(-2, 2)), index=1),
            rule("c", sgd(0.15), each(lambda w, g: g + 0.2 * w), clip_norm(1), index=2)]),
        "every_loss": case("every_loss", every_loss, dict(x=real(6, 4, 7), label=ints(5, 6, 4).astype(np.int64), small=ints(5, 6, 4).astype(np.uint8), p=distribution(6, 4, 5), signs=signs(6, 4), weight=real(6, 1)),
                           [rule("f", sgd(0.01), index=3), rule("g", sgd(0.01), index=2)]),
        "nested_scans": case("nested_scans", nested_scans, dict(text=real(3, 4, 5, 2), y=real(3, 4, 6)), [rule(None, momentum(0.1, 0.9))]),
        "reverse_scans": case("reverse_scans", reverse_scans, dict(x=real(3, 5, 4), y=real(3, 5, 3), z=real(3, 5)), [rule(None, sgd(0.1))]),
        "scalar_scans": case("scalar_scans", scalar_scans, dict(x=real(7), y=real(3, 7), z=real(3, 7)), [rule(None, sgd(0.005))]),
        "gathers": case("gathers", gathers, dict(x=real(4, 6, 5), index=np.array([5, 0, 5], np.int32), table=np.array([[1, 4, 1, 2], [2, 4, 3, 3]], np.int64), along=ints(6, 4, 2, 5), z=real(4, 3, 5)),
                        [rule(None, sgd(0.05))]),
        "doubles": case("doubles", doubles, dict(x=real(5, 4).astype(np.float64), z=real(5, 3).astype(np.float64)), [rule(None, adam(lambda t: 0.01 * (1 + math.cos(math.pi * (t - 1) / 20)) / 2, eps=0.0001))], counted=(1,)),
        "integers": case("integers", integers, dict(x=real(6, 5), a=np.array([-9, -1, 0, 7, 8, 3], np.int32), b=np.array([10**12, -5, 3, 0, 77, -10**11], np.int64), c=np.array([-128, 127, 0, 5, -4, 1], np.int8), u=np.array([0, 3, 4, 9, 30, 7], np.uint8)),
                         [rule(None, sgd(0.05))]),
        "odd_convolutions": case("odd_convolutions", odd_convolutions, dict(x=real(2, 4, 11, 9), s=real(2, 2, 4, 5, 6), z=real(2, 6)), [rule(None, sgd(0.2))], convolutions=True),
        "transposed": case("transposed", transposed, dict(x=real(2, 3, 4, 5)), [rule(None, sgd(0.3))], convolutions=True),
        "windows": case("windows", windows, dict(x=real(2, 3, 7, 8)), [rule(None, sgd(0.01))]),
        "image_norms": case("image_norms", image_norms, dict(x=real(4, 6, 5, 4), z=real(4, 6)), [rule(None, sgd(0.05))], convolutions=True, model=("f", image_norm_network)),
        "lists_and_functions": case("lists_and_functions", lists_and_functions, dict(x=real(5, 4), y=real(5, 5), z=real(5, 3)), [rule(None, sgd(0.02))]),
        "recurrent": case("recurrent", recurrent, dict(x=real(3, 6, 4), y=real(3, 6, 10)), [rule(None, sgd(0.1))]),
        "second_derivatives": case("second_derivatives", second_derivatives, dict(x=real(3, 5, 2), image=real(3, 2, 6, 5), index=ints(7, 3, 4), direction=real(3, 5, 2)), [
            (0, ["path", "inner"], lambda p: Rule(p, sgd(0.05))), rule("picture", sgd(0.5), index=1), rule("table", sgd(0.001), index=2)], convolutions=True),
        "partial_training": case("partial_training", partial_training, dict(x=real(6, 4), y=real(6, 2)), [
            rule(["upper.dense", "lower.two.out", "lower.gain"], momentum(0.1, 0.9)), rule(["side", "lower.again"], adam(0.01, eps=0.0001), index=1),
            rule(["upper.dense_2", "lower.two.dense"], sgd(0.1), index=2)]),
        "slices": case("slices", slices, dict(x=real(4, 6, 5)), [rule(None, sgd(0.005), index=3)]),
        "kinks": case("kinks", kinks, dict(x=rng.integers(-1, 2, (4, 6)).astype(np.float32)), [rule(None, sgd(0.0))]),
        "own_optimizers": case("own_optimizers", own_optimizers, rows, [rule("a", factored(0.05)), rule("b", lamb(0.1), index=1), rule("c", lookahead(sgd(0.1), 2), normalized(1.5), index=2)]),
        "memory": case("memory", memory, dict(x=real(3, 4), y=real(3, 5)), [rule(None, sgd(0.2))]),
        "masked_attention": case("masked_attention", masked_attention, dict(x=real(2, 5, 8), y=real(2, 7, 8), mask=(rng.uniform(size=(5, 7)) < 0.5) | (np.arange(7) == 3), z=real(2, 5, 8)), [rule(None, sgd(0.05))]),
        "metrics": case("metrics", metrics, dict(x=real(12, 4), label=ints(5, 12), flag=ints(2, 12).astype(np.float32), none=ints(4, 12), tied=ints(3, 12, 6).astype(np.float32)), [rule(None, sgd(0.1))]),
        "trees": case("trees", trees, dict(word=ints(10, 5, 3), a=ints(8, 5, 3), b=ints(11, 5, 3).astype(np.int64)), [rule(None, sgd(0.3))]),
        "pictures": case("pictures", pictures, dict(x=real(2, 3, 7, 6), z=real(2, 4, 8, 9)), [rule(None, sgd(0.5))]),
        "activations": case("activations", activations, dict(x=real(5, 6, 4)), [rule(None, sgd(0.05))]),
    }


if __name__ == "__main__":
    main(__doc__, cases())
