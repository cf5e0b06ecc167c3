"""The frozen feature networks of MEF-CL's contrastive term: two taps, shallow (texture) and deep (scene).

Two of them. `FeatureNet` is ours: VGG-like, small, trained on free photographs to tell how a picture was
altered (`alter`): exposure, gamma, saturation, blur and noise, which is what its taps must sense.
`VGG16Features` is the paper's, for users who have torchvision's ImageNet file. Both: RGB `(B, 3, H, W)` in
[0, 1] in; `taps` gives the shallow map at 1/2 size and the deep map at 1/8. Needed in training only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ALTERATIONS = ("exposure_ev", "log2_gamma", "saturation", "blur", "noise")
"""What the head of `FeatureNet` predicts, each scaled to about -1...1 (blur and noise: 0...1)."""

MAX_EV, MAX_LOG2_GAMMA, MAX_SATURATION, MAX_NOISE = 3.0, 0.8, 0.8, 0.08


class Taps(Protocol):
    """A feature network. One that shows itself R, G and B one by one has `by_plane = True`."""

    def taps(self, x: Tensor) -> tuple[Tensor, Tensor]: ...


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="replicate"),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, padding_mode="replicate"),
        nn.ReLU(),
    )


class FeatureNet(nn.Module):
    """Four stages of two convolutions, halved between; taps after the second and the fourth."""

    def __init__(self, widths: tuple[int, int, int, int] = (16, 32, 64, 96)) -> None:
        super().__init__()
        self.stage1, self.stage2 = _stage(3, widths[0]), _stage(widths[0], widths[1])
        self.stage3, self.stage4 = _stage(widths[1], widths[2]), _stage(widths[2], widths[3])
        self.head = nn.Linear(2 * widths[3] + widths[1], len(ALTERATIONS))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def taps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stage1(x * 4 - 2)  # (B, 16, H, W); inputs of about unit variance
        shallow = self.stage2(F.max_pool2d(x, 2))  # (B, 32, H/2, W/2)
        x = self.stage3(F.max_pool2d(shallow, 2))  # (B, 64, H/4, W/4)
        return shallow, self.stage4(F.max_pool2d(x, 2))  # (B, 96, H/8, W/8)

    def forward(self, x: Tensor) -> Tensor:  # (B, 3, H, W) -> (B, 5): the alterations
        shallow, deep = self.taps(x)
        moments = torch.cat((deep.mean((2, 3)), deep.amax((2, 3)), shallow.mean((2, 3))), 1)
        out: Tensor = self.head(moments)
        return out


def alter(x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Photographs altered at random, `(B, 3, H, W)`, and how, `(B, 5)` as in ALTERATIONS.

    Exposure and gamma act on linear light (display gamma 2.2), clipping as a camera does.
    """
    B = x.shape[0]

    def uniform(low: float, high: float) -> Tensor:
        u = torch.rand(B, 1, 1, 1, generator=generator).to(x.device)
        return low + (high - low) * u

    ev, gamma, saturation = uniform(-1, 1), uniform(-1, 1), uniform(-1, 1)
    blur, noise = uniform(-1, 1).clamp_min(0), uniform(-1, 1).clamp_min(0)  # half of them have none
    y = (x.clamp(0, 1) ** 2.2 * 2 ** (MAX_EV * ev)).clamp(0, 1) ** (1 / 2.2)
    y = y ** (2 ** (MAX_LOG2_GAMMA * gamma))
    grey = y.mean(1, keepdim=True)
    y = grey + (y - grey) * (1 + MAX_SATURATION * saturation)
    soft = F.avg_pool2d(F.pad(y, (2, 2, 2, 2), mode="replicate"), 5, 1)
    y = y + blur * (soft - y)
    grain = torch.randn(x.shape, generator=generator).to(x.device)
    y = (y + MAX_NOISE * noise * grain).clamp(0, 1)
    return y, torch.cat((ev, gamma, saturation, blur, noise), 1).flatten(1)


# ---- the paper's features --------------------------------------------------------------------------------

VGG16_WIDTHS = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512)  # up to relu4_3
SHALLOW_LAYERS = 9  # layers up to and including relu2_2
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VGG16Features(nn.Module):
    """VGG-16 up to relu4_3. R, G and B go through it one by one, each as a grey picture; maps are joined."""

    by_plane = True
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 3
        for item in VGG16_WIDTHS:
            if isinstance(item, int):
                layers += [nn.Conv2d(width, item, 3, padding=1), nn.ReLU()]
                width = item
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)  # numbered as in torchvision's file
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def taps(self, x: Tensor) -> tuple[Tensor, Tensor]:  # 384 channels at 1/2, 1536 channels at 1/8
        B, _, H, W = x.shape
        planes = x.reshape(B * 3, 1, H, W).expand(-1, 3, -1, -1)
        shallow = self.features[:SHALLOW_LAYERS]((planes - self.mean) / self.std)  # (3B, 128, H/2, W/2)
        deep = self.features[SHALLOW_LAYERS:](shallow)  # (3B, 512, H/8, W/8)
        return shallow.unflatten(0, (B, 3)).flatten(1, 2), deep.unflatten(0, (B, 3)).flatten(1, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.taps(x)


def vgg16_from(state: Mapping[str, Tensor]) -> VGG16Features:
    """The paper's features from torchvision's VGG-16 state dict; further layers in it are ignored."""
    network = VGG16Features()
    for key, ours in network.state_dict().items():
        found = state.get(key)
        if found is None:
            raise ValueError(
                f"This is not torchvision's VGG-16: {key} is missing. Give the file of vgg16's state dict."
            )
        if found.shape != ours.shape:
            raise ValueError(
                f"This is not torchvision's VGG-16: {key} is {tuple(found.shape)}, not {tuple(ours.shape)}. "
                "Give plain vgg16, not vgg16_bn or vgg19."
            )
    network.load_state_dict({key: state[key] for key in network.state_dict()})
    return network.eval().requires_grad_(False)


def load_vgg16(path: str | Path) -> VGG16Features:
    """Read torchvision's VGG-16 file (a state dict; nothing else in it is executed)."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as reason:  # torch raises several unrelated types for a file that is not its own
        raise ValueError(
            f"{Path(path).name} is not a state dict saved by torch. Give torchvision's VGG-16 file."
        ) from reason
    if not isinstance(state, Mapping):
        raise ValueError(f"{Path(path).name} holds no state dict. Give torchvision's VGG-16 file.")
    return vgg16_from(state)
