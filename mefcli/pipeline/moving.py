"""Three frames of a moving scene: a network says how far each is to be believed about what stood where.

`mef hdr --model` merges their light by its word; `--deghost mgdn` puts that light, as each frame would have
exposed it, wherever a frame contradicts it. The middle exposure is right about what moved. The network sees
the frames at a working size; its word holds for every pixel of the frames, so detail is their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mefcli.errors import MismatchError, TooLargeError, UsageError, named
from mefcli.job import Job
from mefcli.motion.ghosts import ghost_of, regions
from mefcli.motion.mapping import floats
from mefcli.motion.reduced import averaged
from mefcli.motion.sizes import reduction
from mefcli.pipeline.findings import much_moved, write_debug
from mefcli.values import Bracket, Ghost, Ghosts, OnStep, Pixels, Stack, Step, silent, to_change
from mefnets.spec import ModelSpec

if TYPE_CHECKING:
    from mefcli.hdr.merge import Radiance
    from mefnets.engine.light import Merger

Floats = NDArray[np.float32]

MODEL = "mgdn-moving"  # of `--deghost mgdn`
FRAMES, REFERENCE = 3, 1
WORKING_MP = 0.5  # about, of what the network sees
PAINTED_MP = 0.5  # the largest picture whose light a network paints itself
STRIP_ROWS = 64
# Of the full scale: up to here a frame agrees with the light found; from the second on, that takes its place.
AGREES = (0.03, 0.06)
UNKNOWN = (
    "These frames do not tell what light their numbers mean, which the network needs; "
    "their ghosts were found by comparing, as with deghost auto."
)
STEPS = 1 << 14  # of the table from light back to the signal, by the square root


@dataclass(frozen=True)
class Believer:
    """A network for moving scenes, ready to be asked."""

    spec: ModelSpec
    sha256: str | None
    merger: Merger


def check_job(bracket: Bracket, job: Job) -> None:
    """Refuse what the job's own network cannot look at."""
    check(bracket, job, job.model, job.weights)


def check(bracket: Bracket, job: Job, model: str = MODEL, weights: str | None = None) -> None:
    """Refuse what the network cannot look at, and weights that are not here."""
    from mefcli.checkpoints import find_model, is_file, is_ready, missing

    spec = find_model(model)
    count = len(bracket.shots)
    if count != FRAMES:
        raise MismatchError(
            f"{spec.name} looks at three frames of a moving scene, and here are {count}.",
            f"Give a dark, a middle and a bright one, or choose {named('deghost')} auto.",
        )
    if job.reference is not None and bracket.reference != REFERENCE:
        raise UsageError(
            f"{spec.name} takes the middle exposure's word for what moved, not "
            f"{bracket.paths[bracket.reference].name}'s.",
            f"Leave out {named('reference')}, or choose {named('deghost')} auto.",
        )
    if weights is None and not is_file(model) and not is_ready(spec):
        raise missing(spec)


@lru_cache(maxsize=1)
def load(model: str = MODEL, weights: str | None = None, device: str = "auto") -> Believer:
    from mefcli.checkpoints import build_with_weights, load_fuser_weights
    from mefnets.engine.light import Merger

    spec, tensors, sha256, _ = load_fuser_weights(model, weights)
    network = build_with_weights(spec, tensors, device)
    return Believer(spec, sha256, Merger(network, device, mirror_px=spec.tiling.mirror_px))


def believed(radiance: Radiance, believer: Believer) -> Radiance:
    """The same frames' light by the network's word."""
    from mefcli.hdr.trust import Believed, Painted, Trust

    told = {one.name: getattr(radiance, one.name) for one in fields(radiance)}
    height, width, _ = radiance.shape
    if believer.merger.gives_trust:
        factor = max(1, round(math.sqrt(height * width / (WORKING_MP * 1e6))))
        small, lights = _seen(radiance, factor)
        return Believed(**told, trust=Trust(believer.merger.trust(small, lights), factor))
    if height * width > PAINTED_MP * 1e6:
        raise TooLargeError(
            f"These weights of {believer.spec.name} paint the light pixel by pixel, which takes too long for "
            f"{width}x{height}.",
            f"Reduce the frames to {PAINTED_MP:g} megapixels, or take weights that say whom to believe.",
        )
    return Painted(**told, painted=believer.merger.light(*_seen(radiance, 1)))


def _seen(radiance: Radiance, factor: int) -> tuple[Floats, Floats]:
    """The frames as the network sees them, and their light, 1 at the darkest's white: (3, h, w, 3) each."""
    from mefcli.hdr.merge import as_levels, looked_up

    frames = [averaged(frame, factor) for frame in radiance.frames]
    lights = [
        looked_up(radiance.curves.light, as_levels(frame))
        * np.float32(2.0 ** (radiance.evs[0] - ev) / radiance.curves.top)
        for frame, ev in zip(frames, radiance.evs, strict=True)
    ]
    return np.stack([floats(frame) for frame in frames]), np.stack(lights)


