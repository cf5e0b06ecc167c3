"""Thumbnails in a terminal: Kitty's or Sixel graphics where it has them, half blocks in colour, else nothing.

`thumbnail_row([...])` returns the characters to print, or "" where a picture cannot or should not be shown.
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, Literal, TextIO

import numpy as np
from numpy.typing import NDArray

from mefcli.report.images import to_eight_bits

Ability = Literal["kitty", "sixel", "blocks", "none"]
SIXEL_TERMINALS = ("mlterm", "foot", "contour", "yaft")


def ability(stream: TextIO | None = None, env: Mapping[str, str] = os.environ) -> Ability:
    """What the terminal says of itself in the environment; nothing is asked of it, so nothing can hang."""
    stream = stream or sys.stdout
    term, program = env.get("TERM", ""), env.get("TERM_PROGRAM", "")
    if not stream.isatty() or term in ("", "dumb") or "NO_COLOR" in env:
        return "none"
    inside = bool(env.get("TMUX")) or term.startswith("screen")  # these swallow graphics
    if not inside and (env.get("KITTY_WINDOW_ID") or "kitty" in term or program == "ghostty"):
        return "kitty"
    if not inside and (term.startswith(SIXEL_TERMINALS) or program == "WezTerm"):
        return "sixel"
    encoding = (stream.encoding or "").lower().replace("-", "")
    coloured = env.get("COLORTERM") in ("truecolor", "24bit")
    return "blocks" if coloured and encoding == "utf8" else "none"


def thumbnail_row(
    pictures: Sequence[NDArray[Any]], *, how: Ability | None = None, height_px: int = 96, columns: int = 80
) -> str:
    """Pictures side by side as terminal text, ending in a line break; "" where the terminal is plain."""
    how = how or ability()
    if how == "none" or not pictures:
        return ""
    if how == "blocks":
        return _blocks(_side_by_side(pictures, 24, gap=2, most=columns))
    strip = _side_by_side(pictures, height_px, gap=8, most=columns * 8)
    return _kitty(strip) if how == "kitty" else _sixel(strip)


def _side_by_side(pictures: Sequence[NDArray[Any]], height: int, gap: int, most: int) -> NDArray[np.int16]:
    """One strip at most `most` pixels wide; gaps are -1, so that they can stay see-through."""
    import cv2

    ratios = [p.shape[1] / p.shape[0] for p in pictures]
    room = most - gap * (len(pictures) - 1)
    height = max(2, min(height, int(room / sum(ratios)))) // 2 * 2
    parts: list[NDArray[np.int16]] = []
    for picture, ratio in zip(pictures, ratios, strict=True):
        if parts:
            parts.append(np.full((height, gap, 3), -1, np.int16))
        size = (max(1, int(height * ratio)), height)
        small = cv2.resize(to_eight_bits(picture), size, interpolation=cv2.INTER_AREA)
        parts.append(small.astype(np.int16))
    return np.concatenate(parts, axis=1)


def _blocks(strip: NDArray[np.int16]) -> str:
    """Two pixels a character: the upper half block in one colour on a ground of another."""
    lines = []
    for upper, lower in zip(strip[::2], strip[1::2], strict=True):
        line = []
        for top, bottom in zip(upper.tolist(), lower.tolist(), strict=True):
            if top[0] < 0:
                line.append("\x1b[0m ")
            else:
                line.append("\x1b[38;2;{};{};{};48;2;{};{};{}m▀".format(*top, *bottom))
        lines.append("".join(line) + "\x1b[0m\n")
    return "".join(lines)


def _kitty(strip: NDArray[np.int16]) -> str:
    """Kitty's graphics protocol: a PNG in base64, in pieces of 4096 characters."""
    from PIL import Image

    alpha = np.where(strip[..., :1] < 0, 0, 255)
    out = BytesIO()
    Image.fromarray(np.concatenate([np.maximum(strip, 0), alpha], 2).astype(np.uint8)).save(out, "PNG")
    data = base64.b64encode(out.getvalue()).decode("ascii")
    pieces = [data[i : i + 4096] for i in range(0, len(data), 4096)]
    text = []
    for index, piece in enumerate(pieces):
        more = int(index + 1 < len(pieces))
        control = f"a=T,f=100,m={more}" if index == 0 else f"m={more}"
        text.append(f"\x1b_G{control};{piece}\x1b\\")
    return "".join(text) + "\n"


def _sixel(strip: NDArray[np.int16]) -> str:
    """DEC Sixel with a palette of 64 colours; bands of six rows, runs shortened."""
    from PIL import Image

    height, width = strip.shape[:2]
    image = Image.fromarray(np.maximum(strip, 0).astype(np.uint8)).quantize(64)
    indices = np.asarray(image).astype(int)
    indices[strip[..., 0] < 0] = -1
    palette = (image.getpalette() or [])[: 64 * 3]
    text = ["\x1bP0;1q", f'"1;1;{width};{height}']
    for number in range(len(palette) // 3):
        r, g, b = (round(v * 100 / 255) for v in palette[number * 3 : number * 3 + 3])
        text.append(f"#{number};2;{r};{g};{b}")
    for top in range(0, height, 6):
        band = indices[top : top + 6]
        weights = 1 << np.arange(band.shape[0])
        for number in (n for n in np.unique(band).tolist() if n >= 0):
            bits = ((band == number) * weights[:, None]).sum(0)
            text.append(f"#{number}{_runs(bits.tolist())}$")
        text.append("-")
    return "".join(text) + "\x1b\\\n"


def _runs(bits: Sequence[int]) -> str:
    """Sixel characters, runs of more than three as !count."""
    text, start = [], 0
    for at in range(1, len(bits) + 1):
        if at == len(bits) or bits[at] != bits[start]:
            length, character = at - start, chr(63 + bits[start])
            text.append(f"!{length}{character}" if length > 3 else character * length)
            start = at
    return "".join(text)
