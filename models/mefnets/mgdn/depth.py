"""MGDN for depth at any factor: what colour says of which neighbour's depth is a pixel's own.

Ours. The network sees two by two pixels as one, and of the depth what its neighbourhood makes of it: where
between the least and the greatest depth around it a pixel lies, and how far these two are apart. It paints no
depth. It gives every pixel a mark; pixels with like marks, among its neighbours in the enlarged map, lend it
their depth, and how far that counts against the pixel's own it says as well. So where depth is flat nothing
can change it, whatever the colour shows, and no depth comes out that is not near by.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.layers.blocks import in_strips
from mefnets.mgdn.network import MGDN
from mefnets.recipe import Batch, Objective

FOLD = 2
LEAST_SPAN = 1e-3  # of the whole picture's range of depth: what counts as flat
MARKS = 8  # channels of a mark, beside colour
PULLED, COUNTS = MARKS, MARKS + 1  # the channels after it
OUTPUTS = MARKS + 2
REACH = 3  # neighbours to either side, and how far apart they are, in pixels of the small map
APART = 0.5
COLOUR = 5.0  # how much colours count against marks, at the start
NEARER = 0.35  # how much less a neighbour counts for each pixel of the small map, squared, at the start
DOUBT = -1.0  # at the start: sigmoid of how far the neighbours' word counts
STRIP_ROWS = 96  # without gradients
ABSOLUTE = 0.3  # of the loss, beside the root mean square


class GuidedDepth(MGDN):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.colour = nn.Parameter(torch.tensor(math.log(COLOUR)))
        side = torch.arange(-REACH, REACH + 1).float() * APART
        self.place = nn.Parameter(-NEARER * (side[:, None].square() + side[None].square()).flatten())

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 1, 7, H, W) -> (B, 1, H, W).

        R, G, B; the depth enlarged, 0..1 over its whole picture; the least and the greatest around each pixel
        of the small map, enlarged likewise; log2 of the factor, 1 at sixteen.
        """
        H, W = frames.shape[-2:]
        seen = F.pad(frames[:, 0], (0, W % FOLD, 0, H % FOLD), mode="replicate")
        colour, depth, least, most, factor = torch.split(seen, [3, 1, 1, 1, 1], 1)
        span = (most - least).clamp_min(0)
        within = (depth - least) / (span + LEAST_SPAN)
        width = torch.log1p(span / LEAST_SPAN) / math.log1p(1 / LEAST_SPAN)
        known = torch.cat((depth, within, width, factor), 1)
        said = self._joined([F.pixel_unshuffle(colour, FOLD), F.pixel_unshuffle(known, FOLD)])
        said = F.pixel_shuffle(said, FOLD)
        marks = torch.cat((colour * self.colour.exp(), said[:, :MARKS]), 1)
        steps = [round(max(1.0, APART * 16**one)) for one in factor[:, 0, 0, 0].tolist()]
        seen = torch.cat((marks, said[:, PULLED : PULLED + 1], within, depth), 1)
        lent = torch.cat([self._lent(seen[b : b + 1], step) for b, step in enumerate(steps)])
        counts = torch.sigmoid(said[:, COUNTS : COUNTS + 1] + DOUBT)
        return (depth + counts * (lent - depth))[..., :H, :W]

    def _lent(self, seen: Tensor, step: int) -> Tensor:
        """The neighbours' depth, by how like their marks are: (1, 1, H, W)."""
        if torch.is_grad_enabled():
            return self._lent_in(seen, step)
        halo = REACH * step + step // 2
        return in_strips(lambda strip: self._lent_in(strip, step), seen, halo=halo, rows=STRIP_ROWS)

    def _lent_in(self, seen: Tensor, step: int) -> Tensor:
        H, W = seen.shape[-2:]
        marks, pulled, within, depth = torch.split(seen, [seen.shape[1] - 3, 1, 1, 1], 1)
        reach = REACH * step
        around = F.avg_pool2d(F.pad(marks, (step // 2,) * 4, mode="replicate"), step // 2 * 2 + 1, 1)
        kept = F.pad(torch.cat((around, within, depth), 1), (reach,) * 4, mode="replicate")
        places = [(y * step, x * step) for y in range(2 * REACH + 1) for x in range(2 * REACH + 1)]
        likeness, depths = [], []
        for index, (y, x) in enumerate(places):
            one = kept[:, :, y : y + H, x : x + W]
            far = (marks - one[:, :-2]).square().sum(1)
            likeness.append(self.place[index] - far + (pulled * (one[:, -2:-1] - within))[:, 0])
            depths.append(one[:, -1])
        weights = torch.softmax(torch.stack(likeness, 1), 1)
        return (weights * torch.stack(depths, 1)).sum(1, keepdim=True)


class DepthObjective(Objective):
    """Root mean square and mean error, each against that of the depth merely enlarged.

    So that an easy picture counts as much as one of which nothing can be known; with plain L1 nothing was
    learned in 120 steps.
    """

    def forward(self, network: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
        if batch.target is None:
            raise ValueError("Depth is learned from the truth: set Data.target.")
        off = network(batch.frames) - batch.target
        enlarged = batch.frames[:, 0, 3:4] - batch.target
        squared = (_rms(off) / (_rms(enlarged) + LEAST_SPAN)).mean()
        absolute = (_mean(off) / (_mean(enlarged) + LEAST_SPAN)).mean()
        return squared + ABSOLUTE * absolute, {"rms": squared.item(), "l1": absolute.item()}


def _rms(off: Tensor) -> Tensor:
    return (off.square().mean((1, 2, 3)) + 1e-8).sqrt()


def _mean(off: Tensor) -> Tensor:
    return off.abs().mean((1, 2, 3))
