"""`mef models`: which models there are, what is known about them, and whether their weights are whole."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mefcli import api, checkpoints, quality
from mefcli.cli import options as o
from mefcli.cli import screen
from mefcli.cli.lazy import Entry
from mefcli.errors import MefError, ModelError, OutputError, flag
from mefcli.job import Job
from mefcli.training import lineage
from mefnets import DEFAULT_MODEL, DEFAULT_MODELS, ModelSpec

COMMANDS = (
    Entry("list", "mefcli.cli.models:list_", "List the models, their quality and cost."),
    Entry("show", "mefcli.cli.models:show", "Show what is known about a model."),
    Entry("verify", "mefcli.cli.models:verify", "Check the weights against their SHA-256."),
    Entry("export", "mefcli.cli.models:export", "Write a network as graphs that run without torch."),
    Entry("import", "mefcli.cli.models:import_", "Turn a checkpoint into weights that mef loads."),
)

Name = Annotated[str, typer.Argument(metavar="MODEL", autocompletion=o.complete_models, show_default=False)]


def state_of(spec: ModelSpec) -> str:
    """ready, or what is missing."""
    return "ready" if checkpoints.is_ready(spec) else "not trained yet"


def list_(json: o.Json = False) -> None:
    """List the models: what they are fit for, how good their pictures are, and what they cost.

    Examples:
    mef models list
    mef models list --json
    """
    specs = api.list_models()
    if json:
        screen.put_json([_facts(spec) for spec in specs])
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("model", "for", "frames", "sees", "quality", "CPU-s a MP", "what it does"):
        table.add_column(heading)
    for spec in specs:
        name = f"{spec.name} (default)" if spec.name == DEFAULT_MODELS.get(spec.task) else spec.name
        frames = "any number" if spec.max_frames is None else f"{spec.max_frames} at a time"
        sees = "colour" if spec.colour == "rgb" else "lightness"
        cost = f"{spec.cost.cpu_s:g}" if spec.cost else "-"
        state = state_of(spec)
        found = quality.words_of(spec) if state == "ready" else state
        table.add_row(name, spec.task, frames, sees, found, cost, spec.summary)
    screen.stdout().print(table)
    screen.say(
        "Quality of pairs: structure (MEF-SSIM, more is better), tone (Q_CV, less is better), lost (what a "
        "frame shows and the result does not). Costs are of a megapixel that the network sees."
    )
    screen.say(quality.STARRED)


def show(name: Name, json: o.Json = False) -> None:
    """Show what is known about a model, or about a file of weights: where they come from, leg by leg.

    Examples:
    mef models show mertens
    mef models show ffmef --json
    mef models show own.safetensors
    """
    facts = _facts(checkpoints.find_model(name), checkpoints.weights_of(name))
    legs = [lineage.Leg(**leg) for leg in facts["lineage"]]
    facts["asked_for"] = list(lineage.asked(legs))
    if json:
        screen.put_json(facts)
        return
    del facts["quality_trained_on"]  # a part of the line below on all that they were trained on
    for key, value in facts.items():
        if key == "lineage":
            for number, leg in enumerate(legs, 1):
                screen.put(f"{f'leg {number}':<16} {leg.words()}")
            continue
        if key == "asked_for":
            if value:
                screen.put(f"{'trained on':<16} {', '.join(value)}: scores by these flatter it")
            continue
        if isinstance(value, dict):
            screen.put(key)
            value = {f"  {inner}": words for inner, words in value.items() if words not in ("", "{}")}
        for name, words in (value if isinstance(value, dict) else {key: value}).items():
            if words is not None:
                screen.put(f"{name.replace('_', ' '):<16} {words}")


def verify(json: o.Json = False) -> None:
    """Check the weights against their SHA-256.

    Every shipped file is read and compared with weights/hashes.json. Ends with exit code 1 if one differs.

    Examples:
    mef models verify
    """
    results = [_verified(folder, name) for folder in _folders() for name in sorted(_names(folder))]
    if json:
        screen.put_json(results)
    else:
        for result in results:
            screen.put(f"{result['file']}: {result['state']}")
        if not results:
            screen.say("No weights are shipped with this version; mertens and average need none.")
    broken = [result for result in results if result["state"] != "whole"]
    if broken:
        raise ModelError(f"{len(broken)} of {len(results)} files are not as shipped.", "Install mef again.")


def export(name: Name = DEFAULT_MODEL) -> None:
    """Write a network as graphs that run without torch.

    They lie beside its weights, and are refused once those change. mef train export calls this by itself.

    Examples:
    mef models export house
    """
    from mefcli.training.graphs import export_graphs

    spec = checkpoints.find_model(name)
    weights = checkpoints.find_weights(spec)
    if weights is None:
        raise checkpoints.missing(spec)
    for path in export_graphs(spec, weights):
        screen.put(str(path))


@o.with_groups
def import_(
    name: Name,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A .pth or .safetensors file.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The .safetensors file to write.")
    ],
    zero_padding: Annotated[
        bool, typer.Option("--zero-padding", help="These weights were trained with zeros beyond the border.")
    ] = False,
    studio_luma: Annotated[
        bool, typer.Option("--studio-luma", help="These weights expect luminance from 16 to 235.")
    ] = False,
    json: o.Json = False,
    *,
    job: Annotated[Job, o.Only("overwrite")],
) -> None:
    """Turn a checkpoint into weights that mef loads.

    A .pth is read by PyTorch's safe loader, which runs no code. What it is, its names of layers tell (MODEL
    may be auto): they are translated, and padding and luminance range follow. Layers that do not fit are
    named. The two flags are for weights that nobody recognises. Use the result with mef fuse --weights.

    Examples:
    mef models import auto authors.pth -o authors.safetensors
    mef models import ffmef own.pth -o own.safetensors --studio-luma
    """
    from mefcli.importing import import_checkpoint

    if output.exists() and not job.overwrite:
        raise OutputError(f"{output} exists.", "Use --overwrite to replace it, or name another file.")
    facts = import_checkpoint(name, path, output, zero_padding=zero_padding, studio_luma=studio_luma)
    if json:
        screen.put_json({**facts, "output": str(output)})
        return
    screen.say(f"Use it: mef fuse --model {facts['model']} --weights {output} FILES")
    screen.put(output)


def _folders() -> list[Path]:
    return list(dict.fromkeys(folder.resolve() for folder in checkpoints.weight_folders() if folder.is_dir()))


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.safetensors")} | set(checkpoints.known_hashes(folder))


def _verified(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    facts: dict[str, Any] = {"file": str(path), "sha256": None}
    if not path.is_file():
        return facts | {"state": "missing"}
    try:
        _, facts["sha256"] = checkpoints.read_checked(path)
    except MefError as error:
        return facts | {"state": error.spelled(flag)[0]}
    known = name in checkpoints.known_hashes(folder)
    return facts | {"state": "whole" if known else f"not in {checkpoints.HASHES}"}


def _facts(spec: ModelSpec, path: Path | None = None) -> dict[str, Any]:
    """`path`: its weights, where they are not those that are found by its name."""
    path = path or checkpoints.find_weights(spec)
    metadata = checkpoints.read_header(path.read_bytes()) if path else {}
    return {
        "name": spec.name,
        "title": spec.title,
        "summary": spec.summary,
        "paper": asdict(spec.paper) if spec.paper else None,
        "task": spec.task,
        "default": spec.name == DEFAULT_MODELS.get(spec.task),
        "frames": spec.max_frames or "any number",
        "colour": spec.colour,
        "reach_px": spec.tiling.reach,
        "licence": spec.licence,
        "state": state_of(spec),
        "quality": quality.quality_of(spec, path),
        "quality_trained_on": list(quality.trained_on(spec, path)) or None,
        "merit": spec.merit or None if path == checkpoints.find_weights(spec) else None,
        "cpu_s_per_megapixel": spec.cost.cpu_s if spec.cost else None,
        "weights": str(path) if path else spec.weights,
        "trained": {key: words for key, words in metadata.items() if key != lineage.LEGS} if path else None,
        "lineage": [asdict(leg) for leg in lineage.of_metadata(metadata)],
    }
