"""Light in the room: sky through the window, a patch of sun, a lamp, and what the surfaces send back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mefcli.demo.noise import Floats, colour, floats, step
from mefcli.demo.room import BACK, BARS_X, BARS_Y, CEILING, LAMP, LEFT, RIGHT, WALL, WINDOW, things
from mefcli.demo.shapes import FAR, unit

SKY = colour(226, 238, 252) * 11.0
SUN = colour(255, 240, 214) * 34.0
SUN_WAY = unit(floats([0.36, -0.60, -0.72]))
BULB = colour(255, 206, 140) * 0.85
BOUNCE = colour(255, 222, 180) * 0.62
AMBIENT = colour(238, 230, 222) * 0.12
WINDOW_SAMPLES = (3, 3)
BAYER = floats([0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5])


def irradiance(point: Floats, normal: Floats, sky: Floats) -> Floats:
    """Light (n, 3) that falls on points which see the share `sky` (n,) of the window's light."""
    result: Floats = sky[:, None] * SKY + _sun(point, normal) + _lamp(point, normal) + _ambient(point, normal)
    return result


def sky_share(point: Floats, normal: Floats, columns: Floats, rows: Floats) -> Floats:
    """How much of the window's light reaches points, with soft shadows.

    Neighbouring points, told by their place in a grid, look at different points of the window; means over
    4 x 4 neighbours are smooth.
    """
    left, bottom, right, top = WINDOW
    across, down = WINDOW_SAMPLES
    area = (right - left) * (top - bottom) / (across * down)
    order = (columns.astype(np.int32) % 4) + 4 * (rows.astype(np.int32) % 4)
    scatter_x, scatter_y = (BAYER[order] + 0.5) / 16, (BAYER[(order * 5 + 3) % 16] + 0.5) / 16
    total = np.zeros(len(point), np.float32)
    for column in range(across):
        for row in range(down):
            x = left + (right - left) * (column + scatter_x) / across
            y = bottom + (top - bottom) * (row + scatter_y) / down
            way = np.stack([x, y, np.full_like(x, BACK)], axis=1).astype(np.float32) - point
            square = np.maximum(0.04, (way * way).sum(axis=1))
            way /= np.sqrt(square)[:, None]
            falls = np.maximum(0.0, (way * normal).sum(axis=1)) * np.maximum(0.0, way[:, 2])
            # The lower a point sees out, the more it sees of dim land rather than bright sky.
            share = falls * (0.55 + 0.45 * step(-0.1, 0.5, way[:, 1])) * np.float32(area / np.pi) / square
            lit = share > 1e-5
            lit[lit] = ~_blocked(point[lit] + 0.004 * normal[lit], way[lit])
            total += np.where(lit, share, 0.0)
    return total


def _blocked(origin: Floats, way: Floats) -> NDArray[np.bool_]:
    """Whether anything stands between points and the window."""
    left, bottom, right, top = WINDOW
    x, y, z = origin.T
    hidden = np.zeros(len(way), bool)
    for thing in things():
        if not thing.casts:
            continue
        (low_x, low_y, _), (high_x, high_y, high_z) = thing.low, thing.high
        could = (np.minimum(x, left) < high_x) & (np.maximum(x, right) > low_x) & (z < high_z) & ~hidden
        could &= (np.minimum(y, bottom) < high_y) & (np.maximum(y, top) > low_y)
        rays = np.flatnonzero(could)
        if len(rays):
            hidden[rays] = thing.hit(origin[rays], way[rays]) < FAR
    return hidden


