"""`mef depth`: a small depth map and a colour picture of one view in, a depth map of its size out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mefcli import api
from mefcli.cli import options as o
from mefcli.cli import screen, state
from mefcli.job import Job
from mefcli.options import FUSION, OUTPUT
from mefcli.pipeline.depth import Enlarged, enlarged_object
from mefcli.pipeline.write import output_named
from mefnets import DEFAULT_DEPTH_MODEL


@o.with_groups
def depth(
    low: Annotated[
        Path,
        typer.Argument(
            metavar="LOW",
            help="The depth map: 8 or 16 bits, or floating point; TIFF, PNG or .npy.",
            show_default=False,
        ),
    ],
    colour: Annotated[
        Path,
        o.PICTURES,
        typer.Argument(metavar="COLOUR", help="A colour picture of the same view.", show_default=False),
    ],
    output: Annotated[
        list[str],
        typer.Option(
            "--output",
            "-o",
            help="Where to write, the format by suffix: tif png npy. Several are possible. "
            "In a folder: <map>_depth.tif.",
            metavar="FILE",
            rich_help_panel=OUTPUT,
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="Enlarge by this model for depth, by name or weights file; or bicubic, or guided "
            "(the guided filter).",
            rich_help_panel=FUSION,
            autocompletion=o.complete_depth_models,
        ),
    ] = DEFAULT_DEPTH_MODEL,
    *,
    job: Annotated[Job, o.Only("weights", "device", "max_pixels", "overwrite")],
    talk: o.Talk,
) -> None:
    """Enlarge a depth map to the size of a colour picture, whose edges tell where the depth's own are.

    Both must show the same view; the map is 2 to 16 times smaller. Depth keeps its numbers: 16 bits stay 16
    bits, floating point stays floating point, in the unit they came in. Pixels that are 0 or no number have
    no depth: they stay so, and nothing of them spreads. Where depth is flat, nothing of the picture's texture
    comes into it. No source is changed.

    Examples:
    mef depth depth.png photo.jpg -o large.tif       16 bits in, 16 bits out
    mef depth lidar.npy photo.jpg -o large.npy       floating point
    mef depth depth.tif photo.cr3 -o large.tif -m bicubic   without a network
    """
    job = replace(job, model=model)
    pair = api.plan_depth(low, colour, job=job)
    outputs = [output_named(one, low, ending="depth") for one in output]
    with screen.Progress(seconds={"read": 0.5, "fuse": 4.0, "write": 0.5}) as bar:
        found = api.depth_files(pair, outputs, job=job, on_step=bar)
    for note in found.record.notes:
        screen.warn(note)
    if talk.json:
        screen.put_json(enlarged_object(found, outputs))
        return
    _show(found)
    for path in outputs:
        screen.put(path)


def _show(found: Enlarged) -> None:
    (height, width), (h, w) = found.pair.size, found.pair.low_size
    took = screen.seconds(sum(found.record.seconds.values()))
    screen.say(
        f"Enlarged depth of {w}x{h} to {width}x{height} pixels (x{found.pair.factor:.3g}) with "
        f"{found.record.model} in {took}."
    )
    if state.verbose:
        screen.say(f"Numbers: {found.numbers.dtype}. Peak memory: {found.record.peak_memory_mb} MB.")
