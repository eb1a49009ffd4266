"""Turns PTX instructions into Python: one function for each stretch of code that runs without interruption.

A register is a numpy array with one element for each of the 32 lanes of a warp: unsigned integers of the register's
width, or bool. Arrays are never changed in place, only replaced (machine.py has the one exception, wgmma). Every stretch
has two forms: `full` for a warp whose lanes all run, `part` for some lanes, `m`, whose results go to these lanes only.
"""
import re

import numpy as np

from ptx import Address, Imm, PtxError, Reg, Special, Symbol
from memory import LOCAL, SHARED, f4, i4, u1, u2, u4, u8

f2, f8, i1, i2, i8 = np.float16, np.float64, np.int8, np.int16, np.int64
LANES = 32
LANE = np.arange(LANES, dtype=u4)
ALL, NONE = bytes([1] * LANES), bytes(LANES)

# What waits for the other lanes of its warp: for those that it names in a mask, or for all.
MASKED = re.compile(r"(shfl|vote|elect|match|redux)\b|bar\.warp")
COLLECTIVE = re.compile(MASKED.pattern + r"|(bar|barrier|mma|wgmma|ldmatrix|stmatrix)\b")


def widen(bits):
    """bf16 to f32."""
    return (bits.astype(u4) << u4(16)).view(f4)


def narrow(values):
    """f32 to bf16, round to nearest even."""
    bits = values.view(u4)
    rounded = (bits + (u4(0x7FFF) + ((bits >> u4(16)) & u4(1)))) >> u4(16)
    return np.where(values != values, u4(0x7FFF), rounded).astype(u2)


def pack(low, high):
    return low.astype(u4) | high.astype(u4) << u4(16)


def flush(values):
    """Denormal results become zero (.ftz)."""
    return np.where(np.abs(values) < np.finfo(f4).tiny, values * f4(0), values)


def to_integer(values, dtype):
    """Saturates; NaN becomes 0."""
    limits = np.iinfo(dtype)
    values = np.where(values != values, 0, values).astype(f8)
    inside = (values >= float(limits.min)) & (values < float(limits.max) + 1)
    return np.where(inside, np.where(inside, values, 0).astype(dtype), np.where(values < 0, limits.min, limits.max)).astype(dtype)


def divide(a, b):
    if a.dtype.kind == "f":
        return a / b
    if a.dtype.kind == "u":
        return a // np.maximum(b, 1)
    quotient = np.abs(a) // np.maximum(np.abs(b), 1)
    return np.where((a < 0) != (b < 0), -quotient, quotient)


def high_product(a, b):
    bits = a.dtype.itemsize * 8
    product = [(int(x) * int(y)) >> bits for x, y in zip(a, b)]
    return np.array([p & (2**bits - 1) for p in product], f"u{bits // 8}").view(a.dtype)


def extract(values, begin, length):
    """bfe: a field of bits, extended by its sign for signed types."""
    bits = values.dtype.itemsize * 8
    begin, length = (begin & u4(255)).astype(i8), (length & u4(255)).astype(i8)
    result = []
    for x, b, n in zip(values.tolist(), begin.tolist(), length.tolist()):
        n = max(min(n, bits - b), 0) if values.dtype.kind == "u" else n
        field = (x >> b) & ((1 << n) - 1)
        if values.dtype.kind == "i" and n and field >> (n - 1):
            field -= 1 << n
        result.append(field)
    return np.array(result, values.dtype)


def insert(field, into, begin, length):
    """bfi: a field of bits put into another value."""
    bits = into.dtype.itemsize * 8
    result = []
    for x, y, b, n in zip(field.tolist(), into.tolist(), begin.tolist(), length.tolist()):
        b, n = b & 255, min(n & 255, max(bits - (b & 255), 0))
        mask = ((1 << n) - 1) << b
        result.append((y & ~mask) | ((x << b) & mask))
    return np.array(result, into.dtype)


def permute(a, b, selector):
    """prmt: bytes of a and b, chosen by the digits of the selector; the digit's top bit copies the byte's sign."""
    all_bytes = np.concatenate([a.view(u1).reshape(-1, 4), b.view(u1).reshape(-1, 4)], axis=1)
    digits = np.stack([(selector >> u4(4 * i)) & u4(15) for i in range(4)], axis=1)
    chosen = np.take_along_axis(all_bytes, (digits & u4(7)).astype(np.intp), axis=1)
    signs = (chosen.view(i1) >> 7).view(u1)
    return np.ascontiguousarray(np.where(digits & u4(8), signs, chosen).astype(u1)).view(u4).ravel()


