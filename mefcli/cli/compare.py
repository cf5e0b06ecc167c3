"""`mef compare`: several models on one bracket, as a contact sheet, a table and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from mefcli.cli import options as o
from mefcli.cli import screen
from mefcli.cli.photograph import first_named
from mefcli.errors import UsageError, flag
from mefcli.estimate import TYPICAL, fusion_s, seen_mp
from mefcli.formats.table import suffixes_of
from mefcli.job import Job, Look
from mefcli.options import stops_of
from mefcli.settings import Settings
from mefcli.tasks import check_task, for_task, parse_task, refuse_light
from mefnets import DEFAULT_MODEL
from mefnets.spec import Task

if TYPE_CHECKING:
    from mefnets.engine.fusion import Fusion

KNOWN: tuple[Task, ...] = ("exposure", "focus", "infrared")  # tasks that make pictures
WRITTEN = ("bit_depth", "compression", "quality", "hdr", "headroom")  # of files that are no contact sheet


@o.with_groups
def compare(
    files: o.Files,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the contact sheet here, .jpg or .png. In a folder: <first file>_models.jpg.",
            metavar="FILE",
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write a page with a before/after slider here, .html.")
    ] = None,
    models: Annotated[
        str,
        typer.Option(
            "--models",
            "-m",
            help="all (that have weights here), or with commas names and files of weights.",
        ),
    ] = "all",
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            help="exposure, focus or infrared: what the models are for. Without it, what --models are for.",
            metavar="TASK",
            show_default=False,
        ),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Of all models only the quick ones, which take seconds.")
    ] = False,
    megapixels: Annotated[
        float, typer.Option("--megapixels", help="Reduce the frames to this size.", min=0.01)
    ] = 1.0,
    looks: Annotated[
        bool, typer.Option("--looks", help="Compare looks of one model (the default's) instead of models.")
    ] = False,
    ev: o.Ev = None,
    *,
    settings: Annotated[Settings, o.Without("model", "weights", "debug_dir", *WRITTEN)],
    talk: o.Talk,
) -> None:
    """Fuse one scene with several models and show them side by side, with metrics.

    A scene is a bracket, with --task focus a stack, with --task infrared a visible and an infrared picture.

    Examples:
    mef compare *.jpg -o sheet.jpg                          all models, one contact sheet
    mef compare *.jpg --fast -o sheet.jpg                   only what takes seconds
    mef compare *.jpg --models mertens,ffmef --megapixels 2       two models at 2 megapixels
    mef compare *.jpg --looks -o looks.jpg                  natural, bright, deep and flat
    mef compare *.jpg --report models.html                  a page to look closely
    mef compare *.jpg --task focus -o sheet.jpg             models for focus stacks
    mef compare day.jpg thermal.png --task infrared         models for visible and infrared
    """
    from mefcli.evaluation.methods import all_models, chosen_models
    from mefcli.evaluation.side_by_side import material_of, planned, task_of_models
    from mefcli.pipeline.check import check_frames, check_memory
    from mefcli.pipeline.write import output_named
    from mefcli.report.comparison import compare as run
    from mefcli.report.files import check_target

    wanted = parse_task(task, KNOWN)
    names = [] if models == "all" else chosen_models(models)
    chosen: Task = task_of_models(names, wanted) if names else wanted or "exposure"
    if names:
        refuse_light(chosen, names[0])
    job = settings.job
    if chosen != "exposure":
        job = for_task(chosen, job, settings)
        check_task(chosen, job)
        if looks:
            raise UsageError(f"Models for {chosen} have no looks to compare.", "Leave out --looks.")
    bracket = planned(chosen, files, job, stops_of(ev))
    first = first_named(files, bracket)
    sheet = None if output is None else output_named(output, first, ".jpg", "looks" if looks else "models")
    check_target(sheet, suffixes_of("jpeg", "png"), bracket.paths, overwrite=job.overwrite)
    check_target(report, (".html", ".htm"), bracket.paths, overwrite=job.overwrite)
    check_frames(bracket, job)
    check_memory(bracket, job, 8, chosen)
    left_out: dict[str, str] = {}
    if looks:  # one model's picture in every look; sliders given beside move all of them
        name = names[0] if names else DEFAULT_MODEL
        fusers = _fusers([name], replace(job, look="bright"), None)
    elif models == "all":
        names, left_out = all_models(chosen, quick=fast)
        fusers = _fusers(names, job, left_out)
    else:
        fusers = _fusers(names, job, None)
    count, times = len(bracket.shots), len(get_args(Look)) if looks else 1
    cost_s = {
        name: times * fusion_s(fuser.spec, count, *seen_mp(fuser.spec, megapixels, job))
        for name, fuser in fusers.items()
    }
    _tell(fusers, left_out, cost_s)
    with screen.Progress() as progress:
        material = material_of(chosen, bracket, job, megapixels, progress)
    if looks:
        (fuser,) = fusers.values()
        makers = {look: material.make(fuser, replace(job, look=look)) for look in get_args(Look)}
    else:
        makers = {name: material.make(fuser, job) for name, fuser in fusers.items()}

    def announce(name: str) -> None:
        cost = f" (about {screen.seconds(cost_s[name])})" if name in cost_s else ""
        screen.say(f"Fusing: {name}{cost}")

    result = run(
        material.frames,
        material.labels,
        makers,
        bracket=bracket,
        metrics=material.metrics,
        on_model=announce,
    )
    if sheet is not None:
        _write_sheet(sheet, result)
    if report is not None:
        from mefcli.report.html import write_comparison

        write_comparison(report, result)
    if talk.json:
        screen.put_json(_as_object(result, sheet, report, left_out))
        return
    screen.stdout().print(_table(result))
    for path in (sheet, report):
        if path is not None:
            screen.put(path)


def _fusers(names: Sequence[str], job: Job, left_out: dict[str, str] | None) -> dict[str, Fusion]:
    """Every model, loaded. `left_out` takes those that cannot be, where they were not asked for by name."""
    from mefcli import api
    from mefcli.checkpoints import find_model
    from mefcli.errors import ModelError
    from mefcli.evaluation.methods import labelled
    from mefcli.pipeline.check import check_model

    fusers: dict[str, Fusion] = {}
    for label, name in labelled(names).items():
        try:
            check_model(replace(job, model=name), find_model(name).task)
            fusers[label] = api.load_fuser(name, device=job.device, half=job.half)
        except ModelError as error:
            if left_out is None:
                raise
            left_out[name] = error.spelled(flag)[0].rstrip(".")
    if not fusers:
        raise ModelError("None of the models could be loaded.", "mef models shows what is here.")
    return fusers


def _tell(fusers: Mapping[str, Fusion], left_out: Mapping[str, str], cost_s: Mapping[str, float]) -> None:
    """Before the work: what is left out and why, what it will take, and what takes most of it."""
    from mefcli.evaluation.methods import QUICK_S

    for name, why in left_out.items():
        screen.say(f"{name} is left out: {why}.")
    slow = sorted(
        (name for name, fuser in fusers.items() if (fuser.spec.cost or TYPICAL).cpu_s > QUICK_S),
        key=lambda name: -cost_s[name],
    )
    if slow:
        words = ", ".join(f"{name} {screen.seconds(cost_s[name])}" for name in slow)
        total = screen.seconds(sum(cost_s.values()))
        screen.say(f"About {total} of one processor core. Slow: {words}; --fast leaves such models out.")


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


def _as_object(
    result: Any, output: Path | None, report: Path | None, left_out: Mapping[str, str]
) -> dict[str, Any]:
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
        "left_out": [{"name": name, "reason": why} for name, why in left_out.items()],
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
