"""LCNDR's loss, L = 0.3 L_SSIM + 5 L_MSE, and what shows in time that training has collapsed.

Pictures are luminance `(B, 1, H, W)` in [0, 1]. The paper's mean square stands in a root with a factor that
makes it vanish; the plain mean square is meant. It is taken on [0, 1], not on the network's inner [-1, 1]:
there it would weigh four times as much and drown the structure term (README.md). Ours, where it has a weight:
MEF-SSIM (`fidelity`), which asks each spot of the result for the better of both pictures, not for their mean.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.colour import luminance
from mefnets.measures import mef_ssim, ssim
from mefnets.recipe import Batch, Objective

SSIM_WEIGHT = 0.3
MSE_WEIGHT = 5.0


def ssim_loss(under: Tensor, over: Tensor, fused: Tensor) -> Tensor:
    """L_SSIM = 0.5 (1 - SSIM(I_O, I_F)) + 0.5 (1 - SSIM(I_U, I_F)), Gaussian window 11, sigma 1.5."""
    return 1 - 0.5 * (ssim(over, fused) + ssim(under, fused)).mean()


def mse_loss(under: Tensor, over: Tensor, fused: Tensor) -> Tensor:
    """L_MSE = MSE(I_O, I_F) + MSE(I_U, I_F)."""
    return F.mse_loss(fused, over) + F.mse_loss(fused, under)


@torch.no_grad()
def collapse_residual(under: Tensor, over: Tensor, fused: Tensor) -> Tensor:
    """RMS distance, in grey levels of 255, of each result from the best a * over + b * under + c. `(B,)`."""
    targets = fused.flatten(1).double().unsqueeze(2)  # (B, n, 1)
    columns = [over.flatten(1), under.flatten(1), torch.ones_like(over.flatten(1))]
    design = torch.stack([column.double() for column in columns], 2)  # (B, n, 3)
    normal = design.mT @ design + 1e-9 * torch.eye(3, dtype=torch.float64, device=design.device)
    fit: Tensor = torch.linalg.solve(normal, design.mT @ targets)
    return (design @ fit - targets).square().mean((1, 2)).sqrt().mul(255).float()


class LCNDRObjective(Objective):
    """The paper's loss on luminance, with the statistics of both maps in the log."""

    def __init__(
        self, ssim_weight: float = SSIM_WEIGHT, mse_weight: float = MSE_WEIGHT, fidelity_weight: float = 0.0
    ) -> None:
        super().__init__()
        self.ssim_weight, self.mse_weight = ssim_weight, mse_weight
        self.fidelity_weight = fidelity_weight

    def asks(self) -> tuple[str, ...]:
        return ("MEF_SSIM",) if self.fidelity_weight else ()

    def forward(self, network: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
        pair = luminance(batch.frames[:, [0, -1]]).unsqueeze(2)  # (B, 2, 1, H, W)
        under, over = pair.unbind(1)
        fused = network(pair)
        structure, square = ssim_loss(under, over, fused), mse_loss(under, over, fused)
        terms = {
            "ssim": structure.item(),
            "mse": square.item(),
            "residual_levels": collapse_residual(under, over, fused).mean().item(),
        }
        for name, value in getattr(network, "last_maps", {}).items():
            terms[f"{name}_mean"] = value.mean().item()
            terms[f"{name}_spread"] = value.std((1, 2, 3)).mean().item()
        loss = self.ssim_weight * structure + self.mse_weight * square
        if self.fidelity_weight:
            fidelity = 1 - mef_ssim(pair, fused).mean()
            loss = loss + self.fidelity_weight * fidelity
            terms["fidelity"] = fidelity.item()
        return loss, terms
