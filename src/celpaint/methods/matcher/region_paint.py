"""The color that each region of a painting has.

A clean painting repeats one value all over a region, and that value is taken bit for bit. Compression, resampling,
dithering and noise leave no such value: there the painting is averaged over a few pixels, and a region has the color
that most of its inner pixels are near (the mode of a kernel density).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from celpaint.conditions.regions import Labels
from celpaint.types import Array

__all__ = ["RegionPaint", "make_palette", "read_paint"]

Flags = npt.NDArray[np.bool_]

INNER = 3.0
"""Pixels from ink at which a pixel surely shows paint alone; in small regions, six tenths of the deepest."""

SHALLOW = 1.5
"""Depth in pixels up to which a region shows paint mixed with ink alone, unless a value repeats."""

LEAST_AREA = 4
"""Pixels below which such a region shows no color of its own."""

NEAR = 12 / 255
"""Colors that count as one where none repeats, in any channel."""

BLUR = 5
"""Pixels that dithering and noise are averaged over."""

VISIBLE = 8 / 255
"""Difference in any channel from which a pixel differs visibly from its region's color."""

OTHER = 20 / 255
"""Difference in any channel from which a pixel has another color than its region."""

LOOKED_AT = 256
"""Pixels of a region that the mode is taken over."""

SAME, MOST_SAME = 3 / 255, 8 / 255
"""What two regions' colors may differ by and still be one paint, where they had to be inferred: at least, at most."""


@dataclass(frozen=True)
class RegionPaint:
    """What a painting shows in its regions; all that is listed by region begins with number 0, ink.

    Attributes:
        color: ``N+1 3`` in [0, 1].
        exact: ``N+1``, where the color is a value that the region repeats.
        mixed: ``N+1``, where the region is so shallow that its color is that of paint mixed with ink.
        ink: ``3``, of the lines.
        area: ``N+1`` in pixels.
        uneven: share of inner pixels that differ visibly from their region's color, fine noise averaged.
        leaked: share of inner pixels that clearly have another color than their region.
        noise: mean distance of inner pixels from their region's color, in the painting as a whole.
    """

    color: Array
    exact: Flags
    mixed: Flags
    ink: Array
    area: npt.NDArray[np.int64]
    uneven: float
    leaked: float
    noise: float


