"""What a value in one exposure becomes in another: a monotone curve per channel, with its spread.

Estimated from the joint histogram of two aligned frames. Each bin's median is the say of the static
majority; pool-adjacent-violators makes the curve monotone. No camera response and no EXIF needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mefcli.values import Curve, Pixels

Floats = NDArray[np.float32]
BINS = 256
FINE_BINS = 1024
NEAR_WHITE = 8  # bins that clipping, or noise about it, may reach
SPREAD_PX = 15
COARSE = 4  # times smaller are pictures that say what is white in a wide surrounding
WHITE_MARGIN = 0.2  # of its value, by which white may be off the curve about a place


def floats(picture: Pixels) -> Floats:
    """In [0, 1]."""
    scale = {"uint8": 1 / 255, "uint16": 1 / 65535}.get(picture.dtype.name, 1.0)
    result: Floats = picture.astype(np.float32) * np.float32(scale)
    return result


def mapped(curve: Curve, source: Pixels) -> Floats:
    """Source (..., 3), integer or float in [0, 1], as the target exposure would show it, float32."""
    return _look_up(curve.value, source)


def noise(curve: Curve, source: Pixels) -> Floats:
    """Expected standard deviation of the target about the mapped source."""
    return _look_up(curve.spread, source)


def uncertain(curve: Curve, source: Pixels) -> Floats:
    """How far off a mapped pixel may be (..., 1): the spread, and what half a level of the source becomes.

    The worst channel counts for all: weights that differ by channel would colour the picture.
    """
    slope = np.gradient(curve.value, axis=1)  # a bin is a level
    off = _look_up(np.hypot(curve.spread, 0.5 * slope), source)
    return np.maximum(np.maximum(off[..., 0], off[..., 1]), off[..., 2])[..., None]


def least(curve: Curve, source: Pixels) -> Floats:
    """As `mapped`, but white becomes the least bright that it may stand for."""
    return _look_up(_gentle(curve.value), source)


def stand_in(curve: Curve, source: Pixels, rows: slice, columns: slice) -> Floats:
    """Part of a whole source frame as the target exposure would show it, also along the edge of white."""
    lower, white = parts(curve, source, rows, columns)
    result: Floats = lower + white * leap(curve).astype(np.float32)
    return result


def leap(curve: Curve) -> NDArray[np.float64]:
    """How far white lies above the least that it may stand for, per channel; in the median of the picture."""
    result: NDArray[np.float64] = curve.value[:, -1] - _gentle(curve.value)[:, -1]
    return result


def parts(curve: Curve, source: Pixels, rows: slice, columns: slice) -> tuple[Floats, Floats]:
    """`least`, and how white the source is (h, w, 1), 0 to 1: `stand_in` adds `leap` times that.

    The last bin holds everything brighter than white, and its median lies far above the bin before it:
    noise about white would become coarse speckle. What leaps there is therefore spread over a few pixels,
    and in all channels alike, or the edge would take on a colour. A channel that hardly leaps has no say;
    where none leaps, the last bins are white.
    """
    import cv2

    padded, inner = zip(*map(_padded, (rows, columns), source.shape[:2]), strict=True)
    leaps = curve.value - _gentle(curve.value)
    lower = least(curve, source[rows, columns])
    near_white = (BINS - NEAR_WHITE - 1) / BINS * _levels(source)
    says = leaps[:, -1] > max(1e-9, 0.1 * float(leaps[:, -1].max()))
    if float(source[padded].max(initial=0)) < near_white:
        return lower, np.zeros((*lower.shape[:2], 1), np.float32)
    if says.any():
        share = np.where(says[:, None], leaps / np.where(says, leaps[:, -1], 1)[:, None], 1.0)
    else:
        share = np.broadcast_to(
            np.clip((np.arange(BINS) - BINS + NEAR_WHITE + 1) / NEAR_WHITE, 0, 1), (3, BINS)
        )
    red, green, blue = np.moveaxis(_look_up(share, source[padded]), 2, 0)
    white = np.minimum(np.minimum(red, green), blue)  # .min(axis=2) takes ten times as long
    if white.any():
        white = cv2.blur(cv2.blur(white, (SPREAD_PX, SPREAD_PX)), (SPREAD_PX, SPREAD_PX))
    return lower, white[inner][..., None]


def white_about(curve: Curve, still: Floats, other: Floats, mask: NDArray[np.bool_], thin: int = 1) -> Floats:
    """How far the source's white leapt above `least` about each masked region (h, w, 3).

    White may be a wall or the sun, and the curve knows but one value for both. The target's own pixels around
    a region tell which it was there, and of what colour; the nearest count most. `thin`: of the pictures'
    pixels, every so manyth is given.
    """
    import cv2

    usual = leap(curve).astype(np.float32)
    whole = (slice(0, still.shape[0]), slice(0, still.shape[1]))
    lower, white = parts(curve, still, *whole)
    if not (white * mask[..., None]).any():
        usually: Floats = np.broadcast_to(usual, still.shape).copy()
        return usually
    known = white[..., 0] * ~mask
    # In planes: beside a third axis of three, each operation takes several times as long.
    agree = [(other[..., c] - lower[..., c]) * known for c in range(3)]
    # About as bright as the curve allows: what is far darker has moved in unnoticed.
    margin = WHITE_MARGIN * _gentle(curve.value)[:, -1].astype(np.float32)
    bounds = (-margin, np.maximum(1.5 * usual, margin))
    enough = max(0.05 * float(known.max()), 1e-6)
    size = (still.shape[1], still.shape[0])
    small = (-(-size[0] // COARSE), -(-size[1] // COARSE))
    known_small, *agree_small = (
        cv2.resize(one, small, interpolation=cv2.INTER_AREA) for one in (known, *agree)
    )
    coarse = [np.full(small[::-1], value, np.float32) for value in usual]
    for radius in (160, 80, 40):
        _draw_to(coarse, agree_small, known_small, max(1, radius // thin // COARSE), bounds, enough)
    planes = [cv2.resize(one, size, interpolation=cv2.INTER_LINEAR) for one in coarse]
    for radius in (20, 10):
        _draw_to(planes, agree, known, max(1, radius // thin), bounds, enough)
    result: Floats = cv2.merge(planes)
    return result


def _draw_to(
    planes: Sequence[Floats],
    agree: Sequence[Floats],
    known: Floats,
    radius: int,
    bounds: tuple[Floats, Floats],
    enough: float,
) -> None:
    """Towards the mean of `agree`, weighted by `known`, within a radius; wholly where enough is known."""
    import cv2

    side = (2 * radius + 1, 2 * radius + 1)
    near = cv2.blur(known, side)
    firm = np.clip(near / np.float32(enough), 0, 1)
    near = np.maximum(near, np.float32(1e-9))
    for plane, one, least_leap, most in zip(planes, agree, *bounds, strict=True):
        found = cv2.blur(one, side)
        found /= near
        np.clip(found, least_leap, most, out=found)
        found -= plane
        found *= firm
        plane += found


def _padded(wanted: slice, length: int) -> tuple[slice, slice]:
    """The slice and what blurring takes from either side, and where the slice lies in that."""
    start, stop = max(0, wanted.start - SPREAD_PX), min(length, wanted.stop + SPREAD_PX)
    return slice(start, stop), slice(wanted.start - start, wanted.stop - start)


def _gentle(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the leap: the last bins go on as those before them rose."""
    curves = curves.copy()
    start, stop = BINS - 4 * NEAR_WHITE, BINS - NEAR_WHITE
    slope = (curves[:, stop - 1] - curves[:, start]) / (stop - 1 - start)
    for place in range(stop, BINS):
        curves[:, place] = np.minimum(curves[:, place], curves[:, place - 1] + 1.5 * slope)
    return curves


