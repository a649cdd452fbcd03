"""Painted backgrounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.data.synthetic.colours import random_colour

if TYPE_CHECKING:
    from numpy import float32, int64

__all__ = ["KINDS", "paint"]

KINDS = {"flat": 0.1, "gradient": 0.12, "banded": 0.23, "painted": 0.2, "hills": 0.2, "rooms": 0.15}
"""Kinds of background => how often."""


def paint(
    rng: np.random.Generator, height: int, width: int, unit: int
) -> tuple[npt.NDArray[float32], npt.NDArray[int64]]:
    """A background, ``H W 3`` in [0, 1], and its regions, ``H W``, numbered from 1; ``unit`` pixels are a frame height."""
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    colours = random_colour(rng, 16)
    regions = np.ones((height, width), np.int64)
    if kind == "banded":
        field = (
            _noise(rng, height, width, unit, rng.uniform(1.5, 5))
            + rng.uniform(-1, 1) * np.linspace(-1.5, 1.5, height, dtype=np.float32)[:, None]
        )
        cuts = np.sort(rng.normal(0, 0.9, int(rng.integers(2, 7))))
        regions = 1 + np.digitize(field, cuts).astype(np.int64)
    elif kind == "hills":
        across = np.linspace(0, width / unit, width)
        horizon = rng.uniform(0.15, 0.5)
        for hill in range(int(rng.integers(1, 5))):
            ridge = _ridge(rng, across, rng.uniform(0.02, 0.15)) + horizon
            regions[np.arange(height)[:, None] > ridge * height] = 2 + hill
            horizon += rng.uniform(0.08, 0.25)
    elif kind == "rooms":
        regions = _rooms(rng, height, width)
    image = colours[(regions - 1) % 16]
    if kind == "gradient" or (kind != "flat" and rng.random() < 0.5):
        image = _shade(rng, image, regions if kind != "gradient" else np.ones_like(regions), height, width)
    if kind == "painted" or (kind in ("hills", "rooms", "banded") and rng.random() < 0.4):
        image = _brush(rng, image, height, width, unit, 1.0 if kind == "painted" else rng.uniform(0.1, 0.4))
    return image.clip(0, 1).astype(np.float32), regions


def _noise(rng: np.random.Generator, height: int, width: int, unit: int, cells: float) -> npt.NDArray[float32]:
    """Smooth noise of about unit variance, ``cells`` of it in a frame's height."""
    shape = (max(3, round(cells * height / unit) + 2), max(3, round(cells * width / unit) + 2))
    coarse = rng.standard_normal(shape).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32) * 1.3


def _ridge(rng: np.random.Generator, across: npt.NDArray[np.float64], size: float) -> npt.NDArray[np.float64]:
    ridge = np.zeros_like(across)
    for octave in range(4):
        ridge += size * 0.6**octave * np.sin(across * rng.uniform(1, 3) * 2**octave + rng.uniform(0, 6.28))
    if rng.random() < 0.3:
        ridge = np.round(ridge / size * 3) * size / 3
    return ridge


def _rooms(rng: np.random.Generator, height: int, width: int) -> npt.NDArray[int64]:
    """Walls, floors, windows, boards: overlapping straight-edged patches."""
    canvas = np.ones((height, width), np.int32)
    for patch in range(int(rng.integers(3, 14))):
        centre, half = rng.uniform(0, 1, 2), rng.uniform(0.04, 0.4, 2) * rng.uniform(0.4, 1)
        corners = centre + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        corners = corners + rng.normal(0, 0.03, (1 if rng.random() < 0.6 else 4, 2)) * np.array([1, 1])
        cv2.fillPoly(canvas, [np.round(corners * [width, height]).astype(np.int32)], int(2 + patch))
    if rng.random() < 0.5:
        canvas[int(rng.uniform(0.55, 0.85) * height) :] = 16
    return canvas.astype(np.int64)


def _shade(
    rng: np.random.Generator,
    image: npt.NDArray[float32],
    regions: npt.NDArray[int64],
    height: int,
    width: int,
) -> npt.NDArray[float32]:
    """A ramp to another colour within every region."""
    angles, goals = rng.uniform(-0.6, 0.6, 16) + np.pi / 2, random_colour(rng, 16)
    reach = rng.uniform(0.2, 0.9, 16).astype(np.float32)
    y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    which = (regions - 1) % 16
    ramp = (x * np.cos(angles)[which] + y * np.sin(angles)[which]).clip(0, 1).astype(np.float32) * reach[which]
    return image * (1 - ramp[..., None]) + goals[which] * ramp[..., None]


def _brush(
    rng: np.random.Generator, image: npt.NDArray[float32], height: int, width: int, unit: int, strength: float
) -> npt.NDArray[float32]:
    """Mottled paint: a few colours mixed by noise in several octaves."""
    goals = random_colour(rng, 2)
    for goal, cells in zip(goals, np.exp(rng.uniform(np.log(2), np.log(9), 2)), strict=True):
        field = _noise(rng, height, width, unit, cells)
        field += 0.5 * _noise(rng, height, width, unit, cells * 3)
        mix = (strength * 0.7 / (1 + np.exp(-2.5 * field))).astype(np.float32)[..., None]
        image = image * (1 - mix) + goal * mix
    fine = _noise(rng, height, width, unit, rng.uniform(20, 60)) + _noise(rng, height, width, unit, 15)
    return image * (1 + rng.uniform(0.01, 0.07) * strength * fine)[..., None]
