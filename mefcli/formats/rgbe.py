"""Radiance's RGBE out (Ward 1991; the "File Formats" page of Radiance): three mantissas and one exponent.

OpenCV codes the lines, which stand for themselves in the file; the header is ours, and says the primaries.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mefcli.formats.light import Light
from mefcli.formats.values import Rows
from mefnets.engine.frames import strips
from mefnets.engine.threads import each

AHEAD_ROWS = 64
WORDS = ("software", "comments", "capDate", "cameraMake", "cameraModel", "owner")  # of the header


def write_rgbe(path: Path, rows: Rows, light: Light) -> None:
    height, width, _ = rows.shape
    primaries = " ".join(f"{number:.4f}" for xy in light.primaries.all for number in xy)
    head = ["#?RADIANCE"]
    head += [
        f"{name.upper()}={' '.join(text.split())}" for name, text in light.words.items() if name in WORDS
    ]
    head += [f"PRIMARIES={primaries}", "FORMAT=32-bit_rle_rgbe", "", f"-Y {height} +X {width}", ""]
    with path.open("wb") as file:
        file.write("\n".join(head).encode())
        for piece in each(lambda span: _lines(rows, *span), strips(height, AHEAD_ROWS)):
            file.write(piece)


def _lines(rows: Rows, top: int, bottom: int) -> bytes:
    import cv2

    _, coded = cv2.imencode(".hdr", np.ascontiguousarray(rows[top:bottom][..., ::-1]))
    whole = coded.tobytes()
    size = whole.index(b"-Y ")  # the last line of OpenCV's own header
    return whole[whole.index(b"\n", size) + 1 :]
