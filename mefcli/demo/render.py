"""The room as a camera would see it: linear light (H, W, 3), 1.0 being a well lit white wall, no upper end.

A small ray caster: one ray through each pixel, and four more where things meet, so that edges are smooth.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mefcli.demo import paints
from mefcli.demo.light import irradiance, sky_share
from mefcli.demo.noise import Floats, colour, floats, fractal, step
from mefcli.demo.outside import view
from mefcli.demo.room import BACK, BARS_X, BARS_Y, CEILING, LEFT, RIGHT, WALL, WINDOW, things
from mefcli.demo.shapes import Thing, unit

EYE = floats([0.12, 1.42, -0.62])
HALF_WIDTH = 0.545  # tangent of half the angle of view: a 33 mm lens on a full frame
HORIZON = 0.115  # how far the picture's middle lies below the eye's level: verticals stay vertical
LOUD = 1.6  # edges: neighbours this much brighter or another thing
FINE = ((-0.3, -0.1), (0.1, -0.3), (0.3, 0.1), (-0.1, 0.3))

GRID_WIDTH = 480
FIRST = 10  # number of the first thing; smaller ones are the room's own sides
Ids = NDArray[np.int32]

WALLS = paints.plaster(216, 206, 188)
CEILING_PAINT = paints.plaster(232, 228, 220)
FRAME = colour(236, 232, 224)


def render(width: int = 1536, height: int = 1024) -> Floats:
    """The scene's radiance, float32 (height, width, 3)."""
    frame = Frame(width, height)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32).reshape(2, -1)
    light, ids = frame.trace(x, y)
    rough = _edges(light.reshape(height, width, 3), ids.reshape(height, width)).ravel()
    extra = np.zeros((int(rough.sum()), 3), np.float32)
    for dx, dy in FINE:
        extra += frame.trace(x[rough] + dx, y[rough] + dy)[0]
    light[rough] = extra / len(FINE)
    return light.reshape(height, width, 3)


