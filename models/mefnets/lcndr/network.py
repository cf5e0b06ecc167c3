"""LCNDR's network: two mirrored branches with shared weights, one map for each exposure (paper, figure 2).

In the order data flows: stem -> CEM (pooling extractor P beside coordinate attentions CA) -> SAM -> ERM
-> map W -> branch end. Symbols as in the paper; the widths are our reading (the paper gives none). Frames
come in as luminance in [0, 1]; inside, luminance is in [-1, 1] as the paper's maps expect.

What differs from the paper, and why, stands in README.md. Nothing is averaged over the picture outside a
`GlobalStatistic`, and attention costs time and memory linear in pixels: keys and values are pooled to a grid
of at most 64 x 64.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.layers.blocks import GlobalStatistic, in_strips, part_of

Operation = Literal["add", "multiply"]
Start = Literal["exposed", "none"]
Join = Literal["concatenate", "sum"]
Edges = Literal["added", "alone"]
Planes = Literal["luma", "rgb"]

C = 32  # stem width
SLOPE = 0.01  # of every leaky ReLU
GRID = 64  # keys and values of the self-attention are pooled to at most this many rows and columns
MULTIPLE = 8  # the self-attention looks at 1/8 size


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE, inplace=not torch.is_grad_enabled())


class CoordinateAttention(nn.Module):
    """CA: gates from the means along rows and along columns."""

    def __init__(self) -> None:
        super().__init__()
        reduced = max(8, C // 64)
        self.squeeze = nn.Conv2d(C, reduced, 1)
        self.norm = nn.BatchNorm2d(reduced)
        self.rows = nn.Conv2d(reduced, C, 1)
        self.columns = nn.Conv2d(reduced, C, 1)
        self.statistic = GlobalStatistic()

    def forward(self, along_w: Tensor, along_h: Tensor) -> tuple[Tensor, Tensor]:
        """Means (B, 32, H, 1) and (B, 32, 1, W) to gates a_h, a_w of these shapes; CA(x) = x * a_h * a_w."""
        H, W = along_w.shape[2], along_h.shape[3]

        def compute() -> tuple[Tensor, ...]:
            joined = torch.cat((along_w, along_h.transpose(2, 3)), 2)  # (B, 32, H+W, 1)
            z = F.hardswish(self.norm(self.squeeze(joined)))  # (B, 8, H+W, 1)
            h, w = torch.split(z, [H, W], 2)
            return self.rows(h).sigmoid(), self.columns(w).sigmoid().transpose(2, 3)

        a_h, a_w = self.statistic(compute)
        if self.statistic.mode == "replay":  # a tile: its part of the whole picture's gates
            top, bottom, left, right = self.statistic.window
            a_h = part_of(a_h.transpose(2, 3), top, bottom, H).transpose(2, 3)
            a_w = part_of(a_w, left, right, W)
        return a_h, a_w


class PoolingExtractor(nn.Module):
    """P: convolutions at full size, joined by what a look at a quarter of the size adds."""

    def __init__(self, outputs: int = 96) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(C, 64, 3, padding=1)
        self.conv2 = nn.Conv2d(64, 64, 3, padding=1)
        self.conv3 = nn.Conv2d(64, 64, 1)
        self.low1 = nn.Conv2d(256, 64, 3, padding=1)
        self.low2 = nn.Conv2d(64, 64, 1)
        self.out = nn.Conv2d(64, outputs, 3, padding=1)

    @staticmethod
    def pool(x: Tensor) -> Tensor:  # (B, c, H, W) -> (B, 2c, H/2, W/2)
        return torch.cat((F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)), 1)

    def forward(self, x: Tensor) -> Tensor:  # (B, 32, H, W) -> (B, outputs, H, W)
        p0 = _leaky(self.conv3(_leaky(self.conv2(_leaky(self.conv1(x))))))  # (B, 64, H, W)
        low = self.pool(self.pool(p0))  # (B, 256, H/4, W/4)
        low = _leaky(self.low2(_leaky(self.low1(low))))  # (B, 64, H/4, W/4)
        up = F.interpolate(low, size=p0.shape[2:], mode="bilinear", align_corners=False)
        p = up + p0 if torch.is_grad_enabled() else up.add_(p0)
        del p0, up
        return _leaky(self.out(p))


class CEM(nn.Module):
    """Collaborative extraction: P(x), and the gates of `attentions` coordinate attentions on the same x.

    The features are P(x) beside x * a_h * a_w of each attention; they are joined by whoever reads them.
    `join="sum"` is equation 1: all have 32 channels then, and are added up.
    """

    def __init__(self, attentions: int = 3, join: Join = "concatenate") -> None:
        super().__init__()
        self.summed = join == "sum"
        self.pooling = PoolingExtractor(C if self.summed else 96)
        self.attentions = nn.ModuleList(CoordinateAttention() for _ in range(attentions))
        self.widths = (C,) if self.summed else (96,) + (C,) * attentions

    def start(self, x: Tensor) -> Tensor:  # (B, 32, H, W) -> (B, 96 or 32, H, W), local
        out: Tensor = self.pooling(x)
        return out

    def gates(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        if not self.attentions:
            return []
        along_w = x.mean(3, keepdim=True)  # (B, 32, H, 1)
        along_h = x.mean(2, keepdim=True)  # (B, 32, 1, W)
        return [attention(along_w, along_h) for attention in self.attentions]


class PlainExtraction(nn.Module):
    """What stands in for CEM in the ablation "without C": one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(C, 192, 3, padding=1)
        self.widths = (192,)
        self.summed = False

    def start(self, x: Tensor) -> Tensor:  # (B, 32, H, W) -> (B, 192, H, W)
        return _leaky(self.conv(x))

    def gates(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        return []


def _normed(layer: nn.Conv2d, norms: bool) -> nn.Module:
    return nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels)) if norms else layer


