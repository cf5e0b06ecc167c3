"""What the house network cannot do, whatever its weights, and what a photographer may ask of it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mefcli.checkpoints import build_with_weights, load_fuser_weights
from mefnets.house.bounds import ceiling_of, floor_of, keep_shown
from mefnets.house.loss import lost, vividness
from mefnets.house.network import PyramidBlend
from mefnets.house.pyramid import luminance
from mefnets.measures import chroma
from mefnets.taste import Taste


def wild(seed: int = 0) -> PyramidBlend:
    """A network that decides at random, and strongly."""
    torch.manual_seed(seed)
    network = PyramidBlend()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return network.requires_grad_(False)


def shipped() -> PyramidBlend:
    spec, tensors, _, _ = load_fuser_weights("house")
    network = build_with_weights(spec, tensors)
    assert isinstance(network, PyramidBlend)
    return network


def room(height: int = 120, width: int = 180) -> torch.Tensor:
    """Three exposures, (1, 3, 3, H, W), of a room with a bright window, a candle flame and deep shadows."""
    generator = torch.Generator().manual_seed(3)
    scene = torch.zeros(1, 3, height, width)
    for level in range(5):
        detail = torch.rand(1, 3, height >> level, width >> level, generator=generator)
        scene += 0.06 * F.interpolate(detail, (height, width), mode="bilinear")
    scene *= torch.linspace(0.05, 1.5, width)
    scene[..., 20:60, 120:160] *= 8  # the window
    scene[..., 90:94, 30:33] = 9.0  # the flame
    return torch.stack([(scene * gain).clamp(0, 1) ** 0.45 for gain in (0.08, 0.6, 4.0)], 1)


def around(fused: torch.Tensor) -> torch.Tensor:
    """Luminance as an eye sees it from a little further away: 7 x 7 means."""
    return F.avg_pool2d(luminance(fused), 7, 1)


def outside_of(frames: torch.Tensor, fused: torch.Tensor) -> torch.Tensor:
    """How far luminance leaves what any frame shows within 7 x 7 around."""
    y = luminance(frames[0])[:, 0]
    greatest = F.max_pool2d(y.amax(0)[None], 7, 1, 3)
    least = -F.max_pool2d(-y.amin(0)[None], 7, 1, 3)
    mine = luminance(fused)[0]
    return torch.maximum(least - mine, mine - greatest).amax()


@pytest.mark.parametrize("seed", range(4))
def test_no_weights_leave_what_the_frames_show(seed: int) -> None:
    frames = room()
    fused = wild(seed)(frames)
    assert fused.min() >= 0
    assert fused.max() <= 1
    assert outside_of(frames, fused) < 1e-5


def test_no_ring_at_a_candle_flame_or_a_window() -> None:
    frames = room()
    assert outside_of(frames, shipped()(frames)) < 1e-5


@pytest.mark.parametrize("seed", range(2))
def test_the_bound_is_the_same_in_strips(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, network = room(), wild(seed)
    with torch.no_grad():
        whole = network(frames)
        monkeypatch.setattr("mefnets.house.shape.STRIP_PIXELS", 2000)
        assert (network(frames) - whole).abs().max() < 1e-4


def test_grey_frames_give_grey() -> None:
    frames = luminance(room()[0])[None].expand(1, 3, 3, -1, -1)
    network = wild()
    network.taste = Taste(colour=1)
    fused = network(frames)
    assert (fused.amax(1) - fused.amin(1)).max() < 1e-5


def test_what_a_frame_shows_stays_between_black_and_white() -> None:
    y = torch.linspace(0, 1, 101)
    assert (floor_of(y) <= y).all()
    assert (ceiling_of(y) >= y).all()
    assert (floor_of(y).diff() >= 0).all()
    assert floor_of(torch.tensor(0.15)) > 0.06
    assert ceiling_of(torch.tensor(0.85)) < 0.96
    frames = torch.tensor([0.02, 0.2]).view(1, 2, 1, 1, 1).expand(1, 2, 3, 8, 8)
    assert luminance(keep_shown(frames, torch.zeros(1, 3, 8, 8))).min() > 0.06
    kept = torch.full((1, 3, 8, 8), 0.15)
    assert torch.equal(keep_shown(frames, kept), kept)


def test_no_weights_crush_a_large_shadow() -> None:
    frames = torch.full((1, 2, 3, 96, 96), 0.02)
    frames[:, 1] = 0.2
    frames[..., 48:] += 0.6
    for seed in range(4):
        seen = around(wild(seed)(frames))[..., :32]  # beyond the reach of the bright half
        assert seen.min() > 0.06


def test_the_loss_feels_what_is_lost_and_nothing_else() -> None:
    y = torch.tensor([0.02, 0.2]).view(1, 2, 1, 1, 1).expand(1, 2, 1, 32, 32)
    assert lost(y, torch.full((1, 1, 32, 32), 0.02))[0] > 0.05
    assert lost(y, torch.full((1, 1, 32, 32), 0.15))[0] == 0
    bright = torch.tensor([0.8, 1.0]).view(1, 2, 1, 1, 1).expand(1, 2, 1, 32, 32)
    assert lost(bright, torch.full((1, 1, 32, 32), 0.99))[1] > 0.05
    assert lost(bright, torch.full((1, 1, 32, 32), 0.85))[1] == 0


def test_chroma_is_that_of_cielab() -> None:
    import cv2

    picture = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(1))
    lab = cv2.cvtColor(picture.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2LAB)
    by_opencv = torch.from_numpy(lab[..., 1] ** 2 + lab[..., 2] ** 2).sqrt()
    assert (chroma(picture)[0] - by_opencv).abs().max() < 0.3
    frames = picture.expand(1, 2, 3, 20, 30) * 0.6 + 0.2
    assert vividness(frames, frames[:, 0]) == pytest.approx(1, abs=0.02)


def test_no_taste_is_bit_identical_to_a_taste_of_zero() -> None:
    frames, network = room(), shipped()
    with torch.no_grad():
        plain = network(frames)
        network.taste = Taste()
        assert torch.equal(network(frames), plain)


@pytest.mark.parametrize("name", ["shadows", "highlights"])
def test_more_light_is_never_darker(name: str) -> None:
    frames, network = room(), shipped()
    before = None
    for value in (-1.0, -0.5, 0.0, 0.5, 1.0):
        network.taste = Taste(**{name: value})
        with torch.no_grad():
            now = around(network(frames))
        if before is not None:
            assert (now - before).min() > -0.5 / 255
            assert (now - before).max() > 2 / 255
        before = now


def test_opened_shadows_leave_the_window_alone_and_come_from_the_bright_frame() -> None:
    frames, network = room(), shipped()
    with torch.no_grad():
        plain = network(frames)
        network.taste = Taste(shadows=1)
        opened = network(frames)
    window = (..., slice(26, 54), slice(126, 154))
    assert (opened[window] - plain[window]).abs().mean() < 0.02
    assert outside_of(frames, opened) < 1e-5


def test_more_colour_and_contrast_are_more() -> None:
    frames, network = room(), shipped()
    chromas, spreads = [], []
    for value in (-1.0, 0.0, 1.0):
        with torch.no_grad():
            network.taste = Taste(colour=value)
            chromas.append(float(chroma(network(frames)).mean()))
            network.taste = Taste(contrast=value)
            spreads.append(float(around(network(frames)).std()))
    assert chromas[0] < chromas[1] < chromas[2]
    assert spreads[0] < spreads[1] < spreads[2]


def test_a_taste_beyond_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="shadows"):
        Taste(shadows=1.5)
