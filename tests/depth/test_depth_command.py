"""`mef depth`: a small map and a colour picture, the map's own numbers at the picture's size."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from toolkit import Mef

import mefcli
from mefcli.bench.depth import in_folder, measure
from mefcli.depth.enlarge import resized
from mefcli.depth.guided import TILE_PX, Guide, faithful, filtered
from mefcli.errors import ModelError
from mefcli.job import Job
from mefcli.pipeline.depth import load

ROOMS = Path(__file__).resolve().parents[2].parent / "shared/data/dev/rgb_depth"
SIZE = (96, 128)
EDGE = 61  # column of the border, which no pixel of the small maps ends at


@pytest.fixture(scope="session")
def marking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the network for depth as its training begins: like colours lend each other their depth."""
    import torch
    from safetensors.torch import save_file

    from mefnets import MODELS
    from mefnets.engine.fuser import build_network

    torch.manual_seed(0)
    state = build_network(MODELS["mgdn-depth"]).state_dict()
    path = tmp_path_factory.mktemp("marking") / "mgdn-depth.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, path, {"model": "mgdn-depth"})
    return path


def scene(size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """A dark thing before a light wall, both with texture: colour (H, W, 3) uint8, depth (H, W) metres."""
    width = size[1]
    near = np.arange(width)[None] < round(EDGE * width / SIZE[1])
    near = np.broadcast_to(near, size)
    rng = np.random.default_rng(1)
    colour = np.where(near, 60, 190)[..., None] + rng.integers(-20, 21, (*size, 3))
    return colour.astype(np.uint8), np.where(near, 1.5, 4.0).astype(np.float32)


def saved(folder: Path, factor: int = 4, name: str = "map.npy") -> tuple[Path, Path, np.ndarray]:
    colour, depth = scene()
    picture, small = folder / "colour.png", folder / name
    cv2.imwrite(str(picture), colour[..., ::-1])
    low = resized(depth, (SIZE[0] // factor, SIZE[1] // factor))
    put(small, low)
    return small, picture, depth


def put(path: Path, numbers: np.ndarray) -> None:
    if path.suffix == ".npy":
        np.save(path, numbers)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, numbers)
    else:
        cv2.imwrite(str(path), numbers)


def got(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        return np.load(path)
    return tifffile.imread(path) if path.suffix == ".tif" else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def off(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.square(found - truth).mean()))


@pytest.mark.parametrize("factor", [4, 8, 16])
def test_an_edge_comes_nearer_to_where_colour_has_it(
    mef: Mef, tmp_path: Path, marking: Path, factor: int
) -> None:
    small, picture, depth = saved(tmp_path, factor)
    out = tmp_path / "large.npy"
    done = mef("depth", small, picture, "-o", out, "--weights", marking, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["size_px"] == [SIZE[1], SIZE[0]]
    assert (told["factor"], told["dtype"], told["holes"]) == (factor, "float32", 0)
    found = got(out)
    assert found.dtype == np.float32
    assert off(found, depth) < 0.95 * off(resized(np.load(small), SIZE), depth)


@pytest.mark.parametrize("model", ["mgdn-depth", "bicubic", "guided"])
def test_flat_depth_takes_no_texture_from_the_picture(tmp_path: Path, marking: Path, model: str) -> None:
    _, picture, _ = saved(tmp_path)
    put(tmp_path / "flat.npy", np.full((24, 32), 2.5, np.float32))
    weights = str(marking) if model == "mgdn-depth" else None
    found = mefcli.enlarge_depth(tmp_path / "flat.npy", picture, model=model, weights=weights)
    np.testing.assert_allclose(found, 2.5, atol=1e-5)


@pytest.mark.parametrize("name", ["map.png", "map.tif"])
def test_sixteen_bits_stay_sixteen_bits_in_their_unit(
    mef: Mef, tmp_path: Path, marking: Path, name: str
) -> None:
    small, picture, depth = saved(tmp_path, name="metres.npy")
    put(tmp_path / name, np.rint(1000 * np.load(small)).astype(np.uint16))
    outputs = [tmp_path / "large.png", tmp_path / "large.tif", tmp_path / "large.npy"]
    words = [word for output in outputs for word in ("-o", output)]
    done = mef("depth", tmp_path / name, picture, *words, "--weights", marking)
    assert done.code == 0, done.err
    assert done.out.split() == [str(output) for output in outputs]
    first, *others = map(got, outputs)
    assert first.dtype == np.uint16
    assert all((first == other).all() and other.dtype == np.uint16 for other in others)
    metres = mefcli.enlarge_depth(small, picture, weights=str(marking))
    assert np.abs(first - 1000 * metres).max() < 3  # of millimetres that were rounded before
    assert off(first / 1000, depth) < 0.5


@pytest.mark.parametrize(("kind", "hole"), [(np.uint16, 0), (np.float32, 0), (np.float32, np.nan)])
@pytest.mark.parametrize("model", ["mgdn-depth", "bicubic", "guided"])
def test_holes_stay_and_spread_nowhere(
    tmp_path: Path, marking: Path, kind: type, hole: float, model: str
) -> None:
    _, picture, _ = saved(tmp_path)
    low = np.full((24, 32), 2000, kind)
    low[5:9, 10:14] = hole
    put(tmp_path / "holes.npy", low)
    weights = str(marking) if model == "mgdn-depth" else None
    found = mefcli.enlarge_depth(tmp_path / "holes.npy", picture, model=model, weights=weights)
    inside = np.zeros(SIZE, bool)
    inside[20:36, 40:56] = True
    np.testing.assert_array_equal(found[inside], np.full(16 * 16, hole, kind))
    np.testing.assert_allclose(found[~inside], 2000, rtol=1e-5)


def test_holes_are_told(mef: Mef, tmp_path: Path) -> None:
    _, picture, _ = saved(tmp_path)
    low = np.full((24, 32), 2000, np.uint16)
    low[:6] = 0
    put(tmp_path / "holes.png", low)
    done = mef("depth", tmp_path / "holes.png", picture, "-o", tmp_path / "o.png", "-m", "bicubic", "--json")
    assert json.loads(done.out)["holes"] == 0.25
    assert "25 % of its pixels have no depth" in done.err
    put(tmp_path / "nothing.png", np.zeros((24, 32), np.uint16))
    done = mef("depth", tmp_path / "nothing.png", picture, "-o", tmp_path / "n.png", "-m", "bicubic")
    assert done.code == 1
    assert "holds no depth" in done.err
    assert not (tmp_path / "n.png").exists()


def test_no_depth_becomes_a_hole_by_rounding(tmp_path: Path) -> None:
    _, picture, _ = saved(tmp_path)
    low = np.ones((24, 32), np.uint16)
    low[:, 20:] = 3  # cubic interpolation swings below 1 beside this
    put(tmp_path / "low.png", low)
    found = mefcli.enlarge_depth(tmp_path / "low.png", picture, model="bicubic")
    assert found.min() == 1


def test_the_picture_is_taken_as_it_is_displayed(tmp_path: Path) -> None:
    from PIL import Image

    colour, depth = scene()
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(colour)))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    turned.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    put(tmp_path / "map.npy", resized(depth, (24, 32)))
    found = mefcli.enlarge_depth(tmp_path / "map.npy", tmp_path / "turned.jpg", model="guided")
    assert found.shape == SIZE


@pytest.mark.parametrize("size", [(24, 32), (25, 32), (24, 33), (23, 31), (12, 16), (48, 64), (6, 8)])
def test_sizes_fit_within_rounding(tmp_path: Path, size: tuple[int, int]) -> None:
    _, picture, depth = saved(tmp_path)
    put(tmp_path / "low.npy", resized(depth, size))
    assert mefcli.enlarge_depth(tmp_path / "low.npy", picture, model="bicubic").shape == SIZE


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (np.ones((32, 24), np.float32), "are of different shapes"),
        (np.ones((24, 24), np.float32), "are of different shapes"),
        (np.ones((96, 128), np.float32), "1 times as wide"),
        (np.ones((5, 6), np.float32), "20.2 times as wide"),
        (np.ones((3, 4), np.float32), "less than 4 pixels along a side"),
        (np.ones((24, 32, 3), np.float32), "no depth map that mef can read"),
        (np.ones(24, np.float32), "no depth map that mef can read"),
        (np.ones((24, 32), np.complex64), "no depth map that mef can read"),
        (np.full((24, 32), -1, np.int32), "negative or have more than 16 bits"),
        (np.full((24, 32), 70000, np.uint32), "negative or have more than 16 bits"),
        (np.full((24, 32), np.nan, np.float32), "holds no depth"),
        (np.array([[object()] * 8] * 8), "no depth map that mef can read"),
    ],
)
def test_what_cannot_be_enlarged_is_told_in_a_sentence(
    mef: Mef, tmp_path: Path, numbers: np.ndarray, words: str
) -> None:
    _, picture, _ = saved(tmp_path)
    np.save(tmp_path / "low.npy", numbers, allow_pickle=True)
    done = mef("depth", tmp_path / "low.npy", picture, "-o", tmp_path / "o.tif", "-m", "bicubic")
    assert done.code == 1
    assert words in done.err
    assert "Unexpected" not in done.err
    assert not (tmp_path / "o.tif").exists()


