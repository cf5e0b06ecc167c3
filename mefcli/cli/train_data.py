"""`mef train pack` and `mef train preview`: the training data in one file, and on a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mefcli.cli.screen import say

DataOption = Annotated[
    Path, typer.Option("--data", help="The training folder, or the file that mef train pack made.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")]
RunsOption = Annotated[Path, typer.Option("--runs", help="Where runs and the data cache are kept.")]


def pack(
    data: DataOption,
    out: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("train.mefdata"),
    overwrite: Overwrite = False,
) -> None:
    """Pack the training data into one file: mef's free pictures, or a folder of scenes of your own.

    Scenes are understood as SICE, Kalantari's, NYU (depth), multi-focus and other pairs are distributed, and
    as one folder a scene. They are split by a hash of their names, unless train/ and val/ or test/ lie above.

    Examples:
    mef train pack --data free_pictures -o train.mefdata
    mef train pack --data SICE -o sice.mefdata
    """
    from mefcli.storage import check_new
    from mefcli.training.pack import content_hash
    from mefcli.training.pack import pack as pack_folder

    check_new(out, overwrite=overwrite)
    if (data / "split.csv").is_file():
        words = f"{len(pack_folder(data, out))} pictures"
    else:
        from mefcli.training.recorded_pack import pack_scenes
        from mefcli.training.scenes import find

        found = find(data)
        pack_scenes(found, out)
        words = found.words().rstrip(".")
    say(f"{words}, {out.stat().st_size / 1e6:.1f} MB, SHA-256 {content_hash(out)}")
    typer.echo(out)


def preview(
    data: DataOption,
    out: Annotated[Path, typer.Option("--output", "-o", help="The contact sheet to write.")] = Path(
        "sheet.jpg"
    ),
    runs: RunsOption = Path("runs"),
    model: Annotated[str | None, typer.Option("--model", "-m", help="As this network's recipe asks.")] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Brackets.")] = 16,
    frames: Annotated[int | None, typer.Option("--frames", min=2, max=9)] = None,
    lopsided: Annotated[float, typer.Option("--lopsided", help="Share of all-under, all-over.")] = 0.0,
    misaligned: Annotated[float, typer.Option("--misaligned", help="Share with motion.")] = 0.0,
    targets: Annotated[bool, typer.Option("--targets", help="Show the supervised targets, too.")] = False,
    held_out: Annotated[bool, typer.Option("--held-out", help="From the validation scenes.")] = False,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write a contact sheet of simulated brackets.

    Examples:
    mef train preview --data train.mefdata --frames 3 -o sheet.jpg
    """
    from dataclasses import replace

    import cv2

    from mefcli.errors import UsageError
    from mefcli.formats.table import suffixes_of
    from mefcli.storage import check_new, write_bytes
    from mefcli.training.prepare import simulator_for, source_at
    from mefcli.training.preview import sheet
    from mefcli.training.settings import find_recipe
    from mefnets.recipe import Data

    if out.suffix.lower() not in (usual := suffixes_of("jpeg", "png")):
        raise UsageError(f"{out.name} should end in {' or '.join(usual)}.")
    check_new(out, overwrite=overwrite)
    store = source_at(data, runs / "cache", say)
    wanted = find_recipe(model).data if model else Data(crop_px=192, lopsided=lopsided, misaligned=misaligned)
    wanted = replace(wanted, target=targets or wanted.target)
    part: Literal["train", "val"] = "val" if held_out else "train"
    picture = sheet(simulator_for(store, wanted, seed, part), count, frames)
    _, coded = cv2.imencode(out.suffix, picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    write_bytes(out, coded.tobytes(), overwrite=overwrite)
    typer.echo(out)


def niqe(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Photographs, also in folders below.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file of the model.")],
    overwrite: Overwrite = False,
) -> None:
    """Fit NIQE's model of photographs: the statistics of the sharp blocks of well exposed pictures.

    The one that mef eval --metrics NIQE measures by is fitted on the free photographs that the networks learn
    from.

    Examples:
    mef train niqe TRAIN/photos -o naturalness.npz
    """
    from mefcli.errors import InputError
    from mefcli.evaluation.metrics.naturalness import BLOCK_PX, fit, save
    from mefcli.evaluation.metrics.picture import Picture
    from mefcli.evaluation.scenes import read_pixels
    from mefcli.formats.table import OPENCV_READS
    from mefcli.storage import check_new, write_bytes

    check_new(output, overwrite=overwrite)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in OPENCV_READS)
    pictures = (Picture(read_pixels(path)) for path in paths)
    large = [picture.gray for picture in pictures if min(picture.shape) >= 2 * BLOCK_PX]
    if len(large) < 2:
        raise InputError(
            f"{folder} holds {len(large)} pictures of at least {2 * BLOCK_PX} pixels a side.",
            "Name a folder of photographs.",
        )
    write_bytes(output, save(fit(large)), overwrite=overwrite)
    say(f"Fitted on {len(large)} photographs.")
    typer.echo(output)