class SAM(nn.Module):
    """Self-attention between one exposure's features and the other exposure, at 1/8 size.

    As the paper prints it: `norms`, batch norms after Q, K and V, too; `scaled=False`, no division by
    sqrt(8); `grid=0`, keys and values at every position (time grows with the square of the pixels).
    """

    def __init__(self, norms: bool = False, scaled: bool = True, grid: int = GRID) -> None:
        super().__init__()
        self.scale, self.grid = 8**-0.5 if scaled else 1.0, grid
        self.conv0 = nn.Conv2d(C + 1, 48, 3, stride=2, padding=1)
        self.norm0 = nn.BatchNorm2d(48)
        self.conv1 = nn.Conv2d(48, C, 3, stride=2, padding=1)
        self.norm1 = nn.BatchNorm2d(C)
        self.query = _normed(nn.Conv2d(C, 8, 1), norms)
        self.key = _normed(nn.Conv2d(C, 8, 1), norms)
        self.value = _normed(nn.Conv2d(C, C, 1), norms)
        self.statistic = GlobalStatistic()

    def forward(self, x: Tensor, other: Tensor) -> Tensor:  # (B, 32, H, W), (B, 1, H, W) -> (B, 32, H/8, W/8)
        f0 = _leaky(self.norm0(self.conv0(torch.cat((x, other), 1))))  # (B, 48, H/2, W/2)
        f = _leaky(self.norm1(self.conv1(F.max_pool2d(f0, 2))))  # (B, 32, H/8, W/8)

        def compute() -> tuple[Tensor, ...]:
            # The 1x1 convolutions commute with the mean, so pooling f pools keys and values.
            rows, columns = (min(self.grid or side, side) for side in f.shape[2:])
            pooled = F.adaptive_avg_pool2d(f, (rows, columns))
            k = self.key(pooled).flatten(2).transpose(1, 2)  # (B, n, 8), n <= 64 * 64
            v = self.value(pooled).flatten(2).transpose(1, 2)  # (B, n, 32)
            return k, v

        k, v = self.statistic(compute)
        q = self.query(f).flatten(2).transpose(1, 2)  # (B, N, 8)
        # Equal widths for q, k and v let torch choose the kernel that never stores the N x n matrix.
        q, k = (F.pad(t.float(), (0, C - t.shape[2])) for t in (q, k))
        out = F.scaled_dot_product_attention(q[:, None], k[:, None], v.float()[:, None], scale=self.scale)[
            :, 0
        ]
        return out.to(f.dtype).transpose(1, 2).reshape(f.shape) + f


