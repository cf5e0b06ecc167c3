"""The contact sheet of `mef compare`: inputs, results, telling crops and histograms on one picture."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mefcli.report.comparison import Box, Comparison, in_colours, telling_crops
from mefcli.report.images import histogram

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

BACK, INK, SOFT, FRAME = (250, 249, 246), (28, 27, 25), (110, 105, 97), (222, 218, 210)
MARGIN, GAP, LABEL = 28, 16, 34
HISTOGRAM = 70


def make_sheet(comparison: Comparison, width_px: int = 1800) -> NDArray[np.uint8]:
    """The sheet as pixels; rows of inputs, then one column a result with its crops below."""
    from PIL import Image, ImageDraw

    results = [one.pixels for one in comparison.results]
    height, width = results[0].shape[:2]
    boxes = telling_crops(results)
    columns = min(len(results), 4)
    cell = (width_px - 2 * MARGIN - GAP * (columns - 1)) // columns
    tall = round(cell * height / width)
    crop_w = (cell - 2 * 6) // 3
    crop_h = round(crop_w * (boxes[0][3] - boxes[0][1]) / (boxes[0][2] - boxes[0][0])) if boxes else 0
    per_row = min(max(4, columns), max(1, len(comparison.inputs)), 6)
    small = min((width_px - 2 * MARGIN - GAP * (per_row - 1)) // per_row, round(cell * 0.8))
    small_tall = round(small * height / width)
    input_rows = -(-len(comparison.inputs) // per_row)
    result_rows = -(-len(results) // columns)
    one_result = LABEL + tall + 6 + crop_h + 6 + HISTOGRAM + GAP * 2
    total = MARGIN * 2 + 46 + input_rows * (small_tall + LABEL + GAP) + 46 + result_rows * one_result
    sheet = Image.new("RGB", (width_px, total), BACK)
    draw = ImageDraw.Draw(sheet)
    y = MARGIN
    _write(draw, (MARGIN, y), f"Inputs, {width} x {height} pixels", 24)
    y += 46
    for index, (label, pixels) in enumerate(comparison.inputs):
        x = MARGIN + (index % per_row) * (small + GAP)
        top = y + index // per_row * (small_tall + LABEL + GAP)
        _paste(sheet, pixels, (x, top), (small, small_tall))
        _write(draw, (x, top + small_tall + 5), label, 18, SOFT, small)
    y += input_rows * (small_tall + LABEL + GAP)
    _write(draw, (MARGIN, y), "Results, and crops where they differ most", 24)
    y += 46
    for index, one in enumerate(comparison.results):
        x = MARGIN + (index % columns) * (cell + GAP)
        top = y + index // columns * one_result
        _write(draw, (x, top), one.name, 22, INK, cell // 2)
        facts = "   ".join(
            f"{name.replace('_', '-' if name == 'MEF_SSIM' else ' ')} {value:.3f}"
            for name, value in list(one.scores.items())[:2]
        )
        _write_right(draw, (x + cell, top + 3), facts, 17)
        top += LABEL
        _paste(sheet, one.pixels, (x, top), (cell, tall))
        _outline(draw, boxes, (x, top), cell / width)
        top += tall + 6
        for place, (box, colour) in enumerate(zip(boxes, in_colours(len(boxes)), strict=True)):
            at = (x + place * (crop_w + 6), top)
            part = one.pixels[box[1] : box[3], box[0] : box[2]]
            _paste(sheet, part, at, (crop_w, crop_h))
            draw.rectangle((*at, at[0] + crop_w - 1, at[1] + crop_h - 1), outline=colour, width=3)
        _histogram(draw, one.pixels, (x, top + crop_h + 6), (cell, HISTOGRAM))
    return np.asarray(sheet)


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _drawable(text: str) -> str:
    """Text in letters that Pillow's own font has: accents go, what it lacks becomes a question mark."""
    plain = unicodedata.normalize("NFKD", text).replace("×", "x")
    letters = (c for c in plain if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" else "?" for c in letters)


def _write(
    draw: ImageDraw,
    at: tuple[int, int],
    text: str,
    size: int,
    colour: tuple[int, int, int] = INK,
    room: int | None = None,
) -> None:
    """Text, shortened in its middle where there is not room for all of it."""
    font = _font(size)
    text = _drawable(text)
    whole = text
    keep = len(text)
    while room and draw.textlength(text, font=font) > room and keep > 4:
        keep -= 1
        text = whole[: keep // 2] + ".." + whole[-(keep // 2) :]
    draw.text(at, text, fill=colour, font=font)


def _write_right(draw: ImageDraw, at: tuple[int, int], text: str, size: int) -> None:
    font = _font(size)
    draw.text((at[0] - draw.textlength(text, font=font), at[1]), text, fill=SOFT, font=font)


def _paste(sheet: Image, pixels: NDArray[np.uint8], at: tuple[int, int], size: tuple[int, int]) -> None:
    import cv2
    from PIL import Image

    smaller = pixels.shape[1] > size[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    sheet.paste(Image.fromarray(cv2.resize(np.ascontiguousarray(pixels), size, interpolation=how)), at)


def _outline(draw: ImageDraw, boxes: Sequence[Box], at: tuple[int, int], scale: float) -> None:
    for box, colour in zip(boxes, in_colours(len(boxes)), strict=True):
        left, top, right, bottom = (round(v * scale) for v in box)
        draw.rectangle((at[0] + left, at[1] + top, at[0] + right, at[1] + bottom), outline=colour, width=3)


def _histogram(
    draw: ImageDraw, pixels: NDArray[np.uint8], at: tuple[int, int], size: tuple[int, int]
) -> None:
    shares = np.sqrt(histogram(pixels))
    top = max(float(shares[:, 1:-1].max()), 1e-6)
    draw.rectangle((*at, at[0] + size[0] - 1, at[1] + size[1]), outline=FRAME)
    for share, colour in zip(shares, ((214, 69, 61), (63, 154, 77), (65, 120, 212)), strict=True):
        points = [
            (
                at[0] + 2 + i * (size[0] - 4) / 63,
                at[1] + size[1] - 2 - min(float(s) / top, 1.0) * (size[1] - 6),
            )
            for i, s in enumerate(share)
        ]
        draw.line(points, fill=colour, width=2, joint="curve")
