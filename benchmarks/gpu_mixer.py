"""A compiled mixer as a Python function over torch tensors, and natural inputs for it. Used by gpu.py.

`rondoc compile` wrote a shared object and a C header. The header says all there is to know: the fields of
`<mixer>_args`, each tensor's layout and element type, and the sizes it was compiled for.
"""
import glob
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "examples/python"))
import rondo  # noqa: E402

# Log decays and other scalars that models keep in f32 beside bf16 vectors.
F32_SCALARS = {"g", "dt", "i", "f"}
# Named sizes that are not --size.
SIZES = {"gsa": {"M": 64}, "mamba1": {"N": 16}}
# Inputs other than those that the mixer's `# check:` comment asks for.
INPUTS = {
    "retnet": {"gamma": "retnet"},
    "mamba2": {"dt": "in 0.001:0.1", "D": "in 0:0"},
    "comba": {"D": "in 0:0"},
}


def mixer_path(name):
    return os.path.join(ROOT, "mixers", name + ".rondo")


def mixer_names():
    return sorted(os.path.basename(path)[: -len(".rondo")] for path in glob.glob(mixer_path("*")))


def explain(rondoc, name):
    """What `rondoc explain --json` says: sizes, arguments with their layouts, phases."""
    text = subprocess.run([rondoc, "explain", "--json", mixer_path(name)], capture_output=True, check=True, timeout=60)
    return json.loads(text.stdout)


def tolerance(signature):
    """Of a relative error in bf16, as in `rondoc check --target=cuda`."""
    return 1e-2 if signature["cascade"] else 5e-3


def compile_command(rondoc, name, size, folder, target="cuda", options=()):
    """Tokens are bf16 but for the scalars of F32_SCALARS."""
    signature = explain(rondoc, name)
    sizes = {key: SIZES.get(name, {}).get(key, size) for key in signature["sizes"]}
    wide = [a["name"] for a in signature["arguments"] if a["layout"] == "[B, T, H]" and a["name"] in F32_SCALARS]
    return [rondoc, "compile", mixer_path(name), "-o", folder, *(["--target=cuda"] if target == "cuda" else []), "--size",
            *(f"{key}={value}" for key, value in sizes.items()), "--dtype", "bf16", *(f"{arg}=f32" for arg in wide), *options]


class Mixer:
    """lib<mixer>.so and <mixer>.h in `folder`: what examples/python/rondo.py calls, and what the header says of its arrays."""

    def __init__(self, folder):
        (path,) = glob.glob(os.path.join(folder, "lib*.so"))
        self.folder, self.name = folder, os.path.basename(path)[3:-3]
        with open(os.path.join(folder, self.name + ".h")) as file:
            header = file.read()
        self.sizes = {name: int(value) for name, value in re.findall(r"\b%s_(\w+) = (\d+)" % self.name, header)}
        body = re.search(r"typedef struct %s_args \{(.*?)\n\}" % self.name, header, re.S).group(1)
        tensors = re.findall(r"^  (const )?DLTensor \*(\w+);\s*/\*\*< (\[[^\]]*\]) (\w+)", body, re.M)
        # States [B, H, ...] stay NULL: they start at 0 and are not wanted.
        tensors = [t for t in tensors if not t[2].startswith("[B, H")]
        self.inputs = {name: (layout, dtype) for const, name, layout, dtype in tensors if const}
        self.outputs = {name: (layout, dtype) for const, name, layout, dtype in tensors if not const}

    def shape(self, layout, B, T, H):
        names = dict(self.sizes, B=B, T=T, H=H)
        return [int(eval(d.replace("/", "//"), {"__builtins__": {}}, names)) for d in layout[1:-1].split(", ")]

    def load(self, tensors):
        """A function of no arguments that computes `tensors`' outputs from its inputs."""
        return rondo.Mixer(self.folder).bind(**tensors)


def input_kinds(name):
    """How to draw each argument: the mixer's `# check:` comments, and INPUTS."""
    kinds = {}
    with open(mixer_path(name)) as file:
        for line in re.findall(r"^# check: (.*)$", file.read(), re.M):
            kinds.update(part.split(" ", 1) for part in line.split(", "))
    return {**kinds, **INPUTS.get(name, {})}


def draw(torch, kind, shape, dtype, device):
    kind, _, values = kind.partition(" ")
    if kind == "in":
        low, high = map(float, values.split(":"))
        result = torch.rand(shape, device=device) * (high - low) + low
    elif kind == "retnet":
        result = 1 - 2.0 ** (-5 - torch.arange(shape[0], device=device, dtype=torch.float32))
    else:
        result = torch.randn(shape, device=device)
        if kind == "normal":
            result *= float(values or 1)
        elif kind == "unit":
            result = torch.nn.functional.normalize(result, dim=-1)
        elif kind in ("decay", "factor"):  # of a sigmoid gate
            result = torch.nn.functional.logsigmoid(result).clamp(-5, -1e-4)
            result = result.exp() if kind == "factor" else result
        else:
            raise ValueError(f"unknown kind of input '{kind}'")
    return result.to({"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[dtype])


def make_tensors(torch, mixer, B, T, H, device, seed=0):
    """Inputs, the same for the same seed, and outputs full of NaN."""
    torch.manual_seed(seed)
    kinds = input_kinds(mixer.name)
    result = {name: draw(torch, kinds.get(name, "normal"), mixer.shape(layout, B, T, H), dtype, device)
              for name, (layout, dtype) in mixer.inputs.items()}
    for name, (layout, dtype) in mixer.outputs.items():
        result[name] = draw(torch, "in 0:0", mixer.shape(layout, B, T, H), dtype, device).fill_(float("nan"))
    return result
