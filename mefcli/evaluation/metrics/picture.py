"""A picture under measurement: stored 8-bit values, with everything the metrics derive from them kept once.

Sources are compared with many results, so what depends on one picture only (gradients, phase, histograms) is
computed on first use and remembered here.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from itertools import count
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mefcli.errors import UsageError

Real = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]
Border = Literal["zero", "repeat", "valid"]


def to_bytes(pixels: ArrayLike) -> Bytes:
    """Stored 8-bit values of a picture; floats in [0, 1] and 16-bit values are rounded half up, clipped."""
    array = np.asarray(pixels)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3:
        raise UsageError(
            f"Metrics need pictures of shape (H, W, 3), not {array.shape}.", "Drop the alpha channel first."
        )
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        array = array / 65535.0
    if not np.issubdtype(array.dtype, np.floating):
        raise UsageError(f"Metrics measure uint8, uint16 or float pictures, not {array.dtype}.")
    return np.clip(np.floor(array.astype(np.float64) * 255 + 0.5), 0, 255).astype(np.uint8)


@lru_cache(maxsize=32)
def gaussian_taps(size: int, sigma: float) -> Real:
    """One-dimensional Gaussian of `size` taps that sum to 1."""
    at = np.arange(size) - (size - 1) / 2
    taps = np.exp(-(at**2) / (2 * sigma**2))
    return np.asarray(taps / taps.sum())


def filtered(x: Real, down: Real, across: Real, border: Border) -> Real:
    """Separable correlation of `(H, W)` or `(H, W, C)` with taps down the columns and across the rows."""
    import cv2

    kind = cv2.BORDER_REPLICATE if border == "repeat" else cv2.BORDER_CONSTANT
    out = np.asarray(cv2.sepFilter2D(x, -1, across, down, borderType=kind))
    if border == "valid":
        top, left = (len(down) - 1) // 2, (len(across) - 1) // 2
        out = out[top : out.shape[0] - top, left : out.shape[1] - left]
    return out.reshape(*out.shape[:2], *x.shape[2:])


def smoothed(x: Real, size: int, sigma: float, border: Border = "valid") -> Real:
    """Gaussian window mean."""
    taps = gaussian_taps(size, sigma)
    return filtered(x, taps, taps, border)


def derivatives(x: Real, middle: float, border: Border) -> tuple[Real, Real]:
    """3x3 derivatives across and down with smoothing weights (1, middle, 1), not normalised."""
    slope, smooth = np.array([-1.0, 0.0, 1.0]), np.array([1.0, middle, 1.0])
    return filtered(x, smooth, slope, border), filtered(x, slope, smooth, border)


_serials = count()


class Picture:
    """Stored 8-bit RGB values `(H, W, 3)`, and what the metrics derive from them."""

    def __init__(self, pixels: ArrayLike) -> None:
        self.bytes: Bytes = to_bytes(pixels)
        self.shape: tuple[int, int] = (self.bytes.shape[0], self.bytes.shape[1])
        self.serial = next(_serials)  # tells pictures apart in what others keep about them
        self.kept: dict[str, Any] = {}  # heavy derived values, keyed by the metric that made them

    @cached_property
    def values(self) -> Real:
        """0...255 as float64."""
        return self.bytes.astype(np.float64)

    @cached_property
    def gray(self) -> Real:
        """8-bit luma, float64 `(H, W)`."""
        return np.asarray(np.floor(self.values @ np.array([0.298936, 0.587043, 0.114021]) + 0.5))

    def _stretched(self, divisor: float) -> Real:
        # The order of operations decides which exact half values round up, so a table per channel keeps it.
        out = np.empty(self.bytes.shape)
        for c in range(3):
            channel = self.bytes[..., c]
            low, high = int(channel.min()), int(channel.max())
            levels = np.arange(256) / divisor
            if high > low:
                table = np.floor((levels - levels[low]) / (levels[high] - levels[low]) * 255 + 0.5)
            else:
                table = np.zeros(256)
            out[..., c] = table[channel]
        return out

    @cached_property
    def stretched(self) -> Real:
        """Every channel stretched to 0...255 and rounded; a constant channel becomes 0."""
        return self._stretched(1.0)

    @cached_property
    def stretched_from_unit(self) -> Real:
        """The same from values divided by 255 first; a few exact halves round differently."""
        return self._stretched(255.0)

    @cached_property
    def histogram(self) -> Real:
        """Probabilities of the 256 values of each channel, `(3, 256)`."""
        counts = np.stack([np.bincount(self.bytes[..., c].ravel(), minlength=256) for c in range(3)])
        return np.asarray(counts / (self.shape[0] * self.shape[1]))

    @cached_property
    def sobel_zero(self) -> tuple[Real, Real]:
        """Sobel (1, 2, 1) across and down, zero border."""
        return derivatives(self.values, 2.0, "zero")

    @cached_property
    def edge_strength(self) -> Real:
        """Sobel magnitude, zero border."""
        across, down = self.sobel_zero
        return np.asarray(np.sqrt(across * across + down * down))

    @cached_property
    def edge_angle(self) -> Real:
        """Sobel orientation atan(up / across), +pi/2 where `across` is 0 (the published code's signs)."""
        across, down = self.sobel_zero
        flat = across == 0
        ratio = -down / np.where(flat, 1.0, across)
        return np.where(flat, np.pi / 2, np.arctan(ratio))
