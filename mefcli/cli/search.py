"""`mef search`: let CRMEF's architecture search choose operators for this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mefcli.cli.screen import say
from mefcli.cli.train_data import Overwrite

if TYPE_CHECKING:
    from torch import Tensor

    from mefcli.training.store import Store
    from mefnets.crmef.latency import Table
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
    channels: Annotated[int, typer.Option("--channels", min=2, help="Channels of detail repletion.")] = 32,
    eta: Annotated[
        float, typer.Option("--eta", min=0.0, help="What speed counts; the paper: 0.5, fast 1.")
    ] = 0.5,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps of the weights.")] = 12_000,
    warmup: Annotated[int, typer.Option("--warmup", min=0, help="Steps before operators are weighed.")] = 400,
    lr_alpha: Annotated[float, typer.Option("--lr-alpha", help="Raise it for short searches.")] = 1e-4,
    lr_weights: Annotated[float, typer.Option("--lr-weights", help="Learning rate of the weights.")] = 3e-4,
    optimiser: Annotated[
        str, typer.Option("--optimiser", help="Of the weights: sgd, the paper's, or for short searches adam.")
    ] = "sgd",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Pairs a step.")] = 4,
    crop: Annotated[int, typer.Option("--crop-px", min=32, help="Side of the crops.")] = 128,
    side: Annotated[
        list[int] | None,
        typer.Option("--side", min=8, help="Sides at which operators are timed; 32 and 64 by default."),
    ] = None,
    timing_batch: Annotated[int, typer.Option("--timing-batch", min=1, help="Pictures a timed call.")] = 16,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Timed calls an operator.")] = 100,
    alpha_log: Annotated[
        Path | None, typer.Option("--alpha-log", help="A file for alpha as it goes, a JSON line a time.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of weights and data.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads.")] = None,
    precision: Annotated[
        str,
        typer.Option("--precision", help="auto (what the device is quick at), float32 or bfloat16."),
    ] = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Search CRMEF's operators under a latency constraint, and write the genotype to build it from.

    The table's times are means, as the paper's; --repeats 1000 is its number. The scenes of the training
    part are split in two: the weights learn on one half, alpha on the other. A genotype in
    models/mefnets/crmef/genotypes/NAME.json is trained with mef train crmef --variant NAME.

    Examples:
    mef search crmef --measure-latency -o latency.json
    mef search crmef --data train.mefdata --latency latency.json --eta 1 -o genotype.json
    """
    import torch

    from mefcli.errors import UsageError
    from mefcli.storage import check_new
    from mefcli.training.precision import choose
    from mefnets.engine.devices import choose_device

    if model not in ("crmef", "crmef-align"):
        raise UsageError(f"There is nothing to search in {model!r}.", "Choose crmef or crmef-align.")
    if optimiser not in ("sgd", "adam"):
        raise UsageError(f"There is no optimiser {optimiser!r}.", "Choose sgd or adam.")
    if data is None and not measure_latency:
        raise UsageError("A search needs pictures.", "Give --data the training folder or a packed file.")
    for file in filter(None, (out, alpha_log)):
        check_new(file, overwrite=overwrite)
    aligns = model == "crmef-align"
    if threads:
        torch.set_num_threads(threads)
    at = choose_device(device)
    where, dtype = str(at), choose(precision, True, at)  # type: ignore[arg-type]  # checked there
    if latency:
        table = _read_table(latency)
    else:
        table = _measure(64 if aligns else channels, aligns, side or None, timing_batch, repeats, where)
    if measure_latency:
        _write(out, table.to_json())
        typer.echo(out)
        return
    assert data is not None

    from dataclasses import asdict

    from mefnets.crmef.search import Settings
    from mefnets.crmef.search import search as run

    settings = Settings(
        width=64 if aligns else channels,
        aligns=aligns,
        eta=eta,
        steps=steps,
        warmup_steps=warmup,
        lr_weights=lr_weights,
        optimiser=optimiser,  # type: ignore[arg-type]  # checked above
        lr_alpha=lr_alpha,
        seed=seed,
        bfloat16=dtype == torch.bfloat16,
    )
    sources = _pairs(data, runs, batch, crop, aligns, seed)
    if alpha_log is not None:  # a search without a log of what it was would be hard to judge
        _write_line(alpha_log, {"settings": asdict(settings), "batch": batch, "crop_px": crop}, first=True)
    try:
        chosen = run(*sources, table, settings, where, _Lines(steps, alpha_log))
    except ValueError as error:
        raise UsageError(str(error), "Measure a table with the same --channels.") from error
    _write(out, asdict(chosen))
    typer.echo(out)


