"""Exposures as exactly as they can be known: what cameras write is rounded for people.

1/60 s is 1/64 s, 1/30 is 1/32: shutters step by thirds of a stop (or halves), the numbers on dials do not.
"""

from __future__ import annotations

import numpy as np

from mefcli.hdr.places import Exact, Places
from mefcli.hdr.response import Light
from mefcli.values import Bracket

# What dials and EXIF show of whole stops, thirds and halves.
DENOMINATORS = (
    *(8000, 6400, 6000, 5000, 4000, 3200, 3000, 2500, 2000, 1600, 1500, 1250, 1000, 800, 750, 640, 500, 400),
    *(350, 320, 250, 200, 180, 160, 125, 100, 90, 80, 60, 50, 45, 40, 30, 25, 20, 15, 13, 10, 8, 6, 5, 4, 3),
)
LONG_S = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1, 1.3, 1.5, 1.6, 2, 2.5, 3, 3.2, 4, 5, 6, 8, 10, 13, 15, 20, 25, 30)
DIAL_S = (*(1 / number for number in DENOMINATORS), *LONG_S)
SURE_PLACES = 400
NEAR_EV = 0.2  # a measured step this near to the recorded one is the same step, exactly
MEASURED = (0.01, 0.75)  # of the light that a frame holds, where both frames of a pair are to be compared


def recorded_evs(bracket: Bracket) -> Exact:
    """The bracket's exposures, with times as shutters make them where all are numbers from the dial."""
    evs = np.array(bracket.evs, np.float64)
    if bracket.measured or not _as_recorded(bracket):
        return evs
    dialled = [_dialled(shot.exposure_s) for shot in bracket.shots]
    if any(shift is None for shift in dialled):
        return evs
    shifts = np.array(dialled, np.float64)
    return np.asarray(evs + shifts - shifts[bracket.reference])


def _as_recorded(bracket: Bracket) -> bool:
    """Whether the exposures are the files' own, and not given by hand."""
    own = [shot.ev for shot in bracket.shots]
    reference = own[bracket.reference]
    if reference is None:
        return False
    pairs = zip(own, bracket.evs, strict=True)
    return all(ev is not None and abs(ev - reference - told) < 0.01 for ev, told in pairs)


def _dialled(time_s: float | None) -> float | None:
    """Stops from a dial's number to the third or half of a stop it stands for; None for any other time."""
    if not time_s or min(abs(time_s / number - 1) for number in DIAL_S) > 0.005:
        return None
    stops = float(np.log2(time_s))
    steps = (round(stops * 3) / 3 - stops, round(stops * 2) / 2 - stops)
    return min(steps, key=abs)


def measured_evs(places: Places, light: Light, evs: Exact, reference: int, *, near: bool) -> Exact:
    """Steps between neighbours as the frames show them. `near`: only where that confirms what is recorded."""
    colours = [np.stack([light(frame[:, c])[:, c] for frame in places.signal]) for c in range(3)]
    shown = np.stack(colours, axis=-1)  # (frames, places, 3)
    top = float(light(np.array([1.0])).min())
    usable = places.flat & (shown > MEASURED[0] * top) & (shown < MEASURED[1] * top)
    usable &= (places.most < 0.95)[..., None]
    steps = np.diff(evs)
    for index in range(len(steps)):
        both = usable[index] & usable[index + 1]
        if both.sum() < SURE_PLACES:
            continue
        ratios = np.log2(shown[index + 1][both] / shown[index][both])
        found = float(np.median(ratios))
        if not near or abs(found - steps[index]) < NEAR_EV:
            steps[index] = found
    exact = np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(exact - exact[reference])
