"""The latency-constrained architecture search: which operator should every searched layer be?

Relaxation: a layer's output is the mixture sum_o softmax(alpha)_o O(x) of all its candidates, and

    min over alpha of  L_val(alpha, w*) + eta R(alpha),    L_val the mean absolute error.

The paper does not state R's unit, and with it decides: where R is 1 at the start, latency alone chooses at
the paper's eta of 0.5 and 1. Here it starts at `UNDECIDED_S`.

Weights and alpha take turns, each by one first-order step; alpha learns on scenes that the weights never see,
and waits for the warm-up. Every searched layer has an alpha of its own, in each of the four relighting
modules. The largest alpha of every layer makes the genotype, which is then trained from scratch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.crmef.genotype import SPACES, Genotype
from mefnets.crmef.latency import Latency, Layer, Table, candidate, layers
from mefnets.crmef.loss import intensity_loss
from mefnets.crmef.network import build

UNDECIDED_S = 0.027
"""R of undecided operators: the seconds that they take for a picture of 64 px on one core of ours. The same
on every machine, whose own times say only how operators compare, so that eta means the same everywhere."""

Pairs = Iterator[tuple[Tensor, Tensor]]
"""(frames (B, 2, 3, H, W), reference (B, 3, H, W)), without end."""


@dataclass(frozen=True)
class Settings:
    """The paper: 10 epochs of warm-up and 300 of search on about 40 pairs, SGD with lr 3e-4 for the weights
    and 1e-4 for alpha, eta 0.5 for its general and 1 for its fast model. That assumes some ten thousand
    steps: after a hundred, relighting has not begun to matter and alpha hears of nothing but latency. In
    shorter searches Adam teaches the weights (`optimiser`), and alpha's rate is raised."""

    width: int = 32
    aligns: bool = False
    eta: float = 0.5
    steps: int = 12_000
    warmup_steps: int = 400
    lr_weights: float = 3e-4
    lr_alpha: float = 1e-4
    optimiser: Literal["sgd", "adam"] = "sgd"  # of the weights
    momentum: float = 0.9
    seed: int = 0
    bfloat16: bool = False  # the convolutions, while it searches


@dataclass(frozen=True)
class Tick:
    step: int
    train: float  # L_int of the weights' batch
    validation: float | None  # of alpha's batch, after the warm-up
    latency: float  # R(alpha), of undecided operators
    probabilities: dict[str, list[float]]  # softmax(alpha) of every layer
    genotype: Genotype


class Architecture(nn.Module):
    """alpha: one vector for every searched layer."""

    def __init__(self, of: list[Layer]) -> None:
        super().__init__()
        self.places = [x.place for x in of]  # in the order of a genotype; the dictionary sorts its own
        self.alpha = nn.ParameterDict({x.place: nn.Parameter(torch.zeros(len(SPACES[x.part]))) for x in of})

    def probabilities(self) -> dict[str, Tensor]:
        return {place: self.alpha[place].softmax(0) for place in self.places}

    def genotype(self, width: int) -> Genotype:
        """The largest alpha of every layer."""
        chosen: dict[str, list[str]] = {part: [] for part in SPACES}
        for place in self.places:
            part = place.rstrip("0123456789")
            chosen[part].append(SPACES[part][int(self.alpha[place].argmax())])
        return Genotype(tuple(chosen["srsm"]), tuple(chosen["drm"]), width, tuple(chosen["dasm"]))


