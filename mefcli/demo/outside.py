"""The view from the window: sky with clouds, hills, a wood, a field and a few houses, in bright daylight."""

from __future__ import annotations

import numpy as np

from mefcli.demo.noise import Floats, colour, fractal, mix, noise, step

# In units of the indoor wall lit by the window: a summer noon outside a room.
BRIGHTNESS = 17.0


def view(azimuth: Floats, height: Floats, footprint: float) -> Floats:
    """Radiance (n, 3) towards slopes `azimuth` (x/z) and `height` (y/z above the horizon)."""
    picture = _sky(azimuth, height)
    for layer, (base, size, rough, tint, seed) in enumerate(
        (
            (0.045, 0.05, 3.0, colour(126, 152, 178), 3),
            (0.022, 0.05, 5.0, colour(88, 122, 118), 9),
            (-0.012, 0.035, 8.0, colour(70, 100, 62), 14),
        )
    ):
        ridge = base + size * (fractal(azimuth * rough + 11 * layer, azimuth * 0 + seed, seed, 5) - 0.35)
        land = _woods(azimuth, height, tint, seed, footprint, near=layer / 2)
        picture = mix(picture, land, step(-0.0015, 0.0015, ridge - height))
    field = _field(azimuth, height, footprint)
    picture = mix(
        picture, field, step(-0.001, 0.001, -0.03 + 0.012 * noise(azimuth * 6, azimuth * 0, 5) - height)
    )
    picture = _houses(picture, azimuth, height, footprint)
    picture = _tree(picture, azimuth, height, footprint)
    result: Floats = picture * np.float32(BRIGHTNESS)
    return result


def _sky(azimuth: Floats, height: Floats) -> Floats:
    blue = mix(colour(198, 219, 238), colour(70, 128, 204), step(0.0, 0.42, height)) * 0.9
    flat = 1.0 / (height + 0.22)
    shape = fractal(azimuth * flat * 1.15 + 3.1, flat * 2.3, 21, 6)
    cover = step(0.47, 0.64, shape)
    lit = fractal(azimuth * flat * 1.15 + 3.25, flat * 2.3 - 0.12, 21, 5)
    cloud = mix(colour(255, 252, 246), colour(176, 186, 202), step(0.42, 0.72, lit)) * 1.25
    return mix(blue, cloud, cover * step(0.0, 0.08, height) * 0.95)


def _woods(azimuth: Floats, height: Floats, tint: Floats, seed: int, footprint: float, near: float) -> Floats:
    scale = 60.0 + 40 * (1 - near)
    crowns = fractal(azimuth * scale, height * scale * 1.3, seed + 1, 4, footprint * scale)
    light = 0.62 + (0.35 + 0.5 * near) * (crowns - 0.42)
    result: Floats = tint[None] * light[:, None] * np.float32(0.85)
    return result


def _field(azimuth: Floats, height: Floats, footprint: float) -> Floats:
    depth = 1.0 / np.maximum(0.012, -height)
    rows = 0.5 + 0.5 * np.sin(azimuth * depth * 3.0 + depth * 0.55)
    grass = fractal(azimuth * 180, height * 420, 33, 3, footprint * 200)
    meadow = mix(
        colour(126, 156, 74), colour(168, 178, 92), rows * 0.5 + 0.4 * fractal(azimuth * 9, height * 40, 8)
    )
    result: Floats = meadow * (0.6 + 0.5 * grass)[:, None]
    return result


def _houses(picture: Floats, azimuth: Floats, height: Floats, footprint: float) -> Floats:
    for x, base, width, tall, wall, roof in (
        (-0.335, -0.033, 0.036, 0.036, colour(236, 226, 206), colour(168, 74, 52)),
        (-0.275, -0.036, 0.03, 0.042, colour(214, 196, 170), colour(140, 66, 50)),
        (-0.225, -0.034, 0.04, 0.032, colour(240, 236, 226), colour(120, 84, 74)),
    ):
        u = (azimuth - x) / width
        v = (height - base) / tall
        inside = (abs(u) < 0.5) & (v > 0) & (v < 0.62)
        bars = (abs((u * 4) % 1 - 0.5) < 0.2) & (abs(v - 0.33) < 0.14)
        face = np.where(bars[:, None], colour(70, 84, 100), wall) * np.where(u > 0.18, 0.72, 1.0)[:, None]
        picture = np.where(inside[:, None], face, picture)
        top = (v >= 0.62) & (v < 1.0) & (abs(u) < 0.56 * (1.0 - (v - 0.62) / 0.5))
        tiles = roof * (0.8 + 0.3 * noise(u * 26, v * 30, 4))[:, None]
        picture = np.where(top[:, None], tiles, picture)
    return picture.astype(np.float32)


def _tree(picture: Floats, azimuth: Floats, height: Floats, footprint: float) -> Floats:
    """One tree near the window, with leaves against the sky."""
    u, v = azimuth + 0.055, height - 0.09
    edge = fractal(azimuth * 28, height * 28, 51, 5, footprint * 28)
    crown = 1.0 - np.sqrt((u / 0.072) ** 2 + (v / 0.105) ** 2) + 1.1 * (edge - 0.5)
    leaves = fractal(azimuth * 95, height * 95, 57, 4, footprint * 95)
    shade = 0.35 + 0.75 * leaves + 0.9 * (v * 2.0 - u * 1.5)
    green = mix(colour(34, 58, 26), colour(132, 160, 66), np.clip(shade, 0, 1))
    trunk = (
        (abs(u - 0.004 * np.sin(height * 40)) < 0.0055 + 0.004 * step(0.0, -0.09, height))
        & (v < 0)
        & (height > -0.06)
    )
    picture = np.where(trunk[:, None], colour(74, 60, 46) * (0.5 + 0.6 * leaves)[:, None], picture)
    return mix(
        picture.astype(np.float32), green, step(0.05, 0.16, crown) * step(0.30, 0.38, leaves + 0.25 * crown)
    )
