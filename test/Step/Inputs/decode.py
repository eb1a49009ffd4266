"""Decodes with every mixer and compares with other ways to the same numbers.

  decode.py MODE ROOT FOLDER      MODE: check, exact, continue or rollback
"""
import glob
import json
import math
import os
import re
import subprocess
import sys
from array import array

MODE, ROOT, FOLDER = sys.argv[1:]
sys.path.insert(0, os.path.join(ROOT, "scripts"))
import npy  # noqa: E402

SIZE, HEADS = 32, 2


class Mixer:
    def __init__(self, path):
        self.path, self.name = path, os.path.basename(path)[: -len(".rondo")]
        text = subprocess.run(["rondoc", "explain", "--json", path], capture_output=True, check=True).stdout
        self.description = json.loads(text)
        self.outputs = [o["name"] for o in self.description["outputs"]]
        self.states = [s["name"] for s in self.description["states"]]
        self.kinds = {}
        for line in re.findall(r"# check: (.*)", open(path).read()):
            for entry in line.split(","):
                name, kind, *rest = entry.split()
                self.kinds[name] = {"decay": "-0.5:-0.001", "factor": "0.5:0.999"}.get(kind, rest[0] if kind == "in" else kind)

    def file(self, name):
        return os.path.join(FOLDER, f"{self.name}-{name}.npy")

    def make(self, tokens):
        """Arguments without batch: the time comes first."""
        names = {"T": tokens, "H": HEADS, **{size: SIZE for size in self.description["sizes"]}}
        for argument in self.description["arguments"]:
            dims = argument["layout"].strip("[]").replace("B, ", "").split(", ")
            shape = ",".join(str(int(eval(d.replace("/", "//"), {}, names))) for d in dims)
            npy.make(self.file(argument["name"]), shape, self.kinds.get(argument["name"], "normal"))

    def inputs(self, begin, end):
        files = []
        for argument in self.description["arguments"]:
            path = self.file(argument["name"])
            if "T" in argument["layout"]:
                part = self.file("part-" + argument["name"])
                npy.slice_rows(path, part, begin, end)
                path = part
            files.append(f"{argument['name']}={path}")
        return files

    def run(self, tag, begin, end, *options, before=None, history=False):
        """Runs tokens [begin, end); `before` is the tag of the run whose final states these begin with."""
        pairs = lambda names, what, tag: [f"{name}={self.file(f'{tag}-{what}-{name}')}" for name in names]
        command = ["rondoc", "run", self.path, "--in", *self.inputs(begin, end), "--out", *pairs(self.outputs, "out", tag),
                   "--state-out", *pairs(self.states, "state", tag), *options]
        if before:
            command += ["--state-in", *pairs(self.states, "state", before)]
        if history:
            command += ["--states-out", *pairs(self.states, "history", tag)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")

    def read(self, tag, what, name):
        return npy.read(self.file(f"{tag}-{what}-{name}"))

    def results(self, tag):
        """Bytes of every output and final state."""
        return {("out", o): self.read(tag, "out", o)[2] for o in self.outputs} | {
            ("state", s): self.read(tag, "state", s)[2] for s in self.states
        }


def numbers(file):
    descr, _, data = file
    return array({"<f4": "f", "<f8": "d"}[descr], data)


def distance(a, b):
    a, b = numbers(a), numbers(b)
    assert len(a) == len(b)
    return math.dist(a, b) / max(math.hypot(*b), 1e-30)


def check(mixer):
    """One token, five, and drafts of three against the interpreter, from given states and from default ones."""
    sizes = [f"{name}=24" for name in mixer.description["sizes"]]
    command = ["rondoc", "check", mixer.path, "--form=step", *(["--size", *sizes] if sizes else [])]
    for options in (["--lengths=1,5"], ["--lengths=7", "--draft=3"], ["--lengths=5", "--dtype=bf16"]):
        done = subprocess.run(command + options, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return "ok"


def exact(mixer):
    """Prefill in the sequential form and decoding in any parts agree to the last bit."""
    mixer.make(11)
    mixer.run("prefill", 0, 11, "--form=sequential")
    mixer.run("one", 0, 11, "--form=step")
    mixer.run("four", 0, 11, "--form=step", "--draft=4", "--threads=2")
    mixer.run("first", 0, 6, "--form=sequential")
    mixer.run("rest", 6, 11, "--form=step", before="first")
    expected = mixer.results("prefill")
    assert mixer.results("one") == expected and mixer.results("four") == expected
    for (what, name), data in mixer.results("rest").items():
        assert data == expected[what, name][-len(data) :], name
    return "the same bits"


def continues(mixer):
    """Decoding after a prefill in chunks is as far from the interpreter as its rounding, at most 1e-5."""
    prefill, tokens = 70, 75
    mixer.make(tokens)
    mixer.run("meaning", 0, tokens, "--target=interpreter")
    mixer.run("chunk", 0, prefill)
    mixer.run("sequential", 0, prefill, "--form=sequential")
    mixer.run("decoded", prefill, tokens, "--form=step", before="chunk")
    worst = 0.0
    for name in mixer.outputs:
        worst = max(worst, distance(mixer.read("chunk", "out", name), mixer.read("sequential", "out", name)))
        descr, shape, data = mixer.read("meaning", "out", name)
        last = data[len(data) // tokens * prefill :]
        worst = max(worst, distance(mixer.read("decoded", "out", name), (descr, shape, last)))
    for name in mixer.states:
        worst = max(worst, distance(mixer.read("chunk", "state", name), mixer.read("sequential", "state", name)))
        worst = max(worst, distance(mixer.read("decoded", "state", name), mixer.read("meaning", "state", name)))
    assert worst <= 1e-5, worst
    return f"relative error {worst:.1e}"


def rollback(mixer):
    """The state after each token of a draft is that of a shorter run; decoding goes on from it as if the rest had not been."""
    draft, kept = 5, 2
    mixer.make(draft)
    mixer.run("draft", 0, draft, "--form=step", f"--draft={draft}", history=True)
    for length in range(1, draft + 1):
        mixer.run("short", 0, length, "--form=step")
        for name in mixer.states:
            _, shape, data = mixer.read("draft", "history", name)
            assert shape[:2] == (HEADS, draft)
            size = len(data) // HEADS // draft
            after = b"".join(data[(h * draft + length - 1) * size :][:size] for h in range(HEADS))
            _, shape, expected = mixer.read("short", "state", name)
            assert after == expected, (name, length)
            if length == kept:
                npy.write(mixer.file(f"kept-state-{name}"), "<f4", shape, after)
    mixer.run("again", kept, draft, "--form=step", before="kept")
    expected = mixer.results("draft")
    for (what, name), data in mixer.results("again").items():
        assert data == expected[what, name][-len(data) :], name
    return f"{draft} states"


os.makedirs(FOLDER, exist_ok=True)
for path in sorted(glob.glob(os.path.join(ROOT, "mixers", "*.rondo"))):
    mixer = Mixer(path)
    print(mixer.name, {"check": check, "exact": exact, "continue": continues, "rollback": rollback}[MODE](mixer), flush=True)
