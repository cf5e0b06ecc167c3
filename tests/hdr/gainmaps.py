"""What tests of gain maps look at: files made with `--hdr`, their parts, and what a reader ought to find."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from toolkit import Mef

from mefcli.formats.boxes import jpeg_segments
from mefcli.formats.gainmap import ISO_HEAD, MPF_HEAD
from mefcli.formats.spaces import matrix_of
from mefcli.values import GAIN_OFFSET, GainMap

Floats = NDArray[np.float32]
WIDE = (-4.0, -2.0, 0.0, 2.0)  # the darkest shows what is outside the window


def fused(mef: Mef, frames: list[Path], output: Path, *words: object) -> Path:
    done = mef("fuse", *frames, "-o", output, "-m", "mertens", "--align", "off", *words)
    assert done.code == 0, done.err
    return output


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    for marker, start, end in jpeg_segments(data):
        yield marker, data[start:end]


def of(data: bytes, head: bytes) -> bytes:
    """The payload of the segment with this head."""
    return next(body[len(head) :] for _, body in segments(data) if body.startswith(head))


def map_of(data: bytes) -> bytes:
    """The second JPEG, by the multi-picture index."""
    index = of(data, MPF_HEAD)
    assert index[:8] == b"MM\0*\0\0\0\x08"
    (places,) = struct.unpack(">I", index[10 + 24 + 8 : 10 + 24 + 12])
    first, second = (struct.unpack(">IIIHH", index[places + at : places + at + 16]) for at in (0, 16))
    assert first[:3] == (0x030000, len(data) - second[1], 0)
    origin = data.index(MPF_HEAD) + len(MPF_HEAD)
    assert origin + second[2] + second[1] == len(data)
    return data[origin + second[2] :]


def most_of(second: bytes) -> float:
    """The stops of the map's white, by the standard's metadata."""
    body = of(second, ISO_HEAD)
    assert body[:5] == b"\0\0\0\0\x40"
    return float(np.divide(*struct.unpack(">iI", body[5 + 24 : 5 + 32])))


def expected(path: Path, icc: bytes) -> Floats:
    """Base times gain, with the map enlarged as libultrahdr does: weighed by inverse distances."""
    import imagecodecs

    data = path.read_bytes()
    second = map_of(data)
    planes = imagecodecs.jpeg8_decode(data, outcolorspace="YCBCR").astype(np.float64)
    luma, blue, red = planes[..., 0], planes[..., 1] - 128, planes[..., 2] - 128
    signal = np.stack(
        [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=-1
    )
    matrix = matrix_of(icc)
    assert matrix is not None
    light = matrix.light(np.clip(signal / 255, 0, 1).ravel())[:, 0].reshape(signal.shape)
    levels = imagecodecs.jpeg8_decode(second).astype(np.float64)
    (height, width), (rows, columns) = light.shape[:2], levels.shape[:2]
    x, y = np.arange(width) * columns / width, np.arange(height) * columns / width
    if width % columns == 0:  # then it has a table of weights, of places within a pixel of the map
        y = np.minimum(np.floor(y), rows - 1) + y % 1
    total, weights = np.zeros(light.shape), np.zeros((height, width, 1))
    for down in (0, 1):
        for right in (0, 1):
            at_y = np.minimum(np.floor(y).astype(int) + down, rows - 1)
            at_x = np.minimum(np.floor(x).astype(int) + right, columns - 1)
            apart = np.hypot((x - at_x)[None, :], (y - at_y)[:, None])
            weight = 1 / np.maximum(apart, 1e-9)[..., None]
            total += weight * levels[at_y][:, at_x]
            weights += weight
    stops = total / weights / 255 * most_of(second)
    return np.asarray((light + GAIN_OFFSET) * 2**stops - GAIN_OFFSET, np.float32)


def stops_of(gains: GainMap) -> Floats:
    return gains.levels.astype(np.float32) * np.float32(gains.most / 255)
