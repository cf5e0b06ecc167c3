"""What every candidate operator costs in every place, measured on the machine at hand.

A table holds the mean milliseconds of one call for "C-3 64>64 32x32" and the like, at several sizes, and says
how they were measured. `Latency` turns it into R(alpha), the expected cost of a mixture, in units of the cost
of the undecided architecture: R is 1 where the search begins, and every size has the same say.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from mefnets.crmef import operators
from mefnets.crmef.deform import DeC
from mefnets.crmef.genotype import SPACES, parse

SIZES_PX, BATCH, REPEATS = (32, 64), 16, 100  # the paper: batch 16, the mean of 1,000 calls


@dataclass(frozen=True)
class Layer:
    """A searched layer: its place in the genotype, its channels and its scale."""

    part: str
    index: int
    n: int
    m: int
    halvings: int = 0

    @property
    def place(self) -> str:
        return f"{self.part}{self.index}"

    def key(self, operator: str, size_px: int) -> str:
        side = size_px >> self.halvings
        return f"{operator} {self.n}>{self.m} {side}x{side}"


@dataclass(frozen=True)
class Table:
    """Measured times and how they came about."""

    ms: Mapping[str, float]  # mean of one call
    sizes_px: tuple[int, ...]
    batch: int
    repeats: int
    device: str
    threads: int
    clock: str
    machine: str
    torch: str

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def table_from(content: Mapping[str, object]) -> Table:
    """A table from plain JSON values; a ValueError says what is amiss."""
    fields = dict(content)
    ms, sizes = fields.get("ms"), fields.get("sizes_px")
    if not isinstance(ms, Mapping) or not isinstance(sizes, (list, tuple)):
        raise ValueError("it has no ms or no sizes_px")
    fields["ms"] = {str(key): float(value) for key, value in ms.items()}
    fields["sizes_px"] = tuple(int(size) for size in sizes)
    try:
        return Table(**fields)  # type: ignore[arg-type]
    except TypeError as error:
        raise ValueError("it does not say how it was measured") from error


def layers(width: int, aligns: bool = False) -> list[Layer]:
    """Every searched layer of a model. Each of the four relighting modules chooses for itself."""
    relight = [
        Layer("srsm", 3 * module + i, 128 if i == 1 else 64, 64, int(i > 0))
        for module in range(4)
        for i in range(3)
    ]
    replete = [Layer("drm", i, width, width) for i in range(4)]
    align = [Layer("dasm", i, 64, 64, halvings) for i, halvings in enumerate((2, 1, 0, 0))]
    return relight + (align if aligns else []) + replete


def candidate(operator: str, n: int, m: int) -> nn.Module:
    kind, k = parse(operator)
    return DeC(n, m, k) if kind == "DeC" else operators.make(operator, n, m)


def measure(
    of: Iterable[Layer],
    sizes_px: Iterable[int] = SIZES_PX,
    batch: int = BATCH,
    repeats: int = REPEATS,
    device: str = "cpu",
    on_entry: Callable[[str, float], None] | None = None,
) -> Table:
    """The mean time of a forward call, per candidate, place and size. CPU: processor time of all threads."""
    ms: dict[str, float] = {}
    sizes = tuple(sizes_px)
    of = list(of)
    for size_px in sizes:
        for layer in of:
            for operator in SPACES[layer.part]:
                key = layer.key(operator, size_px)
                if key in ms:
                    continue
                ms[key] = _time(candidate(operator, layer.n, layer.m), layer, size_px, batch, repeats, device)
                if on_entry:
                    on_entry(key, ms[key])
    words = "processor time" if device == "cpu" else "wall time"
    return Table(
        ms, sizes, batch, repeats, device, torch.get_num_threads(), words, _machine(device), torch.__version__
    )


def _machine(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"


def _time(network: nn.Module, layer: Layer, size_px: int, batch: int, repeats: int, device: str) -> float:
    side = size_px >> layer.halvings
    clock = time.process_time if device == "cpu" else time.perf_counter
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.requires_grad_(False)
    x = torch.rand(batch, layer.n, side, side, device=device).to(memory_format=torch.channels_last)
    inputs = (x, x) if layer.part == "dasm" else (x,)
    with torch.no_grad():
        network(*inputs)  # the first call also chooses its kernels
        _wait(device)
        start = clock()
        for _ in range(repeats):
            network(*inputs)
        _wait(device)
    return 1000 * (clock() - start) / repeats


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


class Latency:
    """R(alpha): sum over layers and candidates of softmax(alpha)_o LAT(o), 1 at uniform alpha."""

    def __init__(self, of: Iterable[Layer], table: Table) -> None:
        self.costs: dict[str, Tensor] = {}  # by place, one value a candidate, in shares of the whole
        layers = list(of)
        for size_px in table.sizes_px:
            costs = {layer.place: self._row(layer, table, size_px) for layer in layers}
            start = sum(float(cost.mean()) for cost in costs.values()) * len(table.sizes_px)
            for place, cost in costs.items():
                self.costs[place] = self.costs.get(place, torch.zeros_like(cost)) + cost / start

    @staticmethod
    def _row(layer: Layer, table: Table, size_px: int) -> Tensor:
        keys = [layer.key(operator, size_px) for operator in SPACES[layer.part]]
        absent = [key for key in keys if key not in table.ms]
        if absent:
            raise ValueError(f"The latency table has no entry {absent[0]!r} ({len(absent)} are missing).")
        return torch.tensor([table.ms[key] for key in keys])

    def __call__(self, probabilities: Mapping[str, Tensor]) -> Tensor:
        parts = [
            (probabilities[p] * cost.to(probabilities[p].device)).sum() for p, cost in self.costs.items()
        ]
        return torch.stack(parts).sum()
