"""What a frame's stored numbers mean as light, how sure they are, and where they say nothing.

Light is linear, 1 at the white of the frame itself. A sensor's numbers have the noise of photons and of
reading; those of a finished picture that of rounding, larger where the camera's curve is flat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Exact = NDArray[np.float64]

FULL_WELL, READ_NOISE = (
    30_000.0,
    4.0,
)  # electrons; only their ratio to each other weighs one frame against another
ROUNDING = 0.7 / 255  # of the signal: half a level, and as much again from compression
# Signal from which on a pixel counts less, and at which it says nothing. Demosaicing and compression carry
# what is clipped into its neighbours, so a sensor's range ends before its saturation.
SENSOR_ENDS, PICTURE_ENDS = (0.88, 0.97), (0.93, 0.985)
PICTURE_BEGINS = (1.5 / 255, 6 / 255)  # cameras draw deep shadows to black
HARDLY = 1e-3  # what a black pixel still counts, where no frame shows more
SURE_STEPS = 4096  # of the table of certainties, by the square root of light


@dataclass(frozen=True)
class Curves:
    """Tables over a frame's levels, 256 or 65536; floating point is looked up in the finer one.

    They have a column for each colour, or one where all colours are alike.
    """

    light: Floats  # (levels, 1 or 3)
    open: Floats  # (levels, 1 or 3): 1, and 0 where clipped: then a pixel's other colours are doubtful too
    shown: Floats | None  # (levels, 1): 1, and next to nothing where black; None: 1 everywhere
    certainty: Floats  # (SURE_STEPS,): one by the variance of light, over the square root of light / `top`
    top: float  # the most light that a frame holds
    dark: float  # below this much light a frame shows black

    def __post_init__(self) -> None:
        for table in (self.light, self.open, self.shown, self.certainty):
            if table is not None:
                table.setflags(write=False)


def levels_of(dtype: np.dtype[np.generic]) -> int:
    return 256 if dtype == np.uint8 else 65536


def sensor_curves(decode: Callable[[Exact], Exact], ends: Exact) -> Curves:
    """For 16-bit sensor values stored through a display's curve, each colour saturated at its `ends`."""
    light = decode(np.linspace(0.0, 1.0, 65536))
    share = light[:, None] / ends[None]
    opened = 1 - _ramp(share, *SENSOR_ENDS)
    top = float(light[-1])
    at = np.linspace(0.0, 1.0, SURE_STEPS) ** 2 * top
    variance = at / FULL_WELL + (READ_NOISE / FULL_WELL) ** 2
    return Curves(
        light[:, None].astype(np.float32),
        opened.astype(np.float32),
        None,
        (1 / variance).astype(np.float32),
        top,
        2 * READ_NOISE / FULL_WELL,
    )


def picture_curves(light: Callable[[Exact], Exact], levels: int) -> Curves:
    """For a finished picture, whose signal in [0, 1] means so much light, `(n,)` to `(n, 3)`."""
    signal = np.linspace(0.0, 1.0, levels)
    table = light(signal)
    opened = 1 - _ramp(signal, *PICTURE_ENDS)
    shown = np.maximum(_ramp(signal, *PICTURE_BEGINS), HARDLY)
    mean = np.maximum.accumulate(table.mean(axis=1))
    slope = np.gradient(mean, signal)
    top = float(mean[-1])
    at = np.linspace(0.0, 1.0, SURE_STEPS) ** 2 * top
    rounding = np.interp(at, mean, slope) * ROUNDING
    variance = rounding**2 + at * top / FULL_WELL + (READ_NOISE * top / FULL_WELL) ** 2
    return Curves(
        columns(table),
        opened[:, None].astype(np.float32),
        shown[:, None].astype(np.float32),
        (1 / variance).astype(np.float32),
        top,
        float(np.interp(2.5 / 255, signal, mean)),
    )


def columns(table: Exact) -> Floats:
    """(levels, 3) as it is looked up: each colour in one piece of memory, or one column for all."""
    alike = (table == table[:, :1]).all()
    return np.asfortranarray(table[:, :1] if alike else table, np.float32)


def _ramp(values: Exact, start: float, end: float) -> Exact:
    """0 up to `start`, 1 from `end` on, smooth between."""
    share = np.clip((values - start) / (end - start), 0.0, 1.0)
    return np.asarray(share * share * (3 - 2 * share), np.float64)
