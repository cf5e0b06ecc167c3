"""Measures of fusion quality that are differentiable, hence losses as well as metrics.

In: pictures `(B, C, H, W)` or brackets `(B, N, C, H, W)`, C 1 or 3, float in [0, 1], display-referred.
Out: one value a picture, `(B,)`, the mean over the channels; `.mean()` makes it a scalar. MEF-SSIM, Q_ABF
and Q_W grow with quality (loss: 1 - value); Q_CV shrinks and is on the scale of 8-bit values (loss:
value / 400, say).

Sources: SSIM (Wang 2004), MEF-SSIM (Ma 2015, here in closed form: no patch is ever cut out), Q_ABF (Xydeas
and Petrovic 2000), Q_W (Piella 2003, edge dependent), Q_CV (Chen and Varshney 2007). In float64 and on
pictures that were 8-bit, `ssim` and `mef_ssim` equal the exact metrics; the other three are smooth relatives
of them: roots and quotients are guarded, since flat crops would otherwise divide by zero or give endless
gradients. They stand here beside the exact ones (`mefcli.evaluation.metrics`) because a loss needs gradients
and networks know no tool; tests/evaluation/test_two_definitions.py holds both equal.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

MEF_SSIM_POWERS = (0.0448, 0.2856, 0.3001)  # of the three scales, finest first; normalised to sum 1
Sides = Literal["valid", "same"]


def gray(x: Tensor) -> Tensor:
    """Luma of `(..., 3, H, W)` as `(..., 1, H, W)`; one channel passes unchanged. Not rounded."""
    if x.shape[-3] == 1:
        return x
    weights = x.new_tensor([0.298936, 0.587043, 0.114021]).view(3, 1, 1)
    return (x * weights).sum(-3, keepdim=True)


# ---- filters ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def gaussian_taps(size: int, sigma: float) -> tuple[float, ...]:
    """One-dimensional Gaussian of `size` taps (odd) that sum to 1."""
    taps = [math.exp(-((i - (size - 1) / 2) ** 2) / (2 * sigma**2)) for i in range(size)]
    return tuple(tap / sum(taps) for tap in taps)


def gaussian_filter(x: Tensor, size: int = 11, sigma: float = 1.5, sides: Sides = "valid") -> Tensor:
    """Separable Gaussian over the last two axes; "valid" keeps whole windows, "same" pads with zeros.

    Shifted sums, not a convolution: with one channel a plane that is ten times faster on a CPU.
    """
    taps = gaussian_taps(size, float(sigma))
    half = size // 2
    if sides == "same":
        x = F.pad(x, (half, half, half, half))
    for axis in (-1, -2):
        length = x.shape[axis] - size + 1
        out = x.narrow(axis, half, length) * taps[half]
        for i in range(half):
            pair = x.narrow(axis, i, length) + x.narrow(axis, size - 1 - i, length)
            out = torch.add(out, pair, alpha=taps[i])
        x = out
    return x


def window_mean(x: Tensor, size: int) -> Tensor:
    """Plain mean over every whole window of the last two axes, by doubling: a sum of 11 takes 5 additions."""
    for axis in (-1, -2):
        length = x.shape[axis] - size + 1
        total: Tensor | None = None
        start, width, block = 0, 1, x
        while True:  # `block` holds sums of `width` neighbours, width = 1, 2, 4, ...
            if size & width:
                part = block.narrow(axis, start, length)
                total = part if total is None else total + part
                start += width
            width *= 2
            if width > size:
                break
            inner = block.shape[axis] - width // 2
            block = block.narrow(axis, 0, inner) + block.narrow(axis, width // 2, inner)
        assert total is not None
        x = total
    return x / (size * size)


def _derivatives(x: Tensor, middle: float) -> tuple[Tensor, Tensor]:
    """3x3 derivatives with smoothing weights (1, middle, 1), zero padding, same size: across, down."""
    p = F.pad(x, (1, 1, 1, 1))
    smooth_down = p[..., :-2, :] + middle * p[..., 1:-1, :] + p[..., 2:, :]
    smooth_across = p[..., :, :-2] + middle * p[..., :, 1:-1] + p[..., :, 2:]
    across = smooth_down[..., :, 2:] - smooth_down[..., :, :-2]
    down = smooth_across[..., 2:, :] - smooth_across[..., :-2, :]
    return across, down


def sobel(x: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel derivatives (1, 2, 1; not normalised), zero padding: across the columns, down the rows."""
    return _derivatives(x, 2.0)


