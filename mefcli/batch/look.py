"""`--same-look`: the brackets of one panorama in one brightness and tone.

Fusion adapts to each bracket by itself, so the same wall comes out lighter beside a window than beside a
door. Each bracket of a series is fused small; for every brightness of the scene (from the recorded exposures)
we note how light it came out; the mean over the series is the common tone curve, and each bracket gets the
curve that leads from its own tone to the common one. It acts on luminance and leaves ratios of colours alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mefcli.batch.plan import Curve, Work
from mefcli.brackets.brightness import full_scale
from mefcli.brackets.group import series
from mefcli.errors import MefError
from mefcli.pipeline.fuse import fuser_for
from mefcli.values import Pixels

SIDE_PX = 384
BIN_EV = 0.5
ENOUGH = 30  # pixels that make a bin's median believable
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601, as the engine
STRIP_ROWS = 256
Tone = dict[int, tuple[float, int]]  # scene brightness in bins -> luminance as fused, pixels


def same_look(works: Sequence[Work]) -> list[Work]:
    """The same works, those of a series of two and more with their curves."""
    owners = {id(work.bracket): work for work in works}
    curves: dict[int, Curve] = {}
    for run in series([work.bracket for work in works]):
        tones = []
        for bracket in run if len(run) > 1 else ():
            try:
                tones.append((bracket, tone_of(owners[id(bracket)])))
            except (MefError, OSError):
                continue  # its own turn will tell what is wrong with it
        common = _common([tone for _, tone in tones])
        curves |= {id(bracket): curve_between(tone, common) for bracket, tone in tones}
    return [replace(work, curve=curves.get(id(work.bracket))) for work in works]


def tone_of(work: Work) -> Tone:
    """How light each brightness of the scene comes out of a small fusion."""
    from mefcli import formats

    job, shots = work.job, work.bracket.shots
    raws = [shot for shot in shots if shot.kind == "raw"]
    development = (
        formats.bracket_development(raws, wb=job.raw_wb, space=job.raw_space, highlights=job.raw_highlights)
        if raws
        else None
    )
    frames = [formats.decode_reduced(s.path, SIDE_PX, development if raws else None).pixels for s in shots]
    fuser = fuser_for(job.model, job.weights, job.device, job.half)
    fused = fuser.fuse(frames, work.bracket.evs, depth=32)
    light = _scene_light(frames, [shot.ev or 0.0 for shot in shots])
    bins = np.round(light / BIN_EV).astype(int)
    luma = fused @ LUMA
    tone: Tone = {}
    for one in np.unique(bins):
        values = luma[bins == one]
        if values.size >= ENOUGH:
            tone[int(one)] = (float(np.median(values)), int(values.size))
    return tone


def _scene_light(frames: Sequence[Pixels], evs: Sequence[float]) -> NDArray[np.float32]:
    """log2 of the scene's light (H, W), from where each frame is well exposed."""
    total = np.zeros(frames[0].shape[:2], np.float32)
    weights = np.full_like(total, 1e-6)
    for frame, ev in zip(frames, evs, strict=True):
        grey = (frame.astype(np.float32) / full_scale(frame)) @ LUMA
        weight = np.clip(1 - np.abs(2 * grey - 1), 1e-4, 1)
        total += weight * (2.2 * np.log2(np.clip(grey, 1e-3, 1)) - ev)
        weights += weight
    light: NDArray[np.float32] = total / weights
    return light


def _common(tones: Sequence[Tone]) -> dict[int, float]:
    bins = {one for tone in tones for one in tone}
    found = {}
    for one in bins:
        pairs = [tone[one] for tone in tones if one in tone]
        found[one] = sum(value * n for value, n in pairs) / sum(n for _, n in pairs)
    return found


def curve_between(tone: Tone, common: dict[int, float]) -> Curve:
    """A rising curve through black and white, from a bracket's own tone to the common one."""
    pairs = sorted((tone[one][0], common[one]) for one in tone if 0.01 < tone[one][0] < 0.99)
    points: list[tuple[float, float]] = [(0.0, 0.0)]
    for here, there in pairs:
        if here - points[-1][0] > 0.02:
            points.append((round(here, 5), round(min(0.995, max(there, points[-1][1])), 5)))
    return (*points, (1.0, 1.0))


def apply_curve(pixels: Pixels, curve: Curve) -> Pixels:
    """Luminance through the curve, colours scaled with it: in the pixels themselves, at their own depth."""
    at, to = np.array(curve, np.float32).T
    scale = full_scale(pixels)
    for top in range(0, pixels.shape[0], STRIP_ROWS):
        part = pixels[top : top + STRIP_ROWS].astype(np.float32) / scale
        luma = part @ LUMA
        gain = np.interp(luma, at, to).astype(np.float32) / np.maximum(luma, 1e-4)
        part = np.clip(part * np.clip(gain, 0.25, 4.0)[..., None], 0.0, 1.0) * scale
        pixels[top : top + STRIP_ROWS] = part if pixels.dtype == np.float32 else np.rint(part)
    return pixels
