"""The house network without torch: its exported graphs over levels and strips, as `forward` in `network.py`.

Strips are independent of each other, so each takes one thread from start to end.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import cv2
import numpy as np

from mefnets.engine.frames import Floats, strips
from mefnets.engine.graphs import Run
from mefnets.engine.threads import in_parallel
from mefnets.house.shape import (
    HULL_PX,
    held_bytes,
    kind_of,
    levels_missing,
    place_of,
    pyramid_depth,
    reach_of,
    strength_of,
    strip_rows,
)
from mefnets.luma import BLUE, GREEN, RED

Session = Callable[[str], Run]
"""Gives the graph of a kind of level."""


class GraphBlend:
    held_bytes = staticmethod(held_bytes)

    def __init__(self, graph: Session) -> None:
        self.graph = graph
        self.reduced_by: float = 1

    def __call__(self, frames: Floats) -> Floats:  # (N, 3, H, W) -> (3, H, W)
        depth = pyramid_depth(*frames.shape[-2:])
        missing = levels_missing(self.reduced_by)
        pictures = [frames]
        while len(pictures) < depth:
            pictures.append(reduce(pictures[-1]))
        below: Floats | None = None  # the next coarser pictures, states and fusion, bordered
        state: Floats | None = None
        fused: Floats | None = None
        for level in range(depth - 1, -1, -1):
            picture = pictures.pop()
            fused, state = self._level(picture, below, state, fused, level, level + missing, depth + missing)
            if level:
                below, fused = bordered(picture), bordered(fused)
        assert fused is not None
        result: Floats = fused[0]
        return result

    def _level(
        self,
        picture: Floats,  # (N, 3, h, w)
        below: Floats | None,
        state: Floats | None,
        fused: Floats | None,
        level: int,
        role: int,  # the level that it is in the picture before that was reduced
        depth: int,  # of that picture
    ) -> tuple[Floats, Floats]:
        """One level: the fusion down to here and the new state, bordered (of the finest, none)."""
        N, _, h, w = picture.shape
        place = np.array(place_of(role, depth), np.float32)
        strength = np.array(strength_of(level, role), np.float32)
        run, reach = self.graph(kind_of(role, depth)), reach_of(role)
        out = np.empty((1, 3, h, w), np.float32)
        states: list[Floats] = []  # one, made where the first strip tells how many channels it has
        lock = Lock()

        def blend(span: tuple[int, int]) -> None:
            first, last = span
            start, end = max(0, first - reach), min(h, last + reach)
            given = {"padded": _reflected(picture, start, end), "place": place}
            if role:
                given["strength"] = strength
            if below is not None and state is not None and fused is not None:
                given["below"] = rows_of(below, start, end)
                given["state"] = doubled(rows_of(state, start, end), end - start, w)
                given["fused"] = rows_of(fused, start, end)
            kept = slice(first - start, last - start)
            strip, *new_state = run(given, release=level == 0 and last == h)
            strip = strip[..., kept, :]
            if level == 0:
                hold(strip[0], *hull(picture, first, last))
            out[..., first:last, :] = strip
            if new_state and level:
                with lock:
                    if not states:
                        states.append(np.empty((*new_state[0].shape[:2], h + 2, w + 2), np.float32))
                states[0][..., 1 + first : 1 + last, 1:-1] = new_state[0][..., kept, :]

        in_parallel(blend, strips(h, strip_rows(N * w)))
        return out, _with_border(states[0]) if states else picture[:, :0]


def _reflected(picture: Floats, start: int, end: int) -> Floats:
    """Rows [start, end) with a pixel more on every side, reflected where the picture ends."""
    h = picture.shape[-2]
    rows = picture[..., max(start - 1, 0) : min(end + 1, h), :]
    ends = int(start == 0), int(end == h)
    return np.pad(rows, ((0, 0), (0, 0), ends, (1, 1)), mode="reflect")


def _with_border(inside: Floats) -> Floats:
    """Its outermost pixels, not yet filled, as their neighbours within."""
    inside[..., 1:-1, 0], inside[..., 1:-1, -1] = inside[..., 1:-1, 1], inside[..., 1:-1, -2]
    inside[..., 0, :], inside[..., -1, :] = inside[..., 1, :], inside[..., -2, :]
    return inside


def hull(frames: Floats, first: int, last: int) -> tuple[Floats, Floats]:
    """`bounds.hull` of rows [first, last): the least and the greatest luminance around each pixel."""
    start, end = max(0, first - HULL_PX), min(frames.shape[-2], last + HULL_PX)
    y = luminance(frames[..., start:end, :].transpose(1, 0, 2, 3))  # (N, rows, w)
    window = np.ones((2 * HULL_PX + 1, 2 * HULL_PX + 1), np.uint8)
    rows = slice(first - start, last - start)
    return cv2.erode(y.min(0), window)[rows], cv2.dilate(y.max(0), window)[rows]


def hold(fused: Floats, least: Floats, greatest: Floats) -> None:
    """`bounds.hold`, in place: luminance held in the hull, colour scaled back into [0, 1]."""
    y = luminance(fused)
    held = np.minimum(np.maximum(y, least), greatest)
    fused -= y
    above, under = np.maximum(fused.max(0), 1e-6), np.maximum(-fused.min(0), 1e-6)
    room = np.clip(np.minimum((1 - held) / above, held / under), 0, 1)
    fused *= room
    fused += held
    np.clip(fused, 0, 1, out=fused)


def luminance(x: Floats) -> Floats:  # (3, ...) -> (...)
    total: Floats = RED * x[0] + GREEN * x[1] + BLUE * x[2]
    return total


def reduce(x: Floats) -> Floats:  # (N, 3, H, W) -> (N, 3, ceil(H/2), ceil(W/2))
    """`pyramid.reduce`: blur with the five-tap kernel, borders replicated, and keep every second pixel.

    To the last bit: where frames are flat or clipped their cues are differences of rounding, and OpenCV's
    pyrDown, which sums in another order, moved single pixels of real photographs by up to two levels.
    """
    N, C, H, W = x.shape
    out = np.empty((N, C, -(-H // 2), -(-W // 2)), np.float32)

    def one(index: tuple[int, ...]) -> None:
        for top, bottom in strips(out.shape[-2], 32):
            first, last = max(0, 2 * top - 2), min(H, 2 * bottom + 1)
            rows = cv2.copyMakeBorder(x[index][first:last], 0, 0, 2, 2, cv2.BORDER_REPLICATE)
            even, odd = rows[:, 0::2].copy(), rows[:, 1::2].copy()  # arithmetic on neighbours is fast
            across = _five_taps(even.T, odd.T, out.shape[-1]).T
            above, below = 2 * top - 2, 2 * bottom + 1  # rows that the taps want, beyond the picture too
            tall = across[np.clip(np.arange(above, below), first, last - 1) - first]
            out[index][top:bottom] = _five_taps(tall[0::2], tall[1::2], bottom - top)

    in_parallel(one, list(np.ndindex(N, C)))
    return out


def _five_taps(even: Floats, odd: Floats, count: int) -> Floats:
    """`count` weighted sums along the first axis, in torch's order."""
    a, b, c = (np.float32(tap / 16) for tap in (1, 4, 6))
    total: Floats = c * even[1 : count + 1]
    total += b * (odd[:count] + odd[1 : count + 1])
    total += a * (even[:count] + even[2 : count + 2])
    return total


def bordered(x: Floats) -> Floats:
    """One replicated pixel on every side."""
    return np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")


def rows_of(x: Floats, first: int, last: int) -> Floats:
    """The rows of a bordered coarse level that rows [first, last) of the finer one need; `first` is even."""
    return np.ascontiguousarray(x[..., first // 2 : (last + 1) // 2 + 2, :])


def doubled(x: Floats, h: int, w: int) -> Floats:  # (N, C, ceil(h/2) + 2, ceil(w/2) + 2) -> (N, C, h, w)
    """`pyramid.double_bordered`: twice the size, bilinear. OpenCV takes a quarter of ONNX Runtime's time."""
    out = np.empty((*x.shape[:2], h, w), np.float32)
    for index in np.ndindex(*x.shape[:2]):
        out[index] = cv2.resize(x[index], None, fx=2, fy=2)[2 : 2 + h, 2 : 2 + w]
    return out


def build(graph: Session) -> GraphBlend:
    return GraphBlend(graph)
