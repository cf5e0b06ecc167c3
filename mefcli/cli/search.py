"""`mef search`: let CRMEF's architecture search choose operators for this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mefcli.cli.screen import say

if TYPE_CHECKING:
    from torch import Tensor

    from mefnets.crmef.search import Tick


def search(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="What to search: crmef or crmef-align.")],
    out: Annotated[
        Path, typer.Option("--output", "-o", help="The genotype file, or with --measure-latency the table.")
    ],
    measure_latency: Annotated[
        bool, typer.Option("--measure-latency", help="Only time every operator on this machine.")
    ] = False,
    latency: Annotated[
        Path | None, typer.Option("--latency", help="A table measured before; measured now without it.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="The training folder, or the file that mef train pack made.")
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", help="Where the data cache is kept.")] = Path("runs"),
    width: Annotated[int, typer.Option("--width", min=2, help="Channels of detail repletion.")] = 32,
    eta: Annotated[float, typer.Option("--eta", min=0.0, help="What speed counts.")] = 0.5,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps of the weights.")] = 12_000,
    warmup: Annotated[int, typer.Option("--warmup", min=0, help="Steps before operators are weighed.")] = 400,
    lr_alpha: Annotated[float, typer.Option("--lr-alpha", help="Raise it for short searches.")] = 1e-4,
    lr_weights: Annotated[float, typer.Option("--lr-weights", help="Learning rate of the weights.")] = 3e-4,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Pairs a step.")] = 4,
    crop: Annotated[int, typer.Option("--crop", min=32, help="Side of the crops, in pixels.")] = 128,
    size: Annotated[int, typer.Option("--size", min=8, help="Side at which operators are timed.")] = 64,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Timings of each operator.")] = 5,
    seed: Annotated[int, typer.Option("--seed", help="Of weights and data.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads.")] = None,
) -> None:
    """Search CRMEF's operators under a latency constraint, and write the genotype to build it from.

    A genotype in models/mefnets/crmef/genotypes/NAME.json is trained with mef train crmef --variant NAME.

    Examples:
    mef search crmef --measure-latency -o latency.json
    mef search crmef --data train.mefdata --latency latency.json --eta 1 -o genotype.json
    """
    from mefcli.errors import UsageError
    from mefnets.engine.devices import choose_device

    if model not in ("crmef", "crmef-align"):
        raise UsageError(f"There is nothing to search in {model!r}.", "Choose crmef or crmef-align.")
    aligns = model == "crmef-align"
    if threads:
        import torch

        torch.set_num_threads(threads)
    where = str(choose_device(device))
    if latency:
        table = _read_table(latency)
    else:
        table = _measure(64 if aligns else width, aligns, size, batch, repeats, where)
    if measure_latency:
        _write(out, table)
        typer.echo(out)
        return
    if data is None:
        raise UsageError("A search needs pictures.", "Give --data the training folder or a packed file.")

    from dataclasses import asdict

    from mefnets.crmef.search import Settings
    from mefnets.crmef.search import search as run

    settings = Settings(
        width=64 if aligns else width,
        aligns=aligns,
        eta=eta,
        steps=steps,
        warmup_steps=warmup,
        lr_weights=lr_weights,
        lr_alpha=lr_alpha,
        seed=seed,
    )
    try:
        chosen = run(
            *_pairs(data, runs, batch, crop, aligns, seed), table, settings, size, where, _Lines(steps)
        )
    except ValueError as error:
        raise UsageError(str(error), "Measure a table with the same --width and --size.") from error
    _write(out, asdict(chosen))
    typer.echo(out)


class _Lines:
    """A line now and then."""

    def __init__(self, steps: int) -> None:
        self.every = max(1, steps // 100)

    def __call__(self, tick: Tick) -> None:
        if tick.step % self.every:
            return
        error = "" if tick.validation is None else f" validation {tick.validation:.4f}"
        genotype = " ".join(tick.genotype.srsm + tick.genotype.dasm + tick.genotype.drm)
        say(f"step {tick.step} train {tick.train:.4f}{error} latency {tick.latency:.3f}  {genotype}")


def _measure(width: int, aligns: bool, size: int, batch: int, repeats: int, device: str) -> dict[str, float]:
    from mefnets.crmef.latency import layers, measure

    return measure(
        layers(width, aligns), size, batch, repeats, device, lambda key, ms: say(f"{key}: {ms:.3f} ms")
    )


def _read_table(path: Path) -> dict[str, float]:
    from mefcli.errors import InputError

    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): float(value) for key, value in table.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(
            f"{path} is not a latency table: {error}.", "mef search crmef --measure-latency makes one."
        ) from error


def _write(path: Path, content: Any) -> None:
    from mefcli.errors import OutputError

    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"{path} cannot be written: {error.strerror}.", "Choose another folder.") from error


def _pairs(
    data: Path, runs: Path, batch: int, crop: int, aligns: bool, seed: int
) -> tuple[Iterator[tuple[Tensor, Tensor]], Iterator[tuple[Tensor, Tensor]]]:
    """Batches for the weights and, of other brackets, for the architecture."""
    import torch

    from mefcli.training.loader import batches, to_batch
    from mefcli.training.prepare import data_at
    from mefcli.training.simulator import Simulator
    from mefcli.training.targets import TargetBook
    from mefnets.recipe import Data

    store = data_at(data, runs / "cache", say)
    wanted = Data(crop_px=crop, batch=batch, target=True, misaligned=0.8 if aligns else 0.0)
    targets = TargetBook(store)

    def stream(number: int) -> Iterator[tuple[Tensor, Tensor]]:
        for _, arrays in batches(Simulator(store, wanted, seed=number, targets=targets), 0, 1):
            ready = to_batch(arrays, torch.device("cpu"))
            assert ready.target is not None
            yield ready.frames, ready.target

    return stream(2 * seed), stream(2 * seed + 1)
