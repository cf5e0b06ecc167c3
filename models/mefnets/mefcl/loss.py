"""MEF-CL's loss: L = L_MSE + 10 L_SSIM + 20 L_NCE.

Pictures are RGB `(B, 3, H, W)` in [0, 1]. MSE and SSIM hold the result to both sources; the contrastive term
draws its features towards well-exposed photographs of other scenes (positives) and away from badly exposed
pictures (negatives, kept in a memory), in a shallow and in a deep feature map.

Ours, where they have a weight: `colour_loss`, since without it the contrastive term found that a green tint
looks well exposed; MEF-SSIM against the sources (`fidelity`); and `release`: two under-exposed sources, or
two over-exposed ones, hold their result less and leave more to the contrastive term.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.measures import mef_ssim_by_plane, ssim
from mefnets.mefcl.features import Taps
from mefnets.recipe import Batch, Objective

SSIM_WEIGHT = 10.0
NCE_WEIGHT = 20.0
TEMPERATURE = 0.01
NEGATIVES = 360
WELL_EXPOSED = 0.46  # the mean of a photograph that is


def mse_loss(fused: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """L_MSE, half of the mean square to each source, `(B,)`."""
    return 0.5 * ((fused - first) ** 2 + (fused - second) ** 2).flatten(1).mean(1)


def ssim_loss(fused: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """L_SSIM = 1 - (SSIM(I_f, I_1) + SSIM(I_f, I_2)) / 2, Gaussian window 11, sigma 1.5, `(B,)`."""
    return 1 - 0.5 * (ssim(fused, first) + ssim(fused, second))


def hold(first: Tensor, second: Tensor, release: float) -> Tensor:
    """How firmly sources hold their result, `(B,)`: 1, and 1 - release where both are dark or both bright."""
    mean = 0.5 * (first + second).flatten(1).mean(1)
    return 1 - release * (((mean - WELL_EXPOSED).abs() - 0.15) / 0.15).clamp(0, 1)


def colour_loss(fused: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """1 - the cosine between the RGB vectors of the result and of the sources' sum; free of brightness."""
    lift = 0.05  # near black, noise decides the direction
    wanted = 0.5 * (first + second)
    return 1 - F.cosine_similarity(fused + lift, wanted + lift, dim=1).mean()


def unit(features: Tensor, mean: Tensor | None = None) -> Tensor:  # (B, C, h, w) -> (B, C*h*w)
    """Features whose scalar product is the mean over positions of the cosine of channel vectors.

    `mean` (C,) is subtracted first: what all pictures share tells nothing; rectified features share much.
    """
    if mean is not None:
        features = features - mean.view(1, -1, 1, 1)
    positions = features.shape[2] * features.shape[3]
    cosines: Tensor = F.normalize(features.float(), dim=1, eps=1e-6).flatten(1)
    return cosines / math.sqrt(positions)


def info_nce(anchor: Tensor, positive: Tensor, negatives: Tensor, t: float = TEMPERATURE) -> Tensor:
    """-log(exp(S+/t) / (exp(S+/t) + sum_j exp(S-_j/t))), S scalar products of units, `(B,)`.

    anchor, positive: (B, D); negatives: (N, D). With t = 0.01 the logits span +-100: log-sum-exp in float32.
    """
    anchor, positive, negatives = anchor.float(), positive.float(), negatives.float()
    s_plus = (anchor * positive).sum(1, keepdim=True)  # (B, 1)
    logits = torch.cat((s_plus, anchor @ negatives.T), 1) / t  # (B, 1 + N)
    return torch.logsumexp(logits, 1) - logits[:, 0]


class Memory(nn.Module):
    """The last `size` negatives of one tap, as units; new ones push out the oldest."""

    def __init__(self, size: int = NEGATIVES) -> None:
        super().__init__()
        self.size = size
        self.kept: Tensor | None = None  # (n, D), newest first

    def push(self, units: Tensor) -> Tensor:
        """Add units (k, D) and return all that are kept. Another D (another patch size) starts afresh."""
        units = units.detach()
        if self.kept is not None and self.kept.shape[1] == units.shape[1]:
            units = torch.cat((units, self.kept.to(units.device)))
        self.kept = units[: self.size]
        return self.kept


