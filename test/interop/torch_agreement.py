#!/usr/bin/env python3
"""Forward values, gradients (through the weights that training leaves) and losses agree with PyTorch: the same initial weights, the same inputs, several steps on both sides.
What counts as agreement: compiled with --float=f64 nncc agrees with PyTorch in double precision to 1e-10. In single precision it is off by 2e-5 at most, or by no more than four times what PyTorch in single precision is;
by a digit more where convolutions are computed by Winograd's algorithm, as without --accurate.

  test/interop/torch_agreement.py --bin build/release/bin [--only norms] [--steps 5]

Skipped, saying so (status 77), where torch, NumPy or safetensors is missing. Exit status 1 if anything disagrees.
"""
from against_torch import Case, F, RmspropNesterov, Lion, ints, long, main, np, real, rng, torch, torch_optimizer


def plain_mlp(w, image, label):
    logits = w.dense(F.relu(w.dense(image, "mlp.dense")), "mlp.dense_1")
    return [F.cross_entropy(logits, long(label)), (logits.argmax(1) == label).to(logits.dtype).mean()]


def autoencoder(w, image):
    z = w.dense(F.elu(w.dense(image, "encode.dense")), "encode.dense_1")
    y = torch.sigmoid(w.dense(F.elu(w.dense(z, "decode.dense")), "decode.dense_1"))
    l1 = sum(p.abs().sum() for p in w.of("encode") if p.dim() > 1)
    return [F.mse_loss(y, image) + 0.00001 * l1]


def backprop(w, x, y):
    for layer in ("hidden", "output"):
        x = torch.sigmoid(x @ w[f"network.{layer}.weight"] - w[f"network.{layer}.threshold"])
    return [((y - x) ** 2).sum() / 2 / x.shape[0]]


def logistic(w, x, y):
    z = w.dense(x, "score.dense")
    loss = F.binary_cross_entropy_with_logits(z, y) + 0.001 * sum((p ** 2).sum() / 2 for p in w.of("score") if p.dim() > 1)
    return [loss, ((z > 0) == (y > 0.5)).to(z.dtype).mean()]


def svm_multiclass(w, x, label):
    s = w.dense(x, "multiclass.dense")
    margin = (1 + s - s.gather(1, long(label)[:, None])).clamp(min=0)
    loss = (margin.sum(1) - 1).mean()                     # the right class's own term is 1
    return [loss + 0.01 * sum((p ** 2).sum() / 2 for p in w.of("multiclass") if p.dim() > 1)]


def multitask(w, image, which, even, amount):
    def trunk():
        h = w.dense(image, "trunk.dense")
        h = h.reshape(h.shape[0], -1, 4).max(2).values
        return F.mish(w.dense(h, "trunk.dense_1"))
    d = F.cross_entropy(w.dense(trunk(), "digit.dense"), long(which))
    bits = F.binary_cross_entropy_with_logits(w.dense(trunk(), "labels.dense"), even)
    r = F.huber_loss(w.dense(trunk(), "ink.dense"), amount)
    return [d + 0.5 * bits + 0.1 * r, d, bits, r]


def policy_step(w, x, action, returns):
    value = w.dense(torch.tanh(w.dense(x, "value.dense")), "value.dense_1")
    policy = torch.softmax(w.dense(torch.tanh(w.dense(x, "policy.dense")), "policy.dense_1"), 1)
    chosen = policy.gather(1, long(action)[:, None])
    return [-(torch.log(chosen + 1e-8) * (returns - value).detach()).mean(), F.mse_loss(value, returns)]


def q_step(w, x, action, reward, next_q, done):
    target = reward + 0.99 * (1 - done) * next_q.max(1).values
    q = w.dense(F.relu(w.dense(x, "q.dense")), "q.dense_1")
    return [F.huber_loss(q.gather(1, long(action)[:, None])[:, 0], target)]


def norms(w, x, label):
    def block(x, path):
        d = x.shape[-1]
        y = F.layer_norm(x, (d,), w[path + ".layer_norm.scale"], w[path + ".layer_norm.offset"])
        y = F.gelu(w.dense(y, path + ".dense"))
        y = F.rms_norm(y, (y.shape[-1],), w[path + ".rms_norm.scale"], 1e-5)
        return w.dense(y, path + ".dense_1")
    h = x + block(x, "net.block")
    h = F.silu(h + block(h, "net.block_1"))
    z = F.mish(w.dense(h, "net.dense"))
    return [F.cross_entropy(z.reshape(-1, 9), long(label).reshape(-1), label_smoothing=0.1)]


