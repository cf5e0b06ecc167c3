"""Every registered network, by parametrisation: what its SPEC promises the engine must hold.

Networks carry random weights here; what is tested holds for any weights.
"""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mefnets import MODELS
from mefnets.engine.fuser import Fuser, Streams
from mefnets.engine.memory import bytes_needed
from mefnets.layers.blocks import GlobalStatistic
from mefnets.spec import ModelSpec


def _code_file(spec: ModelSpec) -> Path:
    return (
        Path(str(importlib.import_module("mefnets").__file__))
        .parent.joinpath(*spec.module.split(".")[1:])
        .with_suffix(".py")
    )


NAMES = [name for name, spec in MODELS.items() if _code_file(spec).exists()]
# Networks for moving scenes and for depth make light of light and depth of depth: `mef hdr` and `mef depth`
# ask them, not the engine that makes pictures.
PICTURES = [name for name in NAMES if MODELS[name].task not in ("moving", "depth")]
LEARNED = [name for name in NAMES if MODELS[name].learned]
LOCAL = [name for name in LEARNED if MODELS[name].tiling.reach is not None]
GLOBAL = [name for name in PICTURES if MODELS[name].tiling.sees == "means"]


@cache
def network(name: str) -> nn.Module:
    spec = MODELS[name]
    with torch.inference_mode(False):  # also when a test first asks for it in there
        torch.manual_seed(1)
        built: nn.Module = importlib.import_module(spec.module).build(**spec.options)
    return built.eval()


