"""The encoding of what was decoded: known and honoured, or refused.

A file says what its numbers mean by an ICC profile, by code points (HEIF, AVIF, PNG; ISO/IEC 23091-2), or by
primaries and a power (PNG, TIFF, BMP). What leaves here is display-referred, with an ICC profile or none
(sRGB): linear light gets sRGB's curve on the file's own primaries, PQ and HLG are brought to standard range.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mefcli.errors import UnreadableError
from mefcli.formats import spaces
from mefcli.formats.icc import (
    D65_XY,
    SPACES,
    SRGB_CURVE,
    icc_profile,
    matrix_profile,
    profile_name,
    profile_of_colorants,
)
from mefcli.formats.pixels import to_profile
from mefcli.values import Pixels

Xy = tuple[float, float]
Primaries = tuple[Xy, ...]
Floats = NDArray[np.float32]

C_XY = (0.310, 0.316)
BT709: Primaries = SPACES["srgb"][1]
# ColourPrimaries: name, red, green, blue, white (table 2). XYZ and unknown numbers are refused.
PRIMARIES: dict[int, tuple[str, Primaries, Xy]] = {
    1: ("BT.709", BT709, D65_XY),
    2: ("unspecified", BT709, D65_XY),
    4: ("BT.470 M", ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), C_XY),
    5: ("BT.601 625", ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)), D65_XY),
    6: ("BT.601 525", ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)), D65_XY),
    7: ("SMPTE 240M", ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)), D65_XY),
    9: ("BT.2020", ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), D65_XY),
    11: ("DCI-P3", SPACES["p3"][1], (0.314, 0.351)),
    12: ("Display P3", SPACES["p3"][1], D65_XY),
}
LINEAR, PQ, HLG = 8, 16, 18
# TransferCharacteristics (table 3). The curves of cameras for television (BT.709, 601, 2020) are seen through
# displays that follow sRGB closely, and every viewer takes them so.
CURVES: dict[int, tuple[float, ...]] = {
    **dict.fromkeys((1, 2, 6, 13, 14, 15), SRGB_CURVE),
    4: (2.2,),
    5: (2.8,),
    LINEAR: (1.0,),
}
WHITE_NITS = 203.0  # of a diffuse white in PQ and HLG (BT.2408)
HLG_PEAK_NITS, HLG_GAMMA = 1000.0, 1.2  # BT.2100, table 5
HDR_NAME = re.compile(r"\b(PQ|HLG)\b")
PLAUSIBLE = (0.9, 3.5)  # powers that some display or program really has


@dataclass(frozen=True)
class Colours:
    """What a file says of its numbers in other words than an ICC profile."""

    name: str
    primaries: Primaries
    white: Xy
    curve: tuple[float, ...]  # ICC's: one number or five; empty: not known here
    hdr: int = 0  # PQ or HLG, whose curve is not ICC's

    @property
    def is_srgb(self) -> bool:
        return not self.hdr and bool(self.curve) and spaces.is_srgb(self.profile)

    @property
    def profile(self) -> bytes:
        return matrix_profile(self.name, self.primaries, self.white, self.curve or SRGB_CURVE)


SRGB = Colours("sRGB", BT709, D65_XY, SRGB_CURVE)


def coded(primaries: int, transfer: int) -> Colours:
    """By code points."""
    name, where, white = PRIMARIES.get(primaries, (f"primaries {primaries}", BT709, D65_XY))
    if transfer in (PQ, HLG):
        kind = "PQ" if transfer == PQ else "HLG"
        known = SRGB_CURVE if primaries in PRIMARIES else ()
        return Colours(f"{name} {kind}", where, white, known, transfer)
    curve = CURVES.get(transfer, ())
    if not curve:
        name = f"{name}, transfer {transfer}"
    elif transfer == LINEAR:
        name = f"{name} linear"
    return Colours(name, where, white, curve if primaries in PRIMARIES else ())


def calibrated(primaries: Primaries | None, white: Xy | None, power: float | None) -> Colours | None:
    """By primaries and a power, each where a file gives it. None where it gives nothing usable."""
    if power is None and primaries is None:
        return None
    usable = primaries is not None and white is not None and _is_gamut(primaries, white)
    where, white = (primaries, white) if usable else (BT709, D65_XY)
    assert where is not None
    assert white is not None
    name = "Calibrated RGB"
    near = bool(np.abs(np.subtract(BT709, where)).max() < 0.002)
    if power is None or (near and abs(power - 2.2) < 0.1):  # what programs write that mean sRGB
        return Colours(name, where, white, SRGB_CURVE)
    if not PLAUSIBLE[0] <= power <= PLAUSIBLE[1]:
        return Colours(f"a power of {power:.3g}", where, white, ())
    return Colours(f"{name}, power {power:.3g}", where, white, (power,))


def tiff_colours(
    primaries: Sequence[float], white: Sequence[float] | None, curve: Sequence[float]
) -> Colours | None:
    """By TIFF's numbers: six of the primaries, two of the white, and a curve as a table of 16-bit light."""
    points = tuple(zip(primaries[0::2], primaries[1::2], strict=True))
    found = calibrated(points, (white[0], white[1]) if white else D65_XY, None)
    if found is None or not curve:
        return found
    signal, light = np.linspace(0.0, 1.0, len(curve)), np.array(curve) / 65535
    if len(curve) % 3 == 0 and len(curve) & (len(curve) - 1):  # one for each colour: they must agree
        thirds = light.reshape(3, -1)
        signal, light = signal[: thirds.shape[1]] * (len(curve) - 1) / (thirds.shape[1] - 1), thirds[0]
        if np.abs(thirds - light).max() > spaces.CURVE_TOLERANCE:
            return replace(found, name="three different curves", curve=())
    if np.abs(spaces.encode_srgb(light) - signal).max() < 2 * spaces.CURVE_TOLERANCE:
        return found
    power = float(np.log(max(1e-9, np.interp(0.5, signal, light))) / np.log(0.5))
    if np.abs(signal**power - light).max() > 2 * spaces.CURVE_TOLERANCE:
        return replace(found, name="a curve of its own", curve=())
    return calibrated(points, found.white, power)


