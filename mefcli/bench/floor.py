"""Programs that `mef bench` compares with, run as `python -m mefcli.bench.floor NAME OUT FILES...`.

* io       decode the files and write one of them as an uncompressed 16-bit TIFF: what no fusion can undercut
* opencv   the same with OpenCV's MergeMertens(1, 1, 1) in between
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def main(name: str, out: str, files: list[str]) -> None:
    import imagecodecs
    import tifffile

    frames = [imagecodecs.jpeg8_decode(Path(file).read_bytes()) for file in files]
    if name == "opencv":
        import cv2

        fused = cv2.createMergeMertens(1, 1, 1).process(frames)
        picture = (np.clip(fused, 0, 1) * 65535 + 0.5).astype(np.uint16)
    else:
        picture = frames[0].astype(np.uint16)
    tifffile.imwrite(out, picture, photometric="rgb")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