# ---- frames without ghosts -------------------------------------------------------------------------------


def deghost(stack: Stack, job: Job, on_step: OnStep = silent, *, spend: bool = False) -> Stack:
    """Frames that show what the middle one saw: the light found takes the place of what contradicts it.

    Pixels that agree with it keep their bits.
    """
    check(stack.bracket, job)
    on_step(Step("deghost", 0.0, "network"))
    radiance, known = _radiance(stack)
    if not known:  # then every frame contradicts every other a little, all over
        from mefcli.pipeline.deghost import deghost as compared

        told = replace(stack, notes=(*stack.notes, UNKNOWN))
        return compared(told, replace(job, deghost="auto"), on_step, spend=spend)
    believer = load(device=job.device)
    light = believed(radiance, believer)
    names = [path.name for path in stack.bracket.paths]
    frames = to_change(stack, spend=spend)
    found = [Ghost()] * FRAMES
    fresh: dict[int, Pixels] = {}
    for number, index in enumerate(index for index in range(FRAMES) if index != REFERENCE):
        on_step(Step("deghost", 0.2 + 0.4 * number, names[index]))
        fresh[index], share = _exposed(light, index)
        found[index], mask, factor = _found(share)
        if job.debug_dir is not None:
            write_debug(Path(job.debug_dir), names[index], mask, 1 - floats(averaged(share, factor)))
    for index, frame in fresh.items():
        frames[index] = frame
    on_step(Step("deghost", 1.0, f"{sum(len(one.boxes) for one in found)} regions"))
    notes = (*stack.notes, *much_moved(found, names[REFERENCE]))
    ghosts = Ghosts(REFERENCE, tuple(found), believer.sha256)
    return replace(stack, frames=frames, notes=notes, ghosts=ghosts, reduced=None)


def _radiance(stack: Stack) -> tuple[Radiance, bool]:
    """The frames' light as `mef hdr` has it, and whether the frames themselves told their response.

    A profile of tables is taken for sRGB, which moves no edge.
    """
    from mefcli.formats.icc import icc_profile
    from mefcli.formats.spaces import matrix_of
    from mefcli.hdr.curves import levels_of, picture_curves
    from mefcli.hdr.merge import Radiance, gains_of
    from mefcli.pipeline.light import response_of

    icc = stack.icc if stack.icc is not None and matrix_of(stack.icc) is not None else icc_profile("srgb")
    response, evs = response_of(stack, icc)
    curves = picture_curves(response.light, levels_of(stack.frames[0].dtype))
    gains = gains_of([shot.iso for shot in stack.bracket.shots])
    radiance = Radiance(tuple(stack.frames), curves, tuple(evs.tolist()), gains, None)
    return radiance, response.recovered


def _exposed(light: Radiance, index: int) -> tuple[Pixels, Floats]:
    """A frame with the light found in place of what contradicts it, and how far that is so, (H, W)."""
    import cv2

    from mefcli.motion.warp import mix

    frame = light.frames[index]
    height, width = frame.shape[:2]
    back = _back(light.curves.light)
    scale = np.float32(2.0 ** light.evs[index] / light.curves.top)
    result, share = frame.copy(), np.empty((height, width), np.float32)
    for top in range(0, height, STRIP_ROWS):
        first, last = max(0, top - 1), min(height, top + STRIP_ROWS + 1)
        at = np.sqrt(np.clip(light[first:last] * scale, 0, 1)) * np.float32(STEPS - 1)
        expected = np.take_along_axis(back, np.rint(at).astype(np.intp).reshape(-1, 3), 0).reshape(at.shape)
        away = np.abs(floats(frame[first:last]) - expected)
        away = cv2.blur(away, (3, 3), borderType=cv2.BORDER_REPLICATE).max(axis=2)
        part = np.clip((away - AGREES[0]) / (AGREES[1] - AGREES[0]), 0, 1)
        part = part * part * (3 - 2 * part)
        rows = slice(top, min(top + STRIP_ROWS, height))
        inner = slice(top - first, rows.stop - first)
        share[rows] = part[inner]
        result[rows] = mix(frame[rows], expected[inner], 1 - part[inner, :, None])
    return result, share


def _back(table: Floats) -> Floats:
    """From light back to the signal, by its square root: (STEPS, 3)."""
    signal = np.linspace(0.0, 1.0, len(table))
    wanted = np.linspace(0.0, 1.0, STEPS) ** 2 * float(table[-1].mean())
    columns = [np.interp(wanted, np.maximum.accumulate(column), signal) for column in table.T]
    return np.stack(columns * (3 // len(columns)), axis=1).astype(np.float32)


def _found(share: Floats) -> tuple[Ghost, NDArray[np.bool_], int]:
    factor = reduction((share.shape[1], share.shape[0]))
    mask = regions(floats(averaged(share, factor)), 0.5)
    return ghost_of(mask, factor), mask, factor
