"""What stands where in the room that the demo photographs."""

from __future__ import annotations

from functools import cache

from mefcli.demo import paints
from mefcli.demo.shapes import Thing

LEFT, RIGHT, CEILING, BACK, FRONT = -2.6, 2.6, 2.7, 5.0, -1.5
WINDOW = (-2.0, 0.72, 0.1, 2.38)  # left, bottom, right, top, in the back wall
WALL = 0.22  # its thickness
BARS_X, BARS_Y = (-1.3, -0.6), (1.62,)  # glazing bars
LAMP = (2.12, 1.34, 4.66)

OAK = ((118, 78, 46), (186, 136, 86))
WALNUT = ((54, 34, 24), (112, 74, 48))
PINE = ((150, 116, 76), (206, 170, 120))


@cache
def things() -> tuple[Thing, ...]:
    return (*_window(), *_cabinet(), *_table(), *_chair(), *_shelves())


def _window() -> list[Thing]:
    left, bottom, right, _ = WINDOW
    curtain = paints.folds(204, 184, 148)
    pot = [
        Thing((-0.42, 0.76, 4.80), (-0.24, 0.93, 4.98), paints.plain(176, 92, 62), "cylinder"),
        *(
            Thing((x - a, y - b, 4.84), (x + a, y + b, 4.93), paints.leaf, "ellipsoid")
            for x, y, a, b in (
                (-0.33, 1.05, 0.025, 0.14), (-0.41, 1.04, 0.05, 0.08), (-0.25, 1.05, 0.05, 0.075),
                (-0.46, 1.12, 0.045, 0.03), (-0.20, 1.14, 0.05, 0.03), (-0.38, 1.16, 0.022, 0.09),
                (-0.29, 1.19, 0.03, 0.075), (-0.33, 0.97, 0.11, 0.05),
            )
        ),
    ]  # fmt: skip
    return [
        Thing(
            (left - 0.1, bottom - 0.05, 4.76),
            (right + 0.1, bottom, 5.0),
            paints.plain(232, 228, 220),
            bevel=0.015,
        ),
        Thing((left - 0.44, 0.14, 4.80), (left + 0.02, 2.52, 4.90), curtain, glow=0.22),
        Thing((right - 0.02, 0.14, 4.80), (right + 0.44, 2.52, 4.90), curtain, glow=0.22),
        Thing((left - 0.5, 2.50, 4.83), (right + 0.5, 2.535, 4.865), paints.plain(48, 42, 38), bevel=0.01),
        *pot,
        # A radiator under the window.
        *(
            Thing((x, 0.16, 4.84), (x + 0.075, 0.62, 4.96), paints.plain(224, 220, 210), bevel=0.03)
            for x in (-1.8 + 0.085 * i for i in range(20))
        ),
    ]


def _cabinet() -> list[Thing]:
    x, _, z = LAMP
    picture = paints.painting((0.98, 1.28), (1.92, 2.02))
    teal, brass, shade = paints.glaze(92, 128, 132), paints.plain(160, 134, 84), paints.plain(246, 214, 158)
    row = []
    place = 1.0
    for seed, (width, tall) in enumerate(
        ((0.04, 0.24), (0.055, 0.21), (0.03, 0.27), (0.045, 0.22), (0.035, 0.25), (0.06, 0.2))
    ):
        row.append(
            Thing(
                (place, 0.78, 4.58), (place + width, 0.78 + tall, 4.78), paints.book(seed + 3, 2), bevel=0.006
            )
        )
        place += width + 0.002
    return [
        Thing((0.85, 0.08, 4.44), (2.45, 0.78, 4.98), paints.cabinet, bevel=0.008, gloss=0.025, casts=True),
        Thing((0.9, 0.0, 4.5), (2.4, 0.08, 4.95), paints.plain(30, 22, 18)),
        Thing((0.98, 1.28, 4.955), (1.92, 2.02, 4.995), picture, bevel=0.012),
        *row,
        Thing((1.40, 0.78, 4.60), (1.66, 0.99, 4.86), paints.glaze(226, 222, 210), "ellipsoid", gloss=0.12),
        Thing((x - 0.06, 0.78, z - 0.06), (x + 0.06, 0.81, z + 0.06), paints.plain(58, 52, 48), "cylinder"),
        Thing((x - 0.07, 0.80, z - 0.07), (x + 0.07, 1.06, z + 0.07), teal, "ellipsoid", gloss=0.1),
        Thing((x - 0.012, 1.0, z - 0.012), (x + 0.012, 1.2, z + 0.012), brass, "cylinder"),
        Thing((x - 0.19, 1.17, z - 0.19), (x + 0.19, 1.45, z + 0.19), shade, "cylinder", glow=6.5),
    ]  # fmt: skip


