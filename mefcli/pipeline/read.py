"""From files to pixels: all frames of a bracket decoded, two at a time, to one depth and one colour space."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from mefcli.errors import MismatchError
from mefcli.job import Job
from mefcli.values import Bracket, OnStep, Pixels, Shot, Stack, Step, silent

if TYPE_CHECKING:
    from mefcli.formats import Development, Picture

THREADS = 2  # decoding a third at once gains little and costs a frame's memory


def read(
    bracket: Bracket, job: Job, on_step: OnStep = silent, *, development: Development | None = None
) -> Stack:
    """`development` is how RAW frames are developed, where that is not as the job says."""
    from mefcli.pipeline.check import check_frames

    check_frames(bracket, job)
    pictures = _decode(bracket.shots, development or _development(bracket, job), job, on_step)
    for shot, picture in zip(bracket.shots, pictures, strict=True):
        same_size(shot, picture.pixels.shape[1::-1], bracket.shots[0], pictures[0].pixels.shape[1::-1])
    icc = one_profile(bracket, pictures)
    notes = dict.fromkeys((*bracket.notes, *(note for picture in pictures for note in picture.notes)))
    frames = [picture.pixels for picture in pictures]
    del pictures  # frames of another depth are let go one by one
    to_one_depth(frames)
    return Stack(bracket, frames, icc, tuple(notes))


def _development(bracket: Bracket, job: Job) -> Development | None:
    """One way of developing for all RAW files of a bracket."""
    from mefcli import formats

    raws = [shot for shot in bracket.shots if shot.kind == "raw"]
    if not raws:
        return None
    return formats.bracket_development(
        raws, wb=job.raw_wb, space=job.raw_space, highlights=job.raw_highlights
    )


def decoded_one_by_one(bracket: Bracket, job: Job) -> Callable[[int], Picture]:
    """Gives the frame of a number, decoded; nothing is kept."""
    development = _development(bracket, job)
    return lambda index: _decoded(bracket.shots[index], development, job)


def _decoded(shot: Shot, development: Development | None, job: Job) -> Picture:
    from mefcli import formats

    return formats.decode(
        shot.path, development if shot.kind == "raw" else None, max_pixels=int(job.max_pixels * 1e6)
    )


def _decode(
    shots: Sequence[Shot], development: Development | None, job: Job, on_step: OnStep
) -> list[Picture]:
    from mefcli.pipeline.check import check_pixels

    done = 0
    lock = threading.Lock()
    on_step(Step("read", 0.0, f"{len(shots)} frames"))

    def decode(shot: Shot) -> Picture:
        nonlocal done
        picture = _decoded(shot, development, job)
        if not done:  # what its header did not tell
            check_pixels(picture.pixels, len(shots), job)
        with lock:
            done += 1
            on_step(Step("read", done / len(shots), shot.path.name))
        return picture

    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="decode")
    try:
        return list(pool.map(decode, shots))
    finally:
        # After an error or Ctrl-C the frames still waiting are not begun.
        pool.shutdown(wait=True, cancel_futures=True)


def same_size(shot: Shot, size_px: tuple[int, ...], first: Shot, first_px: tuple[int, ...]) -> None:
    """Refuse a frame whose (width, height) is not that of the first."""
    if size_px != first_px:
        raise MismatchError(
            f"{shot.path.name} has {size_px[0]}x{size_px[1]} pixels, "
            f"{first.path.name} {first_px[0]}x{first_px[1]}.",
            "Frames of one bracket have one size.",
        )


def one_profile(bracket: Bracket, pictures: Sequence[Picture]) -> bytes | None:
    """The profile all frames share, by what it means and not by its name. Untagged pictures count as sRGB."""
    from mefcli.formats.spaces import mixed, same_space, space_name

    profiles = [picture.icc for picture in pictures]
    reference, chosen = profiles[bracket.reference], bracket.paths[bracket.reference]
    for shot, profile in zip(bracket.shots, profiles, strict=True):
        if not same_space(profile, reference):
            raise mixed(chosen, space_name(reference), shot.path, space_name(profile))
    return reference or next((profile for profile in profiles if profile), None)


def to_one_depth(frames: list[Pixels]) -> None:
    """Bring all frames, in their places, to the deepest of their depths, without loss."""
    kinds = {frame.dtype.name for frame in frames}
    if len(kinds) == 1:
        return
    for index, frame in enumerate(frames):
        if "float32" in kinds:
            frames[index] = as_float(frame)
        elif frame.dtype == np.uint8:
            frames[index] = frame.astype(np.uint16) * np.uint16(257)


def as_float(frame: Pixels) -> Pixels:
    if frame.dtype == np.float32:
        return frame
    scale = np.float32(1 / 255 if frame.dtype == np.uint8 else 1 / 65535)
    scaled: Pixels = frame.astype(np.float32) * scale
    return scaled
