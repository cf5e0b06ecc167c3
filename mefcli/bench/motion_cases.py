"""Known motions, measured: random synthetic brackets, and what each method leaves of their motion.

Cases are cut from radiance maps and the demo's room: a perspective view, enlarged, exposed two to five stops
apart, moved, with photon and read noise, sRGB coded. The scene is continuous, so the truth is exact.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mefcli.errors import UnreadableError
from mefcli.motion.geometry import IDENTITY, distance, grid, rigid
from mefcli.values import Matrix, Pixels

Radiance = NDArray[np.float32]  # (H, W, 3), linear
Scene = Callable[[tuple[int, int]], Radiance]  # renders itself at a (width, height)
MotionKind = Literal["shift", "rigid", "homography"]


@dataclass(frozen=True)
class Case:
    """One bracket, dark to bright, whose motion is known."""

    name: str
    frames: tuple[Pixels, ...]
    matrices: tuple[Matrix, ...]  # reference to frame
    evs: tuple[float, ...]
    reference: int
    kind: MotionKind

    @property
    def size_px(self) -> tuple[int, int]:
        return self.frames[0].shape[1], self.frames[0].shape[0]


def perspective_view(
    panorama: Radiance, fov_deg: float, yaw_deg: float, pitch_deg: float, size_px: tuple[int, int]
) -> Radiance:
    """What a camera inside an equirectangular panorama sees."""
    import cv2

    width, height = size_px
    focal = width / 2 / np.tan(np.radians(fov_deg) / 2)
    x, y = np.meshgrid(np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2)
    pitch, yaw = np.radians(pitch_deg), np.radians(yaw_deg)
    down = y * np.cos(pitch) - focal * np.sin(pitch)
    forward = y * np.sin(pitch) + focal * np.cos(pitch)
    longitude = np.arctan2(x, forward) + yaw
    latitude = np.arctan2(down, np.hypot(x, forward))
    rows, columns = panorama.shape[:2]
    map_x = ((longitude / (2 * np.pi)) % 1.0) * columns - 0.5
    map_y = (latitude / np.pi + 0.5) * rows - 0.5
    view: Radiance = cv2.remap(
        panorama,
        map_x.astype(np.float32),
        map_y.astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_WRAP,
    )
    return np.maximum(view, 0)


def enlarge(view: Radiance, size_px: tuple[int, int]) -> Radiance:
    """To size, with the fine structure of the view itself, mirrored, laid over what enlarging blurred.

    Enlarging alone leaves no detail finer than the map's; a photograph has some at every scale. The added
    grain is the map's own high-pass in stops, at half its contrast.
    """
    import cv2

    width, height = size_px
    big = np.log2(cv2.resize(view, size_px, interpolation=cv2.INTER_CUBIC).clip(1e-6))
    factor = width / view.shape[1]
    while factor > 1.6:
        grain = np.log2(view.clip(1e-6)).mean(axis=2)
        grain = np.clip(grain - cv2.GaussianBlur(grain, (0, 0), 3), -1, 1) * 0.5
        step = factor / 2 if factor > 3.2 else 1.0
        if step > 1:
            grain = cv2.resize(grain, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        rows = _mirror(height, grain.shape[0])
        columns = _mirror(width, grain.shape[1])
        big += grain[rows][:, columns, None]
        factor = step
    result: Radiance = np.exp2(big).astype(np.float32)
    return result


def _mirror(length: int, period: int) -> NDArray[np.intp]:
    index = np.arange(length) % (2 * period)
    return np.minimum(index, 2 * period - 1 - index)


def random_motion(rng: np.random.Generator, size_px: tuple[int, int], kind: MotionKind) -> Matrix:
    """Up to 5 % of the long side, 3 degrees, and corners pulled by up to 0.5 %."""
    import cv2

    width, height = size_px
    reach = 0.05 * max(size_px)
    # OpenCV renders at multiples of 1/32 px; a shift in between would be shown wrongly everywhere alike.
    shift = np.rint(rng.uniform(-reach, reach, 2) * 32) / 32
    matrix = rigid(shift[0], shift[1], rng.uniform(-3, 3) if kind != "shift" else 0.0, size_px)
    if kind == "homography":
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        pulled = corners + rng.uniform(-0.005, 0.005, (4, 2)).astype(np.float32) * max(size_px)
        matrix = cv2.getPerspectiveTransform(corners, pulled) @ matrix
    result: Matrix = matrix / matrix[2, 2]
    return result


def make_case(
    name: str,
    scene: Scene,
    size_px: tuple[int, int],
    rng: np.random.Generator,
    *,
    kind: MotionKind | None = None,
    step_ev: float | None = None,
    frames: int = 3,
    depth: Literal[8, 16] = 8,
) -> Case:
    """A bracket of a scene; `scene` renders it at any size. The middle frame is the reference."""
    import cv2

    kinds: tuple[MotionKind, ...] = ("shift", "rigid", "homography")
    kind = kind or kinds[int(rng.integers(3))]
    step = step_ev if step_ev is not None else float(rng.uniform(2, 5))
    width, height = size_px
    margin = round(0.09 * max(size_px))
    canvas = scene((width + 2 * margin, height + 2 * margin))
    grey = canvas @ np.array([0.299, 0.587, 0.114], np.float32)
    reference = frames // 2
    base, step = _bracketing(grey, step, reference, frames)
    to_canvas = np.array([[1, 0, margin], [0, 1, margin], [0, 0, 1.0]])
    pictures, matrices, evs = [], [], []
    for index in range(frames):
        matrix = IDENTITY if index == reference else random_motion(rng, size_px, kind)
        ev = (index - reference) * step
        # The frame's pixel q shows the scene point inverse(matrix) @ q of the reference.
        seen = (
            cv2.warpPerspective(
                canvas,
                to_canvas @ np.linalg.inv(matrix),
                size_px,
                flags=cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REFLECT,
            )
            if index != reference
            else canvas[margin : margin + height, margin : margin + width]
        )
        pictures.append(expose(seen, base * 2.0**ev, rng, depth))
        matrices.append(matrix)
        evs.append(ev)
    return Case(name, tuple(pictures), tuple(matrices), tuple(evs), reference, kind)


def _bracketing(grey: NDArray[np.float32], step: float, reference: int, frames: int) -> tuple[float, float]:
    """Exposure of the reference and step, as a photographer would set them for this scene.

    The bracket is centred on the scene's range, and its step shortened (to two stops at least) until a sixth
    of the picture is below white in the brightest frame and above black in the darkest.
    """
    stops = np.log2(grey[::4, ::4].clip(1e-6))
    low, high = np.percentile(stops, [17, 83])
    centre = (low + high) / 2
    base = float(2.0 ** (np.log2(0.12) - centre))
    while step > 2:
        darkest = high + np.log2(base) - reference * step
        brightest = low + np.log2(base) + (frames - 1 - reference) * step
        if brightest < np.log2(0.7) and darkest > np.log2(0.004):
            break
        step -= 0.1
    return base, step


def expose(radiance: Radiance, gain: float, rng: np.random.Generator, depth: Literal[8, 16] = 8) -> Pixels:
    """Photon noise of a small full well (8000 electrons at white), read noise, sRGB, rounding."""
    linear = np.clip(radiance * np.float32(gain), 0, 1.2)
    noise = rng.standard_normal(linear.shape, dtype=np.float32)
    linear = linear + noise * np.sqrt(linear / np.float32(8000) + np.float32(4e-4**2))
    linear = np.clip(linear, 0, 1)
    coded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clip(1e-9) ** (1 / 2.4) - 0.055)
    coded = np.rint(coded * (255 if depth == 8 else 65535))
    result: Pixels = coded.astype(np.uint8 if depth == 8 else np.uint16)
    return result


@dataclass(frozen=True)
class Source:
    """Where scenes come from: each draw of `view` looks at it from another side."""

    name: str
    view: Callable[[np.random.Generator], Scene]


def random_cases(
    sources: Sequence[Source], count: int, size_px: tuple[int, int], seed: int = 7
) -> Iterator[Case]:
    """Cases over the sources in turn, every fourth in 16 bits. Case n is the same whatever the count."""
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        source = sources[index % len(sources)]
        depth: Literal[8, 16] = 16 if index % 4 == 3 else 8
        yield make_case(f"{index:03d} {source.name}", source.view(rng), size_px, rng, depth=depth)


def radiance_map(path: Path) -> Source:
    """A Radiance .hdr file; twice as wide as high means a panorama, of which views are taken."""

    def view(rng: np.random.Generator) -> Scene:
        import cv2

        stored = cv2.imread(str(path), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
        if stored is None:
            raise UnreadableError(f"{path.name} is no radiance map.", "Give Radiance .hdr files.")
        radiance = np.ascontiguousarray(stored[..., ::-1]).astype(np.float32).clip(0, 1e6)
        if radiance.shape[1] != 2 * radiance.shape[0]:
            return lambda size_px: enlarge(_middle(radiance, size_px), size_px)
        fov, yaw, pitch = rng.uniform(70, 100), rng.uniform(-180, 180), rng.uniform(-15, 15)
        # One map pixel per view pixel at the view's middle, so that nothing is lost before enlarging.
        width = round(radiance.shape[1] * fov / 360 * 1.2)

        def render(size_px: tuple[int, int]) -> Radiance:
            small = (width, round(width * size_px[1] / size_px[0]))
            return enlarge(perspective_view(radiance, fov, yaw, pitch, small), size_px)

        return render

    return Source(path.stem, view)


def demo_scene(width: int = 1536) -> Source:
    """The demo's room, rendered once, this wide; each view is a part of it, at least half as wide."""
    from mefcli.demo import scene

    room = cache(lambda: scene(width))

    def view(rng: np.random.Generator) -> Scene:
        share, across, down = rng.uniform(0.5, 1), rng.uniform(), rng.uniform()
        radiance = room()
        rows, columns = (round(side * share) for side in radiance.shape[:2])
        top, left = round((radiance.shape[0] - rows) * down), round((radiance.shape[1] - columns) * across)
        part = radiance[top : top + rows, left : left + columns]
        return lambda size_px: enlarge(_middle(part, size_px), size_px)

    return Source("demo", view)


