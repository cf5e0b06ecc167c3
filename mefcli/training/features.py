"""The feature network of MEF-CL: trained on free photographs to tell how a picture was altered.

A network that can say by how many stops a picture was pushed, how its gamma, saturation, sharpness and noise
were changed must feel exposure, colour and texture, and needs no labels and no foreign weights. Its test is
on scenes it has never seen: a nearest-centre rule on its pooled features must tell under-, normally and
over-exposed pictures apart, better than the same network before training.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mefcli.checkpoints import read_weights, weight_folders
from mefcli.errors import ModelError, named
from mefcli.training.pack import Part
from mefcli.training.simulator import Simulator
from mefcli.training.store import Store
from mefnets.mefcl.features import FeatureNet, alter
from mefnets.recipe import Data

WEIGHTS = "features.safetensors"  # in one of the folders that hold weights
CROP_PX = 64
BATCH = 16
LR = 2e-3
STEPS = 1600
CLASSES = ("under", "normal", "over")


def untrained_features() -> FeatureNet:
    return FeatureNet().eval()


def load_features(path: Path | None = None) -> FeatureNet:
    """The trained feature network: of a file, or the one that lies with the other weights."""
    path = path or next((at for folder in weight_folders() if (at := folder / WEIGHTS).is_file()), None)
    if path is None or not path.is_file():
        raise ModelError("The feature network of MEF-CL is not trained yet.", "Run mef train features first.")
    tensors, _, _ = read_weights(path)
    network = FeatureNet()
    try:
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except RuntimeError as error:
        raise ModelError(
            f"{path.name} holds no feature network of MEF-CL.",
            f"Give {named('features')} a file of mef train features.",
        ) from error
    return network.eval().requires_grad_(False)


def _simulator(store: Store, part: Part, seed: int) -> Simulator:
    return Simulator(store, Data(crop_px=CROP_PX), seed=seed, part=part)


def normal_pictures(simulator: Simulator, stream: int, count: int) -> Tensor:  # (count, 3, H, W)
    rng = simulator.rng(10, stream)
    pictures = np.stack([simulator.normal(rng) for _ in range(count)])
    return torch.from_numpy(pictures).movedim(-1, 1).float() / 255.0


@dataclass(frozen=True)
class Trained:
    network: FeatureNet
    loss: float
    steps: int
    seconds: float


def train_features(
    store: Store,
    *,
    seed: int = 0,
    steps: int = STEPS,
    budget_s: float | None = None,
    on_step: Callable[[int, float, float], None] = lambda step, progress, loss: None,
) -> Trained:
    torch.manual_seed(seed)
    simulator = _simulator(store, "train", seed)
    network = FeatureNet()
    optimiser = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=1e-4)
    started, mean_loss, step = time.monotonic(), 0.0, 0
    while True:
        progress = step / steps
        if budget_s:
            progress = max(progress, (time.monotonic() - started) / budget_s)
        if progress >= 1:
            break
        rate = LR * min(1.0, (step + 1) / 50) * 0.5 * (1 + np.cos(np.pi * progress))
        for group in optimiser.param_groups:
            group["lr"] = float(rate)
        altered, how = alter(normal_pictures(simulator, step, BATCH))
        loss = F.smooth_l1_loss(network(altered), how, beta=0.2)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        mean_loss = 0.98 * mean_loss + 0.02 * float(loss.detach()) if step else float(loss.detach())
        step += 1
        if step % 20 == 0:
            on_step(step, progress, mean_loss)
    return Trained(network.eval(), mean_loss, step, time.monotonic() - started)


# ---- the test --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Separation:
    """How well the features tell the three exposures apart, on scenes of the validation part."""

    accuracy: dict[str, float]  # by tap: share of held-out pictures nearest to their own class's centre
    ratio: dict[str, float]  # by tap: distance between centres over spread around them
    alteration_error: float  # mean absolute error of the head, in its units
    guess_error: float  # of always guessing the mean alteration


@torch.no_grad()
def separation(network: FeatureNet, store: Store, count: int = 120) -> Separation:
    """Centres from training scenes, judged on unseen ones. Pictures are simulated, not altered."""
    seen = _exposures(store, "train", count)
    unseen = _exposures(store, "val", count)
    accuracy, ratio = {}, {}
    for tap, name in enumerate(("shallow", "deep")):
        known = {kind: _pooled(network, pictures, tap) for kind, pictures in seen.items()}
        everything = torch.cat(list(known.values()))
        scale = everything.std(0).clamp_min(1e-4)
        centres = torch.stack([known[kind].mean(0) for kind in CLASSES]) / scale  # (3, C)
        right, total, spread = 0, 0, 0.0
        for label, kind in enumerate(CLASSES):
            found = _pooled(network, unseen[kind], tap) / scale  # (count, C)
            distances = torch.cdist(found, centres)
            right += int((distances.argmin(1) == label).sum())
            spread += float(distances[:, label].mean()) / len(CLASSES)
            total += len(found)
        accuracy[name] = right / total
        ratio[name] = float(torch.pdist(centres).mean()) / spread
    simulator = _simulator(store, "val", 99)
    altered, how = alter(normal_pictures(simulator, 0, count), torch.Generator().manual_seed(7))
    error = float((network(altered) - how).abs().mean())
    guess = float((how - how.mean(0)).abs().mean())
    return Separation(accuracy, ratio, error, guess)


def _exposures(store: Store, part: Part, count: int) -> dict[str, Tensor]:
    simulator = _simulator(store, part, 5)
    rng = simulator.rng(11, 0)
    kinds = {"under": (8.0, 50.0), "normal": (95.0, 145.0), "over": (195.0, 246.0)}
    found = {}
    for kind, means in kinds.items():
        pictures = np.stack([simulator.exposed_for(means, rng) for _ in range(count)])
        found[kind] = torch.from_numpy(pictures).movedim(-1, 1).float() / 255.0
    return found


def _pooled(network: FeatureNet, pictures: Tensor, tap: int) -> Tensor:  # (B, C)
    return torch.cat([network.taps(part)[tap].mean((2, 3)) for part in torch.split(pictures, 40)])
