"""Every bad input: one clear sentence with name and remedy, the right exit code, nothing written."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image
from toolkit import Mef, Outcome

from tests.formats.profiles import press


def refused(outcome: Outcome, code: int, *words: str) -> None:
    assert outcome.code == code, outcome.err
    assert outcome.out == ""
    lines = [line for line in outcome.err.splitlines() if line.startswith("Error:")]
    assert len(lines) == 1, outcome.err
    assert "Traceback" not in outcome.err
    assert "fault in mef" not in outcome.err
    for word in words:
        assert word in lines[0]


def only(folder: Path, *expected: Path) -> None:
    """Nothing was written beside what was there before, hidden files included."""
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == sorted(expected)


def bomb(path: Path) -> Path:
    """A PNG whose header promises 65000 x 65000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 65000, 65000, 8, 2, 0, 0, 0))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )
    return path


def test_a_truncated_jpeg_is_refused(mef: Mef, jpegs: list[Path]) -> None:
    data = jpegs[1].read_bytes()
    jpegs[1].write_bytes(data[: len(data) * 2 // 3])
    refused(mef("fuse", *jpegs), 1, jpegs[1].name)
    only(jpegs[0].parent, *jpegs)


def test_names_that_begin_with_a_dash_stay_names_and_options_behind_a_double_dash_are_told(
    mef: Mef, jpegs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(jpegs[0].parent)
    names = [f"-{path.name}" for path in jpegs]
    for path, name in zip(jpegs, names, strict=True):
        path.rename(name)
    refused(mef("fuse", "--", *names, "-o", "x.tif"), 1, "-o does not exist. What stands behind -- is a file")
    with Image.open(names[0]) as picture:
        picture.resize((72, 48)).save("small.png")
    refused(mef("fuse", "small.png", "--", *names), 1, f"mef fuse ./{names[0]}")


def test_an_empty_file_is_refused(mef: Mef, jpegs: list[Path]) -> None:
    jpegs[2].write_bytes(b"")
    refused(mef("fuse", *jpegs), 1, jpegs[2].name, "empty")
    only(jpegs[0].parent, *jpegs)


def test_text_named_jpg_is_refused(mef: Mef, jpegs: list[Path]) -> None:
    jpegs[0].write_text("my holiday\n")
    refused(mef("fuse", *jpegs), 1, jpegs[0].name)
    only(jpegs[0].parent, *jpegs)


def test_a_missing_file_is_named_with_its_near_neighbours(mef: Mef, jpegs: list[Path]) -> None:
    refused(
        mef("fuse", jpegs[0], jpegs[0].with_name("rom_2.jpg")), 1, "rom_2.jpg", "does not exist", "room_2.jpg"
    )
    only(jpegs[0].parent, *jpegs)


def test_a_folder_without_pictures_is_refused(mef: Mef, tmp_path: Path) -> None:
    refused(mef("fuse", tmp_path), 1, "holds no pictures")


def test_one_frame_is_refused(mef: Mef, jpegs: list[Path]) -> None:
    refused(mef("fuse", jpegs[1]), 1, jpegs[1].name, "at least two")
    only(jpegs[0].parent, *jpegs)


def test_two_identical_exposures_are_refused_and_ev_allows_them(mef: Mef, jpegs: list[Path]) -> None:
    twin = Path(shutil.copy(jpegs[1], jpegs[1].with_name("twin.jpg")))
    refused(mef("fuse", jpegs[1], twin), 1, jpegs[1].name, twin.name, "same exposure", "--ev")
    only(jpegs[0].parent, *jpegs, twin)
    done = mef("fuse", jpegs[1], twin, "--ev", "-1,1", "-o", twin.with_name("out.png"))
    assert done.code == 0, done.err


def test_two_sizes_are_refused(mef: Mef, jpegs: list[Path]) -> None:
    with Image.open(jpegs[0]) as picture:
        picture.resize((72, 48)).save(jpegs[0], exif=picture.getexif())
    refused(mef("fuse", *jpegs), 1, "72x48", "144x96", jpegs[0].name)
    only(jpegs[0].parent, *jpegs)


def test_two_cameras_are_refused(mef: Mef, jpegs: list[Path]) -> None:
    with Image.open(jpegs[0]) as picture:
        exif = picture.getexif()
        exif.get_ifd(0x8769)
        exif[0x0110] = "another camera"
        picture.save(jpegs[0], exif=exif)
    refused(mef("fuse", *jpegs), 1, "2 cameras", "another camera", "--ev")
    only(jpegs[0].parent, *jpegs)


def test_two_brackets_under_one_pattern_are_refused_with_the_plan(
    mef: Mef, copy_bracket: object, tmp_path: Path
) -> None:
    first, second = copy_bracket("jpeg", "a"), copy_bracket("jpeg", "b")  # type: ignore[operator]
    outcome = mef("fuse", *first, *second)
    refused(outcome, 1, "2 brackets", "mef fuse", "mef batch")
    only(tmp_path, *first, *second)


def test_two_colour_profiles_are_refused(mef: Mef, pngs: list[Path]) -> None:
    from mefcli import formats

    with Image.open(pngs[0]) as picture:
        picture.load()
        picture.save(pngs[0], icc_profile=formats.icc_profile("prophoto"), exif=picture.getexif())
    refused(mef("fuse", *pngs), 1, pngs[0].name, "profile")
    only(pngs[0].parent, *pngs)


@pytest.mark.parametrize("profile", [press(), None], ids=["with its profile", "without"])
def test_cmyk_works_where_its_inks_are_known(mef: Mef, jpegs: list[Path], profile: bytes | None) -> None:
    for path in jpegs:
        with Image.open(path) as picture:
            exif = picture.getexif()
            exif.get_ifd(0x8769)
            picture.convert("CMYK").save(path, exif=exif, icc_profile=profile)
    done = mef("fuse", *jpegs, "--model", "average", "-o", jpegs[0].with_name("out.tif"))
    if profile:
        assert done.code == 0, done.err
    else:
        refused(done, 1, jpegs[0].name, "CMYK without a profile")


def test_a_decompression_bomb_is_refused_unopened(mef: Mef, tmp_path: Path) -> None:
    one, two = bomb(tmp_path / "one.png"), bomb(tmp_path / "two.png")
    refused(mef("fuse", one, two, "--ev", "-1,1"), 1, "one.png", "--max-pixels")
    only(tmp_path, one, two)


def test_max_pixels_is_honoured(mef: Mef, jpegs: list[Path]) -> None:
    refused(mef("fuse", *jpegs, "--max-pixels", "0.01"), 1, "--max-pixels")


@pytest.mark.parametrize("place", ["missing/out.tif", "room_1.jpg/out.tif"])
def test_a_folder_that_cannot_be_written_is_refused(mef: Mef, jpegs: list[Path], place: str) -> None:
    refused(mef("fuse", *jpegs, "-o", jpegs[0].parent / place), 1, "folder")
    only(jpegs[0].parent, *jpegs)


def test_a_folder_without_permission_is_refused(mef: Mef, jpegs: list[Path]) -> None:
    proc = Path("/proc/self")
    if not proc.is_dir():
        pytest.skip("needs a folder that even root cannot write into")
    refused(mef("fuse", *jpegs, "-o", proc / "out.tif"), 1, "Cannot write")


@pytest.mark.parametrize("name", ["out.gif", "out", "out.webm"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(mef: Mef, jpegs: list[Path], name: str) -> None:
    refused(mef("fuse", *jpegs, "-o", jpegs[0].with_name(name)), 2, name, ".tif", ".jxl")
    only(jpegs[0].parent, *jpegs)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "mertnes"], ["mertnes", "Did you mean mertens"]),
        (["--ev", "1,2"], ["--ev", "2 exposure values for 3 frames"]),
        (["--ev", "a,b,c"], ["--ev -2,0,2"]),
        (["--max-memory", "lots"], ["--max-memory", "2G"]),
        (["--bit-depth", "12"], ["12", "8, 16 or 32"]),
        (["--reference", "9"], ["'9'", "room_2.jpg"]),
        (["--deghost", "wildly"], ["wildly", "auto"]),
    ],
)
def test_slips_on_the_command_line_are_told_with_what_would_be_right(
    mef: Mef, jpegs: list[Path], arguments: list[str], words: list[str]
) -> None:
    refused(mef("fuse", *jpegs, *arguments), 2, *words)
    only(jpegs[0].parent, *jpegs)


@pytest.mark.parametrize("arguments", [["--algn", "off"], ["--align", "sideways"], ["--quality", "101"]])
def test_unknown_options_and_choices_exit_2(mef: Mef, jpegs: list[Path], arguments: list[str]) -> None:
    outcome = mef("fuse", *jpegs, *arguments)
    assert outcome.code == 2
    assert arguments[0].strip("-")[:2] in outcome.err
    assert "Traceback" not in outcome.err
    only(jpegs[0].parent, *jpegs)


def test_unknown_commands_list_the_near_ones(mef: Mef) -> None:
    outcome = mef("fues")
    assert outcome.code == 2
    assert "fuse" in outcome.err


def test_debug_shows_the_traceback(mef: Mef, jpegs: list[Path]) -> None:
    outcome = mef("fuse", jpegs[0], "--debug")
    assert outcome.code == 1
    assert "Traceback" in outcome.err


def test_json_tells_the_error_too(mef: Mef, jpegs: list[Path]) -> None:
    import json

    outcome = mef("fuse", jpegs[0], "--json")
    assert outcome.code == 1
    told = json.loads(outcome.out)
    assert told["error"]["kind"] == "MismatchError"
    assert told["outputs"] == []
