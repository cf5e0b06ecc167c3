"""Known motions, measured: random synthetic brackets, and what each method leaves of their motion.

Cases are cut from radiance maps: a perspective view, enlarged, exposed two to five stops apart, moved, with
photon and read noise, sRGB coded. The scene is continuous, so the truth is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mefcli.errors import UnreadableError
from mefcli.motion.geometry import IDENTITY, Matrix, distance, grid, rigid
from mefcli.pipeline.types import Pixels

Radiance = NDArray[np.float32]  # (H, W, 3), linear
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
    scene: Callable[[tuple[int, int]], Radiance],
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


def random_cases(maps: Sequence[Path], count: int, size_px: tuple[int, int], seed: int = 7) -> Iterator[Case]:
    """Cases over radiance maps in turn; twice as wide as high means a panorama, of which a view is taken."""
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        path = maps[index % len(maps)]
        yield make_case(
            f"{index:03d} {path.stem}", _scene(path, rng), size_px, rng, depth=16 if index % 4 == 3 else 8
        )


def _scene(path: Path, rng: np.random.Generator) -> Callable[[tuple[int, int]], Radiance]:
    import cv2

    stored = cv2.imread(str(path), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    if stored is None:
        raise UnreadableError(f"{path.name} is no radiance map.", "Give Radiance .hdr files.")
    radiance = np.ascontiguousarray(stored[..., ::-1]).astype(np.float32).clip(0, 1e6)
    panorama = radiance.shape[1] == 2 * radiance.shape[0]
    fov, yaw, pitch = rng.uniform(70, 100), rng.uniform(-180, 180), rng.uniform(-15, 15)

    def render(size_px: tuple[int, int]) -> Radiance:
        if panorama:
            # One map pixel per view pixel at the view's middle, so that nothing is lost before enlarging.
            width = round(radiance.shape[1] * fov / 360 * 1.2)
            view = perspective_view(
                radiance, fov, yaw, pitch, (width, round(width * size_px[1] / size_px[0]))
            )
        else:
            rows, columns = radiance.shape[:2]
            width = min(columns, round(rows * size_px[0] / size_px[1]))
            height = round(width * size_px[1] / size_px[0])
            top, left = (rows - height) // 2, (columns - width) // 2
            view = radiance[top : top + height, left : left + width]
        return enlarge(view, size_px)

    return render


Method = Callable[[Case], Sequence[Matrix | None]]


@dataclass(frozen=True)
class Outcome:
    """What one method left of one frame's motion."""

    case: str
    frame: int
    residual_px: float  # median over the picture; the motion itself where the method gave up
    found: bool


def measure_alignment(
    cases: Iterator[Case] | Sequence[Case], methods: dict[str, Method]
) -> dict[str, list[Outcome]]:
    """The same cases through every method; the residual is |found - true| over a 9 x 9 grid, median."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in methods}
    for case in cases:
        places = grid(case.size_px)
        for name, method in methods.items():
            for index, (found, truth) in enumerate(zip(method(case), case.matrices, strict=True)):
                if index != case.reference:
                    left = float(np.median(distance(IDENTITY if found is None else found, truth, places)))
                    outcomes[name].append(Outcome(case.name, index, left, found is not None))
    return outcomes
