"""MGDN's losses: L1 to the reference picture, SSIM beside it, and masked mutual information.

Masked MI asks that the filtered streams of a stage say different things where their structures differ. The
paper names but does not define its estimate; ours is the exact normalised mutual information of soft codes:
each stream's masked map becomes, cell by cell, a distribution over 64 bins, and the mean outer product of
both streams' codes is their joint distribution. The estimator is trained to find mutual information (as a
critic), the network to leave less of it.

Ours, where their weights are set: MEF-SSIM against the frames, and the cast against the reference. The
reference tells light and colour, the frames tell the detail.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.measures import cast, mef_ssim_by_plane, ssim
from mefnets.mgdn.light import mu_law
from mefnets.mgdn.network import TASKS, Task
from mefnets.recipe import Batch, Objective

SSIM_WEIGHT = 0.2
MI_WEIGHT = 0.02
BINS = 64
SHARPNESS = 3.0  # of the soft codes
CELLS = 4  # each map is coded in CELLS x CELLS cells


def deghosting_loss(fused: Tensor, target: Tensor) -> Tensor:
    """L1 after mu-law, linear light in."""
    return F.l1_loss(mu_law(fused), mu_law(target))


def normalised_mutual_information(v1: Tensor, v2: Tensor) -> Tensor:
    """2 (1 - H(V1, V2) / (H(V1) + H(V2))) of codes (M, bins) that sum to 1: 0 independent, 1 the same."""
    joint = v1.T @ v2 / v1.shape[0]  # (bins, bins)
    both = _entropy(joint)
    single = _entropy(joint.sum(1)) + _entropy(joint.sum(0))
    return 2 * (1 - both / single.clamp_min(1e-6))


def _entropy(p: Tensor) -> Tensor:
    total: Tensor = torch.special.xlogy(p, p.clamp_min(1e-12)).sum()
    return -total


class MaskedMI(nn.Module):
    """MaskMI(C_1, C_2) of two feature maps of one stage."""

    def __init__(self, C: int, bins: int = BINS) -> None:
        super().__init__()
        self.squeeze = nn.ModuleList(nn.Conv2d(C, 1, 1) for _ in range(2))
        self.mask = nn.Sequential(
            nn.Conv2d(4, 8, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 3, padding=1), nn.Sigmoid()
        )
        self.code = nn.Sequential(
            nn.Conv2d(1, 16, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(16, 32, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.AdaptiveAvgPool2d(CELLS),
            nn.Conv2d(32, bins, 1),
        )

    def forward(self, c1: Tensor, c2: Tensor) -> Tensor:  # (B, C, H, W) each -> a scalar in [0, 1]
        s = [squeeze(c) for squeeze, c in zip(self.squeeze, (c1, c2), strict=True)]  # (B, 1, H, W)
        gradients = torch.cat([g for one in s for g in _sobel(one)], 1)  # (B, 4, H, W)
        gm = self.mask(gradients)  # 1 where the structures agree
        codes = [self.code(one * (1 - gm)).flatten(2).mT.flatten(0, 1) for one in s]  # (B * cells, bins)
        # Standardised over the cells: near-uniform codes would be a saddle without any gradient.
        v1, v2 = ((SHARPNESS * _standard(code)).softmax(1) for code in codes)
        return normalised_mutual_information(v1, v2)


def _standard(code: Tensor) -> Tensor:  # (M, bins), M > 1
    centred = code - code.mean(0)
    return centred / (centred.square().mean(0) + 1e-6).sqrt()


def _sobel(x: Tensor) -> tuple[Tensor, Tensor]:
    kernel = x.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]).view(1, 1, 3, 3) / 8
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, kernel), F.conv2d(padded, kernel.mT)


class MGDNObjective(Objective):
    """L = L1 + 0.2 (1 - SSIM) + lambda * mean over stages of MaskMI. Needs a target.

    `task`: whose widths, stages and light the estimator and the L1 are for; deghosting compares linear light
    after mu-law. `mi_over="sum"` adds the stages up, as the paper writes it.
    """

    def __init__(
        self,
        task: Task = "exposure",
        mi_weight: float = MI_WEIGHT,
        ssim_weight: float = SSIM_WEIGHT,
        fidelity_weight: float = 0.0,
        colour_weight: float = 0.0,
        mi_over: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__()
        C, stages = TASKS[task]["C"], TASKS[task]["stages"]
        self.absolute = deghosting_loss if TASKS[task]["inputs"] == (6,) else F.l1_loss
        self.mi_weight, self.ssim_weight, self.mi_over = mi_weight, ssim_weight, mi_over
        self.fidelity_weight, self.colour_weight = fidelity_weight, colour_weight
        self.masked_mi = nn.ModuleList(MaskedMI(C) for _ in range(stages if mi_weight else 0))
        self.seen: list[list[Tensor]] = []  # the last step's features, for the critic

    def asks(self) -> tuple[str, ...]:
        return ("MEF_SSIM",) if self.fidelity_weight else ()

    def mutual_information(self, kept: list[list[Tensor]]) -> Tensor:
        """Over the stages; with a reference stream, of the reference against either side."""
        values = []
        for estimate, o in zip(self.masked_mi, kept, strict=True):
            middle = o[len(o) // 2]
            sides = [estimate(one, middle) for one in o if one is not middle]
            values.append(torch.stack(sides).mean() if self.mi_over == "mean" else torch.stack(sides).sum())
        found = torch.stack(values)
        return found.mean() if self.mi_over == "mean" else found.sum()

    def forward(self, network: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
        if batch.target is None:
            raise ValueError("MGDN learns from reference pictures: set Data.target.")
        fused = network(batch.frames)
        absolute = self.absolute(fused, batch.target)
        loss, terms = absolute, {"l1": absolute.item()}
        if self.ssim_weight:
            structure = 1 - ssim(fused, batch.target).mean()
            loss = loss + self.ssim_weight * structure
            terms["ssim"] = structure.item()
        if self.fidelity_weight:
            fidelity = 1 - mef_ssim_by_plane(batch.frames, fused).mean()
            loss = loss + self.fidelity_weight * fidelity
            terms["fidelity"] = fidelity.item()
        if self.colour_weight:
            colour = cast(fused, batch.target).mean()
            loss = loss + self.colour_weight * colour
            terms["cast"] = colour.item()
        kept = [[o.float() for o in stage] for stage in getattr(network, "kept", [])]
        if self.mi_weight and kept:
            shared = self.mutual_information(kept)
            loss = loss + self.mi_weight * shared
            terms["mi"] = shared.item()
            self.seen = [[o.detach() for o in stage] for stage in kept]
        return loss, terms

    def critic_loss(self, network: nn.Module, batch: Batch) -> Tensor | None:
        """The estimator wants to find mutual information; it learns from the last step's features."""
        if not self.seen:
            return None
        return -self.mutual_information(self.seen)
