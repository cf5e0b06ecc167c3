"""What ghost removal saw, as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mefcli import storage
from mefcli.errors import OutputError, named


def write_debug(folder: Path, name: str, mask: NDArray[np.bool_], agreement: NDArray[np.floating]) -> None:
    """`<frame>.ghosts.png` (white: replaced) and `<frame>.confidence.png` (white: agrees)."""
    import cv2

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be made: {error.strerror}.", f"Name another folder with {named('debug_dir')}."
        ) from error
    for kind, picture in (("ghosts", 255.0 * mask), ("confidence", 255.0 * agreement)):
        _, data = cv2.imencode(".png", picture.astype(np.uint8))
        storage.write_bytes(folder / f"{Path(name).stem}.{kind}.png", data.tobytes())
