"""The house network: our own small pyramid blend for any number of frames. Not from a paper."""

from mefnets.spec import ModelSpec

SPEC = ModelSpec(
    name="house",
    title="House blend",
    module="mefnets.house.network",
    colour="rgb",
    chroma="none",
    max_frames=None,
    whole=True,
    weights="house.safetensors",
    summary="our own learned pyramid blend; any number of frames",
)
