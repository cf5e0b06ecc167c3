"""The camera's response, recovered from a bracket: which light each signal means.

After Debevec and Malik (SIGGRAPH 1997): at every place the frames' light differs by their exposures alone, so

    g(z_ij) - ln t_j = ln E_i

for place i in frame j, with g = ln of light over signal. Ours differs where theirs is fragile. g is the
file's own curve (sRGB, as a rule) plus a smooth departure on few cubic splines, so what the bracket does not
show stays as the profile says; one departure serves all colours, so grey stays grey; each E_i is eliminated,
so tens of thousands of places take part; what disagrees (something moved) loses its weight; and a departure
that would make the curve fall is smoothed until it rises everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mefcli.hdr.curves import ROUNDING
from mefcli.hdr.places import Exact, Places

SPLINES = 26
RANGE = (4 / 255, 0.96)  # of the signal, where places may speak
NEIGHBOURS_END = 0.985  # compression carries what is clipped
MODEL_ERROR = 0.03  # of ln light: cameras treat colours and neighbourhoods in ways no curve knows
BEND = 0.06  # ln of light by which the departure may turn from one spline to the next
DEPARTURE = 1.5  # ln of light by which cameras depart from their profile
SPEAKERS = 3000.0  # observations that count at most; the others tell the same again
ROUNDS = 6
# Whether the bracket can tell: enough places, seen at two signals that differ, all along the range.
LEAST_PLACES, LEAST_STEP = 300, 0.04
BINS, LEAST_COVERED = 16, 0.6

Light = Callable[[Exact], Exact]  # signal (n,) in [0, 1] to light (n, 3)


@dataclass(frozen=True)
class Response:
    light: Light
    recovered: bool
    why: str  # in words


def recover(places: Places, evs: Exact, profile: Light, name: str) -> Response:
    """`profile` is what the frames' colour profile says, `name` what it is called."""
    z, weight, ln_t, covered = _observed(places, evs)
    if len(z) < LEAST_PLACES or covered < LEAST_COVERED:
        return Response(
            profile, False, f"the curve of {name}: the frames have too little in common to tell another"
        )
    fit = _Fit(z, weight, ln_t, profile)
    stiffness = 1.0
    for _ in range(12):
        departure = fit.solve(stiffness)
        light = _with_departure(profile, departure)
        if _rises(light):
            return Response(light, True, "recovered from the bracket")
        stiffness *= 4
    return Response(profile, False, f"the curve of {name}: what the frames say of another contradicts itself")


def _observed(places: Places, evs: Exact) -> tuple[Exact, Exact, Exact, float]:
    """(n, frames) signals and weights of single colours that two frames show, and the share covered."""
    low, high = RANGE
    signal = places.signal.transpose(1, 2, 0)  # (places, 3, frames)
    usable = places.flat.transpose(1, 2, 0) & (signal > low) & (signal < high)
    usable &= (places.most.T < NEIGHBOURS_END)[:, None, :]
    signal, usable = signal.reshape(-1, len(evs)), usable.reshape(-1, len(evs))
    least = np.where(usable, signal, 2.0).min(axis=1)
    most = np.where(usable, signal, -1.0).max(axis=1)
    told = most - least > LEAST_STEP
    signal, usable = signal[told], usable[told]
    bins = np.clip((np.sqrt(signal) * BINS).astype(int), 0, BINS - 1)
    counts = np.bincount(bins[usable], minlength=BINS).astype(np.float64)
    within = slice(int(np.sqrt(low) * BINS) + 1, int(np.sqrt(high) * BINS))
    covered = float((counts[within] >= 20).mean()) if len(signal) else 0.0
    # Skies fill whole bins; what is rare along the curve counts for more.
    weight = usable / np.sqrt(np.maximum(counts, 20.0))[bins]
    if usable.any():
        weight /= weight[usable].mean()
    return signal, weight, evs * np.log(2.0), covered


