"""What a photographer asks of a fusion: four numbers from -1 to 1, all 0 for the network's own judgement."""

from __future__ import annotations

from dataclasses import dataclass

from mefnets.spec import ModelSpec
from mefnets.trouble import named


@dataclass(frozen=True)
class Taste:
    """It acts where the fusion decides, on what each frame is worth and how strong a band is.

    So an opened shadow is the brighter frame's, without its noise amplified, and nothing appears that no
    frame shows around a pixel.
    """

    shadows: float = 0.0  # above 0: lighter
    highlights: float = 0.0  # below 0: darker, so that skies and windows keep their drawing
    contrast: float = 0.0
    colour: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not -1 <= value <= 1:
                raise ValueError(f"{name} is {value}, and must lie between -1 and 1")


NATURAL = Taste()
SHADOW_BELOW = 0.15, 0.55
"""Luminance where shadows begin to fade out, and where they have."""
RIPPLE, RIPPLE_MOST = 7 / 255, 3 / 255
"""In opened shadows ripples of the finest detail are noise: those of RIPPLE times `shadows`, at most
RIPPLE_MOST, are halved, smaller ones go, and what is larger stays."""


def ripple_of(taste: Taste) -> float:
    return min(max(RIPPLE * taste.shadows, 0.0), RIPPLE_MOST)


def without_taste(spec: ModelSpec) -> tuple[str, str]:
    """What to say, and to do, where a network takes no taste."""
    settings = ", ".join(map(named, ("look", "shadows", "highlights", "contrast")))
    return (
        f"{spec.title} decides by itself: it takes no {settings} or {named('colour')}.",
        f"Leave them out, or use {named('model')} house.",
    )
