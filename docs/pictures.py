"""Makes the pictures of our pages anew with the weights that ship: `python docs/pictures.py [MODEL ...]`.

`docs/demo.jpg` is the demo's bracket and what the default model makes of it, `docs/hdr.jpg` the light
beyond that one's white; `docs/models/NAME.jpg` its darkest and brightest shot, and a network's result.
`made_with.json` says with which weights; a test fails where a picture is older than its weights.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mefcli import demo
from mefcli.api import load_fuser, plan
from mefcli.formats.spaces import encode_srgb
from mefcli.job import Job
from mefcli.pipeline import make
from mefcli.pipeline.beyond import brightened
from mefnets import DEFAULT_MODEL

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ROOT / "docs/models"
MADE_WITH = SHOWN / "made_with.json"
QUALITY = 85
DARKER_STOPS = 2.0  # so that a page can show what is beyond white

Bytes = NDArray[np.uint8]


def main(names: list[str]) -> None:
    hashes = json.loads((ROOT / "weights/hashes.json").read_text(encoding="utf-8"))
    made_with = json.loads(MADE_WITH.read_text(encoding="utf-8")) if MADE_WITH.is_file() else {}
    frames = [np.rint(frame * 255).astype(np.uint8) for frame in demo.frames(900)]
    for name in names or sorted(path.stem for path in SHOWN.glob("*.jpg")):
        fused = load_fuser(name).fuse([frames[0], frames[-1]], resolution="native", depth=8)
        left = np.vstack([_sized(frame, 361, 240) for frame in (frames[0], frames[-1])])
        _write(SHOWN / f"{name}.jpg", np.hstack([left, _sized(fused, 721, 480)]))
        if name == DEFAULT_MODEL:
            all_five = load_fuser(name).fuse(frames, resolution="native", depth=8)
            row = np.hstack([_sized(frame, 180, 120) for frame in frames])
            _write(ROOT / "docs/demo.jpg", np.vstack([row, _sized(all_five, 900, 600)]))
            _write(ROOT / "docs/hdr.jpg", _light_beyond_white())
        made_with[name] = hashes[f"{name}.safetensors"]
    MADE_WITH.write_text(json.dumps(made_with, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _light_beyond_white() -> Bytes:
    """A photograph and its gain map; below, both renderings as a darker screen would show them."""
    job = Job(hdr=True, align="off")
    with tempfile.TemporaryDirectory() as folder:
        fused = make(plan(demo.make_bracket(folder, width=900), job=job), job, depth=8)
    assert fused.gains is not None
    levels = fused.gains.levels * (fused.gains.most / job.headroom)
    gains = cv2.resize(levels.astype(np.float32), (900, 600), interpolation=cv2.INTER_LINEAR)
    plain = brightened(replace(fused, gains=None))
    darker = [np.rint(255 * encode_srgb(light * 2**-DARKER_STOPS)) for light in (plain, brightened(fused))]
    rows = ((fused.pixels, gains), darker)
    return np.vstack([np.hstack([_sized(part.astype(np.uint8), 450, 300) for part in row]) for row in rows])


def _sized(picture: Bytes, width: int, height: int) -> Bytes:
    if picture.shape[:2] == (height, width):
        return picture
    small: Bytes = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return small


def _write(path: Path, picture: Bytes) -> None:
    cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    sys.stdout.write(f"{path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
