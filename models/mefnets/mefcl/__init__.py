"""MEF-CL: dense network trained with contrastive learning; fuses any two exposures."""

from dataclasses import replace

from mefnets.spec import Cost, ModelSpec, Paper, Tiling

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
    tiling=Tiling(sees=10, min_size=2, mirror_px=16),
    paper=PAPER,
    weights="mefcl.safetensors",
    half_safe=True,
    summary="dense network with contrastive learning; any two exposures",
    cost=Cost(cpu_s=12, held_bytes=2158),
)


def adapt(spec: ModelSpec) -> ModelSpec:
    """The spec that follows from build options: the paper shows the network no more than the picture."""
    if spec.options.get("padding") != "reflect":
        return spec
    return replace(spec, tiling=replace(spec.tiling, mirror_px=0))
