"""What a thermal frame brought into a picture: drawn, and how much of it."""

from __future__ import annotations

from html import escape

import numpy as np

from mefcli.report.images import Bytes, data_address, fitted
from mefcli.report.page import Section
from mefnets.luma import BLUE, GREEN, RED

ROLES = ("visible", "infrared")
MAP_PX = 800
SEEN = 0.1  # of the full scale: a difference that nobody overlooks


def pair_section(visible: Bytes, fused: Bytes) -> Section:
    """The difference of their luminance, grey where there is none."""
    weights = np.array([RED, GREEN, BLUE], np.float32)
    one, two = (fitted(picture, MAP_PX).astype(np.float32) @ weights / 255 for picture in (visible, fused))
    change = two - one
    drawn = np.repeat(np.rint(127.5 * (1 + np.clip(change, -1, 1)))[..., None], 3, axis=2).astype(np.uint8)
    lighter, darker = float((change > SEEN).mean()), float((change < -SEEN).mean())
    words = (
        f"Grey is as in the visible picture. {lighter:.1%} of the picture is lighter by more than a tenth of "
        f"white, {darker:.1%} darker."
    )
    label = "Lighter and darker than the visible picture"
    picture = f'<img class="map" alt="{label}" src="{data_address(drawn, quality=95)}">'
    return Section("What the infrared brought", f'{picture}<p class="small">{escape(words)}</p>')
