"""What the tests against PyTorch share: weights by path, optimizers that PyTorch lacks, and the comparison."""
import argparse
import json
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
    from safetensors.numpy import load_file, save_file
except ImportError as error:
    print(f"skipped: Python's {error.name} is not installed")
    sys.exit(77)

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
torch.set_num_threads(1)
rng = np.random.default_rng(5)


def real(*shape, low=-1.0, high=1.0):
    return rng.uniform(low, high, shape).astype(np.float32)


def ints(high, *shape):
    return rng.integers(0, high, shape).astype(np.int32)


class Weights:
    """Parameters and states by path; dense(x, "mlp.dense") is x @ weight + bias."""

    def __init__(self, values, parameters, states=(), dtype=torch.float32, training=True):
        self.p = {n: torch.tensor(values[n]).to(dtype).requires_grad_(True) for n in parameters}
        self.states = {n: torch.tensor(values[n]).to(dtype) for n in states if values[n].dtype.kind == "f"}
        self.training = training

    def __getitem__(self, name):
        return self.p[name] if name in self.p else self.states[name]

    def dense(self, x, path):
        y = x @ self.p[path + ".weight"]
        return y + self.p[path + ".bias"] if path + ".bias" in self.p else y

    def of(self, *prefixes):
        return [v for k, v in self.p.items() if any(k == x or k.startswith(x + ".") for x in prefixes)]