def _is_gamut(primaries: Primaries, white: Xy) -> bool:
    """Whether these are a triangle with the white inside it."""
    if not all(np.isfinite(value) and 0 <= value <= 1 for point in (*primaries, white) for value in point):
        return False
    corners = [(*point, 1.0) for point in primaries]
    if abs(np.linalg.det(np.array(corners))) < 0.01 or any(point[1] < 1e-5 for point in (*primaries, white)):
        return False
    return bool((np.linalg.solve(np.array(corners).T, np.array([*white, 1.0])) > 0).all())


def display_referred(
    pixels: Pixels, icc: bytes | None, colours: Colours | None, path: Path
) -> tuple[Pixels, bytes | None, list[str]]:
    """Pixels as a display takes them, the profile they are in (None: sRGB), and notes on what was done."""
    points = spaces.code_points(icc) if icc is not None else None
    if points is not None and points[1] in (PQ, HLG):
        icc, colours = None, coded(*points)
    if icc is None and colours is not None:
        if not colours.curve:
            raise UnreadableError(
                f"{path} says that its colours are coded as {colours.name}, which mef does not know.",
                "Export it as sRGB, or with an ICC profile.",
            )
        if colours.hdr:
            return _standard_range(pixels, colours)
        icc = None if colours.is_srgb else colours.profile
    if icc is None:
        return pixels, icc, []
    half = spaces.half_light(icc)
    if half is None and to_profile(np.zeros((1, 1, 3), np.uint8), icc, icc_profile("srgb")) is None:
        return pixels, None, ["a damaged colour profile was ignored: taken as sRGB"]
    if half is None and not HDR_NAME.search(profile_name(icc)):  # tables, which are display-referred
        return pixels, icc, []
    if half is not None and spaces.HDR_BELOW < half < spaces.LINEAR_ABOVE:
        return pixels, icc, []
    if half is None or half <= spaces.HDR_BELOW:
        raise UnreadableError(
            f"{path} has the profile {profile_name(icc)}, whose curve is made for more light than white.",
            "Export it in standard range: as sRGB, Display P3 or Adobe RGB.",
        )
    found = spaces.matrix_of(icc)
    assert found is not None
    profile = profile_of_colorants(f"{profile_name(icc)}, sRGB curve", found.packed, found.chad, SRGB_CURVE)
    encoded = _mapped(pixels, lambda signal: spaces.encode_srgb(found.light(signal)))
    return encoded, None if spaces.is_srgb(profile) else profile, ["linear light given sRGB's curve"]


