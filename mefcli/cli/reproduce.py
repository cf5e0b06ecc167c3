"""`mef reproduce`: a paper's table beside ours, and its claims tested by training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mefcli.cli import options as o
from mefcli.cli import screen
from mefcli.evaluation.scenes import Layout
from mefcli.job import Job

if TYPE_CHECKING:
    from mefcli.reproduction.ablations import Finding
    from mefnets import ModelSpec


@o.with_groups
def reproduce(
    system: Annotated[str, typer.Argument(metavar="SYSTEM", help="ffmef, crmef, mefcl, lcndr or mgdn.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Scenes to measure on, as the paper did: one folder each.")
    ] = None,
    layout: Annotated[
        Layout | None, typer.Option("--layout", help="plain, or mefb: the benchmark's. Found without it.")
    ] = None,
    authors: Annotated[
        Path | None, typer.Option("--authors", help="The authors' weights, as they publish them.")
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option("--train", help="Test the claims by training on this folder, or on a packed file."),
    ] = None,
    claims: Annotated[
        str | None, typer.Option("--claims", help="Only these claims, with commas between.")
    ] = None,
    budget: Annotated[str, typer.Option("--budget", help="Time for each training, like 30m.")] = "10m",
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="End each training after so many steps instead.")
    ] = None,
    crop: Annotated[
        int | None, typer.Option("--crop-px", min=32, help="Side of the training pictures.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings of each recipe.")] = 2,
    runs: Annotated[Path, typer.Option("--runs", help="Where trainings are kept; they continue.")] = Path(
        "runs"
    ),
    vgg16: Annotated[
        Path | None,
        typer.Option("--vgg16", help="MEF-CL: torchvision's VGG-16 file, through which its paper compares."),
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads.")] = None,
    megapixels: Annotated[
        float | None, typer.Option("--megapixels", help="Reduce the scenes to this size.", min=0.002)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write everything to this .md or .json file.")
    ] = None,
    *,
    job: Annotated[Job, o.Only("device", "overwrite")],
    talk: o.Talk,
) -> None:
    """Print a paper's results beside ours, and say of each of its claims whether it holds.

    The table needs the paper's pictures (--data); the claims are tested by training the recipe with and
    without a part, each for the same time (--train). They are judged on the scenes of --data, or on the
    validation scenes of the training data. What a network is said to do with pairs that are too dark, too
    bright, of any two exposures, or moved, and with three frames, is seen with the weights that are there, on
    such pictures of the validation scenes. What else the paper reports is told with where to find ours.

    Examples:
    mef reproduce ffmef                                       what the paper says
    mef reproduce ffmef --data MEFB --authors exposure.pth    its table beside ours
    mef reproduce lcndr --train train.mefdata --budget 1h --claims add-add,one-attention
    mef reproduce mefcl --train train.mefdata --claims two-under,two-over    no training: of its weights
    """
    from mefcli.errors import UsageError, named
    from mefcli.evaluation import published
    from mefcli.report.files import check_target
    from mefcli.reproduction import words
    from mefcli.reproduction.table import layout_of, measure

    if output is not None and output.suffix.lower() not in (".md", ".json"):
        raise UsageError(f"Results cannot be written as {output.name}.", "End it in .md or .json.")
    check_target(output, (".md", ".json"), (), overwrite=job.overwrite)
    if authors is not None and data is None:
        raise UsageError("Weights are measured on pictures.", f"Name the scenes with {named('data')}.")
    spec = published.system(system)
    chosen = published.chosen_claims(spec, [one.strip() for one in (claims or "").split(",") if one.strip()])
    table = published.table_of(spec)
    measured = None
    if data is not None:
        measured = measure(
            spec,
            table,
            data,
            layout_of(data, layout),
            authors=authors,
            device=job.device,
            max_megapixels=megapixels,
            on_row=lambda scene, method: screen.say(f"{scene}: {method} measured."),
        )
    if train is None:
        from mefcli.reproduction.ablations import not_measured

        findings = not_measured(chosen, "no training data was given")
    else:
        scenes = (data, layout_of(data, layout), megapixels) if data else None
        shared = {
            "budget_s": None if steps else _seconds(budget),
            "steps": steps,
            "crop_px": crop,
            "threads": threads,
            "vgg16": vgg16,
            "device": job.device,
        }
        findings = _tested(spec, chosen, train, runs / "reproduce", scenes, seeds, shared)
    found = words.to_object(spec, table, measured, findings)
    markdown = words.to_markdown(spec, table, measured, findings)
    if output is not None:
        _write(output, found, markdown, overwrite=job.overwrite)
    if talk.json:
        screen.put_json(found)
    elif output is None:
        typer.echo(markdown)
    else:
        typer.echo(output)


def _seconds(budget: str) -> float:
    from mefcli.training.settings import parse_duration

    return parse_duration(budget)


def _tested(
    spec: ModelSpec, chosen: Any, data: Path, runs: Path, scenes: Any, seeds: int, shared: dict[str, Any]
) -> list[Finding]:
    from mefcli.cli.train import run_shown
    from mefcli.reproduction import skills as known
    from mefcli.reproduction.ablations import check, held_scenes, not_measured, scenes_in
    from mefcli.training.prepare import are_scenes
    from mefcli.training.settings import Settings
    from mefnets.claims import Claim, Pictures, Skill, Told

    # Frames of any exposure, and moved ones, are made from the free pictures: photographed scenes have none.
    simulated = [one for one in chosen if isinstance(one, Skill) or (isinstance(one, Claim) and one.moved)]
    beyond_data = simulated if are_scenes(data) else []
    claims = [one for one in chosen if isinstance(one, Claim) and one not in beyond_data]
    skills = [one for one in chosen if isinstance(one, Skill) and one not in beyond_data]
    kinds: set[Pictures] = {one.pictures for one in skills}
    if any(one.moved for one in claims):
        kinds.add("moved")
    pictures = known.pictures(data, runs, kinds, screen.say)
    judged = []
    if any(not one.moved for one in claims):
        judged = scenes_in(*scenes) if scenes else held_scenes(data, runs, screen.say)

    def settings(model: str, variant: str, seed: int) -> Settings:
        # Validation shows nothing that is asked for here: the scenes are judged at the end.
        return Settings(
            model=model, data=data, runs=runs, variant=variant, seed=seed, validate_every_s=1e9, **shared
        )

    def trained(run: Settings) -> tuple[Path, int]:
        outcome = run_shown(run)
        if outcome.why == "interrupted":
            raise KeyboardInterrupt
        return outcome.folder, outcome.step

    moved = pictures.get("moved", [])
    found = [
        *check(spec, claims, judged, settings, seeds, trained, screen.say, moved=moved),
        *known.check(spec, skills, pictures, shared["device"], screen.say),
        *not_measured([one for one in chosen if isinstance(one, Told)]),
        *not_measured(beyond_data, "its pairs are made from mef's free pictures, and --train names others"),
    ]
    return sorted(found, key=lambda one: [claim.name for claim in chosen].index(one.claim.name))


def _write(output: Path, found: dict[str, Any], markdown: str, *, overwrite: bool) -> None:
    import json

    from mefcli.storage import write_text

    as_json = output.suffix.lower() == ".json"
    text = json.dumps(found, indent=1) + "\n" if as_json else markdown
    write_text(output, text, overwrite=overwrite)
