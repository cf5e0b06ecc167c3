"""What the frames show in common at a few ten thousand flat places: for their curve and their exposures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mefcli.values import Pixels

Exact = NDArray[np.float64]
Mask = NDArray[np.bool_]

PLACES = 40_000
FLAT = 0.03  # of the signal, from the least to the most of 3 x 3 pixels
EDGE_PX = 4  # alignment fills what a frame missed


@dataclass(frozen=True)
class Places:
    signal: Exact  # (frames, places, 3): means of 3 x 3 pixels, in [0, 1]
    flat: Mask  # (frames, places, 3)
    most: Exact  # (frames, places): the brightest value of any colour


def look(frames: Sequence[Pixels], places: int = PLACES) -> Places:
    """An even grid of about so many places; where frames have fewer flat ones, the same grid tells."""
    if min(frames[0].shape[:2]) < 3:  # no pixel has eight neighbours
        rows, columns = (np.clip(np.arange(-1, side + 1), 0, side - 1) for side in frames[0].shape[:2])
        return look([frame[rows][:, columns] for frame in frames], places)
    height, width = frames[0].shape[:2]
    edge = min(EDGE_PX, (min(height, width) - 3) // 2)
    step = max(1.0, (height * width / places) ** 0.5)
    ys = np.arange(edge + 1, height - edge - 1, step).astype(np.int64)
    xs = np.arange(edge + 1, width - edge - 1, step).astype(np.int64)
    y, x = (grid.ravel() for grid in np.meshgrid(ys, xs, indexing="ij"))
    means, flats, mosts = [], [], []
    for frame in frames:
        near = np.stack([frame[y + dy, x + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)])  # (9, places, 3)
        values = near * np.float32({"uint8": 1 / 255, "uint16": 1 / 65535}.get(frame.dtype.name, 1.0))
        means.append(values.mean(axis=0, dtype=np.float64))
        most = values.max(axis=0)
        flats.append(most - values.min(axis=0) < FLAT)
        mosts.append(most.max(axis=1))
    return Places(np.stack(means), np.stack(flats), np.stack(mosts).astype(np.float64))
