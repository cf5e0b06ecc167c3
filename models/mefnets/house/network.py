"""The house network: a learned pyramid blend for any number of frames. Ours, not from a paper.

Every frame is split into Laplacian bands. At each band, coarse to fine, one small network (the same at all
levels, for all frames) reads what makes a frame worth having there, compares it with the mean over the
frames, and gives the frame a softmax weight and the band a bounded gain. It starts close to Mertens' fusion:
the Mertens weight is its prior, and the learned correction starts at zero. Every level is weighed by its own
pixels, so a picture at half the size is weighed alike.

The blend is convex at the coarsest level and nearly so above; what a pyramid can still overshoot is bounded
(`bounds.py`): every pixel stays within what the frames show around it, and what a frame shows in its middle
tones comes out neither black nor white. Colour follows the same weights as luminance. Frames may come in any
number and order. A photographer's taste (`taste.py`) acts where the weights do.
"""

from __future__ import annotations

from dataclasses import astuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.house.bounds import hold, hull, keep_shown
from mefnets.house.pyramid import (
    bordered,
    double_bordered,
    expand_bordered,
    luminance,
    reduce,
    reduce_rows,
    rows_of,
)
from mefnets.house.shape import (
    EDGES,
    HULL_PX,
    held_bytes,
    levels_missing,
    place_of,
    pyramid_depth,
    reach_of,
    strength_of,
    strip_rows,
)
from mefnets.house.taste import COLOUR, CONTRAST, TASTE_LEVEL, calmed, moved, preferred
from mefnets.taste import NATURAL

FEATURES = 9
CHROMA_GAIN = 0.25  # a level's colour is scaled by exp(-0.25)..exp(0.25)


