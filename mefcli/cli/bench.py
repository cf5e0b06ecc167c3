"""`mef bench`: what fusion costs on this machine, how exactly it aligns, and what each model takes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mefcli.cli import screen
from mefcli.cli.lazy import Entry
from mefcli.errors import UsageError, named
from mefcli.job import Align

if TYPE_CHECKING:
    from mefcli.bench.alignment import AlignmentRow
    from mefcli.bench.profile import Stage
    from mefcli.bench.suite import Row


COMMANDS = (
    Entry("fusion", "mefcli.cli.bench:fusion", "Whole processes, beside other programs."),
    Entry("alignment", "mefcli.cli.bench:alignment", "How exactly frames of known motion are found."),
    Entry("radiance", "mefcli.cli.bench:radiance", "How exactly the light of a scene is found."),
    Entry("moving", "mefcli.cli.bench:moving", "How near the light of moving scenes comes to the truth."),
    Entry("depth", "mefcli.cli.bench:depth", "How near enlarged depth comes to the truth."),
    Entry("models", "mefcli.cli.bench:models_", "What each model costs a megapixel."),
)

Megapixels = Annotated[str, typer.Option(help="Picture sizes, with commas between.")]
OnlyMef = Annotated[bool, typer.Option("--only-mef", help="Leave the other programs out.")]
Runs = Annotated[Path, typer.Option("--runs", help="Where the data's views are kept.")]
Weights = Annotated[
    str | None, typer.Option("--weights", help="A .safetensors file instead of the model's own.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a row, on standard output.")]
Repeats = Annotated[int, typer.Option(help="Runs of each.", min=1)]


def fusion(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILES]...", help="With --stages: your exposures, else made-up ones."),
    ] = None,
    megapixels: Megapixels = "6,24",
    frames: Annotated[str, typer.Option(help="Numbers of exposures, with commas between.")] = "3",
    models: Annotated[
        str, typer.Option("--models", "-m", help="Models, with commas between; else mertens and the default.")
    ] = "",
    repeats: Repeats = 3,
    max_memory: Annotated[str | None, typer.Option(help="Passed on to mef fuse.", metavar="SIZE")] = None,
    align: Annotated[
        Align, typer.Option(help="Passed on to mef fuse; unless off, brackets are as from the hand.")
    ] = "off",
    stages: Annotated[
        bool, typer.Option("--stages", help="One run of mef, stage by stage: CPU seconds and memory.")
    ] = False,
    only_mef: OnlyMef = False,
    json: Json = False,
) -> None:
    """Measure what fusion costs on this machine.

    Makes brackets of the chosen sizes, runs whole `mef fuse` processes on them, and where they are found,
    enfuse, align_image_stack with enfuse, and OpenCV's MergeMertens on the same files. Ratios are CPU time
    to enfuse -d 16 in the same run. Times are medians; stages are wall seconds.

    Examples:
    mef bench fusion                            6 and 24 MP, three exposures
    mef bench --megapixels 24,50 --frames 3,9   sizes and numbers of exposures
    mef bench -m house,mertens --json           for scripts
    mef bench --stages -m house                 where the time of one run goes
    mef bench fusion --stages *.jpg             the same on exposures of your own
    """
    from mefcli.bench import suite
    from mefnets import DEFAULT_MODEL

    names = _models(models) or list(dict.fromkeys(["mertens", DEFAULT_MODEL]))
    sizes, counts = _numbers(megapixels, 0.01), [int(n) for n in _numbers(frames, 2)]
    if files and not stages:
        raise UsageError("mef bench makes its own pictures.", "Add --stages to measure yours.")
    with tempfile.TemporaryDirectory(prefix="mef-bench-") as folder:
        if stages:
            job = {"align": align, "max_memory": max_memory}
            _profile(Path(folder), files, names, sizes, counts, job, json=json)
            return
        settings = ["--align", align, *(["--max-memory", max_memory] if max_memory else [])]
        programs = suite.runners(names, settings)
        if only_mef:
            programs = {name: runner for name, runner in programs.items() if name.startswith("mef ")}
        moved = align != "off"
        for rows in suite.measure(Path(folder), programs, sizes, counts, repeats, screen.say, moved=moved):
            for row in rows:
                if json:
                    screen.put_json(asdict(row))
            if not json:
                _show(rows)


def alignment(
    megapixels: Megapixels = "6,24",
    maps: Annotated[
        Path | None,
        typer.Option(help="Folder of radiance maps (.hdr); else the demo's room alone.", metavar="FOLDER"),
    ] = None,
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
    peers = [] if only_mef else _names(against)
    _alignment(maps, cases, seed, _numbers(megapixels, 0.01), peers, json=json)


def radiance(
    maps: Annotated[
        Path | None,
        typer.Option(help="Folder of radiance maps (.hdr); else the demo's room alone.", metavar="FOLDER"),
    ] = None,
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
    chosen, counts = load(maps, scenes, width), [int(number) for number in _numbers(frames, 2)]
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
    scenes: Annotated[int, typer.Option(help="How many, from pictures never trained on.", min=1)] = 40,
    methods: Annotated[
        str,
        typer.Option(help="Of off, auto, mgdn (ghost removal) and model (mef hdr --model).", metavar="NAMES"),
    ] = "off,auto,mgdn,model",
    model: Annotated[
        str, typer.Option("--model", "-m", help="The network, by name or file.")
    ] = "mgdn-moving",
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

    chosen = _names(methods)
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
    data: Annotated[
        Path | None,
        typer.Option("--data", help="For simulated scenes: the training folder, or its packed file."),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(help="A folder of folders, each with depth.npy and rgb.jpg.", metavar="FOLDER"),
    ] = None,
    scenes: Annotated[int, typer.Option(help="How many, from pictures never trained on.", min=1)] = 24,
    methods: Annotated[
        str, typer.Option(help="Of bicubic, guided (filter) and model.", metavar="NAMES")
    ] = "bicubic,guided,model",
    factors: Annotated[str, typer.Option(help="How many times smaller, with commas between.")] = "4,8,16",
    model: Annotated[str, typer.Option("--model", "-m", help="The network, by name or file.")] = "mgdn-depth",
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

    chosen, times = _names(methods), [int(number) for number in _numbers(factors, 2)]
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


def models_(
    models: Annotated[
        str, typer.Option("--models", "-m", help="Models, with commas between; else all that are ready.")
    ] = "",
    megapixels: Annotated[float, typer.Option(help="Size of the pictures.", min=0.01)] = 0.25,
    repeats: Repeats = 3,
    json: Json = False,
) -> None:
    """Measure what each model costs a megapixel: two frames, every pixel seen by the network, one thread.

    CPU seconds are the least of the runs, for other programs only add to them. Memory is the network's at its
    busiest. Beside them stands what the model's SPEC states, which plans and tables use.

    Examples:
    mef bench models
    mef bench models --models house,ffmef --megapixels 0.5
    """
    from rich.table import Table

    from mefcli.bench.models import measure
    from mefcli.checkpoints import is_ready, known_models

    names = _models(models) or [
        name
        for name, spec in known_models().items()
        if is_ready(spec) and spec.task not in ("moving", "depth")
    ]
    table = Table()
    for heading in ("model", "CPU s / MP", "stated", "bytes / px", "stated"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for row in measure(names, megapixels, repeats, screen.say):
        if json:
            screen.put_json(asdict(row))
            continue
        cpu, held = (f"{row.stated.cpu_s:g}", f"{row.stated.held_bytes}") if row.stated else ("", "")
        table.add_row(row.model, f"{row.cpu_s:.2f}", cpu, f"{row.held_bytes or ''}", held)
    if not json:
        screen.stdout().print(table)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _models(text: str) -> list[str]:
    from mefcli.checkpoints import find_model

    return [find_model(name).name for name in _names(text)]


def _profile(
    folder: Path,
    files: list[Path] | None,
    names: list[str],
    sizes: list[float],
    counts: list[int],
    job: dict[str, Any],
    *,
    json: bool,
) -> None:
    from mefcli.bench import profile, suite

    def brackets() -> Iterator[tuple[str, list[Path]]]:
        if files:
            yield "your exposures", [path.resolve() for path in files]
            return
        for size, count, made in suite.brackets(
            folder, sizes, counts, screen.say, moved=job["align"] != "off"
        ):
            yield f"{size:g} MP x {count}", made

    for title, paths in brackets():
        for name in names:
            screen.say(f"{title}: {name}")
            stages = profile.profile(paths, folder, {"model": name, **job})
            if json:
                screen.put_json({"bracket": title, "model": name, "stages": [asdict(one) for one in stages]})
            else:
                _show_profile(stages, f"{title}, {name}")


def _show_profile(stages: Sequence[Stage], title: str) -> None:
    from rich.table import Table

    table = Table(title=title, show_footer=True)
    cpu, wall = sum(one.cpu_s for one in stages), sum(one.wall_s for one in stages)
    table.add_column("stage", footer="all")
    table.add_column("CPU s", footer=f"{cpu:.2f}", justify="right")
    table.add_column("wall s", footer=f"{wall:.2f}", justify="right")
    table.add_column("peak MB", footer=f"{stages[-1].peak_mb:.0f}", justify="right")
    for one in stages:
        table.add_row(one.name, f"{one.cpu_s:.2f}", f"{one.wall_s:.2f}", f"{one.peak_mb:.0f}")
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


def _numbers(text: str, least: float) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{text!r} is not a list of numbers.", "For example 6,24.") from None
    if min(numbers) < least:
        raise UsageError(f"{min(numbers):g} is too small.", f"The least is {least:g}.")
    return numbers


def _show(rows: list[Row]) -> None:
    from rich.table import Table

    table = Table(title=f"{rows[0].frames} x {rows[0].megapixels:g} MP")
    for heading in ("program", "CPU s", "wall s", "peak MB", "CPU / enfuse", "stages"):
        table.add_column(heading, justify="left" if heading in ("program", "stages") else "right")
    for row in rows:
        if row.trouble:
            table.add_row(row.program, "", "", "", "", row.trouble)
            continue
        ratio = f"{row.cpu_ratio:.2f}" if row.cpu_ratio is not None else ""
        stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in row.stages_s.items())
        table.add_row(
            row.program, f"{row.cpu_s:.2f}", f"{row.wall_s:.2f}", f"{row.peak_mb:.0f}", ratio, stages
        )
    screen.stdout().print(table)
