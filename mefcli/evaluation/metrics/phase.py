"""Phase congruency (Kovesi 1999), and the two metrics that rest on it: Q_P (Zhao 2007) and FSIM (Zhang 2011).

A bank of log-Gabor filters in the DFT domain, periodic on the exact picture size; their even and odd
responses are the real and imaginary part of one inverse transform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefcli.evaluation.metrics.picture import Picture, Real, filtered, smoothed

TINY = 1e-4


@dataclass(frozen=True)
class Bank:
    """Which filters: the settings that differ between Q_P and FSIM."""

    orientations: int
    shortest_wave: float
    wave_factor: float
    spread_weight: bool  # weigh by how many scales respond
    noise_stops: float = 2.0
    scales: int = 4


Q_P_BANK = Bank(orientations=6, shortest_wave=3, wave_factor=2.1, spread_weight=True)
FSIM_BANK = Bank(orientations=4, shortest_wave=6, wave_factor=2, spread_weight=False)


@dataclass(frozen=True)
class Filters:
    """Transfer functions for one picture size."""

    radial: NDArray[np.float32]  # (scales, H, W)
    angular: NDArray[np.float32]  # (orientations, H, W)
    energy: Real  # (orientations,), sum of the squared finest filter
    even: Real  # (orientations,), sum of the squared even part of all scales together


def _axis(n: int) -> Real:
    """Frequencies whose odd form is stretched to end at exactly one half."""
    return (np.arange(n) - n // 2) / (n if n % 2 == 0 else n - 1)


@lru_cache(maxsize=4)
def make_filters(height: int, width: int, bank: Bank) -> Filters:
    down, across = _axis(height)[:, None], _axis(width)[None]
    rho = np.hypot(down, across)
    rho[height // 2, width // 2] = 1.0
    rho = np.fft.ifftshift(rho)
    theta = np.fft.ifftshift(np.arctan2(-down, across + 0 * down))
    plain_down = ((np.arange(height) - height // 2) / height)[:, None]
    plain_across = ((np.arange(width) - width // 2) / width)[None]
    # The forward shift: one sample beside the inverse one where a side is odd, as in the published code.
    lowpass = np.fft.fftshift(1 / (1 + (np.hypot(plain_down, plain_across) / 0.45) ** 30))
    radial = np.empty((bank.scales, height, width), np.float32)
    for s in range(bank.scales):
        wave = bank.shortest_wave * bank.wave_factor**s
        band = np.exp(-(np.log(rho * wave) ** 2) / (2 * np.log(0.55) ** 2)) * lowpass
        band[0, 0] = 0.0
        radial[s] = band
    sigma = np.pi / bank.orientations / 1.2
    angular = np.empty((bank.orientations, height, width), np.float32)
    energy, even = np.empty(bank.orientations), np.empty(bank.orientations)
    together = radial.sum(0, dtype=np.float64)
    for o in range(bank.orientations):
        distance = np.abs(theta - o * np.pi / bank.orientations)
        distance = np.minimum(distance, 2 * np.pi - distance)
        angular[o] = np.exp(-(distance**2) / (2 * sigma**2))
        energy[o] = ((radial[0] * angular[o]).astype(np.float64) ** 2).sum()
        # The noise estimate wants sums over space of the filters' real parts, squares of each scale and twice
        # the products of two: that is the square of their sum, and by Parseval its even part over frequency.
        summed = together * angular[o]
        mirrored = np.roll(summed[::-1, ::-1], 1, axis=(0, 1))
        even[o] = ((summed + mirrored) ** 2).sum() / 4
    return Filters(radial, angular, energy, even)


@dataclass(frozen=True)
class Congruency:
    phase: NDArray[np.float32]  # (H, W)
    maximum: NDArray[np.float32]  # moments of the phase congruency covariance
    minimum: NDArray[np.float32]


def _median(values: NDArray[np.float32]) -> float:
    """Exact median of numbers that are not negative, which sort like their bits: count, then look closer."""
    bits = values.ravel().view(np.uint32)
    middle = bits.size // 2
    coarse = bits >> np.uint32(16)
    below = np.cumsum(np.bincount(coarse))
    home = int(np.searchsorted(below, middle, side="right"))
    inside = bits[coarse == home]
    rank = middle - (int(below[home - 1]) if home else 0)
    inside = np.partition(inside, rank)
    upper = lower = inside[rank : rank + 1]
    if bits.size % 2 == 0:
        lower = (inside[:rank] if rank else bits[coarse < home]).max(keepdims=True)
    return (float(upper.view(np.float32)[0]) + float(lower.view(np.float32)[0])) / 2


def _noise_threshold(filters: Filters, o: int, finest: NDArray[np.float32], bank: Bank) -> float:
    median = _median(finest) ** 2  # amplitudes are not negative: the median of squares is the square
    power = median / np.log(2) / filters.energy[o]
    tau = np.sqrt(power * filters.even[o])
    return float((tau * np.sqrt(np.pi / 2) + bank.noise_stops * np.sqrt((2 - np.pi / 2) * tau**2)) / 1.7)


def phase_congruency(channel: Real, bank: Bank, moments: bool = True) -> Congruency:
    """Phase congruency of values 0...255 `(H, W)`. Single precision: the metrics agree to 1e-5."""
    height, width = channel.shape
    filters = make_filters(height, width, bank)
    spectrum = np.fft.fft2(channel).astype(np.complex64)
    zero = np.zeros((height, width), np.float32)
    total_energy, total_amplitude, cx, cy, cxy = (zero.copy() for _ in range(5))
    for o in range(bank.orientations):
        part = spectrum * filters.angular[o]
        responses = [np.fft.ifft2(part * radial) for radial in filters.radial]
        amplitudes = [np.abs(response) for response in responses]
        amplitude = sum(amplitudes, start=zero)
        summed = responses[0] + responses[1] + responses[2] + responses[3]
        direction = summed.conj() / (np.abs(summed) + np.float32(TINY))
        energy = zero - np.float32(_noise_threshold(filters, o, amplitudes[0], bank))
        for response in responses:
            turned = response * direction  # real: e ē + o ō, imaginary: -(e ō - o ē)
            energy += turned.real
            energy -= np.abs(turned.imag)
        np.maximum(energy, 0, out=energy)
        if bank.spread_weight:
            largest = np.maximum.reduce(amplitudes)
            spread = amplitude / (largest + np.float32(TINY)) / np.float32(bank.scales)
            energy /= 1 + np.exp(10 * (np.float32(0.5) - spread))
        total_energy += energy
        total_amplitude += amplitude
        if moments:
            p = (energy / np.maximum(amplitude, np.float32(1e-20))) ** 2
            angle = o * np.pi / bank.orientations
            cx += p * np.float32(np.cos(angle) ** 2)
            cy += p * np.float32(np.sin(angle) ** 2)
            cxy += p * np.float32(np.cos(angle) * np.sin(angle))
    phase = total_energy / (total_amplitude + np.float32(TINY))
    cx, cy, cxy = (sums / np.float32(bank.orientations) for sums in (2 * cx, 2 * cy, cxy))
    d = np.sqrt(cxy**2 + (cx - cy) ** 2) + np.float32(TINY)
    return Congruency(phase, (cx + cy + d) / 2, (cx + cy - d) / 2)


# ---- Q_P -------------------------------------------------------------------------------------------------


def _maps(picture: Picture) -> list[NDArray[Any]]:
    """Phase congruency and its moments for each channel, `(H, W, 3 kinds)`."""
    if "phase maps" not in picture.kept:
        picture.kept["phase maps"] = [
            np.stack((c.phase, c.maximum, c.minimum), axis=2)
            for c in (phase_congruency(picture.values[..., k], Q_P_BANK) for k in range(3))
        ]
    maps: list[NDArray[Any]] = picture.kept["phase maps"]
    return maps


def _local(x: Real) -> tuple[Real, Real]:
    mean = smoothed(x, 11, 1.5, "zero")
    return mean, smoothed(x * x, 11, 1.5, "zero") - mean * mean


def phase_preservation(inputs: Sequence[Picture], fused: Picture) -> float:
    """Q_P: local correlation of phase congruency and its moments with the stronger of the inputs."""
    a, b = inputs
    scores = []
    for of_a, of_b, of_f in zip(_maps(a), _maps(b), _maps(fused), strict=True):
        stronger = np.where((of_a[..., :1] > of_b[..., :1]), of_a, of_b)
        mean_f, var_f = _local(of_f)
        best = np.full(of_f.shape, -np.inf, np.float32)
        for maps in (of_a, of_b, stronger):
            mask = maps[..., :1] > 0.1
            x = maps * mask
            mean, var = _local(x)
            cov = smoothed(x * of_f, 11, 1.5, "zero") - mean * mean_f
            r = (cov + np.float32(TINY)) / (np.sqrt(np.abs(var * var_f)) + np.float32(TINY))
            best = np.maximum(best, np.where(mask, r, np.float32(0)))
        inside = int((stronger[..., 0] > 0.1).sum())
        scores.append(np.prod(best.sum((0, 1), dtype=np.float64) / inside) if inside else np.nan)
    return float(np.mean(scores))


# ---- FSIM ------------------------------------------------------------------------------------------------

TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def feature_similarity(truth: Picture, fused: Picture) -> tuple[float, float]:
    """FSIM and FSIMc against a reference."""
    import cv2

    yiq = []
    step = max(1, int(np.floor(min(fused.shape) / 256 + 0.5)))
    for picture in (truth, fused):
        x = picture.values @ TO_YIQ.T
        if step > 1:
            at = step - 1 - step // 2
            x = cv2.boxFilter(x, -1, (step, step), anchor=(at, at), borderType=cv2.BORDER_CONSTANT)
            x = np.ascontiguousarray(x[::step, ::step])
        yiq.append(x)

    def alike(pair: Sequence[Real], constant: float) -> NDArray[Any]:
        s, t = pair
        return np.asarray((2 * s * t + constant) / (s * s + t * t + constant))

    slope, smooth = np.array([-1.0, 0.0, 1.0]), np.array([3.0, 10.0, 3.0]) / 16
    phases, gradients = [], []
    for x in yiq:
        luma = np.ascontiguousarray(x[..., 0])
        phases.append(phase_congruency(luma, FSIM_BANK, moments=False).phase.astype(np.float64))
        across = filtered(luma, smooth, slope, "zero")
        down = filtered(luma, slope, smooth, "zero")
        gradients.append(np.hypot(across, down))
    weight = np.maximum(*phases)
    similar = alike(phases, 0.85) * alike(gradients, 160.0)
    chroma = alike([x[..., 1] for x in yiq], 200.0) * alike([x[..., 2] for x in yiq], 200.0)
    # The published code takes the real part of a complex power where the product is negative.
    toned = similar * (chroma.astype(np.complex128) ** 0.03).real
    total = weight.sum()
    if total == 0:
        return float("nan"), float("nan")
    return float((similar * weight).sum() / total), float((toned * weight).sum() / total)