def _middle(radiance: Radiance, size_px: tuple[int, int]) -> Radiance:
    """The largest part of these proportions."""
    rows, columns = radiance.shape[:2]
    width = min(columns, round(rows * size_px[0] / size_px[1]))
    height = min(rows, round(width * size_px[1] / size_px[0]))
    top, left = (rows - height) // 2, (columns - width) // 2
    return radiance[top : top + height, left : left + width]


Method = Callable[[Case], Sequence[Matrix | None]]


@dataclass(frozen=True)
class Outcome:
    """What one method left of one frame's motion."""

    case: str
    frame: int
    residual_px: float  # median over the picture; the motion itself where the method gave up
    found: bool
    cpu_s: float  # of the whole bracket, programs that were started included


def measure_alignment(
    cases: Iterable[Case],
    methods: Mapping[str, Method],
    on_case: Callable[[int], None] | None = None,
) -> dict[str, list[Outcome]]:
    """The same cases through every method; the residual is |found - true| over a 9 x 9 grid, median."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in methods}
    for number, case in enumerate(cases, 1):
        places = grid(case.size_px)
        for name, method in methods.items():
            began = _cpu_s()
            motions = method(case)
            took = _cpu_s() - began
            for index, (found, truth) in enumerate(zip(motions, case.matrices, strict=True)):
                if index != case.reference:
                    left = float(np.median(distance(IDENTITY if found is None else found, truth, places)))
                    outcomes[name].append(Outcome(case.name, index, left, found is not None, took))
        if on_case:
            on_case(number)
    return outcomes


def _cpu_s() -> float:
    return sum(os.times()[:4])
