"""Other programs' alignment on the same cases, for `mef bench`: OpenCV's AlignMTB and Hugin's."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mefcli.bench.motion_cases import Case
from mefcli.motion.chain import place_all
from mefcli.motion.geometry import IDENTITY
from mefcli.motion.reduced import reduce
from mefcli.values import Matrix


def ours(case: Case) -> list[Matrix | None]:
    """`mef align`; None where it does not trust what it found."""
    placed = place_all(reduce(case.frames), case.reference)
    return [one.matrix if one.trusted else None for one in placed]


def align_mtb(case: Case) -> list[Matrix | None]:
    """OpenCV's median threshold bitmaps with its defaults: whole-pixel shifts."""
    import cv2

    matcher = cv2.createAlignMTB()
    greys = [cv2.cvtColor(_eight_bits(frame), cv2.COLOR_RGB2GRAY) for frame in case.frames]
    found: list[Matrix | None] = []
    for index, grey in enumerate(greys):
        matrix = IDENTITY.copy()
        if index != case.reference:
            shift = matcher.calculateShift(greys[case.reference], grey)
            matrix[:2, 2] = -shift[0], -shift[1]
        found.append(matrix)
    return found


def has_hugin() -> bool:
    return shutil.which("align_image_stack") is not None and shutil.which("nona") is not None


def align_image_stack(case: Case) -> list[Matrix | None]:
    """Hugin's align_image_stack with its defaults.

    Its project file is then rendered by `nona` on pictures whose colours are coordinates, which says exactly
    where each pixel went without a word about Hugin's conventions.
    """
    import cv2

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index, frame in enumerate(case.frames):
            cv2.imwrite(str(folder / f"f{index}.tif"), _eight_bits(frame)[..., ::-1])
        files = [f"f{index}.tif" for index in range(len(case.frames))]
        command = ["align_image_stack", "-p", "out.pto", *files]
        if subprocess.run(command, cwd=folder, capture_output=True, timeout=600, check=False).returncode:
            return [None] * len(files)
        width, height = case.size_px
        xs, ys = np.meshgrid(np.arange(width), np.arange(height))
        ramp = np.stack([np.full_like(xs, 30000), ys * 4 + 8000, xs * 4 + 8000], axis=2).astype(np.uint16)
        for file in files:
            cv2.imwrite(str(folder / file), ramp)
        command = ["nona", "-m", "TIFF_m", "-o", "r", "-p", "UINT16", "out.pto", *files]
        if subprocess.run(command, cwd=folder, capture_output=True, timeout=600, check=False).returncode:
            return [None] * len(files)
        places = [_coordinates(folder / f"r{index:04d}.tif") for index in range(len(files))]
    return [_fit(places[case.reference], place) for place in places]


def _coordinates(path: Path) -> tuple[NDArray[np.float64], NDArray[np.bool_]] | None:
    """Source (x, y) of a sparse grid of output pixels, and where there is any."""
    import tifffile

    if not path.is_file():
        return None
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        data = page.asarray().astype(np.float64)
        offset = [page.tags[name].value for name in ("XPosition", "YPosition", "XResolution", "YResolution")]
    (xp, xq), (yp, yq), (xr, xs), (yr, ys) = offset
    left, top = round(xp / xq * xr / xs), round(yp / yq * yr / ys)
    height, width = data.shape[:2]
    canvas = np.full((top + height + 2, left + width + 2, 2), np.nan)
    seen = data[..., 3] > 65000
    canvas[top : top + height, left : left + width] = np.where(
        seen[..., None], (data[..., :2] - 8000) / 4, np.nan
    )
    return canvas, ~np.isnan(canvas[..., 0])


def _fit(
    reference: tuple[NDArray[np.float64], NDArray[np.bool_]] | None,
    frame: tuple[NDArray[np.float64], NDArray[np.bool_]] | None,
) -> Matrix | None:
    import cv2

    if reference is None or frame is None:
        return None
    height = min(reference[1].shape[0], frame[1].shape[0])
    width = min(reference[1].shape[1], frame[1].shape[1])
    rows, columns = np.meshgrid(np.arange(20, height - 20, 25), np.arange(20, width - 20, 25), indexing="ij")
    both = reference[1][rows, columns] & frame[1][rows, columns]
    if both.sum() < 8:
        return None
    start, end = (one[0][rows, columns][both] for one in (reference, frame))
    matrix, _ = cv2.findHomography(start, end, 0)
    return None if matrix is None else np.asarray(matrix, np.float64)


def _eight_bits(frame: Sequence[object] | NDArray[np.generic]) -> NDArray[np.uint8]:
    picture = np.asarray(frame)
    if picture.dtype == np.uint16:
        return (picture >> 8).astype(np.uint8)
    return picture.astype(np.uint8)
