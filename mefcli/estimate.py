"""What a fusion will roughly take, from sizes and settings alone: for `--dry-run` and for the progress bar.

The rates are CPU seconds of one core, measured on an AMD EPYC; a busy machine takes longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mefcli.checkpoints import find_model
from mefcli.formats.table import READ_S
from mefcli.job import NETWORK, Job
from mefcli.memory import GHOST_PX, Pictures, held_mb, pictures_of, process_mb, stack_mb
from mefcli.values import Bracket, StageName
from mefnets import Cost, ModelSpec
from mefnets.engine.budget import PROCESS_MB
from mefnets.engine.sizes import WORKING_SIZE_MP, mode_for

FIND_MOTION_S = 0.3  # a frame; it happens at a reduced size
MOVE = 0.02  # a megapixel and frame
GHOSTS = 0.06  # a megapixel and frame
GHOST_NETWORK_S, REPLACED = 10.5, 0.35  # a megapixel that the network sees; a megapixel and frame
CARRY = 0.01  # a megapixel and frame: a small result to full size
BEYOND = 0.02  # a megapixel: light beyond white
WRITE = {"none": 0.005, "zstd": 0.02, "deflate": 0.06, "lzw": 0.08}
START_S, TORCH_S = 0.5, 2.0  # of a process, before its first picture; with torch
TYPICAL = Cost(cpu_s=10.0, held_bytes=1500)  # of a network that nobody has measured


@dataclass(frozen=True)
class Estimate:
    seconds: dict[StageName, float]  # CPU seconds of each stage
    memory_mb: float
    start_s: float

    @property
    def total_s(self) -> float:
        return self.start_s + sum(self.seconds.values())


def estimate(bracket: Bracket, outputs: Sequence[Path], job: Job) -> Estimate:
    """Right within a factor of two or three, which is what a plan needs."""
    count = len(bracket.shots)
    width, height = next((shot.size_px for shot in bracket.shots if shot.size_px), (6000, 4000))
    megapixels = width * height / 1e6
    spec = find_model(job.model)
    seen, carried = seen_mp(spec, megapixels, job)
    seconds: dict[StageName, float] = {
        "read": sum(READ_S[shot.kind] for shot in bracket.shots) * megapixels,
        "align": 0.0 if job.align == "off" else count * (FIND_MOTION_S + MOVE * megapixels),
        "deghost": _deghost_s(count, megapixels, job),
        "fuse": fusion_s(spec, count, seen, carried) + (BEYOND * megapixels if job.hdr else 0.0),
        "write": max(1, len(outputs)) * WRITE[job.compression] * megapixels,
    }
    pictures = pictures_of(bracket) or Pictures((width, height), count, 16)
    network_mb = min((spec.cost or TYPICAL).held_bytes * seen, job.max_memory or 4000.0)
    start_s = START_S if process_mb(job) == PROCESS_MB else TORCH_S
    return Estimate(seconds, process_mb(job) + held_mb(pictures, job, 16, network_mb), start_s)


def _deghost_s(count: int, megapixels: float, job: Job) -> float:
    if job.deghost == "off":
        return 0.0
    if job.deghost == NETWORK:
        return GHOST_NETWORK_S * min(megapixels, GHOST_PX / 1e6) + count * REPLACED * megapixels
    return count * GHOSTS * megapixels


def estimate_stack(stack: Bracket, outputs: Sequence[Path], job: Job) -> Estimate:
    """The same of a focus stack, whose frames are never in memory together."""
    plain = replace(job, resolution="native", deghost="off")
    found = estimate(stack, outputs, plain)
    width, height = next((shot.size_px for shot in stack.shots if shot.size_px), (6000, 4000))
    spec = find_model(job.model)
    network_mb = (
        min((spec.cost or TYPICAL).held_bytes * width * height / 2**20, 4000.0) if spec.learned else 0.0
    )
    held = stack_mb(pictures_of(stack) or Pictures((width, height), len(stack.shots), 16))
    return replace(found, memory_mb=process_mb(job) + held + network_mb)


def estimate_pair(pair: Bracket, outputs: Sequence[Path], job: Job) -> Estimate:
    """The same of a visible and an infrared picture, whose alignment is small work."""
    return estimate(pair, outputs, replace(job, align="off", deghost="off"))


def seen_mp(spec: ModelSpec, megapixels: float, job: Job) -> tuple[float, float]:
    """Megapixels that the network sees, and those that its result is carried up to."""
    if mode_for(spec, job.resolution, round(megapixels * 1e6)) == "native":
        return megapixels, 0.0
    return min(megapixels, job.working_size or WORKING_SIZE_MP), megapixels


def fusion_s(spec: ModelSpec, frames: int, seen_mp: float, carried_mp: float = 0.0) -> float:
    """CPU seconds of the network, and of carrying its result up to `carried_mp` megapixels.

    A longer bracket takes one merge of two frames less than it has frames.
    """
    return (spec.cost or TYPICAL).cpu_s * (frames - 1) * seen_mp + CARRY * frames * carried_mp
