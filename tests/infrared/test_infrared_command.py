"""`mef infrared`: two files by position, the visible one's colours, deep thermal frames stretched."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from pairs import THING, luma, saved, thermal, visible
from PIL import Image
from toolkit import Mef

import mefcli
from mefcli import api, formats
from mefcli.job import Job
from mefcli.pipeline.infrared import stretched


def test_what_is_warm_shines_and_colours_and_texture_stay(mef: Mef, tmp_path: Path) -> None:
    day, warm = saved(tmp_path, visible(), thermal())
    done = mef("infrared", day, warm, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["model"] == "infrared"
    assert told["inputs"] == [str(day), str(warm)]
    output = tmp_path / "day_infrared.tif"
    assert told["outputs"] == [str(output)]
    found = formats.decode(output).pixels / 65535
    seen = visible() / 255
    assert luma(found)[THING].mean() > luma(seen)[THING].mean() + 0.15
    away = np.s_[5:50, 5:90]
    assert np.abs(found - seen)[away].mean() < 0.01
    # Cb and Cr: what the channels differ by is what it was, where nothing is clipped.
    inner = (found.min(2) > 0) & (found.max(2) < 1)
    assert np.abs((found[..., 0] - found[..., 2]) - (seen[..., 0] - seen[..., 2]))[inner].max() < 2e-4


@pytest.mark.parametrize("level", [30.0, 220.0])
def test_position_decides_and_not_brightness(tmp_path: Path, level: float) -> None:
    """Swapped, the wall is grey: the first file's colours are kept, brighter or darker as it may be."""
    day, warm = saved(tmp_path, visible(level=level), thermal())
    assert np.ptp(mefcli.infrared(day, warm), axis=2).mean() > 0.02
    assert np.ptp(mefcli.infrared(warm, day), axis=2).max() < 1e-3


def test_a_deep_thermal_frame_is_stretched_whatever_its_dead_pixels(mef: Mef, tmp_path: Path) -> None:
    deep = (7000 + 4 * thermal().astype(np.uint16)).astype(np.uint16)
    deep[3, 3], deep[7, 9] = 65535, 0
    day, warm = saved(tmp_path, visible(), deep)
    done = mef("infrared", day, warm, "-o", tmp_path / "o.png")
    assert done.code == 0, done.err
    assert "stretched from 73" in done.err
    found = formats.decode(tmp_path / "o.png").pixels / 65535
    assert luma(found)[THING].mean() > luma(visible() / 255)[THING].mean() + 0.15
    grey, _ = stretched(np.repeat(deep[..., None], 3, axis=2))
    assert np.ptp(np.percentile(grey, (5, 99))) > 40000


