"""The authors' published state dicts, laid out for our network: exposures, focus, deghosting and depth."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from mefnets.mgdn.network import TASKS
from mefnets.published import Published, UnlikeError, renamed, swapped

STAGE = {  # theirs within `layers.N` -> ours within `stages.N`
    "MGF.TCA.q": "guidance.q1",
    "MGF.TCA.q_dwconv": "guidance.q2",
    "MGF.TCA.kv": "guidance.kv1",
    "MGF.TCA.kv_dwconv": "guidance.kv2",
    "MGF.TCA.project_out": "guidance.out",
    **{
        f"MGF.kernel_predictor_{theirs}.{layer}": f"filters.{i}.head.conv{n}"
        for theirs, i in (("ref", 0), ("ext", 1), ("under", 0), ("over", 1))
        for layer, n in (("0.0", 1), ("1.0", 2), ("2", 3))
    },
    **{f"MGF.conv_out_{i + 1}.0": f"filters.{i}.after" for i in range(2)},
    **{f"MGF.conv_ref.{i}.0": f"plain.{i}" for i in range(2)},
    "dilated_conv": "pff.out",
    "adjust_channel": "merge",
    **{f"adjust_channel_0{i + 1}": f"hand_back.{i}" for i in range(3)},
}
BLOCK = {  # theirs within `residual_group.blocks.N` -> ours within `pff.blocks.N`
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.qkv": "attention.qkv",
    "attn.proj": "attention.proj",
    "mlp.fc1": "mlp1",
    "mlp.fc2": "mlp2",
    **{f"lce.conv.{i}": f"local{i + 1}" for i in range(3)},
    "lce.fc.0": "gate1",
    "lce.fc.2": "gate2",
}
ENDS = {
    "inconv1": "stems.0",
    "inconv2": "stems.1",
    "conv1": "stems.0",
    "conv_after_body.0": "tail1",
    "conv_last.0": "tail2",
}
# Embedding norms that nothing runs through, and masks and indices that follow from the size.
IDLE = re.compile(r"(patch_embed\.|norm\.|.*\.(attn_mask|relative_position_index)$)")
MARK = "layers.0.MGF.TCA.temperature"


def knows(keys: Iterable[str]) -> bool:
    return MARK in set(keys)


def read(theirs: Mapping[str, Tensor]) -> Published:
    task = _task(theirs)
    pairs = not TASKS[task].get("reference")

    def idle(key: str) -> bool:
        return bool(IDLE.match(key)) or (pairs and ".adjust_channel_03." in key)

    tensors, left = renamed(theirs, _name, idle)
    options: dict[str, object] = {"task": task, "norm_residual": False, "start": "none", "padding": "zeros"}
    if pairs:
        options["exchange"] = "code"  # their deghosting guides as the paper does
    return Published(f"the MGDN authors' weights for {task}", tensors, options, left=left)


def _name(key: str) -> str | None:
    found = re.fullmatch(r"layers\.(\d+)\.residual_group\.blocks\.(\d+)\.(.+)", key)
    if found:
        stage, block, rest = found.groups()
        if rest == "attn.relative_position_bias_table":
            return f"stages.{stage}.pff.blocks.{block}.attention.bias_table"
        ours = swapped(rest, BLOCK)
        return ours and f"stages.{stage}.pff.blocks.{block}.{ours}"
    found = re.fullmatch(r"layers\.(\d+)\.(.+)", key)
    if found:
        stage, rest = found.groups()
        if rest == "MGF.TCA.temperature":
            return f"stages.{stage}.guidance.temperature"
        ours = swapped(rest, STAGE)
        return ours and f"stages.{stage}.{ours}"
    return swapped(key, ENDS)


def _task(theirs: Mapping[str, Tensor]) -> str:
    """Which of the tasks has these widths, stages, blocks and windows."""
    stems = [theirs[key] for key in ("inconv1.weight", "inconv2.weight", "conv1.weight") if key in theirs]
    table = theirs.get("layers.0.residual_group.blocks.0.attn.relative_position_bias_table")
    mlp = theirs.get("layers.0.residual_group.blocks.0.mlp.fc1.weight")
    if not stems or table is None or mlp is None:
        raise UnlikeError("its first layers are missing")
    stages = 1 + max(int(key.split(".")[1]) for key in theirs if key.startswith("layers."))
    inside = "layers.0.residual_group.blocks."
    blocks = 1 + max(int(key.split(".")[4]) for key in theirs if key.startswith(inside))
    C = int(stems[0].shape[0])
    found = {
        "C": C,
        "stages": stages,
        "blocks": blocks,
        "window": (round(table.shape[0] ** 0.5) + 1) // 2,
        "heads": int(table.shape[1]),
        "ratio": int(mlp.shape[0]) // C,
        "inputs": tuple(int(stem.shape[1]) for stem in stems),
    }
    for task, widths in TASKS.items():
        if task != "bracket" and all(widths[name] == value for name, value in found.items()):
            return task
    words = ", ".join(f"{name} {value}" for name, value in found.items())
    raise UnlikeError(f"no task has these sizes: {words}")
