"""A contact sheet of simulated brackets, to see whether they look like photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mefcli.evaluation.metrics.light import compressed
from mefcli.training.simulator import Sample, Simulator


def row(sample: Sample, height_px: int) -> NDArray[np.uint8]:
    """The frames dark to bright, the target where there is one; moved pixels are tinted red."""
    import cv2

    tiles = []
    for k, frame in enumerate(sample.frames):
        shown = frame.copy()
        if sample.moved is not None and sample.moved[k].any():
            edge = cv2.morphologyEx(sample.moved[k].astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3)))
            shown[edge > 0] = (255, 40, 40)
        tiles.append(shown)
    if sample.target is not None:
        target = sample.target if sample.lights is None else compressed(sample.target)
        if sample.low is not None:
            grey = (target - target.min()) / max(float(np.ptp(target)), 1e-9)
            target = np.repeat(grey, 3, axis=2)
        tiles.append((np.clip(target, 0, 1) * 255 + 0.5).astype(np.uint8))
    resized = [cv2.resize(tile, (height_px, height_px), interpolation=cv2.INTER_AREA) for tile in tiles]
    strip = np.hstack(resized)
    spread = sample.evs[-1] - sample.evs[0]
    kind = "" if sample.kind == "bracket" else f" {sample.kind}"
    words = f"{Path(sample.scene).stem[:22]} {spread:.1f} EV{kind}".encode("ascii", "replace").decode()
    caption = np.full((16, strip.shape[1], 3), 24, np.uint8)
    cv2.putText(caption, words, (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (230, 230, 230), 1, cv2.LINE_AA)
    return np.vstack((caption, strip))


def sheet(
    simulator: Simulator, count: int, frames: int | None, columns: int = 2, height_px: int = 180
) -> NDArray[np.uint8]:
    rows = [row(simulator.sample(k, frames), height_px) for k in range(count)]
    widest = max(r.shape[1] for r in rows)
    rows = [np.pad(r, ((0, 0), (0, widest - r.shape[1] + 6), (0, 0))) for r in rows]
    blank = np.zeros_like(rows[0])
    rows += [blank] * (-len(rows) % columns)
    length = len(rows) // columns
    return np.hstack([np.vstack(rows[c * length : (c + 1) * length]) for c in range(columns)])
