#!/usr/bin/env python3
"""Measures decoding, token by token, and prints Markdown.

  scripts/build.sh --target rondoc && python3 benchmarks/decode.py

One thread, B = 1: microseconds for a token of all heads, the time that reading and writing the states once would take at
the speed of a copy measured in the same run, and drafts of several tokens a call. `--only MIXER` takes one mixer.
"""
import argparse
import os
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "benchmarks"))
import cpu  # noqa: E402

HEADS, TOKENS = 16, 64
CASES = cpu.CASES + [("KDA", "kda", None, {"q": "unit", "k": "unit", "g": "-0.5:0", "beta": "0:1"})]


def copy_speed(bytes_):
    """Bytes a second, read and written, of a copy of so many bytes, the best of many."""
    source, target = bytearray(bytes_), bytearray(bytes_)
    best = float("inf")
    for _ in range(200):
        begin = time.perf_counter()
        target[:] = source
        best = min(best, time.perf_counter() - begin)
    return 2 * bytes_ / best


def decode(bench, only):
    rows = []
    for size in (64, 128):
        state_bytes = HEADS * size * size * 4
        floor = 2 * state_bytes / copy_speed(state_bytes) * 1e6
        for title, name, _, kinds in CASES:
            if only not in (None, name):
                continue
            inputs = bench.inputs(name, size, TOKENS, HEADS, kinds)
            figures = [bench.run(name, inputs, "--form=step", f"--draft={draft}", "--threads=1", "--time") for draft in (1, 4)]
            if all(figures):
                one, four = (figure["token_us"] for figure in figures)
                rows.append([title, str(size), f"{one:.1f}", f"{one / HEADS:.2f}", f"{four:.1f}", f"{floor:.1f}"])
            bench.forget()
    cpu.table(f"Decoding, H = {HEADS}, one thread", ["mixer", "K = V", "us a token", "us a token and head",
                                                     "us a token, drafts of 4", "us to copy the states"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rondoc", default=os.path.join(ROOT, "build/bin/rondoc"))
    parser.add_argument("--only", metavar="MIXER")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = cpu.Bench(folder, options.rondoc)
        cpu.machine(cpu.measure_peak(folder, [1]))
        decode(bench, options.only)


if __name__ == "__main__":
    main()
