"""arithmetic.py KERNEL.ptx HOST.so: the emulator against the host on arithmetic.c."""
import ctypes
import sys

import numpy as np

from launch import run_kernel

N, NARROW, WIDE, SINGLE = 128, 38, 18, 26
random = np.random.default_rng(0)
a, b, c = (random.integers(0, 1 << 64, N, np.uint64) for _ in range(3))
a, b = a.astype(np.uint32), b.astype(np.uint32)
a[:40] >>= np.uint32(20)
b[20:60] >>= np.uint32(22)
c[:30] >>= np.uint64(40)
f, g = (random.standard_normal((2, N)) * 10).astype(np.float32)
f[5], f[6], g[7], f[8] = g[5], np.nan, np.nan, np.inf


def arrays():
    return {"a": a, "b": b, "c": c, "f": f, "g": g, "narrow": np.zeros((NARROW, N), np.uint32),
            "wide": np.zeros((WIDE, N), np.uint64), "single": np.zeros((SINGLE, N), np.float32)}  # fmt: skip


device, host = arrays(), arrays()
launch = {"threads": N, "shared": 0, "params": [{"kind": "pointer", "array": name} for name in device]}
signature = [{"name": name, "role": "output" if len(name) > 1 else "param"} for name in device]
with open(sys.argv[1], encoding="utf-8") as file:
    run_kernel(file.read(), "compute_kernel", launch, signature, device, 1, 1, 1)
ctypes.CDLL(sys.argv[2]).compute_host(*(ctypes.c_void_p(x.ctypes.data) for x in host.values()))
for name in ("narrow", "wide", "single"):
    x, y = device[name], host[name]
    wrong = ~((x == y) | ((x != x) & (y != y)))
    for row in np.flatnonzero(wrong.any(1)):
        i = np.flatnonzero(wrong[row])[0]
        print(f"{name} {row}: {wrong[row].sum()} differ, the first at {i}: {x[row, i]} and not {y[row, i]}")
    print(f"{name}: {(~wrong).sum()} right")
