"""Damaged pictures are refused in a sentence or decoded: no traceback, hang, crash, nor junk from a cut file.

In a worker process, as the files are untrusted. The slow run takes real files of every format.
"""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toolkit import STOPS

from mefcli import demo, formats
from tests.formats.conftest import exif_bytes
from tests.formats.profiles import press
from tests.robustness.mutants import CUTS, mutants
from tests.robustness.workers import Worker

SAMPLES = Path(__file__).resolve().parents[2].parent / "shared/data/dev"
SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".tif", ".heic", ".avif", ".webp"),
    *(".dng", ".x3f", ".rw2", ".raf", ".nef", ".mrw", ".crw", ".cr2", ".cr3", ".kdc"),
)
SMALL_BYTES = 600_000
CUT_NAMES = frozenset(cut.__name__ for cut in CUTS)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    worker = Worker(tmp_path_factory.mktemp("worker") / "log")
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One small file of each kind that mef writes or that hides a decoder of its own."""
    folder = tmp_path_factory.mktemp("seeds")
    light = demo.scene(96)
    made = [
        path
        for kind in ("jpeg", "png", "tiff", "raw")
        for path in demo.make_bracket(folder, stops=STOPS[1:2], kind=kind, light=light)
    ]
    pixels = formats.decode(made[1]).pixels
    metadata = formats.read_metadata(made[0])
    for name, compression in (("a.tif", "lzw"), ("b.tif", "zstd"), ("c.tif", "none"), ("d.avif", "none")):
        options = formats.Encoding(compression=compression)
        formats.encode(folder / name, pixels, icc=None, metadata=metadata, options=options)
    picture = Image.fromarray(pixels)
    picture.convert("1").save(folder / "e.tif", compression="group4")
    picture.convert("P").save(folder / "f.png")
    picture.convert("CMYK").save(folder / "g.jpg", icc_profile=press())
    picture.convert("RGBA").save(folder / "h.tif", compression="tiff_lzw")
    picture.save(folder / "i.jpg", progressive=True)
    picture.save(folder / "j.tif", compression="jpeg")
    picture.convert("YCbCr").save(folder / "k.tif", compression="tiff_lzw")
    picture.save(folder / "l.webp", exif=exif_bytes(6), icc_profile=formats.icc_profile("p3"))
    picture.convert("RGBA").save(folder / "m.webp", lossless=True)
    picture.convert("P").save(folder / "n.gif")
    picture.save(folder / "o.bmp")
    picture.convert("P").save(folder / "p.bmp")
    picture.save(folder / "q.ppm")
    (folder / "r.ppm").write_bytes(b"P6\n96 64\n65535\n" + np.full((64, 96, 3), 777, ">u2").tobytes())
    return sorted(folder.iterdir())


def survey(worker: Worker, sources: list[Path], count: int, seed: int, folder: Path) -> Counter[str]:
    """Looks at `count` damaged files; what came of them. Files with a bad end are kept in `folder`."""
    whole: dict[Path, str] = {}
    met: Counter[str] = Counter()
    for number, (source, damage, data) in enumerate(mutants(sources, count, seed)):
        path = folder / f"{number}-{damage}{source.suffix}"
        path.write_bytes(data)
        answer = worker.ask({"look": str(path)})
        kind = next((bad for bad in ("died", "hung", "fault") if answer.get(bad)), "")
        if not kind and answer["pixels"] and damage in CUT_NAMES:
            if source not in whole:
                whole[source] = worker.ask({"look": str(source)})["pixels"]
            kind = "junk" if answer["pixels"] != whole[source] else ""
        met[kind or ("decoded" if answer["pixels"] else "refused")] += 1
        if kind:
            sys.stdout.write(f"{kind} {source.name} {path.name} {answer}\n")
        else:
            path.unlink()
    return met


def test_damaged_files_end_in_a_sentence_or_a_picture(
    worker: Worker, seeds: list[Path], tmp_path: Path
) -> None:
    met = survey(worker, seeds, 60, 3, tmp_path)
    assert set(met) == {"decoded", "refused"}, met
    assert min(met.values()) >= 10, "damage that is never or always noticed proves nothing"


@pytest.mark.slow
def test_5200_damaged_files_end_in_a_sentence_or_a_picture(
    worker: Worker, seeds: list[Path], tmp_path: Path
) -> None:
    if not SAMPLES.is_dir():
        pytest.skip("the collection of real files is not beside the repository")
    real = [
        path
        for path in sorted(SAMPLES.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.stat().st_size < SMALL_BYTES
    ]
    raws = sorted((SAMPLES / "raw").rglob("*.[dD][nN][gG]"))
    met = survey(worker, [*real, *raws, *seeds, *seeds, *seeds], 5200, 7, tmp_path)
    assert set(met) == {"decoded", "refused"}, met


@pytest.mark.parametrize("count", [8, pytest.param(400, marks=pytest.mark.slow)])
def test_fusing_a_damaged_file_gives_a_whole_output_or_one_sentence_and_nothing(
    worker: Worker, seeds: list[Path], tmp_path: Path, count: int
) -> None:
    small = [path for path in seeds if path.suffix != ".dng"]
    codes = set()
    for number, (source, damage, data) in enumerate(mutants(small, count, 5)):
        path, output = tmp_path / f"{number}{source.suffix}", tmp_path / "out.png"
        path.write_bytes(data)
        command = ["fuse", str(path), str(source), "--ev=-1,1", "--model", "mertens", "-o", str(output)]
        answer = worker.ask({"run": command}, limit_s=60)
        path.unlink()
        assert answer.get("code") in (0, 1), (source.name, damage, answer)
        codes.add(answer["code"])
        if answer["code"]:
            errors = [line for line in answer["err"].splitlines() if line.startswith("Error:")]
            assert len(errors) == 1, answer["err"]
            assert "fault in mef" not in answer["err"], answer["err"]
        else:
            assert formats.sniff(output) == "png"
            output.unlink()
        assert not list(tmp_path.iterdir()), "something was left behind"
    assert codes == {0, 1}


def test_a_worker_that_dies_or_hangs_is_noticed(tmp_path: Path) -> None:
    """The survey itself must be able to fail."""
    worker = Worker(tmp_path / "log")
    try:
        worker.process.send_signal(signal.SIGSTOP)
        assert worker.ask({"look": "x"}, limit_s=0.05) == {"hung": 0.05}
        assert worker.ask({"look": "x"})["refused"].startswith("x does not exist")
        worker.process.kill()
        worker.process.wait()
        assert worker.ask({"look": "x"}) == {"died": -signal.SIGKILL}
    finally:
        worker.close()
