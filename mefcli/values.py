"""The values that flow one way through the pipeline: Path -> Shot -> Bracket -> Stack -> Fused -> Path.

All are frozen; a stage takes the last one's value and returns a new one. Pixels are display-referred
(gamma encoded), `(H, W, 3)` RGB, in the source's own depth: uint8, uint16 or float32 in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]
Kind = Literal["jpeg", "tiff", "png", "raw", "heif", "webp", "bmp", "pnm", "gif"]
StageName = Literal["discover", "group", "read", "align", "deghost", "fuse", "merge", "write"]
MotionModel = Literal["identity", "shift", "rigid", "similarity", "homography"]
Matrix = NDArray[np.float64]  # (3, 3)
Box = tuple[int, int, int, int]  # left, top, right, bottom in source pixels; right and bottom exclusive
Outline = tuple[tuple[int, int], ...]
"""A region's edge in source pixels, to a few pixels; a hole has one of its own inside it."""


@dataclass(frozen=True)
class Step:
    """A stage's word on how far it is. The command line turns these into bars."""

    stage: StageName
    done: float  # 0..1 within the stage
    note: str = ""


OnStep = Callable[[Step], None]


def silent(_: Step) -> None:
    """The default `on_step`: nobody is listening."""


@dataclass(frozen=True)
class Drive:
    """What the maker notes say about bracketing, where the camera tells."""

    bracketing: bool | None = None
    sequence_number: int | None = None  # 1-based place of the shot within its bracket
    sequence_length: int | None = None


@dataclass(frozen=True)
class Shot:
    """One source file: facts from its name and header only, no pixels."""

    path: Path
    kind: Kind
    size_px: tuple[int, int] | None = None  # width, height, upright (after orientation)
    exposure_s: float | None = None
    aperture: float | None = None  # f-number
    iso: float | None = None
    bias_ev: float | None = None
    taken_at: datetime | None = None  # start of the exposure, with sub-seconds, camera clock
    camera: str | None = None
    serial: str | None = None
    lens: str | None = None
    focal_mm: float | None = None
    focus_m: float | None = None  # distance that the camera says it focused at
    orientation: int = 1  # as stored, EXIF 1..8
    depth: int | None = None  # bits a channel once decoded, where the header tells: 8, 16, 32 (float)
    drive: Drive = Drive()
    manual: bool | None = None  # the photographer chose the exposure, not the meter, where the camera tells
    icc: bytes | None = None  # of the colours as stored
    icc_name: str | None = None
    fused: bool = False  # by this program, from other shots

    @property
    def ev(self) -> float | None:
        """Exposure in stops, larger is brighter: log2(t * ISO/100 / N^2). None without an exposure time.

        A missing aperture or ISO counts as unchanged across the bracket (f/1, ISO 100).
        """
        if not self.exposure_s or self.exposure_s <= 0:
            return None
        aperture = self.aperture if self.aperture and self.aperture > 0 else 1.0
        iso = self.iso if self.iso and self.iso > 0 else 100.0
        ev = float(np.log2(self.exposure_s * iso / 100.0 / aperture**2))
        return ev if np.isfinite(ev) else None


@dataclass(frozen=True)
class Bracket:
    """Shots of one scene, dark to bright."""

    shots: tuple[Shot, ...]
    evs: tuple[float, ...]  # relative to the reference shot, dark to bright
    reference: int  # index of the shot whose metadata and geometry the result keeps
    why: str  # how these shots came together and were ordered, in words
    notes: tuple[str, ...] = ()  # what whoever looks at the result should know of its frames
    measured: bool = False  # the exposures are told from how bright the pictures are, as nothing is recorded

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(shot.path for shot in self.shots)


@dataclass(frozen=True)
class Placed:
    """How one frame lay against the reference, in source pixels."""

    model: MotionModel
    matrix: Matrix  # a pixel of the reference (x, y, 1) to its place in the frame; of one kept, the identity
    confidence: float  # 0..1
    residual_px: float  # expected error of the motion, from noise
    moved_px: float  # as measured, rms over the picture; a frame that lay nearly right is kept all the same
    via: int  # the frame it was measured against
    trusted: bool  # False: too little in common with the others, so it was kept in place
    flow_share: float | None = (
        None  # of the picture, followed by dense flow; None where that was not asked for
    )

    @property
    def kept_identity(self) -> bool:
        return self.model == "identity"