class Mixture(nn.Module):
    """All candidates of one layer, weighted. alpha belongs to the architecture, not to the network.

    A weighted sum of convolutions is a convolution by the weighted sum of their kernels; so candidates that
    are nothing else cost one call for each dilation, 98 taps instead of 167.
    """

    def __init__(self, part: str, n: int, m: int, probabilities: Callable[[], Tensor]) -> None:
        super().__init__()
        self.candidates = nn.ModuleList(candidate(name, n, m) for name in SPACES[part])
        self.probabilities = probabilities

    def forward(self, *inputs: Tensor) -> Tensor:
        plain = [op for op in self.candidates if isinstance(op, nn.Conv2d)]
        if len(plain) == len(self.candidates):
            return self._joined(plain, inputs[0])
        mixed: Tensor | None = None
        for p, operator in zip(self.probabilities(), self.candidates, strict=True):
            y = p * operator(*inputs)
            mixed = y if mixed is None else mixed + y
        assert mixed is not None
        return mixed

    def _joined(self, convolutions: list[nn.Conv2d], x: Tensor) -> Tensor:
        kernels: dict[int, Tensor] = {}  # by dilation
        biases: list[Tensor] = []
        widest = max(c.kernel_size[0] for c in convolutions)
        for p, c in zip(self.probabilities(), convolutions, strict=True):
            assert c.bias is not None
            rim = (widest - c.kernel_size[0]) // 2
            kernel = p * F.pad(c.weight, (rim, rim, rim, rim))
            dilation = c.dilation[0]
            kernels[dilation] = kernels[dilation] + kernel if dilation in kernels else kernel
            biases.append(p * c.bias)
        bias: Tensor | None = torch.stack(biases).sum(0)
        mixed: Tensor | None = None
        for dilation, kernel in kernels.items():
            y = F.conv2d(x, kernel, bias, padding=dilation * (widest // 2), dilation=dilation)
            mixed, bias = y if mixed is None else mixed + y, None
        assert mixed is not None
        return mixed


def supernet(architecture: Architecture, width: int, aligns: bool = False) -> nn.Module:
    """The general (or the aligning) model with a mixture in every searched place.

    In planes (NCHW), not in channels_last as the networks it leads to: there, without AVX-512, the backward
    pass of large dilated kernels takes a path that is 50 to 100 times slower for a batch of one.
    """

    def make(part: str, index: int, n: int, m: int) -> nn.Module:
        return Mixture(part, n, m, lambda: architecture.alpha[f"{part}{index}"].softmax(0))

    filler = Genotype(("C-3",) * 3, ("RC-3",) * 4, width, ("DeC-3",) * 4 if aligns else ())
    network = build("align" if aligns else "general", genotype=asdict(filler), make=make)
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return network


def search(
    train: Pairs,
    validation: Pairs,
    table: Table,
    settings: Settings,
    device: str = "cpu",
    on_step: Callable[[Tick], None] | None = None,
) -> Genotype:
    """Run the search and return what it chose. `validation` shows other scenes than `train`."""
    torch.manual_seed(settings.seed)
    places = layers(settings.width, settings.aligns)
    latency = Latency(places, table)
    architecture = Architecture(places).to(device)
    network = supernet(architecture, settings.width, settings.aligns).to(device).train()
    weights: torch.optim.Optimizer
    if settings.optimiser == "adam":
        weights = torch.optim.Adam(network.parameters(), settings.lr_weights)
    else:
        weights = torch.optim.SGD(network.parameters(), settings.lr_weights, momentum=settings.momentum)
    alphas = torch.optim.Adam(architecture.parameters(), settings.lr_alpha)

    def error_of(pair: tuple[Tensor, Tensor]) -> Tensor:
        frames, reference = pair
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=settings.bfloat16):
            fused = network(frames.to(device))
        return intensity_loss(fused.float(), reference.to(device))

    for step in range(settings.steps):
        for group in weights.param_groups:
            group["lr"] = settings.lr_weights * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
        loss = error_of(next(train))
        weights.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        weights.step()
        error = None
        if step >= settings.warmup_steps:
            error = error_of(next(validation))
            alphas.zero_grad(set_to_none=True)
            slow = settings.eta * UNDECIDED_S * latency(architecture.probabilities())
            torch.autograd.backward(error + slow)
            alphas.step()
        if on_step:
            with torch.no_grad():
                probabilities = architecture.probabilities()
                cost = float(latency(probabilities))
            on_step(
                Tick(
                    step + 1,
                    float(loss.detach()),
                    None if error is None else float(error.detach()),
                    cost,
                    {place: p.tolist() for place, p in probabilities.items()},
                    architecture.genotype(settings.width),
                )
            )
    return architecture.genotype(settings.width)