@pytest.mark.parametrize("name", ["map.npy", "map.png", "map.tif"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_map_that_is_cut_off_is_refused(mef: Mef, tmp_path: Path, name: str, share: float) -> None:
    _, picture, _ = saved(tmp_path)
    rng = np.random.default_rng(0)
    put(tmp_path / name, rng.integers(900, 9000, (24, 32)).astype(np.uint16))
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(share * len(data))])
    done = mef("depth", tmp_path / name, picture, "-o", tmp_path / "o.tif", "-m", "bicubic")
    assert done.code == 1
    assert name in done.err
    assert "Unexpected" not in done.err


def test_colours_and_palettes_are_no_depth(mef: Mef, tmp_path: Path) -> None:
    from PIL import Image

    _, picture, _ = saved(tmp_path)
    colours = Image.fromarray(np.zeros((24, 32, 3), np.uint8))
    colours.save(tmp_path / "rgb.png")
    colours.save(tmp_path / "rgb.tif")
    colours.convert("P").save(tmp_path / "palette.png")
    colours.save(tmp_path / "rgb.jpg")
    for name in ("rgb.png", "rgb.tif", "palette.png", "rgb.jpg"):
        done = mef("depth", tmp_path / name, picture, "-o", tmp_path / "o.tif", "-m", "bicubic")
        assert done.code == 1
        assert "no depth map" in done.err, name


