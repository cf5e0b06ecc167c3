"""`mef train`: train a network, export its weights; the group with the commands of `train_data.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mefcli.cli.lazy import Entry, LazyGroup
from mefcli.cli.screen import say
from mefcli.cli.train_data import DataOption, RunsOption
from mefcli.errors import UsageError
from mefcli.training.settings import has_recipe
from mefnets import MODELS

if TYPE_CHECKING:
    from mefcli.training.loop import Outcome, Tick

THREADS = typer.Option("--threads", min=1, help="CPU threads of the network.")

TRAINABLE = tuple(name for name, spec in MODELS.items() if has_recipe(spec))

ENDS = {"steps": "its step count", "budget": "its time budget", "interrupted": "interruption"}


# ---- training --------------------------------------------------------------------------------------------


def train_one(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Which network: see mef models.")],
    data: DataOption,
    runs: RunsOption = Path("runs"),
    budget: Annotated[
        str | None,
        typer.Option("--budget", help="Time for the run, like 90m: the schedule fits itself to it."),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="End after this many steps.")] = None,
    variant: Annotated[
        str, typer.Option("--variant", help="An ablation, or paper.SETTING: ours with that of the paper.")
    ] = "",
    crop: Annotated[
        int | None,
        typer.Option(
            "--crop-px", min=32, help="Side of the training pictures: small ones for quick ablations."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    threads: Annotated[int | None, THREADS] = None,
    precision: Annotated[
        str,
        typer.Option("--precision", help="auto (what the device is quick at), float32 or bfloat16."),
    ] = "auto",
    workers: Annotated[int, typer.Option("--workers", help="Threads that simulate brackets.")] = 1,
    batch_times: Annotated[
        int,
        typer.Option("--batch-times", min=1, help="So many times the recipe's pictures a step: for cards."),
    ] = 1,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start again; otherwise a run continues.")] = False,
    start_from: Annotated[
        Path | None, typer.Option("--from", help="Begin with these weights (.safetensors or a checkpoint).")
    ] = None,
    features: Annotated[
        Path | None, typer.Option("--features", help="MEF-CL's feature network; else the shipped one.")
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option("--teacher", help="Weights of the default model, to learn from instead of the shipped."),
    ] = None,
    vgg16: Annotated[
        Path | None,
        typer.Option("--vgg16", help="MEF-CL: torchvision's VGG-16 file instead of our features."),
    ] = None,
    validate_every: Annotated[str, typer.Option("--validate-every", help="Time between validations.")] = "4m",
    smoke: Annotated[bool, typer.Option("--smoke", help="A few small steps, to see that it runs.")] = False,
) -> None:
    """Train a network within a time budget. Run the same command again to continue.

    Everything of the run lies in RUNS/MODEL[-VARIANT]-seedN: last.pt, best.pt, log.csv and validation sheets.

    Examples:
    mef train house --data train.mefdata --budget 90m
    mef train lcndr --variant without_sam --data train.mefdata --budget 15m
    mef train --smoke --data train.mefdata
    """
    from mefcli.training.settings import Settings, parse_duration

    settings = Settings(
        model=model,
        data=data,
        runs=runs,
        variant=variant,
        crop_px=crop,
        budget_s=parse_duration(budget) if budget else None,
        steps=steps,
        seed=seed,
        device=device,
        threads=threads,
        precision=precision,  # type: ignore[arg-type]  # checked where it is used
        workers=workers,
        batch_times=batch_times,
        smoke=smoke,
        fresh=fresh or smoke,
        start_from=start_from,
        features=features,
        teacher=teacher,
        vgg16=vgg16,
        validate_every_s=parse_duration(validate_every),
    )
    outcome = run_shown(settings)
    typer.echo(outcome.folder)
    if outcome.why == "interrupted":
        raise typer.Exit(130)


def run_shown(settings: Any) -> Outcome:
    from mefcli.training.loop import Trainer
    from mefcli.training.prepare import prepare

    run = prepare(settings, say)
    with _shown(run.recipe.model) as on_tick:
        outcome = Trainer(run, on_tick).train()
    say(
        f"{run.recipe.model}: stopped by {ENDS[outcome.why]} at step {outcome.step}, "
        f"{outcome.progress:.0%} of its curve, after {outcome.elapsed_s / 60:.1f} minutes."
    )
    return outcome


def _shown(model: str) -> Any:
    """A context that gives the loop its listener: a live panel on a terminal, plain lines otherwise."""
    from mefcli.cli.screen import console

    return LivePanel(model) if console().is_terminal else PlainLines(model)


def _words(values: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())


class PlainLines:
    """One line every quarter of a minute, one for every validation."""

    every_s = 15.0

    def __init__(self, model: str) -> None:
        self.model, self.shown_at = model, -self.every_s

    def __enter__(self) -> Callable[[Tick], None]:
        return self.show

    def __exit__(self, *_: object) -> None:
        sys.stderr.flush()

    def show(self, tick: Tick) -> None:
        if tick.scores:
            say(f"{self.model} step {tick.step} validation: {_words(tick.scores)}")
        elif tick.elapsed_s - self.shown_at >= self.every_s:
            self.shown_at = tick.elapsed_s
            say(
                f"{self.model} step {tick.step} {tick.progress:.0%} {tick.elapsed_s:.0f} s "
                f"lr {tick.lr:.2g} waited {tick.waited_share:.0%} loss {tick.loss:.4f}  {_words(tick.terms)}"
            )


class LivePanel:
    """Progress, losses and the last validations, redrawn in place."""

    kept = 6

    def __init__(self, model: str) -> None:
        from rich.live import Live

        from mefcli.cli.screen import console

        self.model = model
        self.live = Live(console=console(), refresh_per_second=4)
        self.validations: list[tuple[int, dict[str, float]]] = []

    def __enter__(self) -> Callable[[Tick], None]:
        self.live.__enter__()
        return self.show

    def __exit__(self, *trouble: Any) -> None:
        self.live.__exit__(*trouble)

    def show(self, tick: Tick) -> None:
        from rich.console import Group
        from rich.panel import Panel
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        if tick.scores:
            self.validations = [*self.validations, (tick.step, tick.scores)][-self.kept :]
            scores = Table(box=None, pad_edge=False)
            for name in ("step", *tick.scores):
                scores.add_column(name, justify="right")
            for step, values in self.validations:
                scores.add_row(str(step), *(f"{value:.4g}" for value in values.values()))
            self.scores = scores
            return
        left = tick.elapsed_s / max(tick.progress, 1e-6) - tick.elapsed_s
        rate = tick.step / max(tick.elapsed_s, 1e-9)
        line = (
            f"step {tick.step}   {rate:.2f} steps/s   loss {tick.loss:.4f}   lr {tick.lr:.2g}   "
            f"waiting for data {tick.waited_share:.0%}   about {left / 60:.0f} min left"
        )
        parts: list[Any] = [
            ProgressBar(total=1.0, completed=min(tick.progress, 1.0)),
            line,
            _words(tick.terms),
        ]
        if self.validations:
            parts += ["", self.scores]
        self.live.update(Panel(Group(*parts), title=f"training {self.model}"))


def smoke_all(data: Path, runs: Path) -> None:
    """Every recipe for a few steps."""
    from mefcli.training.settings import Settings, all_recipes

    for name in all_recipes():
        run_shown(Settings(model=name, data=data, runs=runs, smoke=True, fresh=True))


def features(
    data: DataOption,
    runs: RunsOption = Path("runs"),
    budget: Annotated[str, typer.Option("--budget", help="Time for the run.")] = "10m",
    steps: Annotated[int | None, typer.Option("--steps", help="End after this many steps.")] = None,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    threads: Annotated[int | None, THREADS] = None,
    out: Annotated[Path, typer.Option("--output", "-o", help="The weights folder.")] = Path("weights"),
) -> None:
    """Train the feature network of MEF-CL, and show that it separates exposures of unseen scenes.

    Examples:
    mef train features --data train.mefdata --budget 8m
    """
    import torch

    from mefcli.training.export import export_features
    from mefcli.training.features import STEPS, separation, train_features
    from mefcli.training.prepare import data_at
    from mefcli.training.settings import parse_duration
    from mefnets.mefcl.features import FeatureNet

    if threads:
        torch.set_num_threads(threads)
    store = data_at(data, runs / "cache", say)

    def show(step: int, progress: float, loss: float) -> None:
        if step % 100 == 0:
            say(f"features step {step} {progress:.0%} loss {loss:.4f}")

    trained = train_features(
        store, seed=seed, steps=steps or STEPS, budget_s=parse_duration(budget), on_step=show
    )
    torch.manual_seed(seed)
    before, found = separation(FeatureNet().eval(), store), separation(trained.network, store)
    words = "; ".join(
        f"{tap}: {found.accuracy[tap]:.1%} of unseen under, normal, over told apart (untrained "
        f"{before.accuracy[tap]:.1%}), centres apart by {found.ratio[tap]:.2f} spreads "
        f"(untrained {before.ratio[tap]:.2f})"
        for tap in ("deep", "shallow")
    )
    words += f"; alterations told within {found.alteration_error:.3f} (a guess: {found.guess_error:.3f})"
    metadata = {
        "data_sha256": store.data_hash,
        "seed": str(seed),
        "steps": str(trained.steps),
        "minutes": f"{trained.seconds / 60:.1f}",
        "separation": words,
    }
    path, digest = export_features(trained.network, out, metadata)
    say(f"{words}. {path.stat().st_size / 1e6:.2f} MB, SHA-256 {digest}")
    typer.echo(path)


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL")],
    runs: RunsOption = Path("runs"),
    variant: Annotated[str, typer.Option("--variant")] = "",
    seed: Annotated[int, typer.Option("--seed")] = 0,
    which: Annotated[str, typer.Option("--which", help="last, or best by validation score.")] = "last",
    out: Annotated[Path, typer.Option("--output", "-o", help="The weights folder.")] = Path("weights"),
    crop: Annotated[int | None, typer.Option("--crop-px", help="As the run was given it.")] = None,
    default: Annotated[
        bool, typer.Option("--default", help="A variant's weights as MODEL's own, not as MODEL@VARIANT.")
    ] = False,
    blend: Annotated[
        Path | None, typer.Option("--blend", help="Mix with these weights of the same network.")
    ] = None,
    share: Annotated[float, typer.Option("--share", help="--blend: the run's share.")] = 0.5,
    data: Annotated[
        Path | None, typer.Option("--data", help="--blend: training data, to score the mixture.")
    ] = None,
) -> None:
    """Write a run's averaged weights as safetensors, with their provenance, and enter their hash.

    Examples:
    mef train export house --which best
    mef train export ffmef --blend weights/ffmef.safetensors --share 0.6 --data train.mefdata
    """
    from mefcli.checkpoints import find_model
    from mefcli.errors import UsageError
    from mefcli.training.export import Blend, export_run
    from mefcli.training.graphs import can_export, export_graphs
    from mefcli.training.settings import Settings

    if blend and not data:
        raise UsageError("A blend is scored anew.", "Give --data, the training data.")
    mixture = Blend(blend, share, data) if blend and data else None
    run = Settings(model=model, data=Path(), runs=runs, variant=variant, seed=seed, crop_px=crop)
    path, digest, size = export_run(model, run.folder, variant, which, out, mixture, default)
    say(f"{size / 1e6:.2f} MB, SHA-256 {digest}")
    typer.echo(path)
    spec = find_model(str(path))
    if can_export(spec):
        for graph in export_graphs(spec, path):
            typer.echo(graph)


# ---- the group -------------------------------------------------------------------------------------------

COMMANDS = (
    *(Entry(name, "mefcli.cli.train:train_one", f"Train {name}.", "Networks") for name in TRAINABLE),
    Entry("features", "mefcli.cli.train:features", "Train the feature network of MEF-CL.", "Networks"),
    Entry("pack", "mefcli.cli.train_data:pack", "Pack the training data into one file.", "Data"),
    Entry("preview", "mefcli.cli.train_data:preview", "Show simulated brackets on a contact sheet.", "Data"),
    Entry("niqe", "mefcli.cli.train_data:niqe", "Fit NIQE to a folder of photographs.", "Data"),
    Entry("export", "mefcli.cli.train:export", "Write a run's weights for shipping.", "Results"),
    Entry("hours", "mefcli.cli.train_plan:hours", "Show what the weights have cost so far.", "Results"),
    Entry("scores", "mefcli.cli.train_plan:scores", "Measure every model, for the lists.", "Results"),
)


class Train(LazyGroup):
    entries = COMMANDS

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """`mef train house ...`: the network's name stays an argument of the command it selects."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command, [args[0], *rest] if args[0] in TRAINABLE else rest


app = typer.Typer(name="train", cls=Train, invoke_without_command=True, pretty_exceptions_enable=False)


@app.callback()
def train(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option("--data", help="With --smoke: the training data.")] = None,
    runs: RunsOption = Path("runs"),
    smoke: Annotated[bool, typer.Option("--smoke", help="A few small steps of every recipe.")] = False,
    plan: Annotated[
        Path | None, typer.Option("--plan", help="Train all that a plan names, in order, within its time.")
    ] = None,
) -> None:
    """Train the networks from free data: mef train MODEL --data FILE --budget 90m."""
    if context.invoked_subcommand:
        return
    if plan is not None:
        from mefcli.cli.train_plan import carry_out

        carry_out(plan, run_shown)
        return
    if smoke and data is None:
        raise UsageError(
            "--smoke needs pictures to learn from.",
            "Add --data FILE.mefdata; mef train pack makes one of photographs.",
        )
    if data is not None and not smoke:
        raise UsageError(
            "--data alone trains nothing.", "Name a model (mef train house --data FILE), or add --smoke."
        )
    if data is None:
        typer.echo(context.get_help())
        raise typer.Exit(0)
    smoke_all(data, runs)
