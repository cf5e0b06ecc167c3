"""A visible and a thermal picture of one view, from files to one picture with the visible one's colours.

The thermal frame is made ready first: grey, stretched where it is deeper than 8 bits, as large as the visible
one, and moved over it where the edges of both surely tell that it lies elsewhere (`mefcli.motion.bands`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mefcli.brackets.brightness import full_scale
from mefcli.brackets.pair import check_shapes
from mefcli.clock import Clock, peak_memory_mb
from mefcli.job import Job
from mefcli.pipeline import to_files
from mefcli.pipeline.read import decoded_one_by_one, to_one_depth
from mefcli.pipeline.results import Done
from mefcli.tasks import check_task
from mefcli.values import Bracket, Fused, OnStep, Pixels, Record, Step, silent
from mefnets.luma import BLUE, GREEN, RED

if TYPE_CHECKING:
    from mefnets.engine.fusion import Fusion

# Percentiles that become black and white: a person is a few pixels, dead ones are fewer.
COLD, HOT = 0.5, 99.9
COLOURED = 0.05  # mean difference of the channels beyond which a thermal frame is drawn in colours
SOFT = 0.05  # of the short side: a window that leaves no edge
A_LITTLE = 0.01  # and beyond which a picture has any


OnRead = Callable[[Sequence[Pixels], bytes | None], None]


def ignored(frames: Sequence[Pixels], icc: bytes | None) -> None:
    """The default `on_read`."""


def check(pair: Bracket, outputs: Sequence[Path], job: Job, fuser: Fusion | None = None) -> Fusion | None:
    """Refuse a run that cannot end well. The engine, if it is given or had to be loaded to be sure of it."""
    from mefcli.pipeline.check import check as check_all

    check_task("infrared", job)
    return check_all(pair, outputs, replace(job, align="off"), fuser, "infrared")  # a pair is measured small


def run(
    pair: Bracket, outputs: Sequence[Path], job: Job, on_step: OnStep = silent, fuser: Fusion | None = None
) -> Done:
    """One pair from files to files. What can fail is checked before the first pixel is decoded."""
    return to_files(check, make, pair, outputs, job, on_step, fuser)


def make(
    pair: Bracket,
    job: Job,
    on_step: OnStep = silent,
    fuser: Fusion | None = None,
    *,
    depth: int | None = None,
    clock: Clock | None = None,
    on_read: OnRead = ignored,
) -> Fused:
    """One pair from files to a picture in memory. `on_read` is shown the frames as they are fused."""
    from mefcli.pipeline.check import check_engine, check_frames
    from mefcli.pipeline.fuse import check_result, load_fuser, weights_of
    from mefnets.engine.frames import grid_of

    check_task("infrared", job)
    check_frames(pair, job)
    clock = clock or Clock()
    fuser = fuser or check_engine(job, "infrared")
    with clock("read"):
        frames, icc, notes = prepared(pair, job, on_step)
        on_read(frames, icc)
    with clock("load"):
        fuser = fuser or load_fuser(job.model, weights=job.weights, device=job.device, half=job.half)
    with clock("fuse"):
        pixels = fused_by(fuser, frames, job, on_step, depth or job.bit_depth or 16)
    check_result(pixels, [grid_of(frame) for frame in frames], fuser.spec.name)
    record = Record(
        model=fuser.spec.name,
        weights_sha256=weights_of(fuser),
        settings=job.settings,
        seconds=clock.seconds,
        peak_memory_mb=peak_memory_mb(),
        notes=(*pair.notes, *notes, *fuser.notes),
        sources=tuple(path.name for path in pair.paths),
    )
    return Fused(pair, pixels, icc, record)


def fused_by(fuser: Fusion, frames: Sequence[Pixels], job: Job, on_step: OnStep, depth: int) -> Pixels:
    """The first frame is the visible one, however bright."""

    def step(done: float, note: str) -> None:
        on_step(Step("fuse", done, note))

    pixels: Pixels = fuser.fuse(
        frames,
        (0.0, 1.0),
        resolution=job.resolution,
        working_size_mp=job.working_size,
        max_memory_mb=job.max_memory,
        depth=depth,
        on_step=step,
    )
    return pixels


def prepared(
    pair: Bracket, job: Job, on_step: OnStep = silent
) -> tuple[list[Pixels], bytes | None, list[str]]:
    """The frames as they are fused, the visible one's profile, and what to tell."""
    read = decoded_one_by_one(pair, job)
    on_step(Step("read", 0.0, pair.paths[0].name))
    visible = read(0)
    on_step(Step("read", 0.5, pair.paths[1].name))
    found = read(1)
    notes = [*visible.notes, *found.notes]
    name = pair.paths[1].name
    size, own = _size(visible.pixels), _size(found.pixels)
    check_shapes(pair.shots[0], size, pair.shots[1], own)
    thermal, words = stretched(found.pixels)
    notes += [f"{name}: {words}." for words in words]
    if _colour(visible.pixels) == 0 and _colour(found.pixels) > A_LITTLE:
        first = pair.paths[0].name
        notes.append(f"{first} is grey, {name} has colours: if {first} is the infrared one, swap the two.")
    if own != size:
        import cv2

        how = cv2.INTER_CUBIC if own[0] < size[0] else cv2.INTER_AREA
        thermal = cv2.resize(thermal, size, interpolation=how)
        notes.append(f"{name}: brought from {own[0]}x{own[1]} to {size[0]}x{size[1]} pixels.")
    if job.align != "off":
        on_step(Step("align", 0.0, name))
        thermal, words = laid_over(visible.pixels, thermal)
        notes += [f"{name}: {words}." for words in words]
    on_step(Step("read", 1.0))
    frames: list[Pixels] = [visible.pixels, np.repeat(thermal[..., None], 3, axis=2)]
    to_one_depth(frames)
    return frames, visible.icc, notes