def _mapped(pixels: Pixels, curves: Callable[[Any], NDArray[Any]]) -> Pixels:
    """Each colour through its curve, `(n,)` signals to `(n, 3)`; eight bits become sixteen."""
    if pixels.dtype == np.float32:
        out = np.empty_like(pixels)
        for top in range(0, len(pixels), 256):  # strips keep the copies small
            strip = pixels[top : top + 256].astype(np.float64)
            for colour in range(3):
                out[top : top + 256, :, colour] = curves(strip[..., colour].ravel())[:, colour].reshape(
                    strip.shape[:2]
                )
        return out
    levels = np.linspace(0.0, 1.0, 1 << 8 * pixels.dtype.itemsize)
    tables = (curves(levels) * 65535 + 0.5).astype(np.uint16)  # (levels, 3)
    mapped: Pixels = np.stack([tables[:, colour][pixels[..., colour]] for colour in range(3)], axis=-1)
    return mapped


def _standard_range(pixels: Pixels, colours: Colours) -> tuple[Pixels, bytes | None, list[str]]:
    """PQ or HLG as a display of standard range shows it: diffuse white is white, brighter light is clipped.

    A bracket's darker frames hold the light that is clipped here, as in any bracket.
    """
    if colours.hdr == PQ:
        shown = _mapped(pixels, lambda signal: spaces.encode_srgb(np.stack([pq_light(signal)] * 3, axis=-1)))
    else:
        shown = np.empty(pixels.shape, np.float32 if pixels.dtype == np.float32 else np.uint16)
        weights = np.array(_luminance(colours), np.float64)
        peak = 1.0 if pixels.dtype == np.float32 else (1 << 8 * pixels.dtype.itemsize) - 1
        for top in range(0, len(pixels), 256):
            encoded = spaces.encode_srgb(hlg_light(pixels[top : top + 256] / peak, weights))
            shown[top : top + 256] = encoded if shown.dtype == np.float32 else encoded * 65535 + 0.5
    kind = "PQ" if colours.hdr == PQ else "HLG"
    profile = matrix_profile(
        colours.name.removesuffix(f" {kind}"), colours.primaries, colours.white, SRGB_CURVE
    )
    note = f"HDR ({kind}) brought to standard range: light above {WHITE_NITS:.0f} cd/m² is clipped"
    return shown, None if spaces.is_srgb(profile) else profile, [note]


def _luminance(colours: Colours) -> tuple[float, ...]:
    from mefcli.formats.icc import rgb_to_xyz

    return tuple(float(value) for value in rgb_to_xyz(colours.primaries, colours.white)[1])


def pq_light(signal: NDArray[Any]) -> NDArray[np.float64]:
    """The light of a PQ signal, 1 at diffuse white (BT.2100, table 4)."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    root = np.asarray(signal, np.float64) ** (1 / m2)
    light = np.maximum(root - c1, 0) / (c2 - c3 * root)
    return np.asarray(10000 / WHITE_NITS * light ** (1 / m1), np.float64)


def hlg_light(signal: NDArray[Any], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The display light of HLG pixels `(..., 3)` on a display of 1000 cd/m², 1 at diffuse white (table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    signal = np.asarray(signal, np.float64)
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    overall = np.maximum(scene @ weights, 1e-9)[..., None] ** (HLG_GAMMA - 1)
    return np.asarray(HLG_PEAK_NITS / WHITE_NITS * overall * scene, np.float64)
