"""The house network: a learned pyramid blend for any number of frames. Ours, not from a paper.

Every frame is split into Laplacian bands. At each band, coarse to fine, one small network (the same at all
levels, for all frames) reads what makes a frame worth having there, compares it with the mean over the
frames, and gives the frame a softmax weight and the band a bounded gain. It starts close to Mertens' fusion:
the Mertens weight is its prior, and the learned correction starts at zero. Every level is weighed by its own
pixels, so a picture at half the size is weighed alike.

The blend is convex at the coarsest level and nearly so above, so it cannot invent, crush or blow anything;
colour follows the same weights as luminance. Frames may come in any number and order.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.house.pyramid import (
    bordered,
    double_bordered,
    expand_bordered,
    luminance,
    pyramid_depth,
    reduce,
    reduce_rows,
    rows_of,
)

FEATURES = 9
STRIP_PIXELS = 80_000  # of all frames together, when nothing is learned: buffers stay in the cache
LEAST_ROWS = 4  # even; coarse levels compute four rows more than they keep
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
        depth = pyramid_depth(H, W)
        finest = F.pad(frames.reshape(B * N, 3, H, W), (1, 1, 1, 1), mode="reflect")
        pictures = self._coarse_pictures(finest, depth)
        padded = [finest, *(F.pad(picture, (1, 1, 1, 1), mode="reflect") for picture in pictures)]
        del finest, pictures

        fused, state, below = None, None, None  # below: the next coarser pictures, bordered
        for level in range(depth - 1, -1, -1):
            picture = padded.pop()
            fused, state = self._level(picture, below, state, fused, level, depth, B)
            if level:
                below, state, fused = bordered(picture[..., 1:-1, 1:-1]), bordered(state), bordered(fused)
        assert fused is not None
        return fused

    @staticmethod
    def held_bytes(frames: int, pixels: int) -> int:
        """What a forward pass holds at its busiest: the pictures of all levels and the states above the
        finest, about 50 bytes a pixel of a frame, and the buffers of one strip."""
        return 50 * frames * pixels + 60 * 2**20

    def _level(
        self,
        padded: Tensor,  # (B*N, 3, h + 2, w + 2)
        below: Tensor | None,
        state: Tensor | None,
        fused: Tensor | None,
        level: int,
        depth: int,
        B: int,
    ) -> tuple[Tensor, Tensor]:
        """One level in strips of rows: the fusion down to here and the new state (of the finest, none)."""
        h, w = padded.shape[-2] - 2, padded.shape[-1] - 2
        rows = _strip_rows(padded.shape[0] * w, h)
        if rows >= h:
            return self._blend(*_cues(padded, B), below, state, fused, level, depth, B)
        out = padded.new_empty(B, 3, h, w)
        states = padded.new_empty(padded.shape[0], self.channels if level else 0, h, w)
        reach = 2 if level else 0  # of two 3x3 layers; those of the finest level are pointwise
        for first in range(0, h, rows):
            last = min(first + rows, h)
            start, end = max(0, first - reach), min(h, last + reach)
            picture, cues = _cues(padded[..., start : end + 2, :], B)
            b, s, f = (None if t is None else rows_of(t, start, end) for t in (below, state, fused))
            strip, strip_state = self._blend(picture, cues, b, s, f, level, depth, B)
            out[..., first:last, :] = strip[..., first - start : last - start, :]
            if level:
                states[..., first:last, :] = strip_state[..., first - start : last - start, :]
        return out, states

    def _blend(
        self,
        picture: Tensor,  # (B*N, 3, h, w)
        cues: Tensor,  # (B*N, 7, h, w)
        below: Tensor | None,  # the next coarser pictures, states and fusion, bordered; None at the coarsest
        state: Tensor | None,
        fused: Tensor | None,
        level: int,
        depth: int,
        B: int,
    ) -> tuple[Tensor, Tensor]:
        """One level: what each frame is worth here, and the fusion down to here with the new state."""
        C, size = self.channels, picture.shape[-2:]
        N = picture.shape[0] // B
        band = picture if below is None else picture - expand_bordered(below, size)
        features = self._features(picture, cues, None if below is None else band)
        if state is None:
            state = features.new_zeros(B * N, C, *size)
        else:
            state = double_bordered(state, size)
        look, compare = (self.look_finest, self.compare_finest) if level == 0 else (self.look, self.compare)
        seen = _convolve(look, torch.cat([features, state], 1))  # (B*N, C, h, w)
        seen = F.leaky_relu(seen + self._offset(level, depth), 0.1)
        mean = seen.view(B, N, C, *size).mean(1, keepdim=True).expand(B, N, C, *size)
        both = torch.cat([seen, mean.reshape(B * N, C, *size)], 1)  # (B*N, 2C, h, w)
        state = state + F.leaky_relu(_convolve(compare, both), 0.1)

        logits = self.prior * torch.log(cues[:, :1] + 1e-6) + 4 * self.weigh(state)
        share = torch.softmax(logits.view(B, N, 1, *size), dim=1)
        if below is not None:
            share = share * torch.exp(self.gain * torch.tanh(self.amplify(state))).view(B, N, 1, *size)
        blended = (share * band.view(B, N, 3, *size)).sum(1)  # (B, 3, h, w)
        if fused is not None:
            blended = expand_bordered(fused, size) + blended
        return blended, state

    def _offset(self, level: int, depth: int) -> Tensor:
        """The learned offset of the levels near either end; zero in between."""
        offset = torch.zeros_like(self.level_offset[0])
        if level < EDGES:
            offset = offset + self.level_offset[level]
        from_coarsest = depth - 1 - level
        if from_coarsest < EDGES:
            offset = offset + self.level_offset[EDGES + from_coarsest]
        return offset.view(1, -1, 1, 1)

    @staticmethod
    def _coarse_pictures(finest: Tensor, depth: int) -> list[Tensor]:
        """The pictures of the levels above the finest, finest first."""
        if depth == 1:
            return []
        H = finest.shape[-2] - 2
        rows = _strip_rows(finest.shape[0] * finest.shape[-1], H)
        strips = []
        for start in range(0, H, rows):
            # Rows start..start+rows come out halved; the kernel reaches two rows further on either side.
            first, last = max(0, start - 2), min(H, start + rows + 1)
            strip = reduce_rows(finest[..., first + 1 : last + 1, 1:-1], first, last, H)
            strips.append(strip[..., : (min(rows, H - start) + 1) // 2, :])
        levels = [torch.cat(strips, -2)]
        for _ in range(depth - 2):
            levels.append(reduce(levels[-1]))
        return levels

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


def _strip_rows(row_pixels: int, height: int) -> int:
    """Rows of a strip, an even number. Training keeps every level whole for the backward pass."""
    return height if torch.is_grad_enabled() else max(LEAST_ROWS, STRIP_PIXELS // row_pixels // 2 * 2)


def _cues(x: Tensor, B: int) -> tuple[Tensor, Tensor]:
    """The pictures, and seven cues of what a frame is worth, from pictures with a border of one pixel."""
    inner = x[..., 1:-1, 1:-1]  # (B*N, 3, h, w)
    edge = luminance(x)
    y = edge[..., 1:-1, 1:-1]
    left, right = edge[..., 1:-1, :-2], edge[..., 1:-1, 2:]
    above, below = edge[..., :-2, 1:-1], edge[..., 2:, 1:-1]
    laplacian = left + right + above + below - 4 * y
    gradient = 10 * torch.sqrt(((right - left) / 2) ** 2 + ((below - above) / 2) ** 2 + 1e-10)
    mean = inner.mean(1, keepdim=True)
    saturation = torch.sqrt(((inner - mean) ** 2).mean(1, keepdim=True) + 1e-12)
    well_exposed = torch.exp(((inner - 0.5) ** 2).sum(1, keepdim=True) / (-2 * 0.2**2))
    mertens = (laplacian.abs() * saturation * well_exposed + 1e-12).view(B, -1, *y.shape[1:])
    mertens = (mertens / mertens.sum(1, keepdim=True)).flatten(0, 1)
    white = torch.sigmoid(60 * (inner.amax(1, keepdim=True) - 0.95))
    black = torch.sigmoid(80 * (0.04 - y))
    strong = gradient.clamp_max(3) ** 5  # edges that catch the eye count most
    return inner, torch.cat([mertens, gradient**2, strong, well_exposed, saturation, white, black], 1)


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
