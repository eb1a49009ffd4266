#!/usr/bin/env python3
"""Runs linear-attention.mlir, operations.mlir or reduce.mlir on the PTX emulator and compares with the definition in float64.

  states.py linear-attention|operations|reduce MODULE BINARY      MODULE: what rondo-lower-tiles gives; BINARY: PTX in a gpu.binary
"""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "ptx"))
import numpy as np

from launch import parse_launches, run_kernel

module, binary = (open(path).read() for path in sys.argv[2:4])
quoted = re.search(r'assembly = "((?:[^"\\]|\\.)*)"', binary).group(1)
ptx = re.sub(r"\\([0-9A-F]{2})", lambda code: chr(int(code.group(1), 16)), quoted)
(name, launch, signature), = parse_launches(module)
rng = np.random.default_rng(3)
failed = False


def narrow(x):
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def widen(x):
    return (x.astype(np.uint32) << 16).view(np.float32)


def report(name, x, y, tolerance):
    global failed
    error = np.inf if np.isnan(x).any() else np.linalg.norm(x - y) / max(np.linalg.norm(y), 1e-30)
    failed |= not error <= tolerance
    print(f"{name}: {'ok' if error <= tolerance else f'error {error:.1e} > {tolerance:.0e}'}")


def tokens(B, T, H, *sizes, strided=False):
    """bf16 numbers; with `strided` heads before time."""
    x = narrow(rng.normal(size=(B, H, T, *sizes) if strided else (B, T, H, *sizes)) * 0.3)
    return x.swapaxes(1, 2) if strided else x


def nothing(*shape, dtype=np.float32):
    return np.full(shape, np.nan, np.float32) if dtype == np.float32 else np.full(shape, 0x7FC0, np.uint16)


def linear_attention():
    for B, T, H, heads, initial in ((1, 64, 1, 1, False), (2, 130, 2, 1, True)):
        a = {"q": tokens(B, T, H, 128), "k": tokens(B, T, heads, 128, strided=True), "v": tokens(B, T, H, 128)}
        a |= {"o": nothing(B, T, H, 128, dtype=np.uint16), "S.final": nothing(B, H, 128, 128)}
        if initial:
            a["S.initial"] = rng.normal(size=(B, H, 128, 128)).astype(np.float32)
        run_kernel(ptx, name, launch, signature, a, B, T, H, seed=T)
        q, k, v = (np.repeat(widen(a[x]).astype(float), H // a[x].shape[2], axis=2) for x in "qkv")
        S = a["S.initial"].astype(float) if initial else np.zeros((B, H, 128, 128))
        o = np.zeros(q.shape)
        for t in range(T):
            S = S + np.einsum("bhk,bhv->bhkv", k[:, t], v[:, t])
            o[:, t] = np.einsum("bhkv,bhk->bhv", S, q[:, t])
        report(f"T = {T}: o", widen(a["o"]), o, 4e-3)
        report(f"T = {T}: S", a["S.final"], S, 1e-6)


def operations():
    for B, T, H, heads, initial in ((1, 64, 1, 1, False), (2, 70, 2, 1, True)):
        a = {"x": tokens(B, T, heads, 96), "g": tokens(B, T, H, strided=True)}
        a |= {"w": rng.normal(size=(heads, 96)).astype(np.float32), "a": rng.normal(size=(H,)).astype(np.float32)}
        a |= {"y": nothing(B, T, H, 96, dtype=np.uint16), "reads": nothing(B, T, H, dtype=np.uint16)}
        a |= {x: nothing(B, T, H) for x in ("sums", "gates")}
        shapes = {"S": (B, H, 96, 40), "R": (B, H, 40, 96), "n": (B, H, 96), "c": (B, H)}
        begin = {"S": 1.0, "R": 1.0, "n": 0.5, "c": 3.0}
        before = {}
        for state, shape in shapes.items():
            a[state + ".final"] = nothing(*shape)
            before[state] = np.full(shape, begin[state])
            if initial:
                a[state + ".initial"] = rng.normal(size=shape).astype(np.float32)
                before[state] = a[state + ".initial"].astype(float)
        run_kernel(ptx, name, launch, signature, a, B, T, H, seed=T)

        x = np.repeat(widen(a["x"]).astype(float), H // heads, axis=2)
        w = np.repeat(a["w"].astype(float), H // heads, axis=0)
        g = widen(a["g"]).astype(float)
        y = x * w + g[..., None]
        report(f"T = {T}: y", widen(a["y"]), y, 4e-3)
        report(f"T = {T}: sums", a["sums"], y.sum(-1), 1e-6)
        report(f"T = {T}: gates", a["gates"], np.log1p(np.exp(g)) / np.exp(g), 1e-6)
        report(f"T = {T}: S", a["S.final"], before["S"] * a["a"][:, None, None], 1e-6)
        report(f"T = {T}: R", a["R.final"], before["R"] * 2, 1e-6)
        report(f"T = {T}: c", a["c.final"], before["c"] + T, 1e-6)
        n, reads = before["n"], np.zeros((B, T, H))
        for t in range(0, T, 64):
            part = x[:, t : t + 64]
            reads[:, t : t + 64] = np.einsum("bthk,bhk->bth", part, n)
            n = n + np.einsum("bth,bthk->bhk", reads[:, t : t + 64], part)
        report(f"T = {T}: reads", widen(a["reads"]), reads, 4e-3)
        report(f"T = {T}: n", a["n.final"], n, 1e-6)


def reduce():
    for seed in range(4):
        B, T, H = 1, 200, 2
        a = {}
        for state, shape in (("S", (128, 128)), ("L", (32, 128)), ("M", (8, 64))):
            a[state + ".initial"] = rng.normal(size=(B, H, *shape)).astype(np.float32)
            a[state + ".final"] = nothing(B, H, *shape)
        run_kernel(ptx, name, launch, signature, a, B, T, H, seed=seed)
        S, L, M = (a[state + ".initial"].astype(float) for state in "SLM")
        for _ in range(0, T, 64):
            S = S + S.mean(-1, keepdims=True)
            L = L + L.max(-1, keepdims=True)
        report(f"seed {seed}: S", a["S.final"], S, 1e-6)
        report(f"seed {seed}: L", a["L.final"], L, 1e-6)
        report(f"seed {seed}: M", a["M.final"], np.broadcast_to(M.min(-1, keepdims=True), M.shape), 1e-7)


{"linear-attention": linear_attention, "operations": operations, "reduce": reduce}[sys.argv[1]]()
sys.exit(failed)