def prewitt(x: Tensor) -> tuple[Tensor, Tensor]:
    """Prewitt derivatives (1, 1, 1; not normalised), zero padding: across the columns, down the rows."""
    return _derivatives(x, 1.0)


def magnitude(across: Tensor, down: Tensor, eps: float = 1e-6) -> Tensor:
    """Length of a gradient; `eps` keeps its own derivative finite (at most 1) where the picture is flat."""
    return torch.sqrt(across * across + down * down + eps * eps)


# ---- structural similarity -------------------------------------------------------------------------------


def ssim_map(
    x: Tensor, y: Tensor, size: int = 11, sigma: float = 1.5, k1: float = 0.01, k2: float = 0.03
) -> Tensor:
    """SSIM at every whole window, `(..., H - size + 1, W - size + 1)`, for a peak value of 1."""
    stacked = torch.stack((x, y, x * x, y * y, x * y))
    mx, my, mxx, myy, mxy = gaussian_filter(stacked, size, sigma)
    c1, c2 = k1**2, k2**2
    cov = mxy - mx * my
    spread = mxx - mx * mx + myy - my * my
    result: Tensor = (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (spread + c2))
    return result


def ssim(
    x: Tensor, y: Tensor, size: int = 11, sigma: float = 1.5, k1: float = 0.01, k2: float = 0.03
) -> Tensor:
    """Mean SSIM of two pictures `(B, C, H, W)`, `(B,)`. A window larger than the picture is made smaller."""
    size = min(size, (min(x.shape[-2:]) - 1) // 2 * 2 + 1)
    return ssim_map(x, y, size, sigma, k1, k2).flatten(1).mean(1)


def _halve(x: Tensor) -> Tensor:
    """2x2 block means from the top-left pixel; an odd last row or column is repeated."""
    height, width = x.shape[-2:]
    flat = x.reshape(-1, 1, height, width)
    flat = F.pad(flat, (0, width % 2, 0, height % 2), mode="replicate")
    flat = F.avg_pool2d(flat, 2)
    return flat.view(*x.shape[:-2], *flat.shape[-2:])


def _desired_structure(frames: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Coefficients a_k of the desired patch r = sum_k a_k (x_k - mean), and the Gaussian variance of r.

    Everything about a patch that the metric needs is a sum of products of two frames over the window, so box
    and Gaussian filters of the N(N+1)/2 products replace the patches. `frames` is `(B, N, H, W)`.
    """
    n = frames.shape[1]
    area, top = size * size, 2.0**-52
    first, second = torch.triu_indices(n, n, device=frames.device)
    products = frames[:, first] * frames[:, second]  # (B, N(N+1)/2, H, W)
    box_mean = window_mean(frames, size)
    box = window_mean(products, size)
    inner = area * (box - box_mean[:, first] * box_mean[:, second])  # <x_k - mean, x_l - mean>
    double = torch.where(first == second, 1.0, 2.0).to(frames.dtype).view(1, -1, 1, 1)
    diagonal = first == second
    length = inner[:, diagonal].clamp_min(1e-20).sqrt()  # (B, N, h, w)
    length_of_sum = (inner * double).sum(1).clamp_min(0).sqrt()
    # Above 2/pi * atan(10) the power is cut to 10 anyway: cutting R keeps the tangent tame.
    agreement = (length_of_sum + top) / (length.sum(1) + top)
    power = torch.tan(math.pi / 2 * agreement.clamp(max=2 / math.pi * math.atan(10.0)))
    strength = length + 0.001 / 255
    weight = (strength * (255 / size)) ** power[:, None] + top
    direction = weight / weight.sum(1, keepdim=True) / strength
    norm = (inner * double * direction[:, first] * direction[:, second]).sum(1).clamp_min(0).sqrt()
    target = strength.amax(1)
    scale = torch.where(norm > 0, target / norm.clamp_min(1e-20), torch.zeros_like(norm))
    coefficients = direction * scale[:, None]
    gauss_mean = gaussian_filter(frames, size)
    gauss = gaussian_filter(products, size) - gauss_mean[:, first] * gauss_mean[:, second]
    variance = (gauss * double * coefficients[:, first] * coefficients[:, second]).sum(1)
    return coefficients, variance


def _mef_ssim_scale(frames: Tensor, fused: Tensor, size: int) -> Tensor:
    """One scale; `frames` `(B, N, H, W)`, `fused` `(B, H, W)`; mean over the picture, `(B,)`."""
    # Variances do not feel a shift; a mean of zero costs them fewer digits.
    frames = frames - frames.mean((2, 3), keepdim=True).detach()
    fused = fused - fused.mean((1, 2), keepdim=True).detach()
    coefficients, variance_r = _desired_structure(frames, size)
    mean_f = gaussian_filter(fused, size)
    variance_f = gaussian_filter(fused * fused, size) - mean_f * mean_f
    cross = gaussian_filter(frames * fused[:, None], size) - gaussian_filter(frames, size) * mean_f[:, None]
    covariance = (coefficients * cross).sum(1)
    c = 0.03**2
    return ((2 * covariance + c) / (variance_r + variance_f + c)).flatten(1).mean(1)


def mef_ssim_scales(frames: Tensor, fused: Tensor, scales: int = 3) -> list[Tensor]:
    """MEF-SSIM at each scale, finest first; fewer scales where the picture gets smaller than 11 pixels."""
    frames, fused = gray(frames).squeeze(2), gray(fused).squeeze(1)
    scores: list[Tensor] = []
    for level in range(scales):
        side = min(frames.shape[-2:])
        if level and side < 11:
            break
        scores.append(_mef_ssim_scale(frames, fused, min(11, side)))
        if level + 1 < scales:
            frames, fused = _halve(frames), _halve(fused[:, None])[:, 0]
    return scores


def mef_ssim(frames: Tensor, fused: Tensor, multiscale: bool = True) -> Tensor:
    """MEF-SSIM (Ma 2015) of any number of frames: 1 is best, `(B,)`. Colour is judged by its luma.

    The multi-scale form is the one of the MEFB benchmark. It wants 44 pixels a side; smaller pictures are
    judged on as many scales as they have, with the remaining weights normalised.
    """
    scores = mef_ssim_scales(frames, fused, 3 if multiscale else 1)
    powers = MEF_SSIM_POWERS[: len(scores)]
    result = torch.ones_like(scores[0])
    for score, power in zip(scores, powers, strict=True):
        # Below zero a power is undefined; such a picture is as bad as it gets.
        result = result * (score if len(scores) == 1 else score.clamp_min(1e-6) ** (power / sum(powers)))
    return result


def mef_ssim_by_plane(frames: Tensor, fused: Tensor) -> Tensor:
    """MEF-SSIM of R, G and B each for itself, `(3B,)`. As a loss: luminance alone lets colours run green."""
    planes = frames.transpose(1, 2).flatten(0, 1).unsqueeze(2)  # (3B, N, 1, H, W)
    return mef_ssim(planes, fused.flatten(0, 1).unsqueeze(1))


# ---- edges -----------------------------------------------------------------------------------------------


def chroma(x: Tensor) -> Tensor:
    """CIELAB chroma of display-referred sRGB, `(..., 3, H, W)` to `(..., 1, H, W)`; 0 for greys."""
    x = x.clamp(0, 1)
    linear = torch.where(x <= 0.04045, x / 12.92, ((x.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)
    r, g, b = torch.split(linear, 1, dim=-3)
    # Over the white point, so that grey has X = Y = Z.
    xyz = torch.stack(
        (
            0.433953 * r + 0.376219 * g + 0.189828 * b,
            0.212671 * r + 0.715160 * g + 0.072169 * b,
            0.017758 * r + 0.109477 * g + 0.872765 * b,
        )
    )
    f = torch.where(xyz > 0.008856, xyz.clamp_min(0.008856) ** (1 / 3), 7.787 * xyz + 16 / 116)
    a, b = 500 * (f[0] - f[1]), 200 * (f[1] - f[2])
    return torch.sqrt(a * a + b * b + 1e-6)


def cast(fused: Tensor, target: Tensor, cell: int = 4) -> Tensor:
    """Mean absolute difference of colour, whatever the light, over cells of `cell` x `cell` pixels. No other
    measure here sees that a sky has gone green."""
    difference = fused - target
    colour = F.avg_pool2d(difference - gray(difference), cell)
    return colour.abs().flatten(1).mean(1)


def _edge_angle(across: Tensor, down: Tensor, eps: float) -> Tensor:
    """Orientation in -pi/2...pi/2; `eps` bounds its derivative by 1/eps on flat areas."""
    down = -down  # the published code counts upwards, which shows where `across` is 0
    sign = torch.where(across == 0, torch.sign(down), torch.sign(across)).detach()
    return torch.atan2(down * sign, across.abs() + eps)


def q_abf(frames: Tensor, fused: Tensor, eps: float = 1e-3) -> Tensor:
    """Q_ABF: how much of the frames' edge strength and direction the result keeps, 0...0.98, `(B,)`.

    `eps` (a quarter of a grey level) is the guard of angles and of strength ratios; 0 comes near the exact
    metric and gives useless gradients.
    """
    fx, fy = sobel(fused)
    g_f, a_f = magnitude(fx, fy).unsqueeze(1), _edge_angle(fx, fy, eps).unsqueeze(1)
    x, y = sobel(frames)
    g, a = magnitude(x, y), _edge_angle(x, y, eps)
    guard = eps * 0.1
    strength = (torch.minimum(g, g_f) + guard) / (torch.maximum(g, g_f) + guard)
    direction = 1 - (a - a_f).abs() / (math.pi / 2)
    kept = 0.9994 * torch.sigmoid(15 * (strength - 0.5)) * 0.9879 * torch.sigmoid(22 * (direction - 0.8))
    per_channel = (kept * g).sum((1, 3, 4)) / g.sum((1, 3, 4)).clamp_min(1e-12)  # (B, C)
    return per_channel.mean(1)


def q_w(frames: Tensor, fused: Tensor, eps: float = 1e-8) -> Tensor:
    """Q_W (Piella): SSIM of edge images, weighted by the variance of the frames' edges, `(B,)`.

    `eps` is added to each variance; with more than two frames the weights run over all of them.
    """
    edges_f = magnitude(*prewitt(fused)).unsqueeze(1)
    edges = magnitude(*prewitt(frames))
    mean, square = gaussian_filter(torch.stack((edges, edges * edges)))
    variance = (square - mean * mean).clamp_min(0) + eps
    similarity = ssim_map(edges, edges_f.expand_as(edges))
    local = (variance / variance.sum(1, keepdim=True) * similarity).sum(1)  # (B, C, h, w)
    salience = variance.amax(1)
    per_channel: Tensor = (salience * local).sum((2, 3)) / salience.sum((2, 3))
    return per_channel.mean(1)


# ---- perception ------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _contrast_sensitivity(height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Contrast sensitivity over the half spectrum of a real DFT, `(H, W // 2 + 1)` (Mannos, Sakrison)."""
    down = 2 * torch.fft.fftfreq(height, dtype=torch.float64) * height / 8
    across = 2 * torch.fft.rfftfreq(width, dtype=torch.float64) * width / 8
    r = 0.144 * torch.sqrt(down[:, None] ** 2 + across[None] ** 2)
    theta = 2.6 * (0.0192 + r) * torch.exp(-(r**1.1))
    return theta.to(dtype=dtype, device=device)


def _stretch(x: Tensor, floor: float) -> Tensor:
    low = x.amin((-2, -1), keepdim=True)
    span = x.amax((-2, -1), keepdim=True) - low
    return (x - low) / span.clamp_min(floor)


def q_cv(
    frames: Tensor,
    fused: Tensor,
    stretch: bool = True,
    floor: float = 0.05,
    block: int = 16,
    border: float = 1.0,
) -> Tensor:
    """Chen-Varshney: visible difference to the frames, counted where the frames have strong edges, `(B,)`.

    Smaller is better; on the scale of 8-bit values (hundreds). The metric stretches every channel to the full
    range first; `floor` is the narrowest range that is still stretched fully, so that a flat crop stays flat.
    To the metric the border of a bright picture is an edge to black. A small picture that stands for a large
    one in training has more border than it should: `border` is the share at which its outermost pixels count.
    """
    if stretch:
        frames, fused = _stretch(frames, floor), _stretch(fused, floor)
    height, width = fused.shape[-2:]
    sensitivity = _contrast_sensitivity(height, width, fused.dtype, fused.device)
    spectrum = torch.fft.rfft2(frames - fused.unsqueeze(1)) * sensitivity
    visible = 255 * torch.fft.irfft2(spectrum, s=(height, width))
    pad = (0, -width % block, 0, -height % block)

    def per_block(x: Tensor) -> Tensor:
        flat = F.pad(x.reshape(-1, 1, height, width), pad)
        return F.avg_pool2d(flat, block).view(*x.shape[:-2], -1)

    difference = per_block(visible * visible)  # (B, N, C, blocks)
    edges = magnitude(*sobel(frames)) ** 5
    if border != 1:
        share = torch.full_like(edges[0, 0, 0], border)  # (H, W)
        share[1:-1, 1:-1] = 1.0
        edges = edges * share
    salience = per_block(edges)
    weighted = (salience * difference).sum((1, 3)) / salience.sum((1, 3)).clamp_min(1e-20)
    return weighted.mean(1)
