"""`mef bench`: what fusion costs on this machine, and what each model takes. `bench_truth` has how near to a
known truth things come."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mefcli.cli import screen
from mefcli.cli.lazy import Entry
from mefcli.errors import UsageError
from mefcli.job import Align

if TYPE_CHECKING:
    from mefcli.bench.profile import Stage
    from mefcli.bench.suite import Row


COMMANDS = (
    Entry("fusion", "mefcli.cli.bench:fusion", "Whole processes, beside other programs."),
    Entry("alignment", "mefcli.cli.bench_truth:alignment", "How exactly frames of known motion are found."),
    Entry("radiance", "mefcli.cli.bench_truth:radiance", "How exactly the light of a scene is found."),
    Entry("moving", "mefcli.cli.bench_truth:moving", "How near the light of moving scenes is to the truth."),
    Entry("focus", "mefcli.cli.bench_truth:focus", "How well focus stacks are folded."),
    Entry("depth", "mefcli.cli.bench_truth:depth", "How near enlarged depth comes to the truth."),
    Entry("models", "mefcli.cli.bench:models_", "What each model costs a megapixel."),
)

Megapixels = Annotated[str, typer.Option(help="Picture sizes, with commas between.")]
OnlyMef = Annotated[bool, typer.Option("--only-mef", help="Leave the other programs out.")]
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
    sizes, counts = numbers_in(megapixels, 0.01), [int(n) for n in numbers_in(frames, 2)]
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


def names_in(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _models(text: str) -> list[str]:
    from mefcli.checkpoints import find_model

    return [find_model(name).name for name in names_in(text)]


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


def numbers_in(text: str, least: float) -> list[float]:
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
