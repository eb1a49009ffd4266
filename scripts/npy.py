#!/usr/bin/env python3
"""Makes .npy files for tests and benchmarks; needs nothing but Python.

  npy.py make OUT SHAPE [KIND] [DTYPE]   npy.py make q.npy 1,64,4,32 unit
  npy.py slice IN OUT BEGIN END          rows BEGIN..END of the first dimension
  npy.py compare A B TOLERANCE           prints |A - B| / |B|; fails beyond TOLERANCE and when the shapes differ

KIND: normal (default), unit (rows of the last dimension have norm 1), LO:HI (uniform), a number (constant).
DTYPE: f4 (default), f8, f2, i8. The same arguments give the same file.
"""
import ast
import math
import random
import struct
import sys
from array import array

PERIOD = 1 << 18  # values repeat after about this many elements: large arrays are made quickly


def write(path, descr, shape, data):
    header = str({"descr": descr, "fortran_order": False, "shape": tuple(shape)})
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        file.write(data)


def read(path):
    with open(path, "rb") as file:
        content = file.read()
    length = struct.unpack("<H", content[8:10])[0]
    header = ast.literal_eval(content[10 : 10 + length].decode())
    return header["descr"], header["shape"], content[10 + length :]


def values(kind, count, width, seed):
    rng = random.Random(seed)
    try:
        return [float(kind)] * count
    except ValueError:
        pass
    if ":" in kind:
        low, high = map(float, kind.split(":"))
        return [rng.uniform(low, high) for _ in range(count)]
    result = [rng.gauss(0, 1) for _ in range(count)]
    if kind == "unit":
        for begin in range(0, count, width):
            norm = math.sqrt(sum(x * x for x in result[begin : begin + width])) or 1.0
            for i in range(begin, min(begin + width, count)):
                result[i] /= norm
    elif kind != "normal":
        sys.exit(f"npy.py: unknown kind '{kind}'")
    return result


def make(path, shape_text, kind="normal", dtype="f4"):
    shape = [int(size) for size in shape_text.split(",")]
    count = math.prod(shape)
    width = shape[-1]
    block = min(count, max(PERIOD - PERIOD % width, width) + width) if width else 0
    numbers = values(kind, block, width, seed=path.rsplit("/", 1)[-1] + shape_text)
    if dtype == "f2":
        data = b"".join(struct.pack("<e", x) for x in numbers)
    else:
        data = array({"f4": "f", "f8": "d", "i8": "q"}[dtype], [int(x) for x in numbers] if dtype == "i8" else numbers).tobytes()
    if block:
        size = count * len(data) // block
        data = (data * (count // block + 1))[:size]
    write(path, "<" + dtype, shape, data)


def slice_rows(source, path, begin, end):
    descr, shape, data = read(source)
    row = len(data) // shape[0]
    write(path, descr, (int(end) - int(begin),) + tuple(shape[1:]), data[int(begin) * row : int(end) * row])


def compare(path, reference, tolerance):
    codes = {"<f4": "f", "<f8": "d"}
    (type_a, shape_a, a), (type_b, shape_b, b) = read(path), read(reference)
    if shape_a != shape_b:
        sys.exit(f"{path} has shape {shape_a} and {reference} has {shape_b}")
    a, b = array(codes[type_a], a), array(codes[type_b], b)
    error = math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b)) / (sum(y * y for y in b) or 1e-60))
    print(f"{shape_a} relative_error={error:.1e}")
    if not error <= float(tolerance):
        sys.exit(f"{path} differs from {reference}")


if __name__ == "__main__":
    commands = {"make": make, "slice": slice_rows, "compare": compare}
    if len(sys.argv) < 4 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
