"""Reads PTX: the part of the language that LLVM's NVPTX back end prints for Rondo's kernels, inline assembly included."""
import re
from dataclasses import dataclass, field


class PtxError(Exception):
    """What is wrong with the PTX, or with what it does."""


@dataclass
class Reg:
    slot: int
    bits: int  # 1: a predicate


@dataclass
class Imm:
    bits: int  # the value as 64 bits, or the bits of a floating-point number
    floating: int = 0  # 0: an integer; 32 or 64: a floating-point number of so many bits


@dataclass
class Symbol:
    """The address of a variable or parameter."""

    name: str


@dataclass
class Special:
    name: str


@dataclass
class Label:
    """A place in the code: the number of an instruction."""

    target: int


@dataclass
class Address:
    base: object  # Reg, Imm or Symbol
    offset: int = 0
    coordinates: list = field(default_factory=list)  # of a tensor copy


@dataclass
class Instruction:
    line: int
    opcode: str
    operands: list  # a list is a vector; a tuple is `a|b`
    predicate: Reg = None
    negated: bool = False
    text: str = ""


@dataclass
class Variable:
    name: str
    align: int
    size: int  # bytes; 0: as many as the launch says


@dataclass
class Kernel:
    name: str
    params: list  # Variables
    code: list  # Instructions
    registers: list  # bits of each register
    shared: list  # Variables
    local: list
    targets: set  # numbers of instructions that are jumped to


SPACE = re.compile(r"\s*")
LABEL = re.compile(r"([\w$%]+)\s*:(?!:)")
REG = re.compile(r"\.reg\s+\.(\w+)\s+(.*)$", re.S)
VARIABLE = re.compile(r"(?:\.extern\s+)?\.(shared|local)\s+(?:\.align\s+(\d+)\s+)?\.\w?(\d+)\s+([\w$]+)(?:\[(\d*)\])?$")
PARAM = re.compile(r"\.param\s+(?:\.align\s+(\d+)\s+)?\.\w?(\d+)\s+(?:\.ptr\s+(?:\.\w+\s+)?(?:\.align\s+\d+\s+)?)?([\w$]+)(?:\[(\d+)\])?$")
TYPE_BITS = {"pred": 1}


def parse_kernels(text):
    """The kernels of a PTX text, by name."""
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"/\*.*?\*/", lambda match: re.sub(r"[^\n]", " ", match.group()), text, flags=re.S)
    if match := re.search(r"^\s*(?:\.visible\s+)?\.func\b.*$", text, re.M):
        line = text.count("\n", 0, match.start()) + 1
        raise PtxError(f"line {line}: device functions are not emulated: {match.group().strip()}")
    globals_ = []
    for match in re.finditer(r"^\s*(?:\.extern\s+|\.visible\s+)?\.(shared|global|const)\s[^;]*;", text, re.M):
        variable = VARIABLE.match(match.group().strip().rstrip(";"))
        if not variable:
            raise PtxError(f"module variables of this kind are not emulated: {match.group().strip()}")
        globals_.append(make_variable(variable))
    kernels = {}
    for match in re.finditer(r"\.entry\s+([\w$]+)\s*(?:\(([^)]*)\))?[^{;]*\{", text):
        end = match.end()
        depth = 1
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        params = []
        for param in filter(None, (p.strip() for p in (match.group(2) or "").split(","))):
            fields = PARAM.match(param)
            if not fields:
                raise PtxError(f"not a parameter: {param}")
            align, bits, name, count = fields.groups()
            size = int(bits) // 8 * int(count or 1)
            params.append(Variable(name, int(align or size), size))
        body = Body(text[match.end() : end - 1], text.count("\n", 0, match.end()) + 1)
        kernels[match.group(1)] = body.kernel(match.group(1), params, globals_)
    return kernels


def make_variable(match):
    _, align, bits, name, count = match.groups()
    element = int(bits) // 8
    return Variable(name, int(align or element), 0 if count == "" else element * int(count or 1))


