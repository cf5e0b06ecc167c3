"""Three frames of a moving scene through a network that tells its light, or whom to believe about it.

The network sees six channels a frame: the picture, and its light (`mefnets.mgdn.light`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mefnets.engine.devices import THREADS, choose_device
from mefnets.engine.memory import shortage_told

Floats = NDArray[np.float32]


class Merger:
    """`frames` are (3, H, W, 3), uint8 or float32 in [0, 1], dark to bright, the middle one the reference;
    `lights` is each one's light, linear, 1 at the white of the darkest."""

    def __init__(self, network: nn.Module, device: str = "cpu", *, mirror_px: int = 16) -> None:
        self.device, self.mirror_px = choose_device(device), mirror_px
        self.network: Any = network.eval().to(self.device)

    @property
    def gives_trust(self) -> bool:
        """Whether it says whom to believe; other networks paint the light."""
        return bool(getattr(self.network, "gives", "") == "weights")

    def light(self, frames: NDArray[Any], lights: Floats) -> Floats:
        """The scene's light, (H, W, 3), as it stood in the reference."""
        return self._through(self.network, frames, lights)

    def trust(self, frames: NDArray[Any], lights: Floats) -> Floats:
        """The logarithm of how far each frame is to be believed, (H, W, 3)."""
        return self._through(self.network.trust, frames, lights)

    def _through(self, layer: Callable[[Tensor], Tensor], frames: NDArray[Any], lights: Floats) -> Floats:
        height, width = frames.shape[1:3]
        pictures = frames * np.float32(1 / 255) if frames.dtype == np.uint8 else frames
        both = torch.from_numpy(np.concatenate((pictures, lights), -1)).movedim(-1, 1)  # (3, 6, H, W)
        down, right = (min(self.mirror_px, side - 1) for side in (height, width))
        with shortage_told(), torch.no_grad(), THREADS.settled():
            seen = F.pad(both.to(self.device), (right, right, down, down), mode="reflect")
            found = layer(seen[None])[0, :, down : down + height, right : right + width]
        return np.ascontiguousarray(found.movedim(0, -1).cpu().numpy(), np.float32)
