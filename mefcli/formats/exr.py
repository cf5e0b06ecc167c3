"""OpenEXR out: one part of scan lines, red, green and blue, as 16-bit or 32-bit floating point, ZIP.

After "OpenEXR File Layout" and "Technical Introduction to OpenEXR" (openexr.com): a header of typed
attributes, a table of where each block of sixteen lines stands, and the blocks, a few of them held at once.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mefcli.formats.light import Light
from mefcli.formats.values import Rows
from mefnets.engine.frames import strips
from mefnets.engine.threads import each

MAGIC, VERSION, LONG_NAMES = 20000630, 2, 0x400
ZIP, ZIP_ROWS, ZIP_LEVEL = 3, 16, 3
INCREASING = 0
HALF, FLOAT = 1, 2
HALF_MOST = 65504.0
AHEAD_ROWS = 64  # of a piece that one thread makes: several blocks
Attribute = tuple[str, bytes]


def write_exr(path: Path, rows: Rows, light: Light, bits: int) -> None:
    """`rows` gives lines of the picture as float32 `(h, W, 3)`; `bits` is 16 or 32."""
    height, width, _ = rows.shape
    head = _header(width, height, light, FLOAT if bits == 32 else HALF)
    blocks = strips(height, ZIP_ROWS)
    with path.open("wb") as file:
        file.write(head)
        file.write(bytes(8 * len(blocks)))
        places = []
        for piece in each(lambda span: _blocks(rows, span, bits), strips(height, AHEAD_ROWS)):
            for block in piece:
                places.append(file.tell())
                file.write(block)
        file.seek(len(head))
        file.write(struct.pack(f"<{len(places)}Q", *places))


def _blocks(rows: Rows, span: tuple[int, int], bits: int) -> list[bytes]:
    piece = rows[span[0] : span[1]]
    if bits == 16:
        piece = np.minimum(piece, HALF_MOST)
    planes = np.ascontiguousarray(
        piece[..., ::-1].transpose(0, 2, 1), "<f4" if bits == 32 else "<f2"
    )  # lines of B, G, R: channels stand in the order of their names
    return [_block(span[0] + top, planes[top : top + ZIP_ROWS]) for top in range(0, len(planes), ZIP_ROWS)]


def _block(line: int, planes: NDArray[np.floating]) -> bytes:
    import imagecodecs

    plain = planes.tobytes()
    octets = np.frombuffer(plain, np.uint8)
    apart = np.concatenate([octets[0::2], octets[1::2]])
    apart[1:] = apart[1:] - apart[:-1] + np.uint8(128)
    coded = bytes(imagecodecs.deflate_encode(apart.tobytes(), level=ZIP_LEVEL))
    data = coded if len(coded) < len(plain) else plain
    return struct.pack("<ii", line, len(data)) + data


def _header(width: int, height: int, light: Light, kind: int) -> bytes:
    box = struct.pack("<4i", 0, 0, width - 1, height - 1)
    channels = b"".join(name + b"\0" + struct.pack("<iB3xii", kind, 0, 1, 1) for name in (b"B", b"G", b"R"))
    attributes: dict[str, Attribute] = {
        "channels": ("chlist", channels + b"\0"),
        "compression": ("compression", bytes((ZIP,))),
        "dataWindow": ("box2i", box),
        "displayWindow": ("box2i", box),
        "lineOrder": ("lineOrder", bytes((INCREASING,))),
        "pixelAspectRatio": ("float", struct.pack("<f", 1.0)),
        "screenWindowCenter": ("v2f", struct.pack("<2f", 0.0, 0.0)),
        "screenWindowWidth": ("float", struct.pack("<f", 1.0)),
        "chromaticities": (
            "chromaticities",
            struct.pack("<8f", *(n for xy in light.primaries.all for n in xy)),
        ),
        **_told(light.numbers, light.words),
    }
    longest = max(len(name) for name in attributes)
    version = VERSION | (LONG_NAMES if longest > 31 else 0)
    body = b"".join(
        name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value
        for name, (kind, value) in attributes.items()
    )
    return struct.pack("<ii", MAGIC, version) + body + b"\0"


def _told(numbers: Mapping[str, float], words: Mapping[str, str]) -> dict[str, Attribute]:
    """What is known beside the picture, under OpenEXR's standard names where it has one."""
    return {name: ("float", struct.pack("<f", number)) for name, number in numbers.items()} | {
        name: ("string", text.encode()) for name, text in words.items()
    }
