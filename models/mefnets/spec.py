"""The facts about a network that everyone else needs: what it eats, how far it sees, where it comes from.

The engine (`fuser.py`) reads these and never asks which network it is running.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Colour = Literal["luma", "rgb"]
Chroma = Literal["weighted", "none"]


@dataclass(frozen=True)
class Paper:
    title: str
    authors: str
    venue: str
    year: int


@dataclass(frozen=True)
class ModelSpec:
    """One network, as the engine and `mef models show` see it.

    `module` names a module with `build(**options) -> torch.nn.Module`, imported on use. The network's
    `forward(frames)` takes `(B, N, C, H, W)` float32 in [0, 1], display-referred, dark to bright, and
    returns `(B, C, H, W)`; C is 1 for "luma", 3 for "rgb". `forward` does not clamp unless its paper does.
    """

    name: str
    title: str
    module: str
    colour: Colour
    max_frames: int | None = 2  # None: any number at once; 2: the engine folds longer brackets
    multiple: int = 1  # height and width are padded to multiples of this (reflect, bottom and right)
    min_size: int = 3  # shortest side the network can take; smaller pictures are padded
    reach: int | None = None  # receptive-field radius in pixels; None: global context, tiles need statistics
    whole: bool = False  # never cut into tiles: it weighs large shapes, and lives in little memory
    tile_align: int = 1  # tiles start on multiples of this
    chroma: Chroma = "weighted"  # "luma" networks: mean of Cb and Cr weighted by |C - 0.5|; "none" for "rgb"
    mirror_px: int = 0  # shown to the network beyond the picture's border, where its zero padding would show
    half_safe: bool = False  # float16 gives the same picture within 1/255
    luma_range: Literal["full", "studio"] = "full"
    weights: str | None = None  # file name in weights/; None: nothing learned
    options: Mapping[str, object] = field(default_factory=dict)  # passed to build()
    paper: Paper | None = None
    summary: str = ""
    aligns: bool = False  # the network aligns its inputs itself
    max_native_px: int | None = None  # refuse native mode above this many pixels, where cost is not linear