def as_laid(visible: Pixels, thermal: Pixels, *, align: str) -> Pixels:
    """A thermal frame as it is fused, (H, W, 3), of frames that may be reduced, for a page."""
    import cv2

    grey = cv2.resize(stretched(thermal)[0], _size(visible), interpolation=cv2.INTER_AREA)
    if align != "off":
        grey, _ = laid_over(visible, grey)
    return np.repeat(grey[..., None], 3, axis=2)


def laid_over(visible: Pixels, thermal: NDArray[Any]) -> tuple[NDArray[Any], list[str]]:
    """The thermal frame, (H, W), where it belongs, and what to tell: nothing of one that fits."""
    import cv2

    from mefcli.motion.bands import matched

    grey = visible.astype(np.float32) @ (np.array([RED, GREEN, BLUE], np.float32) / full_scale(visible))
    match = matched(grey, thermal.astype(np.float32) / np.float32(np.iinfo(thermal.dtype).max))
    if not match.sure:
        return thermal, ["its edges do not tell how it lies; it was not moved"]
    if not match.moves:
        return thermal, []
    height, width = thermal.shape
    matrix = match.matrix(width, height)
    how = {"flags": cv2.INTER_CUBIC, "borderMode": cv2.BORDER_REPLICATE}
    moved: NDArray[Any] = cv2.warpAffine(thermal, matrix, (width, height), **how)
    # Beyond its edge nothing is known; drawn out it would leave streaks that look like edges of warmth.
    covered = cv2.warpAffine(np.ones(thermal.shape, np.uint8), matrix, (width, height))
    side = round(SOFT * min(width, height)) | 1
    moved = np.where(covered > 0, moved, cv2.blur(moved, (side, side)))
    right, down = match.right * min(width, height), match.down * min(width, height)
    return moved, [
        f"moved {abs(right):.0f} px {'right' if right > 0 else 'left'} and {abs(down):.0f} px "
        f"{'down' if down > 0 else 'up'}, scaled by {match.scale:.3f}, as its edges tell"
    ]


def stretched(pixels: Pixels) -> tuple[NDArray[Any], list[str]]:
    """A thermal frame as grey (H, W) integers, and what to tell.

    A deep one is stretched from its coldest to its hottest pixels, but for a few.
    """
    words = []
    full = full_scale(pixels)
    if _colour(pixels) > COLOURED:
        words.append("it is drawn in colours; only their brightness was taken")
    if (pixels == pixels[..., :1]).all():
        grey = pixels[..., 0].astype(np.float32)
    else:
        grey = pixels.astype(np.float32) @ np.array([RED, GREEN, BLUE], np.float32)
    if pixels.dtype == np.uint8:
        return np.rint(grey).astype(np.uint8), words
    low, high = (float(value) for value in np.percentile(grey, (COLD, HOT)))
    if high > low:
        words.append(f"stretched from {_shown(low, full)} to {_shown(high, full)}")
    else:
        low, high = 0.0, full
    grey = np.clip((grey - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.rint(grey * 65535).astype(np.uint16), words


def _colour(pixels: Pixels) -> float:
    """Mean difference of the channels, of the full scale."""
    some = pixels[::7, ::7].astype(np.float32)
    return float((some.max(2) - some.min(2)).mean()) / full_scale(pixels)


def _shown(value: float, full: float) -> str:
    return f"{value:.3g}" if full == 1.0 else f"{value:.0f}"


def _size(pixels: Pixels) -> tuple[int, int]:
    return pixels.shape[1], pixels.shape[0]
