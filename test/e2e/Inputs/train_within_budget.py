"""Compiles a program without and with the least --memory-budget that its entries need, trains both a few steps on
the same data, and compares the checkpoints byte for byte. Without NumPy.

usage: train_within_budget.py FOLDER PROGRAM ENTRY [OPTION OF NNCC...]
"""
import json
import os
import random
import re
import struct
import subprocess
import sys

folder, program, entry, *options = sys.argv[1:]
os.makedirs(folder, exist_ok=True)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


def compiled(name, *more):
    done = run("nncc", program, *options, *more, "--stats", "-o", f"{folder}/{name}.so")
    if done.returncode:
        sys.exit(done.stderr)
    return int(re.search(rf"(\d+) bytes of arena in {entry}\n", done.stderr)[1])


def save(name, descr, shape, data):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(f"{folder}/{name}.npy", "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data)
    return ["--input", f"{name}={folder}/{name}.npy"]


def inputs():
    random.seed(1)
    entries = json.loads(run("nnrun", "info", f"{folder}/kept.so", "--json").stdout)["entries"]
    result = []
    for argument in next(e for e in entries if e["name"] == entry)["inputs"]:
        n = 1
        for extent in argument["shape"]:
            n *= extent
        if argument["dtype"] == "f32":
            data = struct.pack(f"<{n}f", *[random.gauss(0, 1) for _ in range(n)])
        else:
            data = struct.pack(f"<{n}i", *[random.randrange(2) for _ in range(n)])
        result += save(argument["name"], {"f32": "<f4", "i32": "<i4"}[argument["dtype"]], argument["shape"], data)
    return result


def trained(name, arguments):
    path = f"{folder}/{name}.safetensors"
    done = run("nnrun", "run", f"{folder}/{name}.so", "--entry", entry, *arguments, "--steps", "5", "--seed", "3",
               "--save", path)
    if done.returncode:
        sys.exit(done.stderr)
    with open(path, "rb") as file:
        return file.read()


kept = compiled("kept")
refused = run("nncc", program, *options, "--memory-budget=1", "-o", f"{folder}/refused.so")
if refused.returncode != 1:
    sys.exit("a budget of one byte is not refused: " + refused.stderr)
least = {name: int(n) for name, n in
         re.findall(r"workspace of `(\w+)` does not fit .* would do is (\d+) bytes", refused.stderr)}
again = compiled("again", f"--memory-budget={max(least.values())}")
arguments = inputs()
same = trained("kept", arguments) == trained("again", arguments)
print(f"{'less' if again < kept else 'as much'}: {again} of {kept} bytes; "
      f"{'the same bits' if same else 'OTHER BITS'}")
