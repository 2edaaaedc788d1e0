#!/usr/bin/env python3
"""Writes optimizers.txt: what every optimizer of examples/zoo/optimizers.nn does to its point in 50 steps, computed in double precision from the
published rules, independently of nncc. A line: the entry, the step, the loss before the step, the 16 coordinates after it.

Needs NumPy. Usage: python3 optimizers.py > optimizers.txt
"""
import numpy as np

N, STEPS = 16, 50
scale = 0.5 + np.arange(N) / 16
# Far enough away that no coordinate arrives within the steps: near a minimum the rules that divide by a running
# mean of gradients magnify rounding without bound, in any precision.
target = 1 + np.where(np.arange(N) % 2 == 0, 1, -1) * (4 + np.sin(np.arange(N)))


def loss(x):
    return np.sum(scale * (x - target) ** 2) / 2 + np.sum(np.cos(3 * x)) / 10


def gradient(x):
    return scale * (x - target) - 0.3 * np.sin(3 * x)


def sgd(lr):
    def update(w, g, t, s):
        return w - lr * g
    return update


def momentum(lr, beta):                     # Polyak 1964, in the form of Sutskever et al. 2013 without the factor on g
    def update(w, g, t, s):
        s["v"] = beta * s.get("v", 0) + g
        return w - lr * s["v"]
    return update


def nesterov(lr, beta):                     # Sutskever et al. 2013, rewritten for the look-ahead point
    def update(w, g, t, s):
        s["v"] = beta * s.get("v", 0) + g
        return w - lr * (g + beta * s["v"])
    return update


def adagrad(lr, eps=1e-10):                 # Duchi, Hazan, Singer 2011
    def update(w, g, t, s):
        s["s"] = s.get("s", 0) + g * g
        return w - lr * g / (np.sqrt(s["s"]) + eps)
    return update


def rmsprop(lr, rho, eps=1e-8):             # Tieleman, Hinton 2012
    def update(w, g, t, s):
        s["s"] = rho * s.get("s", 0) + (1 - rho) * g * g
        return w - lr * g / (np.sqrt(s["s"]) + eps)
    return update


def rmsprop_nesterov(lr, rho, beta, eps=1e-8):
    def update(w, g, t, s):
        s["s"] = rho * s.get("s", 0) + (1 - rho) * g * g
        u = g / (np.sqrt(s["s"]) + eps)
        s["v"] = beta * s.get("v", 0) + u
        return w - lr * (u + beta * s["v"])
    return update


def adadelta(lr, rho, eps=1e-6):            # Zeiler 2012, algorithm 1
    def update(w, g, t, s):
        s["s"] = rho * s.get("s", 0) + (1 - rho) * g * g
        d = np.sqrt(s.get("u", 0) + eps) / np.sqrt(s["s"] + eps) * g
        s["u"] = rho * s.get("u", 0) + (1 - rho) * d * d
        return w - lr * d
    return update


def adam(lr, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.0):   # Kingma, Ba 2015, algorithm 1; decay: Loshchilov, Hutter 2019
    def update(w, g, t, s):
        w = w - lr * decay * w
        s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * g
        s["v"] = beta2 * s.get("v", 0) + (1 - beta2) * g * g
        return w - lr * (s["m"] / (1 - beta1 ** t)) / (np.sqrt(s["v"] / (1 - beta2 ** t)) + eps)
    return update


def adamax(lr, beta1=0.9, beta2=0.999, eps=1e-8):            # Kingma, Ba 2015, algorithm 2
    def update(w, g, t, s):
        s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * g
        s["u"] = np.maximum(beta2 * s.get("u", 0), np.abs(g) + eps)
        return w - lr / (1 - beta1 ** t) * s["m"] / s["u"]
    return update


def nadam(lr, beta1=0.9, beta2=0.999, eps=1e-8):             # Dozat 2016, constant momentum
    def update(w, g, t, s):
        s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * g
        s["v"] = beta2 * s.get("v", 0) + (1 - beta2) * g * g
        ahead = beta1 * s["m"] / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1 ** t)
        return w - lr * ahead / (np.sqrt(s["v"] / (1 - beta2 ** t)) + eps)
    return update


RULES = {
    "sgd_step": sgd(0.1),
    "momentum_step": momentum(0.05, 0.9),
    "nesterov_step": nesterov(0.05, 0.9),
    "adagrad_step": adagrad(0.1),
    "rmsprop_step": rmsprop(0.01, 0.9),
    "rmsprop_nesterov_step": rmsprop_nesterov(0.01, 0.9, 0.5),
    "adadelta_step": adadelta(1.0, 0.9),
    "adam_step": adam(0.01),
    "adamw_step": adam(0.01, decay=0.1),
    "adamax_step": adamax(0.02),
    "nadam_step": nadam(0.01),
}

for name, rule in RULES.items():
    x, state = np.ones(N), {}
    for step in range(1, STEPS + 1):
        before = loss(x)
        x = rule(x, gradient(x), step, state)
        print(name, step, f"{before:.10g}", *(f"{v:.10g}" for v in x))
