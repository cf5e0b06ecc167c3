"""What ghost removal saw, as pictures and in a note."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mefcli import storage
from mefcli.errors import OutputError, named
from mefcli.values import Ghost

MUCH = 0.4  # of a frame


def debug_paths(folder: Path, name: str) -> list[Path]:
    """`<frame>.ghosts.png` (white: replaced) and `<frame>.confidence.png` (white: agrees)."""
    return [folder / f"{Path(name).stem}.{kind}.png" for kind in ("ghosts", "confidence")]


def write_debug(folder: Path, name: str, mask: NDArray[np.bool_], agreement: NDArray[np.floating]) -> None:
    import cv2

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be made: {error.strerror}.", f"Name another folder with {named('debug_dir')}."
        ) from error
    for path, picture in zip(debug_paths(folder, name), (255.0 * mask, 255.0 * agreement), strict=True):
        _, data = cv2.imencode(".png", picture.astype(np.uint8))
        storage.write_bytes(path, data.tobytes())


def much_moved(found: Sequence[Ghost], reference: str) -> tuple[str, ...]:
    most = max(one.share for one in found)
    if most <= MUCH:
        return ()
    return (
        f"{100 * most:.0f} % of a frame disagrees with {reference}: "
        "the scene changed as a whole, or the frames are not aligned.",
    )