class ERM(nn.Module):
    """Edge revision: the steepest of two neighbouring gradients joins the features, or (`edges="alone"`, as
    the paper words it) takes their place."""

    def __init__(self, width: int, edges: Edges = "added") -> None:
        super().__init__()
        self.alone = edges == "alone"
        self.reduce = nn.Conv2d(width, C, 1)
        self.conv1 = nn.Conv2d(C, C, 3, padding=1)
        self.conv2 = nn.Conv2d(C, 1, 3, padding=1)

    @staticmethod
    def gradient_filter(p: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C, H, W)
        """FG(i, j) = max(g(i, j), g(i+1, j+1)), g from the left and the lower neighbour."""
        padded = F.pad(p, (1, 0, 0, 1), mode="replicate")  # left and below
        dx = (p - padded[:, :, :-1, :-1]).square()
        g = (
            torch.addcmul(dx, dy := p - padded[:, :, 1:, 1:], dy).add_(1e-6).sqrt_()
        )  # 1e-6: the root has no slope at 0
        return torch.maximum(g, F.pad(g, (0, 1, 0, 1), mode="replicate")[:, :, 1:, 1:])

    def head(self, reduced: Tensor) -> Tensor:  # (B, 32, H, W) -> (B, 1, H, W)
        edges = self.gradient_filter(reduced)
        logits: Tensor = self.conv2(_leaky(self.conv1(edges if self.alone else reduced + edges)))
        return logits


