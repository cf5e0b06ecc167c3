"""`mef.toml`: defaults and presets, whose word counts, and how a slip in a file is told."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from toolkit import MakeBracket, Mef

import mefcli
from mefcli import settings
from mefcli.errors import UsageError
from mefcli.job import Job
from mefcli.options import described
from mefcli.settings import NAME, settings_for

FAST = ("--model", "average", "--align", "off")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The person's own file."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setattr(settings, "user_folder", lambda: folder)
    return folder / NAME


def test_the_later_word_counts_the_more(own: Path, jpegs: list[Path]) -> None:
    """Built in, the person's own, beside the pictures, preset, given by hand."""
    own.write_text('quality = 80\nlook = "flat"\ncontrast = 10\n[presets.night]\nlook = "deep"\ncolour = 5\n')
    beside = jpegs[0].parent / NAME
    beside.write_text('look = "bright"\ncontrast = 20\n[presets.inside]\ncontrast = 30\ncolour = 9\n')
    found = settings_for(jpegs, {"colour": 7.0}, preset="inside")
    assert found.job == Job(quality=80, look="bright", contrast=30, colour=7)
    told = {name: (one.source, one.file) for name, one in found.origins.items() if one.source != "built in"}
    assert told == {
        "quality": ("file", own),
        "look": ("file", beside),
        "contrast": ("preset", beside),
        "colour": ("command line", None),
    }
    assert settings_for(jpegs, preset="night").job.look == "deep"  # a preset of one's own beats both files
    assert settings_for(jpegs, file="off").job == Job()
    assert settings_for(jpegs, file=own).job == Job(quality=80, look="flat", contrast=10)
    assert settings_for([]).job.look == "flat"


def test_of_two_presets_of_one_name_that_beside_the_pictures_counts(own: Path, jpegs: list[Path]) -> None:
    own.write_text("[presets.a]\nquality = 1\ncontrast = 5\n")
    (jpegs[0].parent / NAME).write_text("[presets.a]\nquality = 2\n")
    assert settings_for(jpegs, preset="a").job == Job(quality=2)


def test_python_has_a_plain_function_for_it(own: Path, jpegs: list[Path]) -> None:
    own.write_text('[presets.inside]\nlook = "bright"\n')
    assert mefcli.load_settings(jpegs, preset="inside", quality=70) == Job(look="bright", quality=70)
    assert mefcli.load_settings(str(jpegs[0].parent)) == Job()
    with pytest.raises(TypeError, match="did you mean quality"):
        mefcli.load_settings(qualty=1)


def test_fuse_batch_align_and_compare_follow_the_file(
    mef: Mef, copy_bracket: MakeBracket, tmp_path: Path
) -> None:
    frames = copy_bracket(name="card")
    (tmp_path / "card" / NAME).write_text(
        'model = "average"\nalign = "off"\nbit-depth = 8\ncrop = "common"\n[presets.deep]\nbit_depth = 16\n'
    )
    done = mef("fuse", *frames, "-o", tmp_path / "a.tif", "--json")
    assert json.loads(done.out)["model"] == "average"
    assert json.loads(done.out)["settings"] == {"align": "off", "bit_depth": 8, "crop": "common"}
    assert f"Settings of {tmp_path / 'card' / NAME}: model average" in done.err
    done = mef("fuse", *frames, "-o", tmp_path / "b.tif", "--preset", "deep", "--crop", "none", "--json")
    assert json.loads(done.out)["settings"] == {"align": "off", "bit_depth": 16, "crop": "none"}
    done = mef("batch", tmp_path / "card", "-o", tmp_path / "out", "--preset", "deep", "--json")
    assert json.loads(done.out)["settings"] == {"align": "off", "bit_depth": 16, "crop": "common"}
    done = mef(
        "batch",
        tmp_path / "card",
        "-o",
        tmp_path / "seen",
        "--watch",
        "--watch-idle",
        "4",
        "--gap",
        "0.5",
        "--json",
    )
    assert json.loads(done.out)["settings"] == {"align": "off", "bit_depth": 8, "crop": "common"}
    done = mef("align", *frames, "-o", tmp_path / "aligned", "--json")
    assert json.loads(done.out)["alignment"] == []  # nobody looked
    done = mef("compare", *frames, "--models", "average", "--quiet", "--json")
    assert done.code == 0
    assert done.err == ""
    done = mef("fuse", *frames, "-o", tmp_path / "c.tif", "--settings", "off", "--align", "off", "--json")
    assert json.loads(done.out)["model"] == "house"


