"""Dense local alignment for what a plane motion leaves: parallax, leaves, a head that turned a little.

DIS optical flow (Kroeger et al. 2016, as OpenCV has it) between each frame and the reference shown in that
frame's brightness, at a reduced size, there and back. Where the two ways disagree the place is occluded, and
the mapped reference stands in. The flow is then applied once, from the source depth, strip by strip.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mefcli.motion.mapping import floats, mapped, noise, stand_in
from mefcli.motion.reduced import curve_between
from mefcli.motion.warp import mix
from mefcli.values import Curve, Pixels, Reduced

STRIP_ROWS = 256
AGREE_PX = 1.0
"""Working pixels by which the way there and back may differ; more means one side is hidden."""
STILL_PX = 0.3
"""Working pixels below which a place has not moved: DIS is no better than this on noise."""

Field = NDArray[np.float32]  # (h, w, 2)
Floats = NDArray[np.float32]  # (h, w, 3), in [0, 1]


def follow(
    frames: list[Pixels],
    reduced: Reduced,
    reference: int,
    on_share: Callable[[float], None] | None = None,
) -> list[float]:
    """Puts frames bent onto the reference into the places of those where something moved.

    Comes back with the share of each picture that was moved or filled. `reduced` shows the frames as given,
    and carries the curves. Pixels that did not move keep their bits.
    """
    shares: list[float] = []
    for index in range(len(frames)):
        if index == reference:
            shares.append(0.0)
            continue
        curve = curve_between(reduced, reference, index)
        own, other = (floats(reduced.frames[which]) for which in (index, reference))
        bent, share = _bend(frames[index], frames[reference], own, other, curve, reduced.factor)
        frames[index] = bent
        shares.append(share)
        if on_share:
            on_share(0.9 + 0.1 * (index + 1) / len(frames))
    return shares


def _bend(
    frame: Pixels, reference: Pixels, own: Floats, other: Floats, curve: Curve, factor: int
) -> tuple[Pixels, float]:
    import cv2

    expected = mapped(curve, other)
    one, two = _grey8(expected), _grey8(own)
    matcher = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    there: Field = matcher.calc(one, two, None)
    back: Field = matcher.calc(two, one, None)
    gap = np.linalg.norm(there + _carry(back, there), axis=2)
    length = np.linalg.norm(there, axis=2)
    moved = _carry_picture(own, there)
    spread = np.maximum(noise(curve, other), 0.02)
    wrong = (np.abs(moved - expected) / spread).max(axis=2) > 6
    before = (np.abs(own - expected) / spread).max(axis=2) > 6
    # Where the frame already agrees with the reference there is nothing to follow, whatever the flow says.
    active = _clean((length > STILL_PX) & before, grow_px=9)
    hidden = _clean(active & (wrong | (gap > AGREE_PX + 0.05 * length)), grow_px=3)
    active = active | hidden
    if not active.any():
        return frame, 0.0
    weight = cv2.GaussianBlur(active.astype(np.float32), (0, 0), 3) * active
    there *= np.clip(weight * 1.5, 0, 1)[..., None]
    return _apply(frame, reference, curve, there, hidden, active, factor), float(active.mean())


def _grey8(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Stretched to the range both show: DIS works on 8 bits, and a dark frame would use few of them."""
    grey = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    result: NDArray[np.uint8] = np.clip(np.sqrt(grey.clip(0, 1)) * 255, 0, 255).astype(np.uint8)
    return result


def _carry(field: Field, along: Field) -> Field:
    return _carry_picture(field, along)


def _carry_picture(picture: NDArray[np.float32], along: Field) -> NDArray[np.float32]:
    import cv2

    height, width = along.shape[:2]
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    moved: NDArray[np.float32] = cv2.remap(
        picture, xs + along[..., 0], ys + along[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return moved


def _clean(mask: NDArray[np.bool_], grow_px: int) -> NDArray[np.bool_]:
    import cv2

    small = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow_px + 1, 2 * grow_px + 1))
    return np.asarray(cv2.dilate(small, disc) > 0)


def _apply(
    frame: Pixels,
    reference: Pixels,
    curve: Curve,
    field: Field,
    hidden: NDArray[np.bool_],
    active: NDArray[np.bool_],
    factor: int,
) -> Pixels:
    """Full size: the field and the masks enlarged strip by strip; still pixels keep their bits."""
    import cv2

    height, width = frame.shape[:2]
    result: Pixels = frame.copy()
    soft = cv2.GaussianBlur(hidden.astype(np.float32), (0, 0), 1.5)
    xs = np.arange(width, dtype=np.float32)
    for top in range(0, height, STRIP_ROWS):
        ys = np.arange(top, min(top + STRIP_ROWS, height), dtype=np.float32)
        map_x, map_y = np.meshgrid((xs + 0.5) / factor - 0.5, (ys + 0.5) / factor - 0.5)
        at = (map_x.astype(np.float32), map_y.astype(np.float32))
        touched = (
            cv2.remap(active.astype(np.uint8), *at, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE) > 0
        )
        if not touched.any():
            continue
        along = cv2.remap(field, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        hidden_share = cv2.remap(soft, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        grid_x, grid_y = np.meshgrid(xs, ys)
        moved = cv2.remap(
            frame,
            grid_x + along[..., 0] * np.float32(factor),
            grid_y + along[..., 1] * np.float32(factor),
            cv2.INTER_LANCZOS4,
            borderMode=cv2.BORDER_REPLICATE,
        )
        strip = slice(top, top + len(ys))
        lent = stand_in(curve, reference, strip, slice(0, width))
        blended = mix(moved, lent, (1 - hidden_share)[..., None])
        result[strip] = np.where(touched[..., None], blended, frame[strip])
    if result.dtype == np.float32:
        np.clip(result, 0, 1, out=result)
    return result
