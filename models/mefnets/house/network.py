"""The house network: a learned pyramid blend for any number of frames. Ours, not from a paper.

Every frame is split into Laplacian bands. At each band, coarse to fine, one small network (the same at all
levels, for all frames) reads what makes a frame worth having there, compares it with the mean over the
frames, and gives the frame a softmax weight and the band a bounded gain. It starts as Mertens' fusion:
the Mertens weight is its prior, and the learned correction starts at zero.

The blend is convex at the coarsest level and nearly so above, so it cannot invent, crush or blow anything;
colour follows the same weights as luminance. Frames may come in any number and order.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.house.pyramid import band_of, expand, luminance, pyramid_depth, reduce

FEATURES = 9
EDGES = 3  # levels from either end of the pyramid that have a learned offset of their own


class PyramidBlend(nn.Module):
    def __init__(self, channels: int = 16, gain: float = 0.3) -> None:
        super().__init__()
        self.channels = channels
        self.gain = gain  # a band is scaled by exp(-gain)..exp(gain): 0.74..1.35
        self.level_offset = nn.Parameter(torch.zeros(2 * EDGES, channels))  # finest three, coarsest three
        self.look = nn.Conv2d(FEATURES + channels, channels, 3)
        self.compare = nn.Conv2d(2 * channels, channels, 3)
        # At the finest level, three quarters of all pixels, pointwise layers refine the state from below.
        self.look_finest = nn.Conv2d(FEATURES + channels, channels, 1)
        self.compare_finest = nn.Conv2d(2 * channels, channels, 1)
        self.weigh = nn.Conv2d(channels, 1, 1)
        self.amplify = nn.Conv2d(channels, 1, 1)
        self.prior = nn.Parameter(torch.ones(1))  # trust in the Mertens weight
        for head in (self.weigh, self.amplify):
            nn.init.zeros_(head.weight)
            if head.bias is not None:
                nn.init.zeros_(head.bias)

    def forward(self, frames: Tensor) -> Tensor:  # (B, N, 3, H, W) -> (B, 3, H, W)
        B, N, _, H, W = frames.shape
        C = self.channels
        depth = pyramid_depth(H, W)
        pictures, cues = self._pyramids(frames, depth)

        fused: Tensor | None = None
        state: Tensor | None = None
        for level in range(depth - 1, -1, -1):
            size = pictures[level].shape[-2:]
            coarsest = level == depth - 1
            band = pictures[level] if coarsest else band_of(pictures[level], pictures[level + 1])
            features = self._features(pictures[level], cues[level], None if coarsest else band)
            if state is None:
                state = features.new_zeros(B * N, C, *size)
            else:
                state = F.interpolate(state, size=size, mode="bilinear", align_corners=False)
            look, compare = (
                (self.look_finest, self.compare_finest) if level == 0 else (self.look, self.compare)
            )
            seen = _convolve(look, torch.cat([features, state], 1))  # (B*N, C, h, w)
            seen = F.leaky_relu(seen + self._offset(level, depth), 0.1)
            mean = seen.view(B, N, C, *size).mean(1, keepdim=True).expand(B, N, C, *size)
            both = torch.cat([seen, mean.reshape(B * N, C, *size)], 1)  # (B*N, 2C, h, w)
            state = state + F.leaky_relu(_convolve(compare, both), 0.1)

            prior = torch.log(cues[level][:, :1] + 1e-6)
            logits = self.prior * prior + 4 * self.weigh(state)
            share = torch.softmax(logits.view(B, N, 1, *size), dim=1)
            if not coarsest:
                share = share * torch.exp(self.gain * torch.tanh(self.amplify(state))).view(B, N, 1, *size)
            blended = (share * band.view(B, N, 3, *size)).sum(1)  # (B, 3, h, w)
            fused = blended if fused is None else expand(fused, size) + blended
        assert fused is not None  # a pyramid has at least one level
        return fused

    def _offset(self, level: int, depth: int) -> Tensor:
        """The learned offset of the levels near either end; zero in between."""
        offset = torch.zeros_like(self.level_offset[0])
        if level < EDGES:
            offset = offset + self.level_offset[level]
        from_coarsest = depth - 1 - level
        if from_coarsest < EDGES:
            offset = offset + self.level_offset[EDGES + from_coarsest]
        return offset.view(1, -1, 1, 1)

    def _pyramids(self, frames: Tensor, depth: int) -> tuple[list[Tensor], list[Tensor]]:
        """Gaussian pyramids of the pictures, and of seven cues measured at the finest level."""
        B, N, _, H, W = frames.shape
        x = frames.reshape(B * N, 3, H, W)
        y = luminance(x)  # (B*N, 1, H, W)
        edge = F.pad(y, (1, 1, 1, 1), mode="reflect")
        laplacian = (
            edge[..., 1:-1, :-2] + edge[..., 1:-1, 2:] + edge[..., :-2, 1:-1] + edge[..., 2:, 1:-1] - 4 * y
        )
        gx = (edge[..., 1:-1, 2:] - edge[..., 1:-1, :-2]) / 2
        gy = (edge[..., 2:, 1:-1] - edge[..., :-2, 1:-1]) / 2
        gradient = 10 * torch.sqrt(gx * gx + gy * gy + 1e-10)
        mean = x.mean(1, keepdim=True)
        saturation = torch.sqrt(((x - mean) ** 2).mean(1, keepdim=True) + 1e-12)
        well_exposed = torch.exp(((x - 0.5) ** 2).sum(1, keepdim=True) / (-2 * 0.2**2))
        mertens = (laplacian.abs() * saturation * well_exposed + 1e-12).view(B, N, 1, H, W)
        mertens = (mertens / mertens.sum(1, keepdim=True)).view(B * N, 1, H, W)
        white = torch.sigmoid(60 * (x.amax(1, keepdim=True) - 0.95))
        black = torch.sigmoid(80 * (0.04 - y))
        strong = gradient.clamp_max(3) ** 5  # edges that catch the eye count most
        cues = [torch.cat([mertens, gradient**2, strong, well_exposed, saturation, white, black], 1)]
        pictures = [x]
        for _ in range(depth - 1):
            pictures.append(reduce(pictures[-1]))
            cues.append(reduce(cues[-1]))
        return pictures, cues

    @staticmethod
    def _features(picture: Tensor, cues: Tensor, band: Tensor | None) -> Tensor:
        """Nine numbers a pixel, each scaled to about -2..2."""
        y = luminance(picture)
        detail = torch.zeros_like(y) if band is None else luminance(band)
        mertens, energy, strong, well_exposed, saturation, white, black = torch.split(cues, 1, dim=1)
        return torch.cat(
            [
                4 * y - 2,
                0.3 * torch.log(mertens + 1e-4) + 1,
                0.3 * torch.log(energy + 1e-4),
                0.15 * torch.log(strong + 1e-5) + 0.5,
                2 * well_exposed - 1,
                4 * saturation,
                2 * white,
                2 * black,
                0.4 * torch.log(detail.abs() + 1e-3) + 1.5,
            ],
            dim=1,
        )  # (B*N, 9, h, w)


def _convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Over replicated borders, channels last: the fast layout for few channels on a CPU."""
    x = x.contiguous(memory_format=torch.channels_last)
    reach = conv.kernel_size[0] // 2
    if reach:
        x = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    out: Tensor = conv(x)
    return out


def build(**options: object) -> nn.Module:
    return PyramidBlend(**options)  # type: ignore[arg-type]
