"""Visible and infrared pairs on a card: who belongs together by name, and how a batch takes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pairs import saved, thermal, visible
from toolkit import Mef

from mefcli import api, formats
from mefcli.brackets.pairs import pairs_of
from mefcli.brackets.stacks import sorted_for
from mefcli.errors import UsageError
from mefcli.values import Shot


def shots_of(*names: str) -> list[Shot]:
    return [Shot(Path("card") / name, "jpeg", (60, 40)) for name in names]


@pytest.mark.parametrize(
    "names",
    [
        ("street_vis.jpg", "street_ir.jpg"),
        ("street.jpg", "street_ir.png"),
        ("street.jpg", "IR-street.png"),
        ("street RGB.jpg", "Street Thermal.jpg"),
        ("visible/street.jpg", "thermal/street.jpg"),
        ("VIS/street.jpg", "IR/street.tif"),
        ("street/VI.jpg", "street/IR.jpg"),
    ],
)
def test_names_and_folders_tell_a_pair_and_which_is_which(names: tuple[str, str]) -> None:
    for order in (names, names[::-1]):
        (pair,) = pairs_of(shots_of(*order)).brackets
        assert [str(path.relative_to("card")) for path in pair.paths] == list(names)


def test_many_pairs_of_one_folder_find_their_own() -> None:
    names = [f"DSC_{n:04d}_{role}.jpg" for role in ("thermal", "rgb") for n in range(5)]
    found = pairs_of(shots_of(*names))
    assert [pair.paths[0].name for pair in found.brackets] == [f"DSC_{n:04d}_rgb.jpg" for n in range(5)]
    assert all(pair.paths[1].name == f"DSC_{n:04d}_thermal.jpg" for n, pair in enumerate(found.brackets))
    assert not found.leftovers


def test_what_has_no_other_or_several_is_left_over_and_told() -> None:
    found = pairs_of(
        shots_of("a_vis.jpg", "b_ir.jpg", "c.jpg", "c_vis.jpg", "c_ir.jpg", "firs.jpg", "firs_2.jpg")
    )
    assert not found.brackets
    told = {shot.path.name: why for shot, why in found.leftovers}
    assert told["a_vis.jpg"] == told["firs.jpg"] == "no infrared picture has its name"
    assert told["b_ir.jpg"] == "no visible picture has its name"
    assert told["c.jpg"] == told["c_ir.jpg"] == "2 visible and 1 infrared pictures have its name"
    wide = [Shot(Path("d_vis.jpg"), "jpeg", (60, 40)), Shot(Path("d_ir.jpg"), "jpeg", (60, 20))]
    assert "do not lie over each other" in pairs_of(wide).leftovers[0][1]


def test_numbers_and_pauses_say_nothing_of_pairs() -> None:
    for words in ({"mode": 2}, {"mode": "folder"}, {"gap_s": 3.0}):
        with pytest.raises(UsageError, match="by their names"):
            sorted_for("infrared", shots_of("a_vis.jpg", "a_ir.jpg"), **words)  # type: ignore[arg-type]


@pytest.fixture
def card(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        place = tmp_path / "card" / name
        place.mkdir(parents=True)
        day, warm = saved(place, visible(), thermal())
        day.rename(place / "VI.png")
        warm.rename(place / "IR.png")
    (tmp_path / "card" / "alone.png").write_bytes((tmp_path / "card/one/VI.png").read_bytes())
    return tmp_path / "card"


def test_a_batch_fuses_every_pair_and_goes_on(mef: Mef, card: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("batch", card, "-o", out, "--task", "infrared", "--report", out / "index.html", "--json")
    first = mef(*words)
    assert first.code == 0, first.err
    told = [json.loads(line) for line in first.out.splitlines()]
    assert [one["outputs"] for one in told] == [[str(out / n / "VI_infrared.tif")] for n in ("one", "two")]
    assert {one["model"] for one in told} == {"infrared"}
    assert (out / "index.html").read_text().count("data:image/jpeg") == 6  # two frames and a result, twice
    job = api.job_of(None, {"model": "infrared"})
    alone = tmp_path / "alone.tif"
    pair = api.plan_infrared(card / "one/VI.png", card / "one/IR.png")
    api.infrared_pair(pair, [alone], job=job)
    assert (formats.decode(alone).pixels == formats.decode(out / "one/VI_infrared.tif").pixels).all()
    again = [json.loads(line) for line in mef(*words).out.splitlines()]
    assert [one["status"] for one in again] == ["finished before"] * 2


def test_a_plan_shows_pairs_and_what_is_left_over(mef: Mef, card: Path, tmp_path: Path) -> None:
    done = mef("batch", card, "-o", tmp_path / "out", "-m", "infrared", "--dry-run", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert len(told["brackets"]) == 2
    groups = mef("info", card, "--groups", "--task", "infrared")
    assert "2 visible and infrared pairs, 1 shots left over" in " ".join(groups.err.split())
    assert "no infrared picture has its name" in " ".join(groups.out.split())
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.png").write_bytes((card / "alone.png").read_bytes())
    none = mef("batch", tmp_path / "empty", "-o", tmp_path / "o", "--task", "infrared")
    assert "There is no visible and infrared pair among these pictures" in " ".join(none.err.split())
    look = mef("batch", card, "-o", tmp_path / "o", "--task", "infrared", "--same-look")
    assert "not for visible and infrared pairs" in " ".join(look.err.split())
