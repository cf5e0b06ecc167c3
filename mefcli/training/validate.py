"""How good is it now? Fixed brackets of held-out scenes, fused by the engine itself, scored and shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mefcli import storage
from mefcli.evaluation.metrics import KEPT_NAMES
from mefcli.evaluation.metrics import score as measured
from mefcli.evaluation.metrics.light import compressed, psnr_mu
from mefcli.training.camera import SRGB, Bytes, Camera
from mefcli.training.exposure import ev_for_mean, mean_by_ev
from mefcli.training.store import Store
from mefcli.training.views import rng_of
from mefnets import measures
from mefnets.engine.frames import as_floats
from mefnets.engine.fuser import Fuser
from mefnets.focus.fold import folded
from mefnets.focus.opinion import Opinion
from mefnets.spec import ModelSpec

SHORT_SIDE_PX = 224
FOLDED_COLOUR = 1.2  # what the default model, which takes all frames at once, makes of those brackets
SCORES = ("mef_ssim", "q_abf", "q_w", "q_cv", "residual", "luma", *KEPT_NAMES, "score")


@dataclass(frozen=True)
class Held:
    """One fixed validation bracket."""

    scene: str
    frames: tuple[Bytes, ...]  # dark to bright, or near focus first
    truth: NDArray[np.float32] | None = None  # (H, W, 3), where it is known
    lights: NDArray[np.float32] | None = None  # (N, H, W, 3), of moving scenes; their truth is light, too
    evs: tuple[float, ...] = ()  # likewise
    low: NDArray[np.float32] | None = None  # (h, w), of depth; the truth is (H, W, 1)
    depth: NDArray[np.float32] | None = None  # (H, W), of focus stacks: 0 far to 1 near
    folded: bool = False  # more frames than the network takes at once


def held_out(store: Store, frames: int = 2, short_side_px: int = SHORT_SIDE_PX) -> list[Held]:
    """One bracket of each validation scene: darkest near mean 30, brightest near 185, mildly noisy JPEGs."""
    found: list[Held] = []
    for index, view in one_of_each(store, short_side_px):
        entry = store.entries[index]
        rng = rng_of("held", entry.name)
        camera = Camera(SRGB, full_well=2e5, read_noise=3.0, jpeg_quality=95)
        means = mean_by_ev(camera, store.thumbs[index])
        ends = ev_for_mean(means, rng.uniform(16, 50)), ev_for_mean(means, rng.uniform(165, 215))
        shots = tuple(camera.shoot(view, ev, rng) for ev in np.linspace(*ends, frames))
        found.append(Held(entry.scene, shots))
    return found


def one_of_each(store: Store, short_side_px: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """One view of each validation scene, linear light, and its number."""
    scenes = set()
    for index in store.indices("val", "panorama", "radiance"):
        scene = store.entries[index].scene
        if scene not in scenes:
            scenes.add(scene)
            yield index, _reduced(store, index, short_side_px)


def _reduced(store: Store, index: int, short_side_px: int) -> NDArray[np.float32]:
    import cv2

    view = store.level(index, store.level_for(index, short_side_px)).astype(np.float32)
    height, width = view.shape[:2]
    factor = min(1.0, short_side_px / min(height, width))
    size = (round(width * factor), round(height * factor))
    return np.asarray(cv2.resize(view, size, interpolation=cv2.INTER_AREA), np.float32)


def linear_residual(frames: Tensor, fused: Tensor) -> float:
    """What the best global linear mix of the frames cannot explain, rms in grey levels. Near 0: collapsed."""
    inputs = frames.flatten(1).T.double()  # (HW, N)
    inputs = torch.cat((inputs, torch.ones_like(inputs[:, :1])), dim=1)
    wanted = fused.flatten().double()[:, None]
    fit = torch.linalg.lstsq(inputs, wanted, driver="gelsd").solution
    return float((inputs @ fit - wanted).square().mean().sqrt() * 255.0)


@dataclass(frozen=True)
class Verdict:
    scores: dict[str, float]
    fused: list[NDArray[np.float32]]  # (H, W, 3) each


def fuse_all(
    spec: ModelSpec, network: nn.Module, brackets: list[Held], device: str
) -> list[NDArray[np.float32]]:
    """Every bracket through the engine, as a user would."""
    if brackets[0].lights is not None:
        return [_light(network, held, device) for held in brackets]
    if brackets[0].low is not None:
        return [_depth(network, held, device) for held in brackets]
    fuser = Fuser(spec, network, device)
    if spec.task == "focus":
        return [as_floats(folded(held.frames, Opinion(fuser)).picture) for held in brackets]
    return [
        np.asarray(fuser.fuse(held.frames, range(len(held.frames)), resolution="native", depth=32))
        for held in brackets
    ]


def _light(network: nn.Module, held: Held, device: str) -> NDArray[np.float32]:
    """The light of a moving scene."""
    from mefnets.engine.light import Merger

    assert held.lights is not None
    return Merger(network, device).light(np.stack(held.frames), held.lights)


def _depth(network: nn.Module, held: Held, device: str) -> NDArray[np.float32]:
    """The depth of a scene in full."""
    from mefcli.depth.guided import Guide

    assert held.low is not None
    return Guide(network, device).enlarged(held.low, held.frames[0])[..., None]


def judge(brackets: list[Held], fused: list[NDArray[np.float32]]) -> dict[str, float]:
    """Mean scores; `score` is the one number that picks the best checkpoint (higher is better)."""
    if brackets[0].lights is not None:
        pairs = zip(brackets, fused, strict=True)
        values = [psnr_mu(picture, held.truth) for held, picture in pairs if held.truth is not None]
        return {"psnr_mu": float(np.mean(values)), "score": float(np.mean(values))}
    if brackets[0].low is not None:
        errors = [_error(held.truth, found) for held, found in zip(brackets, fused, strict=True)]
        return {"rmse": float(np.mean(errors)), "score": -float(np.mean(errors))}
    if brackets[0].truth is not None:
        return _against_truth(brackets, fused)
    rows, folds = [], []
    for held, picture in zip(brackets, fused, strict=True):
        if held.folded:
            kept = measured(picture, held.frames, names=("MEF_SSIM", "colour", "outside"))
            folds.append(tuple(kept.values()))
            continue
        frames = (
            torch.from_numpy(np.stack(held.frames)).movedim(-1, 1)[None].float() / 255.0
        )  # (1, N, 3, H, W)
        result = torch.from_numpy(np.ascontiguousarray(picture)).movedim(-1, 0)[None].clamp(0, 1)
        grey = measures.gray(frames)
        luma = measures.gray(result)
        ends = frames[:, [0, -1]]
        row = [
            float(measures.mef_ssim(frames, result)),
            float(measures.q_abf(ends, result)),
            float(measures.q_w(ends, result)),
            float(measures.q_cv(ends, result)),
            linear_residual(grey[0, :, 0], luma[0, 0]),
            float(luma.mean()),
            *measured(picture, held.frames, names=KEPT_NAMES).values(),
        ]
        rows.append(row)
    means = [float(value) for value in np.mean(rows, axis=0)]
    scores = dict(zip(SCORES, means, strict=False))
    scores["score"] = (
        2 * scores["mef_ssim"]
        + scores["q_abf"]
        + scores["q_w"]
        - scores["q_cv"] / 1000.0
        - 10 * (scores["crushed"] + scores["blown"])
    )
    if folds:
        structure, colour, outside = (float(value) for value in np.mean(folds, axis=0))
        scores |= {"folded": structure, "folded_colour": colour, "folded_outside": outside}
        scores["score"] += 2 * structure - 0.5 * max(0.0, colour - FOLDED_COLOUR) - outside
    return scores


def _error(truth: NDArray[np.float32] | None, found: NDArray[np.float32]) -> float:
    """Of depth: the root of the mean square error, in per cent of the range."""
    assert truth is not None
    return float(100 * np.sqrt(np.square(found - truth).mean()) / np.ptp(truth))


def _against_truth(brackets: list[Held], fused: list[NDArray[np.float32]]) -> dict[str, float]:
    """PSNR of RGB in dB, and Q_ABF of luminance; ten times the one counts beside the other."""
    rows = []
    for held, picture in zip(brackets, fused, strict=True):
        assert held.truth is not None
        error = float(np.square(np.clip(picture, 0, 1) - held.truth).mean())
        edges = measured(picture, (held.frames[0], held.frames[-1]), names=("Q_ABF",))["Q_ABF"]
        rows.append((-10 * np.log10(max(error, 1e-8)), edges))
    psnr, edges = (float(value) for value in np.mean(rows, axis=0))
    return {"psnr": psnr, "q_abf": edges, "score": psnr + 10 * edges}


@torch.no_grad()
def validate(spec: ModelSpec, network: nn.Module, brackets: list[Held], device: str = "cpu") -> Verdict:
    fused = fuse_all(spec, network, brackets, device)
    return Verdict(judge(brackets, fused), fused)


def save_sheet(
    path: Path, brackets: list[Held], fused: list[NDArray[np.float32]], height_px: int = 170
) -> None:
    """A row per scene: darkest frame, brightest frame, result."""
    import cv2

    rows = []
    for held, picture in zip(brackets, fused, strict=True):
        seen = picture if held.lights is None else compressed(picture)
        if held.low is not None:
            seen = np.repeat((picture - picture.min()) / max(float(np.ptp(picture)), 1e-9), 3, axis=2)
        shown = (np.clip(seen, 0, 1) * 255 + 0.5).astype(np.uint8)
        tiles = [held.frames[0], held.frames[-1], shown]
        scale = height_px / shown.shape[0]
        size = (max(1, round(shown.shape[1] * scale)), height_px)
        rows.append(np.hstack([cv2.resize(tile, size, interpolation=cv2.INTER_AREA) for tile in tiles]))
    half = (len(rows) + 1) // 2
    columns = [_stacked(rows[:half]), _stacked(rows[half:])] if len(rows) > 1 else [_stacked(rows)]
    tallest = max(column.shape[0] for column in columns)
    padded = [np.pad(column, ((0, tallest - column.shape[0]), (0, 0), (0, 0))) for column in columns]
    sheet = np.hstack(padded)
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    storage.write_bytes(path, data.tobytes())


def _stacked(rows: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    widest = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(row, ((0, 0), (0, widest - row.shape[1]), (0, 0))) for row in rows])
