"""A paper's ablations, by training: the recipe with and without a part, for the same time, on the same data.

Both are judged on scenes that no training sees, by the paper's measure where the scenes allow it. A claim
holds when the full recipe is better in the mean over scenes and seeds by more than twice the standard error
of that mean, does not when it is worse by as much, and is undecided between. The error is that over scenes or
that over seeds, whichever is larger: two trainings of one recipe may differ by more than scenes do, so with
one seed nothing is decided, nor by trainings of a handful of steps. At budgets of minutes, much is undecided.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from mefcli.evaluation.metrics import METRICS, REFERENCE_NAMES, score
from mefcli.evaluation.scenes import Layout, find_scenes, read_pixels, read_scene, reduced
from mefnets import ModelSpec
from mefnets.claims import Claim, Said, Told

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mefcli.training.settings import Settings

Verdict = Literal["holds", "does not hold", "undecided", "not measured"]
CERTAIN = 2.0  # standard errors
LEAST_STEPS = 100  # of a training from which anything is read
LEARNED = "MEF_SSIM"  # what a network must have more of than the mean of its frames
RESIDUAL_MIN = 3.0  # levels; a picture nearer to a mix of its frames comes from a collapsed network


@dataclass(frozen=True)
class Arm:
    """One recipe, trained and judged: a score for each scene, for every seed."""

    variant: str
    scores: Mapping[str, tuple[float, ...]]  # measure -> scenes, seed after seed
    steps: tuple[int, ...]
    residual: float  # levels, least of the seeds: what no mix of the frames explains

    @property
    def collapsed(self) -> bool:
        return self.residual < RESIDUAL_MIN


@dataclass(frozen=True)
class Finding:
    claim: Said
    verdict: Verdict
    measure: str = ""  # by which it was judged
    without: float = math.nan
    full: float = math.nan
    error: float = math.nan  # standard error of the difference
    note: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)  # of a skill


@dataclass(frozen=True)
class Judged:
    """A scene that no training saw."""

    frames: tuple[NDArray[np.uint8], ...]  # the darkest and the brightest
    reference: NDArray[np.uint8] | None = None


Train = Callable[["Settings"], tuple[Path, int]]  # a run -> its folder and how many steps it took
Say = Callable[[str], None]


def not_measured(claims: Sequence[Said], why: str = "") -> list[Finding]:
    return [
        Finding(claim, "not measured", note=claim.here if isinstance(claim, Told) else why)
        for claim in claims
    ]


def scenes_in(folder: Path, layout: Layout, max_megapixels: float | None) -> list[Judged]:
    found = []
    for scene in find_scenes(folder, layout):
        frames = read_scene(scene, max_megapixels)
        truth = None if scene.reference is None else reduced(read_pixels(scene.reference), max_megapixels)
        found.append(Judged((frames[0], frames[-1]), truth))
    return found


def held_scenes(data: Path, runs: Path, say: Say) -> list[Judged]:
    """The validation scenes of the training data."""
    from mefcli.training.prepare import held_of, source_at

    store = source_at(data, runs / "cache", say)
    return [Judged((held.frames[0], held.frames[-1])) for held in held_of(store, 2)]


def check(
    spec: ModelSpec,
    claims: Sequence[Claim],
    still: Sequence[Judged],
    settings: Callable[[str, str, int], Settings],  # of model, variant and seed
    seeds: int,
    train: Train,
    say: Say = lambda words: None,
    moved: Sequence[Judged] = (),
) -> list[Finding]:
    """Every claim, each recipe trained once for all claims that name it; those about pairs that `moved` are
    judged on such, the others on scenes that stood `still`."""
    arms: dict[tuple[str, str], Arm] = {}
    # The mean of frames that moved is no picture to compare with.
    plain = {False: _plain(still) if any(not claim.moved for claim in claims) else 0.0, True: 0.0}
    found = []
    for claim in claims:
        model = claim.model or spec.name
        scenes = moved if claim.moved else still
        for variant in (claim.full, claim.without):
            if (model, variant) not in arms:
                wanted = {LEARNED, *(c for one in claims for c in (one.measure, one.instead) if c)}
                runs = [settings(model, variant, seed) for seed in range(seeds)]
                arms[model, variant] = _arm(variant, runs, scenes, sorted(wanted), train, say)
        pair = arms[model, claim.without], arms[model, claim.full]
        found.append(judge(claim, *pair, plain[claim.moved]))
    return found


def _plain(scenes: Sequence[Judged]) -> float:
    """MEF-SSIM of the mean of both frames: a network that has less has not learned yet."""
    rows = []
    for scene in scenes:
        mean = np.mean(np.stack(scene.frames).astype(np.float32), axis=0)
        rows.append(score(np.floor(mean + 0.5).astype(np.uint8), scene.frames, names=[LEARNED])[LEARNED])
    return float(np.mean(rows))


def judge(claim: Claim, without: Arm, full: Arm, plain: float = 0.0) -> Finding:
    """`plain`: what the mean of the frames has of MEF-SSIM."""
    measure, note = claim.measure or claim.instead, ""
    if measure not in full.scores:
        measure = claim.instead
        note = f"{claim.measure} needs reference pictures; read by {measure}"
    elif claim.theirs:
        note = f"the paper's figures are {claim.theirs}; read by {measure}"
    elif claim.measure is None:
        note = f"the paper shows pictures; read by {measure}"
    facts = METRICS[measure]
    pairs = zip(full.scores[measure], without.scores[measure], strict=True)
    gains = [facts.key(b) - facts.key(a) for a, b in pairs]
    seeds = len(full.steps)
    gain, error = float(np.mean(gains)), _error(gains)
    if seeds > 1:
        error = max(error, _error(np.mean(np.reshape(gains, (seeds, -1)), axis=1)))
    verdict: Verdict = "undecided"
    if seeds == 1:
        note = "; ".join(filter(None, (note, "one training of each: more seeds tell chance from gain")))
    elif abs(gain) > CERTAIN * error:
        verdict = "holds" if gain > 0 else "does not hold"
    # Nothing can be read from a network that has not learned, or mixes its frames and does no more.
    learned = float(np.mean(full.scores[LEARNED]))
    if learned < plain:
        verdict = "undecided"
        note = f"the full recipe is below the frames' mean ({learned:.4f} against {plain:.4f}): train longer"
    elif (steps := min(*full.steps, *without.steps)) < LEAST_STEPS:
        verdict, note = "undecided", f"trained for {steps} steps, of which nothing can be read: train longer"
    elif full.collapsed:
        verdict, note = "undecided", f"the full recipe has collapsed (residual {full.residual:.1f} levels)"
    means = float(np.mean(without.scores[measure])), float(np.mean(full.scores[measure]))
    return Finding(claim, verdict, measure, *means, error, note)


def _error(values: Sequence[float] | NDArray[np.float64]) -> float:
    """The standard error of their mean; of one value nobody knows it."""
    if len(values) < 2:
        return math.inf
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def _arm(
    variant: str,
    runs: Sequence[Settings],
    scenes: Sequence[Judged],
    measures: Sequence[str],
    train: Train,
    say: Say,
) -> Arm:
    import torch

    from mefcli.training.export import export_run
    from mefcli.training.validate import linear_residual
    from mefnets import measures as quick

    rows: dict[str, list[float]] = {}
    steps, residuals = [], []
    for run in runs:
        say(f"{run.model}, {variant}, seed {run.seed}.")
        folder, step = train(run)
        weights, _, _ = export_run(run.model, folder, variant, "last", folder / "weights")
        steps.append(step)
        here = []
        for scene, picture in zip(scenes, _fused(weights, scenes, run.device), strict=True):
            possible = [n for n in measures if scene.reference is not None or n not in REFERENCE_NAMES]
            for name, value in score(
                picture, scene.frames, names=possible, reference=scene.reference
            ).items():
                rows.setdefault(name, []).append(value)
            frames = torch.from_numpy(np.stack(scene.frames)).movedim(-1, 1)[None].float() / 255.0
            result = torch.from_numpy(picture).movedim(-1, 0)[None].float() / 255.0
            here.append(linear_residual(quick.gray(frames)[0, :, 0], quick.gray(result)[0, 0]))
        residuals.append(float(np.mean(here)))
    whole = {name: tuple(values) for name, values in rows.items() if len(values) == len(scenes) * len(runs)}
    return Arm(variant, whole, tuple(steps), min(residuals))


def _fused(weights: Path, scenes: Sequence[Judged], device: str) -> list[NDArray[np.uint8]]:
    from mefcli import api

    fuser = api.load_fuser(str(weights), device=device)
    return [np.asarray(fuser.fuse(list(scene.frames), depth=8)) for scene in scenes]
