"""Supervised references: the best fusion of the noise-free dense bracket, of several that need no network.

As the SICE reference was made: fuse 9 to 15 exposures without noise by several methods, and keep for each
scene the one that is best by MEF-SSIM against the bracket plus naturalness (brightness, contrast, little
clipping). The candidates, in `CANDIDATES`, are Mertens with three weightings, a pyramid blend by exposure
alone, and a local-Laplacian-like tone curve on the radiance itself.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mefcli.training.camera import SRGB, Bytes, Camera, Floats
from mefcli.training.exposure import ev_for_mean, mean_by_ev
from mefcli.training.store import Store

FORMAT = 5
MIDDLE = 0.45  # mean luma that references lean to
NATURALNESS = 0.15  # how much it counts beside MEF-SSIM
STOPS_A_STEP = 1.0
FEWEST, MOST = 9, 15
DARK_MEAN, BRIGHT_MEAN = 18.0, 215.0


def dense_bracket(scene: Floats, thumb: Floats) -> Floats:
    """(N, H, W, 3) display values through sRGB, from highlights kept to shadows open, no noise."""
    camera = Camera(SRGB)
    means = mean_by_ev(camera, thumb)
    dark, bright = ev_for_mean(means, DARK_MEAN), ev_for_mean(means, BRIGHT_MEAN)
    count = int(np.clip(np.ceil((bright - dark) / STOPS_A_STEP) + 1, FEWEST, MOST))
    gains = np.exp2(np.linspace(dark, bright, count, dtype=np.float32))
    return np.stack([camera.develop(scene * gain) for gain in gains])


# ---- pyramids --------------------------------------------------------------------------------------------


def _down(x: Floats) -> Floats:
    import cv2

    return np.asarray(cv2.pyrDown(x), np.float32)


def _up(x: Floats, like: Floats) -> Floats:
    import cv2

    return np.asarray(cv2.pyrUp(x, dstsize=(like.shape[1], like.shape[0])), np.float32)


def _laplacian(x: Floats, levels: int) -> list[Floats]:
    pyramid = []
    for _ in range(levels - 1):
        small = _down(x)
        pyramid.append(x - _up(small, x))
        x = small
    return [*pyramid, x]


def _gaussian(x: Floats, levels: int) -> list[Floats]:
    pyramid = [x]
    for _ in range(levels - 1):
        pyramid.append(_down(pyramid[-1]))
    return pyramid


def _collapse(pyramid: list[Floats]) -> Floats:
    x = pyramid[-1]
    for level in reversed(pyramid[:-1]):
        x = level + _up(x, level)
    return x


def _levels(shape: tuple[int, ...], last_px: int = 4) -> int:
    return max(2, int(np.log2(min(shape[0], shape[1]) / last_px)) + 1)


def pyramids(frames: Floats) -> list[list[Floats]]:
    levels = _levels(frames.shape[1:3])
    return [_laplacian(frame, levels) for frame in frames]


def blend(details: list[list[Floats]], weights: Floats) -> Floats:
    """Laplacian pyramids of the frames under Gaussian pyramids of the weights (N, H, W)."""
    weights = weights / weights.sum(0)
    total: list[Floats] | None = None
    for detail, weight in zip(details, weights, strict=True):
        covers = _gaussian(weight, len(detail))
        parts = [d * cover[..., None] for d, cover in zip(detail, covers, strict=True)]
        total = parts if total is None else [a + b for a, b in zip(total, parts, strict=True)]
    assert total is not None
    return np.clip(_collapse(total), 0.0, 1.0).astype(np.float32)


# ---- candidates ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Weighting:
    """Mertens' three weights with exponents, and the width of his well-exposedness."""

    contrast: float
    saturation: float
    exposure: float
    sigma: float = 0.2

    def weights(self, frames: Floats) -> Floats:  # (N, H, W, 3) -> (N, H, W)
        import cv2

        weight = np.full(frames.shape[:3], 1e-7, np.float32)
        for k, frame in enumerate(frames):
            one = np.exp(-((frame - 0.5) ** 2).sum(-1) * (self.exposure / (2 * self.sigma**2)))
            if self.contrast:
                one *= np.abs(cv2.Laplacian(frame.mean(-1), cv2.CV_32F)) ** self.contrast
            if self.saturation:
                one *= frame.std(-1) ** self.saturation
            weight[k] += one
        return weight


def tone_curve(scene: Floats) -> Floats:
    """Compress the base of log luminance, keep its details: a pyramid with a gain per level."""
    luma = np.maximum(scene @ np.array([0.2126, 0.7152, 0.0722], np.float32), 1e-5)
    stops = np.log2(luma)
    levels = _levels(stops.shape, 6)
    pyramid = _laplacian(stops, levels)
    base = pyramid[-1]
    spread = float(np.percentile(stops, 98) - np.percentile(stops, 2))
    strength = float(np.clip(5.5 / max(spread, 1e-3), 0.25, 1.0))
    middle = float(np.median(stops))
    pyramid[-1] = (base - middle) * strength
    for k in range(levels - 1):
        # Fine levels keep their contrast, coarse ones join the base; large steps are held back (no halos).
        share = k / max(levels - 1, 1)
        gain = 1.0 + (strength - 1.0) * share
        knee = 1.2
        pyramid[k] = np.asarray(gain * knee * np.tanh(pyramid[k] / knee), np.float32)
    mapped = _collapse(pyramid)
    low, high = np.percentile(mapped, (1, 99.5))
    mapped = np.clip((mapped - high) / max(high - low, 1e-3) * min(high - low, 7.5), -12, 0.15)
    display_luma = np.exp2(mapped) * 0.95
    ratio = scene / luma[..., None]
    colour = np.maximum(ratio, 1e-4) ** 0.9  # compressed light looks too colourful otherwise
    return Camera(SRGB).develop((colour * display_luma[..., None]).astype(np.float32))


