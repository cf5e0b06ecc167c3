"""Mixed precision: the same picture nearly, float32 outside, and only where recipe and device want it."""

from __future__ import annotations

import pytest
import torch

from mefcli.errors import UsageError
from mefcli.training import precision
from mefnets import MODELS
from mefnets.engine.fuser import build_network

CPU = torch.device("cpu")


def test_the_network_computes_in_bfloat16_and_all_around_it_stays_float32() -> None:
    torch.manual_seed(0)
    network = build_network(MODELS["lcndr"]).requires_grad_(True).train()
    pair = torch.rand(1, 2, 1, 32, 32)
    exact = network(pair)
    precision.compute_in(network, torch.bfloat16, CPU)
    mixed = network(pair)
    assert mixed.dtype == torch.float32
    assert 0 < (mixed - exact).abs().max() < 0.05  # rounded inside, so not the very same
    mixed.mean().backward()
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in network.parameters())


def test_auto_asks_the_recipe_first() -> None:
    assert precision.choose("auto", wide=False, device=CPU) == torch.float32
    expected = torch.bfloat16 if precision.has_units(CPU) else torch.float32
    assert precision.choose("auto", wide=True, device=CPU) == expected
    assert precision.choose("bfloat16", wide=False, device=CPU) == torch.bfloat16


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match="float64"):
        precision.choose("float64", wide=True, device=CPU)  # type: ignore[arg-type]
