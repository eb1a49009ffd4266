"""product.py FILE.ptx TOKENS [SEED]: the kernel of product.ptx against numpy."""
import sys

import numpy as np

from launch import run_kernel
from ptx import PtxError
from translate import narrow, widen

tokens, seed = int(sys.argv[2]), int((sys.argv + ["0"])[3])
random = np.random.default_rng(seed)
a, b = (narrow(random.standard_normal((1, tokens, 1, 64)).astype(np.float32)) for _ in range(2))
arrays = {"a": a, "b": b, "o": np.full_like(a, 0xFFFF)}
params = [{"kind": "map", "array": name, "box": [64, 64], "swizzle": 128} for name in arrays]
launch = {"threads": 128, "shared": 24584, "params": params}
signature = [{"name": name, "role": "output" if name == "o" else "token"} for name in arrays]
with open(sys.argv[1], encoding="utf-8") as file:
    text = file.read()
try:
    run_kernel(text, "product", launch, signature, arrays, 1, tokens, 1, seed)
except PtxError as error:
    sys.exit(f"error: {error}")
rows = np.zeros((64, 64), np.float32)
rows[:tokens] = widen(b)[0, :, 0]
expected = widen(a)[0, :, 0] @ rows
error = np.linalg.norm(widen(arrays["o"])[0, :, 0] - expected) / np.linalg.norm(expected)
print("nan" if np.isnan(error) else "right" if error < 3e-3 else f"wrong: {error}")
