#!/usr/bin/env python3
"""Held-out accuracy of examples/zoo/mlp.nn on the bundled MNIST digits, trained by nncc and by PyTorch: same network, data, batches and epochs.

  bench/mnist_accuracy.py [--build build/release] [--epochs 10] [--seeds 3]
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


def torch_accuracy(seed, epochs):
    torch.manual_seed(seed)
    images = np.frombuffer(gzip.open(f"{DATA}/t10k-images-idx3-ubyte.gz").read()[16:], np.uint8).reshape(-1, 784)
    labels = np.frombuffer(gzip.open(f"{DATA}/t10k-labels-idx1-ubyte.gz").read()[8:], np.uint8)
    x, y = torch.tensor(images / 255.0, dtype=torch.float32), torch.tensor(labels, dtype=torch.long)
    net = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(256, 10))
    for layer in (net[0], net[3]):
        torch.nn.init.xavier_uniform_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
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
    parser.add_argument("--build", default=os.path.join(ROOT, "build/release"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = os.path.join(folder, "mlp.so")
        subprocess.run([f"{options.build}/bin/nncc", f"{ROOT}/examples/zoo/mlp.nn", "-o", library], check=True)
        ours = [nncc_accuracy(options.build, library, s, options.epochs) for s in range(1, options.seeds + 1)]
    theirs = [torch_accuracy(s, options.epochs) for s in range(1, options.seeds + 1)]
    print("nncc   ", *(f"{a:.2f}" for a in ours), f" mean {statistics.mean(ours):.2f} %")
    print("PyTorch", *(f"{a:.2f}" for a in theirs), f" mean {statistics.mean(theirs):.2f} %")


if __name__ == "__main__":
    main()