def test_a_cards_names_and_formats_can_stand_in_the_file(
    mef: Mef, copy_bracket: MakeBracket, tmp_path: Path
) -> None:
    frames = copy_bracket(name="card")
    place = tmp_path / "card" / NAME
    place.write_text(
        'model = "average"\nalign = "off"\nformat = ["jpg", "tif"]\nname = "{first}_done"\njobs = 1\n'
        '[presets.web]\nformat = "png"\n'
    )
    done = mef("batch", tmp_path / "card", "-o", tmp_path / "one", "--json")
    names = [Path(path).name for path in json.loads(done.out)["outputs"]]
    assert [name.partition("_done")[2] for name in names] == [".jpg", ".tif"]
    assert "format jpg and tif" in done.err
    done = mef("batch", tmp_path / "card", "-o", tmp_path / "two", "--preset", "web", "--name", "x", "--json")
    assert [Path(path).name for path in json.loads(done.out)["outputs"]] == ["x.png"]
    done = mef("fuse", *frames, "-o", tmp_path / "a.tif", "--json")  # has no use for them
    assert done.code == 0, done.err
    assert "format jpg" not in done.err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('format = "bmpp"', "bmpp is no format"),
        ("format = []", "format cannot be []"),
        ("format = 3", "format cannot be 3"),
        ('name = "{nope}"', "knows no {nope}"),
        ("jobs = 0", "jobs cannot be 0"),
    ],
)
def test_a_cards_slips_are_told_when_the_file_is_read(
    mef: Mef, jpegs: list[Path], line: str, told: str
) -> None:
    (jpegs[0].parent / NAME).write_text(line + "\n")
    done = mef("config", jpegs[0])
    assert done.code == 2
    assert told in done.err
    assert NAME in done.err


