"""Size and depth of an AV1 stream's pictures, by its own sequence header (AV1 bitstream, section 5.5).

A container repeats both, and may contradict them; whoever decodes goes by the stream.
"""

from __future__ import annotations

from dataclasses import dataclass

SEQUENCE_HEADER = 1  # type of an OBU
MOST_OBUS = 64  # before the sequence header, which stands first or second
ANY_TOOLS = 2  # seq_force_screen_content_tools, where each frame says for itself


@dataclass(frozen=True)
class StreamFacts:
    size_px: tuple[int, int]
    bits: int  # 8, 10 or 12


class _Bits:
    def __init__(self, data: bytes) -> None:
        self.value, self.left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self.left:
            raise EOFError
        self.left -= count
        return self.value >> self.left & ((1 << count) - 1)

    def skip_uvlc(self) -> None:
        zeros = 0
        while not self.take(1):
            zeros += 1
        self.take(min(zeros, 32))


def stream_facts(stream: bytes) -> StreamFacts | None:
    """None where the stream holds no sequence header that can be read."""
    at = 0
    for _ in range(MOST_OBUS):
        if at >= len(stream):
            return None
        head = stream[at]
        at += 2 if head & 4 else 1  # with an extension
        size, at = _leb128(stream, at) if head & 2 else (len(stream) - at, at)
        if head >> 3 & 15 == SEQUENCE_HEADER:
            try:
                return _facts(_Bits(stream[at : at + min(size, 256)]))
            except EOFError:
                return None
        at += size
    return None


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(data[at : at + 8]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    return len(data), at


def _facts(bits: _Bits) -> StreamFacts:
    """Up to the depth in color_config; what is not asked for is passed over."""
    take = bits.take
    profile = take(3)
    take(1)
    still = take(1)  # reduced_still_picture_header
    if still:
        take(5)
    else:
        _skip_operating_points(bits)
    across, down = take(4) + 1, take(4) + 1
    size_px = take(across) + 1, take(down) + 1
    if not still and take(1):  # frame ids
        take(7)
    take(3)
    if not still:
        take(4)
        ordered = take(1)
        take(2 * ordered)
        tools = ANY_TOOLS if take(1) else take(1)
        if tools and not take(1):
            take(1)
        take(3 * ordered)
    take(3)
    deep = take(1)
    deepest = profile == 2 and deep and take(1)
    return StreamFacts(size_px, 12 if deepest else 10 if deep else 8)


def _skip_operating_points(bits: _Bits) -> None:
    take = bits.take
    buffer_bits = model = 0
    if take(1):  # timing_info
        take(64)
        if take(1):
            bits.skip_uvlc()
        model = take(1)
        if model:
            buffer_bits = take(5) + 1
            take(42)
    delayed = take(1)
    for _ in range(take(5) + 1):
        take(12)
        if take(5) > 7:
            take(1)
        if model and take(1):
            take(2 * buffer_bits + 1)
        if delayed and take(1):
            take(4)
