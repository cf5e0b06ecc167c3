"""`mef align`: aligned frames on the disk, 16-bit, each with its own metadata."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from mefcli.bench.motion_cases import expose
from mefcli.motion.geometry import rigid

SIZE = (220, 160)


def texture(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Radiance with structure at three scales, (H, W, 3)."""
    import cv2

    stops = np.zeros((height, width, 3), np.float32)
    for scale in (40, 12, 5):
        noise = rng.standard_normal((height // scale + 3, width // scale + 3, 3)).astype(np.float32)
        stops += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) * (0.4 + scale / 50)
    return np.exp2(np.clip(stops, -3, 3)) * 0.25


def shots(folder: Path, shifts: tuple[int, ...] = (0, 6, -4)) -> list[str]:
    """Three JPEGs of one scene, shifted sideways, two stops apart, each by another artist."""
    rng = np.random.default_rng(2)
    radiance = texture(rng, SIZE[0] + 40, SIZE[1])
    names = []
    for index, shift in enumerate(shifts):
        pixels = expose(radiance[:, 20 + shift : 20 + shift + SIZE[0]], 4.0 ** (index - 1), rng)
        exif = Image.Exif()
        exif[0x013B] = f"Artist {index}"
        path = folder / f"IMG_{index}.jpg"
        Image.fromarray(pixels).save(path, quality=97, exif=exif)
        names.append(str(path))
    return names


def test_aligned_frames_are_sixteen_bit_and_coincide(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mefcli.cli.app import run

    assert run(["align", *shots(tmp_path), "-o", str(tmp_path / "out"), "--json", "--ev", "-2,0,2"]) == 0
    report = json.loads(capsys.readouterr().out)
    frames = [tifffile.imread(path) for path in report["outputs"]]
    assert all(frame.dtype == np.uint16 for frame in frames)
    assert len({frame.shape for frame in frames}) == 1
    found = {Path(one["frame"]).stem: np.array(one["matrix"])[0, 2] for one in report["alignment"]}
    reference = {"IMG_0": 0, "IMG_1": 6, "IMG_2": -4}[Path(report["reference"]).stem]
    for name, shift in (("IMG_0", 0), ("IMG_1", 6), ("IMG_2", -4)):
        assert found[name] == pytest.approx(reference - shift, abs=0.15)


def test_each_frame_keeps_its_own_metadata(tmp_path: Path) -> None:
    from mefcli.cli.app import run

    assert run(["align", *shots(tmp_path), "-o", str(tmp_path / "out"), "-q", "--ev", "-2,0,2"]) == 0
    artists = []
    for path in sorted((tmp_path / "out").iterdir()):
        with tifffile.TiffFile(path) as file:
            artists.append(file.pages[0].tags["Artist"].value)
    assert artists == ["Artist 0", "Artist 1", "Artist 2"]


def test_an_existing_output_is_kept(tmp_path: Path) -> None:
    from mefcli.cli.app import run

    files = shots(tmp_path, (0, 0, 0))
    out = tmp_path / "out"
    out.mkdir()
    (out / "IMG_1_aligned.tif").write_bytes(b"mine")
    assert run(["align", *files, "-o", str(out), "-q", "--ev", "-2,0,2"]) == 1
    assert (out / "IMG_1_aligned.tif").read_bytes() == b"mine"
    assert len(list(out.iterdir())) == 1


def test_a_rotation_about_the_middle_leaves_the_middle() -> None:
    matrix = rigid(0, 0, 3.0, SIZE)
    middle = np.array([(SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2, 1.0])
    assert np.allclose(matrix @ middle, middle)


def test_hand_held_raw_frames_are_brought_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mefcli.cli.app import run
    from mefcli.formats.dng import write_dng

    rng = np.random.default_rng(6)
    radiance = texture(rng, SIZE[0] + 40, SIZE[1])
    files, shifts = [], (0, 7, -5)  # odd ones change the place in the sensor's pattern
    for index, shift in enumerate(shifts):
        seen = radiance[:, 20 + shift : 20 + shift + SIZE[0]] * 4.0 ** (index - 1)
        mosaic = seen[..., 1].copy()
        mosaic[::2, ::2], mosaic[1::2, 1::2] = seen[::2, ::2, 0], seen[1::2, 1::2, 2]
        noisy = mosaic + rng.normal(0, 1e-3, mosaic.shape)
        path = tmp_path / f"IMG_{index}.dng"
        write_dng(path, np.rint(noisy.clip(0, 1) * 65535).astype(np.uint16), exposure_s=4.0**index / 400)
        files.append(str(path))
    assert run(["align", *files, "-o", str(tmp_path / "out"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    found = [np.array(one["matrix"])[:2, 2] for one in report["alignment"]]
    for place, shift in zip(found, shifts, strict=True):
        assert place == pytest.approx([shifts[1] - shift, 0], abs=0.2)
