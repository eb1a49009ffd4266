#!/usr/bin/env python3
"""Measures compiled mixers on this machine, in one run, and prints Markdown.

  scripts/build.sh --target rondoc && python3 benchmarks/cpu.py > benchmarks/latest.md

Shares are of the multiply-add peak measured in the same run. Needs rondoc, clang-22 and Python; about ten minutes. `--quick`
takes T = 1024 and leaves out the long sequences. `--only NAME` runs one section: throughput, sequential, backward, length,
latency.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "scripts"))
import npy  # noqa: E402

CHUNK = 64
HEADS = 16
# Useful operations a token and head, in chunks of 64 tokens, a multiply-add counted twice and causal halves as halves.
PLAIN = lambda K, V: CHUNK * (K + V) + 4 * K * V
DELTA = lambda K, V: 2 * CHUNK * (K + V) + 6 * K * V
# Name, mixer, operations, and how to draw arguments that are not `normal`.
CASES = [
    ("no decay", "linear_attention", PLAIN, {"q": "unit", "k": "unit"}),
    ("scalar decay", "mamba2", PLAIN, {"dt": "0.01:0.5", "A": "-1:0", "B": "unit", "C": "unit"}),
    ("GLA", "gla", PLAIN, {"q": "unit", "k": "unit", "gk": "-0.5:0"}),
    ("DeltaNet", "delta_net", DELTA, {"q": "unit", "k": "unit", "beta": "0:1"}),
    ("Gated DeltaNet", "gated_delta_net", DELTA, {"q": "unit", "k": "unit", "g": "-0.5:0", "beta": "0:1"}),
]


class Bench:
    def __init__(self, folder, rondoc):
        self.folder, self.rondoc = folder, rondoc
        self.signatures, self.made = {}, {}

    def mixer(self, name):
        return os.path.join(ROOT, "mixers", name + ".rondo")

    def signature(self, name):
        if name not in self.signatures:
            text = subprocess.run([self.rondoc, "explain", "--json", self.mixer(name)], capture_output=True, check=True)
            self.signatures[name] = json.loads(text.stdout)
        return self.signatures[name]

    def inputs(self, name, size, tokens, heads, kinds):
        """`NAME=FILE` for every argument; all named sizes are `size`."""
        signature, result = self.signature(name), []
        names = dict(B=1, T=tokens, H=heads, **{s: size for s in signature["sizes"]})
        for argument in signature["arguments"]:
            shape = ",".join(str(int(eval(d.replace("/", "//"), {}, names))) for d in argument["layout"][1:-1].split(", "))
            kind = kinds.get(argument["name"], "normal")
            key = (shape, kind)
            if key not in self.made:
                self.made[key] = os.path.join(self.folder, f"{len(self.made)}.npy")
                npy.make(self.made[key], shape, kind)
            result.append(f"{argument['name']}={self.made[key]}")
        return result

    def forget(self):
        for path in self.made.values():
            os.remove(path)
        self.made = {}

    def run(self, name, inputs, *options):
        command = [self.rondoc, "run", self.mixer(name), "--in", *inputs, *options]
        begin = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True)
        wall = time.monotonic() - begin
        if done.returncode:
            print(f"{name}: {(done.stderr.strip() or 'failed').splitlines()[-1]}", file=sys.stderr)
            return None
        figures = dict(re.findall(r"(\w+)=([0-9.]+)", done.stdout + done.stderr))
        return {"wall": wall, **{key: float(value) for key, value in figures.items() if value != "."}}


def table(title, columns, rows):
    print(f"\n## {title}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()


def machine(peak):
    cpu = subprocess.run(["lscpu"], capture_output=True, text=True).stdout
    field = lambda name: next((l.split(":", 1)[1].strip() for l in cpu.splitlines() if l.startswith(name)), "?")
    widest = "AVX-512" if "avx512f" in cpu else "AVX2"
    print(f"# rondoc on {field('Model name')}\n")
    print(f"{os.cpu_count()} cores, {widest}, L2 {field('L2 cache')}, L3 {field('L3 cache')}; {field('Hypervisor vendor')} virtual "
          f"machine; Linux {os.uname().release}; commit "
          + subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
          + f"; {time.strftime('%Y-%m-%d %H:%M')}.")
    print("f32 multiply-add peak: " + ", ".join(f"{n} thread{'s' * (n > 1)} {p:.1f} GFLOP/s" for n, p in peak.items()) + ".")
    print("Times are medians of `rondoc run --time`, B = 1.")


def measure_peak(folder, threads):
    probe = os.path.join(folder, "peak")
    subprocess.run(["clang-22", "-O3", "-march=native", "-ffp-contract=fast", "-pthread", os.path.join(ROOT, "benchmarks/peak.c"),
                    "-o", probe], check=True)
    return {n: float(subprocess.run([probe, str(n)], capture_output=True, text=True, check=True).stdout) for n in threads}


def throughput(bench, peak, tokens):
    rows = []
    for size in (64, 128):
        for title, name, operations, kinds in CASES:
            inputs = bench.inputs(name, size, tokens, HEADS, kinds)
            flop = operations(size, size) * tokens * HEADS
            first = None
            for threads, ceiling in peak.items():
                result = bench.run(name, inputs, "--time", f"--threads={threads}")
                if not result:
                    continue
                rate = flop / result["median_ms"] * 1e-6
                first = first or result["median_ms"]
                rows.append([title, str(size), str(threads), f"{result['median_ms']:.1f}", f"{rate:.1f}", f"{100 * rate / ceiling:.0f} %",
                             f"{first / result['median_ms']:.2f}"])
        bench.forget()
    table(f"Chunk form, T = {tokens}, H = {HEADS}", ["mixer", "K = V", "threads", "ms", "GFLOP/s", "of peak", "x one thread"], rows)


def sequential(bench, tokens):
    rows = []
    for title, name, _, kinds in CASES:
        for size in (64, 128):
            inputs = bench.inputs(name, size, tokens, HEADS, kinds)
            chunk = bench.run(name, inputs, "--time", "--threads=1")
            token = bench.run(name, inputs, "--time", "--threads=1", "--form=sequential")
            if chunk and token:
                rows.append([title, str(size), f"{chunk['median_ms']:.1f}", f"{token['median_ms']:.1f}",
                             f"{token['median_ms'] / chunk['median_ms']:.1f}"])
        bench.forget()
    table(f"Chunk form against one token at a time, T = {tokens}, H = {HEADS}, one thread",
          ["mixer", "K = V", "chunk ms", "token ms", "ratio"], rows)


def backward(bench, tokens):
    rows, size = [], 128
    for title, name, _, kinds in CASES:
        inputs = bench.inputs(name, size, tokens, HEADS, kinds)
        output = bench.signature(name)["outputs"][0]["name"]
        cotangent = os.path.join(bench.folder, "cotangent.npy")
        npy.make(cotangent, f"1,{tokens},{HEADS},{size}")
        forward = bench.run(name, inputs, "--time", "--threads=1")
        both = bench.run(name, inputs, "--time", "--threads=1", "--verbose", "--grad", f"{output}={cotangent}")
        os.remove(cotangent)
        bench.forget()
        if forward and both:
            saved = both["saved_bytes"]
            rows.append([title, f"{forward['median_ms']:.1f}", f"{both['median_ms']:.1f}",
                         f"{both['median_ms'] / forward['median_ms']:.2f}", f"{saved / 2**20:.1f}", f"{saved / tokens / HEADS:.0f}"])
    table(f"Backward, K = V = {size}, T = {tokens}, H = {HEADS}, one thread",
          ["mixer", "forward ms", "backward ms", "ratio", "saved states MiB", "bytes a token and head"], rows)


def length(bench, longest):
    rows = []
    _, name, _, kinds = CASES[-1]
    tokens, heads, size = 1024, 2, 128
    while tokens <= longest:
        result = bench.run(name, bench.inputs(name, size, tokens, heads, kinds), "--time", "--threads=1", "--verbose")
        if result:
            rows.append([str(tokens), f"{result['median_ms']:.2f}", f"{1e6 * result['median_ms'] / tokens / heads:.0f}",
                         f"{result['scratch_bytes'] / 1024:.0f}"])
        bench.forget()
        tokens *= 2
    table(f"{name} over T, K = V = {size}, H = {heads}, one thread", ["T", "ms", "ns a token and head", "scratch KiB a thread"], rows)


def latency(bench):
    rows = []
    for path in sorted(os.listdir(os.path.join(ROOT, "mixers"))):
        name = path[: -len(".rondo")]
        if not path.endswith(".rondo"):
            continue
        row = [name]
        for size in (64, 128):
            inputs = bench.inputs(name, size, 256, 2, {a["name"]: "-0.1:-0.01" for a in bench.signature(name)["arguments"]})
            runs = [bench.run(name, inputs) for _ in range(3)]
            row.append(f"{min(r['wall'] for r in runs):.2f}" if all(runs) else "failed")
        bench.forget()
        rows.append(row)
    table("From text to first result: `rondoc run`, T = 256, H = 2, the whole process, best of 3",
          ["mixer", "s, all sizes 64", "s, all sizes 128"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rondoc", default=os.path.join(ROOT, "build/bin/rondoc"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=["throughput", "sequential", "backward", "length", "latency"])
    options = parser.parse_args()
    tokens = 1024 if options.quick else 4096
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder, options.rondoc)
        peak = measure_peak(folder, sorted({1, os.cpu_count()}))
        machine(peak)
        sections = {
            "throughput": lambda: throughput(bench, peak, tokens),
            "sequential": lambda: sequential(bench, tokens),
            "backward": lambda: backward(bench, tokens),
            "length": lambda: length(bench, 4096 if options.quick else 65536),
            "latency": lambda: latency(bench),
        }
        for name, section in sections.items():
            if options.only in (None, name):
                section()


if __name__ == "__main__":
    main()
