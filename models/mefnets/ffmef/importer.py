"""The authors' published state dict, laid out for our network.

Three things differ: names, transposed convolutions (ours are plain ones: their kernels are transposed and
turned by half a circle), and the three mixing scalars, which are one vector here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from mefnets.published import Published, UnlikeError

_BLOCKS = {  # theirs -> ours, with the parameter names below
    "preconv": "stem",
    "encode.layer_dowm1.body.0": "extractor.rb_e1",
    "encode.layer_dowm2.body.0": "extractor.rb_e2",
    "encode.layer_bottom.body.0": "extractor.rb_b",
    "encode.layer_up2.body.0": "extractor.rb_u2",
    "encode.layer_up1.body.0": "extractor.rb_u1",
    "encode.dowm1": "extractor.down1",
    "encode.dowm2": "extractor.down2",
    "encode.up2": "extractor.up2",
    "encode.up1": "extractor.up1",
    "encode.fus2": "extractor.fuse2",
    "encode.fus1": "extractor.fuse1",
    **{f"encode.skip{i}": f"extractor.skip{i}" for i in range(1, 7)},
    **{f"kp{i + 1}": f"heads.{i}" for i in range(3)},
    **{f"sca{i + 1}": f"attentions.{i}" for i in range(3)},
}
_UP = ("extractor.up1.", "extractor.up2.")
_COUNTERS = ("total_ops", "total_params")  # left behind by a FLOP counter


def _inner(block: str, rest: str) -> str:
    """The name of a parameter within its block."""
    if block.startswith("stem"):
        return rest
    if block.startswith("extractor.rb"):
        return rest.replace("conv_2.0.", "conv_2.")
    if block.startswith(("extractor.down", "extractor.up")):
        return rest.replace("conv.0.", "conv.").replace("conv.1.", "norm.")
    if block.startswith("extractor.skip"):
        return rest.replace("body.0.", "body.conv.").replace("body.1.", "body.norm.")
    if block.startswith("extractor.fuse"):
        return rest.replace("body.0.", "body.").replace("conv_2.0.", "conv_2.")
    layers = {"0": "conv_1", "2": "conv_2", "4": "conv_3"}
    _, layer, kind = rest.split(".")
    return f"{layers[layer]}.{kind}"


def rename(key: str) -> str | None:
    """Our name for the authors' `key`; None where there is none."""
    for theirs, ours in _BLOCKS.items():
        if key.startswith(theirs + "."):
            rest = key[len(theirs) + 1 :]
            rest = {"alpha1": "a", "alpha2": "b"}.get(rest, rest)
            try:
                return f"{ours}.{rest if rest in ('a', 'b') else _inner(ours, rest)}"
            except (KeyError, ValueError):
                return None
    return None


def convert(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict. Keys of theirs that mean nothing to us raise `KeyError`, naming them all."""
    out: dict[str, Tensor] = {}
    strange: list[str] = []
    alpha: dict[str, Tensor] = {}
    for key, value in state_dict.items():
        if key.rsplit(".", 1)[-1] in _COUNTERS:
            continue
        if key in ("alpha1", "alpha2", "alpha3"):
            alpha[key] = value.reshape(())
            continue
        name = rename(key)
        if name is None:
            strange.append(key)
            continue
        if name.startswith(_UP) and name.endswith("conv.weight"):
            value = value.transpose(0, 1).flip(2, 3)
        out[name] = value.reshape(()) if name.endswith((".a", ".b")) else value.contiguous()
    if len(alpha) == 3:
        out["alpha"] = torch.stack([alpha[f"alpha{i}"] for i in (1, 2, 3)])
    else:
        strange += [f"alpha{i} (missing)" for i in (1, 2, 3) if f"alpha{i}" not in alpha]
    if strange:
        raise KeyError(f"not FFMEF's: {', '.join(strange)}")
    return out


def knows(keys: Iterable[str]) -> bool:
    return {"preconv.weight", "encode.up1.conv.0.weight"} <= set(keys)


def read(theirs: Mapping[str, Tensor]) -> Published:
    """Their weights for exposures, focus and infrared have the same keys, and want the same things."""
    try:
        tensors = convert(theirs)
    except KeyError as error:
        raise UnlikeError(str(error.args[0])) from error
    left = tuple(key for key in theirs if key.rsplit(".", 1)[-1] in _COUNTERS)
    return Published("the FFMEF authors' weights", tensors, {"padding": "zeros"}, "studio", left=left)
