"""MEF-SSIM, Q_ABF, Q_W and Q_CV stand twice, exact for tables and differentiable for losses, and agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from mefcli.bench.scene import expose, from_the_hand, radiance
from mefcli.evaluation.metrics import Picture, score
from mefnets import measures

Pixels = NDArray[np.uint8]
Bracket = tuple[list[Pixels], Pixels]


def room(light: NDArray[np.float32]) -> Bracket:
    """The demo's room, dark and bright, with a fusion that shows its window and its corners."""
    frames = [
        (np.clip(light * gain, 0, 1) ** (1 / 2.2) * 255).round().astype(np.uint8) for gain in (0.25, 1.0, 4.0)
    ]
    weights = np.stack([np.exp(-(((one / 255 - 0.5) / 0.2) ** 2)) for one in frames]) + 1e-3
    return frames[::2], ((weights * frames).sum(0) / weights.sum(0)).round().astype(np.uint8)


def landscape() -> Bracket:
    """Noise of every scale with hard edges, six stops apart, and the mean: as flat as fusions get."""
    light = radiance(120, 180)
    frames = [expose(light, -2.0, 1), expose(light, 2.0, 2)]
    return frames, ((frames[0].astype(int) + frames[1]) // 2).astype(np.uint8)


def hand_held() -> Bracket:
    """Frames that do not lie on each other, and one of them as the result."""
    light = radiance(120, 180, seed=5)
    frames = [expose(from_the_hand(light, number), ev, number) for number, ev in enumerate((-1.5, 1.5))]
    return frames, frames[1]


@pytest.fixture(params=["room", "landscape", "hand_held"])
def bracket(request: pytest.FixtureRequest, light: NDArray[np.float32]) -> Bracket:
    return {"room": lambda: room(light), "landscape": landscape, "hand_held": hand_held}[request.param]()


def planes(pixels: Pixels) -> Tensor:
    return torch.tensor(pixels / 255.0).permute(2, 0, 1)[None]


@pytest.mark.parametrize(
    ("measure", "name", "tolerance"),
    [
        (measures.mef_ssim, "MEF_SSIM", {"abs": 1e-3}),  # luma is rounded to 8 bits in the exact one
        (measures.q_abf, "Q_ABF", {"abs": 2e-3}),
        (measures.q_w, "Q_W", {"abs": 2e-3}),
        (measures.q_cv, "Q_CV", {"rel": 5e-3}),
    ],
)
def test_a_loss_gives_what_its_metric_gives(
    bracket: Bracket, measure: object, name: str, tolerance: dict[str, float]
) -> None:
    frames, fused = bracket
    exact = score(fused, [Picture(frame) for frame in frames], names=[name])[name]
    stacked = torch.stack([planes(frame) for frame in frames], 1)
    if name == "MEF_SSIM":
        found = float(measures.mef_ssim(measures.gray(stacked), measures.gray(planes(fused))))
    else:
        found = float(measure(stacked, planes(fused)))  # type: ignore[operator]
    assert found == pytest.approx(exact, **tolerance)
