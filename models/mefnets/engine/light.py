"""Three frames of a moving scene to its light, by a network that believes each frame as far as it agrees.

The network sees six channels a frame: the picture, and its light (`mefnets.mgdn.light`).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mefnets.engine.devices import THREADS, choose_device
from mefnets.engine.memory import shortage_told

Floats = NDArray[np.float32]
MIRROR_PX = 16  # shown of the picture beyond its border


class Merger:
    def __init__(self, network: nn.Module, device: str = "cpu") -> None:
        self.device = choose_device(device)
        self.network = network.eval().to(self.device)

    def light(self, frames: NDArray[np.uint8] | Floats, lights: Floats) -> Floats:
        """Frames (3, H, W, 3) dark to bright, the middle one the reference, and each one's light, 1 at the
        white of the darkest: the scene's light (H, W, 3)."""
        height, width = frames.shape[1:3]
        pictures = frames * np.float32(1 / 255) if frames.dtype == np.uint8 else frames
        both = torch.from_numpy(np.concatenate((pictures, lights), -1)).movedim(-1, 1)  # (3, 6, H, W)
        pad = min(MIRROR_PX, height - 1, width - 1)
        with shortage_told(), torch.no_grad(), THREADS.settled():
            padded = F.pad(both.to(self.device), (pad, pad, pad, pad), mode="reflect")
            found: Tensor = self.network(padded[None])[0, :, pad : pad + height, pad : pad + width]
        return np.ascontiguousarray(found.movedim(0, -1).cpu().numpy(), np.float32)
