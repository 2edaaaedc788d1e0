#!/usr/bin/env python3
"""Seconds that `nncc examples/zoo/mlp.nn` takes with an empty cache and with a full one, and the size of what it makes.

  bench/compile_time.py [--build build/release] [--program examples/zoo/mlp.nn] [--rounds 5]
"""
import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build/release"))
    parser.add_argument("--program", default=os.path.join(ROOT, "examples/zoo/mlp.nn"))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cold, warm = [], []
    with tempfile.TemporaryDirectory() as folder:
        library, cache = os.path.join(folder, "m.so"), os.path.join(folder, "cache")
        for _ in range(options.rounds):
            shutil.rmtree(cache, ignore_errors=True)
            for times in (cold, warm):
                start = time.perf_counter()
                subprocess.run([f"{options.build}/bin/nncc", options.program, "-o", library, "--cache-dir", cache], check=True)
                times.append(time.perf_counter() - start)
        size = os.path.getsize(library)
    print(f"nothing cached {statistics.median(cold):.2f} s, all cached {statistics.median(warm):.2f} s, {size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
