"""CRMEF: scene relighting, deformable self-alignment and detail repletion, found by architecture search."""

from dataclasses import replace

from mefnets.spec import Cost, ModelSpec, Paper, Tiling

PAPER = Paper(
    title="Searching a Compact Architecture for Robust Multi-Exposure Image Fusion",
    authors="Liu, Liu, Wu, Chen, Fan, Liu",
    venue="IEEE TCSVT",
    year=2024,
    link="https://arxiv.org/abs/2305.12236",
)

# Multiples of 2: the relighting maps live at half resolution, and only even sizes make that an exact half
# everywhere. How far a network sees is what genotype.reach computes from the genotype.
GENERAL = ModelSpec(
    name="crmef",
    title="CRMEF",
    module="mefnets.crmef.network",
    colour="rgb",
    tiling=Tiling(sees=32, multiple=2, mirror_px=16),
    options={"variant": "general"},
    paper=PAPER,
    weights="crmef.safetensors",
    half_safe=True,
    summary="relights both exposures, then repletes detail",
    cost=Cost(cpu_s=23, held_bytes=2381),
)
FAST = ModelSpec(
    name="crmef-fast",
    title="CRMEF fast",
    module="mefnets.crmef.network",
    colour="rgb",
    tiling=Tiling(sees=28, multiple=2, mirror_px=16),
    options={"variant": "fast"},
    paper=PAPER,
    weights="crmef-fast.safetensors",
    half_safe=True,
    summary="the searched, latency-aware CRMEF",
    cost=Cost(cpu_s=7, held_bytes=796),
)
ALIGN = ModelSpec(
    name="crmef-align",
    title="CRMEF misaligned",
    module="mefnets.crmef.network",
    colour="rgb",
    tiling=Tiling(sees=104, multiple=4, min_size=4, mirror_px=32),
    options={"variant": "align", "anchored": True},
    paper=PAPER,
    weights="crmef-align.safetensors",
    aligns=True,
    summary="CRMEF with deformable self-alignment for hand-held pairs",
    cost=Cost(cpu_s=57, held_bytes=3357),
)


def adapt(spec: ModelSpec) -> ModelSpec:
    """The spec that follows from build options: a genotype's reach, and what the authors do otherwise."""
    from mefnets.crmef import genotype as genotypes

    tiling = spec.tiling
    if spec.options.get("padding") == "zeros":
        tiling = replace(tiling, mirror_px=0)  # the network learned on pictures that end where they end
    chosen = spec.options.get("genotype")
    if chosen is not None:
        genotype = genotypes.from_table(chosen) if isinstance(chosen, dict) else genotypes.read(str(chosen))
        tiling = replace(tiling, sees=genotypes.reach(genotype))
    if spec.options.get("bounded") is False:
        tiling = replace(tiling, sees="whole")  # no tile is sure to hold what an endless offset points at
    return replace(spec, tiling=tiling)
