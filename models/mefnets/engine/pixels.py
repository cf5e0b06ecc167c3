"""From interleaved integer frames to torch's float planes and back, a strip at a time."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mefnets.engine.frames import FULL_SCALE, Frame


def load_planes(rows: Frame, out: Tensor | None = None) -> Tensor:
    """A strip of a frame, (rows, cols, 3) of any depth, as float32 planes in [0, 1]: (3, rows, cols)."""
    height, width, _ = rows.shape
    if out is None:
        out = torch.empty(3, height, width)
    np.copyto(out.numpy(), rows.transpose(2, 0, 1), casting="unsafe")
    scale = FULL_SCALE[rows.dtype.name]
    return out if scale == 1.0 else out.mul_(1.0 / scale)


def store_planes(planes: Tensor, rows: Frame) -> None:
    """Round and clamp (3, rows, cols) float planes into a strip of the output. Overwrites `planes`."""
    scale = FULL_SCALE[rows.dtype.name]
    planes.clamp_(0.0, 1.0)
    if scale != 1.0:
        planes.mul_(scale).add_(0.5)  # truncation then rounds to the nearest level
    np.copyto(rows, planes.numpy().transpose(1, 2, 0), casting="unsafe")