def _levels(source: Pixels) -> float:
    """White, as the source counts."""
    return {"uint8": 255.0, "uint16": 65535.0}.get(source.dtype.name, 1.0)


def _look_up(curves: NDArray[np.float64], source: Pixels) -> Floats:
    levels = 255 if source.dtype == np.uint8 else 65535
    tables = _tables(curves.tobytes(), levels)
    if source.dtype == np.uint8 and source.ndim == 3 and source.size:
        import cv2

        looked_up: Floats = cv2.LUT(source, tables)
        return looked_up
    index = np.rint(source * levels).astype(np.uint16) if source.dtype == np.float32 else source
    result = np.empty(source.shape, np.float32)
    for channel in range(3):
        result[..., channel] = tables[0, index[..., channel], channel]
    return result


@lru_cache(maxsize=24)  # for a picture that is looked up tile by tile, in up to eight others
def _tables(curves: bytes, levels: int) -> Floats:  # (1, levels + 1, 3)
    places, centres = np.arange(levels + 1) / levels, (np.arange(BINS) + 0.5) / BINS
    each = np.frombuffer(curves, np.float64).reshape(3, BINS)
    return np.stack([np.interp(places, centres, curve).astype(np.float32) for curve in each], axis=1)[None]


def estimate_curve(source: Pixels, target: Pixels, use: NDArray[np.bool_] | None = None) -> Curve:
    """From two aligned pictures (H, W, 3); `use` (H, W) leaves out what is known to have moved."""
    if source.dtype == target.dtype == np.uint8:
        joint = _joint_levels(source, target, use)
    else:
        joint = _joint(floats(source), floats(target), use)
    curves, spreads = zip(*map(_curve, joint), strict=True)
    return Curve(np.stack(curves), np.stack(spreads))


