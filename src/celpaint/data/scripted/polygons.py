"""Filling polygons in integers: the same pixels with any version of any library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from numpy import int64, uint8

__all__ = ["UNIT", "coverage", "covered", "disc", "grown"]

UNIT = 16
"""Fixed-point coordinates a pixel."""

_FINE = 4
"""Samples along the side of a pixel, for :func:`coverage`."""


def covered(points: npt.NDArray[int64], height: int, width: int) -> npt.NDArray[uint8]:
    """1 at every pixel whose center is inside a closed polygon (even-odd rule), exactly.

    Args:
        points: ``N 2`` corners (x, y) in 1 / :data:`UNIT` pixels; a pixel's center has whole coordinates.

    Returns:
        ``height width``.
    """
    x0, y0 = points[:, 0].astype(np.int64), points[:, 1].astype(np.int64)
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    down = y0 > y1
    x0, x1 = np.where(down, x1, x0), np.where(down, x0, x1)
    y0, y1 = np.where(down, y1, y0), np.where(down, y0, y1)
    first = (-(-y0 // UNIT)).clip(0, height)  # rows whose center an edge crosses, its upper end included
    count = (-(-y1 // UNIT)).clip(0, height) - first
    toggles = np.zeros((height, width + 1), np.uint8)
    edges = np.repeat(np.arange(len(points)), count)
    row = np.arange(len(edges)) - np.repeat(np.cumsum(count) - count, count) + first[edges]
    rise = y1[edges] - y0[edges]
    along = x0[edges] * rise + (row * UNIT - y0[edges]) * (x1[edges] - x0[edges])
    column = (-(-along // (rise * UNIT))).clip(0, width)
    np.bitwise_xor.at(toggles, (row, column), np.uint8(1))
    inside: npt.NDArray[uint8] = np.bitwise_xor.accumulate(toggles[:, :-1], axis=1)
    return inside


def coverage(points: npt.NDArray[int64], height: int, width: int) -> npt.NDArray[uint8]:
    """How much of every pixel a polygon covers, by 4 x 4 samples, 255 = all; arguments as of :func:`covered`."""
    fine = points * _FINE + (_FINE - 1) * UNIT // 2
    samples = covered(fine, height * _FINE, width * _FINE)
    total = np.zeros((height, width), np.uint16)
    for i in range(_FINE):
        for j in range(_FINE):
            total += samples[i::_FINE, j::_FINE]
    return (total * 255 // _FINE**2).astype(np.uint8)


def disc(diameter: int) -> npt.NDArray[uint8]:
    """A disc as a structuring element, 1 inside."""
    at = np.arange(diameter) * 2 - (diameter - 1)
    return (at[:, None] ** 2 + at[None] ** 2 <= diameter**2).astype(np.uint8)


def grown(mask: npt.NDArray[uint8], shape: npt.NDArray[uint8]) -> npt.NDArray[uint8]:
    """Dilation of a mask of 0 and 1 by a small structuring element, its middle rounded down."""
    h, w = mask.shape
    up, left = (side // 2 for side in shape.shape)
    padded = np.pad(mask, ((up, shape.shape[0] - 1 - up), (left, shape.shape[1] - 1 - left)))
    wide = np.zeros_like(mask)
    for i, j in zip(*np.nonzero(shape), strict=True):
        np.maximum(wide, padded[i : i + h, j : j + w], out=wide)
    return wide
