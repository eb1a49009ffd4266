"""examples/python/rondo.py on tensors that have what it uses of PyTorch's, on a driver without a device."""
import ctypes
import sys
import types

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import rondo  # noqa: E402


class Tensor:
    def __init__(self, *shape, device="cuda:0", dtype="float32", values=None):
        count = 1
        for size in shape:
            count *= size
        self.memory = (ctypes.c_float * (count + 4))(*(values or []))
        self.start = (ctypes.addressof(self.memory) + 15) // 16 * 16
        if values:
            ctypes.memmove(self.start, (ctypes.c_float * count)(*values), 4 * count)
        self.shape, self.dtype = shape, "torch." + dtype
        kind, _, index = device.partition(":")
        self.device = types.SimpleNamespace(type=kind, index=int(index) if index else None)

    def data_ptr(self):
        return self.start

    def stride(self):
        strides = [1]
        for size in self.shape[:0:-1]:
            strides.insert(0, strides[0] * size)
        return tuple(strides)

    def values(self):
        return (ctypes.c_float * 16).from_address(self.start)[:]


def attempt(what, function, *arguments, **named):
    try:
        print(f"{what}:", function(*arguments, **named))
    except Exception as error:
        print(f"{what}: {type(error).__name__}: {error}")


mixer = rondo.Mixer(sys.argv[2])
print(mixer.name, mixer.sizes, mixer.tensors)
x, w, o = Tensor(1, 2, 1, 8, values=range(16)), Tensor(1, 8, values=[1] * 8), Tensor(1, 2, 1, 8)
call = mixer.bind(x=x, w=w, o=o)
call(stream=7)
print(o.values())
call.set(w=Tensor(1, 8, values=[2] * 8))
call()
print(o.values())
mixer(x=x, w=w, o=o, final_S=Tensor(1, 1, 8))
attempt("sizes", mixer, x=x, w=w, o=Tensor(1, 3, 1, 8))
attempt("device", mixer, x=x, w=w, o=Tensor(1, 2, 1, 8, device="cpu"))
attempt("type", mixer, x=Tensor(1, 2, 1, 8, dtype="int32"), w=w, o=o)
attempt("name", mixer, x=x, w=w, out=o)
attempt("function", rondo.Mixer, sys.argv[2], "step")
