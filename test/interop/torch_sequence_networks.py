#!/usr/bin/env python3
"""The zoo's networks over sequences, words and critics agree with PyTorch: losses, gradients, and weights after several steps from the
same initial weights. Recurrent layers are compared with PyTorch's own (the kernels behind torch.nn.LSTM and its like).
What is random in a program (dropout, noise) is taken out or made an input. What counts as agreement: see torch_agreement.py.

  test/interop/torch_sequence_networks.py --bin build/release/bin [--only gpt] [--steps 10]

Skipped, saying so (status 77), where torch, NumPy or safetensors is missing. Exit status 1 if anything disagrees.
"""
from against_torch import Case, F, Nadam, RmspropClamped, gru, ints, long, lstm, main, real, rnn, rng, torch, torch_optimizer


def cross_entropy(z, target):
    return F.cross_entropy(z.reshape(-1, z.shape[-1]), long(target).reshape(-1))


def rnn_lm(w, text, following):
    x = w["rnn_lm.embedding.weight"][long(text)]
    return [cross_entropy(w.dense(rnn(w, "rnn_lm.rnn", x), "rnn_lm.dense"), following)]


def gru_lm(w, text, following):
    x = w["gru_lm.embedding.weight"][long(text)]
    return [cross_entropy(w.dense(gru(w, "gru_lm.gru", x), "gru_lm.dense"), following)]


def lstm_lm(w, text, following):
    x = w["lstm_lm.embedding.weight"][long(text)]
    x = lstm(w, "lstm_lm.lstm_1", lstm(w, "lstm_lm.lstm", x))
    return [cross_entropy(w.dense(x, "lstm_lm.dense"), following)]


def tagger(w, text, tag):
    x = w["tagger.embedding.weight"][long(text)]
    x = torch.cat([lstm(w, "tagger.bidirectional.forward", x), lstm(w, "tagger.bidirectional.backward", x, reverse=True)], -1)
    return [F.cross_entropy(w.dense(x, "tagger.dense").reshape(-1, 9), long(tag).reshape(-1), ignore_index=-1)]


def seq2seq(w, source, target, expected):
    def cell(x, h, path):
        r, z = torch.sigmoid(w.dense(torch.cat([x, h], 1), path + ".gates")).chunk(2, 1)
        candidate = torch.tanh(w.dense(torch.cat([x, r * h], 1), path + ".candidate"))
        return z * h + (1 - z) * candidate
    h = torch.zeros(source.shape[0], 64)
    for x in w["encoder.embedding.weight"][long(source)].unbind(1):
        h = cell(x, h, "encoder.cell")
    hs = []
    for x in w["decoder.embedding.weight"][long(target)].unbind(1):
        h = cell(x, h, "decoder.cell")
        hs.append(h)
    return [cross_entropy(w.dense(torch.stack(hs, 1), "decoder.dense"), expected)]


