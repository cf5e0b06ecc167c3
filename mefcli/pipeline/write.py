"""Finished pictures, or the aligned frames themselves, onto the disk: whole or not, and never onto a source.

Outputs are checked before anything is decoded. All are written beside their places, and moved there when all
are whole (`mefcli.storage`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mefcli import storage
from mefcli.errors import OutputError, UsageError, named
from mefcli.formats.table import DEPTH, LIGHT, WRITTEN, Format
from mefcli.job import Job
from mefcli.naming import same_name, trouble_on_windows
from mefcli.storage import OnNote
from mefcli.values import ALIGNED, Bracket, Fused, OnStep, Record, Stack, Step, silent

if TYPE_CHECKING:
    from mefcli.formats.values import Rows

SLASHES = tuple(slash for slash in (os.sep, os.altsep) if slash)
BeforeMove = Callable[[Sequence[tuple[Path, Path]]], None]


def default_output(first: Path, suffix: str = ".tif", ending: str = "fused") -> Path:
    return first.with_name(f"{first.stem}_{ending}{suffix}")


def output_named(output: str | Path, first: Path, suffix: str = ".tif", ending: str = "fused") -> Path:
    """The file that an output means: in a folder, one that is there or ends in a slash, it names itself."""
    text = os.fspath(output)
    if not text.endswith(SLASHES) and not os.path.isdir(text):  # noqa: PTH112 - what is no path is told later
        return Path(output)
    return Path(output) / default_output(first, suffix, ending).name


def frame_outputs(bracket: Bracket, folder: Path) -> list[Path]:
    """`<stem>_aligned.tif` for each frame, dark to bright, in a folder that is made if it is missing.

    Frames of one name are numbered.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}.", "Give another folder.") from error
    names: list[str] = []
    for path in bracket.paths:
        name, number = f"{path.stem}_aligned.tif", 2
        while same_name(Path(name)) in map(same_name, map(Path, names)):
            name, number = f"{path.stem}_aligned_{number}.tif", number + 1
        names.append(name)
    return [folder / name for name in names]


def depth_of(path: Path, job: Job) -> int:
    """Bits per channel that an output needs of the fusion."""
    format = WRITTEN[path.suffix.lower()]
    return 8 if format.fused_bits == 8 else job.bit_depth or format.fused_bits


def check_outputs(
    outputs: Sequence[Path],
    inputs: Sequence[Path],
    *,
    overwrite: bool = False,
    formats: Mapping[str, Format] = WRITTEN,
) -> None:
    """Everything that can be known to fail before the work begins."""
    for output in outputs:
        if output.suffix.lower() not in formats:
            what = "radiance" if formats is LIGHT else "depth" if formats is DEPTH else "pictures"
            told = output.suffix.lower() in LIGHT and formats is not DEPTH
            elsewhere = " mef hdr writes it." if told else ""
            raise UsageError(
                f"{output} has a suffix that is no format for {what} here.",
                f"Use one of: {', '.join(formats)}.{elsewhere}",
            )
        _check_name(output)
        if output.is_dir():
            raise UsageError(f"{output} is a folder.", f"Give a file name, such as {output / 'fused.tif'}.")
        for source in inputs:
            if _is_same(output, source):
                raise UsageError(
                    f"{output} is the source {source.name}.", "Sources are never touched: give another name."
                )
        if not overwrite:
            check_absent([output])
        storage.check_replaceable(output)
        storage.check_folder(output)
    targets = [same_name(output.resolve()) for output in outputs]
    if len(set(targets)) < len(targets):
        raise UsageError("Two outputs have the same name.", "Give each its own.")


def check_absent(outputs: Sequence[Path]) -> None:
    for output in outputs:
        if output.exists():
            raise storage.exists_already(output)


def check_codecs(outputs: Sequence[Path], job: Job, size_px: tuple[int, int] | None) -> None:
    """Formats that this installation cannot write, and pictures larger than a format's most."""
    from mefcli.formats.encoding import check_encoder

    for output in outputs:
        format = WRITTEN[output.suffix.lower()]
        check_encoder(format, job.compression)
        if format.most_px is not None and size_px is not None and max(size_px) > format.most_px:
            raise OutputError(
                f"{output} cannot hold {size_px[0]} x {size_px[1]} pixels: {format.title} files have at most "
                f"{format.most_px} along a side.",
                "Give the output another suffix, such as .tif.",
            )


