#!/usr/bin/env python3
"""Holds every kernel on tensor cores to what ptxas says: no register in memory, no products that wait for each other.

  ptxas.py MIXER.rondo...      all sizes 128, bf16

A mixer that runs on CUDA cores is left out. Those in KNOWN may have what it says.
"""
import os
import re
import subprocess
import sys
import tempfile

# Mixer: (what ptxas may say, bytes of spills; why).
COUPLED = "two coupled states, old and new, in 240 registers"
KNOWN = {
    "comba": ({"C7519"}, 0, "a wait for a second input between two products of the state"),
    "gla_two_sided": (set(), 320, "decays along both axes: copies for the octets beside them in 176 registers"),
    "gsa": (set(), 16, "decays along the free axis in 192 registers"),
    "momentum": ({"C7512"}, 64, COUPLED),
    "momentum_delta": ({"C7512"}, 512, COUPLED),
    "rwkv6": (set(), 128, "octets with a diagonal of their own in 112 registers"),
    "rwkv7": (set(), 128, "four matrices of a chunk in one kernel, two more operands of the state in the other"),
}


def emit(stage, path, *options):
    sizes = sorted(set(re.findall(r"\b[A-Z]\b", " ".join(re.findall(r"\[([^\]]*)\]", open(path).read())))))
    command = ["rondoc", "emit", f"--stage={stage}", path, "--dtype=bf16", *options]
    return subprocess.run(command + (["--size"] + [f"{size}=128" for size in sizes] if sizes else []), capture_output=True, text=True)


failed = False
for path in sys.argv[1:]:
    name = os.path.basename(path).removesuffix(".rondo")
    tile = emit("tile", path)
    if "tile.kernel" not in tile.stdout:
        print(f"{name}: on CUDA cores")
        continue
    with tempfile.NamedTemporaryFile() as output:
        text = emit("cubin", path, "-o", output.name).stderr
    spills = [int(bytes) for bytes in re.findall(r"spill_(?:store|load)_bytes=(\d+)", text)]
    codes = set(re.findall(r"\((C75\d\d)\)", text))
    allowed, bytes, why = KNOWN.get(name, (set(), 0, ""))
    said = ", ".join([f"{max(spills)} bytes of spills"] * any(spills) + sorted(codes))
    good = spills and codes <= allowed and max(spills) <= bytes
    if good:
        print(f"{name}: ok" + (f" ({said}: {why})" if said else " (take it out of KNOWN)" if name in KNOWN else ""))
    else:
        print(f"{name}: FAILED: {said or text}")
        failed = True
sys.exit(failed)
