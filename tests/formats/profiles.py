"""ICC profiles for tests: a press's, and matrix profiles with any curve and name."""

from __future__ import annotations

import struct

import numpy as np

from mefcli.formats.icc import D50, D65_XY, SPACES, SRGB_CURVE, _assemble, _s15, matrix_profile


def named(name: str, space: str = "srgb", curve: tuple[float, ...] | None = None) -> bytes:
    """A matrix profile of one of our spaces under any name, with another curve where one is given."""
    _, primaries, white, own = SPACES[space]
    return matrix_profile(name, primaries, white, curve or own)


def table_curve(entries: int = 1024) -> bytes:
    """sRGB's curve as a table, as older profiles have it."""
    from mefcli.formats.spaces import curve_of

    para = struct.pack(">4s4xHH", b"para", 3, 0) + _s15(SRGB_CURVE)
    light = curve_of(para, np.linspace(0, 1, entries))
    return struct.pack(">4s4xI", b"curv", entries) + np.round(light * 65535).astype(">u2").tobytes()


def old_srgb() -> bytes:
    """sRGB as profiles of version 2 put it: rounded colorants, curves as tables."""
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 19) + b"sRGB IEC61966-2.1 x\0", b"wtpt": _xyz(D50)}
    for name, values in (
        (b"rXYZ", (0.4361, 0.2225, 0.0139)),
        (b"gXYZ", (0.3851, 0.7169, 0.0971)),
        (b"bXYZ", (0.1431, 0.0606, 0.7141)),
    ):
        tags[name] = _xyz(values)
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        tags[name] = table_curve()
    return _assemble(tags)


def with_points(profile: bytes, primaries: int, transfer: int) -> bytes:
    """The profile with a `cicp` tag that names code points."""
    count = struct.unpack(">I", profile[128:132])[0]
    table = profile[132 : 132 + 12 * count]
    moved = b"".join(
        table[at : at + 4] + struct.pack(">II", struct.unpack(">I", table[at + 4 : at + 8])[0] + 12, size)
        for at in range(0, len(table), 12)
        for size in struct.unpack(">I", table[at + 8 : at + 12])
    )
    body = profile[132 + 12 * count :]
    tag = b"cicp\0\0\0\0" + bytes((primaries, transfer, 0, 1))
    entry = struct.pack(">4sII", b"cicp", 132 + 12 * count + 12 + len(body), len(tag))
    whole = profile[:128] + struct.pack(">I", count + 1) + moved + entry + body + tag
    return struct.pack(">I", len(whole)) + whole[4:]


def press() -> bytes:
    """A CMYK profile whose inks multiply, with a colour cast that no guess would have."""
    inks = np.array(np.meshgrid(*[[0.0, 1.0]] * 4, indexing="ij")).reshape(4, -1).T  # K varies fastest
    light = (1 - inks[:, :3]) * (1 - inks[:, 3:]) * np.array([1.0, 0.9, 0.7])
    grey = light @ np.array([0.25, 0.6, 0.15])
    lab = np.stack(
        [100 * np.cbrt(grey), 60 * (light[:, 0] - light[:, 1]), 60 * (light[:, 1] - light[:, 2])], axis=1
    )
    coded = np.round([1, 1, 1] * np.clip(lab * [2.55, 1, 1] + [0, 128, 128], 0, 255)).astype(np.uint8)
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + _s15((1, 0, 0, 0, 1, 0, 0, 0, 1))
    lut += ramp * 4 + coded.tobytes() + ramp * 3
    profile = bytearray(
        _assemble({b"desc": b"desc\0\0\0\0\0\0\0\x06Press\0", b"wtpt": _xyz(D50), b"A2B0": lut})
    )
    profile[8:24] = struct.pack(">I4s4s4s", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    return bytes(profile)


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + _s15(values)


D65 = D65_XY
