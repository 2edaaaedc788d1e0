#!/usr/bin/env python3
"""nncc against its peers, block by block in turn on one machine, as ratios.

  bench/compare.py --build build/bench [--only mlp,tiny] [--peers torch,compile,jax,ort,loops] [--rounds 15] [--json out.json]

Every side is a process that runs N steps when asked (serve.cpp, loops.cpp, peers/serve.py), with 1 and with 2 threads. A round asks each side once;
the figure of a side is the median of its rounds, and the better of its thread counts counts. A peer that is not installed is left out, and said so.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)

# case: (program, entry, --set options, peers, goal against the fastest of them, goal against plain loops)
CASES = {
    "tiny": ("bench/models/tiny.nn", "fit", [], ["torch", "compile", "jax", "loops"], 6, 1.5),
    "backprop": ("examples/zoo/backprop.nn", "fit", [], ["torch", "compile", "jax", "loops"], 50, None),
    "logistic": ("examples/zoo/logistic.nn", "fit", [], ["torch", "compile", "jax"], 8, None),
    "svm": ("examples/zoo/svm.nn", "fit_multiclass", [], ["torch", "compile", "jax"], 8, None),
    "mlp": ("examples/zoo/mlp.nn", "fit", [], ["torch", "compile", "jax"], 1.6, None),
    "autoencoder": ("examples/zoo/autoencoder.nn", "fit", [], ["torch", "compile", "jax"], 1.6, None),
    "vae": ("examples/zoo/vae.nn", "fit", [], ["torch", "compile", "jax"], 1.6, None),
    "mlp_i1": ("examples/zoo/mlp.nn", "classify", ["batch=1"], ["ort", "torch", "jax"], 2, None),
    "lenet": ("examples/zoo/lenet.nn", "fit", [], ["torch", "compile", "jax"], 2, None),
    "siamese": ("examples/zoo/siamese.nn", "fit", [], ["torch", "compile", "jax"], 2, None),
    "mobilenet_64": ("examples/zoo/mobilenet.nn", "fit", ["size=64", "batch=8"], ["torch", "jax"], 2, None),
    "segmentation": ("examples/zoo/segmentation.nn", "fit", [], ["torch", "compile", "jax"], 1.4, None),
    "resnet_s_b8": ("examples/zoo/resnet.nn", "fit", ["size=32", "classes=10", "stem=3", "batch=8"], ["torch", "compile", "jax"], 1.4, None),
    "detector": ("examples/zoo/detector.nn", "fit", [], ["torch", "compile", "jax"], 1.2, None),
    "dcgan_d": ("examples/zoo/gan.nn", "dcgan_discriminator_step", [], ["torch", "jax"], 1.2, None),
    "inception_96": ("examples/zoo/inception.nn", "fit", ["size=96", "batch=4"], ["torch", "jax"], 1.2, None),
    "vgg_s": ("examples/zoo/vgg.nn", "fit", ["size=32", "classes=10", "batch=8"], ["torch", "jax"], 1.2, None),
    "rnn": ("examples/zoo/char_rnn.nn", "fit_rnn", [], ["torch", "compile", "jax"], 1.5, None),
    "gru": ("examples/zoo/char_rnn.nn", "fit_gru", [], ["torch", "compile", "jax"], 1.5, None),
    "lstm": ("examples/zoo/char_rnn.nn", "fit_lstm", [], ["torch", "compile", "jax"], 1.15, None),
    "tagger": ("examples/zoo/tagger.nn", "fit", [], ["torch", "compile", "jax"], 2, None),
    "seq2seq": ("examples/zoo/seq2seq.nn", "fit", [], ["torch", "compile", "jax"], 2, None),
    "word2vec": ("examples/zoo/word2vec.nn", "fit", [], ["torch", "compile", "jax"], 3, None),
    "gpt": ("examples/zoo/gpt.nn", "fit", [], ["torch", "compile", "jax"], 1.2, None),
    "wgan": ("examples/zoo/wgan.nn", "critic_step", [], ["torch", "compile", "jax"], 1.5, None),
    "wgan_penalty": ("examples/zoo/wgan.nn", "critic_step_with_penalty", [], ["torch", "compile", "jax"], 1.5, None),
    "policy": ("examples/zoo/reinforce.nn", "policy_step", [], ["torch", "compile", "jax"], 1.5, None),
    "q_step": ("examples/zoo/reinforce.nn", "q_step", [], ["torch", "compile", "jax"], 1.5, None),
    "gpt_token": ("examples/gpt/sampler.nn", "gpt", [], ["torch"], 3, None),
    "lenet_i1": ("examples/zoo/lenet.nn", "classify", ["batch=1"], ["ort", "torch", "jax"], 3, None),
    "resnet_i1": ("examples/zoo/resnet.nn", "resnet18", ["batch=1"], ["ort", "torch"], 1.4, None),
    "vgg_i1": ("examples/zoo/vgg.nn", "vgg11", ["batch=1"], ["ort", "torch"], 1.4, None),
    "googlenet_i1": ("examples/zoo/inception.nn", "googlenet", ["batch=1"], ["ort", "torch"], 1.1, None),
    "mobilenet_i1": ("examples/zoo/mobilenet.nn", "mobilenet", ["batch=1"], ["ort", "torch"], 1.1, None),
    "alexnet_i1": ("examples/zoo/alexnet.nn", "alexnet", ["batch=1"], ["ort", "torch"], 1.1, None),
}

# Steps after which a case with memory begins anew.
SEQUENCES = {"gpt_token": ["128"]}


class Side:
    """A process that runs steps on demand."""

    def __init__(self, name, command, env=None):
        self.name, self.seconds = name, []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        line = self.process.stdout.readline()
        if line.strip() != "ready":
            error = self.process.stderr.read().strip().splitlines()
            raise RuntimeError(error[-1] if error else "no answer")
        self.steps = 1
        while self.block() < 0.02 and self.steps < 1 << 24:
            self.steps *= 2
        self.steps = max(1, int(self.steps * 0.06 / max(self.block(), 1e-6)))

    def block(self):
        self.process.stdin.write(f"{self.steps}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def round(self):
        self.block()                      # caches and threads as they are while only this side works
        self.seconds.append(self.block() / self.steps)

    @property
    def median(self):
        return statistics.median(self.seconds)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def start(sides, name, command, env=None):
    try:
        sides.append(Side(name, command, env))
    except (RuntimeError, OSError, ValueError) as error:
        print(f"  {name}: left out ({error})", file=sys.stderr)


def measure(case, options, folder):
    program, entry, sets, peers, goal, loops_goal = CASES[case]
    library = os.path.join(folder, case + ".so")
    command = [os.path.join(options.build, "bin/nncc"), os.path.join(ROOT, program), "-o", library]
    for value in sets:
        command += ["--set", value]
    subprocess.run(command, check=True)
    sides = []
    env = dict(os.environ, OMP_WAIT_POLICY="PASSIVE") if options.passive else None
    for threads in (1, 2):
        serve = [os.path.join(options.build, "bin/nncc-serve"), library, entry, str(threads)]
        start(sides, f"nncc {threads}t", serve + SEQUENCES.get(case, []))
    for peer in peers:
        if peer not in options.peers:
            continue
        if peer == "loops":
            start(sides, "loops", [os.path.join(options.build, "bin/loops"), case])
            continue
        for threads in (1, 2):
            start(sides, f"{peer} {threads}t", [sys.executable, os.path.join(HERE, "peers/serve.py"), peer, case, str(threads)], env)
    for _ in range(options.rounds):
        for side in sides:
            side.round()
            time.sleep(0.25 if not side.name.startswith(("nncc", "loops")) else 0)   # their threads spin on for a while
    ours = min((s for s in sides if s.name.startswith("nncc")), key=lambda s: s.median)
    frameworks = [s for s in sides if not s.name.startswith(("nncc", "loops"))]
    result = {"us": {s.name: s.median * 1e6 for s in sides}, "best": ours.name}
    print(f"{case}: " + ", ".join(f"{s.name} {s.median * 1e6:.4g} us" for s in sides))
    if frameworks:
        best = min(frameworks, key=lambda s: s.median)
        result["ratio"] = best.median / ours.median
        print(f"  {result['ratio']:.2f} x as fast as the fastest framework ({best.name}); the goal is {goal}")
    for side in sides:
        if side.name == "loops":
            result["loops_ratio"] = side.median / ours.median
            result["over_loops_us"] = (ours.median - side.median) * 1e6
            print(f"  {result['loops_ratio']:.2f} x as fast as plain loops, {result['over_loops_us']:+.3f} us" + (f"; the goal is {loops_goal} x" if loops_goal else "; the goal is at most +0.1 us"))
    for side in sides:
        side.close()
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build/release"))
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--peers", default="torch,compile,jax,ort,loops")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--passive", action="store_true", help="let OpenMP's threads sleep instead of spin")
    parser.add_argument("--json")
    options = parser.parse_args()
    options.peers = options.peers.split(",")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in options.only.split(","):
            if case not in CASES:
                sys.exit(f"compare.py: no case `{case}`; there are {', '.join(CASES)}")
            results[case] = measure(case, options, folder)
            if options.json:
                with open(options.json, "w") as file:
                    json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
