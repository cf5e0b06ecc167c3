"""What the surfaces look like up close: wood, plaster, cloth, books, paper, and a picture in a frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mefcli.demo.noise import Floats, colour, fractal, hashed, mix, noise, step
from mefcli.demo.shapes import Paint


def _cells(x: Floats) -> tuple[NDArray[np.int32], Floats]:
    whole = np.floor(x)
    return whole.astype(np.int32), (x - whole).astype(np.float32)


def plain(*rgb: float, rough: float = 0.06) -> Paint:
    tint = colour(*rgb)

    def paint(p: Floats, n: Floats, f: Floats) -> Floats:
        grain = fractal(p[:, 0] * 22 + p[:, 2] * 9, p[:, 1] * 22 + p[:, 2] * 17, 2, 3, f * 22)
        return tint[None] * (1.0 + rough * (grain - 0.5) * 2)[:, None]

    return paint


def plaster(*rgb: float) -> Paint:
    tint = colour(*rgb)

    def paint(p: Floats, n: Floats, f: Floats) -> Floats:
        u, v = p[:, 0] + p[:, 2], p[:, 1]
        stains = fractal(u * 1.3, v * 1.3, 61, 3)
        bumps = fractal(u * 45, v * 45, 62, 3, f * 45)
        return tint[None] * (0.93 + 0.07 * stains + 0.09 * (bumps - 0.5))[:, None]

    return paint


def floorboards(p: Floats, n: Floats, f: Floats) -> Floats:
    """Oak boards along z, with a woven rug on them."""
    board, across = _cells(p[:, 0] / 0.145)
    length, along = _cells(p[:, 2] / 1.15 + hashed(board, board * 0, 3))
    tone = hashed(board, length, 71)
    rings = fractal(p[:, 0] * 26 + 9 * tone, p[:, 2] * 1.7 + 13 * tone, 72, 4, f * 22)
    streaks = fractal(p[:, 0] * 190, p[:, 2] * 6 + 31 * tone, 74, 2, f * 150)
    wood = mix(colour(126, 82, 48), colour(196, 146, 94), np.clip(0.15 + 0.5 * rings + 0.45 * tone, 0, 1))
    wood *= (0.80 + 0.4 * streaks * step(0.3, 0.6, rings))[:, None]
    gap = (across < 0.022) | (along < 0.004)
    wood = np.where(gap[:, None], wood * 0.35, wood)
    return _rug(wood, p, f)


def _on_rug_units(p: Floats) -> tuple[Floats, Floats]:
    return (p[:, 0] + 0.1) / 1.35, (p[:, 2] - 2.75) / 1.0


def on_rug(p: Floats) -> NDArray[np.bool_]:
    u, v = _on_rug_units(p)
    inside: NDArray[np.bool_] = (abs(u) < 1) & (abs(v) < 1)
    return inside


def _rug(floor: Floats, p: Floats, f: Floats) -> Floats:
    u, v = _on_rug_units(p)
    inside = on_rug(p)
    edge = np.minimum((1 - abs(u)) * 1.35, (1 - abs(v)) * 1.0)
    lozenge = (abs((u * 5) % 1 - 0.5) + abs((v * 4) % 1 - 0.5)).astype(np.float32)
    ground = mix(colour(128, 58, 50), colour(58, 68, 92), step(0.42, 0.46, lozenge))
    ground = mix(ground, colour(202, 184, 148), step(0.2, 0.16, lozenge))
    border = mix(colour(58, 68, 92), colour(206, 188, 152), step(0.35, 0.4, abs((edge * 22) % 1 - 0.5)))
    ground = np.where((edge < 0.13)[:, None], border, ground)
    weave = 0.5 + 0.25 * np.sin(p[:, 0] * 700) * np.sin(p[:, 2] * 700) * np.clip(1.5 - 220 * f, 0, 1)
    pile = fractal(p[:, 0] * 120, p[:, 2] * 120, 81, 3, f * 120)
    ground = ground * (0.45 + 0.6 * weave + 0.9 * (pile - 0.5))[:, None]
    return np.where(inside[:, None], ground, floor).astype(np.float32)


def wood(dark: tuple[int, int, int], light: tuple[int, int, int], along: int = 0) -> Paint:
    """Planed wood whose grain runs along one axis."""
    low, high = colour(*dark), colour(*light)

    def paint(p: Floats, n: Floats, f: Floats) -> Floats:
        a, b = p[:, along] * 2.2, (p.sum(axis=1) - p[:, along]) * 30
        grain = fractal(b, a, 91, 4, f * 30)
        rings = 0.5 + 0.5 * np.sin(b * 1.1 + 7 * fractal(b * 0.1, a, 92, 2))
        return mix(low, high, np.clip(0.65 * grain + 0.3 * rings, 0, 1).astype(np.float32))

    return paint


def cloth(*rgb: float, threads: float = 420.0) -> Paint:
    tint = colour(*rgb)

    def paint(p: Floats, n: Floats, f: Floats) -> Floats:
        u, v = p[:, 0] + 0.6 * p[:, 2], p[:, 1] + 0.8 * p[:, 2]
        weave = np.sin(u * threads) * np.sin(v * threads) * np.clip(1.6 - threads * 0.9 * f, 0, 1)
        wear = fractal(u * 14, v * 14, 101, 4, f * 14)
        result: Floats = (tint[None] * (0.84 + 0.12 * weave + 0.44 * (wear - 0.35))[:, None]).astype(
            np.float32
        )
        return result

    return paint


def folds(*rgb: float) -> Paint:
    """A curtain: cloth whose folds run down."""
    tint = colour(*rgb)

    def paint(p: Floats, n: Floats, f: Floats) -> Floats:
        sway = p[:, 0] + 0.012 * np.sin(p[:, 1] * 2.1)
        fold = 0.5 + 0.5 * np.sin(sway * 62 + 2.0 * noise(sway * 7, p[:, 1] * 0.7, 111))
        threads = fractal(p[:, 0] * 300, p[:, 1] * 300, 112, 2, f * 300)
        hem = np.where(p[:, 1] < 0.26, 0.82, 1.0)
        result: Floats = (tint[None] * ((0.35 + 0.65 * fold) * (0.9 + 0.2 * threads) * hem)[:, None]).astype(
            np.float32
        )
        return result

    return paint


def book(seed: int, axis: int) -> Paint:
    """A spine with a label and gilt lines; `axis` is the way the spine faces."""
    tints = (
        (122, 38, 36), (36, 58, 92), (44, 80, 58), (190, 166, 112), (72, 44, 70), (204, 196, 178),
        (30, 34, 40), (176, 96, 44), (96, 116, 128), (146, 130, 60), (60, 92, 108), (150, 60, 74),
    )  # fmt: skip
    tint, gilt = colour(*tints[seed % len(tints)]), colour(214, 180, 96)
    label = colour(232, 222, 196) if seed % 3 == 0 else tint * 0.45

    def paint(p: Floats, n: Floats, f: Floats) -> Floats:
        height = p[:, 1]
        base = np.float32(0.2 + 0.1 * (seed % 5))
        _, part = _cells(height * 3.1 + base)
        lines = (abs(part - 0.2) < 0.018) | (abs(part - 0.86) < 0.018)
        tag = (part > 0.55) & (part < 0.8)
        writing = (
            tag
            & (abs((part * 22) % 1 - 0.5) < 0.22)
            & (noise(p[:, 2] * 260 + p[:, 0] * 260, height * 9, seed) > 0.4)
        )
        cover = (
            tint[None]
            * (0.82 + 0.36 * fractal(p[:, 2] * 60 + p[:, 0] * 60, height * 60, seed, 3, f * 60))[:, None]
        )
        cover = np.where(tag[:, None], label, cover)
        cover = np.where(writing[:, None], colour(40, 34, 30) if seed % 3 == 0 else gilt, cover)
        cover = np.where(lines[:, None], gilt, cover)
        pages = colour(228, 216, 190) * (0.7 + 0.3 * noise(p[:, 2] * 500, p[:, 0] * 500, 5))[:, None]
        return np.where((np.abs(n[:, axis]) > 0.5)[:, None], cover, pages).astype(np.float32)

    return paint


def painting(low: tuple[float, float], high: tuple[float, float]) -> Paint:
    """A framed picture: patches of colour in the manner of a town on a hill."""
    hues = np.stack(
        [
            colour(*rgb)
            for rgb in (
                (196, 62, 48), (226, 148, 58), (236, 206, 112), (96, 142, 92), (58, 110, 140), (44, 62, 112),
                (132, 84, 132), (222, 186, 170), (238, 232, 214), (160, 106, 66), (206, 98, 96),
                (88, 160, 168),
            )
        ]
    )  # fmt: skip

    def paint(p: Floats, n: Floats, f: Floats) -> Floats:
        u = (p[:, 0] - low[0]) / (high[0] - low[0])
        v = (p[:, 1] - low[1]) / (high[1] - low[1])
        bend_u = u * 9 + 0.35 * (noise(u * 4, v * 4, 121) - 0.5)
        bend_v = v * 7 + 0.5 * (noise(u * 3, v * 3, 122) - 0.5) + 0.6 * np.sin(u * 3.0)
        column, x = _cells(bend_u)
        row, y = _cells(bend_v)
        hue = hues[(hashed(column, row, 123) * len(hues)).astype(np.int32)]
        shade = 0.55 + 0.5 * v + 0.5 * (fractal(u * 60, v * 22, 124, 3, f * 60) - 0.5)
        canvas = hue * shade[:, None]
        seam = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y))
        canvas = np.where((seam < 0.035)[:, None], colour(46, 40, 38), canvas)
        sun = (u - 0.74) ** 2 * 1.6 + (v - 0.8) ** 2 < 0.012
        canvas = np.where(sun[:, None], colour(248, 196, 72), canvas)
        margin = np.minimum(np.minimum(u, 1 - u) * 1.28, np.minimum(v, 1 - v))
        canvas = np.where((margin < 0.12)[:, None], colour(236, 230, 216), canvas)
        frame = colour(86, 56, 34) * (0.7 + 0.6 * fractal(u * 30, v * 30, 125, 3))[:, None]
        canvas = np.where((margin < 0.055)[:, None], frame, canvas)
        return canvas.astype(np.float32)

    return paint


def cabinet(p: Floats, n: Floats, f: Floats) -> Floats:
    """Walnut with three doors and brass knobs."""
    body = wood((62, 38, 24), (128, 84, 52))(p, n, f)
    door, x = _cells((p[:, 0] - 0.85) / 0.5334)
    gap = (np.minimum(x, 1 - x) < 0.012) | (abs(p[:, 1] - 0.12) < 0.006) | (abs(p[:, 1] - 0.73) < 0.006)
    front = n[:, 2] < -0.5
    body = np.where((gap & front)[:, None], body * 0.25, body)
    knob = (p[:, 0] - 0.85 - 0.5334 * (door + 0.9)) ** 2 + (p[:, 1] - 0.46) ** 2 < 0.016**2
    return np.where((knob & front)[:, None], colour(214, 176, 98), body).astype(np.float32)


def open_book(p: Floats, n: Floats, f: Floats) -> Floats:
    """Two pages of print."""
    _, x = _cells((p[:, 0] + 0.52) / 0.17)
    row, y = _cells((p[:, 2] - 2.38) / 0.0125)
    text = (
        (y > 0.35)
        & (y < 0.75)
        & (x > 0.12)
        & (x < 0.88)
        & (hashed(row, (p[:, 0] * 130).astype(np.int32), 7) > 0.22)
    )
    text &= (p[:, 2] > 2.41) & (p[:, 2] < 2.62)
    paper = colour(240, 234, 218) * (0.9 + 0.1 * step(0.0, 0.16, np.minimum(x, 1 - x)))[:, None]
    ink = np.clip(1.4 - 90 * f, 0.25, 1.0) * text
    return mix(paper.astype(np.float32), colour(46, 42, 40), ink.astype(np.float32))


def leaf(p: Floats, n: Floats, f: Floats) -> Floats:
    return mix(
        colour(38, 74, 34),
        colour(104, 146, 62),
        fractal(p[:, 0] * 60, p[:, 1] * 60 + p[:, 2] * 30, 131, 3, f * 60),
    )


def fruit(*rgb: float) -> Paint:
    tint = colour(*rgb)

    def paint(p: Floats, n: Floats, f: Floats) -> Floats:
        pores = fractal(p[:, 0] * 260, p[:, 1] * 260 + p[:, 2] * 200, 141, 2, f * 260)
        return tint[None] * (0.75 + 0.5 * pores)[:, None]

    return paint


def glaze(*rgb: float) -> Paint:
    """Pottery with a painted band."""
    tint, band = colour(*rgb), colour(36, 66, 112)

    def paint(p: Floats, n: Floats, f: Floats) -> Floats:
        stripes = abs((p[:, 1] * 34) % 1 - 0.5) < 0.14
        return np.where(
            stripes[:, None], band, tint * (0.92 + 0.16 * noise(p[:, 0] * 40, p[:, 1] * 40, 6))[:, None]
        ).astype(np.float32)

    return paint
