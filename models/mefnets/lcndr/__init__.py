"""LCNDR: collaborative extraction, self-attention and edge revision."""

from dataclasses import replace

from mefnets.spec import Cost, ModelSpec, Paper, Tiling

PAPER = Paper(
    title="Learning a Coordinated Network for Detail-refinement Multi-exposure Image Fusion",
    authors="Li, Liu, Zhou, Zhang, Kasabov",
    venue="IEEE TCSVT",
    year=2022,
)

SPEC = ModelSpec(
    name="lcndr",
    title="LCNDR",
    module="mefnets.lcndr.network",
    colour="luma",
    tiling=Tiling(sees="means", multiple=8, min_size=32, mirror_px=16),
    paper=PAPER,
    weights="lcndr.safetensors",
    half_safe=True,
    summary="collaborative extraction, self-attention, edge revision",
    cost=Cost(cpu_s=9, held_bytes=1409),
)


def adapt(spec: ModelSpec) -> ModelSpec:
    """The spec that follows from build options."""
    if spec.options.get("padding") == "zeros":
        tiling = replace(spec.tiling, mirror_px=0)  # the authors show the network no more than the picture
        spec = replace(spec, tiling=tiling)
    if spec.options.get("form") == "released":
        # Its means and its attention are the whole picture's.
        spec = replace(spec, tiling=replace(spec.tiling, multiple=1, sees="whole"))
    if spec.options.get("planes") == "rgb":
        spec = replace(spec, colour="rgb")
    return spec