class MEFCLObjective(Objective):
    """The whole loss. `use_features` must have given it its frozen features before the first step.

    `style=True` averages each feature map over its positions first. The paper compares position by
    position, although positives show other scenes: then no result can ever be closer to its positive than
    to 360 negatives, and the term never comes to rest (README.md).

    `by_plane=True` shows R, G and B to the feature network one by one, each as a grey picture, as the paper
    does; one that does so itself (VGG-16) is shown the picture.
    """

    def __init__(
        self,
        features: Taps | None = None,
        *,
        mse_weight: float = 1.0,
        ssim_weight: float = SSIM_WEIGHT,
        nce_weight: float = NCE_WEIGHT,
        colour_weight: float = 0.0,
        fidelity_weight: float = 0.0,
        taps: Sequence[str] = ("shallow", "deep"),
        t: float = TEMPERATURE,
        negatives: int = NEGATIVES,
        subtract_mean: bool = True,
        style: bool = False,
        by_plane: bool = False,
        own_sources: bool = False,
        release: float = 0.0,
        swap: bool = True,
    ) -> None:
        super().__init__()
        self.mse_weight, self.ssim_weight, self.nce_weight = mse_weight, ssim_weight, nce_weight
        self.colour_weight, self.fidelity_weight = colour_weight, fidelity_weight
        self.by_plane, self.release = by_plane, release
        self.taps, self.t = tuple(taps), t
        self.subtract_mean, self.style, self.own_sources, self.swap = subtract_mean, style, own_sources, swap
        self.memories = nn.ModuleDict({name: Memory(negatives) for name in self.taps})
        self.means: dict[str, Tensor] = {}
        self.features: Taps | None = None
        if features is not None:
            self.use_features(features)

    def asks(self) -> tuple[str, ...]:
        return ("MEF_SSIM",) if self.fidelity_weight else ()

    def use_features(self, features: Taps) -> None:
        """Take `FeatureNet` with its trained weights, or VGG-16; it is frozen here."""
        if isinstance(features, nn.Module):
            features.eval().requires_grad_(False)
        self.features = features

    def get_extra_state(self) -> dict[str, dict[str, Tensor]]:
        """What a resumed run must find again beside the parameters: negatives kept and mean features."""
        kept = {
            name: m.kept for name, m in self.memories.items() if isinstance(m, Memory) and m.kept is not None
        }
        return {"kept": kept, "means": dict(self.means)}

    def set_extra_state(self, state: dict[str, dict[str, Tensor]]) -> None:
        self.means = dict(state["means"])
        for name, units in state["kept"].items():
            memory = self.memories[name]
            assert isinstance(memory, Memory)
            memory.kept = units

    def _maps(self, picture: Tensor) -> dict[str, Tensor]:
        if self.features is None:
            raise ValueError("MEF-CL's contrastive term has no feature network. Call use_features() first.")
        if self.by_plane and not getattr(self.features, "by_plane", False):
            B = picture.shape[0]
            planes = picture.flatten(0, 1)[:, None].expand(-1, 3, -1, -1)  # (3B, 3, H, W)
            taps = [tap.reshape(B, -1, *tap.shape[2:]) for tap in self.features.taps(planes)]
        else:
            taps = list(self.features.taps(picture))
        maps = dict(zip(("shallow", "deep"), taps, strict=True))
        return {
            name: maps[name].mean((2, 3), keepdim=True) if self.style else maps[name] for name in self.taps
        }

    def _mean(self, name: str, batch: Tensor) -> Tensor | None:
        """The mean feature so far, slowly updated by the pictures that are not ours to move."""
        if not self.subtract_mean:
            return None
        now = batch.detach().mean((0, 2, 3))
        before = self.means.get(name)
        self.means[name] = now if before is None else torch.lerp(before.to(now.device), now, 0.02)
        return self.means[name]

    def contrast(self, fused: Tensor, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """L_NCE, shallow plus deep, `(B,)`, and how far positives are ahead of the hardest negative."""
        if batch.normal is None:
            raise ValueError("MEF-CL's contrastive term needs well exposed patches: set Data.normals.")
        sources = [batch.frames[:, 0], batch.frames[:, -1]]
        bad = [] if batch.extreme is None else [batch.extreme]
        if self.own_sources or not bad:
            bad += sources
        with torch.no_grad():
            good_maps, bad_maps = self._maps(batch.normal), self._maps(torch.cat(bad))
        total, terms = fused.new_zeros(fused.shape[0]), {}
        for name, anchor_map in self._maps(fused).items():
            mean = self._mean(name, torch.cat((good_maps[name], bad_maps[name])))
            anchor, positive = unit(anchor_map, mean), unit(good_maps[name], mean)
            memory = self.memories[name]
            assert isinstance(memory, Memory)
            negatives = memory.push(unit(bad_maps[name], mean))
            total = total + info_nce(anchor, positive, negatives, self.t)
            with torch.no_grad():
                lead = (anchor * positive).sum(1) - (anchor @ negatives.T).amax(1)
            terms[f"lead_{name}"] = lead.mean().item()
        return total, terms

    def forward(self, network: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
        pair = batch.frames[:, [0, -1]]  # (B, 2, 3, H, W)
        if self.swap:  # any two exposures, in any order
            swapped = torch.rand(pair.shape[0], device=pair.device) < 0.5
            pair = torch.where(swapped.view(-1, 1, 1, 1, 1), pair.flip(1), pair)
        fused = network(pair)
        held = hold(pair[:, 0], pair[:, 1], self.release)
        square = (held * mse_loss(fused, pair[:, 0], pair[:, 1])).mean()
        structure = (held * ssim_loss(fused, pair[:, 0], pair[:, 1])).mean()
        terms = {"mse": square.item(), "ssim": structure.item(), "mean_luma": fused.mean().item()}
        loss = self.mse_weight * square + self.ssim_weight * structure
        if self.colour_weight:
            colour = colour_loss(fused, pair[:, 0], pair[:, 1])
            loss = loss + self.colour_weight * colour
            terms["colour"] = colour.item()
        if self.fidelity_weight:
            fidelity = 1 - mef_ssim_by_plane(pair, fused).mean()
            loss = loss + self.fidelity_weight * fidelity
            terms["fidelity"] = fidelity.item()
        if self.nce_weight:
            contrast, more = self.contrast(fused, batch)
            loss = loss + self.nce_weight * (contrast / held).mean()
            terms |= {"nce": contrast.mean().item(), **more}
        return loss, terms
