"""Perspective views: what a camera with an ordinary lens would see of a panorama, a map or a photograph.

A panorama is never cropped as it lies (equirectangular crops look like nothing a camera makes): it is seen
through rectilinear lenses of 65 to 100 degrees, near the horizon, slightly tilted, upright or lying. Ordinary
photographs become scenes, too: the response is undone and the highlights are opened up, so that a simulated
short exposure finds something in them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mefcli.training.pack import Item, Pack
from mefcli.training.radiance import Radiance

VIEWS_TRAIN, VIEWS_VAL = 14, 4  # of a panorama
LONG_SIDE_PX = 768  # larger sources are reduced to this
FINER = 1.35  # pixels of a view per pixel of the panorama at its centre
TRIES = 3  # directions looked at per view; the most varied one is kept


@dataclass(frozen=True)
class View:
    name: str
    item: Item
    pixels: Radiance  # linear, median about 0.18


def rng_of(*words: object) -> np.random.Generator:
    """A generator that depends only on the words, on every machine."""
    digest = hashlib.sha256("/".join(map(str, words)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32))


def rectilinear(
    panorama: Radiance, size: tuple[int, int], fov_deg: float, yaw: float, pitch: float, roll: float
) -> Radiance:
    """The panorama through a lens: `size` (height, width), field of view across the long side, radians."""
    import cv2

    height, width = size
    focal = max(size) / (2 * np.tan(np.radians(fov_deg) / 2))
    x, y = np.meshgrid(np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2)
    x, y = x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)
    z = np.full_like(x, focal)
    y, z = y * np.cos(pitch) - z * np.sin(pitch), y * np.sin(pitch) + z * np.cos(pitch)
    longitude = np.arctan2(x, z) + yaw
    latitude = np.arctan2(y, np.hypot(x, z))
    rows, cols = panorama.shape[:2]
    u = np.mod(longitude / (2 * np.pi) + 0.5, 1.0) * cols - 0.5
    v = (latitude / np.pi + 0.5) * rows - 0.5
    wrapped = np.concatenate((panorama, panorama[:, :2]), axis=1)
    u = np.where(u < 0, u + cols, u)
    view = cv2.remap(
        wrapped, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(view, np.float32)


def normalised(pixels: Radiance) -> Radiance:
    """Scaled so that the median luminance is 0.18, within what half floats can hold."""
    middle = float(np.median(pixels.mean(-1)[::2, ::2]))
    return np.asarray(np.clip(pixels * (0.18 / max(middle, 1e-8)), 0.0, 6e4), np.float32)


def variety(pixels: Radiance) -> float:
    """Spread of the logarithm of luminance, in stops: low for a bare wall or an empty sky."""
    stops = np.log2(pixels.mean(-1)[::4, ::4] + 1e-4)
    low, high = np.percentile(stops, (5, 95))
    return float(high - low)


def _panorama_views(pack: Pack, item: Item) -> Iterator[View]:
    panorama = pack.radiance(item)
    rng = rng_of("views", item.name)
    count = VIEWS_TRAIN if item.part == "train" else VIEWS_VAL
    start = rng.uniform(0, 2 * np.pi)
    for index in range(count):
        best: Radiance | None = None
        for _ in range(TRIES):
            fov = rng.uniform(65, 100)
            long_px = FINER * panorama.shape[1] / np.pi * np.tan(np.radians(fov) / 2)
            aspect = rng.choice([2 / 3, 3 / 4, 3 / 4, 1.0])
            size = (round(long_px * aspect), round(long_px))
            if rng.random() < 0.3:
                size = size[::-1]
            yaw = start + 2 * np.pi * (index + rng.uniform(-0.5, 0.5)) / count
            pitch = np.radians(np.clip(rng.normal(2, 9), -20, 25))
            view = rectilinear(panorama, size, fov, yaw, pitch, np.radians(rng.normal(0, 1.0)))
            view = normalised(view)
            if best is None or variety(view) > variety(best):
                best = view
        assert best is not None
        yield View(f"{item.name}#{index}", item, best)


def reduced(pixels: Radiance, long_side: int) -> Radiance:
    import cv2

    height, width = pixels.shape[:2]
    factor = long_side / max(height, width)
    if factor >= 1:
        return pixels
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)


def photo_radiance(photo: NDArray[np.uint8], rng: np.random.Generator) -> Radiance:
    """A photograph's scene, as far as can be guessed: response undone, highlights opened by 1 to 4 stops."""
    display = photo.astype(np.float32) / 255.0
    linear = np.where(display <= 0.04045, display / 12.92, ((display + 0.055) / 1.055) ** 2.4)
    linear = reduced(linear.astype(np.float32), LONG_SIDE_PX)
    # x / (1 - k x) leaves shadows and middle tones as they are and lifts white by 1 / (1 - k).
    k = 1.0 - 2.0 ** -rng.uniform(1.0, 4.0)
    white = linear.max(-1, keepdims=True)  # by the largest channel, so that hues survive
    opened = linear / (1.0 - k * white)
    # Shadows deepen a little, as a contrasty scene behind a contrasty print.
    toe = rng.uniform(0.0, 0.15)
    level = np.clip(white / 0.25, 1e-3, 1.0)
    return np.asarray(opened * level**toe, np.float32)


def views(pack: Pack) -> Iterator[View]:
    """Every scene of the pack as one or more views."""
    for item in pack.items:
        if item.kind == "panorama":
            yield from _panorama_views(pack, item)
        elif item.kind == "radiance":
            yield View(item.name, item, normalised(reduced(pack.radiance(item), LONG_SIDE_PX)))
        elif item.kind == "photo":
            scene = photo_radiance(pack.photo(item), rng_of("photo", item.name))
            yield View(item.name, item, normalised(scene))
        else:  # already at one good exposure: used as it is
            display = reduced(pack.photo(item).astype(np.float32) / 255.0, LONG_SIDE_PX)
            yield View(item.name, item, display)
