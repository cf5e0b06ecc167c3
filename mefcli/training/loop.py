"""The one loop that trains every recipe.

Batches -> objective -> optimiser -> averaged copy; a critic step before where the recipe has a critic. A run
ends by time or by steps. It saves every minute, on SIGINT and at the end, and continues exactly from what was
saved: batches depend on the step number alone, everything else is in the checkpoint.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from mefcli.errors import MefError
from mefcli.training import state as states
from mefcli.training.lineage import Leg, from_json, to_json
from mefcli.training.loader import batches, to_batch
from mefcli.training.log import Log
from mefcli.training.prepare import Run
from mefcli.training.settings import pictures
from mefcli.training.state import State
from mefcli.training.validate import save_sheet, validate
from mefnets.recipe import Batch, Recipe

LOG_EVERY = 10  # steps
FLOOR = 0.01  # of the learning rate, at the end of the cosine
TOO_MANY_BAD = 25  # steps in a row whose loss is not finite

Why = Literal["steps", "budget", "interrupted"]


@dataclass(frozen=True)
class Tick:
    """A word from the loop, for whoever shows it."""

    step: int
    steps: int | None
    progress: float
    elapsed_s: float
    lr: float
    loss: float
    terms: dict[str, float] = field(default_factory=dict)
    scores: dict[str, float] | None = None
    waited_share: float = 0.0  # of the time, spent waiting for data


@dataclass(frozen=True)
class Outcome:
    why: Why
    step: int
    elapsed_s: float
    progress: float
    scores: dict[str, float]
    folder: Path


def learning_rate(recipe: Recipe, step: int, progress: float) -> float:
    """Linear warm-up, then a half cosine over the run's progress, constant, or what the recipe says."""
    warm = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
    if callable(recipe.schedule):
        return recipe.lr * warm * recipe.schedule(min(progress, 1.0))
    if recipe.schedule == "constant":
        return recipe.lr * warm
    return recipe.lr * warm * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


