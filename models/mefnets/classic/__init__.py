"""The baselines, behind the same interface as the networks: nothing learned, no weights."""

from mefnets.spec import Cost, ModelSpec, Paper, Tiling

MERTENS = ModelSpec(
    name="mertens",
    title="Mertens",
    module="mefnets.classic.mertens",
    colour="rgb",
    tiling=Tiling(sees="strips"),
    max_frames=None,
    paper=Paper(
        "Exposure Fusion",
        "Mertens, Kautz, Van Reeth",
        "Pacific Graphics",
        2007,
        "https://doi.org/10.1109/PG.2007.17",
    ),
    summary="contrast, saturation and well-exposedness blended in a pyramid",
    cost=Cost(cpu_s=0.06, held_bytes=20),
)
AVERAGE = ModelSpec(
    name="average",
    title="Average",
    module="mefnets.classic.average",
    colour="rgb",
    tiling=Tiling(sees="strips"),
    max_frames=None,
    summary="the plain mean of the frames: the baseline to beat",
    cost=Cost(cpu_s=0.01, held_bytes=16),
)