def test_outputs_are_checked_first_and_kept(mef: Mef, tmp_path: Path) -> None:
    small, picture, _ = saved(tmp_path)
    kept = tmp_path / "kept.tif"
    kept.write_bytes(b"mine")
    for words, code, told in (
        (("-o", kept), 1, "exists already"),
        (("-o", small, "--overwrite"), 2, "is the source"),
        (("-o", tmp_path / "o.jpg"), 2, "no format for depth"),
        (("-o", tmp_path / "o.png"), 2, "PNG files have no floating point"),
        (("-o", tmp_path / "none" / "o.tif"), 1, "There is no folder"),
    ):
        done = mef("depth", small, picture, "-m", "bicubic", *words)
        assert done.code == code, done.err
        assert told in done.err
    assert kept.read_bytes() == b"mine"
    assert mef("depth", small, picture, "-m", "bicubic", "-o", kept, "--overwrite").code == 0
    assert got(kept).shape == SIZE
    folder = tmp_path / "into"
    folder.mkdir()
    assert mef("depth", small, picture, "-m", "bicubic", "-o", folder).code == 0
    assert (folder / "map_depth.tif").is_file()


def test_a_wrong_model_is_told(mef: Mef, tmp_path: Path) -> None:
    small, picture, _ = saved(tmp_path)
    for words, code, told in (
        (("-m", "house"), 1, "fuses exposures"),
        (("-m", "bicubik"), 2, "Did you mean bicubic?"),
        (("-m", "bicubic", "--weights", "some.safetensors"), 2, "has nothing learned"),
    ):
        done = mef("depth", small, picture, "-o", tmp_path / "o.tif", *words)
        assert (done.code, told in done.err) == (code, True), done.err
    other = tmp_path / "other.png"
    other.write_bytes(picture.read_bytes())
    done = mef("fuse", picture, other, "--ev", "0,1", "-m", "mgdn-depth", "-o", tmp_path / "o.tif")
    assert done.code == 1
    assert "mgdn-depth enlarges depth maps. Use mef depth" in done.err
    for model, told in (("mgdn-depth", "mgdn-depth enlarges"), ("mgdn-moving", "mgdn-moving finds")):
        done = mef("compare", picture, other, "--ev", "0,1", "--models", model, "-o", tmp_path / "o.png")
        assert done.code == 1
        assert told in done.err
    with pytest.raises(ModelError, match="enlarges depth maps"):
        mefcli.load_fuser("mgdn-depth")


