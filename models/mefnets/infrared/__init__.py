"""Visible and infrared: one picture with the visible frame's look and what only the thermal frame shows."""

from mefnets.spec import Cost, ModelSpec, Tiling

SPEC = ModelSpec(
    name="infrared",
    title="Infrared",
    module="mefnets.infrared.layered",
    colour="rgb",
    tiling=Tiling(sees="strips"),
    task="infrared",
    summary="the stronger detail at each scale, and the glow of what is warmer than its surroundings",
    merit="VIF 0.64 on five real pairs, their average 0.38",
    cost=Cost(cpu_s=0.08, held_bytes=16),
)
