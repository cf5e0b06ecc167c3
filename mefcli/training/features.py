"""The feature network of MEF-CL: trained on free photographs to tell how a picture was altered.

A network that can say by how many stops a picture was pushed, how its gamma, saturation, sharpness and noise
were changed must feel exposure, colour and texture, and needs no labels and no foreign weights.
"""

from __future__ import annotations

from pathlib import Path

from mefcli.errors import ModelError
from mefnets.mefcl.features import FeatureNet

WEIGHTS = Path(__file__).resolve().parents[2] / "weights" / "features.safetensors"


def untrained_features() -> FeatureNet:
    return FeatureNet().eval()


def load_features(path: Path | None = None) -> FeatureNet:
    from safetensors.torch import load_file

    path = path or WEIGHTS
    if not path.is_file():
        raise ModelError(
            "The feature network of MEF-CL is not trained yet.", "Run mef train features --data DIR first."
        )
    network = FeatureNet()
    network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return network.eval().requires_grad_(False)
