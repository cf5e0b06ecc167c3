"""The gradient-driven image fidelity loss (GIF), on luminance in [0, 1]; no reference picture is needed.

Steep zones follow the source that owns them, smooth zones a mean of the sources weighted by saturation, and
the gradient of the result follows the strongest source gradient everywhere:

    L = 1.25 L_steep + L_smooth + 2 L_global

Written for N sources; with two it is the paper's loss.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.colour import rgb_to_ycbcr
from mefnets.measures import mef_ssim, q_abf, q_cv, q_w
from mefnets.recipe import Batch, Objective

STEEP, SMOOTH, GLOBAL = 1.25, 1.0, 2.0
THRESHOLD = 0.5
# A step that is saturated along one axis only has g = 0.5 exactly; rounding must not push it out.
TOLERANCE = 1e-4
Q_CV_CEILING = 4000.0  # one hopeless pair must not steer a step


def gradient(y: Tensor) -> Tensor:
    """g = min(|S_x|, 1) / 2 + min(|S_y|, 1) / 2 with the unnormalised Scharr responses (3, 10, 3)."""
    d = y.new_tensor([[-3.0, 0.0, 3.0], [-10.0, 0.0, 10.0], [-3.0, 0.0, 3.0]])
    kernels = torch.stack((d, d.T))[:, None]  # (2, 1, 3, 3)
    S = F.conv2d(F.pad(y, (1, 1, 1, 1), mode="replicate"), kernels)  # (B, 2, H, W)
    return S.abs().clamp(max=1.0).mean(1, keepdim=True)  # (B, 1, H, W)


def steep_masks(g: Tensor, kind: Literal["steep", "raw"] = "steep") -> Tensor:
    """m_i: 1 near strong gradients of source i, else 0; "raw" (an ablation): the gradient itself."""
    if kind == "raw":
        return g
    wide = F.max_pool2d(g.flatten(0, 1), 3, stride=1, padding=1).view_as(g)
    return (wide >= THRESHOLD - TOLERANCE).to(g.dtype)  # (B, N, 1, H, W)


def saturation_weights(chroma: Tensor, temperature: float = 1.0) -> Tensor:
    """S_i: the softmax over the sources of the softmax of |Cb| + |Cr|, with chroma around 0 in [-1/2, 1/2].

    (B, N, 2, H, W) -> (B, N, 1, H, W). A lower `temperature` prefers the more saturated source more firmly:
    1/255 is chroma counted in 8-bit levels.
    """
    saturation = chroma.abs().sum(2, keepdim=True)
    return ((saturation / temperature).softmax(1)).softmax(1)


class Terms(NamedTuple):
    steep: Tensor
    smooth: Tensor
    overall: Tensor


class GIF(nn.Module):
    """The three terms for sources and their fusion, each with the switch the paper ablates it by."""

    def __init__(
        self,
        masks: Literal["steep", "raw"] = "steep",
        smooth_target: Literal["saturation", "mean"] = "saturation",
        temperature: float = 1.0,
        weights: tuple[float, float, float] = (STEEP, SMOOTH, GLOBAL),
    ) -> None:
        super().__init__()
        self.masks = masks
        self.smooth_target = smooth_target
        self.temperature = temperature
        self.weights = weights

    def terms(self, sources: Tensor, chroma: Tensor, fused: Tensor) -> Terms:
        """`sources` (B, N, 1, H, W) luminance, `chroma` (B, N, 2, H, W) around 0, `fused` (B, 1, H, W)."""
        with torch.no_grad():
            g = gradient(sources.flatten(0, 1)).view_as(sources)  # (B, N, 1, H, W)
            m = steep_masks(g, self.masks)
            m_s = 1 - m.amax(1)  # (B, 1, H, W)
            if self.smooth_target == "saturation":
                I_w = (saturation_weights(chroma, self.temperature) * sources).sum(1)
            else:
                I_w = sources.mean(1)
        steep = (m * (sources - fused[:, None]).abs()).sum(1).mean()
        smooth = (m_s * (I_w - fused).abs()).mean()
        overall = (gradient(fused) - g.amax(1)).abs().mean()
        return Terms(steep, smooth, overall)

    def forward(self, sources: Tensor, chroma: Tensor, fused: Tensor) -> Tensor:
        terms = self.terms(sources, chroma, fused)
        return torch.stack([w * t for w, t in zip(self.weights, terms, strict=True)]).sum()


class GIFObjective(Objective):
    """GIF for a luminance network. The result is not clamped here: a clamped pixel has no gradient, so it
    would never come back into range, while the terms themselves pull it there.

    `tone` (ours) is the weight of Q_CV beside it: GIF leaves smooth zones near the mean of the sources,
    darker and flatter than the eye would have them, and none of its terms feels that. `measures` (ours) is
    the weight of MEF-SSIM, Q_ABF and Q_W together, which Q_CV alone would be bought with. `border` is the
    share at which Q_CV counts the outermost pixels.
    """

    def __init__(
        self, gif: GIF | None = None, tone: float = 0.0, measures: float = 0.0, border: float = 1.0
    ) -> None:
        super().__init__()
        self.gif = gif or GIF()
        self.tone, self.measures, self.border = tone, measures, border

    def forward(self, network: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
        ycbcr = rgb_to_ycbcr(batch.frames)  # (B, N, 3, H, W)
        sources, chroma = ycbcr[:, :, :1], ycbcr[:, :, 1:] - 0.5
        fused = network(sources)  # (B, 1, H, W)
        terms = self.gif.terms(sources, chroma, fused)
        loss = torch.stack([w * t for w, t in zip(self.gif.weights, terms, strict=True)]).sum()
        words = {name: float(value.detach()) for name, value in terms._asdict().items()}
        if self.tone:
            q = q_cv(sources, fused, border=self.border).clamp_max(Q_CV_CEILING).mean()
            loss = loss + self.tone * q
            words["q_cv"] = float(q.detach())
        if self.measures:
            kept = 3 * mef_ssim(sources, fused) + q_abf(sources, fused) + 2 * q_w(sources, fused)
            loss = loss + self.measures * (6 - kept).mean()
            words["kept"] = float(kept.detach().mean())
        return loss, words