def funnel(low, high, shift, right, wrap):
    shift = (shift & u4(31) if wrap else np.minimum(shift, u4(32))).astype(u8)
    both = low.astype(u8) | high.astype(u8) << u8(32)
    return (both >> shift if right else (both << shift) >> u8(32)).astype(u4)


def lookup(a, b, c, table):
    result = np.zeros_like(a)
    for i in range(8):
        if table >> i & 1:
            result |= (a if i & 4 else ~a) & (b if i & 2 else ~b) & (c if i & 1 else ~c)
    return result


def count_bits(values):
    return np.array([bin(x).count("1") for x in values.tolist()], u4)


def leading_zeros(values):
    bits = values.dtype.itemsize * 8
    return np.array([bits - x.bit_length() for x in values.tolist()], u4)


def reverse_bits(values):
    bits = values.dtype.itemsize * 8
    return np.array([int(f"{x:0{bits}b}"[::-1], 2) for x in values.tolist()], values.dtype)


NAMES = {
    name: value
    for name, value in globals().items()
    if callable(value) and (name in "u1 u2 u4 u8 i1 i2 i4 i8 f2 f4 f8".split() or getattr(value, "__module__", "") == __name__)
}
NAMES |= {"np": np, "where": np.where, "ALL": ALL, "NONE": NONE}

# Results by operation; operands are typed numpy values. `int` and `float` forms where they differ.
ELEMENTWISE = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "mul.lo": "{0} * {1}",
    "mul.hi": "high_product({0}, {1})",
    "mad.lo": "{0} * {1} + {2}",
    "fma": "{0} * {1} + {2}",
    "div": "divide({0}, {1})",
    "rem": "{0} - divide({0}, {1}) * {1}",
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "xor": "{0} ^ {1}",
    "not": "~{0}",
    "neg": "-{0}",
    "abs": "np.abs({0})",
    "min": "np.minimum({0}, {1})",
    "max": "np.maximum({0}, {1})",
    "fmin": "np.fmin({0}, {1})",
    "fmax": "np.fmax({0}, {1})",
    "rcp": "1 / {0}",
    "sqrt": "np.sqrt({0})",
    "rsqrt": "1 / np.sqrt({0})",
    "ex2": "np.exp2({0})",
    "lg2": "np.log2({0})",
    "sin": "np.sin({0})",
    "cos": "np.cos({0})",
    "tanh": "np.tanh({0})",
    "copysign": "np.copysign({1}, {0})",
    "brev": "reverse_bits({0})",
}
ROUNDINGS = {"rzi": "np.trunc({})", "rni": "np.rint({})", "rmi": "np.floor({})", "rpi": "np.ceil({})"}
COMPARISONS = {
    "eq": "{0} == {1}", "ne": "({0} != {1}) & ({0} == {0}) & ({1} == {1})", "lt": "{0} < {1}", "le": "{0} <= {1}", "gt": "{0} > {1}",
    "ge": "{0} >= {1}", "lo": "{0} < {1}", "ls": "{0} <= {1}", "hi": "{0} > {1}", "hs": "{0} >= {1}",
    "equ": "~(({0} != {1}) & ({0} == {0}) & ({1} == {1}))", "neu": "{0} != {1}", "ltu": "~({0} >= {1})", "leu": "~({0} > {1})",
    "gtu": "~({0} <= {1})", "geu": "~({0} < {1})", "num": "({0} == {0}) & ({1} == {1})", "nan": "({0} != {0}) | ({1} != {1})",
}  # fmt: skip
NO_EFFECT = re.compile(r"(fence|membar|prefetch|prefetchu|nanosleep|griddepcontrol|setmaxnreg|discard|applypriority|pmevent)\b")
TYPE = re.compile(r"[bsuf](8|16|32|64)$|f16x2$|bf16$|bf16x2$|pred$")


def type_bits(kind):
    return 1 if kind == "pred" else 32 if kind.endswith("x2") else int(re.sub(r"\D", "", kind))


