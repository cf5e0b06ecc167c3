"""Whether the pictures of a scene show one scene: an album has folders of several pictures, too.

Exposures, sharpness and even the sensor may differ, so what is compared is how much the ranks of lightness in
one picture tell of those in the other. Of neighbours in light of our real brackets it is 0.57 to 0.80, of the
two ends of pairs and of focus stacks 0.27 at least, of visible and infrared 0.15 to 0.31; of photographs
drawn by chance 0.1 in the middle. One scene can be hard to tell, so what counts is the middle of many.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mefcli.errors import InputError
from mefcli.evaluation.metrics.information import entropy, mutual_information
from mefcli.training.camera import Floats
from mefcli.training.scenes import LAYOUT, SIDE_NAMES, SIDE_WORD, Found, Scene

TOLD = ("scene folders", "named pairs")  # what any folder of pictures may look like; others have a form
LEAST = 0.18  # of the middle scene
MOST_SCENES = 24  # that are looked at
SIDE_PX, BINS = 64, 16


def check_related(found: Found) -> None:
    """Refuse an album."""
    if found.layout not in TOLD:
        return
    doubtful = [
        scene for scene in found.scenes if not any(_names_its_side(path.stem) for path in scene.frames)
    ]
    step = max(1, len(doubtful) // MOST_SCENES)
    likeness = [value for scene in doubtful[::step] if (value := shared(scene)) is not None]
    if likeness and float(np.median(likeness)) < LEAST:
        names = [scene.name for scene in doubtful[:2]]
        raise InputError(
            f"The pictures of a scene ({', '.join(names)}, ...) do not show one scene: this is an album.",
            f"{LAYOUT} Frames that are named under and over (or a and b, ir and vi) are taken at their word.",
        )


def _names_its_side(stem: str) -> bool:
    """IR and VI, or NAME_A and NAME_B: whoever names sides means pairs."""
    return stem.lower() in SIDE_NAMES or bool(SIDE_WORD.search(stem))


def shared(scene: Scene) -> float | None:
    """What neighbours in light tell of each other, 0 to 1, in the mean; None where too little is readable."""
    small = [one for path in scene.frames if (one := _thumb(path.read_bytes())) is not None]
    small.sort(key=lambda one: float(one.mean()))
    if len(small) < 2:
        return None
    return float(np.mean([_information(one, other) for one, other in pairwise(small)]))


def _thumb(data: bytes) -> Floats | None:
    import cv2

    coded = np.frombuffer(data, np.uint8)
    picture = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE) if coded.size else None
    if picture is None:
        return None  # packing names it
    small = cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _information(one: Floats, other: Floats) -> float:
    """Mutual information of ranks, as a share of the lesser entropy."""
    counts = np.histogram2d(_ranks(one), _ranks(other), bins=BINS)[0]
    joint = counts / counts.sum()
    least = min(entropy(joint.sum(1)), entropy(joint.sum(0)))
    return mutual_information(joint) / least if least > 0 else 0.0


def _ranks(picture: Floats) -> NDArray[np.float64]:
    """Of each pixel's lightness; what is equal has the mean of its ranks."""
    _, places, counts = np.unique(picture.ravel(), return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places], np.float64)
