"""ICC profiles: the four working spaces, built here, and the name of any profile.

Version 4 matrix profiles with parametric curves (ICC.1:2010), about 500 bytes each. Colorants are adapted to
D50 by Bradford and rounded so that each row sums to D50 exactly: equal R, G and B stay neutral.
"""

from __future__ import annotations

import hashlib
import struct
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mefcli.errors import UsageError

D50 = (0.9642, 1.0, 0.8249)
D65_XY, D50_XY = (0.3127, 0.3290), (0.3457, 0.3585)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
SRGB_CURVE = (
    2.4,
    1 / 1.055,
    0.055 / 1.055,
    1 / 12.92,
    0.04045,
)  # IEC 61966-2-1: (g, a, b, c, d) of ICC type 3
# Photo programs' ProPhoto is the plain power, without the linear start of ISO 22028-2.
PROPHOTO_GAMMA = 1.8
ADOBE_GAMMA = 563 / 256  # Adobe RGB (1998) section 4.3.4.2

# name -> description, primaries (x, y) of R, G, B, white, curve
SPACES: dict[str, tuple[str, tuple[tuple[float, float], ...], tuple[float, float], tuple[float, ...]]] = {
    "srgb": ("sRGB", ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)), D65_XY, SRGB_CURVE),
    "p3": ("Display P3", ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), D65_XY, SRGB_CURVE),
    "adobergb": (
        "Compatible with Adobe RGB (1998)",
        ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)),
        D65_XY,
        (ADOBE_GAMMA,),
    ),
    "prophoto": (
        "ProPhoto RGB",
        ((0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105)),
        D50_XY,
        (PROPHOTO_GAMMA,),
    ),
}


@cache
def icc_profile(space: str) -> bytes:
    """The profile of `srgb`, `p3`, `adobergb` or `prophoto`."""
    if space not in SPACES:
        raise UsageError(f"{space} is no colour space mef knows.", f"Choose one of: {', '.join(SPACES)}.")
    return matrix_profile(*SPACES[space])


@cache
def matrix_profile(
    description: str,
    primaries: tuple[tuple[float, float], ...],
    white: tuple[float, float],
    curve: tuple[float, ...],
) -> bytes:
    """A profile of primaries, a white and a curve: one number is a power, five are ICC's type 3."""
    to_d50 = adaptation(white)
    colorants = _fixed_colorants(to_d50 @ rgb_to_xyz(primaries, white))
    packed = tuple(struct.pack(">3i", *(int(value) for value in colorants[:, index])) for index in range(3))
    return profile_of_colorants(description, packed, _s15(tuple(to_d50.ravel())), curve)


def profile_of_colorants(
    description: str, colorants: tuple[bytes, ...], chad: bytes | None, curve: tuple[float, ...]
) -> bytes:
    """The same from colorants under D50 as ICC packs them, and the matrix that adapted them, where known."""
    curve_tag = struct.pack(">4s4xHH", b"para", 0 if len(curve) == 1 else 3, 0) + _s15(curve)
    tags: dict[bytes, bytes] = {
        b"desc": _text(description),
        b"cprt": _text("No copyright, use freely"),
        b"wtpt": b"XYZ \0\0\0\0" + _s15(D50),
    }
    if chad is not None:
        tags[b"chad"] = b"sf32\0\0\0\0" + chad
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        tags[name] = curve_tag
    for name, packed in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants, strict=True):
        tags[name] = b"XYZ \0\0\0\0" + packed
    return _assemble(tags)


def rgb_to_xyz(primaries: tuple[tuple[float, float], ...], white: tuple[float, float]) -> NDArray[np.float64]:
    """The matrix from linear RGB to XYZ relative to the space's own white."""
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T  # (XYZ, RGB)
    target = np.array([white[0] / white[1], 1.0, (1 - white[0] - white[1]) / white[1]])
    scaled: NDArray[np.float64] = columns * np.linalg.solve(columns, target)
    return scaled


def adaptation(white: tuple[float, float]) -> NDArray[np.float64]:
    """Bradford adaptation from a white point to D50."""
    if white == D50_XY:
        return np.eye(3)
    source = np.array([white[0] / white[1], 1.0, (1 - white[0] - white[1]) / white[1]])
    gains = (BRADFORD @ np.array(D50)) / (BRADFORD @ source)
    adapted: NDArray[np.float64] = np.linalg.solve(BRADFORD, gains[:, None] * BRADFORD)
    return adapted


def _fixed_colorants(colorants: NDArray[np.float64]) -> NDArray[np.int64]:
    """Colorants in 16.16 fixed point whose rows sum to D50; the green one takes what rounding leaves."""
    fixed = np.round(colorants * 65536).astype(np.int64)
    fixed[:, 1] += np.round(np.array(D50) * 65536).astype(np.int64) - fixed.sum(axis=1)
    return fixed


def _s15(values: tuple[float, ...]) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _text(text: str) -> bytes:
    data = text.encode("utf-16-be")
    return struct.pack(">4s4xII2s2sII", b"mluc", 1, 12, b"en", b"US", len(data), 28) + data


def _assemble(tags: dict[bytes, bytes]) -> bytes:
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    placed: dict[bytes, int] = {}
    for name, data in tags.items():
        if data not in placed:  # the three curves share one copy
            placed[data] = start + len(body)
            body += data + b"\0" * (-len(data) % 4)
        table += struct.pack(">4sII", name, placed[data], len(data))
    head = struct.pack(">I4xI4s4s4s", start + len(body), 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(
        28
    )  # a fixed date: same space, same bytes
    head = (head + _s15(D50)).ljust(128, b"\0")
    profile = head + table + body
    identity = hashlib.md5(profile, usedforsecurity=False).digest()  # ICC.1:2010 section 7.2.18
    return profile[:84] + identity + profile[100:]


def profile_name(icc: bytes | None) -> str:
    """What a profile calls itself; `untagged` without one."""
    if not icc:
        return "untagged"
    data = profile_tag(icc, b"desc")
    name = ""
    if data[:4] == b"desc" and len(data) >= 12:
        size = struct.unpack(">I", data[8:12])[0]
        name = data[12 : 12 + size].split(b"\0", 1)[0].decode("latin-1")
    elif data[:4] == b"mluc" and len(data) >= 28:
        size, at = struct.unpack(">II", data[20:28])
        name = data[at : at + size].decode("utf-16-be", "replace")
    return " ".join(name.replace("\0", " ").split()) or "unnamed profile"


def colour_model(icc: bytes | None) -> str:
    """RGB, GRAY, CMYK, ... as the profile's header says; empty where there is none."""
    return icc[16:20].decode("latin-1").strip() if icc and len(icc) >= 128 and icc[36:40] == b"acsp" else ""


def profile_tag(icc: bytes, wanted: bytes) -> bytes:
    """A tag's bytes with their type in front; empty where the profile has none, or is too short for it."""
    if len(icc) < 132:
        return b""
    for at in range(132, min(len(icc) - 11, 132 + 12 * min(struct.unpack(">I", icc[128:132])[0], 200)), 12):
        name, offset, size = struct.unpack(">4sII", icc[at : at + 12])
        if name == wanted:
            return icc[offset : offset + size]
    return b""
