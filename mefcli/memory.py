"""What a bracket's pixels hold in memory, stage by stage, from sizes and settings alone.

Frames stay in their own depth. While they are read two are being decoded, while they are moved one is there
twice, and while they are fused the result and the network are beside them. Imports nothing heavy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mefcli.engines import runs_without_torch
from mefcli.errors import TooLargeError, named
from mefcli.job import NETWORK, Job
from mefcli.looks import taste_of
from mefcli.motion.sizes import HELD, reduction
from mefcli.values import Bracket, Shot
from mefnets.engine.budget import LEAST_MB, PROCESS_MB, TORCH_PROCESS_MB
from mefnets.taste import NATURAL

DECODED_AT_ONCE = 2
RAW_BYTES_PX = 16  # of LibRaw while it develops, beside the picture: mosaic, four channels, a copy
PREPARED_BYTES_PX = 11  # of a reduced frame made ready to measure motion, or to fill edges from
MEASURING_BYTES_PX = 80  # of the pair at hand
GAINS_BYTES_PX = 9  # of a gain map being made, where the network has ended
GHOST_PX, GHOST_NETWORK_BYTES_PX = 0.6e6, 1250  # of the network that removes ghosts: what it sees, and holds
SHARE_BYTES_PX = 4  # of how far each pixel is replaced
# Of a focus stack: picture, the frame at hand before and after it moves, the next, weights.
STACK_BYTES_PX = 62


@dataclass(frozen=True)
class Pictures:
    """The frames of one bracket, decoded."""

    size_px: tuple[int, int]
    count: int
    depth: int  # bits a channel
    raw: bool = False

    @property
    def pixels(self) -> int:
        return self.size_px[0] * self.size_px[1]

    @property
    def frame_mb(self) -> float:
        return self.pixels * 3 * self.depth / 8 / 2**20


def pictures_of(bracket: Bracket) -> Pictures | None:
    """As far as the headers tell: nothing where none has a size, eight bits where none has a depth."""
    sizes = [shot.size_px for shot in bracket.shots if shot.size_px]
    if not sizes:
        return None
    largest = max(sizes, key=lambda size: size[0] * size[1])
    depth = max(map(_depth, bracket.shots))
    return Pictures(largest, len(bracket.shots), depth, any(shot.kind == "raw" for shot in bracket.shots))


def _depth(shot: Shot) -> int:
    return 16 if shot.kind == "raw" else shot.depth or 8


def process_mb(job: Job) -> float:
    """Of the process before the first pixel."""
    light = runs_without_torch(job.model, job.weights, job.device) and taste_of(job) == NATURAL
    light = light and job.deghost != NETWORK
    return PROCESS_MB if light else TORCH_PROCESS_MB


def held_mb(pictures: Pictures, job: Job, depth: int, network_mb: float = LEAST_MB) -> float:
    """The most that is held at once, beside the process: a result of `depth` bits, a network that takes so
    much."""
    frames = pictures.count * pictures.frame_mb
    result = pictures.pixels * 3 * depth / 8 / 2**20
    decoding = pictures.pixels * RAW_BYTES_PX / 2**20 if pictures.raw else pictures.frame_mb
    reading = frames + min(DECODED_AT_ONCE, pictures.count) * decoding
    moving = frames
    if job.align != "off" or job.deghost != "off":
        moving += pictures.frame_mb + _measuring_mb(pictures)
    if job.deghost == NETWORK:  # two frames are made anew beside all that were read
        seen = min(pictures.pixels, GHOST_PX)
        made = 2 * pictures.frame_mb + pictures.pixels * SHARE_BYTES_PX / 2**20
        moving = max(moving, frames + max(made, seen * GHOST_NETWORK_BYTES_PX / 2**20))
    gains = pictures.pixels * GAINS_BYTES_PX / 2**20 if job.hdr else 0.0
    return max(reading, moving, frames + result + max(network_mb, gains))


def _measuring_mb(pictures: Pictures) -> float:
    small = pictures.pixels / reduction(pictures.size_px) ** 2
    each = (3 * pictures.depth / 8 + 1) * pictures.count + PREPARED_BYTES_PX * min(HELD, pictures.count)
    return math.ceil(small * (each + MEASURING_BYTES_PX) / 2**20)


def stack_mb(pictures: Pictures) -> float:
    """Of a focus stack, whose frames are never in memory together, beside the process and the network."""
    return STACK_BYTES_PX * pictures.pixels / 2**20


def refuse(needed_mb: float, count: int, limit_mb: float) -> TooLargeError:
    return TooLargeError(
        f"{count} frames of this size take {math.ceil(needed_mb)} MB; "
        f"{named('max_memory')} allows {limit_mb:.0f} MB.",
        f"Give {named('max_memory')} {math.ceil(needed_mb / 10) * 10}M or more, or fewer or smaller frames.",
    )
