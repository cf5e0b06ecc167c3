"""What every candidate operator costs in every place, measured on the machine at hand.

A table maps "C-3 64>64 32x32" to milliseconds for one call. `Latency` turns it into R(alpha), the expected
cost of a mixture, in units of the cost of the undecided architecture: R is 1 where the search begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mefnets.crmef import operators
from mefnets.crmef.deform import DeC
from mefnets.crmef.genotype import SPACES, parse

Table = dict[str, float]


@dataclass(frozen=True)
class Layer:
    """A searched layer: its place in the genotype, its channels, its scale, and how often it runs."""

    part: str
    index: int
    n: int
    m: int
    halvings: int = 0
    times: int = 1

    @property
    def place(self) -> str:
        return f"{self.part}{self.index}"

    def key(self, operator: str, size_px: int) -> str:
        side = size_px >> self.halvings
        return f"{operator} {self.n}>{self.m} {side}x{side}"


def layers(width: int, aligns: bool = False) -> list[Layer]:
    """Every searched layer of a model; the two relighting modules of both exposures share their choice."""
    relight = [
        Layer("srsm", 0, 64, 64, 0, 4),
        Layer("srsm", 1, 128, 64, 1, 4),
        Layer("srsm", 2, 64, 64, 1, 4),
    ]
    replete = [Layer("drm", i, width, width) for i in range(4)]
    align = [Layer("dasm", i, 64, 64, halvings) for i, halvings in enumerate((2, 1, 0, 0))]
    return relight + (align if aligns else []) + replete


def candidate(operator: str, n: int, m: int) -> nn.Module:
    kind, k = parse(operator)
    return DeC(n, m, k) if kind == "DeC" else operators.make(operator, n, m)


def measure(
    of: Iterable[Layer],
    size_px: int = 64,
    batch: int = 1,
    repeats: int = 5,
    device: str = "cpu",
    on_entry: Callable[[str, float], None] | None = None,
) -> Table:
    """The shortest time of a forward call, per candidate and place. CPU: processor time of all threads."""
    table: Table = {}
    clock = time.process_time if device == "cpu" else time.perf_counter
    for layer in of:
        for operator in SPACES[layer.part]:
            key = layer.key(operator, size_px)
            if key in table:
                continue
            table[key] = _time(
                candidate(operator, layer.n, layer.m), layer, size_px, batch, repeats, device, clock
            )
            if on_entry:
                on_entry(key, table[key])
    return table


def _time(
    network: nn.Module,
    layer: Layer,
    size_px: int,
    batch: int,
    repeats: int,
    device: str,
    clock: Callable[[], float],
) -> float:
    side = size_px >> layer.halvings
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.requires_grad_(False)
    x = torch.rand(batch, layer.n, side, side, device=device).to(memory_format=torch.channels_last)
    inputs = (x, x) if layer.part == "dasm" else (x,)
    times = []
    with torch.no_grad():
        network(*inputs)
        for _ in range(repeats):
            _wait(device)
            start = clock()
            network(*inputs)
            _wait(device)
            times.append(clock() - start)
    return 1000 * min(times)  # the least disturbed by whatever else the machine does


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


class Latency:
    """R(alpha): sum over layers and candidates of softmax(alpha)_o LAT(o), 1 at uniform alpha."""

    def __init__(self, of: Iterable[Layer], table: Mapping[str, float], size_px: int = 64) -> None:
        self.layers = list(of)
        self.costs: dict[str, Tensor] = {}
        for layer in self.layers:
            keys = [layer.key(operator, size_px) for operator in SPACES[layer.part]]
            absent = [key for key in keys if key not in table]
            if absent:
                raise ValueError(f"The latency table has no entry {absent[0]!r} ({len(absent)} are missing).")
            self.costs[layer.place] = torch.tensor([table[key] * layer.times for key in keys])
        self.start = float(sum(cost.mean() for cost in self.costs.values()))

    def __call__(self, probabilities: Mapping[str, Tensor]) -> Tensor:
        parts = [
            (probabilities[p] * cost.to(probabilities[p].device)).sum() for p, cost in self.costs.items()
        ]
        return torch.stack(parts).sum() / self.start
