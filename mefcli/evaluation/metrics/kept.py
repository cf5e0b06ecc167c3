"""What does the result keep of what the frames show? A photographer sees it first, and no other metric does.

Pictures are reduced to at most 0.4 megapixels by area; light is luma, means run over 7 x 7 pixels. A pixel is
*shown* where the mean of at least one frame lies in 0.15...0.85.

    crushed   share of shown pixels that are darker than 0.06 in the result
    blown     share of shown pixels that are brighter than 0.96
    colour    mean CIELAB chroma of the shown pixels over that of the frames, each as well as it is exposed
    outside   share of all pixels that leave what any frame shows within 7 x 7 around by more than 0.02

A floor, not a taste: plain averages keep everything and look like fog.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefcli.evaluation.metrics.picture import Picture

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]

MOST_PIXELS = 0.4e6
WINDOW_PX = 7
SHOWN = (0.15, 0.85)
BLACK, WHITE, SLACK = 0.06, 0.96, 0.02
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
WELL_EXPOSED = 0.08  # 2 sigma^2 around 0.5
GREY = 0.05  # less chroma than this is rounding


@dataclass(frozen=True)
class Glance:
    """A picture as these measures look at it."""

    luma: Plane
    around: Plane  # means over 7 x 7
    chroma: Plane


def glance(picture: Picture) -> Glance:
    """Computed once a picture."""
    found: Glance | None = picture.kept.get("glance")
    if found is None:
        import cv2

        pixels = picture.bytes.astype(np.float32) / 255
        scale = (MOST_PIXELS / (picture.shape[0] * picture.shape[1])) ** 0.5
        if scale < 1:
            pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        luma = np.asarray(pixels @ LUMA, np.float32)
        lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
        around = cv2.blur(luma, (WINDOW_PX, WINDOW_PX))
        found = Glance(luma, np.asarray(around), np.hypot(lab[..., 1], lab[..., 2]))
        picture.kept["glance"] = found
    return found


def shown(sources: Sequence[Picture]) -> Mask:
    """Where at least one frame shows something in its middle tones."""
    around = np.stack([glance(source).around for source in sources])
    return np.asarray(((around > SHOWN[0]) & (around < SHOWN[1])).any(0))


def lost(sources: Sequence[Picture], fused: Picture) -> tuple[Mask, Mask]:
    """What came out black, and what came out white, though some frame shows it. At the reduced size."""
    seen, mine = shown(sources), glance(fused).around
    return seen & (mine < BLACK), seen & (mine > WHITE)


def _share(part: Mask, whole: Mask) -> float:
    return float(part.sum() / max(1, int(whole.sum())))


def crushed(sources: Sequence[Picture], fused: Picture) -> float:
    return _share(lost(sources, fused)[0], shown(sources))


def blown(sources: Sequence[Picture], fused: Picture) -> float:
    return _share(lost(sources, fused)[1], shown(sources))


def colour(sources: Sequence[Picture], fused: Picture) -> float:
    """1 where nothing is shown, or nothing in colour."""
    seen = shown(sources)
    looks = [glance(source) for source in sources]
    weights = np.stack([np.exp(-((look.luma - 0.5) ** 2) / WELL_EXPOSED) + 1e-6 for look in looks])
    wanted = (weights * np.stack([look.chroma for look in looks])).sum(0) / weights.sum(0)
    if not seen.any() or wanted[seen].mean() < GREY:
        return 1.0
    return float(glance(fused).chroma[seen].mean() / wanted[seen].mean())


def outside(sources: Sequence[Picture], fused: Picture) -> float:
    import cv2

    lumas: NDArray[Any] = np.stack([glance(source).luma for source in sources])
    window = np.ones((WINDOW_PX, WINDOW_PX), np.uint8)
    least, greatest = cv2.erode(lumas.min(0), window), cv2.dilate(lumas.max(0), window)
    mine = glance(fused).luma
    return float(((mine < least - SLACK) | (mine > greatest + SLACK)).mean())
