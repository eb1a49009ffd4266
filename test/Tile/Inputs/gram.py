"""Runs the kernel of gram.mlir on the PTX emulator and compares it with float64.

  gram.py MODULE BINARY [bf16 | f16] [SPAN]    SPAN: 32 for products in halves of a chunk; MODULE: what rondo-lower-tiles gives; BINARY: what gpu-module-to-binary gives
"""
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "ptx"))
try:
    import numpy as np
except ImportError:
    sys.exit(print("the emulator needs numpy"))
from launch import parse_launches, run_kernel
from translate import narrow, widen

TOKENS, CHANNELS, CHUNK = 100, 128, 64
DECAYS = {
    "soft": lambda r, shape: np.exp(-0.02 * abs(r.normal(size=shape))),
    "strong": lambda r, shape: np.exp(-9 * abs(r.normal(size=shape))),
    "one": lambda r, shape: np.ones(shape),
    "zero": lambda r, shape: np.zeros(shape),
    "some zero": lambda r, shape: np.where(r.random(shape) < 0.05, 0, r.random(shape)),
    "tiny": lambda r, shape: np.where(r.random(shape) < 0.5, 1e-30, 1),
}


def reference(q, r, k, d, span):
    """Of one chunk of 64 tokens, in float64. Between different halves, where nothing is written, not a number."""
    before, after = np.ones_like(d), np.ones_like(d)
    for t in range(1, CHUNK):
        if t % span:
            before[t] = before[t - 1] * d[t - 1]
            after[-1 - t] = after[-t] * d[-t]
    first, second = np.zeros((CHUNK, CHUNK)), np.zeros((CHUNK, CHUNK))
    for s in range(CHUNK):
        first[s, s] = q[s] @ k[s]
        between = k[s].copy()
        for t in range(s + 1, s - s % span + span):
            first[t, s], second[t, s] = q[t] @ between, r[t] @ between
            between *= d[t]
    for begin in range(0, CHUNK, span):
        for matrix in (first, second):
            matrix[begin : begin + span, :begin] = matrix[begin : begin + span, begin + span :] = np.nan
    return {"first": first, "second": second, "before": q * before, "after": k * after,
            "whole": np.broadcast_to(d[-span:].prod(0), d.shape)}


def main():
    module, binary, kind = Path(sys.argv[1]).read_text(), Path(sys.argv[2]).read_text(), (sys.argv[3:] or ["bf16"])[0]
    span = int((sys.argv[4:] or [CHUNK])[0])
    text = re.search(r'assembly = "([^"]*)"', binary).group(1)
    ptx = re.sub(r"\\([0-9A-F]{2})", lambda code: chr(int(code.group(1), 16)), text)
    [(name, launch, signature)] = parse_launches(module)
    failed = False
    for seed, (decays, draw) in enumerate(DECAYS.items()):
        random = np.random.default_rng(seed)
        shape = (1, TOKENS, 1, CHANNELS)
        inputs = {n: random.normal(size=shape) for n in "qrk"} | {"d": draw(random, shape)}
        arrays = {n: to_storage(x, kind) for n, x in inputs.items()}
        inputs = {n: to_f64(x, kind) for n, x in arrays.items()}
        for array in signature:
            if array["role"] == "output":
                arrays[array["name"]] = to_storage(np.full((1, TOKENS, 1, *array["sizes"]), np.nan), kind)
        run_kernel(ptx, name, launch, signature, arrays, 1, TOKENS, 1, seed)
        errors = {}
        for begin in range(0, TOKENS, CHUNK):
            count = min(CHUNK, TOKENS - begin)
            chunk = {n: np.zeros((CHUNK, CHANNELS)) for n in inputs}
            for n, x in inputs.items():
                chunk[n][:count] = x[0, begin : begin + count, 0]
            for n, expected in reference(**chunk, span=span).items():
                value = to_f64(arrays[n], kind)[0, begin : begin + count, 0]
                expected = expected[:count]
                value, expected = np.where(np.isnan(expected), 0, value), np.nan_to_num(expected)
                # Products of decays may underflow.
                error = np.linalg.norm(value - expected) / max(np.linalg.norm(expected), 1e-2)
                errors[n] = max(errors.get(n, 0), error if error == error else np.inf)
        print(f"{decays}: " + ", ".join(f"{n} {e:.1e}" for n, e in errors.items()))
        failed |= bool(max(errors.values()) > (4e-3 if kind == "bf16" else 5e-4))
    sys.exit(failed)


def to_storage(x, kind):
    return narrow(x.astype(np.float32)) if kind == "bf16" else x.astype(np.float16)


def to_f64(x, kind):
    return (widen(x) if kind == "bf16" else x).astype(np.float64)


main()
