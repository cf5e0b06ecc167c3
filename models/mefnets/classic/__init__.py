"""The baselines, behind the same interface as the networks: nothing learned, no weights."""

from mefnets.spec import ModelSpec, Paper

MERTENS = ModelSpec(
    name="mertens",
    title="Mertens",
    module="mefnets.classic.mertens",
    colour="rgb",
    chroma="none",
    max_frames=None,
    paper=Paper("Exposure Fusion", "Mertens, Kautz, Van Reeth", "Pacific Graphics", 2007),
    summary="contrast, saturation and well-exposedness blended in a pyramid",
)
AVERAGE = ModelSpec(
    name="average",
    title="Average",
    module="mefnets.classic.average",
    colour="rgb",
    chroma="none",
    max_frames=None,
    reach=0,
    summary="the plain mean of the frames: the baseline to beat",
)
