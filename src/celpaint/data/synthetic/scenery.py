"""Painted backgrounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.data.synthetic.colors import random_color

if TYPE_CHECKING:
    from numpy import float32, int64

__all__ = ["KINDS", "paint"]

KINDS = {"flat": 0.1, "gradient": 0.12, "banded": 0.14, "painted": 0.1, "hills": 0.2, "rooms": 0.18, "foliage": 0.16}
"""Kinds of background => how often."""

_COLORS = 16


def paint(
    rng: np.random.Generator, height: int, width: int, unit: int
) -> tuple[npt.NDArray[float32], npt.NDArray[int64]]:
    """A background and its regions.

    Args:
        unit: pixels that are a frame's height.

    Returns:
        ``H W 3`` in [0, 1], and ``H W`` numbers from 1.
    """
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    near = rng.random() if rng.random() < 0.6 else None
    colors = random_color(rng, _COLORS, near=near)
    regions = np.ones((height, width), np.int64)
    if kind == "banded":
        tilt = rng.uniform(-1, 1) * np.linspace(-1.5, 1.5, height, dtype=np.float32)[:, None]
        field = _noise(rng, height, width, unit, rng.uniform(1.0, 4)) + tilt
        regions = 1 + np.digitize(field, np.sort(rng.normal(0, 0.9, int(rng.integers(1, 6))))).astype(np.int64)
    elif kind == "hills":
        across = np.linspace(0, width / unit, width)
        horizon = rng.uniform(0.2, 0.5)
        for hill in range(int(rng.integers(1, 5))):
            ridge = _ridge(rng, across, rng.uniform(0.02, 0.15)) + horizon
            regions[np.arange(height)[:, None] > ridge * height] = 2 + hill
            horizon += rng.uniform(0.08, 0.25)
    elif kind == "rooms":
        regions = _rooms(rng, height, width)
    if kind == "foliage":
        image, regions = _foliage(rng, colors, height, width, unit)
    else:
        image = colors[(regions - 1) % _COLORS]
    if kind == "gradient" or (kind not in ("flat", "foliage") and rng.random() < 0.5):
        image = _shade(rng, image, np.ones_like(regions) if kind == "gradient" else regions, colors, height, width)
    if kind == "painted" or (kind in ("hills", "rooms", "banded") and rng.random() < 0.4):
        strength = rng.uniform(0.5, 1.0) if kind == "painted" else rng.uniform(0.1, 0.4)
        image = _brush(rng, image, colors, height, width, unit, strength)
    if rng.random() < 0.25:  # out of focus
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.004, 0.015) * unit), np.float32)
    return image.clip(0, 1).astype(np.float32), regions


def _foliage(
    rng: np.random.Generator, colors: npt.NDArray[float32], height: int, width: int, unit: int
) -> tuple[npt.NDArray[float32], npt.NDArray[int64]]:
    """Leaves, stones, clouds: many dabs of a few tones, layer over layer, each higher up in the light."""
    image = np.full((height, width, 3), colors[0], np.float32)
    regions = np.ones((height, width), np.int32)
    tone = colors[1] * 0.35
    layers = int(rng.integers(2, 5))
    top, sides = rng.uniform(-0.1, 0.6), int(rng.choice([0, 0, 3, 4, 7]))
    size = rng.uniform(0.02, 0.12) * unit
    for layer in range(layers):
        tone = tone + (colors[2] - tone) * rng.uniform(0.2, 0.6)
        for _ in range(int(rng.integers(15, 70))):
            x, y = rng.uniform(0, width), rng.uniform(min(top, 1.0), 1.1) * height
            radii, angle = size * rng.uniform(0.4, 1.6, 2), rng.uniform(0, 2 * np.pi)
            angles = np.sort(rng.uniform(0, 2 * np.pi, sides)) if sides else np.linspace(0, 2 * np.pi, 14)
            cos, sin = np.cos(angle), np.sin(angle)
            dab = (np.stack([np.cos(angles), np.sin(angles)], 1) * radii) @ np.array([[cos, sin], [-sin, cos]]) + [x, y]
            points = [np.round(dab * 16).astype(np.int32)]
            color = tone * rng.uniform(0.85, 1.15)
            cv2.fillPoly(image, points, color.tolist(), lineType=cv2.LINE_AA, shift=4)
            cv2.fillPoly(regions, points, 2 + layer, shift=4)
        top += rng.uniform(0.05, 0.3)
        size *= rng.uniform(0.6, 1.0)
    return image, regions.astype(np.int64)


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
        center, half = rng.uniform(0, 1, 2), rng.uniform(0.04, 0.4, 2) * rng.uniform(0.4, 1)
        corners = center + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        corners = corners + rng.normal(0, 0.03, (1 if rng.random() < 0.6 else 4, 2)) * np.array([1, 1])
        cv2.fillPoly(canvas, [np.round(corners * [width, height]).astype(np.int32)], int(2 + patch))
    if rng.random() < 0.5:
        canvas[int(rng.uniform(0.55, 0.85) * height) :] = 16
    return canvas.astype(np.int64)


def _shade(
    rng: np.random.Generator,
    image: npt.NDArray[float32],
    regions: npt.NDArray[int64],
    colors: npt.NDArray[float32],
    height: int,
    width: int,
) -> npt.NDArray[float32]:
    """A ramp to another color within every region."""
    angles, goals = rng.uniform(-0.6, 0.6, _COLORS) + np.pi / 2, rng.permutation(colors)
    reach = rng.uniform(0.2, 0.9, _COLORS).astype(np.float32)
    y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    which = (regions - 1) % _COLORS
    ramp = (x * np.cos(angles)[which] + y * np.sin(angles)[which]).clip(0, 1).astype(np.float32) * reach[which]
    shaded: npt.NDArray[float32] = image * (1 - ramp[..., None]) + goals[which] * ramp[..., None]
    return shaded


def _brush(
    rng: np.random.Generator,
    image: npt.NDArray[float32],
    colors: npt.NDArray[float32],
    height: int,
    width: int,
    unit: int,
    strength: float,
) -> npt.NDArray[float32]:
    """Mottled paint: a few colors mixed by noise in several octaves, and brush strokes along one direction."""
    for goal, cells in zip(colors[-2:], np.exp(rng.uniform(np.log(1), np.log(6), 2)), strict=True):
        field = _noise(rng, height, width, unit, cells)
        field += 0.4 * _noise(rng, height, width, unit, cells * 3)
        mix = (strength * 0.6 / (1 + np.exp(-2.5 * field))).astype(np.float32)[..., None]
        image = image * (1 - mix) + goal * mix
    fine = _noise(rng, height, width, unit, rng.uniform(20, 60)) + _noise(rng, height, width, unit, 15)
    if rng.random() < 0.5:
        size = max(3, round(0.06 * unit))
        kernel = np.zeros((size, size), np.float32)
        angle = rng.uniform(0, np.pi)
        reach = size / 2 * np.array([np.cos(angle), np.sin(angle)])
        ends = np.round(np.array([size / 2 - reach, size / 2 + reach])).astype(int)
        cv2.line(kernel, ends[0].tolist(), ends[1].tolist(), 1.0)
        fine = np.asarray(cv2.filter2D(fine, -1, kernel / kernel.sum()), np.float32) * 2
    brushed: npt.NDArray[float32] = image * (1 + rng.uniform(0.01, 0.06) * strength * fine)[..., None]
    return brushed
