"""Drawn effects: smoke, rain, waves, speed lines, sparks. Each draws on a cel at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from celpaint.data.scripted.raster import Paint, closed, place, tube

if TYPE_CHECKING:
    from celpaint.data.scripted.raster import Cel, Floats

__all__ = ["EFFECTS", "rain", "smoke", "sparks", "speed_lines", "waves"]

EFFECTS = {
    "smoke": Paint((0.86, 0.86, 0.88), (0.64, 0.64, 0.7), (0.35, 0.35, 0.42)),
    "rain": Paint((0.78, 0.84, 0.95), (0.6, 0.7, 0.85), (0.78, 0.84, 0.95)),
    "foam": Paint((0.96, 0.98, 1.0), (0.78, 0.88, 0.95), (0.3, 0.5, 0.65)),
    "water": Paint((0.22, 0.56, 0.74), (0.14, 0.42, 0.62), (0.1, 0.26, 0.42)),
    "streak": Paint((0.98, 0.98, 0.98), (0.9, 0.9, 0.9), (0.95, 0.95, 0.95)),
    "spark": Paint((1.0, 0.93, 0.62), (1.0, 0.7, 0.3), (1.0, 0.8, 0.4)),
}
"""Paint of effects, under these names in a shot's palette."""


def smoke(cel: Cel, view: Floats, time: float, *, x: float, y: float, rise: float, size: float, seed: int) -> None:
    """Puffs that are born at ``(x, y)``, rise, grow and dissolve; ``rise`` frame heights in a second."""
    rng = np.random.default_rng((seed, 21))
    angles = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    for puff in range(34):
        born, drift, turn = 2.0 * puff - 24, rng.normal(0, 0.14), rng.uniform(0, 6.28)
        uneven = rng.uniform(0.85, 1.18, 10)
        age = (time - born) / 24
        if not 0 < age < 2.2:
            continue
        radius = size * (0.35 + 0.8 * age**0.7) * min(1.0, 3.2 - 1.4 * age)
        center = np.array([x + drift * (0.3 + age) + 0.03 * np.sin(4 * age + turn), y - rise * age])
        outline = np.stack([np.cos(angles + turn + 0.4 * age), np.sin(angles + turn + 0.4 * age)], 1)
        shape = closed(outline * (radius * uneven)[:, None] + center, 5)
        cel.fill(place(view, shape), "smoke", outline=0.003, shade=(-0.25 * radius, -0.3 * radius))


def rain(cel: Cel, view: Floats, time: float, *, count: int, slant: float, seed: int) -> None:
    """Streaks that fall through the frame, others in every drawing."""
    rng = np.random.default_rng((seed, int(time), 22))
    for _ in range(count):
        x, y, long = rng.uniform(-1.1, 1.1), rng.uniform(-0.6, 0.5), rng.uniform(0.06, 0.2)
        spine = np.array([[x, y], [x + slant * long, y + long]])
        cel.fill(tube(spine, np.array([0.0008, 0.0018])), "rain")


def waves(cel: Cel, view: Floats, time: float, *, level: float, seed: int) -> None:
    """Water that swells before the figures: two crests with foam."""
    rng = np.random.default_rng((seed, 23))
    x = np.linspace(-1.6, 1.6, 90)
    for number in range(2):
        phase, pace = rng.uniform(0, 6.28, 3), rng.uniform(0.1, 0.2, 3)
        swell = sum(
            0.022 * 0.6**k * np.sin(x * (3 + 3.1 * k) + phase[k] - pace[k] * time * (1 if number else -1))
            for k in range(3)
        )
        crest = level + 0.09 * number + 0.03 * np.sin(0.13 * time + phase[0]) + swell
        body = np.concatenate([np.stack([x, crest], 1), [[1.6, 1.2], [-1.6, 1.2]]])
        cel.fill(place(view, body), "water", outline=0.003, shade=(0.0, 0.018))
        foam = np.concatenate(
            [
                np.stack([x, crest + 0.002], 1),
                np.stack([x, crest + 0.014 + 0.008 * np.sin(17 * x + 0.3 * time)], 1)[::-1],
            ]
        )
        cel.fill(place(view, foam), "foam")


def speed_lines(cel: Cel, view: Floats, time: float, *, count: int, seed: int) -> None:
    """Streaks that race past, others in every drawing."""
    rng = np.random.default_rng((seed, int(time), 24))
    for _ in range(count):
        x, y, long = rng.uniform(-1.2, 0.9), rng.uniform(-0.5, 0.5), rng.uniform(0.15, 0.6)
        cel.fill(
            tube(np.array([[x, y], [x + long / 2, y], [x + long, y]]), np.array([0.0005, 0.003, 0.0005])), "streak"
        )


def sparks(cel: Cel, view: Floats, time: float, *, count: int, seed: int) -> None:
    """Small lights that drift upward."""
    rng = np.random.default_rng((seed, 25))
    for _ in range(count):
        x, y, pace, phase = rng.uniform(-1, 1), rng.uniform(-0.7, 0.9), rng.uniform(0.002, 0.008), rng.uniform(0, 6.28)
        size = rng.uniform(0.004, 0.011)
        at = np.array([x + 0.03 * np.sin(0.12 * time + phase), (y - pace * time + 0.7) % 1.5 - 0.7])
        star = np.array([[0, -1], [0.3, -0.3], [1, 0], [0.3, 0.3], [0, 1], [-0.3, 0.3], [-1, 0], [-0.3, -0.3]])
        cel.fill(place(view, star * size + at), "spark")
