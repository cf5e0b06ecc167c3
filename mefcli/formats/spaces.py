"""What an ICC profile means, whatever it calls itself: colorants and curves in numbers.

Two profiles of one name may hold other primaries, and one space goes by many names (sRGB IEC61966-2.1, sRGB
built-in, c2): only the numbers tell. Matrix profiles are understood; one with tables equals only itself.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mefcli.errors import MismatchError
from mefcli.formats.icc import SRGB_CURVE, colour_model, icc_profile, profile_name, profile_tag
from mefcli.values import Shot

Floats = NDArray[np.float64]
SAMPLES = np.linspace(0.0, 1.0, 33)
# Makers round sRGB's colorants differently, by up to 0.001; Adobe RGB's are 0.17 away.
COLORANT_TOLERANCE = 0.0025
# sRGB's curve and a plain power of 2.2 are 0.006 apart.
CURVE_TOLERANCE = 0.002
# Display-referred curves give 0.14 (power 2.8) to 0.29 (1.8) for half the signal; linear light gives 0.5.
LINEAR_ABOVE, HDR_BELOW = 0.4, 0.08


@dataclass(frozen=True)
class Matrix:
    """A matrix profile: XYZ of red, green and blue under D50 (as packed too), and their curves."""

    colorants: Floats  # (3 colours, XYZ)
    packed: tuple[bytes, ...]
    curves: tuple[bytes, ...]  # tags: rTRC, gTRC, bTRC
    chad: bytes | None

    def light(self, signal: Floats) -> Floats:
        """The linear light of a signal in 0..1, a column for each colour."""
        return np.stack([curve_of(curve, signal) for curve in self.curves], axis=-1)


@lru_cache(maxsize=64)
def matrix_of(icc: bytes) -> Matrix | None:
    """The numbers of an RGB matrix profile; None for one with tables, or that is damaged."""
    if colour_model(icc) != "RGB" or icc[20:24] != b"XYZ " or profile_tag(icc, b"A2B0"):
        return None
    colours = [profile_tag(icc, name) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    curves = tuple(profile_tag(icc, name) for name in (b"rTRC", b"gTRC", b"bTRC"))
    if any(len(tag) < 20 or tag[:4] != b"XYZ " for tag in colours):
        return None
    packed = tuple(tag[8:20] for tag in colours)
    colorants = np.array([struct.unpack(">3i", part) for part in packed]) / 65536
    chad = profile_tag(icc, b"chad")
    found = Matrix(colorants, packed, curves, chad[8:44] if len(chad) >= 44 else None)
    try:
        with np.errstate(all="ignore"):
            light = found.light(SAMPLES)
    except (struct.error, ValueError, IndexError):
        return None
    return found if np.isfinite(light).all() else None


def curve_of(tag: bytes, signal: Floats) -> Floats:
    """A `curv` or `para` tag's linear light (ICC.1:2010, sections 10.5 and 10.15)."""
    if tag[:4] == b"curv":
        count = struct.unpack(">I", tag[8:12])[0]
        if count == 0:
            return signal
        if count == 1:
            return np.asarray(signal ** (struct.unpack(">H", tag[12:14])[0] / 256), np.float64)
        table = np.frombuffer(tag[12 : 12 + 2 * count], ">u2").astype(np.float64) / 65535
        if len(table) < count:
            raise ValueError("a curve's table is cut off")
        return np.interp(signal, np.linspace(0.0, 1.0, count), table)
    if tag[:4] != b"para":
        raise ValueError("no curve")
    kind = struct.unpack(">H", tag[8:10])[0]
    count = (1, 3, 4, 5, 7)[kind]
    numbers = struct.unpack(f">{count}i", tag[12 : 12 + 4 * count])
    g, a, b, c, d, e, f = [value / 65536 for value in numbers + (0,) * (7 - count)]
    if kind == 0:
        return np.asarray(signal**g, np.float64)
    power: Floats = np.maximum(a * signal + b, 0.0) ** g
    if kind == 1:
        return power
    if kind == 2:  # ICC keeps the constant below the bend, which is at -b/a
        return np.asarray(power + c, np.float64)
    return np.asarray(np.where(signal >= d, power + e, c * signal + f), np.float64)


def same_space(one: bytes | None, other: bytes | None) -> bool:
    """Whether two profiles mean the same colours. No profile means sRGB, as everywhere."""
    one, other = one or icc_profile("srgb"), other or icc_profile("srgb")
    if one == other:
        return True
    a, b = matrix_of(one), matrix_of(other)
    if a is None or b is None:
        return False
    return bool(
        np.abs(a.colorants - b.colorants).max() < COLORANT_TOLERANCE
        and np.abs(a.light(SAMPLES) - b.light(SAMPLES)).max() < CURVE_TOLERANCE
    )


def same_colours(one: Shot, other: Shot) -> bool:
    """Whether two files' colours mean the same, as far as headers tell; RAW is developed alike."""
    if one.icc and other.icc:
        return same_space(one.icc, other.icc)
    return "raw" in (one.kind, other.kind) or (one.icc_name or "sRGB") == (other.icc_name or "sRGB")


def mixed(one: Path, its: str | None, other: Path, others: str | None) -> MismatchError:
    """Two frames of a bracket whose colours mean different things."""
    names = [its or "sRGB", others or "sRGB"]
    if names[0] == names[1]:
        names[1] = f"another space of that name ({names[1]})"
    return MismatchError(
        f"{one.name} is in {names[0]}, {other.name} in {names[1]}.",
        "Export all frames of the bracket with one colour profile.",
    )


def code_points(icc: bytes) -> tuple[int, int] | None:
    """Primaries and transfer of ISO/IEC 23091-2, where the profile names them (ICC.1:2022, section 10.3)."""
    tag = profile_tag(icc, b"cicp")
    return (tag[8], tag[9]) if len(tag) >= 12 and tag[:4] == b"cicp" else None


@lru_cache(maxsize=64)
def is_srgb(icc: bytes) -> bool:
    return same_space(icc, None)


def space_name(icc: bytes | None) -> str:
    """What a profile calls itself, but one name for everything that is sRGB, as no profile is."""
    return "sRGB" if icc is None or is_srgb(icc) else profile_name(icc)


def half_light(icc: bytes) -> float | None:
    """The linear light of half the signal, of the most linear colour; None where only tables say."""
    found = matrix_of(icc)
    return None if found is None else float(found.light(np.array([0.5])).max())


def encode_srgb(light: NDArray[np.floating]) -> NDArray[np.float32]:
    """Linear light in 0..1 as sRGB encodes it (IEC 61966-2-1)."""
    power, a, b, c, d = SRGB_CURVE
    light = np.clip(light, 0.0, 1.0)
    encoded = np.where(light <= d * c, light / c, (np.power(light, 1 / power) - b) / a)
    return encoded.astype(np.float32)
