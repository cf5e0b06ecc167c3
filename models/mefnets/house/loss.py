"""What the house network is trained for: structure, edges and tone, as the measures see them.

    L = 3 (1 - MEF-SSIM) + (1 - Q_ABF) + 2 (1 - Q_W) + Q_CV / 500 + 5 L_light + 20 L_range

MEF-SSIM, Q_ABF and Q_W ask for every frame's structure and edges; none of them feels the tone. Q_CV does:
it compares large shapes with the frames, but only near strong edges: with these four alone a sunset sky went
white and a rock face black. L_light therefore keeps the light and the colour of every 8 x 8 block near what
its well exposed frames show, with some freedom in light, none in colour. L_range is how far the result
leaves [0, 1]. Q_CV is made for pairs and likes the glare of the brightest frame; the more frames, the less it
counts and the more L_light.
Luminance is judged, and in a third of the steps one colour channel for the edges, since Q_ABF, Q_W and Q_CV
are read on R, G and B. The blend is convex, so the measures cannot be bribed with free pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mefnets.house.pyramid import luminance
from mefnets.measures import mef_ssim, q_abf, q_cv, q_w
from mefnets.recipe import Batch, Objective

W_STRUCTURE, W_EDGES, W_EDGE_SHAPE, W_TONE, W_LIGHT, W_RANGE = 3.0, 1.0, 2.0, 1 / 500, 5.0, 20.0
BLOCK_PX = 8
FREEDOM = 0.1  # of luminance, before L_light feels a difference
Q_CV_CEILING = 4000.0  # one hopeless scene must not steer a step


def light_and_colour(frames: Tensor, fused: Tensor, freedom: float = FREEDOM) -> Tensor:
    """How far block means of the result leave those of the frames, pixels weighted by well-exposedness."""
    B, N, _, H, W = frames.shape
    y = luminance(frames.flatten(0, 1)).view(B, N, 1, H, W)
    worth = torch.exp((y - 0.5) ** 2 / (-2 * 0.2**2)) + 1e-3
    wanted = (worth * frames).sum(1) / worth.sum(1)  # (B, 3, H, W)
    difference = F.avg_pool2d(fused - wanted, BLOCK_PX)
    in_light = luminance(difference)
    in_colour = difference - in_light  # (B, 3, h, w)
    excess = F.relu(in_light.abs() - freedom)
    return (excess**2).mean() + 2 * (in_colour**2).mean()


class MeasuresObjective(Objective):
    def __init__(self, tone: float = W_TONE, light: float = W_LIGHT, freedom: float = FREEDOM) -> None:
        super().__init__()
        self.tone, self.light, self.freedom = tone, light, freedom
        self.calls: Tensor
        # A buffer, so that a continued run goes on with the same channel.
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

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
        tone = q_cv(edge_frames, edge_fused).clamp_max(Q_CV_CEILING).mean()
        out_of_range = (F.relu(fused - 1) + F.relu(-fused)).mean()
        light = light_and_colour(batch.frames, fused, self.freedom)
        loss = (
            W_STRUCTURE * (1 - structure)
            + W_EDGES * (1 - edges)
            + W_EDGE_SHAPE * (1 - shape)
            + self.tone * (2 / N) * tone
            + self.light * (N / 2) * light
            + W_RANGE * out_of_range
        )
        terms = {
            "mef_ssim": structure.item(),
            "q_abf": edges.item(),
            "q_w": shape.item(),
            "q_cv": tone.item(),
            "light": light.item(),
            "range": out_of_range.item(),
        }
        return loss, terms
