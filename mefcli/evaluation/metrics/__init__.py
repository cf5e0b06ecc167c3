"""The metrics: the twenty of the MEFB benchmark, what is kept of the frames, a few more, and those
against a reference.

Every one is defined on stored 8-bit RGB values; floats are quantised first. `METRICS` is the literal table of
what there is; `score` is the one call. They are exact, so that figures compare with published ones; MEF-SSIM,
Q_ABF, Q_W and Q_CV stand a second time in `mefnets.measures`, for losses, and a test holds both equal.

    >>> score(fused, [dark, bright], names=("MEF_SSIM", "Q_ABF"))
    {'MEF_SSIM': 0.978, 'Q_ABF': 0.723}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from numpy.typing import ArrayLike

from mefcli.errors import MismatchError, UsageError
from mefcli.evaluation.metrics import (
    feature_information,
    features,
    information,
    kept,
    naturalness,
    perception,
    phase,
    radiance,
    reference,
    structure,
)
from mefcli.evaluation.metrics.picture import Picture
from mefcli.evaluation.metrics.radiance import Radiance

__all__ = [
    "KEPT_NAMES",
    "LIGHT_NAMES",
    "MEFB_NAMES",
    "METRICS",
    "REFERENCE_NAMES",
    "Metric",
    "Picture",
    "known_names",
    "score",
]

Measure = Callable[[Sequence[Picture], Picture], float]
Comparison = Callable[[Picture, Picture], float]
Lit = Callable[[Radiance, Picture], float]
SMALLEST_SIDE_PX = 44  # MEF-SSIM's three scales of 11 pixels


@dataclass(frozen=True)
class Metric:
    """One metric: what it says, and how to read it."""

    name: str
    title: str
    source: str
    low: float  # about; where values usually lie, not a hard bound
    high: float
    better: Literal["higher", "lower", "near"]
    measure: Measure | None = None
    compare: Comparison | None = None  # instead of `measure`: against a reference
    lit: Lit | None = None  # instead of both: against the light of the scene
    pairs_only: bool = False
    decimals: int = 4
    aim: float = 0.0  # of those that are better the nearer they are to it
    ranked: bool = True  # counts in a method's mean rank

    @property
    def arrow(self) -> str:
        return {"higher": "↑", "lower": "↓", "near": f"→ {self.aim:g}"}[self.better]

    def key(self, value: float) -> float:
        """Smaller is better."""
        return {"higher": -value, "lower": value, "near": abs(value - self.aim)}[self.better]


def _table(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


_i, _f, _s, _p, _r, _k, _l = information, features, structure, perception, reference, kept, radiance
METRICS: dict[str, Metric] = _table(
    # The twenty of MEFB, in the benchmark's order.
    Metric("CE", "cross entropy", "Bulanon 2009", -1, 8, "lower", _i.cross_entropy),
    Metric("EN", "entropy", "Roberts 2008", 0, 8, "higher", _i.value_entropy),
    Metric(
        "FMI",
        "feature mutual information",
        "Haghighat 2011",
        0,
        1,
        "higher",
        feature_information.feature_mutual_information,
    ),
    Metric(
        "NMI",
        "normalised mutual information",
        "Hossny 2008",
        0,
        2,
        "higher",
        _i.normalised_mutual_information,
    ),
    Metric("PSNR", "peak ratio of MEFB", "Jagalingam 2015", 50, 62, "higher", _i.peak_ratio, decimals=3),
    Metric(
        "Q_NCIE",
        "nonlinear correlation",
        "Wang 2005",
        0.8,
        1,
        "higher",
        _i.nonlinear_correlation,
        pairs_only=True,
    ),
    Metric("TE", "Tsallis entropy", "Cvejic 2006", 10, 1e6, "higher", _i.tsallis_entropy, decimals=1),
    Metric("AG", "average gradient", "Cui 2015", 0, 20, "higher", _f.average_gradient, decimals=3),
    Metric("EI", "edge intensity", "Rajalingam 2018", 0, 200, "higher", _f.edge_intensity, decimals=3),
    Metric("Q_ABF", "edge preservation", "Xydeas 2000", 0, 0.98, "higher", _f.edge_preservation),
    Metric("Q_P", "phase congruency", "Zhao 2007", 0, 1, "higher", phase.phase_preservation, pairs_only=True),
    Metric("SD", "standard deviation", "Rao 1997", 0, 127.5, "higher", _f.standard_deviation, decimals=3),
    Metric("SF", "spatial frequency", "Eskicioglu 1995", 0, 60, "higher", _f.spatial_frequency, decimals=3),
    Metric("Q_C", "local similarity (Cvejic)", "Cvejic 2005", 0, 1, "higher", _s.cvejic, pairs_only=True),
    Metric(
        "Q_W", "weighted edge similarity", "Piella 2003", 0, 1, "higher", _s.weighted_edges, pairs_only=True
    ),
    Metric("Q_Y", "local similarity (Yang)", "Yang 2008", 0, 1, "higher", _s.yang, pairs_only=True),
    Metric("MEF_SSIM", "structural similarity for MEF", "Ma 2015", 0, 1, "higher", _s.mef_ssim),
    Metric("Q_CB", "masked contrast", "Chen 2009", 0, 1, "higher", _p.chen_blum, pairs_only=True),
    Metric(
        "Q_CV",
        "visible difference",
        "Chen 2007",
        0,
        2000,
        "lower",
        _p.chen_varshney,
        decimals=1,
        pairs_only=True,
    ),
    Metric("VIF", "visual information fidelity", "Han 2013", 0, 1.5, "higher", _p.visual_fidelity),
    # What is kept of what the frames show. They stand beside the benchmark's, and do not count in mean ranks.
    Metric(
        "crushed",
        "shown by a frame, black in the result",
        "ours 2026",
        0,
        1,
        "lower",
        _k.crushed,
        ranked=False,
    ),
    Metric(
        "blown", "shown by a frame, white in the result", "ours 2026", 0, 1, "lower", _k.blown, ranked=False
    ),
    Metric(
        "colour",
        "chroma over the frames'",
        "ours 2026",
        0,
        1.5,
        "near",
        _k.colour,
        decimals=3,
        aim=1.1,
        ranked=False,
    ),
    Metric("outside", "leaves what any frame shows", "ours 2026", 0, 1, "lower", _k.outside, ranked=False),
    # More.
    Metric(
        "Q_C0",
        "Q_C, constant windows settled",
        "Cvejic 2005",
        0,
        1,
        "higher",
        _s.cvejic_settled,
        pairs_only=True,
    ),
    Metric(
        "Q_Y0", "Q_Y, constant windows settled", "Yang 2008", 0, 1, "higher", _s.yang_settled, pairs_only=True
    ),
    Metric("MI", "mutual information", "Qu 2002", 0, 16, "higher", _i.total_mutual_information),
    Metric("CC", "correlation", "Pearson 1896", -1, 1, "higher", _i.correlation),
    Metric(
        "NIQE",
        "distance from photographs, our fit",
        "Mittal 2013",
        0,
        20,
        "lower",
        naturalness.niqe,
        decimals=3,
    ),
    # Against the light of the scene.
    Metric("TMQI", "tone-mapped quality", "Yeganeh 2013", 0, 1, "higher", lit=_l.tmqi),
    # Against a reference.
    Metric(
        "PSNR_GT", "peak signal to noise ratio", "ISO 29170", 0, 60, "higher", compare=_r.psnr, decimals=3
    ),
    Metric("PSNR_Y_GT", "the same of luma", "ISO 29170", 0, 60, "higher", compare=_r.psnr_luma, decimals=3),
    Metric("SSIM_GT", "structural similarity of luma", "Wang 2004", -1, 1, "higher", compare=_r.ssim_gray),
    Metric("SSIM_RGB_GT", "structural similarity", "Wang 2004", -1, 1, "higher", compare=_r.ssim_colour),
    Metric("FSIM", "feature similarity of luma", "Zhang 2011", 0, 1, "higher", compare=_r.fsim),
    Metric("FSIMc", "feature similarity", "Zhang 2011", 0, 1, "higher", compare=_r.fsim_colour),
    Metric(
        "dE00_GT", "colour difference CIEDE2000", "Sharma 2005", 0, 100, "lower", compare=_r.colour_difference
    ),
)
MEFB_NAMES: tuple[str, ...] = tuple(METRICS)[:20]
KEPT_NAMES: tuple[str, ...] = ("crushed", "blown", "colour", "outside")
REFERENCE_NAMES: tuple[str, ...] = tuple(name for name, metric in METRICS.items() if metric.compare)
LIGHT_NAMES: tuple[str, ...] = tuple(name for name, metric in METRICS.items() if metric.lit)


def known_names(wanted: Iterable[str]) -> tuple[str, ...]:
    """The metrics' own spelling of names; case and `-` or `_` do not matter."""

    def plain(name: str) -> str:
        return name.casefold().replace("-", "").replace("_", "")

    spelling = {plain(name): name for name in METRICS}
    found = []
    for name in wanted:
        if plain(name) not in spelling:
            near = get_close_matches(plain(name), spelling, n=1)
            hint = f"Did you mean {spelling[near[0]]}? " if near else ""
            raise UsageError(f"There is no metric {name!r}.", f"{hint}Known: {', '.join(METRICS)}.")
        found.append(spelling[plain(name)])
    return tuple(found)


