#!/usr/bin/env python3
"""Compares the code that nncc makes of random programs with and without optimization.

Each program has a model of random tensor expressions and a train entry that fits it. It is compiled at -O0, -O1 and
-O2, with --float f64 and f32, and run for a few steps: results and variables must agree. A program that fails is
made smaller, as long as it goes on failing, and written out.

    random_programs.py --bin build/release/bin --count 20 --seed 1
"""
import argparse
import array
import json
import math
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

UNARY = ["exp(tanh({}))", "log(abs({}) + 1.5)", "log1p(abs({}))", "expm1(tanh({}))", "sqrt({} * {} + 0.5)",
         "rsqrt(abs({}) + 1)", "abs({})", "sin({})", "cos({})", "tanh({})", "sigmoid({})", "erf({})", "-{}",
         "1 / ({} * {} + 1)", "relu({})", "relu6({})", "leaky_relu({})", "elu({})", "selu({})", "gelu({})",
         "gelu({}, approximate = true)", "silu({})", "mish({})", "softplus({})", "softsign({})", "hard_tanh({})",
         "hard_sigmoid({})", "hard_swish({})", "stop_gradient({}) + {}", "({} ** 2) * 0.1", "min({}, 0.3)",
         "max(0.1, {})", "where({} > 0.2, {}, 0.5)", "softmax({}, axis = {axis})", "log_softmax({}, axis = {axis})",
         "reverse({}, {axis})", "dropout({}, 0.3)", "{} * gain", "0.5 * {} - 0.25", "cast(cast({} > 0, i32), f32) + {}"]
BINARY = ["{} + {}", "{} - {}", "{} * {}", "{} / (abs({}) + 1)", "max({}, {})", "min({}, {})",
          "where({0} > {1}, {0}, 0.5 * {1})", "tanh({}) * {}"]
REDUCE = ["sum", "mean", "max", "min"]
NORMS = ["layer_norm", "rms_norm"]
OPTIMIZERS = ["sgd(0.05)", "momentum(0.01)", "nesterov(0.01)", "adagrad(0.01, eps = 0.01)", "rmsprop(0.01, eps = 0.01)",
              "adam(0.01, eps = 0.01)", "adamw(0.01, eps = 0.01)", "adamax(0.01, eps = 0.01)",
              "nadam(0.01, eps = 0.01)", "adadelta(eps = 0.01)", "rmsprop_nesterov(0.01, eps = 0.01)", "own(0.02)"]
STAGES = ["", "", "clip_norm(0.5) |> ", "clip_value(0.1) |> ", "l2_decay(0.01) |> "]   # not l1_decay: signs of rounding noise
OWN = """optimizer own(lr: f32) {
  state m: like(w) = zeros()
  state size: f32 = ones()
  size = 0.5 * size + 0.5 * global_norm(g)
  if rank(w) > 1 { m = 0.5 * m + g } else { m = g }
  w = w - lr * m / (1 + size) * step
}
"""


def product(extents):
    return math.prod(extents)


