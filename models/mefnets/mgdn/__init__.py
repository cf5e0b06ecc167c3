"""MGDN: mutual-guided dynamic filters and windowed transformers; one network for several tasks."""

from dataclasses import replace

from mefnets.spec import Cost, ModelSpec, Paper, Tiling

PAPER = Paper(
    title="Mutual-Guided Dynamic Network for Image Fusion",
    authors="Guan, Xu, Yao, Wang, Xiong",
    venue="ACM Multimedia",
    year=2023,
    link="https://arxiv.org/abs/2308.12538",
)

SPEC = ModelSpec(
    name="mgdn",
    title="MGDN",
    module="mefnets.mgdn.network",
    colour="rgb",
    tiling=Tiling(sees="means", multiple=8, min_size=16, mirror_px=16),
    options={"task": "exposure", "start": "mean"},
    paper=PAPER,
    weights="mgdn.safetensors",
    summary="mutual-guided dynamic filters and windowed transformers",
    cost=Cost(cpu_s=44, held_bytes=1973),
)
FOCUS = replace(
    SPEC,
    name="mgdn-focus",
    title="MGDN for focus",
    task="focus",
    options={"task": "focus", "start": "mean"},
    weights="mgdn-focus.safetensors",
    summary="MGDN taught on focus stacks",
    merit="38.6 dB on 30 simulated stacks, enfuse 35.7",
    cost=Cost(cpu_s=12, held_bytes=1000),
)
MOVING = replace(
    SPEC,
    name="mgdn-moving",
    title="MGDN for moving scenes",
    task="moving",
    max_frames=3,
    options={"task": "moving", "start": "mean"},
    weights="mgdn-moving.safetensors",
    summary="MGDN taught on moving scenes: which frame to believe where",
    merit="36.8 dB on 40 simulated moving scenes, ghosts told by comparing 34.7",
    cost=Cost(cpu_s=10.5, held_bytes=1250),
)
DEPTH = replace(
    SPEC,
    name="mgdn-depth",
    title="MGDN for depth",
    task="depth",
    max_frames=1,
    options={"task": "guided"},
    weights="mgdn-depth.safetensors",
    summary="MGDN taught to enlarge depth by a colour picture's word",
    merit="3.7, 6.6, 12.7 cm at x4, x8, x16 on three real rooms, bicubic 5.4, 9.1, 15.3",
    cost=Cost(cpu_s=2.6, held_bytes=750),
)


def adapt(spec: ModelSpec) -> ModelSpec:
    """The spec that follows from build options: the authors show the network no more than the picture."""
    if spec.options.get("padding") != "zeros":
        return spec
    return replace(spec, tiling=replace(spec.tiling, mirror_px=0))