def score(
    fused: ArrayLike | Picture,
    inputs: Sequence[ArrayLike | Picture],
    names: Iterable[str] | None = None,
    reference: ArrayLike | Picture | None = None,
    light: Radiance | None = None,
) -> dict[str, float]:
    """Measure one result. Pictures are `(H, W, 3)` uint8, uint16 or floats in [0, 1], inputs dark to bright.

    Without `names`: the twenty of MEFB (for other than two inputs, those that are defined), what is kept, and
    those against the reference and against the light of the scene `(H, W, 3)` where these are given. Pass
    inputs as `Picture` to score many results without repeating the work that depends on the inputs only.
    """
    result = fused if isinstance(fused, Picture) else Picture(fused)
    sources = [x if isinstance(x, Picture) else Picture(x) for x in inputs]
    truth = reference if isinstance(reference, Picture) or reference is None else Picture(reference)
    if len(sources) < 2:
        raise UsageError("Metrics of fusion need at least two inputs.")
    shapes = [other.shape for other in (*sources, *([truth] if truth else []))]
    if light is not None:
        shapes.append((light.shape[0], light.shape[1]))
    for height, width in shapes:
        if (height, width) != result.shape:
            raise MismatchError(
                f"The result is {result.shape[1]}x{result.shape[0]} and an input or the reference"
                f" {width}x{height} pixels.",
                "Metrics compare pictures of one size.",
            )
    if min(result.shape) < SMALLEST_SIDE_PX:
        raise UsageError(
            f"Metrics need at least {SMALLEST_SIDE_PX} pixels a side.", "Measure a larger picture."
        )
    pair = len(sources) == 2
    if names is None:
        chosen = [n for n in (*MEFB_NAMES, *KEPT_NAMES) if pair or not METRICS[n].pairs_only]
        chosen += list(REFERENCE_NAMES) if truth else []
        chosen += list(LIGHT_NAMES) if light is not None else []
    else:
        chosen = list(known_names(names))
    scores: dict[str, float] = {}
    for name in chosen:
        metric = METRICS[name]
        if metric.compare:
            if truth is None:
                raise UsageError(f"{name} needs a reference picture.")
            scores[name] = metric.compare(truth, result)
        elif metric.lit:
            if light is None:
                raise UsageError(f"{name} needs the light of the scene.", "Give a radiance map.")
            scores[name] = metric.lit(light, result)
        elif metric.pairs_only and not pair:
            scores[name] = math.nan
        else:
            assert metric.measure is not None
            scores[name] = metric.measure(sources, result)
    return scores