def test_large_pictures_are_enlarged_in_tiles_that_show_no_seam(marking: Path) -> None:
    import torch

    from mefcli.checkpoints import build_with_weights, load_fuser_weights

    spec, tensors, _, _ = load_fuser_weights("mgdn-depth", marking)
    network = build_with_weights(spec, tensors)
    colour, depth = scene((180, 300))
    low = resized(depth, (45, 75))
    whole = Guide(network).enlarged(low, colour)
    seen: list[tuple[int, ...]] = []

    def watched(frames: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(frames.shape[-2:]))
        return forward(frames)

    forward, network.forward = network.forward, watched  # type: ignore[method-assign]
    tiled = Guide(network, tile_px=96).enlarged(low, colour)
    assert len(seen) > 1
    assert max(map(max, seen)) < 300
    assert np.abs(tiled - whole).max() < 0.02 * np.ptp(depth)
    assert TILE_PX >= 256


def test_made_small_again_it_is_nearly_the_map_that_was_measured() -> None:
    _, depth = scene((200, 300))
    low = resized(depth, (25, 37))
    blurred = cv2.GaussianBlur(depth, (0, 0), 9)
    before = off(resized(blurred, low.shape), low)
    moved = faithful(blurred.copy(), low)
    assert off(resized(moved, low.shape), low) < 0.6 * before
    assert off(moved, depth) < off(blurred, depth)
    assert moved.min() >= low.min() - 1e-4
    assert moved.max() <= low.max() + 1e-4
    flat = np.full((200, 300), 2.0, np.float32)
    np.testing.assert_allclose(faithful(flat.copy(), np.full((25, 37), 2.0, np.float32)), flat, atol=1e-5)


def test_the_guided_filter_follows_colour() -> None:
    colour, depth = scene()
    low = resized(depth, (24, 32))
    assert off(filtered(low, colour), depth) < 0.9 * off(resized(low, SIZE), depth)


def test_cubic_interpolation_is_pillows() -> None:
    from PIL import Image

    rng = np.random.default_rng(2)
    large = rng.random((37, 53)).astype(np.float32)
    for size in ((9, 13), (74, 159), (37, 20)):
        expected = Image.fromarray(large).resize(size[::-1], Image.Resampling.BICUBIC)
        inner = (
            np.s_[4:-4, 4:-4] if size[0] > 9 else np.s_[2:-2, 2:-2]
        )  # at the border Pillow cuts the kernel
        np.testing.assert_allclose(resized(large, size)[inner], np.asarray(expected)[inner], atol=2e-5)
    part = resized(large, (74, 159), (10, 20), (100, 140))
    np.testing.assert_array_equal(part, resized(large, (74, 159))[10:20, 100:140])


@pytest.mark.skipif(not ROOMS.is_dir(), reason="no views of real rooms here")
@pytest.mark.parametrize("factor", [4, 8, 16])
def test_real_rooms_come_nearer_to_the_truth_than_by_the_classics(factor: int) -> None:
    scenes = in_folder(ROOMS)[:1]
    guide, _ = load(Job(model="mgdn-depth", device="cpu"))
    rows = {row.method: row.rmse for row in measure("rooms", scenes, guide, factors=[factor])}
    assert rows["model"] < 0.9 * min(rows["bicubic"], rows["guided"])