class PyramidBlend(nn.Module):
    def __init__(self, channels: int = 16, gain: float = 0.3) -> None:
        super().__init__()
        self.channels = channels
        self.taste = NATURAL
        self.reduced_by: float = 1  # what the picture is reduced by before it comes here
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
        # A brighter frame is worth more where shapes are large: in between, finest three, coarsest three.
        self.light = nn.Parameter(torch.tensor([1.0, -1.0, -0.7, -0.4, 0.0, 0.0, 0.0]))
        self.chroma = nn.Parameter(torch.tensor([0.5, -0.5, 0.0, 0.0, 0.0, 0.0, 0.0]))
        for head in (self.weigh, self.amplify):
            nn.init.zeros_(head.weight)
            if head.bias is not None:
                nn.init.zeros_(head.bias)

    def forward(self, frames: Tensor) -> Tensor:  # (B, N, 3, H, W) -> (B, 3, H, W)
        B, N, _, H, W = frames.shape
        taste = None if self.taste == NATURAL else torch.tensor(astuple(self.taste)).to(frames)
        depth = pyramid_depth(H, W)
        finest = F.pad(frames.reshape(B * N, 3, H, W), (1, 1, 1, 1), mode="reflect")
        pictures = self._coarse_pictures(finest, depth)
        padded = [finest, *(F.pad(picture, (1, 1, 1, 1), mode="reflect") for picture in pictures)]
        del finest, pictures

        # Of a reduced picture every level does what it would do in the whole one.
        missing = levels_missing(self.reduced_by)
        fused, state, below = None, None, None  # below: the next coarser pictures, bordered
        for level in range(depth - 1, -1, -1):
            picture = padded.pop()
            fused, state = self._level(
                picture, below, state, fused, level, level + missing, depth + missing, B, taste
            )
            if level:
                below, state, fused = bordered(picture[..., 1:-1, 1:-1]), bordered(state), bordered(fused)
        assert fused is not None
        return fused

    held_bytes = staticmethod(held_bytes)

    def _level(
        self,
        padded: Tensor,  # (B*N, 3, h + 2, w + 2)
        below: Tensor | None,
        state: Tensor | None,
        fused: Tensor | None,
        level: int,
        role: int,  # the level that it is in the picture before that was reduced
        depth: int,  # of that picture
        B: int,
        taste: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """One level in strips of rows: the fusion down to here and the new state (of the finest, none)."""
        h, w = padded.shape[-2] - 2, padded.shape[-1] - 2
        place = torch.tensor(place_of(role, depth)).to(padded)
        strength = torch.tensor(strength_of(level, role)).to(padded)
        rows = _strip_rows(padded.shape[0] * w, h)
        if rows >= h:
            state = None if state is None else double_bordered(state, (h, w))
            whole, state = self._blend(
                *_cues(padded, B), below, state, fused, level, role, place, strength, B, taste
            )
            if level == 0:
                whole = hold(whole, *hull(padded[..., 1:-1, 1:-1], B, 0, 0))
            return whole, state
        out = padded.new_empty(B, 3, h, w)
        states = padded.new_empty(padded.shape[0], self.channels if level else 0, h, w)
        reach = reach_of(role)
        for first in range(0, h, rows):
            last = min(first + rows, h)
            start, end = max(0, first - reach), min(h, last + reach)
            picture, cues = _cues(padded[..., start : end + 2, :], B)
            b, s, f = (None if t is None else rows_of(t, start, end) for t in (below, state, fused))
            s = None if s is None else double_bordered(s, (end - start, w))
            strip, strip_state = self._blend(picture, cues, b, s, f, level, role, place, strength, B, taste)
            strip = strip[..., first - start : last - start, :]
            if level == 0:
                above, under = min(HULL_PX, first), min(HULL_PX, h - last)
                around = padded[..., first - above + 1 : last + under + 1, 1:-1]
                strip = hold(strip, *hull(around, B, above, under))
            out[..., first:last, :] = strip
            if level:
                states[..., first:last, :] = strip_state[..., first - start : last - start, :]
        return out, states

    def _blend(
        self,
        picture: Tensor,  # (B*N, 3, h, w)
        cues: Tensor,  # (B*N, 7, h, w)
        below: Tensor | None,  # the next coarser pictures, bordered; None, like the next two, at the coarsest
        state: Tensor | None,  # (B*N, C, h, w), the next coarser level's, doubled
        fused: Tensor | None,  # (B, 3, ...), down to the next coarser level, bordered
        level: int,
        role: int,
        place: Tensor,  # (2 * EDGES,) as place_of has it
        strength: Tensor,  # as strength_of has it
        B: int,
        taste: Tensor | None = None,  # (4,)
    ) -> tuple[Tensor, Tensor]:
        """One level: what each frame is worth here, and the fusion down to here with the new state."""
        C, size = self.channels, picture.shape[-2:]
        N = picture.shape[0] // B
        band = picture if below is None else picture - expand_bordered(below, size)
        features = self._features(picture, cues, None if below is None else band)
        look, compare = (self.look_finest, self.compare_finest) if role == 0 else (self.look, self.compare)
        # Convolutions of what belongs together side by side: nothing is copied, and the mean over the frames,
        # the same for all, is convolved once.
        seen = _convolve(features, look.weight[:, :FEATURES], look.bias)  # (B*N, C, h, w)
        if state is not None:
            seen = seen + _convolve(state, look.weight[:, FEATURES:])
        seen = F.leaky_relu(seen + (place @ self.level_offset).view(1, -1, 1, 1), 0.1)
        mean = _mean_of_frames(seen, B)  # (B, C, h, w)
        own = _convolve(seen, compare.weight[:, :C]).view(B, N, C, *size)
        shared = _convolve(mean, compare.weight[:, C:], compare.bias).view(B, 1, C, *size)
        step = F.leaky_relu(own + shared, 0.1).view(B * N, C, *size)
        state = step if state is None else state + step

        y = luminance(picture)
        logits = self.prior * torch.log(cues[:, :1] + 1e-6) + 4 * self.weigh(state)
        logits = (logits + _at(place, self.light) * y).view(B, N, 1, *size)
        if taste is not None and level < TASTE_LEVEL:
            logits = logits + preferred(y.view(B, N, 1, *size), taste)
        share = _shares(logits)
        if below is not None:
            share = share * torch.exp(self.gain * torch.tanh(self.amplify(state))).view(B, N, 1, *size)
        blended = (share * band.view(B, N, 3, *size)).sum(1)  # (B, 3, h, w)
        vivid = torch.exp(CHROMA_GAIN * torch.tanh(_at(place, self.chroma)))
        blended = _coloured(blended, vivid)
        if taste is not None and level:  # the finest level is left alone: there lies most of the noise
            blended = _coloured(blended, torch.exp(COLOUR * taste[3]))
            if below is not None:
                blended = torch.exp(CONTRAST * taste[2]) * blended
        if fused is not None:
            base = expand_bordered(fused, size)
            if taste is not None and role < 2:
                blended = calmed(blended, base, taste)
            blended = base + blended
        if taste is not None and level == TASTE_LEVEL:
            blended = moved(picture.view(B, N, 3, *size), blended, taste)
        if role:
            blended = keep_shown(picture.view(B, N, 3, *size), blended, strength)
        return blended, state

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


def _at(place: Tensor, values: Tensor) -> Tensor:
    """A level's share of `values`: that of all levels, and what the finest and the coarsest three add."""
    return values[0] + place @ values[1:]


def _coloured(x: Tensor, times: Tensor) -> Tensor:
    """With its colour, the distance from grey, scaled."""
    grey = luminance(x)
    return grey + times * (x - grey)


def _strip_rows(row_pixels: int, height: int) -> int:
    """Rows of a strip. Training keeps every level whole for the backward pass."""
    return height if torch.is_grad_enabled() else strip_rows(row_pixels)


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
    squared = gradient**2
    strong = squared.clamp_max(9) ** 2 * gradient.clamp_max(3)  # its 5th power: edges that catch the eye
    return inner, torch.cat([mertens, squared, strong, well_exposed, saturation, white, black], 1)


def _mean_of_frames(x: Tensor, B: int) -> Tensor:  # (B*N, C, h, w) -> (B, C, h, w)
    """As a product of matrices, which ONNX Runtime does eight times as fast as a mean."""
    N = x.shape[0] // B
    total = torch.ones(1, N, dtype=x.dtype, device=x.device) @ x.reshape(B, N, -1)
    return (total / N).view(B, *x.shape[1:])


def _shares(logits: Tensor) -> Tensor:
    """Softmax over dim 1, written out: ONNX Runtime's turns everything around for it, and back."""
    powers = torch.exp(logits - logits.amax(1, keepdim=True))
    return powers / powers.sum(1, keepdim=True)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Over replicated borders, channels last: the fast layout for few channels on a CPU."""
    x = x.contiguous(memory_format=torch.channels_last)
    reach = weight.shape[-1] // 2
    if reach:
        x = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(x, weight, bias)


def build(**options: object) -> nn.Module:
    return PyramidBlend(**options)  # type: ignore[arg-type]