def gpt(w, text, following):
    def norm(x, path):
        return F.layer_norm(x, x.shape[-1:], w[path + ".scale"], w[path + ".offset"])
    x = w["gpt.embedding.weight"][long(text)] + w["gpt.position"]
    b, t, d = x.shape
    for i in range(4):
        p = f"gpt.block_{i}" if i else "gpt.block"
        a = norm(x, p + ".layer_norm")
        q, k, v = (w.dense(a, f"{p}.multi_head_attention.{n}").reshape(b, t, 4, d // 4).transpose(1, 2) for n in ("query", "key", "value"))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, d)
        x = x + w.dense(y, p + ".multi_head_attention.output")
        x = x + w.dense(F.gelu(w.dense(norm(x, p + ".layer_norm_1"), p + ".dense")), p + ".dense_1")
    return [cross_entropy(w.dense(norm(x, "gpt.layer_norm"), "gpt.dense"), following)]


def word2vec(w, word, context):
    x = w["vectors.embedding.weight"][long(word)]
    leaf = long(context)[:, None] + 512
    shift = torch.arange(8, -1, -1)
    node, bit = leaf >> (shift + 1), (leaf >> shift) & 1
    path = "log_probability.hierarchical_softmax."
    score = (w[path + "weight"][node] * x[:, None]).sum(-1) + w[path + "bias"][node]
    return [-F.logsigmoid(score * (2 * bit - 1)).sum(1).mean()]


def generated(w, z):
    return torch.tanh(w.dense(F.relu(w.dense(z, "generator.dense")), "generator.dense_1"))


def criticized(w, x):
    return w.dense(F.leaky_relu(w.dense(x, "critic.dense"), 0.2), "critic.dense_1")


def critic_step(w, real, z):
    return [criticized(w, generated(w, z)).mean() - criticized(w, real).mean()]


def generator_step(w, z):
    return [-criticized(w, generated(w, z)).mean()]


def critic_step_with_penalty(w, real, z, mix):
    fake = generated(w, z)
    between = mix * real + (1 - mix) * fake
    slope, = torch.autograd.grad(criticized(w, between).sum(), between, create_graph=True)
    norm = ((slope ** 2).sum(1) + 1e-12).sqrt()
    return [criticized(w, fake).mean() - criticized(w, real).mean() + 10 * ((norm - 1) ** 2).mean()]


def cases():
    zoo = "examples/zoo/"
    adam = dict(betas=(0.9, 0.999), eps=1e-8)
    text = dict(text=ints(65, 32, 64), next=ints(65, 32, 64))
    noise = rng.standard_normal((64, 32)).astype("float32")
    given = [("critic_step(real: f32[batch, 784])", "critic_step(real: f32[batch, 784], z: f32[batch, noise])"),
             ("generator_step()", "generator_step(z: f32[batch, noise])"),
             ("penalty(real: f32[batch, 784])", "penalty(real: f32[batch, 784], z: f32[batch, noise], mix: f32[batch, 1])"),
             ("normal([batch, noise])", "z"), ("  mix = uniform([batch, 1], 0, 1)\n", "")]
    return {
        "char_rnn": Case(zoo + "char_rnn.nn", "fit_rnn", rnn_lm, text, [(0, "rnn_lm", torch_optimizer("RMSprop", lr=0.002, alpha=0.9))], clip=5, weights_in_f32=False),
        "char_gru": Case(zoo + "char_rnn.nn", "fit_gru", gru_lm, text, [(0, "gru_lm", torch_optimizer("Adam", lr=0.002, **adam))], clip=5),
        "char_lstm": Case(zoo + "char_rnn.nn", "fit_lstm", lstm_lm, text, [(0, "lstm_lm", lambda p: Nadam(p, 0.002))], clip=5, edits=[("dropout(0.1)", "dropout(0.0)")]),
        "tagger": Case(zoo + "tagger.nn", "fit", tagger, dict(text=ints(500, 16, 20), tag=ints(10, 16, 20) - 1), [(0, None, torch_optimizer("Adagrad", lr=0.05, eps=1e-10))],
                       edits=[("dropout(0.3)", "dropout(0.0)")], weights_in_f32=False),
        "seq2seq": Case(zoo + "seq2seq.nn", "fit", seq2seq, dict(source=ints(100, 32, 12), target=ints(80, 32, 10), expected=ints(80, 32, 10)),
                        [(0, None, torch_optimizer("Adam", lr=0.001, **adam))], clip=1),
        "gpt": Case(zoo + "gpt.nn", "fit", gpt, dict(text=ints(65, 8, 128), next=ints(65, 8, 128)), [(0, None, torch_optimizer("AdamW", lr=0.0003, weight_decay=0.1))], clip=1,
                    schedule=lambda step: min(1, (step + 1) / 100)),
        "word2vec": Case(zoo + "word2vec.nn", "fit", word2vec, dict(word=ints(512, 128), context=ints(512, 128)), [(0, None, torch_optimizer("Adadelta", lr=1.0, rho=0.95, eps=1e-6))]),
        "wgan_critic": Case(zoo + "wgan.nn", "critic_step", critic_step, dict(real=real(64, 784), z=noise), [(0, "critic", lambda p: RmspropClamped(p, 0.00005, 0.9, 0.01))], edits=given, weights_in_f32=False),
        "wgan_generator": Case(zoo + "wgan.nn", "generator_step", generator_step, dict(z=noise), [(0, "generator", torch_optimizer("RMSprop", lr=0.00005, alpha=0.9))], edits=given),
        "wgan_penalty": Case(zoo + "wgan.nn", "critic_step_with_penalty", critic_step_with_penalty, dict(real=real(64, 784), z=noise, mix=real(64, 1, low=0)),
                             [(0, "critic", torch_optimizer("Adam", lr=0.0001, betas=(0.0, 0.9)))], edits=given),
    }


if __name__ == "__main__":
    main(__doc__, cases())
