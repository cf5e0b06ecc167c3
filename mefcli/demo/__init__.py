"""A bracket without a camera: a rendered room with a bright window, photographed at several exposures.

Everything is computed, the same on every run, so it serves as the program's demonstration and as the
material of its tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mefcli.demo.camera import STOPS, Exposure
from mefcli.formats.table import suffixes_of

__all__ = ["STOPS", "frame_paths", "frames", "make_bracket", "scene"]

DemoKind = Literal["jpeg", "png", "tiff", "raw"]


def scene(width: int = 1536) -> NDArray[np.float32]:
    """The room through the lens: linear light, float32 (height, width, 3), sides as 3:2."""
    from mefcli.demo.camera import through_lens
    from mefcli.demo.render import render

    return through_lens(render(width, width * 2 // 3 // 2 * 2))


def frames(width: int = 1536, stops: Sequence[float] = STOPS) -> list[NDArray[np.float32]]:
    """The room at several exposures as the camera renders it, float32 (H, W, 3) in [0, 1]."""
    from mefcli.demo.camera import photograph

    light = scene(width)
    return [photograph(light, stop, number) for number, stop in enumerate(stops)]


def frame_paths(folder: str | Path, kind: DemoKind, count: int = len(STOPS)) -> list[Path]:
    """What `make_bracket` writes."""
    return [Path(folder) / f"room_{number + 1}{suffixes_of(kind)[0]}" for number in range(count)]


def make_bracket(
    folder: str | Path,
    *,
    width: int = 1536,
    stops: Sequence[float] = STOPS,
    kind: DemoKind = "jpeg",
    light: NDArray[np.float32] | None = None,
) -> list[Path]:
    """Write the room as a bracket with EXIF into a folder: 8-bit JPEG or PNG, 16-bit TIFF, or RAW (DNG)."""
    from mefcli import storage
    from mefcli.demo.camera import mosaic, photograph
    from mefcli.demo.files import write_frame, write_raw

    light = scene(width) if light is None else light
    paths = frame_paths(folder, kind, len(stops))
    with storage.written_together(paths) as temporaries:
        for number, (stop, path) in enumerate(zip(stops, temporaries, strict=True)):
            exposure = Exposure(stop, number)
            with storage.words_for_trouble(paths[number]):
                if kind == "raw":
                    write_raw(path, mosaic(light, stop, number), exposure)
                    continue
                depth = 65535 if kind == "tiff" else 255
                levels = photograph(light, stop, number) * depth + 0.5
                write_frame(path, levels.astype(np.uint16 if kind == "tiff" else np.uint8), exposure)
    return paths