def rest(network: nn.Module) -> None:
    """Batch norms use the statistics they keep, and learn none."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within the block, SIGINT and SIGTERM only ask to stop; the loop saves and ends by itself."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {s: signal.signal(s, lambda *_: asked.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Trainer:
    def __init__(self, run: Run, on_tick: Callable[[Tick], None] = lambda tick: None) -> None:
        self.run, self.recipe, self.settings = run, run.recipe, run.settings
        self.device, self.on_tick = run.device, on_tick
        self.folder = run.settings.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.last = self.folder / "last.pt"
        self.state: State = run.state
        self.earlier = run.earlier
        if self.last.is_file() and not self.settings.fresh:
            kept = states.load(self.state, self.last, self.device)
            self.earlier = from_json(kept["earlier"]) if "earlier" in kept else self.earlier
        self._cpu_from = time.process_time() - self.state.cpu_s
        self.log = Log(self.folder / "log.csv", self.state.step)
        self.scores: dict[str, float] = {}
        self._bad = 0

    def progress(self, elapsed_s: float) -> float:
        """How far the run is, 0..1: by steps or by time, whichever is further."""
        by_steps = self.state.step / self.run.steps if self.run.steps else 0.0
        budget = self.settings.budget_s
        return max(by_steps, elapsed_s / budget if budget else 0.0)

    def train(self) -> Outcome:
        started = time.monotonic() - self.state.elapsed_s
        saved_at = validated_at = time.monotonic()
        waited = 0.0
        recent: list[tuple[float, dict[str, float]]] = []
        why: Why = "steps"
        simulator, source = None, None
        with interruptible() as stop_asked:
            while True:
                elapsed = time.monotonic() - started
                progress = self.progress(elapsed)
                if progress >= 1:
                    by_time = self.settings.budget_s and elapsed >= self.settings.budget_s
                    why = "budget" if by_time else "steps"
                    break
                if stop_asked():
                    why = "interrupted"
                    break
                before = time.monotonic()
                if source is None or self.run.simulator_at(progress) is not simulator:
                    if source is not None:
                        source.close()  # what was made ahead for the stage that ended
                    simulator = self.run.simulator_at(progress)
                    source = batches(simulator, self.state.step, self.settings.workers)
                _, arrays = next(source)
                waited += time.monotonic() - before
                lr = learning_rate(self.recipe, self.state.step, progress)
                recent.append(self.step(to_batch(arrays, self.device), lr, progress))
                self.state.elapsed_s = time.monotonic() - started
                if self.state.step % LOG_EVERY == 0 or len(recent) >= LOG_EVERY:
                    self._report(recent, progress, lr, waited)
                    recent = []
                now = time.monotonic()
                if now - validated_at > self.settings.validate_every_s:
                    self.validate(progress, lr)
                    validated_at = time.monotonic()
                if now - saved_at > self.settings.save_every_s:
                    self.save()
                    saved_at = time.monotonic()
        if source is not None:
            source.close()
        if recent:
            self._report(recent, progress, lr, waited)
        self.save()
        if why != "interrupted" and not self.scores.get("final"):
            self.validate(progress, learning_rate(self.recipe, self.state.step, progress))
            self.save()
        return Outcome(why, self.state.step, self.state.elapsed_s, progress, self.scores, self.folder)

    def step(self, batch: Batch, lr: float, progress: float) -> tuple[float, dict[str, float]]:
        """One step of the critic, where there is one, and one of the network."""
        state, network = self.state, self.state.network
        network.train()
        if progress >= self.recipe.norms_rest:
            rest(network)
        state.objective.train()
        self._critic_step(batch)
        for group in state.optimiser.param_groups:
            group["lr"] = lr
        loss, terms = state.objective(network, batch, progress)
        state.optimiser.zero_grad(set_to_none=True)
        if torch.isfinite(loss):
            loss.backward()
            if self.recipe.clip_value:
                nn.utils.clip_grad_value_(network.parameters(), self.recipe.clip_value)
            # Without a bound, too: one gradient that is not finite would stay in the weights for good.
            norm = nn.utils.clip_grad_norm_(network.parameters(), self.recipe.clip_norm or math.inf)
            if torch.isfinite(norm):
                state.optimiser.step()
                self._bad = 0
            else:
                self._count_bad()
        else:
            self._count_bad()
        states.update_average(state, self.recipe.ema)
        state.step += 1
        state.brackets += len(batch.frames)
        return float(loss.detach()), terms

    def _critic_step(self, batch: Batch) -> None:
        optimiser = self.state.critic_optimiser
        if optimiser is None:
            return
        loss = self.state.objective.critic_loss(self.state.network, batch)
        if loss is None or not torch.isfinite(loss):
            return
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    def _count_bad(self) -> None:
        self._bad += 1
        if self._bad > TOO_MANY_BAD:
            raise MefError(
                f"The loss has not been finite for {self._bad} steps.",
                "Train with a lower learning rate; the last checkpoint is from before.",
            )

    def _report(
        self, recent: list[tuple[float, dict[str, float]]], progress: float, lr: float, waited: float
    ) -> None:
        loss = sum(value for value, _ in recent) / len(recent)
        names = recent[-1][1]
        terms = {name: sum(t.get(name, 0.0) for _, t in recent) / len(recent) for name in names}
        state = self.state
        self.log.add(state.step, state.elapsed_s, progress, lr, loss, terms)
        share = waited / max(state.elapsed_s, 1e-9)
        self.on_tick(
            Tick(
                state.step, self.run.steps, progress, state.elapsed_s, lr, loss, terms, None, min(share, 1.0)
            )
        )

    def validate(self, progress: float, lr: float) -> dict[str, float]:
        """Score the averaged copy on the held-out brackets, and keep it where it is the best so far."""
        state = self.state
        verdict = validate(self.run.spec, state.average, self.run.held, str(self.device))
        self.scores = verdict.scores
        self.log.add(state.step, state.elapsed_s, progress, lr, scores=verdict.scores)
        save_sheet(self.folder / "validation" / f"{state.step:07d}.jpg", self.run.held, verdict.fused)
        if verdict.scores["score"] > state.best:
            state.best = verdict.scores["score"]
            self.save("best.pt")
        self.on_tick(
            Tick(state.step, self.run.steps, progress, state.elapsed_s, lr, float("nan"), {}, verdict.scores)
        )
        return verdict.scores

    def leg(self) -> Leg:
        """What this run has done so far."""
        state, variant = self.state, self.settings.variant
        return Leg(
            recipe=f"{self.settings.model}{':' + variant if variant else ''}",
            steps=state.step,
            brackets=state.brackets,
            hours=round(state.elapsed_s / 3600, 3),
            cpu_hours=round(state.cpu_s / 3600, 3),
            pictures=pictures(self.recipe),
            began=self.run.began,
            teacher=self.run.teacher,
            seed=self.settings.seed,
            data=self.run.store.data_hash[:12],
            device=self.run.device_words,
            note="compared through VGG-16" if self.settings.vgg16 else "",
            asks=" ".join(self.state.objective.asks()),
        )

    def save(self, name: str = "last.pt") -> None:
        self.state.cpu_s = time.process_time() - self._cpu_from
        states.save(
            self.state,
            self.folder / name,
            {
                "model": self.recipe.model,
                "variant": self.settings.variant,
                "seed": self.settings.seed,
                "device": self.run.device_words,
                "data_hash": self.run.store.data_hash,
                "data_words": self.run.store.words,
                "licence": self.run.store.licence,
                "scores": self.scores,
                "earlier": to_json(self.earlier),
                "leg": to_json([self.leg()]),
            },
        )
