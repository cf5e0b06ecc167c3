"""One's own pictures with depth: every layout, packed, opened, and what a network is shown of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mefcli.errors import InputError, MissingExtraError, UnreadableError
from mefcli.training.prepare import held_of, simulator_for
from mefcli.training.recorded import SceneStore, open_scenes
from mefcli.training.recorded_pack import pack_scenes
from mefcli.training.scenes import find
from mefcli.training.settings import find_recipe
from mefnets.recipe import Data
from tests.toolkit import Mef

SIZE = (96, 128)
COUNT = 6


def picture(seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 255, (8, 10, 3)).astype(np.uint8)
    return cv2.resize(small, SIZE[::-1], interpolation=cv2.INTER_CUBIC)


def depth_of(seed: int) -> np.ndarray:
    """A thing before a slope, metres."""
    depth = np.tile(np.linspace(2.0, 4.0 + seed, SIZE[1], dtype=np.float32), (SIZE[0], 1))
    depth[20:60, 30 : 60 + seed] = 1.2
    return depth


def beside(root: Path) -> None:
    for name in ("RGB", "Depth"):
        (root / name).mkdir(parents=True)
    for k in range(COUNT):
        cv2.imwrite(str(root / "RGB" / f"{k}.jpg"), picture(k))
        np.save(root / "Depth" / f"{k}.npy", depth_of(k))


def folders(root: Path) -> None:
    for k in range(COUNT):
        place = root / f"room{k}"
        place.mkdir(parents=True)
        cv2.imwrite(str(place / "rgb.png"), picture(k))
        cv2.imwrite(str(place / "depth.png"), (depth_of(k) * 1000).astype(np.uint16))


def arrays(root: Path) -> None:
    root.mkdir()
    for images, depths, part in (
        ("train_images_split.npy", "train_depth_split.npy", range(4)),
        ("test_images_v2.npy", "test_depth.npy", range(4, COUNT)),
    ):
        np.save(root / images, np.stack([picture(k)[..., ::-1] / 255 for k in part]).astype(np.float32))
        np.save(root / depths, np.stack([depth_of(k)[..., None] for k in part]))


def labelled(root: Path) -> None:
    """NYU v2's own file: MATLAB's, columns first."""
    h5py = pytest.importorskip(
        "h5py", reason="the extra `matlab` is not installed: NYU v2's file was NOT tried"
    )
    root.mkdir()
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        pictures = np.stack([picture(k)[..., ::-1].T for k in range(COUNT)])
        file.create_dataset("images", data=pictures, chunks=(1, *pictures.shape[1:]), compression="gzip")
        file.create_dataset("depths", data=np.stack([depth_of(k).T for k in range(COUNT)]))


@pytest.mark.parametrize(
    ("build", "unit"), [(beside, 1.0), (folders, 1000.0), (arrays, 1.0), (labelled, 1.0)]
)
def test_every_layout_keeps_depth_beside_its_picture(
    build: Callable[[Path], None], unit: float, tmp_path: Path
) -> None:
    build(tmp_path / "mine")
    found = find(tmp_path / "mine")
    assert f"depth: {COUNT}, " in found.words()
    pack_scenes(found, tmp_path / "mine.mefdata")
    store = open_scenes(tmp_path / "mine.mefdata", tmp_path / "cache")
    assert len(store.entries) == COUNT
    assert store.of("val")
    assert store.of("train")
    if build in (arrays, labelled):
        assert [entry.part for entry in store.entries] == ["train"] * 4 + ["val"] * 2
    for k in range(COUNT):
        assert np.abs(store.depth(k) / unit - depth_of(k)).max() < 2e-3
        assert np.abs(store.frames(k)[0].astype(int) - picture(k)[..., ::-1]).mean() < 6


@pytest.fixture
def store(tmp_path: Path) -> SceneStore:
    beside(tmp_path / "mine")
    pack_scenes(find(tmp_path / "mine"), tmp_path / "mine.mefdata")
    return open_scenes(tmp_path / "mine.mefdata", tmp_path / "cache")


def test_a_network_sees_colour_and_few_pixels_of_the_depth_and_learns_the_whole(store: SceneStore) -> None:
    data = Data(frames=(1, 1), stack="depth", crop_px=64, batch=2, misaligned=0.6, target=True)
    simulator = simulator_for(store, data, seed=3)
    sample = simulator.sample(5)
    assert sample.low is not None
    assert sample.target is not None
    assert sample.frames.shape == (1, 64, 64, 3)
    assert sample.target.shape == (64, 64, 1)
    assert sample.low.shape[0] < 33
    enlarged = cv2.resize(sample.low, (64, 64), interpolation=cv2.INTER_LINEAR)
    assert np.corrcoef(enlarged.ravel(), sample.target.ravel())[0, 1] > 0.7  # one place of one scene
    one, again = simulator.batch(1), simulator_for(store, data, seed=3).batch(1)
    assert one["frames"].shape == (2, 1, 64, 64, 7)
    assert one["target"].shape == (2, 64, 64, 1)
    assert all(np.array_equal(one[name], again[name]) for name in one)


def test_held_out_scenes_are_judged_at_every_factor(store: SceneStore) -> None:
    held = held_of(store, 1, stack="depth")
    assert held
    for number, one in enumerate(held):
        assert one.low is not None
        assert one.truth is not None
        assert one.frames[0].shape[:2] == one.truth.shape[:2] == (96, 96)
        assert one.low.shape[0] == 96 // (4, 8, 16)[number % 3]


def test_depth_and_exposures_are_not_taken_for_each_other(store: SceneStore) -> None:
    with pytest.raises(InputError, match="pictures with depth"):
        simulator_for(store, find_recipe("ffmef", "").data, 0)


def test_holes_odd_shapes_and_damage_are_told(tmp_path: Path) -> None:
    beside(tmp_path / "mine")
    holed = depth_of(2)
    holed[:5] = 0
    for broken, error, words in (
        (holed, InputError, "2.npy has holes"),
        (depth_of(2)[:, :50], InputError, "another shape"),
        (None, UnreadableError, "2.npy"),
    ):
        path = tmp_path / "mine" / "Depth" / "2.npy"
        if broken is None:
            path.write_bytes(path.read_bytes()[:100])
        else:
            np.save(path, broken)
        with pytest.raises(error, match=words):
            pack_scenes(find(tmp_path / "mine"), tmp_path / "out.mefdata")
        assert not (tmp_path / "out.mefdata").exists()
    for path in (tmp_path / "mine" / "Depth").iterdir():
        path.rename(path.with_name(f"d{path.name}"))
    with pytest.raises(InputError, match="Name them alike"):
        find(tmp_path / "mine")


def test_nyus_file_is_refused_in_a_sentence_where_it_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled(tmp_path / "nyu")
    path = tmp_path / "nyu" / "nyu_depth_v2_labeled.mat"
    whole = path.read_bytes()
    for broken, words in (
        (b"", "cut off or damaged"),
        (whole[:2000], "cut off or damaged"),
        (b"no", "cut off"),
    ):
        path.write_bytes(broken)
        with pytest.raises(UnreadableError, match=words):
            pack_scenes(find(tmp_path / "nyu"), tmp_path / "out.mefdata")
    import h5py

    with h5py.File(path, "w") as file:
        file["pictures"] = np.zeros(3)
    with pytest.raises(UnreadableError, match="holds no `images` and `depths`"):
        find(tmp_path / "nyu")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"nyu_depth_v2_labeled\.mat needs h5py") as error:
        find(tmp_path / "nyu")
    assert "mef[matlab]" in str(error.value.hint)


def test_a_network_for_depth_is_trained_on_own_pictures(mef: Mef, tmp_path: Path) -> None:
    folders(tmp_path / "mine")
    done = mef("train", "mgdn-depth", "--data", tmp_path / "mine", "--runs", tmp_path / "runs", "--smoke")
    assert done.code == 0, done.err
    assert "pictures with depth" in done.err or "depth: 6" in done.err
    refused = mef("train", "ffmef", "--data", tmp_path / "mine", "--runs", tmp_path / "runs", "--smoke")
    assert refused.code != 0
    assert "pictures with depth" in refused.err


def test_the_preview_shows_what_the_recipe_asks_for(mef: Mef, tmp_path: Path) -> None:
    """A picture in colour and its depth in grey, not two exposures."""
    folders(tmp_path / "mine")
    words = ("train", "preview", "--data", tmp_path / "mine", "--runs", tmp_path / "runs", "--count", "1")
    done = mef(*words, "--model", "mgdn-depth", "-o", tmp_path / "sheet.png")
    assert done.code == 0, done.err
    sheet = cv2.imread(str(tmp_path / "sheet.png")).astype(int)[16:]
    colour, depth = sheet[:, 10:170], sheet[:, 190:350]
    assert np.ptp(colour, axis=2).mean() > 10
    assert np.ptp(depth, axis=2).max() == 0
    assert np.ptp(depth) > 100
    refused = mef(*words, "-o", tmp_path / "other.png")
    assert refused.code == 1
    assert "mgdn-depth learns from them" in refused.err
