"""Supervised references: the best of several classic fusions of the noise-free dense bracket, per scene.

As the SICE reference was made: fuse 9 to 15 exposures without noise by several methods, and keep for each
scene the one that is best by MEF-SSIM against the bracket plus naturalness (brightness, contrast, little
clipping). The candidates, in `CANDIDATES`, are Mertens with three weightings, a pyramid blend by exposure
alone, and a local-Laplacian-like tone curve on the radiance itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mefcli.training.camera import SRGB, Bytes, Camera, Floats
from mefcli.training.exposure import ev_for_mean, mean_by_ev
from mefcli.training.store import Store

FORMAT = 2
STOPS_A_STEP = 0.75
FEWEST, MOST = 9, 15
DARK_MEAN, BRIGHT_MEAN = 18.0, 225.0


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


def blend(frames: Floats, weights: Floats) -> Floats:
    """Laplacian pyramids of the frames under Gaussian pyramids of the weights (N, H, W)."""
    weights = weights / weights.sum(0)
    levels = _levels(frames.shape[1:3])
    total: list[Floats] | None = None
    for frame, weight in zip(frames, weights, strict=True):
        parts = [
            detail * cover[..., None]
            for detail, cover in zip(_laplacian(frame, levels), _gaussian(weight, levels), strict=True)
        ]
        total = parts if total is None else [a + b for a, b in zip(total, parts, strict=True)]
    assert total is not None
    return np.clip(_collapse(total), 0.0, 1.0).astype(np.float32)


# ---- candidates ------------------------------------------------------------------------------------------


def weighted(frames: Floats, contrast: float, saturation: float, exposure: float, sigma: float) -> Floats:
    """Mertens with exponents on its three weights, and the width of its well-exposedness."""
    import cv2

    weight = np.ones(frames.shape[:3], np.float32)
    for k, frame in enumerate(frames):
        if contrast:
            edges = np.abs(cv2.Laplacian(frame.mean(-1), cv2.CV_32F))
            weight[k] *= edges**contrast
        if saturation:
            weight[k] *= frame.std(-1) ** saturation
        if exposure:
            near = np.exp(-((frame - 0.5) ** 2) / (2 * sigma**2)).prod(-1)
            weight[k] *= near**exposure
    return blend(frames, weight + 1e-7)


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


Candidate = Callable[[Floats, Floats], Floats]  # (frames, scene) -> (H, W, 3)
CANDIDATES: dict[str, Candidate] = {
    "mertens": lambda frames, scene: weighted(frames, 1.0, 1.0, 1.0, 0.2),
    "mertens-even": lambda frames, scene: weighted(frames, 0.5, 0.5, 1.0, 0.25),
    "mertens-crisp": lambda frames, scene: weighted(frames, 1.0, 0.3, 0.6, 0.2),
    "exposure": lambda frames, scene: weighted(frames, 0.0, 0.0, 1.0, 0.2),
    "tone-curve": lambda frames, scene: tone_curve(scene),
}


def naturalness(picture: Floats) -> float:
    """0..1: mean near the middle, some contrast, few pixels at either end."""
    luma = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    brightness = np.exp(-(((float(luma.mean()) - 0.46) / 0.16) ** 2))
    contrast = np.exp(-(((float(luma.std()) - 0.22) / 0.10) ** 2))
    clipped = float((luma > 0.985).mean() + (luma < 0.015).mean())
    return float(0.5 * brightness + 0.35 * contrast + 0.15 * np.exp(-clipped / 0.03))


@dataclass(frozen=True)
class Choice:
    method: str
    picture: Bytes
    scores: dict[str, float]


def reference(scene: Floats, thumb: Floats) -> Choice:
    """The chosen fusion of one scene, and every candidate's score."""
    import torch

    from mefnets.measures import mef_ssim

    frames = dense_bracket(scene, thumb)
    planes = torch.from_numpy(frames).movedim(-1, 1)[None]  # (1, N, 3, H, W)
    scores: dict[str, float] = {}
    pictures: dict[str, Floats] = {}
    grey = (planes * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(2, keepdim=True)
    for name, candidate in CANDIDATES.items():
        picture = candidate(frames, scene)
        shown = torch.from_numpy(np.ascontiguousarray(picture)).movedim(-1, 0)[None]
        luma = (shown * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
        with torch.no_grad():
            structure = float(mef_ssim(grey, luma))
        pictures[name] = picture
        scores[name] = structure + 0.15 * naturalness(picture)
    best = max(scores, key=lambda name: scores[name])
    return Choice(best, (pictures[best] * 255 + 0.5).astype(np.uint8), scores)


class TargetBook:
    """References for every view of a store, made once and kept beside it."""

    def __init__(self, store: Store, on_view: Callable[[str, int, int], None] | None = None) -> None:
        self.store = store
        folder = store.folder / f"targets-{FORMAT}"
        wanted = [i for i, e in enumerate(store.entries) if e.kind != "normal"]
        self._offsets: dict[int, int] = {}
        offset = 0
        for view in wanted:
            full = store.entries[view].levels[0]
            self._offsets[view] = offset
            offset += full.height * full.width * 3
        if not (folder / "chosen.json").is_file():
            self._make(folder, wanted, on_view)
        self.chosen: dict[str, str] = json.loads((folder / "chosen.json").read_text())
        self._pixels: NDArray[np.uint8] = np.memmap(folder / "targets.u8", np.uint8, "r")

    def picture(self, view: int) -> Bytes:  # (H, W, 3)
        full = self.store.entries[view].levels[0]
        at = self._offsets[view]
        return self._pixels[at : at + full.height * full.width * 3].reshape(full.height, full.width, 3)

    @staticmethod
    def tinted(display: Floats, white: tuple[float, float, float]) -> Floats:
        """The target in the colours of the sample's camera: its gains act on light, not on display values."""
        gains = np.array(white, np.float32) ** np.float32(1 / 2.2)
        return np.clip(display * gains, 0.0, 1.0).astype(np.float32)

    def _make(self, folder: Path, wanted: list[int], on_view: Callable[[str, int, int], None] | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        chosen = {}
        with (folder / "targets.part").open("wb") as file:
            for count, view in enumerate(wanted):
                scene = self.store.level(view).astype(np.float32)
                choice = reference(scene, self.store.thumbs[view])
                file.write(choice.picture.tobytes())
                chosen[self.store.entries[view].name] = choice.method
                if on_view:
                    on_view(self.store.entries[view].name, count + 1, len(wanted))
        (folder / "targets.part").rename(folder / "targets.u8")
        (folder / "chosen.json").write_text(json.dumps(chosen, indent=1))
