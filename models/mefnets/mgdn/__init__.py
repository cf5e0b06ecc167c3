"""MGDN: mutual-guided dynamic filters and windowed transformers; one network for several tasks."""

from dataclasses import replace

from mefnets.spec import ModelSpec, Paper

PAPER = Paper(
    title="Mutual-Guided Dynamic Network for Image Fusion",
    authors="Guan, Xu, Yao, Wang, Xiong",
    venue="ACM Multimedia",
    year=2023,
)

SPEC = ModelSpec(
    name="mgdn",
    title="MGDN",
    module="mefnets.mgdn.network",
    colour="rgb",
    chroma="none",
    multiple=8,
    min_size=16,
    tile_align=8,
    options={"task": "exposure", "start": "mean"},
    paper=PAPER,
    mirror_px=16,
    weights="mgdn.safetensors",
    summary="mutual-guided dynamic filters and windowed transformers",
)


def adapt(spec: ModelSpec) -> ModelSpec:
    """The spec that follows from build options: the authors show the network no more than the picture."""
    return replace(spec, mirror_px=0) if spec.options.get("padding") == "zeros" else spec
