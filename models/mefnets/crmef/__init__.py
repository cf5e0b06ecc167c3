"""CRMEF: scene relighting, deformable self-alignment and detail repletion, found by architecture search."""

from mefnets.spec import ModelSpec, Paper

PAPER = Paper(
    title="Searching a Compact Architecture for Robust Multi-Exposure Image Fusion",
    authors="Liu, Liu, Wu, Chen, Fan, Liu",
    venue="IEEE TCSVT",
    year=2024,
)

GENERAL = ModelSpec(
    name="crmef",
    title="CRMEF",
    module="mefnets.crmef.network",
    colour="rgb",
    chroma="none",
    options={"variant": "general"},
    paper=PAPER,
    weights="crmef.safetensors",
    summary="relights both exposures, then repletes detail",
)
FAST = ModelSpec(
    name="crmef-fast",
    title="CRMEF fast",
    module="mefnets.crmef.network",
    colour="rgb",
    chroma="none",
    options={"variant": "fast"},
    paper=PAPER,
    weights="crmef-fast.safetensors",
    summary="the searched, latency-aware CRMEF",
)
ALIGN = ModelSpec(
    name="crmef-align",
    title="CRMEF misaligned",
    module="mefnets.crmef.network",
    colour="rgb",
    chroma="none",
    multiple=4,
    options={"variant": "align"},
    paper=PAPER,
    weights="crmef-align.safetensors",
    aligns=True,
    summary="CRMEF with deformable self-alignment for hand-held pairs",
)
