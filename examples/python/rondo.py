"""Calls what `rondoc compile` wrote, with PyTorch tensors.

    mixer = rondo.Mixer("out")                                  # libNAME.so and NAME.h
    mixer(q=q, k=k, v=v, g=g, beta=beta, o=o)                   # fills o
    call = mixer.bind(q=q, k=k, v=v, g=g, beta=beta, o=o)       # the same call again and again: call()

Tensors have the layouts in the header: [B, T, H, ...] for tokens, [H, ...] for parameters, [B, H, ...] for states, any strides. They are
all in the CPU's memory or all on one GPU, where the call returns before the kernel ends and is ordered by the current stream of
PyTorch, as PyTorch's own functions are. What the library finds wrong is a RuntimeError. Nothing is copied, and there are no gradients.

Of a tensor only data_ptr(), shape, stride(), dtype and device are used; the module needs nothing but Python.
"""
import ctypes
import glob
import os
import re
import sys

# DLPack: kDLFloat is 2, kDLBfloat is 4; kDLCPU is 1, kDLCUDA is 2.
_TYPES = {"torch.float32": (2, 32), "torch.float16": (2, 16), "torch.bfloat16": (4, 16)}
_DEVICES = {"cpu": 1, "cuda": 2}
_C_TYPES = {"int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64, "size_t": ctypes.c_size_t}


class _DLTensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
                ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
                ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p), ("byte_offset", ctypes.c_uint64)]


def _describe(tensor):
    rank = len(tensor.shape)
    extents = (ctypes.c_int64 * (2 * rank))(*tensor.shape, *tensor.stride())
    at = ctypes.addressof(extents)
    device = tensor.device
    try:
        code, bits = _TYPES[str(tensor.dtype)]
        place = _DEVICES[device.type]
    except KeyError as error:
        raise TypeError(f"no compiled mixer takes a tensor of {error.args[0]}") from None
    result = _DLTensor(tensor.data_ptr(), place, device.index or 0, rank, code, bits, 1, at, at + 8 * rank, 0)
    result.extents = extents  # keeps it
    return result


def _current_stream(device_id):
    torch = sys.modules.get("torch")
    return torch.cuda.current_stream(device_id).cuda_stream if torch else None


class Call:
    """One call with its tensors in place. Repeating it costs a microsecond more than the call from C."""

    def __init__(self, mixer, tensors, options):
        self._function, self._error, self._tensors = mixer._function, mixer._error, {}
        self._arguments = mixer._struct(**options)
        self._pointer = ctypes.pointer(self._arguments)
        self.set(**tensors)
        on_device = [t.device_id for t, _ in self._tensors.values() if t.device_type == 2]
        self._device = on_device[0] if on_device else None

    def set(self, **tensors):
        """Other tensors in the place of some, on the same device; None: there is none any more."""
        for name, tensor in tensors.items():
            if tensor is None:
                self._tensors.pop(name, None)
                setattr(self._arguments, name, None)
                continue
            described = _describe(tensor)
            self._tensors[name] = described, tensor
            setattr(self._arguments, name, ctypes.addressof(described))

    def __call__(self, stream=None):
        """`stream` is a number, as in torch.cuda.Stream.cuda_stream; without it, it is PyTorch's current one."""
        if self._device is not None:
            self._arguments.stream = _current_stream(self._device) if stream is None else stream
        if self._function(self._pointer):
            raise RuntimeError(self._error().decode())


class Mixer:
    """A library in `folder`; `function` is another than the forward one: "backward", "step"."""

    def __init__(self, folder, function="forward"):
        paths = glob.glob(os.path.join(folder, "lib*.so"))
        if len(paths) != 1:
            raise ValueError(f"{folder} has {len(paths)} libraries, not one")
        self.name = os.path.basename(paths[0])[3:-3]
        with open(os.path.join(folder, self.name + ".h")) as file:
            header = file.read()
        struct = f"{self.name}_args" if function == "forward" else f"{self.name}_{function}_args"
        body = re.search(r"typedef struct %s \{\n(.*?)\n\} %s;" % (struct, struct), header, re.S)
        if not body:
            raise ValueError(f"{self.name} has no function {function}")
        fields = re.findall(r"^  (?:const )?(\w+) (\*?)(\w+);", body.group(1), re.M)
        self.tensors = [name for kind, _, name in fields if kind == "DLTensor"]
        self.sizes = {name: int(value) for name, value in re.findall(r"\b%s_(\w+) = (\d+)" % self.name, header)}
        self._struct = type(struct, (ctypes.Structure,), {
            "_fields_": [(name, ctypes.c_void_p if star else _C_TYPES[kind]) for kind, star, name in fields]})
        library = ctypes.CDLL(os.path.abspath(paths[0]))
        self._function = getattr(library, f"{self.name}_{function}")
        self._error = library.rondo_error_message
        self._error.restype = ctypes.c_char_p

    def bind(self, **arguments):
        """A Call of these tensors, and of numbers such as threads."""
        fields = {name for name, _ in self._struct._fields_}
        for name in arguments:
            if name not in fields:
                raise TypeError(f"{self.name} has no argument {name}; it has {', '.join(self.tensors)}")
        tensors = {name: arguments.pop(name) for name in self.tensors if name in arguments}
        return Call(self, tensors, arguments)

    def __call__(self, stream=None, **arguments):
        self.bind(**arguments)(stream)
