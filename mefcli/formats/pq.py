"""Light beyond white as PQ on BT.2020's primaries (BT.2100): what HDR screens and televisions take."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mefcli.formats.colours import PQ, PRIMARIES, WHITE_NITS, pq_light
from mefcli.formats.icc import SRGB_CURVE, icc_profile, matrix_profile
from mefcli.formats.spaces import matrix_of
from mefcli.formats.values import Rows

BT2020 = 9  # code points of ISO/IEC 23091-2: primaries, and the matrix of non-constant luminance
PQ_TRANSFER = PQ
PEAK = 10_000 / WHITE_NITS  # of the signal, with diffuse white at 203 cd/m² (BT.2408)
STRIP_ROWS = 256
STEPS = 1 << 16


@dataclass(frozen=True)
class Signal:
    levels: NDArray[np.uint16]  # (H, W, 3)
    most_nits: float  # of the brightest pixel, MaxCLL of CTA-861.3
    mean_nits: float  # of the whole picture, MaxFALL

    @property
    def light_level(self) -> bytes:
        """The body of a `clli` box (ISO/IEC 23008-12, 6.5.8)."""
        both = (min(65535, round(self.most_nits)), min(65535, round(self.mean_nits)))
        return b"".join(number.to_bytes(2, "big") for number in both)


def pq_signal(rows: Rows, icc: bytes | None, bits: int) -> Signal:
    """Linear light, 1 at diffuse white, on a matrix profile's primaries, as PQ's full range of `bits`."""
    source = matrix_of(icc or icc_profile("srgb"))
    target = matrix_of(matrix_profile(*PRIMARIES[BT2020], SRGB_CURVE))
    assert source is not None
    assert target is not None
    turn = (source.colorants @ np.linalg.inv(target.colorants)).astype(np.float32)
    table = _levels(bits)
    levels = np.empty(rows.shape, np.uint16)
    most = total = 0.0
    for top in range(0, rows.shape[0], STRIP_ROWS):
        light = np.clip(rows[top : top + STRIP_ROWS] @ turn, 0, np.float32(PEAK))
        brightest = np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])
        most, total = max(most, float(brightest.max())), total + float(brightest.sum(dtype=np.float64))
        levels[top : top + STRIP_ROWS] = table[_step(light)]
    return Signal(levels, most * WHITE_NITS, total / (levels.shape[0] * levels.shape[1]) * WHITE_NITS)


def _step(light: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Of the table: the eighth root of light is nearly even in PQ's own steps."""
    root = np.sqrt(np.sqrt(np.sqrt(light * np.float32(1 / PEAK))))
    steps: NDArray[np.uint16] = (root * np.float32(STEPS - 1) + np.float32(0.5)).astype(np.uint16)
    return steps


@lru_cache(maxsize=2)
def _levels(bits: int) -> NDArray[np.uint16]:
    """The level of each step."""
    light = PEAK * np.linspace(0.0, 1.0, STEPS) ** 8
    top = (1 << bits) - 1
    known = pq_light(np.linspace(0.0, 1.0, 8 * top + 1))  # of eighths of a level
    levels: NDArray[np.uint16] = np.rint(np.interp(light, known, np.linspace(0, top, len(known)))).astype(
        np.uint16
    )
    levels.setflags(write=False)
    return levels
