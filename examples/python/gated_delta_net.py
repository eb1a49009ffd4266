#!/usr/bin/env python3
"""Gated DeltaNet on PyTorch tensors, compared with a loop over tokens. It takes tensors on a GPU when the library is for one:

  rondoc compile mixers/gated_delta_net.rondo -o out --target=cpu,cuda --size K=128 V=128 --dtype=bf16 g=f32 beta=f32
  python3 examples/python/gated_delta_net.py out
"""
import sys

import rondo
import torch


def by_tokens(q, k, v, g, beta, S):
    """What mixers/gated_delta_net.rondo says."""
    outputs = []
    for t in range(q.shape[1]):
        S = g[:, t].exp()[..., None, None] * S
        read = (S.transpose(-1, -2) @ k[:, t, :, :, None])[..., 0]
        write = beta[:, t, :, None] * (v[:, t] - read)
        S = S + k[:, t, :, :, None] * write[..., None, :]
        outputs.append((S.transpose(-1, -2) @ q[:, t, :, :, None])[..., 0] * q.shape[-1] ** -0.5)
    return torch.stack(outputs, 1), S


def main():
    mixer = rondo.Mixer(sys.argv[1])
    device = sys.argv[2] if len(sys.argv) > 2 else "cuda" if torch.cuda.is_available() else "cpu"
    B, T, H, K, V = 2, 300, 4, mixer.sizes["K"], mixer.sizes["V"]
    torch.manual_seed(0)
    normal = lambda *shape: torch.randn(*shape, device=device)
    unit = lambda x: torch.nn.functional.normalize(x, dim=-1)
    q, k, v = (x.bfloat16() for x in (unit(normal(B, T, H, K)), unit(normal(B, T, H, K)), normal(B, T, H, V)))
    g, beta = -normal(B, T, H).abs(), torch.rand(B, T, H, device=device)
    initial, final = normal(B, H, K, V), torch.empty(B, H, K, V, device=device)
    o = torch.empty_like(v)
    mixer(q=q, k=k, v=v, g=g, beta=beta, o=o, initial_S=initial, final_S=final)

    expected, state = by_tokens(q.double(), k.double(), v.double(), g.double(), beta.double(), initial.double())
    error = lambda got, right: ((got - right).norm() / right.norm()).item()
    print(f"{device}: relative error of o {error(o, expected):.1e}, of the final state {error(final, state):.1e}")
    try:
        mixer(q=q, k=k, v=v[:, 1:], g=g, beta=beta, o=o)
    except RuntimeError as wrong:
        print(wrong)
    return error(o, expected) > 1e-2 or error(final, state) > 1e-2


if __name__ == "__main__":
    sys.exit(main())
