"""Which light a picture's numbers stand for: primaries, white and curve of a profile, for linear files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mefcli.formats import spaces
from mefcli.formats.icc import (
    D65_XY,
    SPACES,
    adaptation,
    icc_profile,
    matrix_profile,
    profile_name,
    profile_of_colorants,
)

Exact = NDArray[np.float64]
Xy = tuple[float, float]


@dataclass(frozen=True)
class Primaries:
    name: str
    red: Xy
    green: Xy
    blue: Xy
    white: Xy
    linear: bytes  # a profile of these primaries without a curve

    @property
    def all(self) -> tuple[Xy, Xy, Xy, Xy]:
        return self.red, self.green, self.blue, self.white


def primaries_of(icc: bytes | None) -> Primaries | None:
    """Of a matrix profile (None: sRGB); None for one that only has tables."""
    for space, (name, points, white, _) in SPACES.items():
        if spaces.same_space(icc, icc_profile(space)):
            return Primaries(
                name,
                points[0],
                points[1],
                points[2],
                white,
                matrix_profile(f"{name}, linear", points, white, (1.0,)),
            )
    found = spaces.matrix_of(icc) if icc else None
    if found is None:
        return None
    # The colorants are adapted to D50; the profile says how, or D65's Bradford is what nearly all mean.
    adapted = adaptation(D65_XY)
    if found.chad is not None:
        adapted = np.frombuffer(found.chad, ">i4").reshape(3, 3) / 65536
    name = profile_name(icc)
    linear = profile_of_colorants(f"{name}, linear", found.packed, found.chad, (1.0,))
    if abs(np.linalg.det(adapted)) < 1e-6:
        return None
    own = np.linalg.solve(adapted, found.colorants.T).T  # (3 colours, XYZ)
    red, green, blue, white = (_xy(one) for one in (*own, own.sum(axis=0)))
    return Primaries(name, red, green, blue, white, linear)


def _xy(xyz: Exact) -> Xy:
    return float(xyz[0] / xyz.sum()), float(xyz[1] / xyz.sum())
