#!/usr/bin/env python3
"""Runs running.mlir or inverse.mlir on the PTX emulator and compares with the definition in float64.

  emulate.py running|inverse BINARY MODULE      BINARY: PTX in a gpu.binary; MODULE: what rondo-lower-tiles gives
"""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "ptx"))
import numpy as np

from launch import parse_launches, run_kernel

ROUNDING = 64 * 2**-24  # a product or sum of 64 tokens in f32
SEEDS = range(4)  # of schedules; the emulator also finds accesses that nothing orders
rng = np.random.default_rng(1)
failed = False


def report(name, error, tolerance):
    global failed
    failed |= not error <= tolerance
    print(f"{name}: {'ok' if error <= tolerance else f'error {error:.1e} > {tolerance:.0e}'}")


def run(arrays, T, **options):
    """Runs the kernel under several schedules, which must give the same."""
    ptx, module = (open(path).read() for path in sys.argv[2:4])
    if quoted := re.search(r'assembly = "((?:[^"\\]|\\.)*)"', ptx):
        ptx = re.sub(r"\\([0-9A-Fa-f]{2}|.)", lambda m: chr(int(m[1], 16)) if len(m[1]) == 2 else m[1], quoted[1]).rstrip("\0")
    (name, launch, signature), = parse_launches(module)
    first = None
    for seed in SEEDS:
        mine = {key: array.copy() for key, array in arrays.items()}
        run_kernel(ptx, name, launch, signature, mine, 1, T, 1, seed=seed)
        if first:
            assert all(np.array_equal(first[key], mine[key], equal_nan=True) for key in mine), "schedules give different results"
        first = first or mine
    return first


def distance(x, y):
    x, y = np.asarray(x, float), np.asarray(y, float)
    return np.inf if np.isnan(x).any() else np.linalg.norm(x - y) / max(np.linalg.norm(y), 1e-30)


def running():
    for T in (1, 64, 65, 127, 192):
        for kind in ("decays", "resets", "ones"):
            d = {"ones": np.ones(T), "decays": rng.uniform(0.3, 1, T), "resets": rng.uniform(0.5, 1, T) * (rng.random(T) > 0.1)}[kind]
            d, b = d.astype(np.float32), rng.normal(size=T).astype(np.float32)
            names = ["prefix", "suffix", "total", "before0", "after0", "before1", "after1"]
            arrays = {"d": d.reshape(1, T, 1), "b": b.reshape(1, T, 1)}
            arrays |= {name: np.full((1, T, 1), np.nan, np.float32) for name in names}
            arrays |= {f"{x}.initial": rng.normal(size=(1, 1)).astype(np.float32) for x in ("x0", "x1")}
            arrays |= {f"{x}.final": np.full((1, 1), np.nan, np.float32) for x in ("x0", "x1")}
            arrays |= {f"{x}.final": np.full((1, 1, 64, 64), np.nan, np.float32) for x in ("R", "Q")}
            result = run(arrays, T)

            expected = {name: np.zeros(T) for name in names}
            x0, x1 = float(arrays["x0.initial"][0, 0]), float(arrays["x1.initial"][0, 0])
            for t in range(T):
                expected["before0"][t], expected["before1"][t] = x0, x1
                x0, x1 = float(d[t]) * x0 + b[t], max(float(d[t]) + x1, b[t])
                expected["after0"][t], expected["after1"][t] = x0, x1
            for begin in range(0, T, 64):
                # Rows beyond the last token repeat it.
                chunk = d[np.minimum(np.arange(begin, begin + 64), T - 1)].astype(float)
                for i in range(min(64, T - begin)):
                    expected["prefix"][begin + i] = chunk[:i].prod()
                    expected["suffix"][begin + i] = chunk[i + 1 :].prod()
                    expected["total"][begin + i] = chunk.prod()
            case = f"{kind}, {T} tokens"
            report(f"{case}: rows", max(distance(result[name].ravel(), expected[name]) for name in names), ROUNDING)
            report(f"{case}: last", max(abs(result["x0.final"][0, 0] - x0) / (1 + abs(x0)), abs(result["x1.final"][0, 0] - x1) / (1 + abs(x1))), ROUNDING)
            R = result["R.final"][0, 0]
            worst = 0.0 if np.isfinite(R).all() else np.inf
            for i in range(64):
                for j in range(i):
                    product = chunk[j + 1 : i].prod()
                    worst = max(worst, abs(R[i, j] - product) / product if product > 1e-30 else abs(R[i, j]))
            report(f"{case}: intervals", worst, ROUNDING)
            rows = b[np.minimum(np.arange(begin, begin + 64), T - 1)].astype(float)
            products = np.array([[chunk[j + 1 : i].prod() if j < i else 0.0 for j in range(64)] for i in range(64)])
            Q = result["Q.final"][0, 0]
            report(f"{case}: with factors", distance(Q, 0.5 * rows[:, None] * products + 0.25 * np.eye(64)), ROUNDING)
            report(f"{case}: above", np.abs(np.triu(Q, 1)).max(), 0)


def matrices():
    def keys(cosine):
        k = rng.normal(size=(64, 128)) + np.sqrt(cosine / (1 - cosine)) * rng.normal(size=128)
        k /= np.linalg.norm(k, axis=1, keepdims=True)
        return k @ k.T / (1 + np.exp(-rng.normal(size=(64, 1))))

    yield "independent keys", keys(0.0)
    yield "correlated keys", keys(0.7)
    yield "equal keys", np.full((64, 64), 0.98)
    yield "one below the diagonal", np.diag(rng.uniform(-1, 1, 63), -1)
    yield "nothing", np.zeros((64, 64))
    yield "no pattern", 0.1 * rng.normal(size=(64, 64))


def inverse():
    for (name, M), (_, N) in zip(list(matrices()), list(matrices())):
        s = rng.uniform(0.1, 1, 64).astype(np.float32)
        arrays = {"s": s.reshape(1, 64, 1)}
        for key, matrix in (("M", M), ("N", -N)):
            # What is on and above the diagonal must not matter.
            arrays[f"{key}.initial"] = np.where(np.tri(64, k=-1) > 0, matrix, np.nan).astype(np.float32).reshape(1, 1, 64, 64)
            arrays[f"{key}.final"] = np.full((1, 1, 64, 64), np.nan, np.float32)
        result = run(arrays, 64)
        for key, sign, scale, tolerance in (("M", 1, s, 4e-3), ("N", -1, 1.0, 1e-3)):
            lower = np.nan_to_num(arrays[f"{key}.initial"][0, 0].astype(float))
            found = result[f"{key}.final"][0, 0]
            error = distance(found, np.linalg.inv(np.eye(64) + sign * lower) * scale)
            report(f"{name}, {key}", error if (np.triu(found, 1) == 0).all() else np.inf, tolerance)


{"running": running, "inverse": inverse}[sys.argv[1]]()
sys.exit(1 if failed else 0)
