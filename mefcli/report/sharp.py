"""Which frame of a focus stack is sharp where: a map in colours, and what each frame gave."""

from __future__ import annotations

import colorsys
from html import escape

import numpy as np

from mefcli.report.images import data_address
from mefcli.report.page import Section, table
from mefcli.values import Sharp

MOST = 6  # frames that a page shows beside the result
ROUNDS = 0.8  # of the circle of hues, from the nearest focus to the farthest


def most_used(sharp: Sharp) -> list[int]:
    """The frames that gave most of the result, near focus first."""
    order = sorted(range(len(sharp.shares)), key=lambda index: -sharp.shares[index])
    return sorted(order[:MOST])


def colour_of(index: int, count: int) -> tuple[int, int, int]:
    """Red for the nearest focus, by yellow, green and blue to violet for the farthest."""
    hue = ROUNDS * index / max(count - 1, 1)
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 0.95 if index % 2 else 0.8)
    return round(255 * red), round(255 * green), round(255 * blue)


def sharp_section(names: list[str], sharp: Sharp) -> Section:
    count = len(names)
    colours = np.array([colour_of(index, count) for index in range(count)], np.uint8)
    picture = np.repeat(np.repeat(colours[sharp.map], 2, 0), 2, 1)
    rows = [
        (f"{number}. {name}", "#{:02x}{:02x}{:02x}".format(*colours[number - 1]), f"{share:.1%}")
        for number, (name, share) in enumerate(zip(names, sharp.shares, strict=True), 1)
    ]
    drawn = (
        f'<img class="map" alt="{escape("Which frame each place comes from")}" '
        f'src="{data_address(picture, quality=95)}">'
    )
    words = "Near focus is red, far focus violet; each colour is one frame."
    return Section(
        "Sharp where", f'{drawn}<p class="small">{words}</p>' + table(("frame", "colour", "share"), rows)
    )