def physics(w, x):
    x = x.clone().requires_grad_(True)
    y = w.dense(torch.tanh(w.dense(torch.tanh(w.dense(x, "u.dense")), "u.dense_1")), "u.dense_2")
    slope, = torch.autograd.grad(y.sum(), x, create_graph=True)
    curvature, = torch.autograd.grad(slope.sum(), x, create_graph=True)
    residual = ((curvature + y) ** 2).mean()
    return [residual + (y[0, 0] - 1) ** 2 + slope[0, 0] ** 2, residual]


def own_parts(w, x, y):
    evens, odds, back = x[:, ::2], x[:, 1::2], x.flip(1)
    first, second = back.split(5, 1)
    a = torch.cat([evens, first * odds], 1)
    c = torch.stack([second, odds, evens.flip(1)]).mean(0)
    z = torch.einsum("bp,upq,bq->bu", a, w["mixed.pair.weight"], c) + w["mixed.pair.offset"]
    z = z + 0.5 * x.amax(1, keepdim=True) - (x * x).sum(1, keepdim=True) / 10
    e = z - y
    return [(F.softplus(-2 * e) + e - np.log(2)).mean()]


def attention(w, x, target, allowed):
    b, t, d = x.shape
    path = "net.multi_head_attention."
    q, k, v = (w.dense(x, path + n).reshape(b, t, 3, d // 3).transpose(1, 2) for n in ("query", "key", "value"))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, d)
    y = x + w.dense(y, path + "output")
    score = w.dense(y, "net.q") @ w.dense(y, "net.k").transpose(1, 2) / d ** 0.5
    z = y + torch.softmax(score.masked_fill(allowed <= 0.5, float("-inf")), -1) @ torch.tanh(y)
    return [F.huber_loss(z, target, delta=0.5)]


def losses(w, x, other, label, sign_of, p, flag):
    label = long(label)

    def trunk(x):
        return w.dense(F.elu(w.dense(x, "trunk.dense")), "trunk.dense_1")

    def head(x):
        return w.dense(F.softplus(w.dense(x, "head.dense")), "head.dense_1")
    y, z = trunk(x), trunk(other)
    first = -(p * F.log_softmax(y, 1)).sum(1).mean() + F.cross_entropy(z, label)
    first = first + (p * torch.log(p / torch.softmax(y, 1))).sum(1).mean()
    first = first + ((1 + y - y.gather(1, label[:, None])).clamp(min=0).sum(1) - 1).mean()
    first = first + (1 - sign_of * y[:, 0]).clamp(min=0).mean() + F.cosine_embedding_loss(y, z, sign_of, margin=0.1)
    h, k = head(x), head(other)
    second = F.mse_loss(h, k) + (h - 0.3 * k).abs().mean() + F.huber_loss(h, k.detach())
    yd = y[:, 1:5]
    second = second + (((h - k) ** 2).sum(1) - ((h - yd) ** 2).sum(1) + 2).clamp(min=0).mean()
    distance = ((h - k) ** 2).sum(1).sqrt()
    second = second + (flag * distance ** 2 + (1 - flag) * (3 - distance).clamp(min=0) ** 2).mean()
    second = second + F.binary_cross_entropy_with_logits(h, torch.full_like(h, 0.7))
    s, r = torch.sigmoid(k), torch.sigmoid(h)
    second = second - (r * torch.log(s) + (1 - r) * torch.log(1 - s)).mean()
    second = second - ((1 + 0.5 * k - h ** 2 - torch.exp(0.5 * k)) / 2).sum(1).mean()
    return [first, second]


def critic(w, real, fake, mix):
    def f(x):
        x = F.leaky_relu(w.dense(x, "critic.dense"), 0.2)
        return w.dense(torch.tanh(w.dense(x, "critic.dense_1")), "critic.dense_2")
    between = (mix * real + (1 - mix) * fake).requires_grad_(True)
    slope, = torch.autograd.grad(f(between).sum(), between, create_graph=True)
    norm = ((slope ** 2).sum(1) + 1e-12).sqrt()
    return [f(fake).mean() - f(real).mean() + 10 * ((norm - 1) ** 2).mean()]


def reductions(w, x):
    y = x * w["f.scale"]
    n = y.shape[0]
    a = y.amax((1, 2)).mean() + (y.amin(0) ** 3).mean() + y.prod(2).sum() / n
    c = torch.where(y > 0.4, y ** 2.5, torch.exp(-y)).mean() + (y > 0.9).any(-1).to(y.dtype).mean()
    d = (torch.log1p(y * y) + torch.expm1(0.1 * y) + torch.rsqrt(1 + y) + torch.erf(y) + torch.sin(y) * torch.cos(y)).mean()
    e = torch.maximum(y, torch.tensor(0.5)).mean() + torch.minimum(y, y.detach() + 0.1).mean()
    return [a + c + d + e + (y - 0.3).abs().mean() + (torch.floor(3 * y) * y).mean()]


def warmup(step):
    return min(1, (step + 1) / 4)


def distribution(n, k):
    p = rng.uniform(0.1, 1, (n, k))
    return (p / p.sum(1, keepdims=True)).astype(np.float32)


def signs(n):
    return np.where(rng.uniform(size=n) < 0.5, -1, 1).astype(np.float32)


def cases():
    zoo = "examples/zoo/"
    own = "test/interop/programs/"
    adam = dict(betas=(0.9, 0.999), eps=1e-8)
    return {
        "plain_mlp": Case(own + "plain_mlp.nn", "fit", plain_mlp, dict(image=real(20, 50), label=ints(7, 20)), [(0, None, torch_optimizer("Adam", lr=0.01, **adam))]),
        "autoencoder": Case(zoo + "autoencoder.nn", "fit", autoencoder, dict(image=real(64, 784, low=0)), [(0, None, torch_optimizer("Adamax", lr=0.002))]),
        "backprop": Case(zoo + "backprop.nn", "fit", backprop, dict(x=real(6, 4), y=real(6, 3, low=0)), [(0, None, torch_optimizer("SGD", lr=0.5))], sets=("samples=6",)),
        "logistic": Case(zoo + "logistic.nn", "fit", logistic, dict(x=real(32, 30), y=ints(2, 32, 1).astype(np.float32)), [(0, None, torch_optimizer("SGD", lr=0.1))]),
        "svm": Case(zoo + "svm.nn", "fit_multiclass", svm_multiclass, dict(x=real(32, 13), label=ints(3, 32)), [(0, "multiclass", torch_optimizer("SGD", lr=0.05, momentum=0.9))]),
        "multitask": Case(zoo + "multitask.nn", "fit", multitask, dict(image=real(64, 784, low=0), which=ints(10, 64), even_and_large=ints(2, 64, 2).astype(np.float32), amount=real(64, 1)),
                          [(0, None, lambda p: RmspropNesterov(p, 0.001, 0.9, 0.9))], most_steps=5),
        "policy": Case(zoo + "reinforce.nn", "policy_step", policy_step, dict(x=real(128, 4), action=ints(2, 128), returns=real(128, 1)),
                       [(0, "policy", torch_optimizer("Adam", lr=0.01)), (1, "value", torch_optimizer("Adam", lr=0.01))]),
        "q": Case(zoo + "reinforce.nn", "q_step", q_step, dict(x=real(128, 4), action=ints(2, 128), reward=real(128), next_q=real(128, 2), done=ints(2, 128).astype(np.float32)),
                  [(0, "q", torch_optimizer("Adam", lr=0.001))]),
        "norms": Case(own + "norms.nn", "fit", norms, dict(x=real(12, 5, 16), label=ints(9, 12, 5)), [(0, None, torch_optimizer("AdamW", lr=0.02, weight_decay=0.1))], clip=0.5, schedule=warmup),
        "physics": Case(own + "physics.nn", "solve", physics, dict(x=real(17, 1)), [(0, None, torch_optimizer("SGD", lr=0.01, momentum=0.8))]),
        "own_parts": Case(own + "own_parts.nn", "fit", own_parts, dict(x=real(6, 10), y=real(6, 4)), [(0, None, lambda p: Lion(p, 0.05))]),
        "attention": Case(own + "attention.nn", "fit", attention, dict(x=real(3, 7, 12), target=real(3, 7, 12), allowed=(np.tri(7) + np.tri(7).T * (rng.uniform(size=(7, 7)) < 0.3) > 0).astype(np.float32)),
                          [(0, None, torch_optimizer("SGD", lr=0.1))]),
        "losses": Case(own + "losses.nn", "fit", losses, dict(x=real(10, 8), other=real(10, 8), label=ints(6, 10), sign_of=signs(10), p=distribution(10, 6), flag=ints(2, 10).astype(np.float32)),
                       [(0, "trunk", torch_optimizer("Adagrad", lr=0.05, eps=1e-10)), (1, "head", torch_optimizer("SGD", lr=0.01, momentum=0.8, nesterov=True))]),
        "critic": Case(own + "critic.nn", "step_with_penalty", critic, dict(real=real(16, 20), fake=real(16, 20), mix=real(16, 1, low=0)), [(0, "critic", torch_optimizer("Adam", lr=0.001, betas=(0.0, 0.9)))]),
        "reductions": Case(own + "reductions.nn", "fit", reductions, dict(x=real(5, 3, 4, low=0.05)), [(0, None, torch_optimizer("RMSprop", lr=0.01, alpha=0.9))]),
    }


if __name__ == "__main__":
    main(__doc__, cases())
