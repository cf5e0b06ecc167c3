"""`mef bench` where the truth is known: motions, light, moving scenes, depth."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mefcli.cli import screen
from mefcli.cli.bench import Json, Megapixels, OnlyMef, names_in, numbers_in
from mefcli.errors import UsageError, named

if TYPE_CHECKING:
    from mefcli.bench.alignment import AlignmentRow

Data = Annotated[
    Path | None,
    typer.Option("--data", help="For simulated scenes: the training folder, or its packed file."),
]
Maps = Annotated[
    Path | None,
    typer.Option(help="Folder of radiance maps (.hdr); else the demo's room alone.", metavar="FOLDER"),
]
Model = Annotated[str, typer.Option("--model", "-m", help="The network, by name or file.")]
Runs = Annotated[Path, typer.Option("--runs", help="Where the data's views are kept.")]
Scenes = Annotated[int, typer.Option(help="How many, from pictures never trained on.", min=1)]
FOCUS_HEADINGS = (
    *("scenes", "method", "count", "PSNR dB", "least", "Q_ABF", "least", "veil", "reach"),
    "above enfuse",
)
Weights = Annotated[
    str | None, typer.Option("--weights", help="A .safetensors file instead of the model's own.")
]


def alignment(
    megapixels: Megapixels = "6,24",
    maps: Maps = None,
    cases: Annotated[int, typer.Option(help="Number of brackets.", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="Another number draws other brackets.", min=0)] = 7,
    against: Annotated[
        str, typer.Option(help="Compare with these where found.", metavar="mtb,hugin")
    ] = "mtb,hugin",
    only_mef: OnlyMef = False,
    json: Json = False,
) -> None:
    """Measure how exactly frames of known motion are found, in pixels.

    Examples:
    mef bench alignment --megapixels 0.4        what is left of known motions
    mef bench alignment --megapixels 1 --cases 300 --maps hdris --against mtb
    """
    peers = [] if only_mef else names_in(against)
    _alignment(maps, cases, seed, numbers_in(megapixels, 0.01), peers, json=json)


def radiance(
    maps: Maps = None,
    scenes: Annotated[int, typer.Option(help="How many of the maps, evenly spread.", min=1)] = 12,
    frames: Annotated[str, typer.Option(help="Numbers of exposures, with commas between.")] = "3,5,9",
    width: Annotated[int, typer.Option(help="Pixels that are cut from a map's middle.", min=64)] = 480,
    seed: Annotated[int, typer.Option(help="Another number draws other noise.", min=0)] = 7,
    only_mef: OnlyMef = False,
    json: Json = False,
) -> None:
    """Measure how exactly mef hdr finds the light of a scene, in stops.

    Photographs radiance maps as brackets, as RAW and as JPEG through five responses, and compares what comes
    out with what went in, where any frame shows it. OpenCV's MergeDebevec and MergeRobertson get the same
    files.

    Examples:
    mef bench radiance                          the demo's room
    mef bench radiance --maps hdris --scenes 12 --frames 3,5,7,9
    """
    from rich.table import Table

    from mefcli.bench.radiance import maps as load
    from mefcli.bench.radiance import measure

    table = Table()
    for heading in ("source", "frames", "method", "brackets", "median stops", "worst bracket", "95 % below"):
        table.add_column(heading, justify="left" if heading in ("source", "method") else "right")
    chosen, counts = load(maps, scenes, width), [int(number) for number in numbers_in(frames, 2)]
    with tempfile.TemporaryDirectory(prefix="mef-bench-") as folder:
        for row in measure(chosen, counts, Path(folder), seed=seed, peers=not only_mef, on_case=screen.say):
            if json:
                screen.put_json({"seed": seed, **asdict(row)})
                continue
            stops = (f"{row.median_stops:.4f}", f"{row.worst_stops:.3f}", f"{row.p95_stops:.3f}")
            table.add_row(row.source, f"{row.frames}", row.method, f"{row.brackets}", *stops)
    if not json:
        screen.stdout().print(table)


def moving(
    data: Annotated[
        Path, typer.Option("--data", help="The training folder, or the file that mef train pack made.")
    ],
    scenes: Scenes = 40,
    methods: Annotated[
        str,
        typer.Option(help="Of off, auto, mgdn (ghost removal) and model (mef hdr --model).", metavar="NAMES"),
    ] = "off,auto,mgdn,model",
    model: Model = "mgdn-moving",
    weights: Weights = None,
    runs: Runs = Path("runs"),
    json: Json = False,
) -> None:
    """Measure ghost removal: the light of simulated moving scenes beside the truth, PSNR after mu-law, in dB.

    Three frames each, with things that pass, leaves that stir and a hand that shakes, aligned as by mef hdr.

    Examples:
    mef bench moving --data train.mefdata
    mef bench moving --data train.mefdata --methods auto,model --weights own.safetensors
    """
    from rich.table import Table

    from mefcli.bench.moving import METHODS, measure
    from mefcli.training.moving import held_out
    from mefcli.training.prepare import data_at

    chosen = names_in(methods)
    for name in chosen:
        if name not in METHODS:
            raise UsageError(f"{name!r} is no way to remove ghosts here.", f"Choose of {', '.join(METHODS)}.")

    def told(number: int, scene: str, values: dict[str, float]) -> None:
        words = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
        screen.say(f"{number + 1} of {scenes}, {Path(scene).stem}: {words}")

    held = held_out(data_at(data, runs / "cache", screen.say), count=scenes)
    table = Table()
    for heading in ("method", "scenes", "PSNR-mu dB", "worst", "above auto"):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for row in measure(held, chosen, model=model, weights=weights, on_scene=told):
        if json:
            screen.put_json(asdict(row))
            continue
        table.add_row(row.method, f"{row.scenes}", f"{row.psnr_mu:.2f}", f"{row.worst:.2f}", f"{row.better}")
    if not json:
        screen.stdout().print(table)


def depth(
    data: Data = None,
    pairs: Annotated[
        Path | None,
        typer.Option(help="A folder of folders: depth.npy, .tif or .png, and rgb.jpg.", metavar="FOLDER"),
    ] = None,
    scenes: Scenes = 24,
    methods: Annotated[
        str, typer.Option(help="Of bicubic, guided (filter) and model.", metavar="NAMES")
    ] = "bicubic,guided,model",
    factors: Annotated[str, typer.Option(help="How many times smaller, with commas between.")] = "4,8,16",
    model: Model = "mgdn-depth",
    weights: Weights = None,
    runs: Runs = Path("runs"),
    json: Json = False,
) -> None:
    """Measure how near enlarged depth comes to the truth: root mean square error.

    Maps are made smaller by antialiased cubic interpolation and enlarged again. Of simulated scenes the error
    is in per cent of their range of depth, of a folder's in the maps' own unit.

    Examples:
    mef bench depth --data train.mefdata
    mef bench depth --pairs nyu/ --factors 4,8,16 --methods bicubic,model
    """
    from rich.table import Table

    from mefcli.bench.depth import METHODS, in_folder, measure, simulated
    from mefcli.job import Job
    from mefcli.pipeline.depth import check_model, load
    from mefcli.training.depth import held_out
    from mefcli.training.prepare import data_at

    chosen, times = names_in(methods), [int(number) for number in numbers_in(factors, 2)]
    for name in chosen:
        if name not in METHODS:
            raise UsageError(f"{name!r} is no way to enlarge depth here.", f"Choose of {', '.join(METHODS)}.")
    if data is None and pairs is None:
        raise UsageError("There is nothing to measure.", f"Give {named('data')} or {named('pairs')}.")
    guide = None
    if "model" in chosen:
        job = Job(model=model, weights=weights)
        check_model(job)
        guide, _ = load(job)
    sets = [] if pairs is None else [(str(pairs), in_folder(pairs))]
    if data is not None:
        held = held_out(data_at(data, runs / "cache", screen.say), count=scenes)
        sets.append(("simulated", simulated(held)))
    table = Table()
    for heading in ("scenes", "times", "method", "count", "RMSE", "worst", "below bicubic"):
        table.add_column(heading, justify="left" if heading in ("scenes", "method") else "right")
    for title, some in sets:
        for row in measure(title, some, guide, chosen, times, on_scene=screen.say):
            if json:
                screen.put_json(asdict(row))
                continue
            numbers = (f"{row.count}", f"{row.rmse:.4g}", f"{row.worst:.4g}", f"{row.better}")
            table.add_row(row.scenes, f"x{row.factor}", row.method, *numbers)
    if not json:
        screen.stdout().print(table)


def focus(
    data: Data = None,
    pairs: Annotated[
        Path | None,
        typer.Option(help="A folder of stacks, a folder each, near focus first by name.", metavar="FOLDER"),
    ] = None,
    scenes: Scenes = 30,
    methods: Annotated[
        str,
        typer.Option(
            help="Of average, enfuse, and models, by name or file; else all that are here.", metavar="NAMES"
        ),
    ] = "",
    runs: Runs = Path("runs"),
    json: Json = False,
) -> None:
    """Measure how well focus stacks are folded: PSNR to everything in focus, edges kept, the veil at borders.

    Stacks of two frames, as they lie. The veil is how much the means of 5 x 5 pixels are off, in levels of
    255, at its worst within 5 px of a border of depth; its reach, how far from one it is seen. enfuse is run
    with its settings for focus stacks.

    Examples:
    mef bench focus --data train.mefdata
    mef bench focus --pairs lytro/ --methods enfuse,focus,ffmef-focus
    """
    from rich.table import Table

    from mefcli.bench import focus as bench
    from mefcli.evaluation.methods import all_models
    from mefcli.training.focus import HELD_PX, held_out
    from mefcli.training.prepare import data_at

    chosen = names_in(methods)
    if not chosen:
        chosen = [bench.AVERAGE, *([bench.ENFUSE] if bench.has_enfuse() else []), *all_models("focus")[0]]
    if data is None and pairs is None:
        raise UsageError("There is nothing to measure.", f"Give {named('data')} or {named('pairs')}.")
    makers = bench.makers(chosen)
    sets = [] if pairs is None else [(str(pairs), bench.in_folder(pairs))]
    if data is not None:
        store = data_at(data, runs / "cache", screen.say)
        sets.append(("simulated", bench.simulated(held_out(store, HELD_PX, count=scenes))))
    table = Table()
    headings = (
        "scenes",
        "method",
        "count",
        "PSNR dB",
        "least",
        "Q_ABF",
        "least",
        "veil",
        "reach",
        "above enfuse",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("scenes", "method") else "right")
    for title, some in sets:
        for row in bench.measure(title, some, makers, on_scene=screen.say):
            if json:
                screen.put_json(asdict(row))
                continue
            levels = ("", "") if row.psnr is None else (f"{row.psnr:.1f}", f"{row.least_psnr:.1f}")
            edges = (f"{row.q_abf:.3f}", f"{row.least_q_abf:.3f}")
            veil = ("", "") if row.veil is None else (f"{row.veil:.1f}", f"{row.reach_px} px")
            better = "" if row.better is None else f"{row.better}"
            table.add_row(row.scenes, row.method, f"{row.count}", *levels, *edges, *veil, better)
    if not json:
        screen.stdout().print(table)


def _alignment(
    maps: Path | None, cases: int, seed: int, sizes: list[float], peers: list[str], *, json: bool
) -> None:
    from mefcli.bench.alignment import measure, methods, sources

    chosen, scenes = methods(peers), sources(maps, max(sizes))
    for size in sizes:
        screen.say(f"{cases} brackets of {size:g} MP, {len(scenes)} scenes: {', '.join(chosen)}")
        tenth = max(1, cases // 10)

        def told(done: int, tenth: int = tenth) -> None:
            if done % tenth == 0 and done < cases:
                screen.say(f"{done} of {cases}")

        rows = measure(scenes, cases, size, chosen, seed=seed, on_case=told)
        if json:
            for row in rows:
                screen.put_json({"megapixels": size, "seed": seed, **asdict(row)})
        else:
            _show_alignment(rows, size)


def _show_alignment(rows: list[AlignmentRow], megapixels: float) -> None:
    from rich.table import Table

    counted = f"{rows[0].frames} frames of {rows[0].brackets} brackets"
    table = Table(title=f"What is left of known motions, {megapixels:g} MP, {counted}")
    headings = ("method", "median px", "95 % below px", "within 1 px", "whole brackets", "given up", "CPU s")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for row in rows:
        table.add_row(
            row.method,
            f"{row.median_px:.3f}",
            f"{row.p95_px:.3f}",
            f"{row.within_a_pixel:.1%}",
            f"{row.brackets_within_a_pixel:.1%}",
            f"{row.given_up}",
            f"{row.cpu_s:.2f}",
        )
    screen.stdout().print(table)
    for miss in rows[0].missed:
        said = "named as not aligned" if miss.named else "not noticed"
        screen.say(f"missed: {miss.case}, frame {miss.frame + 1}, {miss.residual_px:.1f} px, {said}")