def side(spec: ModelSpec, least: int = 32) -> int:
    return -(-max(least, spec.tiling.min_size) // spec.tiling.multiple) * spec.tiling.multiple


def frames_for(spec: ModelSpec, batch: int = 1, height: int = 0, width: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    special = {"moving": (3, 6), "depth": (1, 7)}
    count, channels = special.get(spec.task, (2, 1 if spec.colour == "luma" else 3))
    shape = (batch, count, channels, height or side(spec), width or side(spec, 40))
    return torch.rand(shape, generator=generator)


def photographs(height: int, width: int, count: int = 2) -> list[np.ndarray]:
    """Frames with smooth light and some texture, uint16, dark to bright."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:height, :width]
    scene = (
        0.5
        + 0.4 * np.sin(x / 9)[..., None] * np.cos((y / 7)[..., None] + np.arange(3))
        + 0.1 * rng.random((height, width, 3))
    )
    return [
        (np.clip(scene * 2.0**ev, 0, 1) * 65535).astype(np.uint16) for ev in np.linspace(-1.5, 1.5, count)
    ]


def test_every_learned_model_has_its_network():
    missing = [name for name, spec in MODELS.items() if not _code_file(spec).exists()]
    assert not missing, f"registered without a network: {missing}"


@pytest.mark.parametrize("name", NAMES)
def test_spec_is_registered_under_its_own_name(name: str):
    spec = MODELS[name]
    assert spec.name == name
    assert spec.tiling.mirror_px % spec.tiling.multiple == 0
    assert spec.weights in (None, f"{name}.safetensors")
    assert spec.summary
    assert spec.licence


@pytest.mark.parametrize("name", NAMES)
def test_what_fuses_in_strips_says_so(name: str):
    assert MODELS[name].tiling.strips == isinstance(network(name), Streams)


@pytest.mark.parametrize("name", [name for name in PICTURES if MODELS[name].learned and MODELS[name].cost])
def test_the_memory_stated_is_the_one_the_engine_measures(name: str):
    cost = MODELS[name].cost
    assert cost is not None
    with torch.inference_mode():
        found = bytes_needed(network(name), MODELS[name], 2, 500_000, torch.device("cpu")) / 500_000
    assert found == pytest.approx(cost.held_bytes, rel=0.2)


@pytest.mark.parametrize("name", LEARNED)
def test_output_has_the_shape_and_type_of_one_frame(name: str):
    frames = frames_for(MODELS[name], batch=2)
    with torch.inference_mode():
        fused = network(name)(frames)
    channels = 1 if MODELS[name].task == "depth" else 3
    assert fused.shape == frames[:, 0, :channels].shape
    assert fused.dtype == torch.float32
    assert torch.isfinite(fused).all()


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("size", [(33, 47), (1, 20)])
def test_odd_and_tiny_sizes_fuse_through_the_engine(name: str, size: tuple[int, int]):
    fused = Fuser(MODELS[name], network(name)).fuse(photographs(*size), depth=16, resolution="native")
    assert fused.shape == (*size, 3)
    assert fused.dtype == np.uint16


@pytest.mark.parametrize("name", LEARNED)
def test_a_batch_of_two_equals_two_batches_of_one(name: str):
    frames = frames_for(MODELS[name], batch=2)
    with torch.inference_mode():
        together = network(name)(frames)
        apart = torch.cat([network(name)(frames[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(together, apart, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", LEARNED)
def test_inference_computes_what_training_differentiates(name: str):
    frames = frames_for(MODELS[name])
    with torch.inference_mode():
        frugal = network(name)(frames)
    torch.testing.assert_close(network(name)(frames).detach(), frugal, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", LEARNED)
def test_gradients_reach_every_parameter_and_every_frame(name: str):
    model = network(name)
    frames = frames_for(MODELS[name], batch=2).requires_grad_()
    model.zero_grad()
    fused = model(frames)
    weights = torch.rand(fused.shape, generator=torch.Generator().manual_seed(4))
    (fused * weights).sum().backward()
    assert frames.grad is not None
    assert (frames.grad.abs().amax((0, 2, 3, 4)) > 0).all(), "a frame is not looked at"
    idle = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not idle, f"never used: {idle}"
    model.zero_grad()


@pytest.mark.parametrize("name", LEARNED)
def test_state_dict_round_trips(name: str, tmp_path: Path):
    spec = MODELS[name]
    torch.save(network(name).state_dict(), tmp_path / "state.pt")
    other: nn.Module = importlib.import_module(spec.module).build(**spec.options).eval()
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    frames = frames_for(spec)
    with torch.inference_mode():
        torch.testing.assert_close(other(frames), network(name)(frames), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", LOCAL)
def test_declared_reach_is_the_measured_one(name: str):
    spec = MODELS[name]
    reach = spec.tiling.reach
    assert reach is not None
    size = 2 * reach + 9
    size += -size % spec.tiling.multiple
    frames = frames_for(spec, height=size, width=size).requires_grad_()
    middle = size // 2
    network(name)(frames)[..., middle, middle].sum().backward()
    assert frames.grad is not None
    touched = torch.nonzero(frames.grad.abs().amax((0, 1, 2)))
    reached = int((touched - middle).abs().max())
    assert reached <= reach, f"sees {reached} px, declares {reach}"
    assert reached >= reach // 2, f"declares {reach} px, sees only {reached}"


@pytest.mark.parametrize("name", LOCAL)
def test_tiles_equal_the_whole_where_a_reach_is_declared(name: str):
    fuser = Fuser(MODELS[name], network(name))
    frames = photographs(70, 90)
    whole = fuser.fuse(frames, depth=16, resolution="native").astype(int)
    tiled = fuser.fuse(frames, depth=16, resolution="native", tile_px=32).astype(int)
    assert np.abs(whole - tiled).max() <= 8  # of 65535


@pytest.mark.parametrize("name", GLOBAL)
def test_tiles_with_replayed_statistics_show_no_seams(name: str):
    assert any(isinstance(module, GlobalStatistic) for module in network(name).modules())
    spec = MODELS[name]
    fuser = Fuser(spec, network(name))
    frames = photographs(64, 144)
    whole = fuser.fuse(frames, depth=32, resolution="native")
    tiled = fuser.fuse(frames, depth=32, resolution="native", tile_px=64)
    assert np.abs(whole - tiled).max() < 4 / 255
    assert np.abs(whole - tiled).mean() < 0.5 / 255


@pytest.mark.parametrize("name", LEARNED)
def test_channels_last_weights_give_the_same_picture(name: str):
    spec = MODELS[name]
    frames = frames_for(spec)
    other: nn.Module = importlib.import_module(spec.module).build(**spec.options).eval()
    other.load_state_dict(network(name).state_dict())
    other = other.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        torch.testing.assert_close(other(frames), network(name)(frames), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in LOCAL if MODELS[name].tiling.mirror_px])
def test_the_border_of_the_picture_leaves_no_rim(name: str):
    """A picture that goes on beyond its border, mirrored, gets the same result there."""
    frames = photographs(96, 112)
    m = 48
    longer = [np.pad(frame, ((m, m), (m, m), (0, 0)), mode="reflect") for frame in frames]
    fuser = Fuser(MODELS[name], network(name))
    fused = fuser.fuse(frames, depth=32, resolution="native")
    inner = fuser.fuse(longer, depth=32, resolution="native")[m:-m, m:-m]
    assert np.abs(fused - inner).max() < 1e-4  # without the mirror 1e-3 and more
