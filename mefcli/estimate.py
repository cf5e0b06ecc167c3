"""What a fusion will roughly take, from sizes and settings alone: for `--dry-run` and for the progress bar.

The rates are CPU seconds of one core, measured on an AMD EPYC; a busy machine takes longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mefcli.checkpoints import system_of
from mefcli.formats.table import READ_S
from mefcli.job import Job
from mefcli.values import Bracket, StageName
from mefnets import MODELS

FIND_MOTION_S = 0.3  # a frame; it happens at a reduced size
MOVE = 0.02  # a megapixel and frame
GHOSTS = 0.06  # a megapixel and frame
# A megapixel of network input, for each merge of two frames. Longer brackets take one merge less than frames.
MERGE = {
    "house": 1.4,
    "ffmef": 2.0,
    "crmef": 22.0,
    "crmef-fast": 5.8,
    "crmef-align": 45.0,
    "mefcl": 10.0,
    "lcndr": 10.0,
    "mgdn": 52.0,
    "mertens": 0.15,
    "average": 0.01,
}
CARRY = 0.02  # a megapixel and frame: a small result to full size
WRITE = {"none": 0.005, "zstd": 0.02, "deflate": 0.06, "lzw": 0.08}
START_S = 2.0  # importing PyTorch
GUIDED_ABOVE_MP = 2.0
BASE_MB = 450.0
BUSY_BYTES = {"house": 500, "mertens": 20, "average": 16}  # a pixel of network input


@dataclass(frozen=True)
class Estimate:
    seconds: dict[StageName, float]  # CPU seconds of each stage
    memory_mb: float

    @property
    def total_s(self) -> float:
        return START_S + sum(self.seconds.values())


def estimate(bracket: Bracket, outputs: Sequence[Path], job: Job) -> Estimate:
    """Right within a factor of two or three, which is what a plan needs."""
    count = len(bracket.shots)
    width, height = next((shot.size_px for shot in bracket.shots if shot.size_px), (6000, 4000))
    megapixels = width * height / 1e6
    system = system_of(job.model)
    whole = MODELS[system].module.startswith("mefnets.classic")  # such models stream at full size
    guided = job.resolution == "guided" or (
        job.resolution == "auto" and not whole and megapixels > GUIDED_ABOVE_MP
    )
    seen = min(megapixels, job.working_size or 1.0) if guided else megapixels
    seconds: dict[StageName, float] = {
        "read": sum(READ_S[shot.kind] for shot in bracket.shots) * megapixels,
        "align": 0.0 if job.align == "off" else count * (FIND_MOTION_S + MOVE * megapixels),
        "deghost": 0.0 if job.deghost == "off" else count * GHOSTS * megapixels,
        "fuse": MERGE[system] * (count - 1) * seen + (CARRY * count * megapixels if guided else 0.0),
        "write": max(1, len(outputs)) * WRITE[job.compression] * megapixels,
    }
    deep = any(shot.kind in ("raw", "tiff") for shot in bracket.shots)
    frames_mb = 3 * (2 if deep else 1) * count * megapixels
    moved_mb = frames_mb / count * 2 if job.align != "off" else 0.0
    network_mb = min(BUSY_BYTES.get(system, 1500) * seen, job.max_memory or 4000.0)
    return Estimate(seconds, BASE_MB + frames_mb + moved_mb + 6 * megapixels + network_mb)
