"""What a package declares to be trained; `mefcli.training` has the one loop that runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

StackKind = Literal["exposures", "focus", "infrared", "moving", "depth"]


@dataclass(frozen=True)
class Batch:
    """What the simulator hands to an objective. Everything float32 in [0, 1], display-referred RGB.

    Of moving scenes: frames of six channels, each frame's light beside it; the target is linear light, too.
    Of depth: one frame of seven channels, colour and what is known of the depth, and a target of one.
    """

    frames: Tensor  # (B, N, 3, H, W), dark to bright; near focus first; visible, then infrared
    evs: Tensor  # (B, N), stops, relative to the middle of the simulated bracket
    target: Tensor | None = None  # (B, 3, H, W), the fused reference of the noise-free bracket; all in focus
    normal: Tensor | None = None  # (B, 3, H, W), well exposed patches of other scenes
    extreme: Tensor | None = None  # (K, 3, H, W), badly exposed patches of many scenes
    # (B, N, 3, H, W), without noise, rounding, compression and motion; of a pair that is all under- or all
    # over-exposed, the bracket that should have been taken instead.
    clean: Tensor | None = None
    windows: Tensor | None = None  # (K, 4): which item, top, left, side; what the network is to be shown


class Objective(nn.Module):
    """A paper's training objective. Subclass, and return the loss and the terms worth a line in the log.

    An objective that trains a critic beside the network keeps it as its own parameters and overrides
    `critic_loss`; the loop then takes one critic step (own Adam) before each network step.
    """

    def forward(self, network: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
        raise TypeError(f"{type(self).__name__} must define forward(network, batch, progress)")

    def asks(self) -> tuple[str, ...]:
        """The measures of a fusion that are in this loss, by their names in tables of scores: a table of
        those flatters what was trained on them, and says so."""
        return ()

    def critic_loss(self, network: nn.Module, batch: Batch) -> Tensor | None:
        """The critic's loss on this batch, or None when there is no critic."""
        return None


@dataclass(frozen=True)
class Data:
    """What the simulator should make for this recipe."""

    frames: tuple[int, int] = (2, 2)  # fewest and most frames of a bracket
    fewer: float = 1.0  # above 1 short brackets are more frequent: 2 of 2 to 9 make 35 % pairs
    crop_px: int = 128
    batch: int = 8
    # Near native scale, or whole views reduced to crop_px. Simulated stacks other than exposures are patches.
    views: Literal["patches", "whole"] = "whole"
    turns: Literal[4, 2] = 4  # of patches, which are mirrored, too: quarter turns, or half turns only
    spread_ev: tuple[float, float] = (2.0, 7.0)  # between the darkest and the brightest frame
    lopsided: float = 0.0  # share of brackets whose frames are all under- or all over-exposed
    misaligned: float = 0.0  # share of brackets with camera motion and local motion
    fisheye: float = 0.0  # share of views seen through a fisheye's circle
    stack: StackKind = "exposures"  # what differs from frame to frame
    disc_px: tuple[float, float] = (2.0, 16.0)  # of focus stacks: the diameter of the widest disc of blur
    target: bool = False  # compute the supervised reference
    as_recorded: bool = False  # of focus stacks: with the noise of the frame that is in focus at each place
    normals: int = 0  # well exposed patches of other scenes per batch
    extremes: int = 0  # badly exposed patches per batch
    clean: bool = False  # hand over the frames as they were before noise, compression and motion
    windows: int = 0  # cut this many windows out of every picture; 0: the network sees it whole
    window_px: int = 64  # their side


@dataclass(frozen=True)
class Stage:
    """A part of a run with pictures of its own: from `begins` (share of the run) to the next stage."""

    begins: float
    data: Mapping[str, object]  # fields of Data that differ


@dataclass(frozen=True)
class Recipe:
    """One training run: command, cost and expected scores belong into the recipe module's docstring."""

    model: str  # name in MODELS
    data: Data
    objective: Callable[[], Objective]
    steps: int
    lr: float
    optimiser: Literal["adam", "adamw", "rmsprop"] = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    # A function: the share of `lr` at a progress from 0 to 1, for papers with a schedule of their own.
    schedule: Literal["constant", "cosine"] | Callable[[float], float] = "cosine"
    warmup_steps: int = 50
    clip_norm: float | None = 1.0
    clip_value: float | None = None  # bounds each element of the gradient by itself
    ema: float = 0.999  # decay of the averaged copy that is shipped; 0 ships the raw weights
    # From this share of the run on, batch norms use the statistics they keep, as they do when photographs are
    # fused: those of a few small windows are another picture's. 1: never.
    norms_rest: float = 1.0
    critic_lr: float = 1e-4
    stages: tuple[Stage, ...] = ()  # small pictures first, larger ones late
    wide: bool = True  # gains from bfloat16 units and bears their rounding while it learns
    options: dict[str, object] = field(default_factory=dict)  # passed to build() beside the SPEC's own
    variants: dict[str, dict[str, object]] = field(default_factory=dict)  # ablations: name -> changes