def read_paint(rgb: Array, labels: Labels) -> RegionPaint:
    """The color of every region.

    Args:
        rgb: the painting, ``H W 3``.
        labels: ``H W``, its regions from 1 on; 0 where ink.
    """
    count = int(labels.max()) + 1
    depth = cv2.distanceTransform((labels > 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    deepest = np.zeros(count, np.float32)
    np.maximum.at(deepest, labels.ravel(), depth.ravel())
    inner = (labels > 0) & (depth >= np.minimum(INNER, 0.6 * deepest)[labels])
    color, exact = np.zeros((count, 3), np.float32), np.zeros(count, bool)
    calm = _averaged(rgb, inner)
    where = np.flatnonzero(inner.ravel())
    where = where[np.argsort(labels.ravel()[where], kind="stable")]
    edges = np.searchsorted(labels.ravel()[where], np.arange(count + 1))
    steady = _steady(rgb).ravel()
    clean = steady[where].mean() > 0.5 if len(where) else False
    pixels, averaged = rgb.reshape(-1, 3), calm.reshape(-1, 3)
    codes = np.round(pixels.astype(np.float64) * 65535).astype(np.int64) @ np.array([1 << 32, 1 << 16, 1])
    ink = np.median(rgb[labels == 0], axis=0) if (labels == 0).any() else np.zeros(3, np.float32)
    color[0] = _mode(pixels)
    far, off, seen = 0.0, np.zeros(2), 0
    for number in range(1, count):
        own = where[edges[number] : edges[number + 1]]
        if not len(own):
            continue
        _, first, times = np.unique(codes[own], return_index=True, return_counts=True)
        exact[number] = times.max() * 2 > len(own) and (
            steady[own].mean() > 0.5 or (clean and deepest[number] <= INNER)
        )
        if exact[number]:
            color[number] = pixels[own[first[times.argmax()]]]
        elif deepest[number] > SHALLOW:
            color[number] = _mode(averaged[own])
        else:
            color[number] = pixels[own[np.abs(pixels[own] - ink).max(1).argmax()]]
        far += float(np.abs(pixels[own] - color[number]).max(1).sum())
        apart = np.abs(averaged[own] - color[number]).max(1)
        off += (apart > VISIBLE).sum(), (apart > OTHER).sum()
        seen += len(own)
    seen = max(seen, 1)
    uneven, leaked = (off / seen).tolist()
    area = np.bincount(labels.ravel(), minlength=count)
    return RegionPaint(color, exact, ~exact & (deepest <= SHALLOW), ink, area, uneven, leaked, far / seen)


def make_palette(paints: Sequence[RegionPaint]) -> tuple[Array, list[npt.NDArray[np.int64]]]:
    """The paints that several paintings use.

    Exact values are kept apart. Inferred colors that differ by no more than their painting's noise become one, that of
    the largest region. A color mixed with ink is that of the paint it may be mixed of, if there is such a paint.

    Returns:
        ``K 3``, at least one, and for each painting ``N+1``: the number in it of every region's color.
    """
    palette: list[Array] = []
    numbers = [np.zeros(len(paint.area), np.int64) for paint in paints]
    regions = [(k, n) for k, paint in enumerate(paints) for n in range(1, len(paint.area))]
    regions.sort(key=lambda at: _rank(paints[at[0]], at[1]))
    for k, n in regions:
        numbers[k][n] = _known(np.array(palette, np.float32).reshape(-1, 3), paints[k], n)
        if numbers[k][n] == len(palette):
            palette.append(paints[k].color[n])
    if not palette:
        palette.append(paints[0].color[0])
    return np.array(palette, np.float32), numbers


def _rank(paint: RegionPaint, region: int) -> tuple[bool, bool, int]:
    """Regions that tell most of their paint come first."""
    return not paint.exact[region], bool(paint.mixed[region]), -int(paint.area[region])


def _known(palette: Array, paint: RegionPaint, region: int) -> int:
    """The number of a region's color; the next one if it is new."""
    color = paint.color[region]
    if not len(palette):
        return 0
    if paint.mixed[region]:
        pure, mixed = palette - paint.ink, color - paint.ink
        share = np.clip((pure @ mixed) / np.maximum((pure**2).sum(1), 1e-6), 0, 1)
        off = np.abs(share[:, None] * pure - mixed).max(1)
        allowed = OTHER if paint.area[region] >= LEAST_AREA else np.inf
    else:
        off = np.abs(palette - color).max(1)
        allowed = 0 if paint.exact[region] else float(np.clip(2 * paint.noise, SAME, MOST_SAME))
    return int(off.argmin()) if off.min() <= allowed else len(palette)


def _averaged(rgb: Array, inner: Flags) -> Array:
    """``H W 3``: the mean of the inner pixels around every pixel."""
    weight = inner.astype(np.float32)
    total = cv2.boxFilter(rgb * weight[..., None], -1, (BLUR, BLUR), normalize=False)
    count = cv2.boxFilter(weight, -1, (BLUR, BLUR), normalize=False)
    mean: Array = total / np.maximum(count, 1)[..., None]
    return mean


def _steady(rgb: Array) -> Flags:
    """``H W``: where a pixel has the value of all four neighbors."""
    same = np.ones(rgb.shape[:2], bool)
    for axis in (0, 1):
        equal = (np.diff(rgb, axis=axis) == 0).all(-1)
        before, after = [(slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None))]
        same[before] &= equal
        same[after] &= equal
    return same


def _mode(colors: Array) -> Array:
    """``N 3`` -> ``3``, in 8-bit steps: the mean of those near the color that most are near."""
    some = colors[np.linspace(0, len(colors) - 1, min(len(colors), LOOKED_AT)).astype(int)]
    near = cdist(some, some, "chebyshev") < NEAR
    members = some[near[near.sum(1).argmax()]]
    mode: Array = (np.round(members.mean(0) * 255) / 255).astype(np.float32)
    return mode
