"""What the house network is trained for: structure, edges and tone as the measures see them, and that nothing
a frame shows is lost.

    L = 5 (1 - MEF-SSIM) + (1 - Q_ABF) + 2 (1 - Q_W) + Q_CV / 125
        + 40 L_shown + 1.5 L_light + L_vivid

MEF-SSIM, Q_ABF and Q_W ask for every frame's structure and edges; none of them feels the tone. Q_CV does:
it compares large shapes with the frames, but only near strong edges: with these four alone a sunset sky went
white and a rock face black. L_shown asks that what some frame shows in its middle tones is neither black nor
white in the result: it is the share of crushed and blown pixels, made smooth, with a margin. L_light keeps
the light and the colour of every 8 x 8 block near what its well exposed frames show, with some freedom in
light (less where there is little light), none in colour. L_vivid is how far the mean chroma leaves what
people like: a little more than the frames show. Q_CV is made for pairs and likes the glare of the brightest
frame; the more frames, the less it counts and the more MEF-SSIM and L_light.
Luminance is judged, and in a third of the steps one colour channel for the edges, since Q_ABF, Q_W and Q_CV
are read on R, G and B. The blend is convex, so the measures cannot be bribed with free pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.house.pyramid import luminance
from mefnets.measures import chroma, mef_ssim, q_abf, q_cv, q_w
from mefnets.recipe import Batch, Objective

W_STRUCTURE, W_EDGES, W_EDGE_SHAPE, W_TONE = 5.0, 1.0, 2.0, 1 / 125
W_SHOWN, W_LIGHT, W_VIVID = 40.0, 1.5, 1.0
BLOCK_PX = 8
FREEDOM, SHADOW_FREEDOM = 0.1, 0.5  # of luminance, and of what is wanted, before L_light feels a difference
MORE_COLOUR = 1.17  # than the frames show
VIVID = (1.15, 1.22)  # the chroma of the result over that of the frames
SHOWN = (0.13, 0.85)  # middle tones, as means of 7 x 7
Q_CV_CEILING = 2000.0  # one hopeless scene must not steer a step
BORDER = 0.4  # to Q_CV a picture's border is an edge to black, and small pictures have more border


def worth(y: Tensor) -> Tensor:
    """How well exposed a luminance is."""
    return torch.exp((y - 0.5) ** 2 / (-2 * 0.2**2)) + 1e-3


def light_and_colour(frames: Tensor, fused: Tensor, freedom: float = FREEDOM) -> Tensor:
    """How far block means of the result leave those of the frames, pixels weighted by well-exposedness."""
    B, N, _, H, W = frames.shape
    y = luminance(frames.flatten(0, 1)).view(B, N, 1, H, W)
    weights = worth(y)
    wanted = F.avg_pool2d((weights * frames).sum(1) / weights.sum(1), BLOCK_PX)  # (B, 3, h, w)
    grey = luminance(wanted)
    wanted = grey + MORE_COLOUR * (wanted - grey)
    difference = F.avg_pool2d(fused, BLOCK_PX) - wanted
    in_light = luminance(difference)
    in_colour = difference - in_light
    allowed = torch.minimum(SHADOW_FREEDOM * torch.minimum(grey, 1 - grey), grey.new_tensor(freedom))
    excess = F.relu(in_light.abs() - allowed)
    return (excess**2).mean() + 2 * (in_colour**2).mean()


def lost(y_frames: Tensor, y_fused: Tensor) -> tuple[Tensor, Tensor]:
    """Crushed and blown, made smooth: how far below, and above, what must stay visible, (B,) each.

    Of the frames that show a place in their middle tones the brightest says how dark it may become, the
    darkest how bright: 0.6 of its distance to black and to white, and not more than the middle tones ask for.
    """
    mine = F.avg_pool2d(y_fused, 7, 1)
    seen = F.avg_pool2d(y_frames.flatten(0, 1), 7, 1).view(*y_frames.shape[:2], 1, *mine.shape[-2:])
    shown = (seen > SHOWN[0]) & (seen < SHOWN[1])
    brightest = torch.where(shown, seen, 0.0).amax(1)
    darkest = torch.where(shown, seen, 1.0).amin(1)
    crushed = F.relu((0.6 * brightest).clamp_max(0.14) - mine)
    blown = F.relu(mine - 1 + (0.6 * (1 - darkest)).clamp_max(0.1))
    return crushed.mean((1, 2, 3)), blown.mean((1, 2, 3))


def vividness(frames: Tensor, fused: Tensor) -> Tensor:
    """Mean chroma of the result over that of the frames, each by how well it is exposed, (B,)."""
    B, N = frames.shape[:2]
    small = F.avg_pool2d(frames.flatten(0, 1), 2)
    y = luminance(small).view(B, N, 1, *small.shape[-2:])
    chromas = chroma(small).view_as(y)
    shown = (y > SHOWN[0]) & (y < SHOWN[1])
    some = shown.any(1).float()
    wanted = (worth(y) * chromas).sum(1) / worth(y).sum(1)
    mine = chroma(F.avg_pool2d(fused, 2))
    total = (some * wanted).sum((1, 2, 3))
    ratio: Tensor = (some * mine).sum((1, 2, 3)) / total.clamp_min(1e-3 * some[0].numel())
    return ratio


class MeasuresObjective(Objective):
    def __init__(
        self,
        tone: float = W_TONE,
        light: float = W_LIGHT,
        freedom: float = FREEDOM,
        shown: float = W_SHOWN,
        vivid: float = W_VIVID,
    ) -> None:
        super().__init__()
        self.tone, self.light, self.freedom, self.shown, self.vivid = tone, light, freedom, shown, vivid
        self.calls: Tensor
        # A buffer, so that a continued run goes on with the same channel.
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def asks(self) -> tuple[str, ...]:
        tone = ("Q_CV",) if self.tone else ()
        shown = ("crushed", "blown") if self.shown else ()
        return ("MEF_SSIM", "Q_ABF", "Q_W", *tone, *shown, *(("colour",) if self.vivid else ()))

    def forward(self, network: nn.Module, batch: Batch, progress: float) -> tuple[Tensor, dict[str, float]]:
        fused = network(batch.frames)  # (B, 3, H, W)
        B, N, _, H, W = batch.frames.shape
        y_frames = luminance(batch.frames.flatten(0, 1)).view(B, N, 1, H, W)
        y_fused = luminance(fused)
        self.calls += 1
        turn = int(self.calls)
        if turn % 3 == 0:
            k = (turn // 3) % 3
            edge_frames, edge_fused = batch.frames[:, :, k : k + 1], fused[:, k : k + 1]
        else:
            edge_frames, edge_fused = y_frames, y_fused
        structure = mef_ssim(y_frames, y_fused).mean()
        edges = q_abf(edge_frames, edge_fused).mean()
        shape = q_w(edge_frames, edge_fused).mean()
        tone = q_cv(edge_frames, edge_fused, border=BORDER).clamp_max(Q_CV_CEILING).mean()
        light = light_and_colour(batch.frames, fused, self.freedom)
        crushed, blown = (part.mean() for part in lost(y_frames, y_fused))
        ratio = vividness(batch.frames, fused)
        dull = (F.relu(VIVID[0] - ratio) + F.relu(ratio - VIVID[1])).clamp_max(0.5).mean()
        loss = (
            W_STRUCTURE * (N / 2) * (1 - structure)
            + W_EDGES * (1 - edges)
            + W_EDGE_SHAPE * (1 - shape)
            + self.tone * (2 / N) * tone
            + self.light * (N / 2) * light
            + self.shown * (crushed + blown)
            + self.vivid * dull
        )
        terms = {
            "mef_ssim": structure.item(),
            "q_abf": edges.item(),
            "q_w": shape.item(),
            "q_cv": tone.item(),
            "light": light.item(),
            "crushed": crushed.item(),
            "blown": blown.item(),
            "colour": ratio.mean().item(),
        }
        return loss, terms
