"""Native or guided, and how large the network then sees: for the engine, and for whoever plans its work.

Imports nothing heavy, so that a plan costs no import of torch.
"""

from __future__ import annotations

from typing import Literal

from mefnets.spec import ModelSpec

Resolution = Literal["auto", "native", "guided"]
Mode = Literal["native", "guided"]

GUIDED_ABOVE_PX = 2_000_000
WORKING_SIZE_MP = 0.5  # docs/engine.md has what it gains and costs


def mode_for(spec: ModelSpec, resolution: Resolution, pixels: int) -> Mode:
    """What `auto` means where memory suffices: what fuses in strips is cheap at any size."""
    if resolution != "auto":
        return resolution
    return "native" if spec.tiling.strips or pixels <= GUIDED_ABOVE_PX else "guided"