TONE_CURVE = "tone-curve"
CANDIDATES: dict[str, Weighting | None] = {
    "mertens": Weighting(1.0, 1.0, 1.0),
    "mertens-even": Weighting(0.5, 0.5, 1.0, sigma=0.25),
    "mertens-crisp": Weighting(1.0, 0.3, 0.6),
    "exposure": Weighting(0.0, 0.0, 1.0),
    TONE_CURVE: None,
}


def fused_by(method: str, frames: Floats, scene: Floats, details: list[list[Floats]]) -> Floats:
    weighting = CANDIDATES[method]
    return tone_curve(scene) if weighting is None else blend(details, weighting.weights(frames))


def naturalness(picture: Floats) -> float:
    """0..1: mean near the middle, some contrast, few pixels at either end."""
    luma = picture @ np.array(LUMA, np.float32)
    brightness = np.exp(-(((float(luma.mean()) - 0.46) / 0.16) ** 2))
    contrast = np.exp(-(((float(luma.std()) - 0.22) / 0.10) ** 2))
    clipped = float((luma > 0.985).mean() + (luma < 0.015).mean())
    return float(0.5 * brightness + 0.35 * contrast + 0.15 * np.exp(-clipped / 0.03))


LUMA = (0.299, 0.587, 0.114)
JUDGED_FRAMES = 5  # of the dense bracket: MEF-SSIM costs the square of their number


def scores(frames: Floats, scene: Floats) -> dict[str, float]:
    """MEF-SSIM against a few frames of the bracket, plus a share of naturalness, for every candidate."""
    import torch

    from mefnets.measures import mef_ssim

    few = frames[np.linspace(0, len(frames) - 1, JUDGED_FRAMES).round().astype(int)]
    grey = torch.from_numpy(few @ np.array(LUMA, np.float32))[None, :, None]  # (1, N, 1, H, W)
    details = pyramids(frames)
    found = {}
    for method in CANDIDATES:
        picture = fused_by(method, frames, scene, details)
        luma = torch.from_numpy(picture @ np.array(LUMA, np.float32))[None, None]
        with torch.no_grad():
            found[method] = float(mef_ssim(grey, luma)) + NATURALNESS * naturalness(picture)
    return found


def settled(picture: Floats) -> Floats:
    """A gentle gamma towards middle brightness: fusions of long brackets come out a little dark."""
    mean = float(np.clip((picture @ np.array(LUMA, np.float32)).mean(), 0.05, 0.95))
    gamma = np.clip(np.log(MIDDLE) / np.log(mean), 0.8, 1.1)
    return np.asarray(picture**gamma, np.float32)


def reference(scene: Floats, small: Floats, thumb: Floats) -> tuple[str, Bytes]:
    """The method chosen on the reduced scene, and its result on the whole: (method, (H, W, 3))."""
    found = scores(dense_bracket(small, thumb), small)
    best = max(found, key=lambda method: found[method])
    frames = dense_bracket(scene, thumb)
    details = [] if CANDIDATES[best] is None else pyramids(frames)
    picture = settled(fused_by(best, frames, scene, details))
    return best, (picture * 255 + 0.5).astype(np.uint8)


class TargetBook:
    """References for the views of a store: made when a view is first sampled, kept beside it for good.

    A reference depends on its view alone, so runs may share the files, and whoever comes first makes it.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._offsets: dict[int, int] = {}
        size = 0
        for view, entry in enumerate(store.entries):
            if entry.kind != "normal":  # those are well exposed as they are
                self._offsets[view] = size
                size += entry.levels[0].height * entry.levels[0].width * 3
        folder = store.folder / f"targets-{FORMAT}"
        folder.mkdir(parents=True, exist_ok=True)
        self._pixels = _shared_bytes(folder / "targets.u8", size)
        self._methods = _shared_bytes(folder / "methods.u8", len(store.entries))  # 0: not made yet
        self._lock = threading.Lock()

    def picture(self, view: int) -> Bytes:  # (H, W, 3)
        full = self.store.entries[view].levels[0]
        at = self._offsets[view]
        picture = self._pixels[at : at + full.height * full.width * 3].reshape(full.height, full.width, 3)
        if not self._methods[view]:
            with self._lock:
                if not self._methods[view]:
                    method, made = self.make(view)
                    picture[:] = made
                    self._methods[view] = list(CANDIDATES).index(method) + 1
        return picture

    def make(self, view: int) -> tuple[str, Bytes]:
        levels = len(self.store.entries[view].levels)
        scene, small = self.store.level(view), self.store.level(view, levels - 1)
        return reference(scene.astype(np.float32), small.astype(np.float32), self.store.thumbs[view])

    def method(self, view: int) -> str:
        """Which candidate was chosen for a view; empty before it was made."""
        return ["", *CANDIDATES][int(self._methods[view])]

    @staticmethod
    def tinted(display: Floats, white: tuple[float, float, float]) -> Floats:
        """The target in the colours of the sample's camera: its gains act on light, not on display values."""
        gains = np.array(white, np.float32) ** np.float32(1 / 2.2)
        return np.asarray(np.clip(display * gains, 0.0, 1.0), np.float32)


def _shared_bytes(path: Path, size: int) -> NDArray[np.uint8]:
    """A file of `size` zeros (sparse where the disk can) that all runs map and fill."""
    with path.open("ab") as file:
        if file.tell() < size:
            file.truncate(size)
    return np.memmap(path, np.uint8, "r+", shape=(size,))
