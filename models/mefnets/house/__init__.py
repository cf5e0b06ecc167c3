"""The house network: our own small pyramid blend for any number of frames. Not from a paper."""

from mefnets.spec import Cost, ModelSpec, Tiling

SPEC = ModelSpec(
    name="house",
    title="House blend",
    module="mefnets.house.network",
    colour="rgb",
    tiling=Tiling(sees="whole"),
    max_frames=None,
    tastes=True,
    weights="house.safetensors",
    summary="our own learned pyramid blend; any number of frames",
    cost=Cost(cpu_s=0.5, held_bytes=330),
)
