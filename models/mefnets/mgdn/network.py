"""MGDN, the mutual-guided dynamic network (paper, figure 2): one network, several fusion tasks.

Each stage filters every stream by kernels that the other stream guides (`mgdf.py`), merges the streams with
windowed transformer blocks (`pff.py`) and hands the result back to each. Symbols as in the paper: F_i
streams, o_i filtered streams, m merged features. What differs from the paper or its code stands in README.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.mgdn.joined import joined_conv, strips_of
from mefnets.mgdn.light import mu_law, weighed
from mefnets.mgdn.mgdf import (
    DynamicFilter,
    Exchange,
    KernelStart,
    MutualGuidance,
    Scale,
    StaticFilter,
)
from mefnets.mgdn.pff import PFF

Task = Literal["exposure", "focus", "deghosting", "depth", "depth16", "bracket", "moving", "guided"]

# Widths as in the authors' test scripts; `inputs` are the channels of each stem.
TASKS: dict[str, dict[str, Any]] = {
    "exposure": {"C": 60, "stages": 2, "blocks": 6, "window": 8, "heads": 6, "ratio": 2, "inputs": (3, 3)},
    "focus": {"C": 30, "stages": 2, "blocks": 3, "window": 4, "heads": 3, "ratio": 2, "inputs": (3, 3)},
    # Under, reference, over; each an LDR picture beside its linear version. Linear light out.
    "deghosting": {
        "C": 60,
        "stages": 3,
        "blocks": 6,
        "window": 8,
        "heads": 6,
        "ratio": 4,
        "inputs": (6,),
        "reference": True,
    },
    # RGB guides a depth map that was enlarged bicubically.
    "depth": {
        "C": 30,
        "stages": 3,
        "blocks": 3,
        "window": 4,
        "heads": 6,
        "ratio": 4,
        "inputs": (3, 1),
        "outputs": 1,
    },
    "depth16": {
        "C": 60,
        "stages": 3,
        "blocks": 3,
        "window": 4,
        "heads": 6,
        "ratio": 4,
        "inputs": (3, 1),
        "outputs": 1,
    },
    # Ours: the three-input form for any number of exposures.
    "bracket": {
        "C": 60,
        "stages": 2,
        "blocks": 6,
        "window": 8,
        "heads": 6,
        "ratio": 2,
        "inputs": (3,),
        "reference": True,
    },
    # Ours: deghosting, narrower and shallower, which sees light as the loss does and says whom to believe.
    "moving": {
        "C": 24,
        "stages": 2,
        "blocks": 2,
        "window": 8,
        "heads": 3,
        "ratio": 2,
        "inputs": (6,),
        "reference": True,
        "sees": "mu",
        "gives": "weights",
    },
    # Ours: depth at any factor, narrower and shallower, two by two pixels as one (`depth.py`).
    "guided": {
        "C": 24,
        "stages": 1,
        "blocks": 2,
        "window": 8,
        "heads": 3,
        "ratio": 2,
        "inputs": (12, 16),
        "outputs": 40,
        "gives": "depth",
    },
}
GUIDANCE_HEADS = 6
# How far trust reaches to either side, and how fast it begins to. Unbounded it grew until no frame but the
# reference counted; with 4, a light floor of the brightest frame shone through who stands before it.
TRUST, FIRMNESS = 8.0, 4.0
DOUBT = 24.0  # at the start, for a difference in light of 1 after mu-law; a stop is 0.08
Filters = Literal["dynamic", "static"]


@dataclass(frozen=True)
class Guiding:
    """How one stream filters another; the choices are `MGDN`'s."""

    exchange: Exchange
    norm: bool
    scale: Scale
    filters: Filters
    start: KernelStart

    def attention(self, C: int) -> nn.Module:
        if self.filters == "static":
            return nn.Identity()
        return MutualGuidance(C, GUIDANCE_HEADS, self.norm, self.scale)

    def filter(self, C: int) -> nn.Module:
        if self.filters == "static":
            return StaticFilter(C, self.start)
        return DynamicFilter(C, self.exchange, self.norm, self.start)