def check_hdr(outputs: Sequence[Path], job: Job) -> None:
    """Light beyond white that none of the outputs can keep."""
    if not job.hdr or any(WRITTEN[output.suffix.lower()].hdr for output in outputs):
        return
    able = ", ".join(suffix for suffix, format in WRITTEN.items() if format.hdr)
    format = WRITTEN[outputs[0].suffix.lower()]
    why = ": its encoder cannot say in the file that it is there" if format.name == "jxl" else ""
    raise UsageError(
        f"mef writes no light beyond white into {format.title} files{why}.",
        f"With {named('hdr')}, write {able}; mef hdr writes the light itself, as {', '.join(LIGHT)}.",
    )


def _check_name(output: Path) -> None:
    """Names the system cannot take, and links in a circle."""
    if trouble := trouble_on_windows(output):
        raise OutputError(f"{output} cannot be written: {trouble}.", "Give the output another name.")
    try:
        output.exists()
        output.resolve()
    except OSError as error:
        raise OutputError(
            f"{output} cannot be written: {error.strerror}.", "Give the output another name."
        ) from error
    except (RuntimeError, ValueError) as error:  # a circle of links; a zero byte
        raise OutputError(f"{output} leads to no file: {error}.", "Give the output another name.") from error


def _is_same(output: Path, source: Path) -> bool:
    """The same file, also through symbolic and hard links."""
    try:
        return output.samefile(source)
    except OSError:
        return output.resolve() == source.resolve()


def write(
    fused: Fused,
    outputs: Sequence[Path],
    job: Job,
    on_step: OnStep = silent,
    on_note: OnNote = storage.ignored,
    before_move: BeforeMove = lambda moves: None,
) -> list[Path]:
    """One picture to every output; on any trouble none of them appears.

    `on_note` hears what a format could not hold and how that was met. `before_move` is shown each output with
    the file that is about to take its place, and may still refuse.
    """
    return _write([(output, fused) for output in outputs], job, on_step, on_note, before_move)


def write_frames(
    stack: Stack,
    outputs: Sequence[Path],
    job: Job,
    on_step: OnStep = silent,
    on_note: OnNote = storage.ignored,
) -> list[Path]:
    """Every frame of a stack to its output, with the metadata of the file it came from, at 16 bits."""
    record = Record(ALIGNED, None, job.settings, notes=stack.notes)
    frames = [
        Fused(replace(stack.bracket, reference=index), frame, stack.icc, record)
        for index, frame in enumerate(stack.frames)
    ]
    job = replace(job, bit_depth=job.bit_depth or 16)
    return _write(list(zip(outputs, frames, strict=True)), job, on_step, on_note)


def _write(
    pictures: Sequence[tuple[Path, Fused]],
    job: Job,
    on_step: OnStep,
    on_note: OnNote,
    before_move: BeforeMove = lambda moves: None,
) -> list[Path]:
    from mefcli import formats

    outputs = [output for output, _ in pictures]
    encoding = formats.Encoding(bit_depth=job.bit_depth, compression=job.compression, quality=job.quality)
    with storage.written_together(outputs, overwrite=job.overwrite, on_note=on_note) as temporaries:
        for index, ((output, fused), temporary) in enumerate(zip(pictures, temporaries, strict=True)):
            on_step(Step("write", index / len(outputs), output.name))
            metadata = formats.read_metadata(fused.bracket.shots[fused.bracket.reference].path)
            with storage.words_for_trouble(output):
                notes = formats.encode(
                    temporary,
                    fused.pixels,
                    icc=fused.icc,
                    metadata=metadata,
                    options=encoding,
                    record=fused.record,
                    gains=fused.gains,
                    light=_light(fused, output),
                )
            for note in notes:
                on_note(f"{output.name}: {note}")
        before_move(list(zip(outputs, temporaries, strict=True)))
    on_step(Step("write", 1.0))
    return outputs


def _light(fused: Fused, output: Path) -> Rows | None:
    """All the light of a picture, for a format whose picture it is."""
    if fused.gains is None or WRITTEN[output.suffix.lower()].hdr != "light":
        return None
    from mefcli.pipeline.beyond import Bright

    return Bright(fused)
