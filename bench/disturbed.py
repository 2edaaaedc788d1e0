#!/usr/bin/env python3
"""A training step of mlp with two threads, alone and while another process keeps one core busy, in turn: how much slower it gets.

  bench/disturbed.py [--build build/release] [--rounds 15]
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from compare import ROOT, Side


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build/release"))
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = os.path.join(folder, "mlp.so")
        subprocess.run([f"{options.build}/bin/nncc", f"{ROOT}/examples/zoo/mlp.nn", "-o", library], check=True)
        side = Side("mlp", [f"{options.build}/bin/nncc-serve", library, "fit", "2"])
        alone, disturbed = [], []
        for _ in range(options.rounds):
            alone.append(side.block() / side.steps)
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            time.sleep(0.1)
            disturbed.append(side.block() / side.steps)
            busy.kill()
            busy.wait()
            time.sleep(0.1)
        side.close()
    a, d = statistics.median(alone), statistics.median(disturbed)
    print(f"alone {a * 1e6:.1f} us, beside a busy process {d * 1e6:.1f} us: {d / a:.2f} x as slow (worst round {max(disturbed) / a:.2f} x); the goal is at most 2.5 x")


if __name__ == "__main__":
    main()
