"""Pictures for reports: eight bits, a sensible size, data addresses, histograms as drawings."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def to_eight_bits(pixels: NDArray[Any]) -> Bytes:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return np.asarray((pixels.astype(np.uint32) + 128) // 257, np.uint8)
    return np.asarray(np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8)


def fitted(pixels: NDArray[Any], max_side_px: int) -> Bytes:
    """At most `max_side_px` on the longer side, area averaged, 8 bits."""
    height, width = pixels.shape[:2]
    if max(height, width) > max_side_px:
        import cv2

        scale = max_side_px / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return to_eight_bits(pixels)


def data_address(
    pixels: Bytes, icc: bytes | None = None, quality: int = 90, second: bytes | None = None
) -> str:
    """The picture as a `data:` address of a JPEG, with its colour profile, and its gain map's JPEG."""
    from PIL import Image

    out = BytesIO()
    profile = {"icc_profile": icc} if icc else {}
    Image.fromarray(pixels).save(out, "JPEG", quality=quality, subsampling=0, **profile)
    coded = out.getvalue()
    if second is not None:
        from mefcli.formats.gainmap import beside

        coded = beside(coded, second)
    return "data:image/jpeg;base64," + base64.b64encode(coded).decode("ascii")


def histogram(pixels: Bytes, bins: int = 64) -> NDArray[np.float64]:
    """Share of pixels in each bin for R, G and B, `(3, bins)`; every eighth row suffices for a drawing."""
    rows = pixels[:: max(1, pixels.shape[0] // 512)]
    counts = [np.bincount(rows[..., c].ravel() >> 2, minlength=64) for c in range(3)]
    return np.asarray(np.stack(counts).reshape(3, bins, -1).sum(2) / rows[..., 0].size)


def histogram_svg(pixels: Bytes, label: str) -> str:
    """Three lines, square-root scaled so that small shares show. `label` must be escaped already."""
    shares = np.sqrt(histogram(pixels))
    top = max(float(shares[:, 1:-1].max()), 1e-6)
    lines = []
    for share, name in zip(shares, ("red", "green", "blue"), strict=True):
        heights = 60 - np.minimum(share / top, 1.0) * 58
        points = " ".join(f"{x * 200 / 63:.1f},{y:.1f}" for x, y in enumerate(heights))
        lines.append(f'<polyline class="{name}" points="{points}"/>')
    return (
        f'<svg class="histogram" viewBox="0 0 200 60" role="img" aria-label="{label}">{"".join(lines)}</svg>'
    )


def clipping(pixels: Bytes) -> tuple[float, float]:
    """Shares of pixels that are black in every channel, and white in any."""
    return float((pixels.max(2) <= 1).mean()), float((pixels.max(2) >= 254).mean())
