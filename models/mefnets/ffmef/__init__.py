"""FFMEF: per-pixel filters predicted by a tiny network; gradient-driven unsupervised loss."""

from dataclasses import replace

from mefnets.spec import Cost, ModelSpec, Paper, Tiling

PAPER = Paper(
    title="Efficient Multi-exposure Image Fusion via Filter-dominated Fusion and "
    "Gradient-driven Unsupervised Learning",
    authors="Zheng, Huang, Yu, Zhao",
    venue="CVPR Workshops",
    year=2023,
)

SPEC = ModelSpec(
    name="ffmef",
    title="FFMEF",
    module="mefnets.ffmef.network",
    colour="luma",
    tiling=Tiling(sees="means"),  # instance norms average over the whole picture
    paper=PAPER,
    weights="ffmef.safetensors",
    half_safe=True,
    summary="per-pixel filters from a tiny network",
    cost=Cost(cpu_s=1.6, held_bytes=1122),
)
FOCUS = replace(
    SPEC,
    name="ffmef-focus",
    title="FFMEF for focus",
    task="focus",
    weights="ffmef-focus.safetensors",
    summary="FFMEF taught on focus stacks",
    merit="38.5 dB on 30 simulated stacks, enfuse 35.7",
)
INFRARED = replace(
    SPEC,
    name="ffmef-infrared",
    title="FFMEF for infrared",
    task="infrared",
    weights="ffmef-infrared.safetensors",
    half_safe=False,  # of no weights anybody has measured
    summary="FFMEF taught on visible and infrared pairs",
)
