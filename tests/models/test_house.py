"""The house network: judges each level by itself, takes any number of frames in any order."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mefcli.checkpoints import build_with_weights, load_fuser_weights
from mefnets.engine.memory import _Held
from mefnets.house.loss import MeasuresObjective, light_and_colour
from mefnets.house.network import PyramidBlend, build
from mefnets.house.pyramid import expand, reduce
from mefnets.house.shape import pyramid_depth
from mefnets.recipe import Batch


def brackets(frames: int = 3, size: tuple[int, int] = (70, 97), batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(frames)
    scene = torch.rand(batch, 1, 3, *size, generator=generator)
    gains = torch.linspace(0.3, 2.5, frames).view(1, -1, 1, 1, 1)
    return (scene * gains).clamp(0, 1)


def trained_like() -> PyramidBlend:
    torch.manual_seed(1)
    network = PyramidBlend()
    torch.nn.init.normal_(network.weigh.weight, std=0.3)
    torch.nn.init.normal_(network.amplify.weight, std=0.3)
    torch.nn.init.normal_(network.light)
    torch.nn.init.normal_(network.chroma)
    return network


def test_it_has_9329_parameters() -> None:
    assert sum(p.numel() for p in build().parameters()) == 9329


@pytest.mark.parametrize("size", [(70, 97), (64, 64), (201, 50), (3, 3), (33, 47)])
def test_strips_equal_the_whole_picture(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mefnets.house.shape.STRIP_PIXELS", 1000)  # 2 to 10 strips
    network, frames = trained_like(), brackets(size=size)
    whole = network(frames)  # with gradients: every level whole
    with torch.no_grad():
        strips = network(frames)
    assert (whole - strips).abs().max() < 1e-5


def test_the_order_of_the_frames_does_not_matter() -> None:
    network, frames = trained_like(), brackets(4)
    with torch.no_grad():
        assert torch.allclose(network(frames), network(frames.flip(1)), atol=1e-5)


def test_identical_frames_give_themselves_when_untrained() -> None:
    frames = brackets(1).expand(1, 3, 3, 70, 97)
    with torch.no_grad():
        network = PyramidBlend()
        network.chroma.zero_()
        assert torch.allclose(network(frames), frames[:, 0], atol=1e-5)


def test_reduce_and_expand_keep_a_smooth_picture() -> None:
    ramp = torch.linspace(0, 1, 64).view(1, 1, 1, 64).expand(1, 3, 45, 64)
    coarse = reduce(ramp)
    assert coarse.shape[-2:] == (23, 32)
    inner = (expand(coarse, (45, 64)) - ramp)[..., 6:-6]
    assert inner.abs().max() < 0.02
    assert pyramid_depth(45, 64) == 5


def test_gradients_reach_every_parameter() -> None:
    network = trained_like()
    network(brackets(2, (160, 160))).square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_light_and_colour_feels_a_cast_and_a_blown_sky_but_not_small_changes_of_light() -> None:
    frames = torch.full((1, 2, 3, 16, 16), 0.5)
    fused = frames[:, 0]
    assert light_and_colour(frames, fused) == 0
    assert light_and_colour(frames, fused + 0.05) < 1e-10
    shadow = torch.full((1, 2, 3, 16, 16), 0.1)  # less freedom where there is little light
    assert light_and_colour(shadow, shadow[:, 0] - 0.06) > 1e-5
    assert light_and_colour(frames, fused + 0.4) > 0.05
    cast = fused + torch.tensor([0.1, 0.0, -0.1]).view(1, 3, 1, 1)
    assert light_and_colour(frames, cast) > 0.005


def test_the_objective_prefers_fusion_to_the_dark_frame() -> None:
    frames = brackets(3, (96, 96))
    batch = Batch(frames, torch.tensor([[-2.0, 0.0, 2.0]]))

    class Dark(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, 0]

    good, terms = MeasuresObjective()(PyramidBlend(), batch, 0.0)
    bad, _ = MeasuresObjective()(Dark(), batch, 0.0)
    assert good < bad
    assert set(terms) == {"mef_ssim", "q_abf", "q_w", "q_cv", "light", "crushed", "blown", "colour"}


def lit_scene() -> torch.Tensor:
    """Three frames with detail at every scale, as photographs have it."""
    generator = torch.Generator().manual_seed(5)
    scene = torch.zeros(1, 3, 256, 384)
    for level in range(6):
        detail = torch.rand(1, 3, 256 >> level, 384 >> level, generator=generator)
        scene += 0.1 * F.interpolate(detail, (256, 384), mode="bicubic")
    light = torch.linspace(0.2, 2.0, 384)
    return torch.stack([(scene * light * gain).clamp(0, 1) for gain in (0.5, 1.2, 3.0)], 1)


@pytest.mark.parametrize(("halvings", "told", "least_db"), [(1, 1, 43), (1, 2, 44), (2, 4, 50), (3, 8, 50)])
def test_a_reduced_picture_is_fused_alike(halvings: int, told: int, least_db: float) -> None:
    """Guided mode lives from it. Cues of the full size, carried down, gave 41 dB on real brackets, not 46.
    Not told that it is a quarter, this scene has 41."""
    spec, tensors, _, _ = load_fuser_weights("house")
    network = build_with_weights(spec, tensors)
    frames = lit_scene()
    with torch.no_grad():
        expected = network(frames)
        for _ in range(halvings):
            frames, expected = reduce(frames[0])[None], reduce(expected)
        network.reduced_by = told
        difference = network(frames) - expected
    assert -10 * torch.log10(difference.square().mean()) > least_db


@pytest.mark.parametrize("reduced_by", [2, 8])
def test_strips_of_a_reduced_picture_equal_it_whole(reduced_by: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mefnets.house.shape.STRIP_PIXELS", 1000)
    network, frames = trained_like(), brackets()
    network.reduced_by = reduced_by
    whole = network(frames)
    with torch.no_grad():
        assert (whole - network(frames)).abs().max() < 1e-5


@pytest.mark.parametrize(("frames", "size"), [(2, (480, 640)), (12, (240, 320))])
def test_it_holds_no_more_memory_than_it_says(frames: int, size: tuple[int, int]) -> None:
    held = _Held()
    with torch.no_grad(), held:
        trained_like()(torch.rand(1, frames, 3, *size))
    assert held.peak_bytes < 1.1 * PyramidBlend.held_bytes(frames, size[0] * size[1])
