"""Where the figure of a picture is: in line art by what lines enclose, in a painting by what reaches the border.

Both are rules of thumb, which know nothing of characters. Where they fail, a mask has to be given.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.conditions.regions import grow_regions, label_regions
from celpaint.frames.oklab import srgb_to_oklab
from celpaint.frames.resize import resize
from celpaint.types import Array

__all__ = ["drawn_figure", "painted_figure"]

Mask = npt.NDArray[np.bool_]

_TOUCHING = 0.25
"""Pixels of the border that a region of the background touches, as a share of the square root of its area."""

_SIDES_SEEN = 0.67
"""How far down the left and right border counts in line art: below, they cut through figures."""

_JOINED = 0.05
"""Area of a part, as a share of the largest part's, from which it belongs to the figure."""

_SMALLEST, _LARGEST = 0.005, 0.98
"""Areas of a figure, as shares of the picture."""

_SEEN_AT = 160
"""Longest side, in pixels, at which a painting is judged."""

_COLORS = 12
"""Colors that a painting is reduced to."""


def drawn_figure(line: Array) -> Array:
    """The figure in line art: every region that lines enclose, joined with its neighbors.

    A region that touches the top or side borders at some length is background. The bottom border and the lowest third
    of the sides cut through figures, so they do not count. Small parts apart from the largest are left out.

    Args:
        line: ``H W`` in [0, 1], 1 = ink.

    Returns:
        ``H W``, 1 in the figure, 0 elsewhere; 0 everywhere where lines enclose nothing.
    """
    regions = grow_regions(label_regions(line))
    return _checked(_large_parts(~_outside(regions, _SIDES_SEEN)[regions]))


def painted_figure(rgb: Array) -> Array:
    """The figure in a painting: the largest part whose colors do not reach the border.

    The picture is reduced to a few colors. Connected areas of one color that touch the top, left or right border at
    some length are background; the largest of what is left is the figure, holes included. Backgrounds with much
    detail away from the border mislead it.

    Args:
        rgb: ``H W 3`` in [0, 1].

    Returns:
        ``H W``, 1 in the figure, 0 elsewhere; 0 everywhere where none is found.
    """
    scale = min(_SEEN_AT / max(rgb.shape[:2]), 1)
    height, width = (max(round(side * scale), 1) for side in rgb.shape[:2])
    areas = _color_areas(resize(rgb, (height, width)))
    apart = (~_outside(areas)[areas]).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    largest = _large_parts(cv2.morphologyEx(apart, cv2.MORPH_OPEN, disc) > 0, share=1)
    found = _checked(_without_holes(largest))
    full: Array = cv2.resize(found, rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return (full > 0.5).astype(np.float32)


def _color_areas(rgb: Array) -> npt.NDArray[np.int32]:
    """``H W`` numbers of connected areas of one color."""
    from sklearn.cluster import KMeans

    lab = srgb_to_oklab(rgb)
    colors = np.unique(lab.reshape(-1, 3), axis=0)
    means = KMeans(min(_COLORS, len(colors)), n_init=1, random_state=0).fit(lab.reshape(-1, 3))
    label = means.labels_.reshape(rgb.shape[:2])
    areas = np.zeros(rgb.shape[:2], np.int32)
    for color in range(int(label.max()) + 1):
        _, parts = cv2.connectedComponents((label == color).astype(np.uint8), connectivity=4)
        areas[parts > 0] = parts[parts > 0] + areas.max()
    return areas


def _outside(regions: npt.NDArray[np.int32], sides: float = 1.0) -> Mask:
    """For every region, whether it touches the top border or this share of the side borders at some length."""
    count, upper = int(regions.max()) + 1, round(sides * len(regions))
    border = np.concatenate([regions[0], regions[:upper, 0], regions[:upper, -1]])
    area = np.bincount(regions.ravel(), minlength=count)
    touched: Mask = np.bincount(border, minlength=count) > _TOUCHING * np.sqrt(area)
    return touched


def _large_parts(mask: Mask, share: float = _JOINED) -> Mask:
    """The connected parts that have at least this share of the largest one's area."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count == 1:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    large: Mask = (areas >= share * areas.max()) & (areas > 0)
    kept: Mask = large[parts]
    return kept


def _without_holes(mask: Mask) -> Mask:
    """The mask and all that it surrounds."""
    _, parts = cv2.connectedComponents((~np.pad(mask, 1)).astype(np.uint8), connectivity=4)
    filled: Mask = parts[1:-1, 1:-1] != parts[0, 0]
    return filled


def _checked(mask: Mask) -> Array:
    """The mask as numbers; nothing where it is too small or too large to be a figure."""
    area = float(mask.mean())
    return (mask & (_SMALLEST <= area <= _LARGEST)).astype(np.float32)