class Translator:
    """Python for the instructions of a kernel. `symbols`: addresses of variables and parameters."""

    def __init__(self, kernel, symbols):
        self.kernel, self.symbols = kernel, symbols
        self.names = dict(NAMES)
        self.constants = {}
        code = kernel.code
        starts = {0, *kernel.targets}
        for i, instruction in enumerate(code):
            if COLLECTIVE.match(instruction.opcode) or "_wait" in instruction.opcode:
                starts.add(i)
            head = instruction.opcode.split(".")[0]
            if head in ("bra", "brx", "ret", "exit", "bar", "barrier") or "_wait" in instruction.opcode:
                starts.add(i + 1)
        starts = sorted(s for s in starts if s < len(code))
        self.ends = dict(zip(starts, starts[1:] + [len(code)]))

    def function(self, begin, full):
        """The stretch from instruction `begin`: f(w) or f(w, m), which gives where to go on, or what to wait for."""
        self.full = full
        source, origin = [f"def run(w{'' if full else ', m'}):", " r = w.r"], [begin, begin]
        end = self.ends[begin]
        for i in range(begin, end):
            instruction = self.kernel.code[i]
            self.next = i + 1
            self.mask = "None" if full else "m"
            self.test = None
            self.lines = []
            try:
                if instruction.predicate:
                    test = self.value(instruction.predicate, "pred")
                    self.test = f"~{test}" if instruction.negated else test
                    if not instruction.opcode.startswith(("bra", "ret", "exit")):
                        self.lines.append(f"q = {self.test}" + ("" if full else " & m"))
                        self.mask = "q"
                if COLLECTIVE.match(instruction.opcode) and not full:
                    lanes = self.raw(instruction.operands[-1], 32) if MASKED.match(instruction.opcode) else "None"
                    self.lines.append(f"if w.parted(m, {lanes}): return w.gather({i}, {lanes})")
                if COLLECTIVE.match(instruction.opcode):
                    self.lines.append("w.together()")
                self.translate(instruction)
            except (KeyError, IndexError, ValueError, TypeError, AttributeError, AssertionError) as error:
                raise PtxError(f"line {instruction.line}: cannot emulate: {instruction.text} ({error!r})") from error
            source += [" " + line for line in self.lines]
            origin += [i] * len(self.lines)
        source.append(f" return {end}")
        origin.append(end - 1)
        exec(compile("\n".join(source), f"<ptx {begin}>", "exec"), self.names)
        return self.names.pop("run"), origin

    # Operands.

    def constant(self, array):
        key = (array.dtype.str, array.tobytes())
        if key not in self.constants:
            name = f"k{len(self.constants)}"
            array.flags.writeable = False
            self.constants[key], self.names[name] = name, array
        return self.constants[key]

    def number(self, bits, width):
        return self.constant(np.full(LANES, bits & (2**width - 1), f"u{width // 8}"))

    def raw(self, operand, width):
        """The unsigned bits of an operand, `width` of them."""
        if isinstance(operand, Reg):
            if operand.bits == width or width == 1:
                return f"r[{operand.slot}]"
            assert operand.bits > width, "the register is too small"
            return f"r[{operand.slot}].astype(u{width // 8})"
        if isinstance(operand, Imm):
            if width == 1:
                return self.constant(np.full(LANES, operand.bits != 0))
            return self.number(operand.bits, width)
        if isinstance(operand, Symbol):
            return self.number(self.symbols[operand.name], width)
        if isinstance(operand, Special):
            return f"w.special({operand.name!r}, u{width // 8})"
        raise ValueError(operand)

    def value(self, operand, kind):
        """The operand as a number of a PTX type."""
        if kind == "f16x2":
            return f"{self.raw(operand, 32)}.view(f2).reshape(-1, 2).astype(f4)"
        if kind == "bf16x2":
            return f"widen({self.raw(operand, 32)}.view(u2).reshape(-1, 2))"
        width = type_bits(kind)
        if isinstance(operand, Imm) and operand.floating and operand.floating != width:
            assert (operand.floating, width) == (32, 16), "a constant of another type"
            single = np.full(LANES, operand.bits, u4).view(f4)
            return self.constant(single.astype(f2).astype(f4) if kind == "f16" else widen(narrow(single)))
        if isinstance(operand, Imm) and kind in ("f32", "f64", "s16", "s32", "s64"):
            bits = np.full(LANES, operand.bits & (2**width - 1), f"u{width // 8}")
            return self.constant(bits.view(f"{'i' if kind[0] == 's' else 'f'}{width // 8}"))
        text = self.raw(operand, width)
        if kind[0] in "ub" and kind != "bf16" or kind == "pred":
            return text
        if kind == "f16":
            return f"{text}.view(f2).astype(f4)"
        if kind == "bf16":
            return f"widen({text})"
        return f"{text}.view({'i' if kind[0] == 's' else 'f'}{width // 8})"

    def address(self, operand):
        assert isinstance(operand, Address)
        if isinstance(operand.base, Reg):
            text = f"r[{operand.base.slot}]" + (".astype(u8)" if operand.base.bits == 32 else "")
            return f"({text} + {self.number(operand.offset, 64)})" if operand.offset else text
        base = operand.base.bits if isinstance(operand.base, Imm) else self.symbols[operand.base.name]
        return self.number(base + operand.offset, 64)

    # Results.

    def put(self, operand, kind, text):
        """`text`, a number of a PTX type, becomes the operand's value."""
        width = type_bits(kind)
        if kind == "f16":
            text = f"({text}).astype(f2).view(u2)"
        elif kind == "bf16":
            text = f"narrow({text})"
        elif kind == "f16x2":
            text = f"({text}).astype(f2).view(u4).ravel()"
        elif kind == "bf16x2":
            text = f"narrow({text}).view(u4).ravel()"
        elif kind[0] in "sf":
            if kind[0] == "s" and operand.bits > width:
                text, width = f"({text}).astype(i{operand.bits // 8})", operand.bits
            text = f"({text}).view(u{width // 8})"
        if operand.bits > width > 1:
            text = f"({text}).astype(u{operand.bits // 8})"
        self.set(operand, text)

    def set(self, operand, text):
        if operand is None:
            return
        slot = f"r[{operand.slot}]"
        self.lines.append(f"{slot} = {text}" if self.mask == "None" else f"{slot} = where({self.mask}, {text}, {slot})")

    # Instructions.

    def translate(self, instruction):
        name, *modifiers = instruction.opcode.split(".")
        method = getattr(self, "do_" + name, None)
        if method:
            method(modifiers, instruction.operands)
        elif NO_EFFECT.match(name):
            pass
        else:
            self.elementwise(name, modifiers, instruction.operands)

    def elementwise(self, name, modifiers, operands):
        kind = modifiers.pop()
        if not TYPE.match(kind):
            raise ValueError("unknown instruction")
        if modifiers and modifiers[0] in ("lo", "hi"):
            name += "." + modifiers.pop(0)
        floating = kind[0] == "f" or kind.startswith("bf")
        if name in ("min", "max") and floating and "NaN" not in modifiers:
            name = "f" + name
        left = set(modifiers) - {"rn", "ftz", "sat", "approx", "full", "NaN", "rz", "cc"}
        if left or "cc" in modifiers:
            raise ValueError("unknown modifier")
        values = [self.value(o, kind) for o in operands[1:]]
        if name == "fma" and kind == "f32":  # the product of two f32 is exact in f64
            text = "({0}.astype(f8) * {1} + {2}).astype(f4)".format(*values)
        elif name in ("ex2", "lg2", "sin", "cos", "tanh") and kind == "f32":
            text = ELEMENTWISE[name].format(values[0] + ".astype(f8)") + ".astype(f4)"
        else:
            text = ELEMENTWISE[name].format(*values)
        if "sat" in modifiers:
            text = f"np.clip({text}, f4(0), f4(1))"
        if "ftz" in modifiers:
            text = f"flush({text})"
        self.put(operands[0], kind, text)

    def do_mov(self, modifiers, operands):
        to, source = operands
        kind = "b" + re.sub(r"\D", "", modifiers[-1]) if modifiers[-1] != "pred" else "pred"
        if isinstance(to, list):
            self.lines.append(f"t = {self.raw(source, type_bits(kind))}")
            part = type_bits(kind) // len(to)
            for i, register in enumerate(to):
                self.set(register, f"(t >> u{type_bits(kind) // 8}({i * part})).astype(u{part // 8})")
        elif isinstance(source, list):
            width = type_bits(kind)
            part = width // len(source)
            pieces = [f"{self.raw(s, part)}.astype(u{width // 8}) << u{width // 8}({i * part})" for i, s in enumerate(source)]
            self.set(to, " | ".join(pieces))
        else:
            self.set(to, self.raw(source, type_bits(kind)))

    def shift(self, modifiers, operands, sign):
        kind = modifiers[-1]
        width = type_bits(kind)
        value = self.value(operands[1], kind)
        amount = f"{self.raw(operands[2], 32)}.astype({'i' if kind[0] == 's' else 'u'}{width // 8})"
        if isinstance(operands[2], Imm):
            amount = self.constant(np.full(LANES, operands[2].bits & 0xFFFFFFFF, f"{'i' if kind[0] == 's' else 'u'}{width // 8}"))
        self.put(operands[0], kind, f"{value} {sign} {amount}")

    def do_shl(self, modifiers, operands):
        self.shift(modifiers, operands, "<<")

    def do_shr(self, modifiers, operands):
        self.shift(modifiers, operands, ">>")

    def do_shf(self, modifiers, operands):
        low, high, shift = (self.raw(o, 32) for o in operands[1:])
        self.set(operands[0], f"funnel({low}, {high}, {shift}, {modifiers[0] == 'r'}, {modifiers[1] == 'wrap'})")

    def do_mul(self, modifiers, operands):
        if modifiers[0] == "wide":
            return self.wide(modifiers, operands)
        self.elementwise("mul", modifiers, operands)

    def do_mad(self, modifiers, operands):
        if modifiers[0] == "wide":
            return self.wide(modifiers, operands)
        self.elementwise("mad" if modifiers[0] == "lo" else "fma", modifiers, operands)

    def wide(self, modifiers, operands):
        kind = modifiers[-1]
        double = kind[0] + str(2 * type_bits(kind))
        dtype = ("i" if kind[0] == "s" else "u") + str(type_bits(kind) // 4)
        text = f"{self.value(operands[1], kind)}.astype({dtype}) * {self.value(operands[2], kind)}"
        if len(operands) == 4:
            text += f" + {self.value(operands[3], double)}"
        self.put(operands[0], double, text)

    def do_bfe(self, modifiers, operands):
        text = f"extract({self.value(operands[1], modifiers[0])}, {self.raw(operands[2], 32)}, {self.raw(operands[3], 32)})"
        self.put(operands[0], modifiers[0], text)

    def do_bfi(self, modifiers, operands):
        width = type_bits(modifiers[0])
        field, into = self.raw(operands[1], width), self.raw(operands[2], width)
        self.set(operands[0], f"insert({field}, {into}, {self.raw(operands[3], 32)}, {self.raw(operands[4], 32)})")

    def do_prmt(self, modifiers, operands):
        assert modifiers == ["b32"]
        self.set(operands[0], "permute({}, {}, {})".format(*(self.raw(o, 32) for o in operands[1:])))

    def do_lop3(self, modifiers, operands):
        a, b, c = (self.raw(o, 32) for o in operands[1:4])
        self.set(operands[0], f"lookup({a}, {b}, {c}, {operands[4].bits})")

    def do_popc(self, modifiers, operands):
        self.set(operands[0], f"count_bits({self.raw(operands[1], type_bits(modifiers[0]))})")

    def do_clz(self, modifiers, operands):
        self.set(operands[0], f"leading_zeros({self.raw(operands[1], type_bits(modifiers[0]))})")

    def do_setp(self, modifiers, operands):
        kind = modifiers[-1]
        floating = kind[0] == "f" or kind.startswith("bf")
        text = COMPARISONS[modifiers[0]]
        if modifiers[0] == "ne" and not floating:
            text = "{0} != {1}"
        text = "(" + text.format(self.value(operands[1], kind), self.value(operands[2], kind)) + ")"
        if modifiers[1] in ("and", "or", "xor"):
            text += {"and": " & ", "or": " | ", "xor": " ^ "}[modifiers[1]] + self.value(operands[3], "pred")
        assert isinstance(operands[0], Reg)
        self.set(operands[0], text)

    def do_selp(self, modifiers, operands):
        width = type_bits(modifiers[-1])
        a, b = self.raw(operands[1], width), self.raw(operands[2], width)
        self.set(operands[0], f"where({self.value(operands[3], 'pred')}, {a}, {b})")

    def do_cvt(self, modifiers, operands):
        to, source = modifiers[-2], modifiers[-1]
        flags = modifiers[:-2]
        if to in ("bf16x2", "f16x2"):
            high, low = (self.value(o, "f32") for o in operands[1:])
            single = "narrow({})" if to == "bf16x2" else "{}.astype(f2).view(u2)"
            assert set(flags) <= {"rn"}
            return self.set(operands[0], f"pack({single.format(low)}, {single.format(high)})")
        text = self.value(operands[1], source)
        from_float, to_float = (k[0] == "f" or k.startswith("bf") for k in (source, to))
        for flag in flags:
            if flag in ROUNDINGS:
                text = ROUNDINGS[flag].format(text)
            elif flag not in ("rn", "ftz", "sat"):
                raise ValueError("unknown rounding")
        assert "sat" not in flags or to_float
        size = type_bits(to) // 8
        if to_float:
            if type_bits(to) > 16:
                text = f"({text}).astype(f{size})"
            elif not from_float or source == "f64":
                text = f"({text}).astype(f4)"
            if "sat" in flags:
                text = f"np.clip({text}, 0, 1)"
        elif from_float:
            text = f"to_integer({text}, {'i' if to[0] == 's' else 'u'}{size})"
        else:
            text = f"({text}).astype({'i' if to[0] == 's' else 'u'}{size})"
        self.put(operands[0], to, text)

    def do_cvta(self, modifiers, operands):
        space = next(m for m in modifiers if m not in ("to", "u64", "u32")).split("::")[0]
        sign = "-" if modifiers[0] == "to" else "+"
        offset = {"shared": SHARED, "local": LOCAL}.get(space, 0)
        self.set(operands[0], f"{self.raw(operands[1], 64)} {sign} {self.number(offset, 64)}")

    # Control.

    def do_bra(self, modifiers, operands):
        target = operands[0].target
        self.jump(target)

    def jump(self, target):
        if self.test is None:
            self.lines.append(f"return {target}")
        elif self.full:
            self.lines.append(f"b = ({self.test}).tobytes()")
            self.lines.append(f"return {target} if b == ALL else {self.next} if b == NONE else ({self.test}, {target}, {self.next})")
        else:
            self.lines.append(f"return w.split({self.test}, m, {target}, {self.next})")

    def do_ret(self, modifiers, operands):
        self.jump(-1)

    do_exit = do_ret

    def do_brx(self, modifiers, operands):
        targets = [label.target for label in operands[1]]
        self.lines.append(f"return w.switch({self.raw(operands[0], 32)}, {self.mask}, {targets})")

    def do_trap(self, modifiers, operands):
        self.lines.append("w.trap()")

    # Memory.

    def memory_access(self, modifiers):
        """(space, bytes of an element, type) of a load or store."""
        space = ""
        for m in modifiers[:-1]:
            name = m.split("::")[0]
            if name in ("global", "shared", "local", "param", "const"):
                space = name
            elif not (re.match(r"v[248]$|nc|volatile|weak|relaxed|acquire|release|gpu|cta|sys|ca|cg|cs|lu|cv|wb|wt", m) or name in ("L1", "L2")):
                raise ValueError("unknown modifier")
        return {"param": "global", "const": "global"}.get(space, space), type_bits(modifiers[-1]) // 8, modifiers[-1]

    def do_ld(self, modifiers, operands):
        space, size, kind = self.memory_access(modifiers)
        targets = operands[0] if isinstance(operands[0], list) else [operands[0]]
        self.lines.append(f"t = w.load({space!r}, {self.address(operands[1])}, {size}, {len(targets)}, {self.mask})")
        for i, target in enumerate(targets):
            if target:
                signed = kind[0] == "s"
                self.put(target, kind if signed else f"b{size * 8}", f"t[{i}]" + (f".view(i{size})" if signed else ""))

    def do_st(self, modifiers, operands):
        space, size, _ = self.memory_access(modifiers)
        values = operands[1] if isinstance(operands[1], list) else [operands[1]]
        text = ", ".join(self.raw(v, size * 8) for v in values)
        self.lines.append(f"w.store({space!r}, {self.address(operands[0])}, {size}, [{text}], {self.mask})")

    def do_ldmatrix(self, modifiers, operands):
        assert modifiers[:3] == ["sync", "aligned", "m8n8"] and modifiers[-1] == "b16" and self.mask != "q"
        targets = operands[0] if isinstance(operands[0], list) else [operands[0]]
        self.lines.append(f"t = w.load_matrix({self.address(operands[1])}, {len(targets)}, {'trans' in modifiers})")
        for i, target in enumerate(targets):
            self.set(target, f"t[{i}]")

    def do_stmatrix(self, modifiers, operands):
        assert modifiers[:3] == ["sync", "aligned", "m8n8"] and modifiers[-1] == "b16" and self.mask != "q"
        values = operands[1] if isinstance(operands[1], list) else [operands[1]]
        text = ", ".join(self.raw(v, 32) for v in values)
        self.lines.append(f"w.store_matrix({self.address(operands[0])}, [{text}], {'trans' in modifiers})")

    # Between lanes.

    def do_shfl(self, modifiers, operands):
        assert modifiers[0] == "sync" and modifiers[2] == "b32"
        to, valid = operands[0] if isinstance(operands[0], tuple) else (operands[0], None)
        value, lane, clamp = (self.raw(o, 32) for o in operands[1:4])
        self.lines.append(f"t = w.shuffle({modifiers[1]!r}, {value}, {lane}, {clamp}, {self.mask})")
        self.set(to, "t[0]")
        if valid:
            self.set(valid, "t[1]")

    def do_vote(self, modifiers, operands):
        assert modifiers[0] == "sync"
        result = f"w.vote({modifiers[1]!r}, {self.value(operands[1], 'pred')}, {self.mask})"
        self.set(operands[0], result)

    def do_elect(self, modifiers, operands):
        to, elected = operands[0]
        self.lines.append(f"t = w.elect({self.mask})")
        self.set(to, "t[0]")
        self.set(elected, "t[1]")

    def do_activemask(self, modifiers, operands):
        self.set(operands[0], f"w.active({self.mask})")

    def do_redux(self, modifiers, operands):
        kind = modifiers[-1]
        self.put(operands[0], kind, f"w.reduce({modifiers[1]!r}, {self.value(operands[1], kind)}, {self.mask})")

    # Barriers and asynchronous operations (machine.py).

    def do_bar(self, modifiers, operands):
        assert self.test is None, "a barrier with a predicate"
        modifiers = [m for m in modifiers if m not in ("cta", "aligned")]
        if modifiers == ["warp", "sync"]:
            return
        if modifiers not in (["sync"], ["arrive"]):
            raise ValueError("unknown barrier")
        number = self.raw(operands[0], 32)
        count = self.raw(operands[1], 32) if len(operands) > 1 else "None"
        self.lines.append(f"return w.barrier({number}, {count}, {modifiers == ['sync']}, {self.next})")

    do_barrier = do_bar

    def do_fence(self, modifiers, operands):
        if modifiers[:2] == ["proxy", "async"]:
            self.lines.append("w.hand_over()")
        elif modifiers[0] == "mbarrier_init":
            self.lines.append("w.fence_mbarriers()")

    def do_mbarrier(self, modifiers, operands):
        action = modifiers[0]
        if action == "init":
            self.lines.append(f"w.mbarrier_init({self.address(operands[0])}, {self.raw(operands[1], 32)}, {self.mask})")
        elif action == "inval":
            self.lines.append(f"w.mbarrier_invalidate({self.address(operands[0])}, {self.mask})")
        elif action in ("arrive", "expect_tx"):
            operands = list(operands)
            if not isinstance(operands[0], Address):
                operands.pop(0)  # the state: nobody asks for it
            assert "noComplete" not in modifiers and "drop" not in modifiers
            bytes_, count = "None", "None"
            if "expect_tx" in modifiers:
                bytes_ = self.raw(operands[1], 32)
            elif len(operands) > 1:
                count = self.raw(operands[1], 32)
            arrives = action == "arrive"
            self.lines.append(f"w.mbarrier_arrive({self.address(operands[0])}, {arrives}, {count}, {bytes_}, {self.mask})")
        elif action in ("try_wait", "test_wait") and "parity" in modifiers:
            self.lines.append(f"t = w.mbarrier_wait({self.address(operands[1])}, {self.raw(operands[2], 32)}, {self.mask}, {self.next - 1})")
            self.lines.append("if t is not None: return t")
            self.set(operands[0], self.constant(np.full(LANES, True)))
        else:
            raise ValueError("unknown instruction")

    def do_cp(self, modifiers, operands):
        assert modifiers[0] == "async"
        if modifiers[1:2] == ["commit_group"] or modifiers[1:2] == ["wait_group"] or modifiers[1:2] == ["wait_all"]:
            left = operands[0].bits if operands else 0
            self.lines.append(f"w.copies_commit({self.mask})" if modifiers[1] == "commit_group" else f"w.copies_wait({left}, {self.mask})")
        elif modifiers[1] in ("ca", "cg"):
            size = operands[2].bits
            given = self.raw(operands[3], 32) if len(operands) > 3 else "None"
            self.lines.append(f"w.copy_small({self.address(operands[0])}, {self.address(operands[1])}, {size}, {given}, {self.mask})")
        elif modifiers[1:3] == ["bulk", "commit_group"]:
            self.lines.append(f"w.bulk_commit({self.mask})")
        elif modifiers[1:3] == ["bulk", "wait_group"]:
            self.lines.append(f"w.bulk_wait({operands[0].bits}, {self.mask})")
        elif modifiers[1:3] == ["bulk", "tensor"]:
            left = set(modifiers[4:]) - {"tile", "shared::cluster", "shared::cta", "global", "mbarrier::complete_tx::bytes", "bulk_group"}
            if left:
                raise ValueError("unknown modifier")
            load = modifiers[4].startswith("shared")
            tensor = operands[1 if load else 0]
            place = operands[0] if load else operands[1]
            coordinates = ", ".join(self.value(c, "s32") for c in tensor.coordinates)
            arguments = f"{self.address(place)}, {self.address(tensor)}, [{coordinates}]"
            if load:
                self.lines.append(f"w.tensor_load({arguments}, {self.address(operands[2])}, {self.mask})")
            else:
                self.lines.append(f"w.tensor_store({arguments}, {self.mask})")
        else:
            raise ValueError("unknown copy")

    # Matrix products.

    def do_mma(self, modifiers, operands):
        shape, kinds = modifiers[2], modifiers[5:]
        assert modifiers[:2] == ["sync", "aligned"] and modifiers[3:5] == ["row", "col"] and shape in ("m16n8k16", "m16n8k8")
        assert kinds[0] == kinds[3] == "f32" and kinds[1] == kinds[2] and kinds[1] in ("bf16", "f16")
        a, b, c = ("[" + ", ".join(self.raw(x, 32) for x in o) + "]" for o in operands[1:])
        self.lines.append(f"t = w.mma({kinds[1]!r}, {a}, {b}, {c})")
        for i, to in enumerate(operands[0]):
            self.set(to, f"t[{i}]")

    def do_wgmma(self, modifiers, operands):
        assert self.test is None
        if modifiers[0] == "fence":
            self.lines.append("w.wgmma_fence()")
        elif modifiers[0] == "commit_group":
            self.lines.append("w.wgmma_commit()")
        elif modifiers[0] == "wait_group":
            self.lines.append(f"w.wgmma_wait({operands[0].bits})")
        else:
            shape, kinds = modifiers[3], modifiers[4:]
            assert modifiers[0] == "mma_async" and kinds[0] == "f32" and kinds[1] == kinds[2] and kinds[1] in ("bf16", "f16")
            n = int(re.match(r"m64n(\d+)k16$", shape).group(1))
            to, a, b, accumulate = operands[:4]
            scale_a, scale_b, *transposed = (o.bits & 0xFFFFFFFF for o in operands[4:])
            assert scale_a == 1 and scale_b in (1, 0xFFFFFFFF) and len(to) == n // 2
            registers = isinstance(a, list)
            a_text = str([x.slot for x in a]) if registers else self.raw(a, 64)
            transposed_a = False if registers else bool(transposed[0])
            self.lines.append(
                f"w.wgmma({n}, {kinds[1]!r}, {[x.slot for x in to]}, {a_text}, {self.raw(b, 64)}, {self.value(accumulate, 'pred')}, "
                f"{scale_b != 1}, {transposed_a}, {bool(transposed[-1])})"
            )
