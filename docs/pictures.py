"""Makes the pictures of our pages anew with the weights that ship: `python docs/pictures.py [MODEL ...]`.

`docs/demo.jpg` is the demo's bracket and what the default model makes of it; `docs/models/NAME.jpg` its
darkest and brightest shot and what a network makes of those two. `made_with.json` says with which weights; a
test fails where a picture is older than its weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mefcli import demo
from mefcli.api import load_fuser
from mefnets import DEFAULT_MODEL

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ROOT / "docs/models"
MADE_WITH = SHOWN / "made_with.json"
QUALITY = 85

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
        made_with[name] = hashes[f"{name}.safetensors"]
    MADE_WITH.write_text(json.dumps(made_with, indent=2, sort_keys=True) + "\n", encoding="utf-8")


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