class Body:
    """The statements of one kernel. Names in `{ }` belong to that block, so every name is looked up from inside out."""

    def __init__(self, text, line):
        self.registers = []
        self.names = {}  # (scope, name) -> Reg or number of an instruction
        self.ranges = {}  # (prefix) -> (first slot, count, bits): .reg .b32 %r<100>
        self.shared, self.local, self.tables = [], [], {}
        statements = list(self.split(text, line))
        self.code = [self.instruction(*statement) for statement in statements]

    def kernel(self, name, params, variables):
        targets = set()
        for instruction in self.code:
            for operand in instruction.operands:
                for label in operand if isinstance(operand, list) else [operand]:
                    if isinstance(label, Label):
                        targets.add(label.target)
        return Kernel(name, params, self.code, self.registers, variables + self.shared, self.local, targets)

    def split(self, text, line):
        """Yields (line, text, scopes) of each instruction; declarations and labels are noted on the way."""
        position, number, opened, scopes = 0, 0, 0, (0,)
        counted = 0
        while True:
            position = SPACE.match(text, position).end()
            line += text.count("\n", counted, position)
            counted = position
            if position == len(text):
                return
            if text[position] == "{":
                opened += 1
                scopes = (opened,) + scopes
                position += 1
            elif text[position] == "}":
                scopes = scopes[1:]
                position += 1
            elif label := LABEL.match(text, position):
                position = label.end()
                rest = SPACE.match(text, position).end()
                if text.startswith(".branchtargets", rest):
                    end = text.index(";", rest)
                    self.tables[label.group(1)] = [t.strip() for t in text[rest + 14 : end].split(",")]
                    position = end + 1
                else:
                    self.names[scopes[0], label.group(1)] = number
            else:
                end = text.index(";", position)
                statement = text[position:end].strip()
                position = end + 1
                if statement.startswith(".reg"):
                    self.declare(statement, scopes[0])
                elif variable := VARIABLE.match(statement):
                    (self.shared if variable.group(1) == "shared" else self.local).append(make_variable(variable))
                elif statement.startswith(".pragma") or not statement:
                    pass
                elif statement.startswith("."):
                    raise PtxError(f"line {line}: unknown directive: {statement}")
                else:
                    number += 1
                    yield line, statement, scopes

    def declare(self, statement, scope):
        kind, names = REG.match(statement).groups()
        bits = TYPE_BITS.get(kind) or int(re.sub(r"\D", "", kind))
        for name in (n.strip() for n in names.split(",")):
            if match := re.match(r"(%\w+)<(\d+)>$", name):
                self.ranges[match.group(1)] = (len(self.registers), int(match.group(2)), bits)
                self.registers += [bits] * int(match.group(2))
            else:
                self.names[scope, name] = Reg(len(self.registers), bits)
                self.registers.append(bits)

    def instruction(self, line, text, scopes):
        where = f"line {line}"
        text = " ".join(text.split())
        result = Instruction(line, "", [], text=text)
        rest = text
        if rest.startswith("@"):
            guard, rest = rest[1:].split(None, 1)
            result.negated = guard.startswith("!")
            result.predicate = self.operand(guard.lstrip("!"), scopes, where)
        result.opcode, _, operands = rest.partition(" ")
        result.operands = [self.operand(o, scopes, where) for o in split_commas(operands)]
        return result

    def operand(self, text, scopes, where):
        if text.startswith("{"):
            return [self.operand(o, scopes, where) for o in split_commas(text[1:-1])]
        if text.startswith("["):
            base, *rest = split_commas(text[1:-1])
            base, _, offset = base.replace("+-", "-").replace("-", "+-").partition("+")
            coordinates = self.operand(rest[0], scopes, where) if rest else []
            return Address(self.operand(base.strip(), scopes, where), int(offset or "0", 0), coordinates)
        if "|" in text:
            return tuple(self.operand(o.strip(), scopes, where) for o in text.split("|"))
        if match := re.match(r"0([fFdD])([0-9a-fA-F]+)$", text):
            return Imm(int(match.group(2), 16), 32 if match.group(1) in "fF" else 64)
        if re.match(r"-?\d", text):
            return Imm(int(re.sub(r"U$", "", text), 0) & (2**64 - 1))
        for scope in scopes:
            if (scope, text) in self.names:
                found = self.names[scope, text]
                return found if isinstance(found, Reg) else Label(found)
        if text in self.tables:
            return [self.operand(label, scopes, where) for label in self.tables[text]]
        if match := re.match(r"(%[a-z]+)(\d+)$", text):
            first, count, bits = self.ranges.get(match.group(1), (0, 0, 0))
            if int(match.group(2)) < count:
                return Reg(first + int(match.group(2)), bits)
        if text == "_":
            return None
        if text.startswith("%"):
            return Special(text)
        return Symbol(text)


def split_commas(text):
    """Splits at commas that are in no bracket."""
    parts, depth, begin = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "[{") - (c in "]}")
        if c == "," and depth == 0:
            parts.append(text[begin:i].strip())
            begin = i + 1
    parts.append(text[begin:].strip())
    return [p for p in parts if p]