class _Lines:
    """A line now and then, for the reader and, where asked for, with alpha into a file."""

    def __init__(self, steps: int, alpha_log: Path | None = None) -> None:
        self.every, self.alpha_log = max(1, steps // 100), alpha_log

    def __call__(self, tick: Tick) -> None:
        if tick.step % self.every:
            return
        error = "" if tick.validation is None else f" validation {tick.validation:.4f}"
        genotype = " ".join(tick.genotype.srsm + tick.genotype.dasm + tick.genotype.drm)
        say(f"step {tick.step} train {tick.train:.4f}{error} latency {tick.latency:.3f}  {genotype}")
        if self.alpha_log is not None:
            alpha = {place: [round(p, 4) for p in row] for place, row in tick.probabilities.items()}
            line = {"step": tick.step, "train": tick.train, "validation": tick.validation}
            _write_line(self.alpha_log, {**line, "latency": tick.latency, "alpha": alpha})


def _measure(
    width: int, aligns: bool, sizes: list[int] | None, batch: int, repeats: int, device: str
) -> Table:
    from mefnets.crmef.latency import SIZES_PX, layers, measure

    said: Callable[[str, float], None] = lambda key, ms: say(f"{key}: {ms:.3f} ms")  # noqa: E731
    return measure(layers(width, aligns), sizes or SIZES_PX, batch, repeats, device, said)


def _read_table(path: Path) -> Table:
    from mefcli.errors import InputError
    from mefnets.crmef.latency import table_from

    try:
        return table_from(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(
            f"{path} is not a latency table: {error}.", "mef search crmef --measure-latency makes one."
        ) from error


def _write(path: Path, content: Any) -> None:
    from mefcli.storage import write_text

    write_text(path, json.dumps(content, indent=1) + "\n")


def _write_line(path: Path, content: Any, *, first: bool = False) -> None:
    from mefcli.storage import write_text

    line = json.dumps(content) + "\n"
    if first:
        write_text(path, line)
        return
    with path.open("a", encoding="utf-8") as file:
        file.write(line)


def _pairs(
    data: Path, runs: Path, batch: int, crop: int, aligns: bool, seed: int
) -> tuple[Iterator[tuple[Tensor, Tensor]], Iterator[tuple[Tensor, Tensor]]]:
    """Batches for the weights and, of other scenes, for the architecture."""
    import torch

    from mefcli.training.loader import batches, to_batch
    from mefcli.training.prepare import data_at
    from mefcli.training.simulator import Simulator
    from mefcli.training.targets import TargetBook
    from mefnets.recipe import Data

    whole = data_at(data, runs / "cache", say)
    wanted = Data(crop_px=crop, batch=batch, target=True, misaligned=0.8 if aligns else 0.0)
    targets = TargetBook(whole)

    def stream(half: int) -> Iterator[tuple[Tensor, Tensor]]:
        store = half_of(whole, half)
        for _, arrays in batches(Simulator(store, wanted, seed=2 * seed + half, targets=targets), 0, 1):
            ready = to_batch(arrays, torch.device("cpu"))
            assert ready.target is not None
            yield ready.frames, ready.target

    return stream(0), stream(1)


def half_of(store: Store, half: int) -> Store:
    """The same store with every second scene of its training part hidden: others for each half."""
    import copy

    scenes = sorted({entry.scene for entry in store.entries if entry.part == "train"})
    hidden = set(scenes[1 - half :: 2])
    found = copy.copy(store)
    shown = store.indices
    found.indices = lambda part, *kinds: [  # type: ignore[method-assign]
        view for view in shown(part, *kinds) if store.entries[view].scene not in hidden
    ]
    return found
