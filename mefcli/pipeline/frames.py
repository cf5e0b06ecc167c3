"""Aligned frames onto the disk, one 16-bit TIFF each, with the metadata of the file it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mefcli.errors import OutputError
from mefcli.job import Job
from mefcli.values import ALIGNED, Bracket, Fused, OnStep, Pixels, Record, Stack, Step, silent


def frame_outputs(bracket: Bracket, folder: Path) -> list[Path]:
    """`<stem>_aligned.tif` for each frame, dark to bright; frames of one name are numbered."""
    names: list[str] = []
    for path in bracket.paths:
        name, number = f"{path.stem}_aligned.tif", 2
        while name in names:
            name, number = f"{path.stem}_aligned_{number}.tif", number + 1
        names.append(name)
    return [folder / name for name in names]


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {folder} cannot be made: {error.strerror}.", "Give another."
        ) from error


def write_frames(stack: Stack, outputs: Sequence[Path], job: Job, on_step: OnStep = silent) -> list[Path]:
    """Every frame of the stack to its output, each safely as a fused picture would be."""
    from mefcli.pipeline.write import write

    record = Record(ALIGNED, None, job.settings, notes=stack.notes)
    job = replace(job, bit_depth=job.bit_depth or 16)
    written: list[Path] = []
    for index, (frame, output) in enumerate(zip(stack.frames, outputs, strict=True)):
        on_step(Step("write", index / len(outputs), output.name))
        own = replace(stack.bracket, reference=index)  # the metadata is the frame's own
        written += write(Fused(own, _deep(frame, job), stack.icc, record), [output], job)
    on_step(Step("write", 1.0))
    return written


def _deep(frame: Pixels, job: Job) -> Pixels:
    if frame.dtype == np.uint8 and job.bit_depth == 16:
        deeper: Pixels = frame.astype(np.uint16) * np.uint16(257)
        return deeper
    return frame
