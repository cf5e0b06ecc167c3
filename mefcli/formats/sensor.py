"""A sensor's own colours: where each saturates, and the matrix that turns them into a space's primaries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefcli.formats.icc import SPACES, adaptation, rgb_to_xyz
from mefcli.formats.raw import CAMERA, KEPT, raw_file
from mefcli.formats.values import Development

Exact = NDArray[np.float64]
PLAUSIBLE = 0.125  # the least that a camera matrix has for its first number, after LibRaw


@dataclass(frozen=True)
class Sensor:
    development: Development  # that gives its frames in its own colours
    matrix: Exact | None  # (3, 3): from those, white-balanced, to linear colours of the space; None: the same
    ends: Exact  # (3,): light at which each saturates, 1 at the top of what is stored


def sensor_of(path: Path, plan: Development) -> Sensor:
    """For the bracket of a frame, given its plan with the white balance that all frames share.

    A sensor whose colours LibRaw cannot tell is developed into the space directly.
    """
    multipliers = np.array(plan.multipliers or (1.0,) * 4, np.float64)
    ends = multipliers[:3] / multipliers.max()  # as LibRaw scales what it must not clip
    with raw_file(path) as raw:
        matrix = _to_srgb(raw)
    if matrix is None:
        return Sensor(replace(plan, highlights=KEPT), None, np.full(3, ends.min()))
    return Sensor(replace(plan, space=CAMERA, highlights=KEPT), _between("srgb", plan.space) @ matrix, ends)


def _to_srgb(raw: Any) -> Exact | None:
    """As LibRaw has it: the file's own matrix, else the camera's from its tables."""
    if raw.num_colors != 3:
        return None
    stored = np.array(raw.color_matrix, np.float64)[:, :3]
    if stored.shape == (3, 3) and stored[0, 0] > PLAUSIBLE:
        return stored
    camera = np.array(raw.rgb_xyz_matrix, np.float64)[:3]  # from XYZ
    if camera.shape != (3, 3) or abs(np.linalg.det(camera)) < 1e-6:
        return None
    from_srgb = camera @ rgb_to_xyz(*SPACES["srgb"][1:3])
    found: Exact = np.linalg.inv(from_srgb / from_srgb.sum(axis=1, keepdims=True))  # white stays white
    return found


def _between(source: str, target: str) -> Exact:
    """From one space's linear colours to another's; white stays white."""
    if source == target:
        return np.eye(3)
    one, other = (
        adaptation(SPACES[space][2]) @ rgb_to_xyz(*SPACES[space][1:3]) for space in (source, target)
    )
    return np.asarray(np.linalg.solve(other, one), np.float64)
