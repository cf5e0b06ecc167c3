"""`mef hdr`: one bracket in, the light of its scene out."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from mefcli import api
from mefcli.cli import options as o
from mefcli.cli import screen, state
from mefcli.cli.photograph import first_named
from mefcli.job import Job
from mefcli.options import FRAMES, FUSION, OUTPUT, RAW
from mefcli.pipeline.light import Lit, lit_object
from mefcli.pipeline.write import output_named


@o.with_groups
def hdr(
    files: o.Files,
    output: Annotated[
        list[str],
        typer.Option(
            "--output",
            "-o",
            help="Where to write, the format by suffix: exr hdr tif. Several are possible. "
            "In a folder: <first file>_light.exr.",
            metavar="FILE",
            rich_help_panel=OUTPUT,
        ),
    ],
    ev: o.Ev = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="A network for three frames of a moving scene, by name or weights file: what moved is as "
            "the middle one saw it.",
            rich_help_panel=FUSION,
            autocompletion=o.complete_moving_models,
        ),
    ] = None,
    *,
    job: Annotated[Job, o.Only(FRAMES, RAW, "weights", "device", "bit_depth", "compression", "overwrite")],
    talk: o.Talk,
) -> None:
    """Merge one bracket into the radiance of its scene: linear light, brighter than white where the scene is.

    For further work in other programs; a photograph is what mef fuse makes. RAW frames are merged from what
    the sensor counted, others through the camera's response, which the bracket itself tells. 1 is the white
    of the reference frame. OpenEXR holds 16-bit floating point, with --bit-depth 32 twice that.

    Examples:
    mef hdr *.CR3 -o scene.exr                       from RAW
    mef hdr *.jpg -o scene.exr -o scene.hdr          OpenEXR and Radiance
    mef hdr *.tif --ev -2,0,2 -o scene.tif           32-bit TIFF, exposures given
    mef hdr *.CR3 -o scene.exr --profile prophoto    primaries that hold every colour
    mef hdr *.jpg -o scene.exr --model mgdn-moving   three frames in which people walk
    """
    if model is not None:
        job = replace(job, model=model)
        api.check_light(job)
    bracket = api.plan(files, ev=ev, job=job)
    first = first_named(files, bracket)
    outputs = [output_named(one, first, ".exr", "light") for one in output]
    with screen.Progress(
        seconds={"read": 2.0, "align": 1.5, "deghost": 0.0, "merge": 0.2, "write": 2.0}
    ) as bar:
        lit = api.light_files(bracket, outputs, job=job, on_step=bar)
    for note in lit.record.notes:
        screen.warn(note)
    if talk.json:
        screen.put_json(lit_object(lit, outputs))
        return
    _show(lit)
    for path in outputs:
        screen.put(path)


def _show(lit: Lit) -> None:
    height, width, _ = lit.radiance.shape
    took = screen.seconds(sum(lit.record.seconds.values()))
    screen.say(
        f"Merged {len(lit.bracket.shots)} frames into {width}x{height} pixels of light in {took}: "
        f"{lit.response}; {lit.primaries.name}."
    )
    if state.verbose:
        exposures = ", ".join(f"{ev:+.2f}" for ev in lit.evs)
        screen.say(f"Exposures in stops: {exposures}. Peak memory: {lit.record.peak_memory_mb} MB.")
