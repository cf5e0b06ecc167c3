"""`mef compare`: several models on one bracket, as a contact sheet, a table and a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from mefcli.cli import options as o
from mefcli.cli import screen
from mefcli.formats.table import suffixes_of
from mefcli.job import Job, Look
from mefcli.values import Stack
from mefnets import DEFAULT_MODEL

Maker = Callable[[Sequence[Any]], Any]


@o.with_groups
def compare(
    files: o.Files,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the contact sheet here, .jpg or .png.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write a page with a before/after slider here, .html.")
    ] = None,
    models: Annotated[
        str, typer.Option("--models", "-m", help="all (that have weights here), or names with commas.")
    ] = "all",
    megapixels: Annotated[
        float, typer.Option("--megapixels", help="Reduce the frames to this size.", min=0.01)
    ] = 1.0,
    looks: Annotated[
        bool, typer.Option("--looks", help="Compare looks of one model (the default's) instead of models.")
    ] = False,
    ev: o.Ev = None,
    *,
    job: Annotated[Job, o.Without("model", "weights", "debug_dir", "bit_depth", "compression", "quality")],
    talk: o.Talk,
) -> None:
    """Fuse one bracket with several models and show them side by side, with metrics.

    Examples:
    mef compare *.jpg -o sheet.jpg                          all models, one contact sheet
    mef compare *.jpg --models mertens,ffmef --megapixels 2       two models at 2 megapixels
    mef compare *.jpg --looks -o looks.jpg                  natural, bright, deep and flat
    mef compare *.jpg --report models.html                  a page to look closely
    """
    from mefcli import api
    from mefcli.evaluation.methods import chosen_models
    from mefcli.evaluation.scenes import reduced
    from mefcli.report.comparison import compare as run
    from mefcli.report.files import check_target

    bracket = api.plan(files, ev=o.parse_evs(ev), job=job)
    check_target(output, suffixes_of("jpeg", "png"), bracket.paths, overwrite=job.overwrite)
    check_target(report, (".html", ".htm"), bracket.paths, overwrite=job.overwrite)
    with screen.Progress() as progress:
        stack = api.prepare(bracket, job=job, on_step=progress)
    stack = replace(stack, frames=tuple(reduced(frame, megapixels) for frame in stack.frames))
    labels = [f"{p.name}  {e:+.1f} EV" for p, e in zip(bracket.paths, bracket.evs, strict=True)]
    if looks:
        makers = _looks(DEFAULT_MODEL if models == "all" else models, stack, job)
    else:
        makers = _makers(chosen_models(models), stack, models == "all", job)
    result = run(
        stack.frames, labels, makers, bracket=bracket, on_model=lambda name: screen.say(f"Fusing: {name}")
    )
    if output is not None:
        _write_sheet(output, result)
    if report is not None:
        from mefcli.report.html import write_comparison

        write_comparison(report, result)
    if talk.json:
        screen.put_json(_as_object(result, output, report))
        return
    screen.stdout().print(_table(result))
    for path in (output, report):
        if path is not None:
            screen.put(path)


def _makers(names: Sequence[str], stack: Stack, optional: bool, job: Job) -> dict[str, Maker]:
    from mefcli import api
    from mefcli.errors import ModelError

    makers: dict[str, Maker] = {}
    for name in names:
        try:
            fuser = api.load_fuser(name, device=job.device, half=job.half)
        except ModelError as error:
            if not optional:
                raise
            screen.left_out(name, error)
            continue

        def make(frames: Sequence[Any], fuser: Any = fuser) -> Any:
            return api.fuse_stack(replace(stack, frames=tuple(frames)), fuser=fuser, job=job, depth=8).pixels

        makers[name] = make
    if not makers:
        raise ModelError("None of the models could be loaded.", "mef models shows what is here.")
    return makers


def _looks(model: str, stack: Stack, job: Job) -> dict[str, Maker]:
    """One model's picture in every look; sliders given beside move all of them."""
    from mefcli import api

    fuser = api.load_fuser(model, device=job.device, half=job.half)

    def maker(look: Look) -> Maker:
        def make(frames: Sequence[Any]) -> Any:
            chosen = replace(job, look=look)
            return api.fuse_stack(
                replace(stack, frames=tuple(frames)), fuser=fuser, job=chosen, depth=8
            ).pixels

        return make

    return {look: maker(look) for look in get_args(Look)}


def _write_sheet(path: Path, result: Any) -> None:
    from io import BytesIO

    from PIL import Image

    from mefcli.report.sheet import make_sheet
    from mefcli.storage import write_bytes

    out = BytesIO()
    sheet = Image.fromarray(make_sheet(result))
    if path.suffix.lower() == ".png":
        sheet.save(out, "PNG")
    else:
        sheet.save(out, "JPEG", quality=92, subsampling=0)
    write_bytes(path, out.getvalue())


def _as_object(result: Any, output: Path | None, report: Path | None) -> dict[str, Any]:
    import math

    return {
        "inputs": [label for label, _ in result.inputs],
        "outputs": [str(path) for path in (output, report) if path is not None],
        "models": [
            {
                "name": one.name,
                "seconds": round(one.seconds, 3),
                "scores": {k: v if math.isfinite(v) else None for k, v in one.scores.items()},
            }
            for one in result.results
        ],
    }


def _table(result: Any) -> Any:
    """One row a model, one column a metric; the best of each column in bold."""
    from rich.table import Table
    from rich.text import Text

    from mefcli.evaluation.metrics import METRICS
    from mefcli.evaluation.ranking import ranks

    metrics = list(result.results[0].scores)
    rank = ranks({one.name: one.scores for one in result.results})
    table = Table()
    table.add_column("model")
    for name in metrics:
        table.add_column(f"{name} {METRICS[name].arrow}", justify="right")
    table.add_column("time", justify="right")
    for one in result.results:
        cells = []
        for name in metrics:
            best = len(result.results) > 1 and rank[one.name].get(name) == 1
            text = f"{one.scores[name]:.{METRICS[name].decimals}f}"
            cells.append(Text(text, style="bold" if best else ""))
        table.add_row(one.name, *cells, screen.seconds(one.seconds))
    return table