def _edges(light: Floats, ids: Ids) -> NDArray[np.bool_]:
    """Pixels beside another thing, or beside a pixel much brighter or darker."""
    grey = np.log2(light.mean(axis=2) + 1e-3)
    rough = np.zeros(ids.shape, bool)
    for axis in (0, 1):
        jump = (np.diff(ids, axis=axis) != 0) | (np.abs(np.diff(grey, axis=axis)) > np.log2(LOUD))
        before, after = [slice(None)] * 2, [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        rough[tuple(before)] |= jump
        rough[tuple(after)] |= jump
    return rough


class Frame:
    """A picture of a given size, and the light of the sky on a coarse grid over it.

    Soft shadows are dear and smooth, so they are found on the grid; a pixel takes the mean of the 4 x 4 grid
    points about it that lie on the same thing.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.pixel = np.float32(2 * HALF_WIDTH / width)
        self.cell = max(1.0, width / GRID_WIDTH)
        columns, rows = (math.ceil(side / self.cell) + 4 for side in (width, height))
        j, i = np.mgrid[0:rows, 0:columns].astype(np.float32).reshape(2, -1)
        way, distance, ids = self._meet((i - 1.5) * self.cell, (j - 1.5) * self.cell)
        point = EYE + way * distance[:, None]
        normal = np.zeros_like(point)
        for number in np.unique(ids):
            here = ids == number
            normal[here] = _normal(int(number), point[here])
        self.columns = columns
        self.ids, self.distance = ids, distance
        self.sky = sky_share(point, normal, i, j)

    def trace(self, x: Floats, y: Floats) -> tuple[Floats, Ids]:
        way, distance, ids = self._meet(x, y)
        return _shade(way, distance, ids, self._sky_at(x, y, distance, ids), self.pixel), ids

    def _meet(self, x: Floats, y: Floats) -> tuple[Floats, Floats, Ids]:
        """What rays through pixels meet first: their ways, the distance, and which thing."""
        slope_x = (x - (self.width - 1) / 2) * self.pixel
        slope_y = ((self.height - 1) / 2 - y) * self.pixel - HORIZON
        way = unit(np.stack([slope_x, slope_y, np.ones_like(slope_x)], axis=1).astype(np.float32))
        distance, ids = _room(way)
        for number, thing in enumerate(things(), FIRST):
            rays = np.flatnonzero(_on_screen(thing, slope_x, slope_y))
            if len(rays) == 0:
                continue
            reach = thing.hit(EYE, way[rays])
            nearer = reach < distance[rays]
            distance[rays[nearer]] = reach[nearer]
            ids[rays[nearer]] = number
        return way, distance, ids

    def _sky_at(self, x: Floats, y: Floats, distance: Floats, ids: Ids) -> Floats:
        u, v = x / self.cell + 1.5, y / self.cell + 1.5
        i, j = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
        total, norm = np.zeros_like(x), np.zeros_like(x)
        for dj in range(-1, 3):
            for di in range(-1, 3):
                at = (j + dj) * self.columns + i + di
                near = np.abs(self.distance[at] - distance) < 0.12
                weight = (2.01 - abs(u - i - di)) * (2.01 - abs(v - j - dj))
                weight *= np.where((self.ids[at] == ids) & near, np.float32(1), np.float32(1e-4))
                total += weight * self.sky[at]
                norm += weight
        result: Floats = total / norm
        return result


def _on_screen(thing: Thing, slope_x: Floats, slope_y: Floats) -> NDArray[np.bool_]:
    """Rays that can meet the thing at all, by the box around it on the picture."""
    corners = np.array(
        [[(thing.low, thing.high)[i >> k & 1][k] for k in range(3)] for i in range(8)], np.float32
    )
    offset = corners - EYE
    if offset[:, 2].min() < 0.05:
        return np.ones(len(slope_x), bool)
    u, v = offset[:, 0] / offset[:, 2], offset[:, 1] / offset[:, 2]
    inside: NDArray[np.bool_] = (
        (slope_x >= u.min()) & (slope_x <= u.max()) & (slope_y >= v.min()) & (slope_y <= v.max())
    )
    return inside


def _room(way: Floats) -> tuple[Floats, Ids]:
    """Where rays leave the room: distance, and which side (0 floor, 1 ceiling, 2 left, 3 right, 4 back)."""
    limits = [(1, 0.0), (1, CEILING), (0, LEFT), (0, RIGHT), (2, BACK)]
    reach = np.stack([_plane(way, axis, place) for axis, place in limits])
    return reach.min(axis=0).astype(np.float32), reach.argmin(axis=0).astype(np.int32)


def _plane(way: Floats, axis: int, place: float) -> Floats:
    component = np.where(np.abs(way[:, axis]) < 1e-7, np.float32(1e-7), way[:, axis])
    distance = (np.float32(place) - EYE[axis]) / component
    result: Floats = np.where(distance > 0, distance, np.float32(1e9))
    return result


def _shade(way: Floats, distance: Floats, ids: Ids, sky: Floats, pixel: np.float32) -> Floats:
    point = EYE + way * distance[:, None]
    left, bottom, right, top = WINDOW
    x, y, _ = point.T
    opening = (ids == 4) & (x > left) & (x < right) & (y > bottom) & (y < top)
    light: Floats = np.zeros_like(point)
    light[opening] = _window(way[opening], float(pixel))
    for number in np.unique(ids[~opening]):
        here = np.flatnonzero((ids == number) & ~opening)
        where, towards = point[here], way[here]
        thing = things()[number - FIRST] if number >= FIRST else None
        normal = _normal(int(number), where)
        slant = np.maximum(0.12, np.abs((normal * towards).sum(axis=1)))
        footprint = (distance[here] * pixel / slant).astype(np.float32)
        paint = (
            thing.paint if thing else (paints.floorboards, CEILING_PAINT, WALLS, WALLS, WALLS)[int(number)]
        )
        albedo = paint(where, normal, footprint)
        light[here] = albedo * irradiance(where, normal, sky[here])
        gloss = thing.gloss if thing else (0.06 if number == 0 else 0.0)
        if gloss:
            light[here] += _sheen(where, normal, towards, gloss) * (
                1.0 if thing else ~paints.on_rug(where)[:, None]
            )
        if thing and thing.glow:
            light[here] += albedo * np.float32(thing.glow) * _shine(thing, where)[:, None]
    return light


def _normal(number: int, where: Floats) -> Floats:
    if number >= FIRST:
        return things()[number - FIRST].normal(where)
    facing = floats([[0, 1, 0], [0, -1, 0], [1, 0, 0], [-1, 0, 0], [0, 0, -1]])[number]
    return np.broadcast_to(facing, where.shape).astype(np.float32)


def _shine(thing: Thing, where: Floats) -> Floats:
    """A lamp shade is brightest about its bulb; a curtain lets in more light beside the window's middle."""
    middle = (thing.low[1] + thing.high[1]) / 2
    spread = (thing.high[1] - thing.low[1]) * 0.55
    result: Floats = np.exp(-(((where[:, 1] - middle) / spread) ** 2)).astype(np.float32)
    return result


def _sheen(point: Floats, normal: Floats, way: Floats, gloss: float) -> Floats:
    """The window's blurred reflection in varnish, glaze and polished boards."""
    cos = -(way * normal).sum(axis=1)
    mirror = way + 2 * cos[:, None] * normal
    travel = (BACK - point[:, 2]) / np.maximum(1e-3, mirror[:, 2])
    x, y = point[:, 0] + travel * mirror[:, 0], point[:, 1] + travel * mirror[:, 1]
    left, bottom, right, top = WINDOW
    blur = 0.04 + 0.16 * np.minimum(travel, 4.0)
    bumps = 0.25 * (fractal(point[:, 0] * 30, point[:, 2] * 4, 151, 2) - 0.5)
    share = (
        _soft(x - left + bumps, blur)
        * _soft(right - x - bumps, blur)
        * _soft(y - bottom, blur)
        * _soft(top - y, blur)
    )
    fresnel = gloss * (0.35 + 4.0 * (1 - np.clip(cos, 0, 1)) ** 4)
    result: Floats = (
        np.where(mirror[:, 2] > 0, share * fresnel, 0.0)[:, None].astype(np.float32)
        * colour(214, 228, 244)
        * np.float32(9.0)
    )
    return result


def _soft(inside: Floats, blur: Floats) -> Floats:
    return step(-1.0, 1.0, inside / blur)


def _window(way: Floats, pixel: float) -> Floats:
    """Through the opening: its white sides, the glazing bars, and the view."""
    distance = (BACK + WALL - EYE[2]) / way[:, 2]
    x, y = EYE[0] + distance * way[:, 0], EYE[1] + distance * way[:, 1]
    left, bottom, right, top = WINDOW
    light = view(way[:, 0] / way[:, 2], way[:, 1] / way[:, 2], pixel)
    deep = np.minimum(np.minimum(x - left, right - x), np.minimum(y - bottom, top - y))
    frame = deep < 0.055
    for bar in BARS_X:
        frame |= np.abs(x - bar) < 0.022
    for bar in BARS_Y:
        frame |= np.abs(y - bar) < 0.018
    paint = FRAME * (0.55 + 0.25 * fractal(x * 40, y * 12, 161, 2)[:, None]) * np.float32(0.9)
    light = np.where(frame[:, None], paint, light)
    side = deep < 0  # the embrasure, lit by the sky beside it
    glow = FRAME * np.float32(2.6) * (0.55 + 0.45 * step(-0.22, 0.0, deep))[:, None]
    result: Floats = np.where(side[:, None], glow, light).astype(np.float32)
    return result
