"""Weights that hold no numbers, other numbers, or never end; and results that are no picture."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from toolkit import Mef

from mefcli.checkpoints import find_weights, load_fuser_weights
from mefcli.errors import ModelError
from mefcli.pipeline.fuse import check_result
from mefnets import MODELS

HOUSE = find_weights(MODELS["house"])


def spoilt(folder: Path, change: Callable[[dict[str, torch.Tensor], str], None], **metadata: str) -> Path:
    assert HOUSE is not None
    tensors = load_file(HOUSE)
    name = max(tensors, key=lambda key: tensors[key].numel())
    change(tensors, name)
    save_file(tensors, folder / "spoilt.safetensors", metadata={"model": "house", **metadata})
    return folder / "spoilt.safetensors"


def put(value: float) -> Callable[[dict[str, torch.Tensor], str], None]:
    def change(tensors: dict[str, torch.Tensor], name: str) -> None:
        tensors[name].view(-1)[3] = value

    return change


def whole_numbers(tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors[name] = tensors[name].to(torch.int8)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (put(float("nan")), "not finite"),
        (put(float("inf")), "not finite"),
        (put(float("-inf")), "not finite"),
        (whole_numbers, "int8 where float32 belongs"),
    ],
    ids=["nan", "inf", "minus inf", "integers"],
)
def test_weights_that_are_no_numbers_are_refused(
    mef: Mef, jpegs: list[Path], tmp_path: Path, change: Any, word: str
) -> None:
    output = tmp_path / "x.png"
    done = mef("fuse", *jpegs, "--align", "off", "--weights", spoilt(tmp_path, change), "-o", output)
    assert done.code == 1
    assert word in done.err
    assert "fault in mef" not in done.err
    assert not output.exists()


@pytest.mark.parametrize("options", ['{"nonsense": 3}', "[1]", '{"width": "x"}'])
def test_options_that_no_network_takes_are_refused(
    mef: Mef, jpegs: list[Path], tmp_path: Path, options: str
) -> None:
    path = spoilt(tmp_path, put(0.0), options=options)
    done = mef("fuse", *jpegs, "--align", "off", "--weights", path, "-o", tmp_path / "x.png")
    assert done.code == 1
    assert "fault in mef" not in done.err, done.err
    assert "weights" in done.err


@pytest.mark.parametrize("way", ["--model", "--weights"])
@pytest.mark.parametrize(
    "metadata", [None, [], "words", {"model": 3}, {"model": "ffmef", "options": "{"}, {"options": "[" * 9000}]
)
def test_metadata_that_is_no_table_of_words_is_told(
    metadata: object, way: str, jpegs: list[Path], tmp_path: Path, mef: Mef
) -> None:
    shipped = find_weights(MODELS["ffmef"])
    assert shipped is not None
    data = shipped.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.dumps({**json.loads(data[8 : 8 + length]), "__metadata__": metadata}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + length :])
    words = ["--model", "ffmef", way, path] if way == "--weights" else [way, path]
    done = mef("fuse", *jpegs, *words, "-o", tmp_path / "x.png", "--align", "off")
    assert done.code == (0 if metadata is None and way == "--weights" else 1)
    assert "fault in mef" not in done.err
    assert (tmp_path / "x.png").exists() == (done.code == 0)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are for Unix")
def test_a_pipe_or_a_device_as_weights_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.safetensors")
    (tmp_path / "y.safetensors").symlink_to("/dev/zero")
    for path in tmp_path.iterdir():
        with pytest.raises(ModelError, match="not a regular file"):
            load_fuser_weights("house", path)


@pytest.mark.parametrize(
    "table", ["[]", "3", "x", "[" * 200_000, None], ids=["list", "number", "x", "deep", "folder"]
)
def test_a_table_of_hashes_that_is_none_is_told(
    mef: Mef, jpegs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str | None
) -> None:
    assert HOUSE is not None
    shutil.copy(HOUSE, tmp_path)
    if table is None:
        (tmp_path / "hashes.json").mkdir()
    else:
        (tmp_path / "hashes.json").write_text(table)
    monkeypatch.setenv("MEF_WEIGHTS", str(tmp_path))
    for command in (["fuse", *jpegs, "-o", tmp_path / "x.png"], ["models", "verify"]):
        done = mef(*command)
        assert done.code == 1
        assert "hashes.json cannot be read" in done.err
        assert "fault in mef" not in done.err


def test_a_folder_of_weights_that_is_not_there_is_not_passed_over(
    mef: Mef, jpegs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEF_WEIGHTS", str(tmp_path / "wieghts"))
    for command in (["fuse", *jpegs, "-o", tmp_path / "x.png"], ["models"], ["doctor"]):
        done = mef(*command)
        assert done.code == 1
        assert "wieghts, which is no folder" in done.out + done.err
        assert "fault in mef" not in done.err
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    ("model", "value", "word"),
    [
        ("house", 1e30, "not finite"),
        ("ffmef", 1e30, "not finite"),
        ("ffmef", 0.0, "one brightness all over"),
        ("ffmef", 1.0, "one brightness all over"),
    ],
)
def test_finite_weights_that_make_no_picture_are_told_in_one_sentence(
    mef: Mef, jpegs: list[Path], tmp_path: Path, model: str, value: float, word: str
) -> None:
    """A luminance of one value hides in a picture that has its colours from the frames."""
    shipped = find_weights(MODELS[model])
    assert shipped is not None
    tensors = {name: torch.full_like(tensor, value) for name, tensor in load_file(shipped).items()}
    save_file(tensors, tmp_path / "w.safetensors", metadata={"model": model})
    output = tmp_path / "x.png"
    for resolution in ("native", "guided"):
        done = mef(
            *("fuse", *jpegs, "--align", "off", "--model", tmp_path / "w.safetensors", "--quiet"),
            *("--resolution", resolution, "-o", output),
        )
        assert done.code == 1
        assert len(done.err.splitlines()) == 1, done.err
        assert word in done.err
        assert not output.exists()


def frames() -> list[Any]:
    rows = np.linspace(40, 250, 300)[:, None, None] * np.ones((300, 200, 3))
    return [(rows * factor).astype(np.uint8) for factor in (0.8, 1.0)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_result_that_is_no_picture_does_not_leave(dtype: type) -> None:
    seen = frames()
    top = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    good = (seen[1] / 255.0 * top).astype(dtype)
    check_result(good, seen, "x")
    for value in (0, top):
        with pytest.raises(ModelError, match="one colour"):
            check_result(np.full_like(good, value), seen, "x")
    torn = good.copy()
    torn[100:120, 50:90] = 0
    with pytest.raises(ModelError, match="black where every frame shows light"):
        check_result(torn, seen, "x")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_none_is_enough(value: float) -> None:
    result = (frames()[1] / 255).astype(np.float32)
    result[299, 199, 2] = value
    with pytest.raises(ModelError, match="not finite"):
        check_result(result, frames(), "x")


def test_frames_of_one_colour_may_give_a_picture_of_one_colour() -> None:
    for value in (0, 90, 255):
        flat = np.full((20, 30, 3), value, np.uint8)
        check_result(flat, [flat, flat], "x")


def test_a_network_that_overflows_is_noticed(
    mef: Mef, jpegs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finite weights, a result that is none."""
    import mefnets.engine.fusion as engine

    real = engine.Fusion.fuse

    def fuse(self: Any, *arguments: Any, **options: Any) -> Any:
        return np.zeros_like(real(self, *arguments, **options))

    monkeypatch.setattr(engine.Fusion, "fuse", fuse)
    done = mef("fuse", *jpegs, "--align", "off", "-o", tmp_path / "x.png", "--json")
    assert done.code == 1
    assert "one colour" in done.err
    assert not json.loads(done.out)["outputs"]
    assert not (tmp_path / "x.png").exists()