class LCNDR(nn.Module):
    """Luminance fusion: Y = W_o * over + (W_u + under), all in [-1, 1].

    Switches for the paper's ablations: `cem`, `sam`, `erm` off; `attentions` 0..3; the operation at the end
    of each branch. `start="exposed"` adds to both maps' logits what makes an untrained network a blend by
    well-exposedness; "none" is the bare network, which tends to collapse to one global mix.

    As the paper prints it: `join`, `norms`, `scaled`, `grid` and `edges` of CEM, SAM and ERM. `planes="rgb"`
    fuses R, G and B each by itself, without the luminance that coordinates them (an ablation).
    """

    def __init__(
        self,
        *,
        cem: bool = True,
        sam: bool = True,
        erm: bool = True,
        attentions: int = 3,
        over_end: Operation = "multiply",
        under_end: Operation = "add",
        start: Start = "exposed",
        join: Join = "concatenate",
        norms: bool = False,
        scaled: bool = True,
        grid: int = GRID,
        edges: Edges = "added",
        planes: Planes = "luma",
    ) -> None:
        super().__init__()
        self.ends = (over_end, under_end)
        self.start, self.planes = start, planes
        self.last_maps: dict[str, Tensor] = {}  # of the last training step, for the log
        self.stem = nn.Conv2d(1, C, 3, padding=1)
        self.cem = CEM(attentions, join) if cem else PlainExtraction()
        self.sam = SAM(norms, scaled, grid) if sam else None
        self.widths = (*self.cem.widths, C)
        self.erm = ERM(sum(self.widths), edges) if erm else None
        self.plain = None if erm else nn.Conv2d(sum(self.widths), 1, 3, padding=1)
        last = self.erm.conv2 if self.erm is not None else self.plain
        if last is not None and start == "exposed":
            nn.init.normal_(last.weight, std=0.002)  # begin at the start and learn away from it
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def logits(self, image: Tensor, other: Tensor) -> Tensor:  # (B, 1, H, W) each -> (B, 1, H, W)
        """What one branch says about its own image, before the sigmoid."""
        x = self.stem(image)  # (B, 32, H, W)
        if self.sam is None:
            attended = x.new_zeros(x.shape[0], C, x.shape[2] // MULTIPLE, x.shape[3] // MULTIPLE)
        else:
            attended = self.sam(x, other)  # (B, 32, H/8, W/8)
        if self.erm is not None:
            reduced = self._reduced(self.erm.reduce, x, attended)
            if torch.is_grad_enabled():
                return self.erm.head(reduced)
            return in_strips(self.erm.head, reduced, halo=3, rows=128)
        attended = F.interpolate(attended, size=x.shape[2:], mode="bilinear", align_corners=False)
        parts = [self.cem.start(x)] + [x * a_h * a_w for a_h, a_w in self.cem.gates(x)]
        if self.cem.summed:
            parts = [torch.stack(parts).sum(0)]
        logits: Tensor = self.plain(torch.cat((*parts, attended), 1))  # type: ignore[misc]
        return logits

    def _reduced(self, reduce: nn.Conv2d, x: Tensor, attended: Tensor) -> Tensor:
        """`reduce` of the joined features, without joining them: a 1x1 convolution is a sum over its parts.

        It also commutes with the bilinear resize, so attended features grow only after it.
        """
        first, *others, last = torch.split(reduce.weight, list(self.widths), 1)
        low = F.conv2d(attended, last, reduce.bias)
        out = F.interpolate(low, size=x.shape[2:], mode="bilinear", align_corners=False)

        def start(x: Tensor) -> Tensor:
            return F.conv2d(self.cem.start(x), first)

        gates = self.cem.gates(x)
        if self.cem.summed:
            others = [first] * len(gates)
        if torch.is_grad_enabled():
            out = out + start(x)
            for (a_h, a_w), weight in zip(gates, others, strict=True):
                out = out + F.conv2d(x * a_h * a_w, weight)
            return out  # (B, 32, H, W)
        out += in_strips(start, x, halo=16, rows=256, align=MULTIPLE)
        for top in range(0, x.shape[2], 32):  # a strip that fits the cache
            rows = slice(top, top + 32)
            for (a_h, a_w), weight in zip(gates, others, strict=True):
                out[:, :, rows] += F.conv2d((x[:, :, rows] * a_h[:, :, rows]).mul_(a_w), weight)
        return out

    def maps(self, under: Tensor, over: Tensor) -> tuple[Tensor, Tensor]:
        """W_o and W_u, in (0, 1), for images in [-1, 1]."""
        l_o, l_u = self.logits(over, under), self.logits(under, over)
        if self.start == "exposed":
            s_o, s_u = exposed_start(under, over)
            l_o, l_u = l_o + s_o, l_u + s_u
        return l_o.sigmoid(), l_u.sigmoid()

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 2, 1, H, W) in [0, 1], dark to bright -> (B, 1, H, W); `planes="rgb"`: 3 planes each."""
        if self.planes == "rgb" and frames.shape[2] == 3:
            B, N, _, H, W = frames.shape
            planes = frames.transpose(1, 2).reshape(3 * B, N, 1, H, W)
            return self._picture(planes).view(B, 3, H, W)
        return self._picture(frames)

    def _picture(self, frames: Tensor) -> Tensor:  # (B, 2, 1, H, W) -> (B, 1, H, W)
        H, W = frames.shape[-2:]
        down, right = -H % MULTIPLE, -W % MULTIPLE
        pair = F.pad(frames.flatten(0, 1), (0, right, 0, down), mode="replicate").mul(2).sub(1)
        under, over = pair.view(*frames.shape[:2], 1, H + down, W + right).unbind(1)
        w_o, w_u = self.maps(under.contiguous(), over.contiguous())
        if self.training:
            self.last_maps = {"w_o": w_o.detach(), "w_u": w_u.detach()}
        fused = _end(self.ends[0], w_o, over) + _end(self.ends[1], w_u, under)
        fused = fused[..., :H, :W] * 0.5 + 0.5
        return fused if self.training else fused.clamp(0, 1)


def _end(operation: Operation, w: Tensor, image: Tensor) -> Tensor:
    return w * image if operation == "multiply" else w + image


def exposed_start(under: Tensor, over: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of the maps that make Y the blend w * over + (1 - w) * under.

    w weighs both images by how close their surroundings are to mid-grey. Then W_o = w, and W_u = -w * under,
    which is a legal map because an under-exposed image is mostly below zero; elsewhere it is clipped.
    """

    def exposedness(x: Tensor) -> Tensor:
        return torch.exp(_local_mean(x).square() / -(2 * 0.5**2)) + 1e-3

    e_o, e_u = exposedness(over), exposedness(under)
    w = e_o / (e_o + e_u)
    return torch.logit(w, eps=0.01), torch.logit(-w * under, eps=0.01)


def _local_mean(x: Tensor) -> Tensor:  # (B, 1, H, W), H and W multiples of 8
    low = F.avg_pool2d(x, MULTIPLE)
    low = F.avg_pool2d(F.pad(low, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return F.interpolate(low, scale_factor=float(MULTIPLE), mode="bilinear", align_corners=False)


def build(
    *,
    padding: Literal["mirror", "zeros"] = "mirror",
    form: Literal["paper", "released"] = "paper",
    **options: object,
) -> nn.Module:
    """`padding`: what lies beyond the picture; "zeros" is the authors'. The package's `adapt` heeds it.
    `form`: "released" is the network of the authors' code (`released.py`)."""
    if form == "released":
        from mefnets.lcndr.released import Released

        return Released()
    return LCNDR(**options)  # type: ignore[arg-type]
