"""How near to the truth the light of a moving scene comes: ghost removal judged by PSNR-mu.

Scenes are simulated from pictures that no network is trained on (`mefcli.training.moving`), stored as a
camera would, aligned as by `mef hdr`, freed of ghosts by each method, and merged. All methods are told the
camera's response and the exact exposures, so that what differs is the ghosts.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mefcli import pipeline
from mefcli.evaluation.metrics.light import psnr_mu
from mefcli.hdr.merge import Radiance
from mefcli.job import NETWORK, Job
from mefcli.training.validate import Held
from mefcli.values import Bracket, Shot, Stack

Floats = NDArray[np.float32]
MODEL = "model"  # the network's own light, of `mef hdr --model`
METHODS = ("off", "auto", NETWORK, MODEL)


@dataclass(frozen=True)
class Row:
    method: str
    scenes: int
    psnr_mu: float  # mean, dB
    worst: float  # scene
    better: int  # scenes in which it is above "auto"


def measure(
    held: Sequence[Held],
    methods: Sequence[str] = METHODS,
    *,
    model: str = "mgdn-moving",
    weights: str | None = None,
    device: str = "auto",
    on_scene: Callable[[int, str, dict[str, float]], None] | None = None,
) -> Iterator[Row]:
    found: dict[str, list[float]] = {method: [] for method in methods}
    for number, scene in enumerate(held):
        for method in methods:
            light = light_of(scene, method, model=model, weights=weights, device=device)
            assert scene.truth is not None
            found[method].append(psnr_mu(light, scene.truth))
        if on_scene:
            on_scene(number, scene.scene, {method: values[-1] for method, values in found.items()})
    for method, values in found.items():
        pairs = zip(values, found.get("auto", values), strict=True)
        better = sum(one > other for one, other in pairs)
        yield Row(method, len(values), statistics.mean(values), min(values), better)


def light_of(
    scene: Held, method: str, *, model: str = "mgdn-moving", weights: str | None = None, device: str = "auto"
) -> Floats:
    """(H, W, 3), 1 at the white of the darkest frame."""
    from mefcli.pipeline import moving

    stack = stack_of(scene)
    deghost = "off" if method == MODEL else method
    stack = pipeline.prepare(stack.bracket, Job(deghost=deghost, reference="2", device=device), stack=stack)
    radiance = radiance_of(stack)
    if method == MODEL:
        radiance = moving.believed(radiance, moving.load(model, weights, device))
    return np.asarray(radiance.whole() * np.float32(2.0 ** stack.bracket.evs[0]), np.float32)


def stack_of(scene: Held) -> Stack:
    """The scene's frames as if they had been read."""
    shots = tuple(Shot(Path(f"{index + 1}.jpg"), "jpeg") for index in range(len(scene.frames)))
    middle = scene.evs[len(scene.evs) // 2]
    bracket = Bracket(shots, tuple(ev - middle for ev in scene.evs), len(shots) // 2, "simulated")
    return Stack(bracket, [frame.copy() for frame in scene.frames], None)


def radiance_of(stack: Stack) -> Radiance:
    """Merged with the response that the simulated camera has, sRGB's."""
    from mefcli.formats.icc import icc_profile
    from mefcli.formats.spaces import matrix_of
    from mefcli.hdr.curves import levels_of, picture_curves

    matrix = matrix_of(icc_profile("srgb"))
    assert matrix is not None
    curves = picture_curves(matrix.light, levels_of(stack.frames[0].dtype))
    return Radiance(tuple(stack.frames), curves, stack.bracket.evs, (1.0,) * len(stack.frames), None)
