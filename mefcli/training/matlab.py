"""NYU v2 as its authors distribute it: `nyu_depth_v2_labeled.mat`, pictures and filled depth of 1,449 rooms.

A .mat file of version 7.3 is HDF5, which h5py reads (the extra `matlab`). MATLAB counts columns first, so
what h5py hands out is turned.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mefcli.errors import MissingExtraError, UnreadableError
from mefcli.formats.source import RESTORE

Member = Literal["images", "depths"]


def count(path: Path) -> int:
    with _opened(path) as file:
        return int(file["depths"].shape[0])


def item(path: Path, member: Member, number: int) -> NDArray[Any]:
    """One picture, (H, W, 3), or its depth, (H, W)."""
    with _opened(path) as file:
        try:
            return np.ascontiguousarray(np.asarray(file[member][number]).T)
        except (OSError, IndexError, ValueError) as error:
            raise UnreadableError(
                f"{path} has no number {number}: it is cut off or damaged.", RESTORE
            ) from error


def _opened(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(
            f"{path.name} needs h5py.", "Install it: pip install 'mef[matlab]'."
        ) from error
    try:
        file = h5py.File(path)
    except OSError as error:
        raise UnreadableError(f"{path} is cut off or damaged: it holds no pictures.", RESTORE) from error
    shapes = [file[name].shape for name in ("images", "depths") if name in file]
    if [len(shape) for shape in shapes] != [4, 3] or shapes[0][0] != shapes[1][0] or shapes[0][1] != 3:
        file.close()
        raise UnreadableError(
            f"{path} holds no `images` and `depths`, as NYU v2 does.", "Remove it from the data."
        )
    return file
