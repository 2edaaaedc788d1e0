#!/usr/bin/env python3
"""One peer, ready to run blocks of steps on demand: `serve.py PEER CASE THREADS`.

Prints `ready` once the case is built and warm, then for each line N on standard input runs N steps and prints the seconds they
took. ../compare.py drives several of these in turn, so that both sides of a ratio see the same machine.
"""
import os
import sys
import time


def torch_eager(case, threads):
    import torch
    import torch_models
    import torch_peers
    torch.set_num_threads(threads)
    train = case in torch_models.TRAIN
    build = (torch_models.TRAIN if train else torch_models.INFER)[case]
    best = None
    for layout, kind in torch_peers.variants(build(), train):
        built = build()
        if layout == "nhwc":
            torch_peers.to_channels_last(built)
        if train:
            step = torch_peers.make_step(built, kind)
        else:
            built.module.eval()
            step = torch.inference_mode()(lambda built=built: built.module(*built.inputs))
        run = torch_peers.repeat(step)
        ms = torch_peers.time_blocks(run, 0.3, min_blocks=3, hard_limit=6)["ms"]
        if best is None or ms < best[0]:
            best = (ms, run)
    return best[1], lambda: None


def torch_compile(case, threads):
    import torch
    import torch_models
    import torch_peers
    torch.set_num_threads(threads)
    if case in torch_models.INFER:
        built = torch_models.INFER[case]()
        built.module.eval()
        module = torch.compile(built.module)
        step = torch.inference_mode()(lambda: module(*built.inputs))
        step()
        return torch_peers.repeat(step), lambda: None
    best = None
    for kind in ("compiled", "fused"):
        built = torch_models.TRAIN[case]()
        if kind == "fused" and built.optimizer not in torch_peers.FUSED:
            kind = "foreach"
        run = torch_peers.repeat(torch_peers.make_step(built, kind, compiled=True))
        ms = torch_peers.time_blocks(run, 0.3, min_blocks=3, hard_limit=60)["ms"]
        if best is None or ms < best[0]:
            best = (ms, run)
    return best[1], lambda: None


def jax_jit(case, threads):
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:threads]))   # XLA sizes its pool by the affinity
    import jax_models
    import jax_peers
    from measure import time_blocks
    built, best = jax_models.CASES[case](), None
    for layout, unroll in jax_peers.variants(built):
        run, sync, _ = jax_peers.prepare(built, layout, unroll, "rbg", False)
        ms = time_blocks(run, 0.3, sync, min_blocks=2, hard_limit=8)["ms"]
        if best is None or ms < best[0]:
            best = (ms, run, sync)
    return best[1:]


def onnxruntime(case, threads):
    import tempfile
    import onnxruntime as ort
    import torch
    import torch_models
    built = torch_models.INFER[case]()
    built.module.eval()
    path = os.path.join(tempfile.mkdtemp(), "model.onnx")
    torch.onnx.export(built.module, built.inputs, path, dynamo=True, verbose=False)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {i.name: x.numpy() for i, x in zip(session.get_inputs(), built.inputs)}

    def run(n):
        for _ in range(n):
            session.run(None, feed)
    return run, lambda: None


PEERS = {"torch": torch_eager, "compile": torch_compile, "jax": jax_jit, "ort": onnxruntime}


def main():
    peer, case, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)                       # what libraries print goes to standard error
    run, sync = PEERS[peer](case, threads)
    run(1)
    sync()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        n = int(line)
        start = time.perf_counter()
        run(n)
        sync()
        print(time.perf_counter() - start, file=answers, flush=True)


if __name__ == "__main__":
    main()
