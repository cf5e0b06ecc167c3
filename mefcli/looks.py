"""Looks: what photographers ask for most, each a taste for the fusion; sliders add to it."""

from __future__ import annotations

from mefcli.job import Job
from mefnets.taste import Taste

LOOKS = {
    "natural": Taste(),
    # Interiors: mid-tones open, windows kept.
    "bright": Taste(shadows=0.4, highlights=0.1, contrast=0.1, colour=0.1),
    # Nights and sunsets.
    "deep": Taste(shadows=-0.5, highlights=-0.3, contrast=0.2, colour=0.2),
    # For further editing: nothing clipped, little contrast.
    "flat": Taste(shadows=0.5, highlights=-0.5, contrast=-0.6, colour=-0.1),
}


def taste_of(job: Job) -> Taste:
    """The look's taste with the sliders' steps added, each held within its range."""
    look = LOOKS[job.look]

    def moved(own: float, slider: float) -> float:
        return min(1.0, max(-1.0, own + slider / 100))

    return Taste(
        moved(look.shadows, job.shadows),
        moved(look.highlights, job.highlights),
        moved(look.contrast, job.contrast),
        moved(look.colour, job.colour),
    )