def _sun(point: Floats, normal: Floats) -> Floats:
    towards = -SUN_WAY
    facing = np.maximum(0.0, normal @ towards)
    travel = (BACK + WALL - point[:, 2]) / towards[2]
    x, y = point[:, 0] + travel * towards[0], point[:, 1] + travel * towards[1]
    inner = (BACK - point[:, 2]) / towards[2]  # the embrasure cuts the beam too
    share = _through_glass(x, y) * _within(
        point[:, 0] + inner * towards[0], point[:, 1] + inner * towards[1], 0.008
    )
    lit = (facing > 0) & (share > 0) & (travel > 0)
    if lit.any():
        ways = np.broadcast_to(towards, (int(lit.sum()), 3)).astype(np.float32)
        lit[lit] = ~_blocked(point[lit] + 0.004 * normal[lit], ways)
    result: Floats = np.where(lit, facing * share, 0.0)[:, None].astype(np.float32) * SUN
    return result


def _within(x: Floats, y: Floats, soft: float) -> Floats:
    left, bottom, right, top = WINDOW
    inside = np.minimum(np.minimum(x - left, right - x), np.minimum(y - bottom, top - y))
    return step(-soft, soft, inside)


def _through_glass(x: Floats, y: Floats) -> Floats:
    share = _within(x, y, 0.012)
    for bar in BARS_X:
        share = share * step(0.016, 0.04, abs(x - bar))
    for bar in BARS_Y:
        share = share * step(0.012, 0.034, abs(y - bar))
    return share.astype(np.float32)


def _lamp(point: Floats, normal: Floats) -> Floats:
    way = floats(LAMP) - point
    square = (way * way).sum(axis=1)
    way = way / np.sqrt(np.maximum(1e-4, square))[:, None]
    facing = 0.25 + 0.75 * np.maximum(0.0, (way * normal).sum(axis=1))
    # Bright above and below, through the open ends of the shade; dim and warm through its cloth.
    cone = 0.28 + 1.5 * step(0.66, 0.84, abs(way[:, 1]))
    result: Floats = (facing * cone / np.maximum(0.03, square))[:, None].astype(np.float32) * BULB
    return result


def _ambient(point: Floats, normal: Floats) -> Floats:
    up = 0.5 + 0.5 * normal[:, 1]
    base = AMBIENT * (0.75 + 0.5 * up)[:, None]
    # The sunlit patch of floor is a light of its own.
    way = floats([0.05, 0.05, 3.0]) - point
    square = (way * way).sum(axis=1)
    facing = np.maximum(0.0, (way * normal).sum(axis=1) / np.sqrt(square))
    patch = (facing / (0.7 + square))[:, None] * BOUNCE
    x, y, z = point.T
    corners = np.ones(len(point), np.float32)
    for distance in (x - LEFT, RIGHT - x, y, CEILING - y, BACK - z):
        corners *= 1.0 - 0.38 * np.exp(-np.maximum(0.0, distance) / 0.16)
    # A surface is close to its own wall everywhere; take that constant out again.
    result: Floats = (
        (base + patch) * (corners / 0.62)[:, None].clip(0, 1.25) * _contact(point, normal)[:, None]
    )
    return result.astype(np.float32)


def _contact(point: Floats, normal: Floats) -> Floats:
    """Soft darkness on the floor, and on tables, beneath and beside what stands there."""
    shade = np.ones(len(point), np.float32)
    level = normal[:, 1] > 0.7
    where = point[level]
    if len(where):
        dark = np.ones(len(where), np.float32)
        for thing in things():
            if not thing.casts:
                continue
            dx = np.maximum(0, np.maximum(thing.low[0] - where[:, 0], where[:, 0] - thing.high[0]))
            dz = np.maximum(0, np.maximum(thing.low[2] - where[:, 2], where[:, 2] - thing.high[2]))
            gap = np.maximum(0.0, thing.low[1] - where[:, 1])
            above = where[:, 1] < thing.high[1] - 0.005
            near = np.exp(-np.sqrt(dx * dx + dz * dz) / (0.05 + 0.35 * gap)) / (1.0 + 3.0 * gap)
            dark *= np.where(above, 1.0 - 0.6 * near, 1.0)
        shade[level] = dark
    return shade
