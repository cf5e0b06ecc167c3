"""FFMEF: per-pixel filters predicted by a tiny network; gradient-driven unsupervised loss."""

from dataclasses import replace

from mefnets.spec import ModelSpec, Paper

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
    min_size=3,
    reach=None,  # instance norms average over the whole picture
    paper=PAPER,
    weights="ffmef.safetensors",
    half_safe=True,
    summary="per-pixel filters from a tiny network",
)

# The network takes any number of frames; weights trained on pairs do best when the engine folds.
MANY = replace(SPEC, name="ffmef-many", title="FFMEF, any number", max_frames=None, weights=None)

# The paper's other tasks: the same network, to be trained on such pairs.
MULTIFOCUS = replace(SPEC, name="ffmef-multifocus", title="FFMEF multi-focus", weights=None)
INFRARED = replace(SPEC, name="ffmef-infrared", title="FFMEF visible-infrared", weights=None)

# What imported weights of the authors need: see `importer.py`.
AUTHORS = replace(SPEC, name="ffmef-authors", luma_range="studio", options={"padding": "zeros"}, weights=None)