def test_what_is_typed_wins_also_where_it_is_the_default(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    (jpegs[0].parent / NAME).write_text('model = "average"\nalign = "off"\nstrict = true\nquality = 7\n')
    done = mef("config", jpegs[0], "--align", "auto", "--quality", "95", "--json")
    found = {one["name"]: (one["value"], one["source"]) for one in json.loads(done.out)["settings"]}
    assert found["align"] == ("auto", "command line")
    assert found["quality"] == (95, "command line")
    assert found["strict"] == (True, "file")


def test_config_shows_every_value_and_its_home(
    mef: Mef, own: Path, jpegs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    own.write_text('max-memory = "2G"\n[presets.inside]\nlook = "bright"\n')
    monkeypatch.chdir(jpegs[0].parent)
    Path(NAME).write_text("profile = 'p3'\n")
    rows = [
        line.split(maxsplit=2) for line in mef("config", "--preset", "inside", "-m", "ffmef").out.splitlines()
    ]
    told = {name: (value, home.strip()) for name, value, home in rows}
    assert set(told) - {"setting"} == {one.name for one in settings.OPTIONS}
    assert told["format"] == ("tif", "built in")
    assert told["model"] == ("ffmef", "command line (--model)")
    assert told["look"][0] == "bright"
    assert told["look"][1].startswith("preset inside (")
    assert told["max_memory"][0] == "2048"
    assert told["raw_space"] == ("p3", NAME)  # by the name of its flag
    assert told["quality"] == ("95", "built in")
    found = json.loads(mef("config", "--preset", "inside", "--json").out)
    homes = {one["name"]: (one["source"], one["file"]) for one in found["settings"]}
    assert homes["look"] == ("preset", str(own))
    assert homes["max_memory"] == ("file", str(own))
    assert [one["scope"] for one in found["files"]] == ["user", "pictures"]
    done = mef("config", "--settings", "off")
    assert f"would be read from {own}" in done.err


SLIPS: dict[str, tuple[str | bytes, str]] = {
    "key": ("qualty = 90", "there is no setting 'qualty'. Did you mean quality?"),
    "key of a preset": (
        "[presets.a]\nloook = 'bright'",
        "preset 'a': there is no setting 'loook'. Did you mean look",
    ),
    "preset": ("[preset.a]\nlook = 'bright'", "there is no setting 'preset'. Did you mean presets"),
    "preset without its table": ("[inside]\nlook = 'bright'", "A preset is written [presets.inside]."),
    "far key": ("zzz = 1", "'zzz'. mef config shows every setting."),
    "choice": ("look = 'brigth'", "look cannot be 'brigth'. Did you mean bright? Choose natural, bright"),
    "range": ("quality = 200", "quality cannot be 200. Give a whole number from 1 to 100."),
    "kind": ("strict = 1", "strict cannot be 1. Give True or False."),
    "list": ("align = ['off']", "align cannot be ['off']"),
    "date": ("quality = 2024-01-01", "quality cannot be datetime.date"),
    "nan": ("contrast = nan", "contrast cannot be nan"),
    "huge": ("quality = 0x" + "f" * 9000, "quality cannot be so large a number"),
    "huge fraction": ("contrast = 0x" + "f" * 9000, "contrast cannot be so large a number"),
    "size": ("max_memory = '2X'", "max_memory cannot be '2X'. Give a size, such as 2G"),
    "twice": ("max-memory = '2G'\nmax_memory = '3G'", "max_memory is set twice"),
    "flag": ("raw_space = 'p3'\nprofile = 'p3'", "raw_space is set twice"),
    "no table": ("presets = 1", "presets is no table"),
    "no table within": ("[presets]\na = 1", "preset 'a' is no table"),
    "toml": ("quality = ", "is not TOML"),
    "twice in toml": ("quality = 1\nquality = 2", "is not TOML"),
    "deep": ("a = " + "[" * 20000, "is not TOML"),
    "digits": ("quality = " + "9" * 5000, "is not TOML"),
    "bytes": (b"quality = 9\xff", "is no text in UTF-8"),
    "zeros": (b"\0" * 50, "is not TOML"),
    "size of the file": (b"#" * 1_000_001, "is too large"),
    "overwrite": ("overwrite = true", "overwrite cannot be kept in a file. Give --overwrite"),
    "overwrite in a preset": ("[presets.a]\noverwrite = true", "overwrite cannot be kept in a file"),
    "debug folder": ("debug-dir = '/tmp'", "debug_dir cannot be kept in a file"),
    "bomb": ("max_pixels = 1e9", "max_pixels cannot be set beside pictures, which may be a stranger's"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_in_a_file_is_named_with_what_is_near(mef: Mef, jpegs: list[Path], slip: str) -> None:
    text, told = SLIPS[slip]
    file = jpegs[0].parent / NAME
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    for words in (["fuse", *jpegs, "--dry-run"], ["config", jpegs[0].parent]):
        done = mef(*words)
        assert done.code == 2
        assert str(file) in done.err
        assert told in done.err, done.err
        assert done.out == ""


def test_own_settings_may_lift_the_limit_of_pixels(own: Path) -> None:
    own.write_text("max_pixels = 900")
    assert settings_for([]).job.max_pixels == 900


def test_things_that_are_no_file_are_refused_and_not_waited_for(mef: Mef, jpegs: list[Path]) -> None:
    file = jpegs[0].parent / NAME
    file.mkdir()
    assert "is not a regular file" in mef("config", jpegs[0]).err
    file.rmdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(file)
        assert "is not a regular file" in mef("config", jpegs[0]).err
        file.unlink()
    file.symlink_to("nowhere")
    assert "cannot be read: No such file" in mef("config", jpegs[0]).err
    file.unlink()
    file.symlink_to(file.name)
    assert f"{file} cannot be read: " in mef("config", jpegs[0]).err
    file.unlink()
    assert mef("config", "--settings", "nowhere.toml").code == 2
    assert "nowhere does not exist" in mef("config", jpegs[0].parent / "nowhere").err
    for name in ("a\0b", "x" * 5000):  # no names of files: who reads pictures says so
        assert settings_for([name]).job == Job()


def test_an_unknown_preset_is_told_with_its_near_ones(mef: Mef, own: Path, jpegs: list[Path]) -> None:
    done = mef("fuse", *jpegs, "--preset", "inside")
    assert done.code == 2
    assert f"There is no preset 'inside': there are none. Write [presets.inside] into a {NAME}" in done.err
    own.write_text("[presets.interiors]\nquality = 1\n[presets.night]\n")
    done = mef("batch", jpegs[0].parent, "-o", jpegs[0].parent / "out", "--preset", "interior", "--dry-run")
    assert done.code == 2
    assert "There is no preset 'interior'. Did you mean interiors? Known: interiors, night." in done.err


def test_several_files_beside_the_pictures_are_refused(
    mef: Mef, copy_bracket: MakeBracket, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        copy_bracket(name=name)
        (tmp_path / name / NAME).write_text("quality = 9")
    done = mef("batch", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "out", "--dry-run")
    assert done.code == 2
    assert "These pictures lie beside 2 files of settings" in done.err
    (tmp_path / "b" / NAME).unlink()
    (tmp_path / "b" / NAME).symlink_to(tmp_path / "a" / NAME)  # one file, twice
    assert settings_for([tmp_path / "a", tmp_path / "b"]).job.quality == 9


def test_weights_lie_beside_the_settings_that_name_them(own: Path, tmp_path: Path) -> None:
    own.write_text("model = 'mine.safetensors'\n[presets.b]\nweights = '/there/b.safetensors'\n")
    job = settings_for([], preset="b").job
    assert job.model == str(own.parent / "mine.safetensors")
    assert job.weights == "/there/b.safetensors"


def test_a_model_that_is_typed_takes_its_own_weights(mef: Mef, own: Path, jpegs: list[Path]) -> None:
    """Not those that a file names for another."""
    own.write_text("model = 'ffmef'\nweights = 'mine.safetensors'\n[presets.plain]\nmodel = 'mertens'\n")
    assert settings_for(jpegs).job.weights == str(own.parent / "mine.safetensors")
    for found in (settings_for(jpegs, {"model": "house"}), settings_for(jpegs, preset="plain")):
        assert found.job.weights is None
        assert found.origins["weights"].source == "built in"
    assert settings_for(jpegs, {"weights": "b.safetensors"}).job.model == "ffmef"
    own.write_text('weights = "\\u0000.safetensors"')
    done = mef("fuse", *jpegs, "-o", own.parent / "x.png")
    assert done.code == 1
    assert "cannot be read" in done.err


def test_what_a_file_puts_on_can_be_put_off(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    (jpegs[0].parent / NAME).write_text("hdr = true\nstrict = true\nhalf = true\n")
    done = mef("fuse", *jpegs, *FAST, "-o", tmp_path / "x.png")
    assert done.code == 2
    assert "With --hdr, write" in done.err
    done = mef("config", jpegs[0], "--no-hdr", "--no-strict", "--no-half", "--json")
    told = {one["name"]: (one["value"], one["source"]) for one in json.loads(done.out)["settings"]}
    assert {told[name] for name in ("hdr", "strict", "half")} == {(False, "command line")}
    done = mef("fuse", *jpegs, *FAST, "--no-hdr", "--no-half", "-o", tmp_path / "x.png")
    assert done.code == 0, done.err
    for one in described(Job):
        if one.hint is bool and one.option.settable != "never":
            assert f"--no-{one.name}" in mef("fuse", "--help").out


def test_a_pattern_that_no_shell_opened_has_its_settings(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    (jpegs[0].parent / NAME).write_text("quality = 33\n")
    folder = jpegs[0].parent
    for pattern in (
        f"{folder}/*.JPG",
        f"{folder.parent}/{folder.name[:-1]}?/*.jpg",
        f"{folder.parent}/{folder.name[:-1]}?",
    ):
        assert settings_for([pattern]).job.quality == 33
        assert "quality 33" in mef("fuse", pattern, *FAST, "-o", tmp_path / "x.jpg", "--overwrite").err


def test_text_as_windows_saves_it_is_read(jpegs: list[Path]) -> None:
    (jpegs[0].parent / NAME).write_bytes(b"\xef\xbb\xbfquality = 9\r\n[presets.a]\r\nquality = 8\r\n")
    assert settings_for(jpegs).job.quality == 9
    assert settings_for(jpegs, preset="a").job.quality == 8


@pytest.mark.parametrize(
    ("system", "name", "environment", "folder"),
    [
        ("linux", "posix", {"HOME": "/h"}, "/h/.config/mef"),
        ("linux", "posix", {"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, "/x/mef"),
        ("linux", "posix", {"HOME": "/h", "XDG_CONFIG_HOME": "relative"}, "/h/.config/mef"),
        ("darwin", "posix", {"HOME": "/h"}, "/h/Library/Application Support/mef"),
        ("win32", "nt", {"HOME": "/h", "APPDATA": "/a"}, "/a/mef"),
        ("win32", "nt", {"HOME": "/h"}, "/h/AppData/Roaming/mef"),
    ],
)
def test_each_system_has_its_place(
    monkeypatch: pytest.MonkeyPatch, system: str, name: str, environment: dict[str, str], folder: str
) -> None:
    import importlib

    monkeypatch.undo()  # the folder that tests have instead
    for variable in ("HOME", "XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(sys, "platform", system)
    module: Any = importlib.import_module("mefcli.settings")
    assert module.user_folder_of(name) == Path(folder)


def test_every_option_can_be_set_or_says_why_not() -> None:
    """Nothing is listed twice: what a file may hold is what a job has."""
    for one in described(Job):
        if one.option.settable == "never":
            continue
        value = (
            one.default if one.default is not None else {"weights": "x", "max_memory": "1G"}.get(one.name, 8)
        )
        assert settings.fitting(one, value) is not None
    with pytest.raises(UsageError):
        settings.fitting(next(iter(described(Job))), 1.5)
