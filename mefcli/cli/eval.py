"""`mef eval`: metrics over a folder of scenes, mean table, ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mefcli.cli import options as o
from mefcli.cli import screen
from mefcli.errors import UsageError
from mefcli.evaluation.scenes import Layout
from mefcli.job import Job


@o.with_groups
def evaluate(
    folder: Annotated[Path, typer.Argument(help="One folder a scene, two or more pictures in each.")],
    fused: Annotated[
        Path | None, typer.Option("--fused", help="Score the results in this folder: <scene>[_<method>].*")
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            "--models",
            "-m",
            help="Run and score these models: all, or with commas names and files of weights.",
        ),
    ] = None,
    layout: Annotated[Layout, typer.Option("--layout", help="mefb: the benchmark's folders.")] = "plain",
    metrics: Annotated[
        str | None,
        typer.Option("--metrics", help="Names with commas. Without it: the default ones."),
    ] = None,
    megapixels: Annotated[
        float | None, typer.Option("--megapixels", help="Reduce the scenes to this size.", min=0.002)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write every score to this .csv or .json file.")
    ] = None,
    *,
    job: Annotated[Job, o.Only("device", "overwrite")],
    talk: o.Talk,
) -> None:
    """Measure results on a folder of scenes: mean scores, mean rank, and the place among published methods.

    Examples:
    mef eval scenes --fused results -o scores.csv    pictures that are there
    mef eval scenes --models mertens,ffmef           run the models now
    mef eval MEFB --layout mefb --models all         the benchmark as published
    """
    from mefcli.evaluation import methods, ranking
    from mefcli.evaluation.metrics import known_names
    from mefcli.evaluation.scenes import find_scenes
    from mefcli.report.files import check_target

    if fused is None and models is None:
        raise UsageError("Nothing to evaluate.", "Add --fused FOLDER, --models all, or both.")
    if output is not None and output.suffix.lower() not in (".csv", ".json"):
        raise UsageError(f"Scores cannot be written as {output.name}.", "End it in .csv or .json.")
    check_target(output, (".csv", ".json"), (), overwrite=job.overwrite)
    names = known_names(metrics.split(",")) if metrics else None
    scenes = find_scenes(folder, layout)
    makers = methods.from_folder(fused, scenes) if fused else {}
    wanted: list[str] = []
    if models:
        wanted = methods.chosen_models(models)
        for name, why in methods.all_models()[1].items() if models == "all" else ():
            screen.say(f"{name} is left out: {why}.")
        makers |= methods.from_models(
            wanted, device=job.device, on_missing=screen.left_out if models == "all" else None
        )
    rows = []
    for row in methods.evaluate(scenes, makers, names=names, max_pixels=megapixels):
        rows.append(row)
        screen.say(f"{row.scene}: {row.method} scored ({len(rows)} of {len(scenes) * len(makers)}).")
    everything = ranking.to_object(rows)
    table = ranking.means(rows)
    asked = methods.trained_on(
        [name for name in table if name in wanted], {name: 0 for s in table.values() for name in s}
    )
    everything["trained_on"] = {model: list(found) for model, found in asked.items()}
    if output is not None:
        _write(output, rows, everything, overwrite=job.overwrite)
    if talk.json:
        screen.put_json(everything)
        return
    screen.stdout().print(_table(table, len(scenes)))
    for words in methods.trained_words(asked):
        screen.say(f"{words}, by which it is judged here.")
    notes = ranking.published()
    if any(everything["published_places"].values()):
        screen.say(f"In brackets: place among published methods. {notes['caution']}")


def _write(output: Path, rows: Any, everything: Any, *, overwrite: bool) -> None:
    import json as encoder

    from mefcli.evaluation.ranking import to_csv
    from mefcli.storage import write_text

    as_csv = output.suffix.lower() == ".csv"
    text = to_csv(rows) if as_csv else encoder.dumps(everything, indent=1) + "\n"
    write_text(output, text, overwrite=overwrite)


def _table(means: dict[str, dict[str, float]], scenes: int) -> Any:
    """One row a metric, one column a method: the best in bold."""
    from rich.table import Table
    from rich.text import Text

    from mefcli.evaluation.metrics import METRICS
    from mefcli.evaluation.ranking import mean_ranks, places, ranks

    table = Table(title=f"Means over {scenes} scene{'s' if scenes > 1 else ''}", title_justify="left")
    table.add_column("metric")
    for method in means:
        table.add_column(method, justify="right")
    place, rank = {m: places(s) for m, s in means.items()}, ranks(means)
    for metric in dict.fromkeys(name for scores in means.values() for name in scores):
        facts = METRICS[metric]
        cells = []
        for method, scores in means.items():
            value = scores.get(metric, float("nan"))
            text = "-" if value != value else f"{value:.{facts.decimals}f}"
            if metric in place[method]:
                text += f" ({place[method][metric].rank}/{place[method][metric].of})"
            best = len(means) > 1 and rank[method].get(metric) == 1
            cells.append(Text(text, style="bold" if best else ""))
        table.add_row(f"{metric} {facts.arrow}", *cells)
    table.add_section()
    table.add_row("mean rank", *(f"{value:.2f}" for value in mean_ranks(means).values()))
    return table
