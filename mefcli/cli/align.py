"""`mef align`: the frames of a bracket brought together, without fusing them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mefcli import api
from mefcli.cli import options as o
from mefcli.cli import screen, state
from mefcli.job import Align, Job
from mefcli.pipeline.results import plan_object
from mefcli.values import Stack

_JOB = Job()


def align(
    files: o.Files,
    folder: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder for the aligned frames; made if missing.", metavar="DIR"),
    ],
    model: Annotated[
        Align,
        typer.Option("--align", help="Motion to look for; auto takes the simplest that explains it."),
    ] = _JOB.align,
    crop: o.Crop_ = _JOB.crop,
    deghost: o.Deghost = _JOB.deghost,
    reference: o.Reference = _JOB.reference,
    debug_dir: Annotated[
        Path | None, typer.Option("--debug-dir", help="With --deghost: write masks and confidence maps here.")
    ] = None,
    ev: o.Ev = None,
    strict: o.Strict = _JOB.strict,
    max_pixels: o.MaxPixels = _JOB.max_pixels,
    raw_or_jpeg: o.RawOrJpeg_ = _JOB.raw_or_jpeg,
    raw_space: o.RawSpace_ = _JOB.raw_space,
    raw_wb: o.RawWb = _JOB.raw_wb,
    highlights: o.Highlights_ = _JOB.highlights,
    compression: o.Compression_ = _JOB.compression,
    overwrite: o.Overwrite = _JOB.overwrite,
    json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Align the frames of one bracket and write each as a 16-bit TIFF with its own metadata.

    Frames that did not move keep their pixels bit for bit. A frame with too little detail in common with the
    others stays where it is, and is named.

    Examples:
    mef align IMG_01.jpg IMG_02.jpg IMG_03.jpg -o aligned
    mef align *.CR3 -o aligned --crop reference       keep the reference's size
    mef align *.jpg -o still --deghost auto           show people who walked by once
    """
    from mefcli.pipeline.align import AlignSettings
    from mefcli.pipeline.align import align as align_stack
    from mefcli.pipeline.deghost import DeghostSettings
    from mefcli.pipeline.deghost import deghost as deghost_stack
    from mefcli.pipeline.frames import frame_outputs, make_folder, write_frames
    from mefcli.pipeline.read import read
    from mefcli.pipeline.write import check_outputs

    state.set_talk(silent=quiet, talkative=verbose)
    job = Job(
        align=model,
        crop=crop,
        deghost=deghost,
        reference=reference,
        strict=strict,
        max_pixels=max_pixels,
        raw_or_jpeg=raw_or_jpeg,
        raw_space=raw_space,
        raw_wb=raw_wb,
        highlights=highlights,
        compression=compression,
        overwrite=overwrite,
    )
    bracket = api.plan(files, ev=o.parse_evs(ev), reference=reference, raw_or_jpeg=raw_or_jpeg)
    outputs = frame_outputs(bracket, folder)
    make_folder(folder)
    check_outputs(outputs, bracket.paths, overwrite=overwrite)
    with screen.Progress() as progress:
        stack = align_stack(
            read(bracket, job, progress), AlignSettings(model=model, crop=crop, strict=strict), progress
        )
        if deghost != "off":
            settings = DeghostSettings(
                strength="auto" if deghost == "auto" else int(deghost),
                reference="auto" if reference is None else bracket.reference + 1,
                debug_dir=debug_dir,
            )
            stack = deghost_stack(stack, settings, progress)
        written = write_frames(stack, outputs, job, progress)
    _show(stack, written, json=json)


def _show(stack: Stack, written: list[Path], *, json: bool) -> None:
    findings: list[dict[str, Any]] = stack.extras.get("alignment", [])
    for note in stack.notes:
        screen.warn(note)
    if json:
        height, width = stack.frames[0].shape[:2]
        report = {
            **plan_object(stack.bracket, written),
            "size_px": [width, height],
            "alignment": findings,
            "ghosts": stack.extras.get("ghosts"),
            "warnings": list(stack.notes),
        }
        screen.put_json(report)
        return
    for one in findings:
        moved = "not moved" if one["kept_identity"] else f"{one['model']}, {one['moved_px']:.1f} px"
        screen.say(f"{one['frame']}: {moved}, confidence {one['confidence']:.2f}")
    for ghosts in stack.extras.get("ghosts", []):
        if ghosts["share"]:
            screen.say(f"{ghosts['frame']}: {100 * ghosts['share']:.1f} % moved and was replaced")
    for path in written:
        print(path)