@dataclass(frozen=True)
class Alignment:
    """How the frames lay, dark to bright, and what of the reference's plane the aligned ones show."""

    placed: tuple[Placed, ...]
    box: Box  # in the reference's pixels; beyond its own rectangle where the canvas has grown


@dataclass(frozen=True)
class Ghost:
    """What moved in one frame, as seen against the reference for ghosts."""

    share: float = 0.0  # of the picture
    boxes: tuple[Box, ...] = ()
    outlines: tuple[Outline, ...] = ()


@dataclass(frozen=True)
class Ghosts:
    reference: int  # the frame that is right about what moved
    frames: tuple[Ghost, ...]  # dark to bright; the reference's own is empty
    weights_sha256: str | None = None  # of the network that told what moved; comparing needs none


@dataclass(frozen=True)
class Curve:
    """What a value in one exposure becomes in another, per channel, over source values (k + 0.5) / bins."""

    value: NDArray[np.float64]  # (3, bins): in [0, 1]
    spread: NDArray[np.float64]  # (3, bins): standard deviation of the static majority about the value


@dataclass(frozen=True)
class Reduced:
    """Small versions of the frames as they stand, and the curves between them: made once, for all stages."""

    frames: tuple[Pixels, ...]  # each (h, w, 3), in the source's depth
    factor: int  # a reduced pixel is the mean of factor x factor source pixels
    size_px: tuple[int, int]  # width and height of the source
    seen: tuple[NDArray[np.bool_] | None, ...]  # where a moved frame has pixels of its own; None: everywhere
    curves: dict[tuple[int, int], Curve] = field(default_factory=dict)  # (from, to); grows as stages ask


@dataclass(frozen=True)
class Stack:
    """Decoded frames, dark to bright, one size, one depth, one colour space."""

    bracket: Bracket
    frames: Sequence[Pixels]  # each (H, W, 3)
    icc: bytes | None  # the profile that describes all frames; None means untagged, taken as sRGB
    notes: tuple[str, ...] = ()
    alignment: Alignment | None = None  # None where the stage did not run
    ghosts: Ghosts | None = None
    reduced: Reduced | None = None  # of exactly these frames, if a stage has made it
    read_s: float = 0.0  # seconds that reading took where it was done ahead


def to_change(stack: Stack, *, spend: bool) -> list[Pixels]:
    """A stack's frames in a list, to put others in their places.

    `spend`: in its own list, so that each frame is let go as soon as another takes its place, whoever holds
    the stack. Without, the stack stays as it is, and there is memory for both.
    """
    return stack.frames if spend and isinstance(stack.frames, list) else list(stack.frames)


@dataclass(frozen=True)
class Sharp:
    """Which frame of a focus stack each place of the result came from, near focus first."""

    shares: tuple[float, ...]  # of the picture
    map: NDArray[np.uint8]  # (h, w) reduced: numbers of frames


ALIGNED = "none"  # the model of a frame that was aligned and not fused


@dataclass(frozen=True)
class Record:
    """What was done, for XMP, JSON and the report."""

    model: str
    weights_sha256: str | None
    settings: Mapping[str, Any]
    seconds: Mapping[str, float] = field(default_factory=dict)  # per stage
    peak_memory_mb: float | None = None
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()  # file names of the frames, dark to bright


GAIN_OFFSET = 1 / 64  # of the picture's white: what nearly black is multiplied by stays small


@dataclass(frozen=True)
class GainMap:
    """How much brighter than a picture its scene was, for screens that show more than white.

    Light beyond white is (light + offset) * 2**stops - offset, colour by colour.
    """

    levels: NDArray[np.uint8]  # (h, w, 3) reduced: 0 is no stop, 255 is `most`
    most: float  # stops
    offset: float = GAIN_OFFSET


@dataclass(frozen=True)
class GainMapFacts:
    """What a file says of its gain map."""

    stops: float  # above white that it adds at most
    headroom: float  # of a screen, in stops above white, at which it adds all
    size_px: tuple[int, int]
    channels: int
    told: tuple[str, ...]  # in which forms


@dataclass(frozen=True)
class Fused:
    bracket: Bracket
    pixels: Pixels  # (H, W, 3), the deepest depth asked for
    icc: bytes | None
    record: Record
    alignment: Alignment | None = None
    ghosts: Ghosts | None = None
    sharp: Sharp | None = None  # of a focus stack
    gains: GainMap | None = None  # where light beyond white was asked for, and there is some
