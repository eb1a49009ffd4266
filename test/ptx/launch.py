"""Launches kernels on the emulator as their attributes `rondo.launch` and `rondo.arrays` say."""
import re

import numpy as np
from numpy.lib.stride_tricks import as_strided

from machine import Device, TensorMap
from memory import READ, WRITE, Memory
from ptx import PtxError, parse_kernels

GLOBAL = 0x7F00_0000_0000  # where global memory begins
GUARD = 256  # bytes between arrays that may not be touched
DIMS = {"token": "BTH", "output": "BTH", "temporary": "BTH", "param": "H", "state": "BH"}


def role_dims(role):
    for name, dims in DIMS.items():
        if role.startswith(name):
            return dims
    raise PtxError(f"unknown role of an array: {role}")


# The attributes, from MLIR text.

TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|array<[^>]*>|[-\w.]+|.)', re.S)


def parse_attribute(text, position=0):
    """A dictionary, list, string, number or word, and where it ends."""
    match = TOKEN.match(text, position)
    token, position = match.group(1), match.end()
    if token in "{[":
        result = {} if token == "{" else []
        while True:
            match = TOKEN.match(text, position)
            if match.group(1) in "}]":
                return result, match.end()
            if match.group(1) == ",":
                position = match.end()
            elif token == "[":
                value, position = parse_attribute(text, position)
                result.append(value)
            else:
                equals = TOKEN.match(text, match.end())
                if equals.group(1) == "=":
                    result[match.group(1).strip('"')], position = parse_attribute(text, equals.end())
                else:
                    result[match.group(1)], position = True, match.end()
    if token.startswith('"'):
        return token[1:-1], position
    if token.startswith("array<"):
        return [int(x) for x in token[6:-1].partition(":")[2].split(",") if x.strip()], position
    if re.match(r"-?\d", token):
        if kind := re.compile(r"\s*:\s*\w+").match(text, position):
            position = kind.end()
        return int(float(token)) if re.search(r"[.e]", token) else int(token, 0), position
    return token, position


def parse_launches(text):
    """[(name, rondo.launch, rondo.arrays)] of the kernels in MLIR text, in order."""
    starts = [(m.group(1), m.start()) for m in re.finditer(r'llvm\.func\s[^@\n]*@"?([\w$.]+)"?\(', text)]
    result = []
    for (name, begin), end in zip(starts, [s for _, s in starts[1:]] + [len(text)]):
        part = text[begin:end]
        found = {}
        for key in ("rondo.launch", "rondo.arrays", "rondo.block"):
            if (at := part.find(key + " = ")) >= 0:
                found[key] = parse_attribute(part, at + len(key) + 3)[0]
        if "rondo.launch" in found:
            # Of a size in blocks of columns the kernel's arrays show one block; those of the caller are whole.
            for array in found["rondo.arrays"]:
                blocks = [found["rondo.launch"].get("blocks", 1) if d == found.get("rondo.block") else 1 for d in array["dims"]]
                array["sizes"] = [size * n for size, n in zip(array["sizes"], blocks)]
            result.append((name, found["rondo.launch"], found["rondo.arrays"]))
    return result


# A launch.


def run_kernel(ptx, name, launch, signature, arrays, B, T, H, seed=0, races=True, blocks=None):
    """Runs the kernel `name` of a PTX text. `arrays`: numpy arrays as `signature` (rondo.arrays) says, states under NAME.initial
    and NAME.final; bf16 as uint16; any strides. Outputs, temporaries and final states are written. A state that is not there is left out.
    `blocks`: run only so many of the grid's blocks."""
    kernels = parse_kernels(ptx) if isinstance(ptx, str) else ptx
    if name not in kernels:
        raise PtxError(f"the PTX has no kernel {name}; it has {', '.join(kernels)}")
    kernel = kernels[name]
    roles = {a["name"]: a["role"] for a in signature}
    grid = B * H * launch.get("blocks", 1)
    if launch.get("maxBlocks"):
        grid = min(grid, launch["maxBlocks"])
    memory = Memory("global", GLOBAL, sum(extent(a) + 2 * GUARD for a in arrays.values()) + 256 * (len(kernel.params) + 1))

    placed, end = {}, GUARD
    for key, array in arrays.items():
        role = roles[key.split(".")[0]]
        written = key.endswith(".final") or role in ("output", "temporary")
        placed[key] = end
        for buffer, value in ((memory.bytes, array), (memory.access, READ | WRITE if written else READ)):
            spread(buffer, end, array, buffer is memory.access)[...] = value
        end += -(-(extent(array) + GUARD) // 256) * 256

    def stride(key, dim):
        array = arrays[key]
        return array.strides[role_dims(roles[key.split(".")[0]]).index(dim)] // array.itemsize

    def tensor_map(key, box, swizzle):
        array = arrays[key]
        B_, T_, heads, features = array.shape
        dense = np.empty(array.shape, np.uint8).strides
        strides = [array.strides[i] if array.shape[i] > 1 else -(-dense[i] * array.itemsize // 16) * 16 for i in (2, 1, 0)]
        sizes = [features, heads, T_, B_]
        return TensorMap(memory, GLOBAL + placed[key], sizes, strides, [box[0], 1, box[1], 1], array.itemsize, swizzle)

    symbols, maps = {}, {}
    workspace = GLOBAL - (1 << 40)
    if len(launch["params"]) != len(kernel.params):
        raise PtxError(f"{name} has {len(kernel.params)} parameters, rondo.launch describes {len(launch['params'])}")
    for variable, param in zip(kernel.params, launch["params"]):
        end = -(-end // 64) * 64
        symbols[variable.name] = GLOBAL + end
        kind, key = param["kind"], param.get("array")
        if (kind == "map") != (variable.size == 128):
            raise PtxError(f"parameter {variable.name} has {variable.size} bytes, but is a {kind}")
        if kind == "map":
            maps[GLOBAL + end] = tensor_map(key, param["box"], param["swizzle"])
        else:
            present = key is None or key in arrays
            value = {
                "pointer": lambda: GLOBAL + placed[key] if present else 0,
                "stride": lambda: stride(key, param["dim"]) if present else 0,
                "heads": lambda: arrays[key].shape[2 if len(role_dims(roles[key])) == 3 else 0],
                "size": lambda: {"B": B, "T": T, "H": H}[param["dim"]],
                "workspace": lambda: workspace,
            }[kind]()
            memory.bytes[end : end + 8] = np.array([value], np.int64).view(np.uint8)
            memory.allow(end, 8, READ)
        end += max(variable.size, 64)

    device = Device(kernel, memory, symbols, maps, launch["threads"], launch["shared"], grid, (workspace, launch.get("workspace", 0)), seed, races)
    device.run(blocks)
    for key, array in arrays.items():
        if key.endswith(".final") or roles[key.split(".")[0]] in ("output", "temporary"):
            array[...] = spread(memory.bytes, placed[key], array, False)
    return device


def extent(array):
    """Bytes from the first element of a strided array to its last."""
    return sum((n - 1) * s for n, s in zip(array.shape, array.strides)) + array.itemsize if array.size else 0


def spread(buffer, begin, array, as_bytes):
    """The part of a buffer that an array with its strides takes up; as bytes, with one more dimension."""
    if as_bytes:
        return as_strided(buffer[begin:], (*array.shape, array.itemsize), (*array.strides, 1))
    return as_strided(buffer[begin : begin + extent(array)].view(array.dtype), array.shape, array.strides)
