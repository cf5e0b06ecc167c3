"""`mef demo`: a rendered room, photographed as a bracket and fused."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mefcli import api
from mefcli.cli import options as o
from mefcli.cli import screen
from mefcli.errors import OutputError
from mefcli.job import Job
from mefcli.pipeline.results import result_object
from mefcli.pipeline.write import check_outputs
from mefcli.values import OnStep, Step

USUAL = Path("mef-demo")
Folder = Annotated[
    Path, typer.Argument(metavar="[DIR]", help="Folder for the pictures; made if it is missing.")
]
Raw = Annotated[bool, typer.Option("--raw", help="Photograph in RAW (DNG) instead of JPEG.")]
Width = Annotated[int, typer.Option("--width", help="Width of the pictures in pixels.", min=96, max=12000)]


@o.with_groups
def demo(
    folder: Folder = USUAL,
    raw: Raw = False,
    width: Width = 1536,
    *,
    job: Annotated[Job, o.Only("model", "hdr", "headroom", "overwrite")],
    talk: o.Talk,
) -> None:
    """Photograph a rendered room as a bracket and fuse it.

    Nothing is downloaded: the room, with a bright window in it, is computed. It is photographed at five
    exposures, two stops apart, and the bracket is fused into a 16-bit TIFF and a JPEG.

    Examples:
    mef demo                  everything into mef-demo/, or mef-demo-2/ where that holds one already
    mef demo /tmp/room --raw  a RAW bracket (DNG), developed and fused
    mef demo --hdr            the JPEG also holds the light of lamp and window, for screens that show it
    """
    folder = folder if job.overwrite else _free(folder)
    with screen.Progress() as progress:
        paths = _photograph(folder, raw=raw, width=width, overwrite=job.overwrite, on_step=progress)
        outputs = [folder / "room_fused.tif", folder / "room_fused.jpg"]
        result = api.fuse_files(paths, outputs, job=replace(job, align="off"), on_step=progress)
    if talk.json:
        screen.put_json(result_object(result))
        return
    screen.say(f"The bracket: {paths[0]} to {paths[-1].name}, {len(paths)} exposures two stops apart.")
    screen.say(f"Fused with {result.record.model}; look at {outputs[1]} first.")
    for path in (*paths, *outputs):
        screen.put(path)


def _free(folder: Path) -> Path:
    """The usual folder, or the first like it that is empty; a folder of another name is taken at its word."""
    if folder != USUAL:
        return folder
    places = itertools.chain([folder], (Path(f"{folder}-{number}") for number in itertools.count(2)))
    return next(place for place in places if not place.is_dir() or not any(place.iterdir()))


def _photograph(folder: Path, *, raw: bool, width: int, overwrite: bool, on_step: OnStep) -> list[Path]:
    from mefcli.demo import frame_paths, make_bracket
    from mefcli.storage import exists_already

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}.", "Give another folder.") from error
    check_outputs([folder / "room_fused.tif", folder / "room_fused.jpg"], [], overwrite=overwrite)
    for path in frame_paths(folder, "raw" if raw else "jpeg"):
        if path.exists() and not overwrite:
            raise exists_already(path)
    on_step(Step("discover", 0.0, "(rendering the room)"))
    return make_bracket(folder, width=width, kind="raw" if raw else "jpeg")