def test_eight_bits_stay_as_they_are_and_false_colours_are_told(tmp_path: Path) -> None:
    grey = np.repeat(thermal()[..., None], 3, axis=2)
    same, words = stretched(grey)
    assert (same == thermal()).all()
    assert not words
    iron = np.stack((thermal(), thermal() // 3, 255 - thermal()), axis=2)
    _, words = stretched(iron)
    assert "drawn in colours" in words[0]


def test_swapped_files_give_a_picture_and_are_told(mef: Mef, tmp_path: Path) -> None:
    """Strong details of the visible frame on the dark of the thermal one once ended in black: refused."""
    rng = np.random.default_rng(5)
    blocks = np.kron(rng.integers(30, 255, (15, 23, 3)), np.ones((8, 8, 1)))[:, :180].astype(np.uint8)
    day, warm = saved(tmp_path, blocks, thermal(background=40))
    done = mef("infrared", warm, day, "-o", tmp_path / "o.png")
    assert done.code == 0, done.err
    assert "warm.png is grey, day.png has colours" in " ".join(done.err.split())
    right = mef("infrared", day, warm, "-o", tmp_path / "p.png")
    assert "swap" not in right.err


def test_a_smaller_thermal_frame_is_brought_to_size_and_another_shape_refused(
    mef: Mef, tmp_path: Path
) -> None:
    day, warm = saved(tmp_path, visible(), thermal()[::2, ::2])
    done = mef("infrared", day, warm, "-o", tmp_path / "o.png")
    assert done.code == 0, done.err
    assert "from 90x60 to 180x120" in done.err
    found = formats.decode(tmp_path / "o.png").pixels / 65535
    assert luma(found)[THING].mean() > luma(visible() / 255)[THING].mean() + 0.15
    Image.fromarray(thermal()[:, :120]).save(warm)
    refused = mef("infrared", day, warm, "-o", tmp_path / "p.png")
    assert refused.code == 1
    assert "do not lie over each other" in refused.err
    assert not (tmp_path / "p.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["infrared", "DAY", "WARM", "-m", "house"], "house fuses exposures. Use mef fuse"),
        (["infrared", "DAY", "WARM", "-m", "focus"], "folds focus stacks. Use mef focus"),
        (["fuse", "DAY", "WARM", "--ev", "0,1", "-m", "infrared"], "Use mef infrared"),
        (["infrared", "DAY", "DAY"], "one picture came"),
    ],
)
def test_each_model_has_its_command(mef: Mef, tmp_path: Path, words: list[str], said: str) -> None:
    day, warm = saved(tmp_path, visible(), thermal())
    places = {"DAY": str(day), "WARM": str(warm), "FOLDER": str(tmp_path), "OUT": str(tmp_path / "out")}
    done = mef(*[places.get(word, word) for word in words])
    assert done.code == 1
    assert said in done.err


def test_settings_for_exposures_do_not_disturb_and_a_dry_run_writes_nothing(mef: Mef, tmp_path: Path) -> None:
    day, warm = saved(tmp_path, visible(), thermal())
    (tmp_path / "mef.toml").write_text('look = "bright"\ndeghost = "auto"\nalign = "flow"\nstrict = true\n')
    done = mef("infrared", day, warm, "--dry-run", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["why"] == "visible first, then infrared, as given"
    assert mef("infrared", day, warm, "-o", tmp_path / "o.png").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["day.png", "mef.toml", "o.png", "warm.png"]


def test_the_page_shows_both_and_what_the_infrared_brought(mef: Mef, tmp_path: Path) -> None:
    deep = (3000 + 20 * thermal().astype(np.uint16)).astype(np.uint16)  # nearly black as it stands
    day, warm = saved(tmp_path, visible(), deep[::2, ::2], "tif")
    page = tmp_path / "page.html"
    done = mef("infrared", day, warm, "-o", tmp_path / "o.png", "--report", page)
    assert done.code == 0, done.err
    text = page.read_text(encoding="utf-8")
    for words in (
        "Visible and infrared report",
        "day.png (visible)",
        "warm.tif (infrared)",
        "Fused (infrared)",
    ):
        assert words in text
    assert "What the infrared brought" in text
    assert "+0.0 EV" not in text
    embedded = re.findall(r'<img id="picture-1"[^>]*base64,([^"]+)"', text)
    with Image.open(io.BytesIO(base64.b64decode(embedded[0]))) as picture:
        assert picture.size == (180, 120)
        shown = np.asarray(picture.convert("L"))
    assert shown[THING].mean() > 200, "stretched, as it is fused"


def test_models_for_pairs_are_compared(mef: Mef, tmp_path: Path) -> None:
    day, warm = saved(tmp_path, visible(), thermal())
    done = mef("compare", day, warm, "--task", "infrared", "-o", tmp_path / "sheet.png", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert [one["name"] for one in told["models"]] == ["infrared"]
    assert "MI" in told["models"][0]["scores"]
    assert mef("compare", day, warm, day, "--task", "infrared").code == 2


def test_models_say_their_task_and_how_good_their_pictures_are(mef: Mef) -> None:
    told = json.loads(mef("models", "show", "infrared", "--json").out)
    assert (told["task"], told["default"], told["quality"]) == ("infrared", True, None)
    assert "VIF" in told["merit"]
    listed = json.loads(mef("models", "list", "--json").out)
    assert sorted(one["task"] for one in listed if one["default"]) == [
        "depth",
        "exposure",
        "focus",
        "infrared",
    ]


def test_in_a_folder_the_picture_is_named_after_the_visible_one(tmp_path: Path) -> None:
    day, warm = saved(tmp_path, visible(), thermal())
    pair = api.plan_infrared(warm, day)
    (tmp_path / "out").mkdir()
    done = api.infrared_pair(pair, [tmp_path / "out"], job=Job(model="infrared"))
    assert done.outputs == (tmp_path / "out" / f"{warm.stem}_infrared.tif",)
