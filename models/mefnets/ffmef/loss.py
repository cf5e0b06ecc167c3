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

from mefnets.colour import rgb_to_ycbcr, to_studio
from mefnets.measures import mef_ssim, q_abf, q_cv, q_w
from mefnets.recipe import Batch, Objective

STEEP, SMOOTH, GLOBAL = 1.25, 1.0, 2.0
THRESHOLD = 0.5
# A step that is saturated along one axis only has g = 0.5 exactly; rounding must not push it out.
TOLERANCE = 1e-4
STUDIO_CHROMA = 224 / 255  # studio range has 224 levels of chroma
PRINTED = 1 / 255  # equation 9 counts chroma in 8-bit levels
Masks = Literal["steep", "raw", "code"]
Q_CV_CEILING = 4000.0  # one hopeless pair must not steer a step


def gradient(y: Tensor, border: Literal["replicate", "reflect"] = "replicate") -> Tensor:
    """g = min(|S_x|, 1) / 2 + min(|S_y|, 1) / 2 with the unnormalised Scharr responses (3, 10, 3)."""
    d = y.new_tensor([[-3.0, 0.0, 3.0], [-10.0, 0.0, 10.0], [-3.0, 0.0, 3.0]])
    kernels = torch.stack((d, d.T))[:, None]  # (2, 1, 3, 3)
    S = F.conv2d(F.pad(y, (1, 1, 1, 1), mode=border), kernels)  # (B, 2, H, W)
    return S.abs().clamp(max=1.0).mean(1, keepdim=True)  # (B, 1, H, W)


def steep_masks(g: Tensor, kind: Masks = "steep") -> Tensor:
    """m_i: 1 near strong gradients of source i, else 0; "raw" (an ablation): the gradient itself.

    "code": the authors' g comes as 8 bits, cut off: an edge along one axis has 127/255 and stays outside.
    """
    if kind == "raw":
        return g
    if kind == "code":
        g = (g * 255).floor() / 255
    wide = F.max_pool2d(g.flatten(0, 1), 3, stride=1, padding=1).view_as(g)
    return (wide >= THRESHOLD - TOLERANCE).to(g.dtype)  # (B, N, 1, H, W)


def saturation_weights(chroma: Tensor, temperature: float = 1.0) -> Tensor:
    """S_i: the softmax over the sources of the softmax of |Cb| + |Cr|, with chroma around 0 in [-1/2, 1/2].

    (B, N, 2, H, W) -> (B, N, 1, H, W). A lower `temperature` prefers the more saturated source more firmly:
    1/255 is chroma counted in 8-bit levels.
    """
    saturation = chroma.abs().sum(2, keepdim=True)
    return ((saturation / temperature).softmax(1)).softmax(1)


def overwritten_weights(chroma: Tensor) -> Tensor:
    """What the authors' code computes for two sources: each softmax takes its second weight after the first
    has replaced its input, so that the pair does not sum to 1 (0.992 for grey)."""
    first, second = chroma.abs().sum(2, keepdim=True).unbind(1)
    for _ in range(2):
        first = first.exp() / (first.exp() + second.exp())
        second = second.exp() / (first.exp() + second.exp())
    return torch.stack((first, second), 1)


class Terms(NamedTuple):
    steep: Tensor
    smooth: Tensor
    overall: Tensor


class GIF(nn.Module):
    """The three terms for sources and their fusion, each with the switch the paper ablates it by.

    With raw masks, L_raw stands for both L_steep and L_smooth. "code" is what the authors' code does where
    the paper says otherwise, or nothing.
    """

    def __init__(
        self,
        masks: Masks = "steep",
        smooth_target: Literal["saturation", "mean", "code"] = "saturation",
        temperature: float = 1.0,
        weights: tuple[float, float, float] = (STEEP, SMOOTH, GLOBAL),
    ) -> None:
        super().__init__()
        self.masks = masks
        self.smooth_target = smooth_target
        self.temperature = temperature
        self.weights = (weights[0], 0.0, weights[2]) if masks == "raw" else weights

    def terms(self, sources: Tensor, chroma: Tensor, fused: Tensor) -> Terms:
        """`sources` (B, N, 1, H, W) luminance, `chroma` (B, N, 2, H, W) around 0, `fused` (B, 1, H, W)."""
        with torch.no_grad():
            border: Literal["replicate", "reflect"] = "reflect" if self.masks == "code" else "replicate"
            g = gradient(sources.flatten(0, 1), border).view_as(sources)  # (B, N, 1, H, W)
            m = steep_masks(g, self.masks)
            m_s = 1 - m.amax(1)  # (B, 1, H, W)
            if self.smooth_target == "saturation":
                I_w = (saturation_weights(chroma, self.temperature) * sources).sum(1)
            elif self.smooth_target == "code":
                I_w = (overwritten_weights(chroma) * sources).sum(1)
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

    `studio` and `clamped` are the authors': the loss sees luminance from 16 to 235, cut to [0, 1].
    """

    def __init__(
        self,
        gif: GIF | None = None,
        tone: float = 0.0,
        measures: float = 0.0,
        border: float = 1.0,
        studio: bool = False,
        clamped: bool = False,
    ) -> None:
        super().__init__()
        self.studio, self.clamped = studio, clamped
        self.gif = gif or GIF()
        self.tone, self.measures, self.border = tone, measures, border

    def asks(self) -> tuple[str, ...]:
        tone = ("Q_CV",) if self.tone else ()
        return (*(("MEF_SSIM", "Q_ABF", "Q_W") if self.measures else ()), *tone)

    def forward(self, network: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
        ycbcr = rgb_to_ycbcr(batch.frames)  # (B, N, 3, H, W)
        sources, chroma = ycbcr[:, :, :1], ycbcr[:, :, 1:] - 0.5
        fused = network(sources)  # (B, 1, H, W)
        seen, result = (to_studio(sources), to_studio(fused)) if self.studio else (sources, fused)
        if self.studio:
            chroma = chroma * STUDIO_CHROMA
        terms = self.gif.terms(seen, chroma, result.clamp(0, 1) if self.clamped else result)
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


# ---- losses that the paper compares GIF with -------------------------------------------------------------


class StructureObjective(Objective):
    """1 - MEF-SSIM of luminance, and nothing else."""

    def asks(self) -> tuple[str, ...]:
        return ("MEF_SSIM",)

    def forward(self, network: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
        sources = rgb_to_ycbcr(batch.frames)[:, :, :1]
        loss = (1 - mef_ssim(sources, network(sources))).mean()
        return loss, {"structure": float(loss.detach())}


class ProportionalObjective(Objective):
    """PMGI's proportional maintenance of gradient and intensity: mean squares of both, to both sources.

    For exposures both sources count alike. How much the gradient counts beside the intensity is neither in
    FFMEF's paper nor in its code; `gradient_weight` is ours.
    """

    def __init__(self, gradient_weight: float = 10.0) -> None:
        super().__init__()
        self.gradient_weight = gradient_weight

    def forward(self, network: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
        sources = rgb_to_ycbcr(batch.frames)[:, :, :1]
        difference = (network(sources)[:, None] - sources).flatten(0, 1)  # (B * N, 1, H, W)
        across = difference[..., :, 1:] - difference[..., :, :-1]
        down = difference[..., 1:, :] - difference[..., :-1, :]
        intensity = difference.square().mean()
        slope = across.square().mean() + down.square().mean()
        loss = intensity + self.gradient_weight * slope
        return loss, {"intensity": float(intensity.detach()), "slope": float(slope.detach())}
