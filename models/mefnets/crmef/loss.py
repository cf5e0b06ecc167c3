"""CRMEF's supervised loss: L = L_int + 0.75 L_gra + 0.05 L_dis, with a Wasserstein patch critic for L_dis.

Against the reference picture, RGB in [0, 1]. Three terms may be added: SSIM, which the authors' code has and
their paper does not, and ours, MEF-SSIM against the frames themselves and the cast against the reference: a
reference tells light and colour, the frames tell the detail. The result is compared unclamped, so that what
left the range comes back.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.measures import cast, mef_ssim_by_plane, sobel, ssim
from mefnets.recipe import Batch, Objective

GRADIENT, DISCRIMINATIVE = 0.75, 0.05
PENALTY = 10.0  # the paper gives no value; this is the usual one


def intensity_loss(y: Tensor, reference: Tensor) -> Tensor:
    """L_int: the mean absolute error."""
    return F.l1_loss(y, reference)


def gradient_loss(y: Tensor, reference: Tensor) -> Tensor:
    """L_gra: the squared length of the difference of the Sobel gradients, per pixel and channel."""
    across, down = sobel(y - reference)  # both gradients are linear, so their difference is one gradient
    return (across.square() + down.square()).mean()


class PatchCritic(nn.Module):
    """PatchGAN: a score for every overlapping patch. Instance norms, since the gradient penalty looks at one
    picture at a time and a batch norm would mix them."""

    def __init__(self) -> None:
        super().__init__()

        def block(n: int, m: int, stride: int) -> list[nn.Module]:
            return [nn.Conv2d(n, m, 4, stride, 1), nn.InstanceNorm2d(m, affine=True), nn.LeakyReLU(0.2)]

        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 4, 2, 1),
            nn.LeakyReLU(0.2),
            *block(64, 128, 2),
            *block(128, 256, 2),
            *block(256, 512, 1),
            nn.Conv2d(512, 1, 4, 1, 1),
        )

    def forward(self, picture: Tensor) -> Tensor:  # (B, 3, H, W) -> (B,), the mean over the patches
        scores: Tensor = self.layers(picture)  # (B, 1, about H/8, about W/8)
        return scores.flatten(1).mean(1)


def critic_loss(critic: nn.Module, y: Tensor, reference: Tensor, penalty: float = PENALTY) -> Tensor:
    """E D(y) - E D(reference) + penalty * E (||grad D(y)||_2 - 1)^2."""
    y = y.detach().requires_grad_()
    score = critic(y)
    (slope,) = torch.autograd.grad(score.sum(), y, create_graph=True)
    excess = slope.flatten(1).norm(dim=1) - 1
    loss: Tensor = score.mean() - critic(reference).mean() + penalty * excess.square().mean()
    return loss


class CRMEFObjective(Objective):
    def __init__(
        self,
        gradient: float = GRADIENT,
        discriminative: float = DISCRIMINATIVE,
        structure: float = 0.0,
        fidelity: float = 0.0,
        colour: float = 0.0,
    ) -> None:
        """Weights of L_gra, L_dis, 1 - SSIM, 1 - MEF-SSIM and the cast beside L_int. No weight, no critic."""
        super().__init__()
        self.gradient, self.discriminative = gradient, discriminative
        self.structure, self.fidelity, self.colour = structure, fidelity, colour
        self.critic = PatchCritic() if discriminative else None

    def asks(self) -> tuple[str, ...]:
        return ("MEF_SSIM",) if self.fidelity else ()

    def forward(self, network: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
        reference = _reference(batch)
        y = network(batch.frames)  # (B, 3, H, W)
        terms = {"intensity": intensity_loss(y, reference)}
        loss = terms["intensity"]
        if self.gradient:
            terms["gradient"] = gradient_loss(y, reference)
            loss = loss + self.gradient * terms["gradient"]
        if self.structure:
            terms["structure"] = 1 - ssim(y, reference).mean()
            loss = loss + self.structure * terms["structure"]
        if self.fidelity:
            terms["fidelity"] = 1 - mef_ssim_by_plane(batch.frames, y).mean()
            loss = loss + self.fidelity * terms["fidelity"]
        if self.colour:
            terms["cast"] = cast(y, reference).mean()
            loss = loss + self.colour * terms["cast"]
        if self.critic is not None:
            terms["critic"] = -self.critic(y).mean()
            loss = loss + self.discriminative * terms["critic"]
        return loss, {name: float(value.detach()) for name, value in terms.items()}

    def critic_loss(self, network: nn.Module, batch: Batch) -> Tensor | None:
        if self.critic is None:
            return None
        with torch.no_grad():
            y = network(batch.frames)
        return critic_loss(self.critic, y, _reference(batch))


def _reference(batch: Batch) -> Tensor:
    if batch.target is None:
        raise ValueError("CRMEF is supervised: its recipe must ask the simulator for targets.")
    return batch.target