class Program:
    """Statements `name = text`, each with the shape of its value; a dropped one becomes a constant."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.inputs = []
        self.statements = []  # [name, shape, text]
        self.sinks = []
        r = self.random
        for i in range(r.randint(1, 3)):
            self.inputs.append((f"x{i}", self.shape()))
        self.values = list(self.inputs)
        for i in range(r.randint(3, 14)):
            self.grow(f"v{i}")
        used = " ".join(text for _, _, text in self.statements)
        self.sinks = [n for n, _, _ in self.statements if not re.search(rf"\b{n}\b", used)]
        self.optimizer = r.choice(STAGES) + r.choice(OPTIMIZERS)

    def shape(self):
        r = self.random
        rank = r.choice([0, 1, 2, 2, 2, 2, 3, 3, 4, 5])
        extents = [r.choice([1, 2, 3, 4, 5, 7, 8, 16, 19, 33]) for _ in range(rank)]
        while product(extents) > 2000:
            extents[r.randrange(rank)] = r.choice([1, 2])
        return extents

    def pick(self, wanted=lambda s: True):
        candidates = [v for v in self.values[-6:] + self.values if wanted(v[1])]
        return self.random.choice(candidates) if candidates else None

    def add(self, name, shape, text):
        self.statements.append([name, shape, text])
        self.values.append((name, shape))

    def grow(self, name):
        r = self.random
        kind = r.choice("unary unary unary binary binary broadcast reduce reduce reduce product product dense dense "
                        "slice reshape transpose concat param norm batch_norm pad argmax attention stack".split())
        x, s = self.pick()
        if kind in ("reduce", "slice", "transpose", "concat", "dense", "norm", "product", "pad", "argmax") and not s:
            kind = "unary"
        if kind == "unary":
            text = r.choice(UNARY)
            if "{axis}" in text:
                if not s:
                    text = "tanh({})"
                text = text.replace("{axis}", str(r.randrange(-len(s), len(s)) if s else 0))
            return self.add(name, s, text.replace("{}", x))
        if kind == "binary":
            y, _ = self.pick(lambda t: t == s)
            return self.add(name, s, r.choice(BINARY).format(x, y))
        if kind == "broadcast":
            def meets(t):
                return all(a == b or a == 1 or b == 1 for a, b in zip(reversed(s), reversed(t)))
            y, t = self.pick(meets)
            n = max(len(s), len(t))
            a, b = [1] * (n - len(s)) + s, [1] * (n - len(t)) + t
            shape = [max(i, j) for i, j in zip(a, b)]
            if product(shape) > 20000:
                return self.add(name, s, f"sin({x})")
            return self.add(name, shape, r.choice(BINARY).format(x, y))
        if kind == "reduce":
            axes = sorted(r.sample(range(len(s)), r.randint(1, len(s))))
            keep = r.random() < 0.4
            shape = [1 if i in axes else e for i, e in enumerate(s) if keep or i not in axes]
            scale = f" / {product([s[i] for i in axes])}"
            op = r.choice(REDUCE)
            return self.add(name, shape, f"{op}({x}, axis = {axes}, keep = {str(keep).lower()})" +
                            (scale if op == "sum" else ""))
        if kind == "argmax":
            axis = r.randrange(len(s))
            return self.add(name, s[:axis] + s[axis + 1:], f"cast(argmax({x}, axis = {axis}), f32) * 0.1")
        if kind == "product":
            found = self.pick(lambda t: len(t) == 2 and len(s) >= 2 and t[0] == s[-1])
            if found and len(s) >= 2:
                return self.add(name, s[:-1] + [found[1][1]], f"{x} @ {found[0]} / {s[-1]}")
            if len(s) >= 2:
                return self.add(name, s[:-1] + [s[-2]], f"{x} @ transpose({x}) / {s[-1]}")
            return self.add(name, s, f"{x} * 0.5")
        if kind == "dense":
            n = r.choice([1, 2, 3, 8, 10, 17, 32])
            init = r.choice(["", "", ", init = he_normal", ", init = lecun_normal", ", bias = false"])
            return self.add(name, s[:-1] + [n], f"dense({x}, {n}{init})")
        if kind == "norm":
            return self.add(name, s, f"{r.choice(NORMS)}({x}, eps = 0.1)")
        if kind == "batch_norm":
            x, s = self.pick(lambda t: len(t) >= 2) or (x, [])
            if len(s) < 2 or product(s) == s[1]:  # one value for each channel is an error
                return self.add(name, dict(self.values)[x], f"cos({x})")
            norm = r.choice(["batch_norm({}, eps = 0.1)", "instance_norm({}, eps = 0.1)",
                             "group_norm({}, groups = 1, eps = 0.1)", "prelu({})"])
            return self.add(name, s, norm.format(x))
        if kind == "slice":
            shape, parts = [], []
            for e in s:
                way = r.choice(["all", "all", "one", "step", "range", "back", "negative"])
                if way == "one":
                    parts.append(str(r.randrange(-e, e)))
                    continue
                if way == "step" and e > 1:
                    parts.append("::2"); shape.append((e + 1) // 2)
                elif way == "range" and e > 2:
                    parts.append(f"1:{e - 1}"); shape.append(e - 2)
                elif way == "negative" and e > 2:
                    parts.append("-2:"); shape.append(2)
                elif way == "back":
                    parts.append("::-1"); shape.append(e)
                else:
                    parts.append(":"); shape.append(e)
            return self.add(name, shape, f"{x}[{', '.join(parts)}]")
        if kind == "reshape":
            shape = r.choice([[product(s)], [1] + s, s + [1], [product(s[:1]), -1] if s else [1]])
            real = [product(s) // max(1, -product(shape)) if e == -1 else e for e in shape]
            return self.add(name, real, f"reshape({x}, {shape})")
        if kind == "transpose":
            order = list(range(len(s)))
            r.shuffle(order)
            return self.add(name, [s[i] for i in order], f"transpose({x}, {order})")
        if kind == "concat":
            axis = r.randrange(len(s))
            y, t = self.pick(lambda t: len(t) == len(s) and all(i == axis or a == b
                                                                  for i, (a, b) in enumerate(zip(s, t))))
            return self.add(name, s[:axis] + [s[axis] + t[axis]] + s[axis + 1:], f"concat([{x}, {y}], axis = {axis})")
        if kind == "stack":
            y, _ = self.pick(lambda t: t == s)
            axis = r.randint(0, len(s))
            return self.add(name, s[:axis] + [2] + s[axis:], f"stack([{x}, {y}], axis = {axis})")
        if kind == "pad":
            pairs = [[r.choice([0, 1]), r.choice([0, 0, 2])] for _ in s]
            return self.add(name, [e + a + b for e, (a, b) in zip(s, pairs)], f"pad({x}, {pairs}, value = 0.5)")
        if kind == "param":
            return self.add(name, s, f"{x} * own_weight({s})")
        if kind == "attention":
            x, s = self.pick(lambda t: len(t) == 3 and t[2] % 2 == 0) or (x, [])
            if not s:
                return self.add(name, dict(self.values)[x], f"sin({x}) + {x}")
            causal = r.choice(["true", "false"])
            return self.add(name, s, f"multi_head_attention({x}, 2, causal = {causal})")
        raise AssertionError(kind)

    def text(self, dropped=frozenset(), sinks=None):
        lines = ["hyper gain: f32 = 0.75", "", OWN]
        arguments = ", ".join(f"{n}: f32{s}" for n, s in self.inputs)
        body, shapes = [], dict(self.inputs)
        for number, (name, shape, text) in enumerate(self.statements):
            shapes[name] = shape
            if name in dropped:
                body.append(f"  {name} = fill({shape}, 0.5)")
                continue
            match = re.search(r"own_weight\((\[.*\])\)", text)
            if match:
                body.append(f"  param w{number}: f32{match[1]} = normal(0, 0.5)")
                text = text.replace(match[0], f"w{number}")
            body.append(f"  {name} = {text}")
        sinks = self.sinks if sinks is None else sinks
        lines.append(f"model net({arguments}) {{")
        lines += body
        lines.append("  param extra: f32[3] = normal()")
        lines.append(f"  return {', '.join(sinks)}, extra")
        lines.append("}\n")
        names = ", ".join(n for n, _ in self.inputs)
        lines.append(f"train fit({arguments}) {{")
        outs = [f"o{i}" for i in range(len(sinks))]
        lines.append(f"  {', '.join(outs)}, e = net({names})")
        terms = [f"mean(({o} - 0.3) ** 2)" for o in outs] + ["sum(e * e)"]
        lines.append(f"  loss = {' + '.join(terms)}")
        lines.append(f"  minimize loss with {self.optimizer}")
        lines.append("  return loss\n}")
        return "\n".join(lines) + "\n"


def write_npy(path, shape, numbers, double):
    code = "d" if double else "f"
    dims = "(" + "".join(f"{e}, " for e in shape) + ")"
    header = f"{{'descr': '<{'f8' if double else 'f4'}', 'fortran_order': False, 'shape': {dims}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        f.write(array.array(code, numbers).tobytes())


def read_npy(path):
    data = open(path, "rb").read()
    length = struct.unpack("<H", data[8:10])[0]
    code = re.search(r"'descr': '(..?.?)'", data[10:10 + length].decode())[1]
    return list(array.array({"<f4": "f", "<f8": "d"}[code], data[10 + length:]))


def read_safetensors(path):
    data = open(path, "rb").read()
    length = struct.unpack("<Q", data[:8])[0]
    result = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + o for o in entry["data_offsets"])
        code = {"F32": "f", "F64": "d", "I64": "q", "I32": "i", "BOOL": "b", "U8": "B"}[entry["dtype"]]
        result[name] = list(array.array(code, data[begin:end]))
    return result


def difference(a, b):
    if len(a) != len(b):
        return math.inf
    largest = max([1.0] + [abs(v) for v in a if math.isfinite(v)])
    worst = 0.0
    for x, y in zip(a, b):
        if x == y or (math.isnan(x) and math.isnan(y)):
            continue
        error = abs(x - y) / largest
        worst = max(worst, math.inf if math.isnan(error) else error)
    return worst


class Failure(Exception):
    pass


def command(arguments):
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        raise Failure("timeout: " + " ".join(arguments))
    if done.returncode:
        raise Failure(f"status {done.returncode}: {' '.join(arguments)}\n{done.stderr[-2000:]}")
    return done.stdout


def outcome(options, folder, source, program, outputs, flags, double, threads):
    """Outputs of the model and variables after three steps of training."""
    library = os.path.join(folder, "program.so")
    command([os.path.join(options.bin, "nncc"), source, "-o", library, "--jobs", "2", "--verify-each", "--no-cache",
             "--threads", str(threads), f"--float={'f64' if double else 'f32'}"] + flags)
    numbers = random.Random(7)
    inputs = []
    for name, shape in program.inputs:
        path = os.path.join(folder, name + ".npy")
        write_npy(path, shape, [numbers.gauss(0, 1) for _ in range(product(shape))], double)
        inputs += ["--input", f"{name}={path}"]
    run = [os.path.join(options.bin, "nnrun"), "run", library, "--threads", str(threads)] + inputs
    saved = os.path.join(folder, "saved.safetensors")
    command(run + ["--entry", "fit", "--steps", "3", "--save", saved, "--output", f"result={folder}/loss.npy"])
    wanted = []
    for i in range(outputs):
        wanted += ["--output", f"result_{i}={folder}/out{i}.npy"]
    command(run + ["--entry", "net", "--load", saved, "--steps", "1"] + wanted)
    result = {"loss": read_npy(f"{folder}/loss.npy")}
    for i in range(outputs):
        result[f"result_{i}"] = read_npy(f"{folder}/out{i}.npy")
    result.update(read_safetensors(saved))
    return result


def compare(options, program, dropped=frozenset(), sinks=None):
    """None, or what is wrong with the program."""
    sinks = program.sinks if sinks is None else sinks
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "program.nn")
        with open(source, "w") as f:
            f.write(program.text(dropped, sinks))
        try:
            def run(flags, double, threads=1):
                return outcome(options, folder, source, program, len(sinks) + 1, flags, double, threads)
            # Each with its own kind: f32 and f64 do not draw the same random numbers.
            plain = {"f64": run(["-O0"], True), "f32": run(["-O0"], False)}
            variants = [("f64 -O2", run(["-O2"], True), 1e-7), ("f32 -O2", run(["-O2"], False, 2), 2e-3)]
            if options.more:
                variants += [("f64 -O1", run(["-O1"], True, 2), 1e-7),
                             ("f32 accurate", run(["--accurate"], False), 2e-3),
                             ("f32 x86-64-v2", run(["--target=x86-64-v2"], False), 2e-3)]
        except Failure as failure:
            return str(failure)
        for what, other, tolerance in variants:
            kind = what.split()[0]
            expected = plain[kind]
            if expected.keys() != other.keys():
                return f"{what}: other variables: {sorted(expected.keys() ^ other.keys())}"
            for name in expected:
                error = difference(expected[name], other[name])
                if error > tolerance:
                    return f"{what}: {name} differs from {kind} -O0 by {error:g}: {expected[name][:4]} {other[name][:4]}"
    return None


def kind_of(failure):
    return failure.split(":")[0] if failure else None


def shrink(options, program, failure):
    dropped, sinks = frozenset(), program.sinks
    for sink in list(sinks):
        fewer = [s for s in sinks if s != sink]
        if fewer and kind_of(compare(options, program, dropped, fewer)) == kind_of(failure):
            sinks = fewer
    for name, _, _ in reversed(program.statements):
        more = dropped | {name}
        if kind_of(compare(options, program, more, sinks)) == kind_of(failure):
            dropped = more
    return program.text(dropped, sinks), compare(options, program, dropped, sinks)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", default="build/release/bin", help="where nncc and nnrun are")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the first program; the others follow")
    parser.add_argument("--more", action="store_true", help="also -O1, --accurate and an older processor")
    parser.add_argument("--no-shrink", action="store_true")
    parser.add_argument("--print", action="store_true", help="print the programs, run nothing")
    parser.add_argument("--out", default=".", help="where failing programs go")
    options = parser.parse_args()
    failures = 0
    for seed in range(options.seed, options.seed + options.count):
        program = Program(seed)
        if options.print:
            print(f"// seed {seed}\n{program.text()}")
            continue
        failure = compare(options, program)
        if not failure:
            continue
        failures += 1
        print(f"seed {seed}: {failure}", flush=True)
        text = program.text()
        if not options.no_shrink:
            text, failure = shrink(options, program, failure)
            print(f"seed {seed}, smaller: {failure}", flush=True)
        path = os.path.join(options.out, f"random_program_{seed}.nn")
        with open(path, "w") as f:
            f.write(f"// {seed}\n{text}")
    if not options.print:
        print(f"{options.count} programs from seed {options.seed}, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