def _table() -> list[Thing]:
    oak, legs = paints.wood(*OAK), paints.wood(*WALNUT, along=1)
    orange = paints.fruit(232, 132, 36)
    return [
        Thing((-0.75, 0.385, 2.28), (0.55, 0.425, 3.02), oak, bevel=0.012, gloss=0.018, casts=True),
        *(
            Thing((x, 0.0, z), (x + 0.05, 0.385, z + 0.05), legs, bevel=0.008, casts=True)
            for x in (-0.72, 0.47)
            for z in (2.31, 2.94)
        ),
        Thing((-0.52, 0.425, 2.38), (-0.18, 0.437, 2.64), paints.open_book),
        Thing(
            (0.02, 0.41, 2.5),
            (0.36, 0.50, 2.84),
            paints.glaze(200, 206, 204),
            "ellipsoid",
            gloss=0.12,
            casts=True,
        ),
        Thing((0.08, 0.45, 2.56), (0.18, 0.55, 2.66), orange, "ellipsoid", gloss=0.04),
        Thing((0.18, 0.45, 2.60), (0.28, 0.55, 2.70), orange, "ellipsoid", gloss=0.04),
        Thing((0.11, 0.45, 2.67), (0.21, 0.55, 2.77), paints.fruit(196, 52, 40), "ellipsoid", gloss=0.05),
        Thing((0.16, 0.50, 2.63), (0.25, 0.59, 2.72), paints.fruit(150, 170, 52), "ellipsoid", gloss=0.05),
        Thing(
            (-0.08, 0.425, 2.40),
            (0.0, 0.525, 2.48),
            paints.glaze(230, 226, 216),
            "cylinder",
            gloss=0.06,
            casts=True,
        ),
    ]


def _chair() -> list[Thing]:
    blue, cushion = paints.cloth(62, 88, 106), paints.cloth(196, 138, 66, threads=520)
    feet = paints.wood(*WALNUT, along=1)
    return [
        Thing((1.18, 0.15, 2.55), (2.12, 0.44, 3.35), blue, bevel=0.06, casts=True),
        Thing((1.92, 0.2, 2.55), (2.22, 0.98, 3.35), blue, bevel=0.07, casts=True),
        Thing((1.16, 0.15, 2.36), (2.22, 0.62, 2.56), blue, bevel=0.07, casts=True),
        Thing((1.16, 0.15, 3.34), (2.22, 0.62, 3.54), blue, bevel=0.07, casts=True),
        Thing((1.22, 0.42, 2.57), (1.94, 0.53, 3.33), paints.cloth(70, 98, 116), bevel=0.05),
        Thing((1.70, 0.50, 2.66), (1.98, 0.96, 3.24), cushion, "ellipsoid"),
        *(Thing((x, 0.0, z), (x + 0.06, 0.16, z + 0.06), feet) for x in (1.2, 2.1) for z in (2.42, 3.42)),
    ]


def _shelves() -> list[Thing]:
    pine = paints.wood(*PINE, along=2)
    boards = [0.02, 0.40, 0.78, 1.16, 1.54, 1.92]
    shelf = [
        *(Thing((-2.58, y, 2.5), (-2.24, y + 0.026, 4.3), pine, bevel=0.006, casts=True) for y in boards),
        *(
            Thing((-2.58, 0.0, z), (-2.24, 1.946, z + 0.028), pine, bevel=0.006, casts=True)
            for z in (2.472, 3.386, 4.3)
        ),
    ]
    seed = 0
    for y in boards[:-1]:
        place = 2.52
        while place < 4.22:
            seed += 1
            width = 0.028 + 0.032 * ((seed * 37) % 11) / 10
            tall = 0.20 + 0.13 * ((seed * 53) % 13) / 12
            deep = 0.05 + 0.06 * ((seed * 29) % 7) / 6
            empty = (seed * 41) % 17 == 0
            if not empty and not (place + width > 3.36 and place < 3.42):
                shelf.append(
                    Thing(
                        (-2.56, y + 0.026, place),
                        (-2.24 - deep, y + 0.026 + tall, place + width),
                        paints.book(seed, 0),
                        bevel=0.005,
                    )
                )
            place += width + (0.1 if empty else 0.002)
    shelf.append(
        Thing((-2.48, 1.946, 2.8), (-2.26, 2.16, 3.02), paints.glaze(214, 206, 190), "ellipsoid", gloss=0.1)
    )
    return shelf
