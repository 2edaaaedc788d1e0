#!/usr/bin/env python3
"""Held-out accuracy on the bundled MNIST digits of examples/zoo's mlp.nn and lenet.nn, trained by nncc and by PyTorch: same network,
initialization, data, batches and epochs.

  bench/mnist_accuracy.py [mlp] [lenet] [--build build/release] [--epochs 10] [--seeds 3]
"""
import argparse
import gzip
import os
import re
import statistics
import subprocess
import tempfile

import numpy as np
import torch
import torch.nn.functional as F

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA = os.path.join(ROOT, "examples/data")


def mlp():
    net = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(256, 10))
    return net, torch.optim.Adam(net.parameters(), lr=0.001)


def lenet():
    net = torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, 28, 28)),
        torch.nn.Conv2d(1, 6, 5, padding=2), torch.nn.Tanh(), torch.nn.AvgPool2d(2),
        torch.nn.Conv2d(6, 16, 5), torch.nn.Tanh(), torch.nn.AvgPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(400, 120), torch.nn.Tanh(), torch.nn.Linear(120, 84), torch.nn.Tanh(), torch.nn.Linear(84, 10))
    return net, torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)


NETWORKS = {"mlp": mlp, "lenet": lenet}


def torch_accuracy(network, seed, epochs):
    torch.manual_seed(seed)
    images = np.frombuffer(gzip.open(f"{DATA}/t10k-images-idx3-ubyte.gz").read()[16:], np.uint8).reshape(-1, 784)
    labels = np.frombuffer(gzip.open(f"{DATA}/t10k-labels-idx1-ubyte.gz").read()[8:], np.uint8)
    x, y = torch.tensor(images / 255.0, dtype=torch.float32), torch.tensor(labels, dtype=torch.long)
    net, optimizer = NETWORKS[network]()
    for layer in net:
        if hasattr(layer, "weight"):
            torch.nn.init.xavier_uniform_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
    for _ in range(epochs):
        order = torch.randperm(8000)
        for start in range(0, 8000, 64):
            batch = order[start:start + 64]
            optimizer.zero_grad()
            F.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
    net.eval()
    return 100 * (net(x[8000:]).argmax(1) == y[8000:]).float().mean().item()


def nncc_accuracy(build, library, seed, epochs):
    output = subprocess.run([f"{build}/bin/mnist", library, DATA, str(epochs), str(seed)], check=True, capture_output=True, text=True).stdout
    return float(re.search(r"held-out accuracy ([\d.]+)", output).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="network", help=f"{', '.join(NETWORKS)} (all)")
    parser.add_argument("--build", default=os.path.join(ROOT, "build/release"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    if unknown := set(options.networks) - set(NETWORKS):
        parser.error(f"no such network: {', '.join(sorted(unknown))}")
    seeds = range(1, options.seeds + 1)
    for network in options.networks or NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            library = os.path.join(folder, "model.so")
            subprocess.run([f"{options.build}/bin/nncc", f"{ROOT}/examples/zoo/{network}.nn", "-o", library], check=True)
            ours = [nncc_accuracy(options.build, library, seed, options.epochs) for seed in seeds]
        theirs = [torch_accuracy(network, seed, options.epochs) for seed in seeds]
        print(network)
        for side, figures in (("nncc", ours), ("PyTorch", theirs)):
            print(f"  {side:7}", *(f"{a:.2f}" for a in figures), f" mean {statistics.mean(figures):.2f} %", flush=True)


if __name__ == "__main__":
    main()
