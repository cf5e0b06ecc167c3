"""Weights made up from the layers that authors publish, named as they name them, with random values."""

from __future__ import annotations

import torch

from mefcli.checkpoints import build_with_weights, load_fuser_weights
from mefcli.importing import import_checkpoint


def conv(m, n, k):
    return {"weight": (m, n, k, k), "bias": (m,)}


def norm(n):
    return {"weight": (n,), "bias": (n,), "running_mean": (n,), "running_var": (n,)}


def state_of(layers, seed=0):
    """{name: {"weight": shape, ...}} to random tensors, small and of the right kind."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, parts in layers.items():
        for part, shape in parts.items():
            value = torch.randn(shape, generator=generator)
            if part == "running_var":
                value = value.abs() + 0.5
            elif len(shape) > 1:
                value = value / (shape[1] * shape[-1] * shape[-2]) ** 0.5
            else:
                value = 0.2 * value + (1.0 if "bn" in name and part == "weight" else 0.0)
            state[f"{name}.{part}" if name else part] = value
    return state


def imported(model, state, tmp_path):
    """The network that the file makes, and its spec and metadata."""
    path, out = tmp_path / "theirs.pth", tmp_path / "ours.safetensors"
    torch.save(state, path)
    metadata = import_checkpoint(model, path, out)
    spec, tensors, _, _ = load_fuser_weights(str(out))
    return build_with_weights(spec, tensors).eval(), spec, metadata


def pair(channels=3, height=24, width=16):
    return torch.rand(1, 2, channels, height, width, generator=torch.Generator().manual_seed(1))
