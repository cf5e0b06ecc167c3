"""IPTC IIM records (IIM 4.2): read, and written again without what no longer fits."""

from __future__ import annotations

from collections.abc import Iterator

# dataset of record 2 -> XMP property, as the Metadata Working Group maps them
XMP_NAMES = {
    5: "dc:title",
    25: "dc:subject",
    80: "dc:creator",
    90: "photoshop:City",
    95: "photoshop:State",
    101: "photoshop:Country",
    105: "photoshop:Headline",
    110: "photoshop:Credit",
    116: "dc:rights",
    120: "dc:description",
}
PREVIEW, CATEGORY = range(200, 203), 15
FIXED_BYTES = {55: 8, 60: 11, 62: 8, 63: 11}  # dates and times


def records(block: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(record, dataset, value) of each well-formed entry."""
    at = 0
    while at + 5 <= len(block) and block[at] == 0x1C:
        size = int.from_bytes(block[at + 3 : at + 5], "big")
        if size & 0x8000 or at + 5 + size > len(block):  # extended sizes hold objects, not words
            return
        yield block[at + 1], block[at + 2], block[at + 5 : at + 5 + size]
        at += 5 + size


def carried_block(block: bytes | None) -> bytes:
    """The envelope and application records that describe the photograph."""
    out = b""
    for record, dataset, value in records(block or b""):
        if record == 2 and (dataset in PREVIEW or (dataset == CATEGORY and len(value) > 3)):
            continue
        if record == 2 and len(value) != FIXED_BYTES.get(dataset, len(value)):
            continue
        if record in (1, 2):
            out += bytes((0x1C, record, dataset)) + len(value).to_bytes(2, "big") + value
    return out


def words(block: bytes | None) -> dict[str, list[str]]:
    """The values that have a place in XMP, by property name."""
    found: dict[str, list[str]] = {}
    entries = list(records(block or b""))
    utf8 = any(record == 1 and dataset == 90 and value == b"\x1b%G" for record, dataset, value in entries)
    for record, dataset, value in entries:
        name = XMP_NAMES.get(dataset) if record == 2 else None
        if name is not None:
            found.setdefault(name, []).append(_text(value, utf8))
    return found


def _text(value: bytes, utf8: bool) -> str:
    try:
        return value.decode("utf-8" if utf8 else "ascii").strip("\0 ")
    except UnicodeDecodeError:
        pass
    try:
        return value.decode("utf-8").strip("\0 ")
    except UnicodeDecodeError:
        return value.decode("latin-1").strip("\0 ")
