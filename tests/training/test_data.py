"""Packing the free data and seeing it through lenses."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mefcli.errors import InputError, UnreadableError
from mefcli.training.pack import Pack, pack
from mefcli.training.radiance import read_radiance, squeeze, unsqueeze
from mefcli.training.store import Store, open_store
from mefcli.training.views import rectilinear


def test_packed_radiance_is_within_a_twentieth_of_a_stop_on_average(training_folder: Path) -> None:
    radiance = read_radiance(training_folder / "hdr_panoramas" / "a.hdr")
    error = np.abs(np.log2(unsqueeze(squeeze(radiance))) - np.log2(np.maximum(radiance, 1e-3)))
    assert error.mean() < 0.05


def test_the_same_folder_packs_to_the_same_bytes(training_folder: Path, packed: Path, tmp_path: Path) -> None:
    pack(training_folder, tmp_path / "again.mefdata")
    assert (tmp_path / "again.mefdata").read_bytes() == packed.read_bytes()


def test_the_pack_keeps_split_and_licences_and_knows_panoramas_by_name(packed: Path) -> None:
    opened = Pack(packed)
    items = {item.name: item for item in opened.items}
    assert items["hdr_panoramas/c.hdr"].part == "val"
    assert items["hdr_panoramas/a.hdr"].part == "train"
    assert items["hdr_photographs/LatLong.hdr"].kind == "panorama"
    assert items["hdr_photographs/d.hdr"].kind == "radiance"
    assert opened.licences["hdr_panoramas"] == "CC0"


def test_a_folder_without_a_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"split\.csv"):
        pack(tmp_path, tmp_path / "out.mefdata")


def test_a_foreign_file_is_not_taken_for_a_pack(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"not a pack")
    with pytest.raises(UnreadableError, match="not a packed training file"):
        Pack(tmp_path / "x")


def test_a_lens_shows_straight_lines_of_the_world_straight() -> None:
    """A vertical pole is a meridian of the panorama, and a straight column off the view's centre."""
    panorama = np.full((256, 512, 3), 0.1, np.float32)
    longitude = np.radians(25)
    column = round((longitude / (2 * np.pi) + 0.5) * 512)
    panorama[:, column - 1 : column + 2] = 1.0
    view = rectilinear(panorama, (120, 160), 80.0, yaw=0.0, pitch=0.0, roll=0.0)
    rows = view[10:110, :, 0].argmax(1)
    focal = 80 / np.tan(np.radians(40))
    assert np.ptp(rows) <= 2
    assert abs(rows.mean() - (79.5 + focal * np.tan(longitude))) < 2


def test_views_have_their_middle_at_a_grey_card_and_thumbs_that_agree(store: Store) -> None:
    index = store.indices("train", "panorama")[0]
    luma = store.level(index).astype(np.float32).mean(-1)
    assert np.median(luma) == pytest.approx(0.18, rel=0.1)
    assert store.thumbs[index].mean() == pytest.approx(luma.mean(), rel=0.05)


def test_no_scene_is_in_both_parts(store: Store) -> None:
    scenes = {
        part: {store.entries[i].scene for i in store.indices(part, "panorama")} for part in ("train", "val")
    }
    assert scenes["train"]
    assert scenes["val"]
    assert not scenes["train"] & scenes["val"]


def test_trainings_started_together_share_one_store(packed: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        stores = list(pool.map(lambda _: open_store(packed, tmp_path), range(2)))
    assert [store.level(0)[0, 0, 0] for store in stores] == [stores[0].level(0)[0, 0, 0]] * 2
    assert len(list(tmp_path.iterdir())) == 1


DAMAGED = {
    "another format": lambda index: index.update(format=99),
    "no items": lambda index: index.update(items=[]),
    "items that are no list": lambda index: index.update(items=3),
    "a key more": lambda index: index["items"][0].update(more=1),
    "a key less": lambda index: index["items"][0].pop("part"),
    "an unknown kind": lambda index: index["items"][0].update(kind="film"),
    "an unknown part": lambda index: index["items"][0].update(part=None),
    "no width": lambda index: index["items"][0].update(width=0),
    "another size": lambda index: index["items"][0].update(height=7),
    "a member that is not there": lambda index: index["items"][0].update(member="../x"),
    "no licences": lambda index: index.update(licences=None),
}


def repacked(packed: Path, out: Path, change: Callable[[dict[str, Any]], Any], member: bytes = b"") -> Path:
    """A copy whose list was changed, or whose first picture is other bytes."""
    with zipfile.ZipFile(packed) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    index = json.loads(files["index.json"])
    change(index)
    files["index.json"] = json.dumps(index).encode()
    if member:
        files[next(iter(files))] = member
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_pack_whose_list_is_damaged_is_refused(damage: str, packed: Path, tmp_path: Path) -> None:
    path = repacked(packed, tmp_path / "x.mefdata", DAMAGED[damage])
    with pytest.raises(UnreadableError, match=rf"{re.escape(str(path))} (is damaged|was packed|holds no)"):
        open_store(path, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))


@pytest.mark.parametrize("member", [b"junk", b"\xff\x4f\xff\x51 junk", b"\xff\xd8\xff\xd9"])
def test_a_pack_whose_picture_is_damaged_names_it(member: bytes, packed: Path, tmp_path: Path) -> None:
    path = repacked(packed, tmp_path / "x.mefdata", lambda index: None, member)
    with pytest.raises(UnreadableError, match=rf"damaged: {re.escape(Pack(path).items[0].name)}"):
        open_store(path, tmp_path / "cache")
