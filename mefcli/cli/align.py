"""`mef align`: the frames of a bracket brought together, without fusing them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mefcli import api
from mefcli.cli import options as o
from mefcli.cli import screen
from mefcli.job import Job
from mefcli.options import FRAMES, RAW
from mefcli.pipeline.results import alignment_objects, ghost_objects, plan_object
from mefcli.values import Stack


@o.with_groups
def align(
    files: o.Files,
    folder: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder for the aligned frames; made if missing.", metavar="DIR"),
    ],
    ev: o.Ev = None,
    *,
    job: Annotated[Job, o.Only(FRAMES, RAW, "compression", "overwrite")],
    talk: o.Talk,
) -> None:
    """Align the frames of one bracket and write each as a 16-bit TIFF with its own metadata.

    Frames that did not move keep their pixels bit for bit. A frame with too little detail in common with the
    others stays where it is, and is named.

    Examples:
    mef align IMG_01.jpg IMG_02.jpg IMG_03.jpg -o aligned
    mef align *.CR3 -o aligned --crop common          only what every frame saw
    mef align *.jpg -o still --deghost auto           show people who walked by once
    """
    from mefcli.pipeline.write import check_outputs, frame_outputs, write_frames

    bracket = api.plan(files, ev=ev, job=job)
    outputs = frame_outputs(bracket, folder)
    check_outputs(outputs, bracket.paths, overwrite=job.overwrite)
    with screen.Progress() as progress:
        stack = api.prepare(bracket, job=job, on_step=progress)
        notes = list(stack.notes)
        written = write_frames(stack, outputs, job, progress, notes.append)
    _show(stack, written, notes, json=talk.json)


def _show(stack: Stack, written: list[Path], notes: list[str], *, json: bool) -> None:
    findings = alignment_objects(stack.bracket, stack.alignment) or []
    ghosts = ghost_objects(stack.bracket, stack.ghosts)
    for note in notes:
        screen.warn(note)
    if json:
        height, width = stack.frames[0].shape[:2]
        told = {
            **plan_object(stack.bracket, written),
            "size_px": [width, height],
            "alignment": findings,
            "box_px": list(stack.alignment.box) if stack.alignment else None,
            "ghosts": ghosts,
            "warnings": notes,
        }
        screen.put_json(told)
        return
    for one in findings:
        moved = "not moved" if one["kept_identity"] else f"{one['model']}, {one['moved_px']:.1f} px"
        screen.say(f"{one['frame']}: {moved}, confidence {one['confidence']:.2f}")
    for ghost in ghosts or []:
        if ghost["share"]:
            screen.say(f"{ghost['frame']}: {100 * ghost['share']:.1f} % moved and was replaced")
    for path in written:
        screen.put(path)
