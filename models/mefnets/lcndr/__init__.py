"""LCNDR: collaborative extraction, self-attention and edge revision."""

from dataclasses import replace

from mefnets.spec import ModelSpec, Paper

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
    multiple=8,
    min_size=32,
    tile_align=8,
    paper=PAPER,
    mirror_px=16,
    weights="lcndr.safetensors",
    half_safe=True,
    summary="collaborative extraction, self-attention, edge revision",
)


def adapt(spec: ModelSpec) -> ModelSpec:
    """The spec that follows from build options."""
    if spec.options.get("padding") == "zeros":
        spec = replace(spec, mirror_px=0)  # the authors show the network no more than the picture
    if spec.options.get("form") == "released":
        spec = replace(spec, multiple=1, whole=True)  # its means and its attention are the whole picture's
    if spec.options.get("planes") == "rgb":
        spec = replace(spec, colour="rgb", chroma="none")
    return spec
