"""The authors' published state dicts, laid out for our networks: general, light, and both misaligned forms.

Their shapes tell kernel sizes, but no dilation. Where the sizes are those of a published genotype, that
genotype tells it; elsewhere plain convolutions are taken, and said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from torch import Tensor

from mefnets.crmef import genotype as genotypes
from mefnets.crmef.genotype import Genotype
from mefnets.published import Published, UnlikeError, renamed, swapped

RELIGHTING = {
    "fe1": "stem",
    "fe2.op": "m0",
    "sAtt_2.op": "m1",
    "sAtt_4.op": "m2",
    "sAtt_5": "head",
    "lrelu": "act",
}
STACK = {  # theirs within `aggregation` -> ours within the residual stack
    "conv3": "stem",
    **{f"bn{n}": f"norms.{i}" for i, n in enumerate((3, 4, 5, 8, 25))},
    **{f"relu{n}": f"acts.{i}" for i, n in enumerate((3, 4, 5, 8, 9))},
    **{
        f"conv{n}.{part}": f"f.{i}.{ours}"
        for i, n in enumerate((4, 5, 8, 25))
        for part, ours in (("op", "conv_k"), ("op2", "conv_3"), ("relu", "act"))
    },
}
PYRAMID = {
    "feature_extraction.0.conv1": "block_1",
    "feature_extraction.0.conv2": "block_2",
    "downsample1.0": "down2",
    "downsample1.2": "conv2",
    "downsample2.0": "down3",
    "downsample2.2": "conv3",
}
DASM = {
    f"{theirs}_{name}": f"{level}.{ours}"
    for theirs, level, offsets in (
        ("L3", "level3", (1, 3)),
        ("L2", "level2", (1, 2, 3)),
        ("L1", "level1", (1, 2, 3)),
        ("cas", "cascade", (1, 3)),
    )
    for name, ours in (
        *((f"offset_conv{i + 1}", f"offset_{n}") for i, n in enumerate(offsets)),
        ("dcnpack.conv_offset_mask", "deform.steer"),
        ("dcnpack", "deform"),
        ("fea_conv", "fuse"),
    )
}


def _under(prefix: str, table: Mapping[str, str], ours: str) -> dict[str, str]:
    return {f"{prefix}.{key}": f"{ours}.{value}" if ours else value for key, value in table.items()}


RELIT = {
    key: value
    for side in ("under", "over")
    for i in range(2)
    for key, value in _under(f"attention_{side}.{i}", RELIGHTING, f"{side}.{i}").items()
}
GENERAL = {
    **RELIT,
    **_under("aggregation", STACK, "drm.stack"),
    "aggregation.conv1": "drm.stem",
    "aggregation.conv26": "drm.head",
}
ALIGN = {
    **RELIT,
    **_under("aggregation", STACK, "stack"),
    **_under("aggregation.pyramid", PYRAMID, "pyramid"),
    **_under("aggregation.deform", DASM, "dasm"),
    "aggregation.pyramid.conv1.0": "lift",
    "aggregation.conv26": "head",
}
SCRIPT = {  # what the authors' test script for misaligned pairs loads
    **{f"conv{n}_s": f"{side}.stem" for n, side in ((1, "under"), (2, "over"))},
    **{
        f"{att}.{theirs}": f"{side}.{ours}"
        for att, side in (("att", "under"), ("att2", "over"))
        for theirs, ours in (("conv", "join"), ("c1_d.op", "m0"), ("c1_r.op", "m1"))
    },
    **_under("pyramid_feats", PYRAMID, "pyramid"),
    **_under("pcd_r", DASM, "dasm"),
    **{
        f"RDB{n}.dense_layers.{j}.conv.{part}": f"dense{n}.f.{j}.{ours}"
        for n in (1, 2)
        for j in (0, 1)
        for part, ours in (("op", "conv_k"), ("op2", "conv_3"), ("relu", "act"))
    },
    "RDB1.conv_1x1": "dense1.merge",
    "RDB2.conv_1x1": "dense2.merge",
    "conv2": "enter",
    "GFF_1x1": "merge",
    "GFF_3x3": "conv",
    "conv3": "head",
}
IDLE = re.compile(r"(attention_(under|over)\.\d\.sAtt_L1|aggregation\.bn26|conv_up|conv[12]_f)\.")
MARKS = ("attention_under.0.fe1.weight", "pcd_r.L3_offset_conv1.weight")


def knows(keys: Iterable[str]) -> bool:
    return any(mark in set(keys) for mark in MARKS)


def read(theirs: Mapping[str, Tensor]) -> Published:
    if MARKS[1] in theirs:
        return _script(theirs)
    if "aggregation.deform.L3_offset_conv1.weight" in theirs:
        return _align(theirs)
    return _general(theirs)


def _general(theirs: Mapping[str, Tensor]) -> Published:
    tensors, left = _named(theirs, GENERAL)
    width = int(_need(theirs, "aggregation.conv3.weight").shape[0])
    genotype, sure = _genotype(_relighting_kernels(theirs), _stack_kernels(theirs), width, ())
    return Published(
        f"the CRMEF authors' model for aligned pairs, {width} channels{sure}",
        tensors,
        {"variant": "general", "genotype": asdict(genotype), "floor": 1e-5, "padding": "zeros"},
        left=left,
    )


def _align(theirs: Mapping[str, Tensor]) -> Published:
    tensors, left = _named(theirs, ALIGN)
    dasm = _deformed_kernels(theirs, "aggregation.deform")
    genotype, sure = _genotype(_relighting_kernels(theirs), _stack_kernels(theirs), 64, dasm)
    options = {"variant": "align", "genotype": asdict(genotype), "anchored": False, "bounded": False}
    return Published(
        f"the CRMEF authors' model for misaligned pairs, relighting first{sure}",
        tensors,
        {**options, "padding": "zeros"},
        left=left,
    )


def _script(theirs: Mapping[str, Tensor]) -> Published:
    if "conv2.weight" in theirs and theirs["conv2.weight"].shape[1] != 64:
        raise UnlikeError("this is one of their other drafts: it joins both features instead of adding them")
    tensors, left = _named(theirs, SCRIPT)
    kernels = [_kernel(theirs, f"att.{name}.op.weight") for name in ("c1_d", "c1_r")]
    dense = [_kernel(theirs, f"RDB1.dense_layers.{j}.conv.op.weight") for j in (0, 1)]
    published = genotypes.read("align")
    # The third of relighting and the last two of the stack have no layers in this form.
    genotype, sure = _genotype(
        [*kernels, genotypes.parse(published.srsm[2])[1]],
        [*dense, *(genotypes.parse(name)[1] for name in published.drm[2:])],
        64,
        _deformed_kernels(theirs, "pcd_r"),
    )
    return Published(
        f"the CRMEF authors' model for misaligned pairs, as their test script has it{sure}",
        tensors,
        {"variant": "align-code", "genotype": asdict(genotype), "bounded": False, "padding": "zeros"},
        left=left,
    )


def _named(
    theirs: Mapping[str, Tensor], table: Mapping[str, str]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    return renamed(theirs, lambda key: swapped(key, table), lambda key: bool(IDLE.match(key)))


def _need(theirs: Mapping[str, Tensor], key: str) -> Tensor:
    if key not in theirs:
        raise UnlikeError(f"{key} is missing")
    return theirs[key]


def _kernel(theirs: Mapping[str, Tensor], key: str) -> int:
    return int(_need(theirs, key).shape[-1])


def _relighting_kernels(theirs: Mapping[str, Tensor]) -> list[int]:
    """Twelve, three a module."""
    return [
        _kernel(theirs, f"attention_{side}.{i}.{name}.op.weight")
        for side in ("under", "over")
        for i in range(2)
        for name in ("fe2", "sAtt_2", "sAtt_4")
    ]


def _stack_kernels(theirs: Mapping[str, Tensor]) -> list[int]:
    return [_kernel(theirs, f"aggregation.conv{n}.op.weight") for n in (4, 5, 8, 25)]


def _deformed_kernels(theirs: Mapping[str, Tensor], prefix: str) -> tuple[str, ...]:
    levels = ("L3", "L2", "L1", "cas")
    return tuple(f"DeC-{_kernel(theirs, f'{prefix}.{level}_dcnpack.weight')}" for level in levels)


def _genotype(srsm: list[int], drm: list[int], width: int, dasm: tuple[str, ...]) -> tuple[Genotype, str]:
    """The genotype of these kernel sizes, and what is to be said about their dilation."""
    if len(set(zip(*[iter(srsm)] * 3, strict=True))) == 1:
        srsm = srsm[:3]
    for name in ("general", "align"):
        known = genotypes.read(name)
        sizes = [[genotypes.parse(x)[1] for x in part] for part in (known.srsm, known.drm)]
        if sizes == [srsm, drm] and known.width == width and bool(known.dasm) == bool(dasm):
            return Genotype(known.srsm, known.drm, width, dasm), ""
    plain = Genotype(tuple(f"C-{k}" for k in srsm), tuple(f"RC-{k}" for k in drm), width, dasm)
    return plain, "; dilation is not recorded and taken as none"
