"""Training on one's own pictures: layouts, split, pack, batches, and refusals that show what is wanted."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from mefcli.cli.app import run
from mefcli.errors import InputError, UnreadableError
from mefcli.training.export import export_run
from mefcli.training.loader import to_batch
from mefcli.training.recorded import RecordedBrackets, SceneStore, open_scenes
from mefcli.training.recorded_moving import RecordedMoving, held_out
from mefcli.training.recorded_pack import pack_scenes
from mefcli.training.scenes import Found, find
from mefnets.recipe import Data
from tests.training.pretend_scenes import (
    kalantari,
    lytro,
    multifocus,
    numbered_names,
    numbered_scenes,
    parallel,
    plain,
    shot,
    sice,
    sice_as_unpacked,
    sides_in_names,
)


@pytest.mark.parametrize(
    ("build", "layout", "scenes", "frames", "references"),
    [
        (sice, "SICE", 6, 4, 6),
        (sice_as_unpacked, "SICE", 6, 4, 6),
        (kalantari, "Kalantari", 6, 3, 0),
        (parallel, "parallel folders", 5, 2, 0),
        (sides_in_names, "parallel folders", 5, 2, 5),
        (multifocus, "parallel folders", 5, 2, 5),
        (lytro, "named pairs", 4, 2, 0),
        (plain, "scene folders", 4, 3, 4),
    ],
)
def test_data_sets_are_understood_as_they_are_distributed(
    build: Callable[[Path], None], layout: str, scenes: int, frames: int, references: int, tmp_path: Path
) -> None:
    build(tmp_path)
    found = find(tmp_path)
    assert found.layout == layout
    assert len(found.scenes) == scenes
    assert {len(scene.frames) for scene in found.scenes} == {frames}
    assert sum(scene.reference is not None for scene in found.scenes) == references
    held = [scene for scene in found.scenes if scene.part == "val"]
    assert 0 < len(held) < scenes
    assert f"{scenes} scenes of {frames} frames" in found.words()


def test_two_sides_that_share_no_name_are_not_taken_for_two_scenes(tmp_path: Path) -> None:
    for k in range(4):
        shot(tmp_path / "under" / f"{k}.png", k, -2)
        shot(tmp_path / "over" / f"shot{k}.png", k, 2)
    with pytest.raises(InputError, match="share no scene"):
        find(tmp_path)


def test_folders_of_train_and_test_decide_the_split(tmp_path: Path) -> None:
    kalantari(tmp_path)
    found = find(tmp_path)
    assert {scene.name: scene.part for scene in found.scenes if scene.part == "val"} == {
        "Test/000": "val",
        "Test/001": "val",
    }


def test_the_split_depends_on_names_alone(tmp_path: Path) -> None:
    for place in ("one", "two"):
        plain(tmp_path / place)
    shot(tmp_path / "two" / "another" / "a.png", 9)
    shot(tmp_path / "two" / "another" / "b.png", 9)
    parts = [{s.name: s.part for s in find(tmp_path / place).scenes} for place in ("one", "two")]
    agreeing = sum(parts[1][name] == part for name, part in parts[0].items())
    assert agreeing >= len(parts[0]) - 1  # the least share is held out where none is small enough


def test_a_folder_that_is_none_of_these_is_refused_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        find(tmp_path)
    assert "SCENE/1.jpg" in str(error.value)


def test_an_album_is_not_taken_for_scenes(tmp_path: Path) -> None:
    """Folders of holiday pictures, of several sizes: each a scene of its own."""
    for k in range(6):
        for number in range(3):
            shot(tmp_path / "album" / f"day{k}" / f"{number}.jpg", 10 * k + number, number - 1)
            shot(tmp_path / "roll" / f"img{k}-{number + 1}.jpg", 10 * k + number)
    for name in ("album", "roll"):
        with pytest.raises(InputError, match="do not show one scene: this is an album") as error:
            pack_scenes(find(tmp_path / name), tmp_path / "out.mefdata")
        assert "SCENE/1.jpg" in str(error.value.hint)
        assert not (tmp_path / "out.mefdata").exists()


def test_sides_that_are_named_are_pairs_whatever_they_show(tmp_path: Path) -> None:
    """Infrared need not look like light."""
    for k in range(4):
        shot(tmp_path / f"scene{k}" / "IR.jpg", 10 + k)
        shot(tmp_path / f"scene{k}" / "VI.jpg", k)
    pack_scenes(find(tmp_path), tmp_path / "out.mefdata")
    assert (tmp_path / "out.mefdata").exists()


def test_frames_of_different_sizes_are_named(tmp_path: Path) -> None:
    plain(tmp_path)
    shot(tmp_path / "scene2" / "0.png", 2, size=(60, 60))
    with pytest.raises(InputError, match=r"scene2.*0\.png"):
        pack_scenes(find(tmp_path), tmp_path / "out.mefdata")


@pytest.fixture
def store(tmp_path: Path) -> SceneStore:
    plain(tmp_path / "mine")
    pack_scenes(find(tmp_path / "mine"), tmp_path / "mine.mefdata")
    return open_scenes(tmp_path / "mine.mefdata", tmp_path / "cache")


def test_the_same_scenes_pack_to_the_same_bytes(store: SceneStore, tmp_path: Path) -> None:
    pack_scenes(find(tmp_path / "mine"), tmp_path / "again.mefdata")
    assert (tmp_path / "again.mefdata").read_bytes() == (tmp_path / "mine.mefdata").read_bytes()


def test_frames_are_sorted_by_their_light_and_the_reference_is_the_scenes_own(store: SceneStore) -> None:
    for number, entry in enumerate(store.entries):
        pictures = store.pictures(number).astype(int)
        assert np.all(np.diff(pictures[:-1].mean((1, 2, 3))) > 0)
        assert np.abs(pictures[-1] - pictures[1]).mean() < 3  # exposed as the middle frame
        assert entry.evs[0] == -entry.evs[-1] < 0


def test_recorded_batches_have_all_that_a_recipe_may_ask_for(store: SceneStore) -> None:
    data = Data(crop_px=48, batch=2, target=True, clean=True, normals=2, extremes=3, windows=1, window_px=24)
    source = RecordedBrackets(store, data, seed=4)
    batch = to_batch(source.batch(3), torch.device("cpu"))
    assert batch.frames.shape == (2, 2, 3, 48, 48)
    assert batch.clean is not None
    assert torch.allclose(batch.clean, batch.frames, atol=0.5 / 255 + 1e-6)
    assert batch.target is not None
    assert batch.normal is not None
    assert batch.extreme is not None
    assert batch.windows is not None
    again = RecordedBrackets(store, data, seed=4).batch(3)
    assert np.array_equal(again["frames"], source.batch(3)["frames"])
    assert {source.sample(k).scene for k in range(40)} == {e.name for e in store.entries if e.part == "train"}


def test_scenes_without_a_reference_are_given_one(tmp_path: Path) -> None:
    kalantari(tmp_path)
    pack_scenes(find(tmp_path), tmp_path / "k.mefdata")
    source = RecordedBrackets(open_scenes(tmp_path / "k.mefdata", tmp_path), Data(crop_px=48, target=True))
    target = source.sample(0).target
    assert target is not None
    assert 0.3 < target.mean() < 0.7


@pytest.mark.parametrize(
    ("lay", "longest"), [(parallel, 2), (kalantari, 3), (numbered_scenes, 4), (numbered_names, 5)]
)
def test_longer_brackets_than_there_are_are_not_made_up_of_frames_that_come_twice(
    tmp_path: Path, lay: Callable[[Path], None], longest: int
) -> None:
    """Recipes ask for two to seven frames; a folder has what it has."""
    lay(tmp_path / "scenes")
    pack_scenes(find(tmp_path / "scenes"), tmp_path / "s.mefdata")
    data = Data(crop_px=48, frames=(2, 7), fewer=3.0, batch=1)
    source = RecordedBrackets(open_scenes(tmp_path / "s.mefdata", tmp_path), data)
    assert source.data.frames == (2, longest)
    for step in range(12):
        frames = source.batch(step)["frames"][0].astype(int)
        assert np.all(np.diff(frames.mean((1, 2, 3))) > 0)


def test_lopsided_pairs_come_from_one_end_of_a_sequence(tmp_path: Path) -> None:
    sice(tmp_path)
    found: Found = find(tmp_path)
    pack_scenes(replace(found, scenes=found.scenes), tmp_path / "s.mefdata")
    source = RecordedBrackets(
        open_scenes(tmp_path / "s.mefdata", tmp_path), Data(crop_px=48, lopsided=1.0, clean=True)
    )
    kinds = set()
    for k in range(20):
        sample = source.sample(k)
        kinds.add(sample.kind)
        assert sample.clean is not None
        assert np.ptp(sample.clean.mean((1, 2, 3))) > np.ptp(sample.frames.mean((1, 2, 3)) / 255)
    assert kinds == {"two-under", "two-over"}


def test_a_network_learns_from_a_folder_of_scenes_and_its_weights_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mefcli.checkpoints import read_weights

    sice(tmp_path / "SICE")
    words = ["--data", str(tmp_path / "SICE"), "--runs", str(tmp_path / "runs")]
    assert run(["train", "crmef-fast", *words, "--smoke"]) == 0
    said = capsys.readouterr()
    assert "SICE: 6 scenes of 4 frames, a reference each" in said.err
    folder = Path(said.out.strip())
    path, _, _ = export_run("crmef-fast", folder, "", "last", tmp_path / "weights")
    metadata = read_weights(path)[2]
    assert "recorded scenes" in metadata["data"]
    assert metadata["licence"] != "MIT"


# ---- focus stacks ----------------------------------------------------------------------------------------


def focused(folder: Path, references: bool = True) -> None:
    """Pairs of one exposure, the left half sharp in the near one; the far one is a little brighter."""
    for k in range(5):
        shot(folder / "near" / f"{k}.png", k)
        sharp = cv2.imread(str(folder / "near" / f"{k}.png"))
        if references:
            (folder / "full_clear").mkdir(exist_ok=True)
            cv2.imwrite(str(folder / "full_clear" / f"{k}.png"), sharp)
        soft = cv2.GaussianBlur(sharp, (0, 0), 6)
        half = sharp.shape[1] // 2
        near, far = sharp.copy(), sharp.copy()
        near[:, half:], far[:, :half] = soft[:, half:], soft[:, :half]
        (folder / "far").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "near" / f"{k}.png"), np.clip(near * 1.02, 0, 255).astype(np.uint8))
        cv2.imwrite(str(folder / "far" / f"{k}.png"), far)


def test_a_focus_stack_keeps_its_order_and_its_truth(tmp_path: Path) -> None:
    focused(tmp_path / "mine")
    pack_scenes(find(tmp_path / "mine"), tmp_path / "mine.mefdata")
    store = open_scenes(tmp_path / "mine.mefdata", tmp_path / "cache")
    for number, entry in enumerate(store.entries):
        assert entry.focus
        near, far, truth = store.pictures(number).astype(int)
        half = entry.width // 2
        left, right = np.s_[:, : half - 8], np.s_[:, half + 8 :]
        assert np.abs(near - truth)[right].mean() > 2 * np.abs(far - truth)[right].mean()
        assert np.abs(far - truth)[left].mean() > np.abs(near - truth)[left].mean()
    data = Data(stack="focus", crop_px=32, batch=2, target=True)
    store.check(data)
    batch = to_batch(RecordedBrackets(store, data).batch(0), "cpu")
    assert batch.target is not None
    held = store.held(truth=True)
    assert held[0].truth is not None
    assert held[0].truth.shape == held[0].frames[0].shape


def test_a_focus_network_learns_from_focus_stacks_of_one_s_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    focused(tmp_path / "mine")
    words = ["--data", str(tmp_path / "mine"), "--runs", str(tmp_path / "runs"), "--smoke"]
    assert run(["train", "ffmef-focus", *words]) == 0
    log = (Path(capsys.readouterr().out.strip()) / "log.csv").read_text()
    assert "psnr" in log  # judged by the truth


def test_focus_stacks_without_a_truth_suit_the_recipe_that_needs_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    focused(tmp_path / "mine", references=False)
    words = ["--data", str(tmp_path / "mine"), "--runs", str(tmp_path / "runs"), "--smoke"]
    assert run(["train", "ffmef-focus", *words]) == 1
    assert "5 of 5 scenes have no picture with everything in focus" in capsys.readouterr().err
    assert run(["train", "ffmef-focus", "--variant", "paper", *words]) == 0


def test_exposures_are_no_focus_stacks_and_moving_scenes_are_neither(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sice(tmp_path / "SICE")
    words = ["--data", str(tmp_path / "SICE"), "--runs", str(tmp_path / "runs"), "--smoke"]
    assert run(["train", "ffmef-focus", *words]) == 1
    assert "differ in exposure: these are no focus stacks" in capsys.readouterr().err
    assert run(["train", "mgdn-moving", *words]) == 1
    assert "6 of 6 scenes are not three exposures with the light" in capsys.readouterr().err
    assert run(["train", "ffmef-infrared", *words]) == 1
    assert "this recipe learns from none" in capsys.readouterr().err


# ---- moving scenes ---------------------------------------------------------------------------------------


def test_a_moving_scene_keeps_the_light_of_its_middle_frame(tmp_path: Path) -> None:
    kalantari(tmp_path / "K")
    found = find(tmp_path / "K")
    assert "no references, their light, 2 held out" in found.words()
    pack_scenes(found, tmp_path / "k.mefdata")
    store = open_scenes(tmp_path / "k.mefdata", tmp_path / "cache")
    data = Data(frames=(3, 3), stack="moving", crop_px=32, batch=2, target=True)
    store.check(data)
    batch = to_batch(RecordedMoving(store, data).batch(0), "cpu")
    assert batch.frames.shape == (2, 3, 6, 32, 32)
    assert batch.target is not None
    # Nothing moved here, so each frame's light is the target, where it is neither clipped nor too dark.
    for index in range(3):
        picture, light = batch.frames[:, index, :3], batch.frames[:, index, 3:]
        shown = (picture > 0.1) & (picture < 0.95)
        assert shown.any()
        assert (light - batch.target).abs()[shown].mean() < 0.03 * batch.target[shown].mean()
    assert float(batch.target.max()) <= 1
    for turns, seen in ((4, {0, 1, 2, 3}), (2, {0, 2})):  # two: four-fold flips, with the mirror
        patches = RecordedMoving(store, replace(data, views="patches", turns=turns))
        cuts = [patches._cut_of(store.entries[0], np.random.default_rng(k)) for k in range(40)]
        assert {cut.turns for cut in cuts} == seen
    held = held_out(store, 64, 9)
    assert len(held) == 2
    assert held[0].lights is not None
    assert held[0].lights.shape == (3, *held[0].frames[0].shape)


def test_a_network_for_moving_scenes_learns_from_such_of_one_s_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kalantari(tmp_path / "K")
    words = ["--data", str(tmp_path / "K"), "--runs", str(tmp_path / "runs"), "--smoke"]
    assert run(["train", "mgdn-moving", *words]) == 0
    assert "psnr_mu" in (Path(capsys.readouterr().out.strip()) / "log.csv").read_text()


def test_a_radiance_map_that_is_none_is_named(tmp_path: Path) -> None:
    kalantari(tmp_path / "K")
    (tmp_path / "K" / "Test" / "000" / "HDRImg.hdr").write_bytes(b"none")
    with pytest.raises(UnreadableError, match=r"HDRImg\.hdr is not a readable radiance map"):
        pack_scenes(find(tmp_path / "K"), tmp_path / "k.mefdata")


def test_a_pack_of_scenes_is_not_taken_for_free_pictures(store: SceneStore, tmp_path: Path) -> None:
    words = ["train", "features", "--data", str(tmp_path / "mine.mefdata"), "--runs", str(tmp_path / "runs")]
    assert run([*words, "--steps", "1"]) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index.update(format=9),
        lambda index: index.update(scenes=[None]),
        lambda index: index["scenes"][0].update(evs=["dark", "bright"]),
        lambda index: index["scenes"][0].update(evs=[0.0]),
        lambda index: index["scenes"][0].update(reference="yes"),
        lambda index: index["scenes"][0].update(width=-4),
        lambda index: index["scenes"][0].update(height=3),
        lambda index: index["scenes"][0].pop("part"),
    ],
)
def test_a_damaged_pack_of_scenes_is_refused(
    change: Callable[[Any], Any], store: SceneStore, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "mine.mefdata") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    index = json.loads(files["scenes.json"])
    change(index)
    files["scenes.json"] = json.dumps(index).encode()
    with zipfile.ZipFile(tmp_path / "x.mefdata", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    with pytest.raises(UnreadableError, match=r"x\.mefdata (is damaged|was packed by another version)"):
        open_scenes(tmp_path / "x.mefdata", tmp_path / "elsewhere")
    assert not list((tmp_path / "elsewhere").glob("*"))


def test_data_without_a_scene_to_judge_by_is_refused_before_training(
    training_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(training_folder, tmp_path / "free")
    (folder / "split.csv").write_text("file,part\nhdr_panoramas/a.hdr,train\n")
    assert run(["train", "ffmef", "--data", str(folder), "--runs", str(tmp_path / "runs"), "--smoke"]) == 1
    assert "holds no scene to judge by" in capsys.readouterr().err
