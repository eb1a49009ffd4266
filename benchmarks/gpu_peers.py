"""flash-linear-attention's operators beside ours, on the same tensors. Used by gpu.py.

PEERS: mixer -> (operator in fla.ops, function that takes it and our tensors and returns what to time).
"""
import glob
import importlib
import os
import tarfile


def _linear_attention(f, t):
    return lambda: f(t["q"], t["k"], t["v"], normalize=False)


def _retnet(f, t):  # knows its decays
    return lambda: f(t["q"], t["k"], t["v"])


def _mamba2(f, t):  # without dt * x, dt * A and D * x
    v, g = (t["dt"][..., None] * t["x"]).to(t["x"].dtype), t["dt"] * t["A"]
    return lambda: f(t["C"], t["B"], v, g=g, scale=1.0)


def _delta_net(f, t):
    return lambda: f(t["q"], t["k"], t["v"], t["beta"])


def _gated_delta_net(f, t):
    return lambda: f(t["q"], t["k"], t["v"], t["g"], t["beta"])


def _kda(f, t):  # it asks for gates of at least -5 to use tensor cores; ours takes any
    return lambda: f(t["q"], t["k"], t["v"], t["gk"], t["beta"], safe_gate=True, lower_bound=-5.0)


def _gated_delta_net2(f, t):
    return lambda: f(t["q"], t["k"], t["v"], t["gk"], t["b"], t["w"], safe_gate=True, lower_bound=-5.0)


def _hgrn2(f, t):  # without the key
    k = (1 - t["gk"].float().exp()).to(t["q"].dtype)
    return lambda: f(t["q"], k, t["v"], t["gk"])


def _gsa(f, t):  # without the write weights
    s = (1 - t["g"].float().exp()).to(t["q"].dtype)
    return lambda: f(t["q"], t["k"], t["v"], s, t["g"])


def _comba(f, t):
    return lambda: f(t["q"], t["k"], t["v"], t["p"], t["g"], t["beta"])


def _gated_delta_product(f, t):  # two writes a token, one after the other in time
    import torch
    k, v, beta = (torch.stack([t[n + "1"], t[n + "2"]], 2).flatten(1, 2) for n in ("k", "v", "beta"))
    return lambda: f(t["q"], k, v, t["g"], beta, num_householder=2)


def _rwkv6(f, t):
    return lambda: f(t["r"], t["k"], t["v"], t["w"], t["u"].to(t["r"].dtype), scale=1.0)


def _rwkv7(f, t):
    a, b = -t["kappa"], t["kappa"] * t["a"]
    return lambda: f(t["r"], t["w"], t["k"], t["v"], a, b, safe_gate=True, chunk_size=64)


def _hgrn(f, t):
    return lambda: f(t["x"].flatten(2), t["g"].flatten(2))


PEERS = {
    "linear_attention": ("linear_attn.chunk_linear_attn", _linear_attention),
    "retnet": ("retention.chunk_retention", _retnet),
    "mamba2": ("simple_gla.chunk_simple_gla", _mamba2),
    "gla": ("gla.chunk_gla", lambda f, t: lambda: f(t["q"], t["k"], t["v"], t["gk"])),
    "delta_net": ("delta_rule.chunk_delta_rule", _delta_net),
    "gated_delta_net": ("gated_delta_rule.chunk_gated_delta_rule", _gated_delta_net),
    "kda": ("kda.chunk_kda", _kda),
    "comba": ("comba.chunk_comba", _comba),
    "gated_delta_net2": ("gdn2.chunk_gdn2", _gated_delta_net2),
    "gated_delta_product": ("gated_delta_product.chunk_gated_delta_product", _gated_delta_product),
    "gated_oja": ("gated_oja_rule.chunk_gated_oja_rule", lambda f, t: lambda: f(*(t[n] for n in ("q", "k", "v", "gv", "beta")))),
    "gsa": ("gsa.chunk_gsa", _gsa),
    "hgrn": ("hgrn.fused_recurrent_hgrn", _hgrn),
    "hgrn2": ("gla.chunk_gla", _hgrn2),
    "rwkv6": ("rwkv6.chunk_rwkv6", _rwkv6),
    "rwkv7": ("rwkv7.chunk_rwkv7", _rwkv7),
}


def load(name, tensors):
    """What to time: a function of no arguments that returns the output. Raises when there is no fla."""
    operator, prepare = PEERS[name]
    module, function = operator.split(".")
    call = prepare(getattr(importlib.import_module("fla.ops." + module), function), tensors)

    def first():
        result = call()
        return result[0] if isinstance(result, tuple) else result
    return first


def tune_quickly(measure, threads):
    """Makes Triton's autotuner compile its candidates side by side, and time each briefly. All of them are tried: what is
    chosen can differ from a slow tuning by noise only. Triton keeps the choices with its compiled kernels, see `keep_choices`.
    """
    from concurrent.futures import ThreadPoolExecutor
    from triton.runtime.autotuner import Autotuner
    prune, bench = Autotuner.prune_configs, Autotuner._bench

    def compile_all(self, candidates, arguments, options):
        from triton.runtime._async_compile import AsyncCompileMode
        with ThreadPoolExecutor(threads) as pool, AsyncCompileMode(pool, ignore_errors=True):
            for candidate in candidates:
                self.fn.run(*arguments, **{**options, **candidate.all_kwargs(), "warmup": True})

    def prune_and_note(self, options):
        self.to_compile = prune(self, options)
        return self.to_compile

    def compile_and_bench(self, *arguments, config, **options):
        candidates, self.to_compile = self.to_compile, []
        try:
            if candidates:  # the first of them
                compile_all(self, candidates, arguments, options)
        except Exception:  # one after the other then
            pass
        return bench(self, *arguments, config=config, **options)

    Autotuner.prune_configs, Autotuner._bench = prune_and_note, compile_and_bench
    Autotuner.do_bench = property(lambda self: lambda call, quantiles=None: [measure(call)] * 3)


def keep_choices(path, cache, save):
    """What Triton's autotuner chose, as an archive beside the figures: with it the next run tunes nothing."""
    if save:
        with tarfile.open(path, "w:gz") as archive:
            for file in glob.glob(os.path.join(cache, "*", "*.autotune.json")):
                archive.add(file, os.path.relpath(file, cache))
    elif os.path.exists(path):
        with tarfile.open(path) as archive:
            archive.extractall(cache, filter="data")
