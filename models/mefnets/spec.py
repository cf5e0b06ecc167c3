"""The facts about a network that everyone else needs: what it eats, how far it sees, what it costs.

The engine, the estimates, the lists and the tables read these and never ask which network they have at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Colour = Literal["luma", "rgb"]
Task = Literal["exposure", "focus", "infrared", "moving", "depth"]


@dataclass(frozen=True)
class Tiling:
    """How much of a picture a network must see at a time, and so how the engine may cut it.

    `sees` is one of

    * a number: so many pixels around each one. Tiles with that margin equal the whole picture.
    * "means": also means over the whole picture (`layers.blocks.GlobalStatistic`), recorded once and replayed
      in tiles; neighbouring tiles fade into each other.
    * "whole": shapes of any size. It is never cut; a picture for which memory does not suffice goes guided.
    * "strips": it fuses whole integer frames by itself, strip by strip (`engine.fuser.Streams`), at any size.
    """

    sees: int | Literal["means", "whole", "strips"]
    multiple: int = 1  # sides of what it sees, and the places where tiles begin, are multiples of this
    min_size: int = 3  # its shortest side; smaller pictures are padded
    mirror_px: int = 0  # shown of the picture beyond its border, mirrored, where zero padding would show

    @property
    def reach(self) -> int | None:
        """Receptive-field radius in pixels, of a network that has one."""
        return self.sees if isinstance(self.sees, int) else None

    @property
    def whole(self) -> bool:
        return self.sees == "whole"

    @property
    def strips(self) -> bool:
        return self.sees == "strips"


@dataclass(frozen=True)
class Cost:
    """What a fusion of two frames takes, start-up aside: `mef bench models` measures both.

    CPU seconds are those of one core with nothing else to do. Where two threads share a core, as most
    processors let them, each takes up to twice as many.
    """

    cpu_s: float  # a megapixel that the network sees
    held_bytes: int  # at its busiest, a pixel that it sees


@dataclass(frozen=True)
class Paper:
    title: str
    authors: str
    venue: str
    year: int
    link: str = ""


@dataclass(frozen=True)
class ModelSpec:
    """One network, as the engine and `mef models show` see it.

    `module` names a module with `build(**options) -> torch.nn.Module`, imported on use. The network's
    `forward(frames)` takes `(B, N, C, H, W)` float32 in [0, 1], display-referred, dark to bright, and
    returns `(B, C, H, W)`; C is 1 for "luma" (the engine fuses chroma), 3 for "rgb". `forward` does not clamp
    unless its paper does.
    """

    name: str
    title: str
    module: str
    colour: Colour
    tiling: Tiling
    task: Task = "exposure"  # what differs from frame to frame
    max_frames: int | None = 2  # None: any number at once; 2: the engine folds longer brackets
    half_safe: bool = False  # float16 gives the same picture within 1/255
    luma_range: Literal["full", "studio"] = "full"
    weights: str | None = None  # file name in weights/; None: nothing is learned
    options: Mapping[str, object] = field(default_factory=dict)  # passed to build()
    tastes: bool = False  # the network takes a `Taste`, as its attribute of that name
    aligns: bool = False  # the network aligns its inputs itself
    summary: str = ""
    merit: str = ""  # a measured word on its pictures, where no table of scores has its task
    cost: Cost | None = None  # None: nobody has measured it
    paper: Paper | None = None  # None: our own
    licence: str = "MIT"  # of this code and of the weights

    @property
    def learned(self) -> bool:
        """Whether it needs weights; the classics do not."""
        return self.weights is not None

    @property
    def package(self) -> str:
        """The package that holds its network, recipe and card."""
        return self.module.rpartition(".")[0]