def _joint(source: Floats, target: Floats, use: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Of each channel, how many pixels lie in which bin of the source and fine bin of the target."""
    found = []
    for channel in range(3):
        a, b = source[..., channel], target[..., channel]
        if use is not None:
            a, b = a[use], b[use]
        places = _bin(a.ravel(), BINS) * FINE_BINS + _bin(b.ravel(), FINE_BINS)
        found.append(np.bincount(places, minlength=BINS * FINE_BINS).reshape(BINS, FINE_BINS))
    return np.stack(found)


def _joint_levels(source: Pixels, target: Pixels, use: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """The same of 8-bit pictures, counted by their levels, of which no two share a bin."""
    import cv2

    levels = floats(np.arange(256, dtype=np.uint8))
    rows, columns = _bin(levels, BINS), _bin(levels, FINE_BINS)
    pictures = [np.ascontiguousarray(source), np.ascontiguousarray(target)]
    mask = None if use is None else use.astype(np.uint8)
    result = np.zeros((3, BINS, FINE_BINS), np.int64)
    for channel in range(3):
        counts = cv2.calcHist(pictures, [channel, 3 + channel], mask, [256, 256], [0, 256, 0, 256])
        result[channel][np.ix_(rows, columns)] = counts
    return result


def _bin(values: Floats, bins: int) -> NDArray[np.int64]:
    return np.clip(values * bins, 0, bins - 1).astype(np.int64)


def _curve(joint: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The curve of one channel and its spread, by its joint histogram (BINS, FINE_BINS)."""
    count = joint.sum(axis=1).astype(np.float64)
    below = joint.cumsum(axis=1)
    filled = np.flatnonzero(count >= 8)
    if len(filled) < 2:
        straight = (np.arange(BINS) + 0.5) / BINS
        return straight, np.full(BINS, 0.05)
    middle, low, high = (_quantile(below[filled], count[filled], share) for share in (0.5, 0.25, 0.75))
    middle = _monotone(middle, count[filled])
    spread = np.maximum((high - low) / 1.349, 0.5 / 255)
    curve = _along(filled, middle)
    smooth = np.convolve(np.pad(_along(filled, spread), 3, mode="edge"), np.ones(7) / 7, mode="valid")
    return curve, smooth


def _quantile(below: NDArray[np.int64], count: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Value at which `share` of a bin's pixels lie below, interpolated within the fine bin."""
    wanted = share * count
    place = (below >= wanted[:, None]).argmax(axis=1)
    rows = np.arange(len(below))
    before = np.where(place > 0, below[rows, np.maximum(place - 1, 0)], 0)
    inside = np.maximum(below[rows, place] - before, 1)
    result: NDArray[np.float64] = (place + (wanted - before) / inside) / FINE_BINS
    return result


def _along(filled: NDArray[np.intp], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """All bins from the filled ones; beyond the last, the nearest holds."""
    result: NDArray[np.float64] = np.interp(np.arange(BINS), filled, values)
    return result


def _monotone(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted isotonic regression by pooling adjacent violators."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append((value, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean_b, weight_b, length_b = blocks.pop()
            mean_a, weight_a, length_a = blocks.pop()
            total = weight_a + weight_b
            blocks.append(((mean_a * weight_a + mean_b * weight_b) / total, total, length_a + length_b))
    return np.concatenate([np.full(length, mean) for mean, _, length in blocks])
