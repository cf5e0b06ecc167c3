"""CRMEF: scene relighting, deformable self-alignment and detail repletion, found by architecture search."""

from dataclasses import replace

from mefnets.spec import ModelSpec, Paper

PAPER = Paper(
    title="Searching a Compact Architecture for Robust Multi-Exposure Image Fusion",
    authors="Liu, Liu, Wu, Chen, Fan, Liu",
    venue="IEEE TCSVT",
    year=2024,
)

# `multiple` and `tile_align` 2: the relighting maps live at half resolution, and only even sizes make that
# an exact half everywhere. `reach` is what genotype.reach computes from the genotype.
GENERAL = ModelSpec(
    name="crmef",
    title="CRMEF",
    module="mefnets.crmef.network",
    colour="rgb",
    chroma="none",
    multiple=2,
    tile_align=2,
    reach=32,
    options={"variant": "general"},
    paper=PAPER,
    mirror_px=16,
    weights="crmef.safetensors",
    half_safe=True,
    summary="relights both exposures, then repletes detail",
)
FAST = ModelSpec(
    name="crmef-fast",
    title="CRMEF fast",
    module="mefnets.crmef.network",
    colour="rgb",
    chroma="none",
    multiple=2,
    tile_align=2,
    reach=28,
    options={"variant": "fast"},
    paper=PAPER,
    mirror_px=16,
    weights="crmef-fast.safetensors",
    half_safe=True,
    summary="the searched, latency-aware CRMEF",
)
ALIGN = ModelSpec(
    name="crmef-align",
    title="CRMEF misaligned",
    module="mefnets.crmef.network",
    colour="rgb",
    chroma="none",
    multiple=4,
    tile_align=4,
    min_size=4,
    reach=104,
    options={"variant": "align", "anchored": True},
    paper=PAPER,
    mirror_px=32,
    weights="crmef-align.safetensors",
    aligns=True,
    summary="CRMEF with deformable self-alignment for hand-held pairs",
)


def adapt(spec: ModelSpec) -> ModelSpec:
    """The spec that follows from build options: a genotype's reach, and what the authors do otherwise."""
    from mefnets.crmef import genotype as genotypes

    if spec.options.get("padding") == "zeros":
        spec = replace(spec, mirror_px=0)  # the network learned on pictures that end where they end
    if spec.options.get("bounded") is False:
        spec = replace(spec, whole=True)  # no tile is sure to hold what an endless offset points at
    chosen = spec.options.get("genotype")
    if chosen is None:
        return spec
    genotype = genotypes.from_table(chosen) if isinstance(chosen, dict) else genotypes.read(str(chosen))
    return replace(spec, reach=genotypes.reach(genotype))