class Scope:
    """A call in a program: names what is called in it as nncc does, conv2d, conv2d_1, ..."""

    def __init__(self, weights, path):
        self.weights, self.path, self.counts = weights, path, {}

    def call(self, name):
        count = self.counts[name] = self.counts.get(name, -1) + 1
        return Scope(self.weights, f"{self.path}.{name}" + (f"_{count}" if count else ""))

    def __getitem__(self, name):
        return self.weights[f"{self.path}.{name}"]

    def bias(self):
        return self.weights.p.get(self.path + ".bias")

    def dense(self, x):
        return self.weights.dense(x, self.call("dense").path)

    def conv2d(self, x, **options):
        s = self.call("conv2d")
        return F.conv2d(x, s["weight"], s.bias(), **options)

    def conv2d_same(self, x, stride=1):
        """Odd padding has its extra element at the end."""
        s = self.call("conv2d")
        totals = [max((-(-n // stride) - 1) * stride + k - n, 0) for n, k in zip(x.shape[2:], s["weight"].shape[2:])]
        (h, w) = ((t // 2, t - t // 2) for t in totals)
        return F.conv2d(F.pad(x, (*w, *h)), s["weight"], s.bias(), stride=stride)

    def conv2d_transpose(self, x, **options):
        s = self.call("conv2d_transpose")
        return F.conv_transpose2d(x, s["weight"], s.bias(), **options)

    def batch_norm(self, x):
        s = self.call("batch_norm")
        return F.batch_norm(x, s["mean"], s["variance"], s["scale"], s["offset"], training=self.weights.training)


def torch_optimizer(kind, **options):
    def make(parameters):
        return getattr(torch.optim, kind)(parameters, **options)
    return make


class RmspropNesterov(torch.optim.Optimizer):
    def __init__(self, parameters, lr, rho, beta, eps=1e-8):
        super().__init__(parameters, dict(lr=lr, rho=rho, beta=beta, eps=eps))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for w in group["params"]:
                s = self.state[w]
                if not s:
                    s["s"], s["v"] = torch.zeros_like(w), torch.zeros_like(w)
                s["s"].mul_(group["rho"]).add_((1 - group["rho"]) * w.grad ** 2)
                u = w.grad / (s["s"].sqrt() + group["eps"])
                s["v"].mul_(group["beta"]).add_(u)
                w -= group["lr"] * (u + group["beta"] * s["v"])


class RmspropClamped(torch.optim.RMSprop):
    """rmsprop |> clamp_weights."""

    def __init__(self, parameters, lr, rho, limit):
        super().__init__(parameters, lr=lr, alpha=rho)
        self.limit = limit

    @torch.no_grad()
    def step(self):
        super().step()
        for group in self.param_groups:
            for w in group["params"]:
                w.clamp_(-self.limit, self.limit)


class Nadam(torch.optim.Optimizer):
    """Without the schedule of beta1 that PyTorch's has."""

    def __init__(self, parameters, lr, beta1=0.9, beta2=0.999, eps=1e-8):
        super().__init__(parameters, dict(lr=lr, beta1=beta1, beta2=beta2, eps=eps))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["beta1"], group["beta2"]
            for w in group["params"]:
                s = self.state[w]
                if not s:
                    s["t"], s["m"], s["v"] = 0, torch.zeros_like(w), torch.zeros_like(w)
                s["t"] += 1
                s["m"].mul_(beta1).add_((1 - beta1) * w.grad)
                s["v"].mul_(beta2).add_((1 - beta2) * w.grad ** 2)
                ahead = beta1 * s["m"] / (1 - beta1 ** (s["t"] + 1)) + (1 - beta1) * w.grad / (1 - beta1 ** s["t"])
                w -= group["lr"] * ahead / ((s["v"] / (1 - beta2 ** s["t"])).sqrt() + group["eps"])


class Lion(torch.optim.Optimizer):
    def __init__(self, parameters, lr, beta1=0.9, beta2=0.99):
        super().__init__(parameters, dict(lr=lr, beta1=beta1, beta2=beta2))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for w in group["params"]:
                s = self.state[w]
                if not s:
                    s["m"] = torch.zeros_like(w)
                w -= group["lr"] * torch.sign(group["beta1"] * s["m"] + (1 - group["beta1"]) * w.grad)
                s["m"].mul_(group["beta2"]).add_((1 - group["beta2"]) * w.grad)


class Rule(torch.optim.Optimizer):
    """update(w, g, state, step) gives the next w; `before` are stages (weights, gradients) -> gradients, `after` is one for weights."""

    def __init__(self, parameters, update, before=(), after=None):
        super().__init__(parameters, {})
        self.update, self.before, self.after, self.count = update, before, after, 0

    @torch.no_grad()
    def step(self):
        self.count += 1
        weights = [w for w in self.param_groups[0]["params"] if w.grad is not None]
        gradients = [w.grad for w in weights]
        for stage in self.before:
            gradients = stage(weights, gradients)
        following = [self.update(w, g, self.state[w], self.count) for w, g in zip(weights, gradients)]
        for w, v in zip(weights, following):
            w.copy_(self.after(v) if self.after else v)


def recurrent(kernel, w, path, x, reverse, *states):
    """PyTorch's own recurrent layer of one direction on [batch, time, k]."""
    matrices = [w[path + ".weight_input"].T, w[path + ".weight_hidden"].T]
    bias = w[path + ".bias"]
    hidden_bias = w[path + ".bias_hidden"] if path + ".bias_hidden" in w.p else torch.zeros_like(bias)
    states = tuple(s[None] for s in states)
    y = kernel(x.flip(1) if reverse else x, states if len(states) > 1 else states[0], [*matrices, bias, hidden_bias], True, 1, 0.0, True, False, True)[0]
    return y.flip(1) if reverse else y


def rnn(w, path, x, reverse=False):
    return recurrent(torch._VF.rnn_tanh, w, path, x, reverse, x.new_zeros(x.shape[0], w[path + ".weight_hidden"].shape[0]))


def gru(w, path, x, reverse=False):
    return recurrent(torch._VF.gru, w, path, x, reverse, x.new_zeros(x.shape[0], w[path + ".weight_hidden"].shape[0]))


def lstm(w, path, x, reverse=False):
    zeros = x.new_zeros(x.shape[0], w[path + ".weight_hidden"].shape[0])
    return recurrent(torch._VF.lstm, w, path, x, reverse, zeros, zeros)


def long(x):
    return torch.as_tensor(x).long()


class Case:
    """minimized: for each loss that is minimized, its index among the results, the paths, the optimizer.
    edits: what is replaced in the program first. model: an entry of inference, and its result by PyTorch from weights and the first input.
    convolutions: Winograd's cost a digit; checked in f64, strictly in f32 with --accurate, and as compiled by default.
    counted: results that count things, and jump. weights_in_f32: false where an optimizer divides by a gradient's own size and some gradients
    are rounding alone; then weights are judged in f64. is_deep: has many relus and maxima one after the other."""

    def __init__(self, program, entry, function, inputs, minimized, sets=(), clip=None, schedule=None, most_steps=None, edits=(), model=None, convolutions=False, counted=(), weights_in_f32=True, is_deep=False):
        self.program, self.entry, self.function, self.inputs = program, entry, function, inputs
        self.minimized, self.sets, self.clip, self.schedule = minimized, sets, clip, schedule
        self.most_steps = most_steps   # beyond, the training itself magnifies rounding: losses jump about in f32
        self.edits, self.model, self.convolutions, self.counted = edits, model, convolutions, counted
        self.weights_in_f32, self.is_deep = weights_in_f32, is_deep


class Program:
    """A case's program, compiled; runs its entries on files in a folder."""

    def __init__(self, name, case, options, folder):
        self.case, self.bin, self.prefix = case, options.bin, os.path.join(folder, name)
        self.source = os.path.join(ROOT, case.program)
        if case.edits:
            with open(self.source) as file:
                text = file.read()
            for old, new in case.edits:
                assert old in text, f"{case.program} has no {old!r}"
                text = text.replace(old, new)
            self.source = self.prefix + ".nn"
            with open(self.source, "w") as file:
                file.write(text)
        self.inputs = {key: f"{self.prefix}.{key}.npy" for key in case.inputs}
        self.save_inputs(np.float32)

    def save_inputs(self, dtype):
        for key, value in self.case.inputs.items():
            np.save(self.inputs[key], value.astype(dtype) if value.dtype == np.float32 else value)

    def compile(self, *flags):
        library = f"{self.prefix}{''.join(flags)}.so"
        sets = [x for s in self.case.sets for x in ("--set", s)]
        subprocess.run([os.path.join(self.bin, "nncc"), self.source, "-o", library, *sets, *flags], check=True)
        info = subprocess.run([os.path.join(self.bin, "nnrun"), "info", library, "--json"], check=True, capture_output=True, text=True).stdout
        return library, json.loads(info)

    def run(self, compiled, entry, load, *flags, inputs=None, partial=False):
        """Its outputs by name."""
        library, description = compiled
        names = [o["name"] for e in description["entries"] if e["name"] == entry for o in e["outputs"]]
        files = {name: f"{self.prefix}.result.{i}.npy" for i, name in enumerate(names)}
        command = [os.path.join(self.bin, "nnrun"), "run", library, "--entry", entry, "--seed", "3", *flags]
        for key, path in (self.inputs if inputs is None else inputs).items():
            command += ["--input", f"{key}={path}"]
        if load:
            command += ["--load-partial", "--load", load] if partial else ["--load", load]
        for name, path in files.items():
            command += ["--output", f"{name}={path}"] if "--steps" not in flags or "0" not in flags else []
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return {name: np.load(path) for name, path in files.items() if os.path.exists(path)}


def largest_error(got, want, floor):
    """Of tensors by name: the largest difference, relative to the largest element of its tensor and to `floor`."""
    return max((float(np.max(np.abs(got[n] - w)) / (np.max(np.abs(w)) + floor)) for n, w in want.items() if w.size), default=0.0)


class Way:
    """How a program is compiled, and what its errors may be: `floor`, or a multiple of what PyTorch in single precision is off by.
    In single precision rounding now and then moves the winner of a maximum, or a relu across 0: of deep networks a gradient jumps
    then. And Adam divides by the gradient's own size. Both are judged in double precision, where that does not happen."""

    def __init__(self, flags, floor, multiple, in_double=False):
        self.flags, self.floor, self.multiple, self.in_double = flags, floor, multiple, in_double

    def allows(self, what, case, mine, peer):
        """False for NaN."""
        judges_weights = self.in_double or (case.weights_in_f32 and not case.convolutions)
        if what == "weights" and not judges_weights:
            return mine == mine
        if self.in_double:
            return mine <= max(self.floor, self.multiple * peer)
        floor = 0.05 if what == "gradients" and case.is_deep else self.floor
        return mine <= max(floor, self.multiple * peer)


def ways(case, tolerance):
    if not case.convolutions:
        return [Way(("--float=f64",), 1e-10, 0, in_double=True), Way((), tolerance, 4)]
    # What an optimizer magnifies of rounding, it magnifies in double precision, too.
    return [Way(("--float=f64",), 1e-8, 1e-6, in_double=True), Way(("--accurate",), tolerance, 4), Way((), 10 * tolerance, 40)]


def check(name, case, options, folder):
    steps = min(options.steps, case.most_steps or options.steps)
    program = Program(name, case, options, folder)
    start, end = (f"{program.prefix}.{when}.safetensors" for when in ("start", "end"))
    compiled = program.compile()
    variables = compiled[1]["variables"]
    parameters, states = ([v["name"] for v in variables if v["kind"] in kinds] for kinds in (("parameter",), ("state", "memory")))
    program.run(compiled, case.entry, None, "--steps", "0", "--save", start)
    values = load_file(start)
    doubles, singles = (torch_steps(case, values, parameters, states, steps, t) for t in (torch.float64, torch.float32))
    good = True
    for way in ways(case, options.tolerance):
        if "--float=f64" in way.flags:
            save_file({n: v.astype(np.float64) if v.dtype == np.float32 else v for n, v in values.items()}, start)
            program.save_inputs(np.float64)
        else:
            save_file(values, start)
            program.save_inputs(np.float32)
        compiled = program.compile(*way.flags)
        outputs = program.run(compiled, case.entry, start, "--steps", str(steps), "--save", end)
        ours = load_file(end)
        rows = []     # what, nncc's error, PyTorch's

        def row(what, floor, got, want, peer):
            rows.append((what, largest_error(got, want, floor), largest_error(peer, want, floor)))
        losses = {i: v.reshape(steps) for i, v in enumerate(outputs.values()) if i not in case.counted}
        rows.append(("losses", *(max(float(np.max(np.abs(x[i] - doubles.losses[i]) / (np.abs(doubles.losses[i]) + 1e-2))) for i in losses)
                                 for x in (losses, singles.losses))))
        gradients = program.run(program.compile("--gradients", *way.flags), case.entry, start, partial=True)   # without its optimizer
        largest = max(float(np.max(np.abs(v))) for v in doubles.gradients.values())
        row("gradients", 1e-3 * largest, {n: gradients["gradient/" + n] for n in doubles.gradients}, doubles.gradients, singles.gradients)
        row("weights", 1e-3, ours, doubles.parameters, singles.parameters)
        if doubles.states:
            row("states", 1e-3, ours, doubles.states, singles.states)
        if case.model:
            entry, function = case.model
            name_there = next(e["inputs"][0]["name"] for e in compiled[1]["entries"] if e["name"] == entry)
            forward = next(iter(program.run(compiled, entry, end, inputs={name_there: next(iter(program.inputs.values()))}).values()))
            want, peer = ({0: torch_forward(case, function, ours, parameters, states, t)} for t in (torch.float64, torch.float32))
            row(entry, 1e-3, {0: forward}, want, peer)
        agrees = all(way.allows(what, case, mine, peer) for what, mine, peer in rows)
        good = good and agrees
        print(f"{'ok  ' if agrees else 'FAIL'} {' '.join((name, *way.flags)):24} after {steps} steps, against torch in f64: "
              + ", ".join(f"{what} {mine:.1e} (torch f32: {peer:.1e})" for what, mine, peer in rows), flush=True)
    return good


def torch_inputs(case, dtype):
    inputs = [torch.as_tensor(v) for v in case.inputs.values()]
    return [x.to(dtype) if x.is_floating_point() else x for x in inputs]


def torch_forward(case, function, values, parameters, states, dtype):
    with torch.no_grad():
        return function(Weights(values, parameters, states, dtype, training=False), torch_inputs(case, dtype)[0]).numpy()


class Trained:
    """What PyTorch computed in `dtype`: the losses of each step, the gradients of the first, parameters and states after the last."""


def torch_steps(case, values, parameters, states, steps, dtype):
    torch.set_default_dtype(dtype)
    w = Weights(values, parameters, states, dtype)
    before = {n: v.clone() for n, v in w.states.items()}
    inputs = torch_inputs(case, dtype)
    optimizers, schedulers = [], []
    for _, paths, make in case.minimized:
        trained = list(w.p.values()) if paths is None else w.of(*([paths] if isinstance(paths, str) else paths))
        optimizers.append((trained, make(trained)))
        if case.schedule:
            schedulers.append(torch.optim.lr_scheduler.LambdaLR(optimizers[-1][1], case.schedule))
    names = {id(v): n for n, v in w.p.items()}
    losses, result = [], Trained()
    result.gradients = {}
    for step in range(steps):
        results = case.function(w, *inputs)
        losses.append([float(v.detach()) for v in results])
        for (index, _, _), (trained, _) in zip(case.minimized, optimizers):
            gradients = torch.autograd.grad(results[index], trained, retain_graph=True, allow_unused=True)
            for p, g in zip(trained, gradients):
                p.grad = g
                if step == 0 and g is not None:
                    result.gradients[names[id(p)]] = g.numpy().copy()
            if case.clip:
                torch.nn.utils.clip_grad_norm_(trained, case.clip)
        for _, optimizer in optimizers:
            optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    torch.set_default_dtype(torch.float32)
    result.losses = {i: np.array(column) for i, column in enumerate(zip(*losses))}
    result.parameters = {n: p.detach().numpy() for n, p in w.p.items()}
    result.states = {n: v.numpy() for n, v in w.states.items() if not torch.equal(v, before[n])}   # an optimizer's are its own
    return result


def main(description, cases):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(ROOT, "build/release/bin"))
    parser.add_argument("--only", default="")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--tolerance", type=float, default=2e-5)
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, case in cases.items():
            if options.only and name not in options.only.split(","):
                continue
            try:
                failed += not check(name, case, options, folder)
            except subprocess.CalledProcessError as error:
                print(f"FAIL {name:12} {' '.join(error.cmd[:2])} ended with {error.returncode}")
                failed += 1
            except Exception as error:  # the other cases still count
                print(f"FAIL {name:12} {error!r}")
                failed += 1
    sys.exit(1 if failed else 0)
