"""MEF-CL: dense network trained with contrastive learning; fuses any two exposures."""

from mefnets.spec import ModelSpec, Paper

PAPER = Paper(
    title="Unsupervised Multi-Exposure Image Fusion Breaking Exposure Limits via Contrastive Learning",
    authors="Xu, Liang, Ma",
    venue="AAAI",
    year=2023,
)

SPEC = ModelSpec(
    name="mefcl",
    title="MEF-CL",
    module="mefnets.mefcl.network",
    colour="rgb",
    chroma="none",
    reach=10,
    min_size=2,
    paper=PAPER,
    mirror_px=16,
    weights="mefcl.safetensors",
    half_safe=True,
    summary="dense network with contrastive learning; any two exposures",
)
