"""`mef bench`: what fusion costs on this machine, beside other programs on the same files."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mefcli.cli import screen
from mefcli.errors import UsageError
from mefcli.job import Align

if TYPE_CHECKING:
    from mefcli.bench.alignment import AlignmentRow
    from mefcli.bench.suite import Row


def bench(
    what: Annotated[
        Literal["fusion", "alignment"],
        typer.Argument(help="fusion: its cost. alignment: how exactly frames of known motion are found."),
    ] = "fusion",
    megapixels: Annotated[str, typer.Option(help="Picture sizes, with commas between.")] = "6,24",
    frames: Annotated[str, typer.Option(help="Numbers of exposures, with commas between.")] = "3",
    models: Annotated[
        str, typer.Option("--models", "-m", help="Models, with commas between; else mertens and the default.")
    ] = "",
    repeats: Annotated[int, typer.Option(help="Whole processes for each median.", min=1)] = 3,
    max_memory: Annotated[str | None, typer.Option(help="Passed on to mef fuse.", metavar="SIZE")] = None,
    align: Annotated[
        Align, typer.Option(help="Passed on to mef fuse; unless off, brackets are as from the hand.")
    ] = "off",
    maps: Annotated[
        Path | None,
        typer.Option(
            help="alignment: folder of radiance maps (.hdr); else the demo's room alone.", metavar="FOLDER"
        ),
    ] = None,
    cases: Annotated[int, typer.Option(help="alignment: number of brackets.", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="alignment: another number draws other brackets.", min=0)] = 7,
    against: Annotated[
        str, typer.Option(help="alignment: compare with these where found.", metavar="mtb,hugin")
    ] = "mtb,hugin",
    only_mef: Annotated[bool, typer.Option("--only-mef", help="Leave the other programs out.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a row, on stdout.")] = False,
) -> None:
    """Measure what fusion costs on this machine.

    Makes brackets of the chosen sizes, runs whole `mef fuse` processes on them, and where they are found,
    enfuse, align_image_stack with enfuse, and OpenCV's MergeMertens on the same files. Ratios are CPU time
    to enfuse -d 16 in the same run. Times are medians; stages are wall seconds.

    Examples:
    mef bench                                   6 and 24 MP, three exposures
    mef bench --megapixels 24,50 --frames 3,9   sizes and numbers of exposures
    mef bench -m house,mertens --json           for scripts
    mef bench alignment --megapixels 0.4        what is left of known motions, in pixels
    mef bench alignment --megapixels 1 --cases 300 --maps hdris --against mtb
    """
    if what == "alignment":
        peers = [] if only_mef else [name.strip() for name in against.split(",") if name.strip()]
        _alignment(maps, cases, seed, _numbers(megapixels, 0.01), peers, json=json)
        return
    from mefcli.bench.suite import measure, runners
    from mefcli.checkpoints import known_models
    from mefnets import DEFAULT_MODEL

    names = [name.strip() for name in models.split(",") if name.strip()]
    names = names or list(dict.fromkeys(["mertens", DEFAULT_MODEL]))
    known = known_models()
    for name in names:
        if name not in known:
            raise UsageError(f"There is no model {name!r}.", f"Choose from: {', '.join(known)}.")
    settings = ["--align", align, *(["--max-memory", max_memory] if max_memory else [])]
    programs = runners(names, settings)
    if only_mef:
        programs = {name: runner for name, runner in programs.items() if name.startswith("mef ")}
    sizes, counts = _numbers(megapixels, 0.01), [int(n) for n in _numbers(frames, 2)]
    moved = align != "off"
    with tempfile.TemporaryDirectory(prefix="mef-bench-") as folder:
        for rows in measure(Path(folder), programs, sizes, counts, repeats, screen.say, moved=moved):
            for row in rows:
                if json:
                    screen.put_json(asdict(row))
            if not json:
                _show(rows)


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
