#!/usr/bin/env python3
"""Runs the CUDA kernels of a mixer on the emulator and compares them with the interpreter.

  check.py mixers/gla.rondo --size K=64 V=64 --tokens 130 --dtype bf16
  check.py mixers/gla.rondo --size K=64 V=64 --ptx gla.ptx --nvvm gla.mlir      PTX and rondo.launch from files

Inputs are as the mixer's `# check:` comments say, outputs, temporaries and final states begin as NaN. Prints the relative error of each,
and fails beyond --tolerance.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the products are small
import numpy as np

from launch import parse_launches, run_kernel
from ptx import PtxError, parse_kernels
from translate import narrow, widen

TOLERANCE = {"f32": 1e-4, "bf16": 5e-3, "f16": 2e-3}


def main():
    options = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        try:
            failed = check(options, folder)
        except PtxError as error:
            sys.exit(f"check.py: {error}")
    sys.exit(1 if failed else 0)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixer")
    parser.add_argument("--size", nargs="+", default=[], metavar="NAME=NUMBER")
    parser.add_argument("--tokens", type=int, default=130)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--heads-of", nargs="+", default=[], metavar="NAME=NUMBER", help="of a grouped argument")
    parser.add_argument("--dtype", nargs="+", default=["f32"], metavar="TYPE|NAME=TYPE")
    parser.add_argument("--gates", choices=["soft", "strong", "resets", "zero"], default="soft", help="what `decay` and `factor` draw")
    parser.add_argument("--no-states", action="store_true", help="neither initial nor final states")
    parser.add_argument("--strided", action="store_true", help="arrays with gaps between tokens and heads")
    parser.add_argument("--seeds", default="0", help="of inputs and schedules, e.g. 0,1,2 or 0-7; the seed modulo 4 is the kind of schedule")
    parser.add_argument("--tolerance", type=float)
    parser.add_argument("--no-races", action="store_true", help="do not look for accesses that nothing orders: faster")
    parser.add_argument("--ptx", help="PTX from a file")
    parser.add_argument("--nvvm", help="the module with rondo.launch from a file")
    parser.add_argument("--rondoc", default="rondoc")
    parser.add_argument("--emit", nargs="+", default=[], help="more options for rondoc emit, without their dashes: form=sequential")
    return parser.parse_args()


def check(options, folder):
    more = [f"--{o}" for o in options.emit]
    for name, values in (("--size", options.size), ("--dtype", options.dtype)):
        more += [name, *values] if values else []

    def emit(stage):
        return rondoc(options, "emit", f"--stage={stage}", options.mixer, *more)

    module = read_text(options.nvvm) if options.nvvm else emit("nvvm")
    ptx = read_text(options.ptx) if options.ptx else emit("ptx")
    kernels = parse_kernels(ptx)
    launches = parse_launches(module)
    if not launches:
        raise PtxError("the module has no kernel with rondo.launch")
    failed = False
    for seed in parse_seeds(options.seeds):
        failed |= check_seed(options, folder, kernels, launches, seed, "tensor cores" if "mma." in ptx else "CUDA cores")
    return failed


def check_seed(options, folder, kernels, launches, seed, units):
    signature = launches[0][2]
    arrays = make_arrays(options, signature, seed)
    begin = time.time()
    for name, launch, arrays_of_kernel in launches:
        run_kernel(kernels, name, launch, arrays_of_kernel, arrays, options.batch, options.tokens, options.heads, seed, not options.no_races)
    seconds = time.time() - begin
    references = interpret(options, folder, signature, arrays)
    types = {a["name"]: a["type"] for a in signature}
    lines, failed = [], False
    for key, reference in references.items():
        value = to_f64(arrays[key], types[key.split(".")[0]])
        tolerance = options.tolerance or TOLERANCE[types[key] if key in types else max((types[a["name"]] for a in signature), key=TOLERANCE.get)]
        error = np.linalg.norm(value - reference) / (np.linalg.norm(reference) or 1)
        lines.append(f"{key} {error:.2e}" + (f" ({np.isnan(value).sum()} of {value.size} are NaN)" if np.isnan(value).any() else ""))
        if not error <= tolerance:
            failed = True
            lines[-1] += f", more than {tolerance:g}"
    print(f"seed {seed}: " + "; ".join(lines) + f"; {units}, {seconds:.1f} s", flush=True)
    return failed


# Arrays.


def make_arrays(options, signature, seed):
    """Inputs as the check comments say; outputs, temporaries and final states NaN."""
    generators = read_generators(options.mixer)
    heads = dict(pair.split("=") for pair in options.heads_of)
    B, T, H = options.batch, options.tokens, options.heads
    arrays = {}
    for number, array in enumerate(signature):
        name, role, kind, sizes = array["name"], array["role"], array["type"], array["sizes"]
        random = np.random.default_rng([seed, number])
        shape = (H, *sizes) if role == "param" else (B, H, *sizes) if role == "state" else (B, T, int(heads.get(name, H)), *sizes)
        if role in ("output", "temporary"):
            arrays[name] = place(np.full(shape, np.nan), kind, options.strided and role == "output")
        elif role == "state":
            if not options.no_states:
                arrays[f"{name}.initial"] = place(draw(random, ["normal", "0.3"], shape, "soft"), "f32", False)
                arrays[f"{name}.final"] = place(np.full(shape, np.nan), "f32", False)
        else:
            values = draw(random, generators.get(name, ["normal"]), shape, options.gates)
            arrays[name] = place(values, kind, options.strided and role != "param")
    return arrays


def read_generators(mixer):
    """{name: words} of the lines `# check: g decay, beta in 0:1`."""
    generators = {}
    for line in read_text(mixer).splitlines():
        text = line.strip().lstrip("#/").strip()
        if line.strip().startswith(("#", "//")) and text.startswith("check:"):
            for entry in text[6:].split(","):
                name, *words = entry.split()
                generators[name] = words
    return generators


def draw(random, words, shape, gates):
    if words[0] == "in":
        low, high = map(float, words[1].split(":"))
        return random.uniform(low, high, shape)
    values = random.standard_normal(shape)
    if words[0] == "normal":
        return values * float((words + ["1"])[1])
    if words[0] == "unit":
        return values / np.linalg.norm(values, axis=-1, keepdims=True)
    values = -(9 if gates == "strong" else 0 if gates == "zero" else 0.01) * np.abs(values)
    if gates == "resets":
        values = np.where(random.random(shape) < 0.1, np.where(random.random(shape) < 0.5, -1e4, -np.inf), values)
    return values if words[0] == "decay" else np.exp(values)


def place(values, kind, strided):
    """As an array of the kernel; with gaps when `strided`."""
    values = values.astype(np.float32)
    typed = values if kind == "f32" else values.astype(np.float16) if kind == "f16" else narrow(values)
    if not strided:
        return np.ascontiguousarray(typed)
    larger = list(typed.shape)
    larger[1] += 1  # tokens
    larger[2] += 1  # heads
    if len(larger) > 3:
        larger[-1] += 16
    whole = np.zeros(larger, typed.dtype)
    part = whole[tuple(slice(0, n) for n in typed.shape)]
    part[...] = typed
    return part


def to_f64(array, kind):
    return (widen(np.ascontiguousarray(array)) if kind == "bf16" else array).astype(np.float64)


def interpret(options, folder, signature, arrays):
    """Outputs and final states of the interpreter, on the very values that the kernel gets."""
    given = {"--in": [], "--state-in": [], "--out": [], "--state-out": []}
    outputs = {}
    for array in signature:
        name, role, kind = array["name"], array["role"], array["type"]
        path = os.path.join(folder, name + ".npy")
        if role == "state":
            if options.no_states:
                continue
            np.save(path, arrays[f"{name}.initial"])
            given["--state-in"].append(f"{name}={path}")
            outputs[f"{name}.final"] = os.path.join(folder, name + ".out.npy")
            given["--state-out"].append(f"{name}={outputs[f'{name}.final']}")
        elif role == "output":
            outputs[name] = path
            given["--out"].append(f"{name}={path}")
        elif role != "temporary":
            np.save(path, np.ascontiguousarray(to_f64(arrays[name], kind).astype(np.float32)))
            given["--in"].append(f"{name}={path}")
    more = [x for option, files in given.items() if files for x in (option, *files)]
    more += ["--size", *options.size] if options.size else []
    rondoc(options, "run", options.mixer, "--target=interpreter", *more)
    return {name: np.load(path) for name, path in outputs.items()}


# Small helpers.


def rondoc(options, *arguments):
    result = subprocess.run([options.rondoc, *arguments], capture_output=True, text=True)
    if result.returncode:
        raise PtxError(f"{options.rondoc} {' '.join(arguments)} failed:\n{result.stderr}")
    return result.stdout


def read_text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def parse_seeds(text):
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


if __name__ == "__main__":
    main()
