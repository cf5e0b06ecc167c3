"""The authors' released state dict, laid out for `released.Released`: not their paper's network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from mefnets.published import Published, renamed, swapped

NAMES = {
    "conv_1": "stem",
    "m1.se.fc.0": "squeeze",
    "m1.se.fc.2": "excite",
    "m1.conv1": "conv1",
    "m1.conv2": "conv2",
    "m3.conv1": "sam.conv0",
    "m3.bn": "sam.norm0",
    "m3.conv2": "sam.conv1",
    "m3.bn2": "sam.norm1",
    "m3.Cv1": "sam.value",
    "m3.cv2": "sam.query",
    "m3.cv3": "sam.key",
    "conv_2": "head",
    "bn": "norm",
}


def knows(keys: Iterable[str]) -> bool:
    return {"m1.se.fc.0.weight", "m3.Cv1.weight"} <= set(keys)


def read(theirs: Mapping[str, Tensor]) -> Published:
    # `r` is an activation that they declare and never call.
    tensors, left = renamed(theirs, lambda key: swapped(key, NAMES), lambda key: key == "r.weight")
    return Published(
        "the LCNDR authors' released network, which is not their paper's",
        tensors,
        {"form": "released", "padding": "zeros"},
        left=left,
    )
