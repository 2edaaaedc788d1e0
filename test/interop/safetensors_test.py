#!/usr/bin/env python3
"""Checkpoints go back and forth between a compiled model and Python's safetensors package.

  test/interop/safetensors_test.py NNRUN MODEL.so

MODEL.so is the model written by hand of test/runtime. Exit status 77, and a line that says why, where NumPy or safetensors is missing.
"""
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file
except ImportError as error:
    print(f"skipped: Python's {error.name} is not installed")
    sys.exit(77)

NNRUN, MODEL = sys.argv[1:3]
ODD = 'odd "name"\\\n\x01 \u00e9'


def run(*arguments, fails=False):
    result = subprocess.run([NNRUN, "run", MODEL, *arguments], capture_output=True, text=True)
    assert (result.returncode == 1) == fails, result.stderr
    return result.stderr


def main(folder):
    path = lambda name: os.path.join(folder, name)
    run("--steps", "0", "--seed", "7", "--save", path("ours.safetensors"))
    ours = load_file(path("ours.safetensors"))
    expected = {"net.weight": ((8,), "float32"), "fit.momentum.v/net.weight": ((8,), "float32"), "net.scale": ((), "float64"), "fit.step": ((), "int64"),
                "seed": ((), "int64"), "net.cache": ((4,), "float32"), "net.flags": ((2,), "bool"), ODD: ((), "float32")}
    assert {name: (t.shape, t.dtype.name) for name, t in ours.items()} == expected, ours
    assert ours["seed"] == 7 and ours["net.scale"] == 0.5 and ours["net.flags"].tolist() == [True, False]
    np.testing.assert_array_equal(ours["net.weight"], np.arange(7, 15, dtype=np.float32))
    with safe_open(path("ours.safetensors"), "np") as file:
        assert file.metadata() == {"format": "nn", "model": "hand"}

    changed = {name: np.array(t) for name, t in ours.items()}
    changed["net.weight"] = np.linspace(-1, 1, 8, dtype=np.float32)
    changed["fit.step"] = np.array(41, dtype=np.int64)
    changed[ODD] = np.array(2.5, dtype=np.float32)
    save_file(changed, path("theirs.safetensors"), metadata={"written by": "Python \"here\""})
    run("--steps", "0", "--load", path("theirs.safetensors"), "--save", path("back.safetensors"))
    back = load_file(path("back.safetensors"))
    for name, value in changed.items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)

    save_file({"net.weight": changed["net.weight"]}, path("partial.safetensors"))
    assert "it lacks" in run("--steps", "0", "--load", path("partial.safetensors"), fails=True)
    run("--steps", "0", "--load-partial", "--load", path("partial.safetensors"), "--save", path("back.safetensors"))
    np.testing.assert_array_equal(load_file(path("back.safetensors"))["net.weight"], changed["net.weight"])
    save_file({**changed, "net.weight": changed["net.weight"].astype(np.float64)}, path("wide.safetensors"))
    assert "F64[8]" in run("--steps", "0", "--load", path("wide.safetensors"), fails=True)
    print("ok")


with tempfile.TemporaryDirectory() as temporary:
    main(temporary)
