"""FFMEF: per-pixel filters predicted by a tiny network; gradient-driven unsupervised loss."""

from mefnets.spec import ModelSpec, Paper

PAPER = Paper(
    title="Efficient Multi-exposure Image Fusion via Filter-dominated Fusion and Gradient-driven Unsupervised Learning",
    authors="Zheng, Huang, Yu, Zhao",
    venue="CVPR Workshops",
    year=2023,
)

SPEC = ModelSpec(
    name="ffmef",
    title="FFMEF",
    module="mefnets.ffmef.network",
    colour="luma",
    paper=PAPER,
    weights="ffmef.safetensors",
    summary="per-pixel filters from a tiny network",
)
