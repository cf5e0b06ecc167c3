"""CRMEF: relight both exposures (SRSM), align them if asked (DASM), then replete detail (DRM).

In: (B, 2, 3, H, W) RGB in [0, 1], under-exposed first. Out: (B, 3, H, W), not clamped. Every searched layer
comes from a `Genotype`; `make` builds it, so that the search can put its mixtures in the same places.

`variant`: "general" and "fast" divide the sum of the relit pictures by an illumination map; "align" follows
the paper's order for misaligned pairs; "align-code" is the form that the authors' test script runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.crmef import genotype as genotypes
from mefnets.crmef import operators
from mefnets.crmef.align import DASM, Pyramid, lr
from mefnets.crmef.genotype import Genotype
from mefnets.crmef.operators import Make, activate, conv
from mefnets.crmef.strips import in_strips

FLOOR = 1e-2  # the authors add 1e-5 to L; dark pixels then explode, and half floats cannot hold it
Padding = Literal["mirror", "zeros"]
Start = Literal["soft", "default"]
Alignment = Literal["after", "before", "none"]

RELIGHT = 4.0  # untrained, an exposure comes out of its two relighting modules at a quarter


class SRSM(nn.Module):
    """Scene relighting: the picture times a map in (0, 1) that has three channels."""

    def __init__(
        self, make: Make, unused: bool = False, module: int = 0, padding: Padding = "mirror"
    ) -> None:
        """`module`: which of the four this is, in the order of `genotype.Genotype.relighting`."""
        super().__init__()
        self.counts_zeros = padding == "zeros"
        self.stem = conv(3, 64)
        self.m0, self.m1, self.m2 = (
            make("srsm", 3 * module + i, 128 if i == 1 else 64, 64) for i in range(3)
        )
        self.head = conv(64, 3)
        self.act = nn.PReLU()  # one scalar for the whole module
        if unused:
            self.unused = conv(64, 64, 1)  # the authors compute it and do not use it

    def forward(self, x: Tensor) -> Tensor:
        t = activate(self.stem(x), self.act)  # (B, 64, H, W)
        t = activate(activate(self.m0(t), self.act), self.act)
        # The authors count the zeros around the picture into the mean, which darkens the frame.
        mean = F.avg_pool2d(t, 3, 2, 1, count_include_pad=self.counts_zeros)
        t = torch.cat((F.max_pool2d(t, 3, 2, 1), mean), 1)  # (B, 128, H/2, W/2)
        z = activate(self.m1(t), self.act)  # (B, 64, H/2, W/2)
        z = z + activate(self.m2(z), self.act)
        t = F.interpolate(z, size=x.shape[-2:], mode="bilinear", align_corners=False)
        relit: Tensor = torch.sigmoid(self.head(t)) * x
        return relit  # (B, 3, H, W)


class Stack(nn.Module):
    """The residual stack of detail repletion: c -> width channels, four searched layers, batch norms."""

    def __init__(self, make: Make, c: int, width: int) -> None:
        super().__init__()
        self.stem = conv(c, width)
        self.f = nn.ModuleList(make("drm", i, width, width) for i in range(4))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(5))
        self.acts = nn.ModuleList(nn.PReLU() for _ in range(5))

    def forward(self, x: Tensor) -> Tensor:
        def stage(i: int, y: Tensor, residual: Tensor | None = None) -> Tensor:
            y = self.norms[i](y)
            if residual is not None:
                y = y + residual if y.requires_grad else y.add_(residual)
            return activate(y, self.acts[i])  # type: ignore[arg-type]

        r0 = stage(0, self.stem(x))  # (B, width, H, W)
        r1 = stage(1, self.f[0](r0))
        del r0
        r1 = stage(2, self.f[1](r1), r1)
        r2 = stage(3, self.f[2](r1))
        del r1
        return stage(4, self.f[3](r2), r2)


class DRM(nn.Module):
    """Detail repletion: y = s / (L + floor), L an illumination map in (0, 1) found by the stack.

    `beside`: the stack reads both exposures side by side (6 channels), and s is their mean.
    """

    def __init__(
        self, make: Make, width: int, floor: float = FLOOR, unused: bool = False, beside: bool = False
    ) -> None:
        super().__init__()
        self.floor, self.beside = floor, beside
        self.stem = conv(6 if beside else 3, width // 2)
        self.stack = Stack(make, width // 2, width)
        self.head = conv(width, 3, 1)
        if unused:
            self.unused = nn.BatchNorm2d(3)  # six parameters that complete the published count

    def forward(self, s: Tensor) -> Tensor:
        L = torch.sigmoid(self.head(self.stack(self.stem(s))))  # (B, 3, H, W)
        if self.beside:
            s = (s[:, :3] + s[:, 3:]) / 2
        return s / (L + self.floor)


class CRMEF(nn.Module):
    """The general and the fast model: the two relit exposures are summed before any detail is sought.

    Without relighting (the paper's ablation) they are not summed but stand side by side.
    """

    def __init__(
        self,
        genotype: Genotype,
        make: Make,
        floor: float,
        unused: bool,
        relightings: int,
        padding: Padding,
    ) -> None:
        super().__init__()
        self.under = cascade(make, unused, relightings, 0, padding)
        self.over = cascade(make, unused, relightings, 2, padding)
        self.beside = relightings == 0
        self.drm = DRM(make, genotype.width, floor, unused, self.beside)
        self.drm_radius = 2 + sum(genotypes.radius(name) for name in genotype.drm)

    def forward(self, frames: Tensor) -> Tensor:
        if self.beside:
            s = frames.flatten(1, 2)  # (B, 6, H, W)
        else:
            s = self.under(frames[:, 0]) + self.over(frames[:, 1])  # (B, 3, H, W)
        if s.requires_grad or self.training:
            return self.drm(s)  # type: ignore[no-any-return]
        return in_strips(self.drm, s, radius=self.drm_radius)


class Aligned(nn.Module):
    """The paper's order for misaligned pairs: relight, align features, replete, all in feature space.

    `alignment`: "before" (an ablation) aligns the exposures as they are, brings the aligned features back to
    a picture and relights that; "none" (an ablation) has the same features and sum without any aligning.
    """

    def __init__(
        self,
        genotype: Genotype,
        make: Make,
        unused: bool,
        anchored: bool,
        alignment: Alignment,
        padding: Padding,
        bounded: bool,
    ) -> None:
        super().__init__()
        self.anchored = anchored  # ours: the head corrects the relit reference instead of starting at grey
        self.alignment = alignment
        self.under = cascade(make, unused, 2, 0, padding)
        self.over = cascade(make, unused, 2, 2, padding)
        self.lift = conv(3, 64, 1)
        self.pyramid = Pyramid(64)
        self.dasm = DASM(make, 64, bounded) if alignment != "none" else None
        self.lower = conv(64, 3) if alignment == "before" else None
        self.stack = Stack(make, 64, 64)
        self.head = conv(64, 3, 1)
        if unused:
            self.unused = nn.BatchNorm2d(3)
        self.stack_radius = 1 + sum(genotypes.radius(name) for name in genotype.drm)

    def merged(self, under: Tensor, over: Tensor) -> Tensor:  # (B, 64, H, W), the paper's F
        neighbour, reference = (self.pyramid(lr(self.lift(x))) for x in (under, over))
        n1, r1 = neighbour[0], reference[0]
        aligned: Tensor = n1 if self.dasm is None else self.dasm(neighbour, reference)
        return aligned + r1 if aligned.requires_grad else aligned.add_(r1)

    def forward(self, frames: Tensor) -> Tensor:
        under, over = frames[:, 0], frames[:, 1]
        if self.lower is not None:
            assert self.dasm is not None
            neighbour, reference = (self.pyramid(lr(self.lift(x))) for x in (under, over))
            under = torch.sigmoid(self.lower(self.dasm(neighbour, reference)))
            under, over = self.under(under), self.over(over)
            merged = lr(self.lift(under)) + lr(self.lift(over))
        else:
            under, over = self.under(under), self.over(over)
            merged = self.merged(under, over)

        def finish(x: Tensor) -> Tensor:
            detail: Tensor = self.head(x * self.stack(x))
            return detail

        if merged.requires_grad or self.training:
            detail = finish(merged)
        else:
            detail = in_strips(finish, merged, radius=self.stack_radius)
        if self.anchored:
            # The factor undoes what two relighting maps of one half take away.
            detail = detail + torch.logit((RELIGHT * over).clamp(0.02, 0.98))
        return torch.sigmoid(detail)  # (B, 3, H, W)


def cascade(make: Make, unused: bool, relightings: int, first: int, padding: Padding) -> nn.Sequential:
    """One exposure's relighting. `first`: its first module in the genotype; a third follows the second's."""
    return nn.Sequential(*(SRSM(make, unused, first + min(i, 1), padding) for i in range(relightings)))


def soften(head: nn.Conv2d) -> None:
    """Begin with a nearly constant map: the untrained general model is then a plain mean of the exposures."""
    assert head.bias is not None
    with torch.no_grad():
        head.weight.mul_(0.1)
        head.bias.zero_()


def fixed(genotype: Genotype, bounded: bool = True) -> Make:
    """Layers exactly as the genotype names them."""

    def make(part: str, index: int, n: int, m: int) -> nn.Module:
        names: tuple[str, ...] = getattr(genotype, part)
        name = names[index % len(names)]  # three operators of relighting serve all four modules
        if part == "dasm":
            from mefnets.crmef.deform import DeC

            return DeC(n, m, genotypes.parse(name)[1], bounded)
        return operators.make(name, n, m)

    return make


def build(
    variant: str = "general",
    genotype: str | Path | Mapping[str, object] | None = None,
    unused: bool = False,
    floor: float = FLOOR,
    anchored: bool = False,
    relightings: int = 2,
    alignment: Alignment = "after",
    padding: Padding = "mirror",
    start: Start = "soft",
    bounded: bool = True,
    make: Make | None = None,
) -> nn.Module:
    """`genotype`: a JSON file or its content; the variant's own by default. `unused`: with the layers that
    the authors' models carry without using them, so that the published parameter counts hold. `anchored`, for
    "align": the result starts from the relit reference exposure. `relightings`, for "general" and "fast": how
    often each exposure is relit; without any (the paper's ablation) both stand side by side instead of being
    summed. `alignment`, for "align": before or after relighting, or none.

    The authors' choices where ours differ: `padding="zeros"` counts the zeros around a picture into pooled
    means, `start="default"` keeps PyTorch's initial weights, `bounded=False` lets offsets run."""
    if variant not in ("general", "fast", "align", "align-code"):
        raise ValueError(f"CRMEF has no variant {variant!r}; it has general, fast, align and align-code.")
    default = "align" if variant.startswith("align") else variant
    if isinstance(genotype, Mapping):
        chosen = genotypes.from_table(genotype)
    else:
        chosen = genotypes.read(genotype or default)
    if variant.startswith("align") and not chosen.dasm:
        raise ValueError("This genotype has no dasm operators, which the variant needs.")
    make = make or fixed(chosen, bounded)
    network: nn.Module
    if variant == "align":
        network = Aligned(chosen, make, unused, anchored, alignment, padding, bounded)
    elif variant == "align-code":
        from mefnets.crmef.align_code import AlignedAsShipped

        network = AlignedAsShipped(make, unused, bounded)
    else:
        network = CRMEF(chosen, make, floor, unused, relightings, padding)
    if start == "soft":
        for module in network.modules():
            if isinstance(module, SRSM | DRM | Aligned):
                soften(module.head)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