class _Fit:
    """Weighted least squares in the splines, with the light of each place eliminated."""

    def __init__(self, z: Exact, weight: Exact, ln_t: Exact, profile: Light) -> None:
        seen = weight > 0  # about half: the others are clipped or black
        self.weight, z = weight[seen], z[seen]
        self.place, frame = np.nonzero(seen)
        self.places = len(seen)
        first, self.parts = _parts(z)
        self.basis = _spread(first, self.parts)
        self.cell = (self.place * SPLINES + first)[:, None] + np.arange(4)  # of a table places x splines
        self.target = np.log(np.maximum(_mean(profile)(z), 1e-9)) - ln_t[frame]
        step = 1 / 512
        slope = (
            np.log(np.maximum(_mean(profile)(np.minimum(z + step, 1)), 1e-9))
            - np.log(np.maximum(_mean(profile)(z - step), 1e-9))
        ) / (2 * step)
        # Means of nine pixels: a third of one pixel's rounding, and never surer than the model is.
        self.variance = (slope * ROUNDING / 3) ** 2 + MODEL_ERROR**2

    def solve(self, stiffness: float) -> Exact:
        bends = np.diff(np.eye(SPLINES), n=2, axis=0)
        prior = stiffness * (bends.T @ bends) / BEND**2 + np.eye(SPLINES) / DEPARTURE**2
        departure = np.zeros(SPLINES)
        trust = np.ones(len(self.weight))
        fewer = min(1.0, SPEAKERS / max(1.0, float(len(self.weight))))
        for _ in range(ROUNDS):
            weight = fewer * self.weight * trust / self.variance
            total = np.maximum(self._sums(weight), 1e-30)
            target = self.target - (self._sums(weight * self.target) / total)[self.place]
            # Every place's own light is taken out by its mean: of sums, as rows less their means are slow.
            share = (weight[:, None] * self.parts).ravel()
            sums = np.bincount(self.cell.ravel(), share, self.places * SPLINES)
            means = sums.reshape(-1, SPLINES) / np.sqrt(total)[:, None]
            rows = np.sqrt(weight)[:, None] * self.basis
            normal = rows.T @ rows - means.T @ means
            departure = np.linalg.solve(normal + prior, -(self.basis.T @ (weight * target)))
            residual = target + self.basis @ departure - (means @ departure / np.sqrt(total))[self.place]
            spread = np.maximum(1.5 * np.median(np.abs(residual)), MODEL_ERROR / 3)
            trust = 1 / (1 + (residual / (3 * spread)) ** 2) ** 2
        return np.asarray(departure)

    def _sums(self, numbers: Exact) -> Exact:
        """Over the frames of each place."""
        return np.asarray(np.bincount(self.place, numbers, self.places), np.float64)


def splines(signal: Exact) -> Exact:
    """Uniform cubic B-splines over the square root of the signal: curves turn most in the dark."""
    return _spread(*_parts(signal))


def _parts(signal: Exact) -> tuple[NDArray[np.int64], Exact]:
    """The first of the four splines that differ from 0 there, and what they are, (n, 4)."""
    spans = SPLINES - 3
    at = np.sqrt(np.clip(signal, 0, 1)) * spans
    first = np.minimum(at.astype(np.int64), spans - 1)
    f = at - first
    parts = (
        (1 - f) ** 3 / 6,
        (3 * f**3 - 6 * f**2 + 4) / 6,
        (-3 * f**3 + 3 * f**2 + 3 * f + 1) / 6,
        f**3 / 6,
    )
    return first, np.stack(parts, axis=1)


def _spread(first: NDArray[np.int64], parts: Exact) -> Exact:
    """(n, SPLINES)"""
    basis = np.zeros((len(first), SPLINES))
    np.put_along_axis(basis, first[:, None] + np.arange(4), parts, axis=1)
    return basis


def _with_departure(profile: Light, departure: Exact) -> Light:
    """Middle grey keeps its light: a curve is known up to a factor."""
    middle = float((splines(np.array([0.5])) @ departure)[0])

    def light(signal: Exact) -> Exact:
        return np.asarray(profile(signal) * np.exp(splines(signal) @ departure - middle)[:, None])

    return light


def _rises(light: Light) -> bool:
    return bool((np.diff(_mean(light)(np.linspace(0, 1, 256))) > 0).all())


def _mean(light: Light) -> Callable[[Exact], Exact]:
    return lambda signal: np.asarray(light(signal).mean(axis=1))
