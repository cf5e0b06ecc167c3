"""Where a photographer puts the exposures of a bracket.

The darkest frame keeps the highlights, the brightest opens the shadows. In the development brackets the mean
of the darkest usable frame lies between 12 and 100 of 255 and that of the brightest between 120 and 243; the
placement below draws from the same ranges, by highlights and shadows or by mean, each half of the time. Long
brackets reach further: their darkest frames show lamps and little else, their brightest are white to the eye.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mefcli.training.camera import Camera, Floats

EVS = np.linspace(-14.0, 14.0, 57)  # half stops around "median at 0.18"

DARK_MEAN, BRIGHT_MEAN = (12.0, 100.0), (120.0, 243.0)
LONG = 4  # frames
LONG_DARK_MEAN, LONG_BRIGHT_MEAN = (1.5, 60.0), (125.0, 246.0)
TWO_UNDER_MEAN, TWO_OVER_MEAN = (8.0, 70.0), (185.0, 246.0)


@dataclass(frozen=True)
class Placement:
    evs: tuple[float, ...]  # dark to bright
    kind: str  # "bracket", "two-under", "two-over"


def mean_by_ev(camera: Camera, thumb: Floats) -> NDArray[np.float64]:
    """Mean display value, 0..255, of the scene at each of `EVS`; rises with exposure."""
    white = np.array(camera.white, np.float32)
    pixels = (thumb[::2, ::2] * white).reshape(-1)
    exposed = pixels[None, :] * np.exp2(EVS.astype(np.float32))[:, None]
    means = camera.develop(exposed).mean(1).astype(np.float64) * 255.0
    return np.asarray(np.maximum.accumulate(means) + np.arange(len(EVS)) * 1e-6)


def ev_for_mean(means: NDArray[np.float64], wanted: float) -> float:
    return float(np.interp(wanted, means, EVS))


def place(
    camera: Camera,
    thumb: Floats,
    frames: int,
    spread_ev: tuple[float, float],
    lopsided: float,
    rng: np.random.Generator,
) -> Placement:
    means = mean_by_ev(camera, thumb)
    if rng.random() < lopsided:
        kind, (low, high) = (
            ("two-under", TWO_UNDER_MEAN) if rng.random() < 0.5 else ("two-over", TWO_OVER_MEAN)
        )
        ends = sorted(ev_for_mean(means, mean) for mean in rng.uniform(low, high, 2))
        dark, bright = _held(ends[0], ends[1], (1.0, 3.0))
        return Placement(_between(dark, bright, frames, rng), kind)

    luma = thumb.mean(-1)
    reaches = frames >= LONG and spread_ev[1] > 10  # recipes that ask for long spreads
    dark_means, bright_means = (LONG_DARK_MEAN, LONG_BRIGHT_MEAN) if reaches else (DARK_MEAN, BRIGHT_MEAN)
    darkest = (ev_for_mean(means, dark_means[0]), ev_for_mean(means, dark_means[1]))
    brightest = (ev_for_mean(means, bright_means[0]), ev_for_mean(means, bright_means[1]))
    if rng.random() < 0.5:
        highlight = float(np.percentile(luma, rng.uniform(96, 99.9)))
        shadow = float(np.percentile(luma, rng.uniform(2, 20)))
        dark = np.log2(rng.uniform(0.5, 1.0) / max(highlight, 1e-6))
        bright = np.log2(rng.uniform(0.04, 0.2) / max(shadow, 1e-6))
    else:
        dark = ev_for_mean(means, float(np.exp(rng.uniform(*np.log(dark_means)))))
        bright = ev_for_mean(means, rng.uniform(*bright_means))
    dark, bright = float(np.clip(dark, *darkest)), float(np.clip(bright, *brightest))
    dark, bright = _held(dark, bright, spread_ev)
    return Placement(_between(dark, bright, frames, rng), "bracket")


def _held(dark: float, bright: float, spread_ev: tuple[float, float]) -> tuple[float, float]:
    """The same middle, with a spread inside the allowed range."""
    middle, spread = (dark + bright) / 2, float(np.clip(bright - dark, *spread_ev))
    return middle - spread / 2, middle + spread / 2


def _between(dark: float, bright: float, frames: int, rng: np.random.Generator) -> tuple[float, ...]:
    """Even steps, now and then a little uneven, as third-stop dials make them."""
    evs = np.linspace(dark, bright, frames)
    step = (bright - dark) / max(frames - 1, 1)
    if frames > 2 and rng.random() < 0.5:
        evs[1:-1] += rng.uniform(-0.25, 0.25, frames - 2) * step
    return tuple(float(ev) for ev in evs)