class PairStage(nn.Module):
    """A stage for two streams. `unused` adds the layer that the published checkpoints carry for nothing."""

    def __init__(self, C: int, guiding: Guiding, unused: bool, pff: PFF) -> None:
        super().__init__()
        self.guidance = guiding.attention(C)  # one for both directions
        self.filters = nn.ModuleList(guiding.filter(C) for _ in range(2))
        self.merge = nn.Conv2d(2 * C, C, 1)
        self.pff = pff
        self.hand_back = nn.ModuleList(nn.Conv2d(2 * C, C, 1) for _ in range(3 if unused else 2))

    def filtered(self, streams: list[Tensor]) -> list[Tensor]:
        f1, f2 = streams
        o1 = self.filters[0](self.guidance, f1, f2)
        return [o1, self.filters[1](self.guidance, f2, f1)]

    def groups(self, o: list[Tensor]) -> list[Tensor]:
        return o

    def layer_of(self, index: int, count: int) -> int:
        return index


class ReferenceStage(nn.Module):
    """A stage for three streams: those before and after the reference are guided by it.

    More than three streams share the layers of their side of the reference, and enter the merging as means.
    """

    def __init__(self, C: int, guiding: Guiding, pff: PFF) -> None:
        super().__init__()
        guiding = replace(guiding, exchange="paper")
        self.guidance = guiding.attention(C)
        self.filters = nn.ModuleList(guiding.filter(C) for _ in range(2))  # under, over
        self.plain = nn.ModuleList(nn.Conv2d(C, C, 3, padding=1) for _ in range(2))  # the reference's
        self.merge = nn.Conv2d(3 * C, C, 1)
        self.pff = pff
        self.hand_back = nn.ModuleList(nn.Conv2d(2 * C, C, 1) for _ in range(3))

    def filtered(self, streams: list[Tensor]) -> list[Tensor]:
        middle = len(streams) // 2
        reference = streams[middle]
        out = []
        for index, stream in enumerate(streams):
            if index == middle:
                x = F.leaky_relu(self.plain[0](reference), 0.1)
                out.append(F.leaky_relu(self.plain[1](x), 0.1))
            else:
                out.append(self.filters[int(index > middle)](self.guidance, stream, reference))
        return out

    def groups(self, o: list[Tensor]) -> list[Tensor]:
        middle = len(o) // 2
        return [_mean(o[:middle]), o[middle], _mean(o[middle + 1 :])]

    def layer_of(self, index: int, count: int) -> int:
        return 1 + (index > count // 2) - (index < count // 2)


def _mean(streams: Sequence[Tensor]) -> Tensor:
    return streams[0] if len(streams) == 1 else torch.stack(list(streams)).mean(0)


class MGDN(nn.Module):
    """The network. `exchange` and `norm_residual` choose between the paper's mutual guidance and its code's;
    `unused=True` carries the published checkpoints' idle layers, which gives the published parameter counts;
    `start="mean"` begins as the mean of the exposures, by initial weights alone, "none" with dynamic kernels
    that change nothing, "default" with PyTorch's own initial weights, as the authors' code.

    `scale`: see MutualGuidance. `filters="static"` is the paper's ablation: kernels that are the same for all
    pixels, guided by nobody.

    Of deghosting: `sees="mu"` shows the frames' light after mu-law, and `gives="weights"` makes the last
    layer say how far each frame is to be believed (`light.py`) instead of painting the light; both ours.
    """

    def __init__(
        self,
        *,
        C: int,
        stages: int,
        blocks: int,
        window: int,
        heads: int,
        ratio: int,
        inputs: tuple[int, ...],
        outputs: int = 3,
        reference: bool = False,
        exchange: Exchange = "paper",
        norm_residual: bool = True,
        unused: bool = False,
        start: Literal["mean", "none", "default"] = "none",
        scale: Scale = "multiply",
        filters: Filters = "dynamic",
        sees: Literal["linear", "mu"] = "linear",
        gives: Literal["picture", "weights", "depth"] = "picture",
    ) -> None:
        super().__init__()
        self.sees, self.gives = sees, gives
        self.window, self.inputs, self.reference = window, inputs, reference
        self.kept: list[list[Tensor]] = []  # o_i of every stage, of the last training step, for masked MI
        self.stems = nn.ModuleList(nn.Conv2d(n, C, 3, padding=1) for n in inputs)
        kernels: KernelStart = "default" if start == "default" else "delta"
        guiding = Guiding(exchange, norm_residual, scale, filters, kernels)
        total = stages * blocks
        drops = [0.1 * i / max(1, total - 1) for i in range(total)]
        self.stages = nn.ModuleList()
        for i in range(stages):
            pff = PFF(C, blocks, window, heads, ratio, drops[i * blocks : (i + 1) * blocks])
            self.stages.append(
                ReferenceStage(C, guiding, pff) if reference else PairStage(C, guiding, unused, pff)
            )
        self.idle = nn.ModuleList(nn.LayerNorm(C) for _ in range(2)) if unused else None
        self.tail1 = nn.Conv2d((3 if reference else 2) * C, C, 3, padding=1)
        self.tail2 = nn.Conv2d(C, outputs, 3, padding=1)
        # The stream whose stem features return before the last layer: under, the reference, or the depth.
        self.residual = 1 if reference or inputs == (3, 1) or gives == "depth" else 0
        if start == "mean":
            self._start_as_mean()

    @torch.no_grad()
    def _start_as_mean(self) -> None:
        """Let three channels carry R, G and B of each stream through every stage to the tail.

        The dynamic kernels begin as deltas, and leaky ReLU passes what is not negative; so the tail's last
        layer can form the mean of all streams, stretched by 5 to fit the sigmoid's middle.
        """

        def pass_on(conv: Any, into: int, source: int, value: float = 1.0, clear: bool = True) -> None:
            if clear:
                conv.weight[into] = 0
                conv.bias[into] = 0
            at = conv.kernel_size[0] // 2
            conv.weight[into, source, at, at] = value

        C = self.tail1.out_channels
        count = 3 if self.reference else 2
        self.tail2.weight.mul_(0.1)
        for c in range(max(self.inputs) if self.gives == "weights" else 3):
            for stem in self.stems:
                pass_on(stem, c, c)
            for stage in self.stages:
                assert isinstance(stage, PairStage | ReferenceStage)
                for layer in stage.filters:
                    pass_on(layer.after, c, c)
                for layer in getattr(stage, "plain", ()):
                    pass_on(layer, c, c)
                for layer in stage.hand_back:
                    pass_on(layer, c, C + c)  # of concat(m, o_i), o_i's
            if self.gives == "weights":
                continue  # below
            others = [i for i in range(count) if i != self.residual]
            for n, stream in enumerate(others):
                pass_on(self.tail1, c, stream * C + c, clear=n == 0)
            self.tail2.weight[c, :3] = 0
            self.tail2.weight[c, c, 1, 1] = 5.0 / count
            self.tail2.bias[c] = -2.5  # type: ignore[index]
        if self.gives == "weights":
            self._start_in_doubt(C)

    def _start_in_doubt(self, C: int) -> None:
        """Believe the frames beside the reference the less, the more their light differs from its.

        Two channels a frame carry the difference and its negative: through leaky ReLU they add up to 0.8 of
        its amount.
        """
        self.tail2.bias.zero_()  # type: ignore[union-attr]
        first = channel = max(self.inputs)
        for frame in (0, 2):
            for sign in (1.0, -1.0):
                for layer in (self.tail1, *self.stems):
                    layer.weight[channel] = 0
                    layer.bias[channel] = 0
                for light in (3, 4, 5):
                    self.tail1.weight[channel, frame * C + light, 1, 1] = sign / 3
                    self.tail1.weight[channel, C + light, 1, 1] = -sign / 3
                self.tail2.weight[:, channel] = 0
                self.tail2.weight[frame, channel] = -DOUBT / 0.8 / 9
                channel += 1
        self.tail2.weight[:, :first] *= 0.1  # what is carried there is no sign of anything yet

    def _streams(self, frames: Tensor) -> list[Tensor]:
        if self.inputs == (3, 1):  # the depth task: one frame of R, G, B and depth, and what others look at
            return [frames[:, 0, :3], frames[:, 0, 3:4]]
        return list(frames.unbind(1))

    def _stem(self, index: int, picture: Tensor) -> Tensor:
        stem: Tensor = self.stems[min(index, len(self.stems) - 1)](picture)
        return stem

    def forward(self, frames: Tensor) -> Tensor:
        """(B, N, 3, H, W) in [0, 1], dark to bright -> (B, 3, H, W).

        Deghosting: 3 frames of 6 channels (`light.py`), linear light out. Depth: one frame of 4, R, G, B and
        depth, -> (B, 1, H, W).
        """
        if self.gives == "weights":
            return weighed(frames, self.trust(frames))
        return torch.sigmoid(self._felt(frames))

    def trust(self, frames: Tensor) -> Tensor:
        """Deghosting with weights: the logarithm of how far each frame is believed, (B, 3, H, W)."""
        return TRUST * torch.tanh(FIRMNESS / TRUST * self._felt(frames))

    def _felt(self, frames: Tensor) -> Tensor:  # the last layer's output
        if self.sees == "mu":
            frames = torch.cat((frames[:, :, :3], mu_law(frames[:, :, 3:])), 2)
        return self._joined(self._streams(frames))

    def _joined(self, pictures: list[Tensor]) -> Tensor:
        H, W = pictures[0].shape[-2:]
        inputs = [self._padded(x) for x in pictures]
        if self.reference and len(inputs) < 3:
            raise ValueError(f"This MGDN takes three frames or more, not {len(inputs)}. Use the pair form.")
        streams = [self._stem(i, x) for i, x in enumerate(inputs)]
        if self.training:
            self.kept = []
        for stage in self.stages:
            streams = self._stage(stage, streams)
        stage = self.stages[-1]
        joined = stage.groups(streams)  # type: ignore[operator]
        middle = len(inputs) // 2 if self.reference else self.residual
        return self._tail([*joined, inputs[middle]], C=streams[0].shape[1], index=middle)[..., :H, :W]

    def _stage(self, stage: nn.Module, streams: list[Tensor]) -> list[Tensor]:
        assert isinstance(stage, PairStage | ReferenceStage)
        o = stage.filtered(streams)
        streams.clear()
        if self.training:
            self.kept.append(list(stage.groups(o)))
        m = stage.pff(joined_conv(stage.merge, stage.groups(o)))
        count = len(o)
        for i in range(count):
            o[i] = joined_conv(stage.hand_back[stage.layer_of(i, count)], [m, o[i]])
        return o

    def _tail(self, parts: list[Tensor], C: int, index: int) -> Tensor:
        sizes = [part.shape[1] for part in parts]

        def tail(joined: Tensor) -> Tensor:
            *features, picture = torch.split(joined, sizes, 1)
            x = F.leaky_relu(self.tail1(torch.cat(features, 1)), 0.2) + self._stem(index, picture)
            out: Tensor = self.tail2(x)
            return out

        if torch.is_grad_enabled():
            return tail(torch.cat(parts, 1))
        return strips_of(tail, parts, halo=2)

    def _padded(self, x: Tensor) -> Tensor:
        down, right = -x.shape[2] % self.window, -x.shape[3] % self.window
        if down or right:
            mirror = down < x.shape[2] and right < x.shape[3]
            x = F.pad(x, (0, right, 0, down), mode="reflect" if mirror else "replicate")
        return x.contiguous(memory_format=torch.channels_last)


def build(
    *, task: Task = "exposure", padding: Literal["mirror", "zeros"] = "mirror", **options: Any
) -> nn.Module:
    """`padding`: what lies beyond the picture; "zeros" is the authors'. The package's `adapt` heeds it."""
    settings = {**TASKS[task], **options}
    if settings.get("gives") == "depth":
        from mefnets.mgdn.depth import GuidedDepth

        return GuidedDepth(**settings)
    return MGDN(**settings)
