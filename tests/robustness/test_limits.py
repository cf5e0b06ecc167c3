"""Odd names, sizes, numbers and amounts; the same picture whatever the threads, tiles and runs."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from toolkit import Mef, Outcome

import mefcli
from mefcli import demo, formats

FAST = ("--model", "mertens")
ROOT = Path(__file__).resolve().parents[2]


def in_one_sentence(done: Outcome, code: int, *words: str) -> None:
    assert done.code == code, done.err
    lines = [line for line in done.err.splitlines() if line.startswith("Error:")]
    assert len(lines) == 1, done.err
    assert "fault in mef" not in done.err
    assert "Traceback" not in done.err
    for word in words:
        assert word in lines[0]


NAMES = [
    "with space",
    "new\nline",
    "sunset \U0001f305",
    "-rf",
    "a;b$(c)`d`'\"",
    "*?[x]",
    os.fsdecode(b"\xff\xfe"),
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_taken_and_given_back(mef: Mef, jpegs: list[Path], name: str) -> None:
    folder = jpegs[0].parent / name
    folder.mkdir()
    files = [path.rename(folder / f"{name}{path.name}") for path in jpegs]
    output = folder / f"{name}.jpg"
    done = mef("fuse", *files, *FAST, "-o", output, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["outputs"] == [str(output)]
    output.unlink()
    done = mef("info", *files)
    assert done.code == 0, done.err


def test_names_of_250_characters_work_and_longer_ones_are_refused(mef: Mef, jpegs: list[Path]) -> None:
    long = [path.rename(path.with_name("x" * 245 + path.name[-5:])) for path in jpegs]
    output = long[0].with_name("y" * 246 + ".jpg")
    assert mef("fuse", *long, *FAST, "-o", output).code == 0
    in_one_sentence(mef("fuse", *long, *FAST), 1, "File name too long", "-o")
    in_one_sentence(mef("fuse", *long, *FAST, "-o", "z" * 300 + ".tif"), 1, "File name too long")
    in_one_sentence(mef("fuse", *long, "z" * 5000), 1, "File name too long")
    assert sorted(output.parent.iterdir()) == sorted([*long, output])


def test_circles_of_links_are_refused(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    circle = tmp_path / "circle.jpg"
    circle.symlink_to(circle)
    in_one_sentence(mef("fuse", circle, *jpegs), 1, "circle.jpg", "link")
    in_one_sentence(mef("info", circle), 1, "circle.jpg", "link")
    in_one_sentence(mef("fuse", *jpegs, "-o", circle), 1, "circle.jpg")
    in_one_sentence(mef("fuse", *jpegs, "-o", circle / "x.tif"), 1, "circle.jpg")


def test_a_folder_that_links_to_itself_is_listed_once(mef: Mef, jpegs: list[Path]) -> None:
    (jpegs[0].parent / "again").symlink_to(jpegs[0].parent)
    done = mef("info", jpegs[0].parent, "--json")
    assert len(json.loads(done.out)["shots"]) == 3


def test_devices_and_pipes_are_refused(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    for odd in (pipe, Path("/dev/zero")):
        in_one_sentence(mef("fuse", odd, *jpegs), 1, odd.name, "regular file")


def textures(folder: Path, height: int, width: int, count: int = 3) -> list[Path]:
    chance = np.random.default_rng(1)
    light = chance.random((height, width, 3))
    paths = [folder / f"{number:02d}.png" for number in range(count)]
    for number, path in enumerate(paths):
        gain = 2.0 ** (number - count / 2)
        Image.fromarray((np.clip(light * gain, 0, 1) * 255).astype(np.uint8)).save(path)
    return paths


def evs(count: int) -> str:
    return "--ev=" + ",".join(str(number) for number in range(count))


@pytest.mark.parametrize("size", [(1, 1), (1, 1000), (1000, 1), (2, 2), (3, 5), (11, 40)])
@pytest.mark.parametrize("options", [(), ("--align", "flow", "--deghost", "auto")], ids=["plain", "all"])
def test_frames_of_any_size_are_fused(
    mef: Mef, tmp_path: Path, size: tuple[int, int], options: tuple[str, ...]
) -> None:
    output = tmp_path / "out.png"
    done = mef("fuse", *textures(tmp_path, *size), evs(3), *FAST, *options, "-o", output)
    assert done.code == 0, done.err
    assert "too small to align" in done.err
    assert formats.decode(output).pixels.shape == (*size, 3)


def test_small_frames_are_not_aligned_under_strict(mef: Mef, tmp_path: Path) -> None:
    in_one_sentence(
        mef("fuse", *textures(tmp_path, 5, 5), evs(3), *FAST, "--strict"), 1, "too small", "--strict"
    )


def test_thirty_frames_are_fused(mef: Mef, tmp_path: Path) -> None:
    done = mef("fuse", *textures(tmp_path, 24, 32, 30), evs(30), *FAST, "--align", "off")
    assert done.code == 0, done.err
    assert "30 frames" in done.err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--ev", value) for value in ("nan,0,1", "inf,0,1", "1e308,0,-1e308")),
        *(("--max-memory", value) for value in ("nan", "inf", "-1", "0")),
        ("--max-pixels", "inf"),
        ("--working-size", "inf"),
    ],
)
def test_numbers_that_are_no_amounts_are_refused(
    mef: Mef, jpegs: list[Path], option: str, value: str
) -> None:
    in_one_sentence(mef("fuse", *jpegs, *FAST, f"{option}={value}"), 2)


def test_a_header_bomb_takes_no_memory(tmp_path: Path) -> None:
    """A JPEG of 10 KB that claims 65000 x 65000 pixels, refused in under 40 MB more than before."""
    path = demo.make_bracket(tmp_path, stops=(0.0,), light=demo.scene(96))[0]
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65000, 65000)
    path.write_bytes(data)
    program = (
        "import resource, sys\nfrom mefcli import formats\nimport numpy\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\nbefore = peak()\n"
        "for read in (formats.decode, lambda path: formats.decode_reduced(path, 64)):\n"
        "    try:\n        read(sys.argv[1])\n    except Exception as error:\n        print(error)\n"
        "print(peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True, cwd=ROOT
    )
    *refusals, growth_kb = done.stdout.splitlines()
    assert len(refusals) == 2
    assert all("claims 65000 x 65000 pixels" in refusal for refusal in refusals)
    assert int(growth_kb) < 40_000


def test_a_refusal_of_many_files_stays_short(mef: Mef, jpegs: list[Path]) -> None:
    copies = [Path(shutil.copy(jpegs[n % 3], jpegs[0].with_name(f"c{n}.jpg"))) for n in range(100)]
    done = mef("fuse", *copies, "--dry-run", "--ev", "-2,0,2")
    assert done.code == 2
    assert len(done.err) < 2000


@pytest.mark.slow
def test_ten_thousand_files_fit_on_one_command_line(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    small = demo.make_bracket(tmp_path / "many", stops=(-2.0, 0.0, 2.0), light=demo.scene(96))
    many = [Path(shutil.copy(small[n % 3], folder / f"I{n:05d}.jpg")) for n in range(10_000)]
    done = mef("info", *many, "--json")
    assert done.code == 0
    assert len(json.loads(done.out)["shots"]) == 10_000


def test_one_and_two_threads_give_one_picture_to_a_65535th(jpegs: list[Path]) -> None:
    import cv2

    usual, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            cv2.setNumThreads(threads)
            pictures = [mefcli.fuse(jpegs, model=model) for model in ("mertens", "average", "house")]
            guided = mefcli.fuse(jpegs, model="house", resolution="guided", working_size=0.02)
            found.append([*pictures, guided])
    finally:
        torch.set_num_threads(usual)
        cv2.setNumThreads(-1)
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1 / 65535)


def test_a_fresh_process_writes_the_same_bytes(jpegs: list[Path], tmp_path: Path) -> None:
    program = "import sys; from mefcli.cli.app import run; raise SystemExit(run(sys.argv[1:]))"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "models")])
    pictures = []
    for number in range(2):
        output = tmp_path / f"{number}.png"
        words = [sys.executable, "-c", program, "fuse", *map(str, jpegs), *FAST, "-o", str(output)]
        subprocess.run(words, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": paths})
        pictures.append(formats.decode(output).pixels)
    np.testing.assert_array_equal(*pictures)


@pytest.mark.gpu
def test_cpu_and_gpu_agree_to_a_255th(jpegs: list[Path]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    for spec in mefcli.list_models():
        try:
            one = mefcli.fuse(jpegs, model=spec.name, device="cpu")
        except mefcli.MefError:
            continue  # no weights for it in this copy
        two = mefcli.fuse(jpegs, model=spec.name, device="cuda")
        np.testing.assert_allclose(one, two, rtol=0, atol=1 / 255, err_msg=spec.name)
