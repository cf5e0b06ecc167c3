"""What can be known to fail is told before the first pixel is decoded, and by a dry run too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toolkit import MakeBracket, Mef

import mefcli
from mefcli import errors
from mefcli.batch.journal import NAME as JOURNAL
from mefcli.evaluation import methods
from mefcli.job import Job
from mefnets import MODELS

TROUBLES: dict[str, tuple[list[str], str]] = {
    "device absent": (["--device", "cuda"], "No CUDA device"),
    "device unknown": (["--device", "tpu", "--model", "ffmef"], "There is no device called 'tpu'"),
    "weights absent": (
        ["--model", "ffmef", "--weights", "nowhere.safetensors"],
        "nowhere.safetensors cannot",
    ),
    "weights of another": (["--model", "mgdn", "--weights", "{ffmef}"], "do not fit mgdn"),
    "file as model": (["--model", "nowhere.safetensors"], "nowhere.safetensors cannot"),
    "model unknown": (["--model", "hous"], "Did you mean house?"),
    "half precision": (["--model", "house", "--half"], "loses precision in half"),
    "taste": (["--model", "mertens", "--look", "bright"], "takes no --look"),
    "too many pixels": (["--max-pixels", "0.01"], "raise the limit with --max-pixels"),
}
WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


def words(trouble: str) -> list[str]:
    return [word.format(ffmef=WEIGHTS / "ffmef.safetensors") for word in TROUBLES[trouble][0]]


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry run"])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_fuse_tells_before_a_pixel_is_decoded(
    mef: Mef, jpegs: list[Path], tmp_path: Path, trouble: str, dry: list[str]
) -> None:
    done = mef("fuse", *jpegs, *words(trouble), "-o", tmp_path / "x.tif", *dry)
    assert done.code in (1, 2)
    assert TROUBLES[trouble][1] in done.err
    assert not (tmp_path / "x.tif").exists()


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry run"])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_batch_tells_before_anything_is_made(
    mef: Mef, copy_bracket: MakeBracket, tmp_path: Path, trouble: str, dry: list[str]
) -> None:
    copy_bracket(name="card")
    done = mef("batch", tmp_path / "card", *words(trouble), "-o", tmp_path / "out", *dry)
    assert done.code in (1, 2)
    assert TROUBLES[trouble][1] in done.err
    if trouble != "too many pixels" or dry:  # a bracket's own trouble is entered in the journal
        assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("undecoded")
def test_the_library_checks_first_too(jpegs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(errors.DeviceError, match="No CUDA device"):
        mefcli.fuse(jpegs, device="cuda")
    with pytest.raises(errors.ModelError, match=r"absent\.safetensors"):
        next(iter(mefcli.fuse_folder(tmp_path, tmp_path / "out", model="absent.safetensors")))
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("undecoded")
def test_codecs_and_sizes_that_a_format_cannot_hold_are_told_first(
    mef: Mef, jpegs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import imagecodecs

    from mefcli.formats import shot

    class Absent:
        available = False

    monkeypatch.setattr(imagecodecs, "AVIF", Absent)
    monkeypatch.setattr(imagecodecs, "ZSTD", Absent)
    for command in (["fuse", *jpegs, "-o", tmp_path / "x.avif"], ["batch", tmp_path, "-o", tmp_path / "out"]):
        done = mef(*command, "--dry-run", *(["--format", "avif"] if command[0] == "batch" else []))
        assert done.code == 1
        assert "AVIF cannot be written" in done.err
    done = mef("fuse", *jpegs, "-o", tmp_path / "x.tif", "--compression", "zstd", "--dry-run")
    assert "TIFF with --compression zstd cannot be written" in done.err
    monkeypatch.setattr(shot, "turned", lambda size, orientation: (70000, 20))
    done = mef("fuse", *jpegs, "-o", tmp_path / "x.jpg", "--dry-run")
    assert done.code == 1
    assert "JPEG files have at most 65535 along a side" in done.err
    assert mef("fuse", *jpegs, "-o", tmp_path / "x.png", "--dry-run").code == 0


def test_a_dry_run_of_a_batch_tells_what_stands_in_the_way_and_makes_nothing(
    mef: Mef, copy_bracket: MakeBracket, tmp_path: Path
) -> None:
    copy_bracket(name="card")
    out = tmp_path / "out"
    out.mkdir()
    line = json.loads(mef("batch", tmp_path / "card", "-o", out, "--dry-run", "--json").out)
    stranger = Path(line["brackets"][0]["outputs"][0])
    stranger.write_bytes(b"a stranger's")
    done = mef("batch", tmp_path / "card", "-o", out, "--dry-run", "--json")
    assert done.code == 1
    assert "exists already" in json.loads(done.out)["errors"][0]["message"]
    assert mef("batch", tmp_path / "card", "-o", out, "--dry-run", "--overwrite").code == 0
    assert list(out.iterdir()) == [stranger]
    stranger.unlink()
    assert mef("batch", tmp_path / "card", "-o", out).code == 0
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert (out / JOURNAL) in before
    assert mef("batch", tmp_path / "card", "-o", out, "--dry-run").code == 0  # the journal knows its own
    assert before == {path: path.stat().st_mtime_ns for path in out.iterdir()}
    blocked = tmp_path / "file"
    blocked.write_bytes(b"x")
    done = mef("batch", tmp_path / "card", "-o", blocked / "deep" / "out", "--dry-run")
    assert done.code == 1
    assert f"{blocked} is not a folder" in done.err


def test_shipped_weights_are_not_loaded_before_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their hashes tell all; importing torch is left for the time that files take to be read."""
    from mefcli.pipeline import check, fuse

    def refuse(*_: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(fuse, "fuser_for", refuse)
    for name, spec in MODELS.items():
        if methods.chosen_models("all").count(name) and spec.learned:
            assert check.check_engine(Job(model=name)) is None
