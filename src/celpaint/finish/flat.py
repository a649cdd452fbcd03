"""Flat cels: one palette colour a region."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.conditions.regions import label_regions
from celpaint.finish._fill import take_nearest
from celpaint.types import Array

__all__ = ["fill_regions"]


def fill_regions(rgb: Array, line: Array, palette: Array, labels: npt.NDArray[np.int32] | None = None) -> Array:
    """Every closed region in exactly one colour of the palette.

    Each pixel votes for the palette colour nearest to its own, with its distance from the line (at most 8 pixels) as
    weight: what lies beside a line is often mixed with it. Line pixels take the colour of the nearest region.

    Args:
        rgb: ``H W 3`` in [0, 1].
        line: ``H W`` in [0, 1], 1 = ink.
        palette: ``K 3`` in [0, 1].
        labels: ``H W`` region of every pixel, 0 on lines; None finds them (:mod:`celpaint.conditions.regions`).

    Returns:
        ``H W 3``, every pixel bit for bit one of the palette's colours.

    Raises:
        ValueError: the palette is empty.
    """
    if not len(palette):
        raise ValueError("fill_regions wants at least one palette colour")
    palette = palette.astype(np.float32)
    if labels is None:
        labels = label_regions(line)
    barrier = labels == 0
    choice = _nearest(rgb, palette)
    if barrier.all():
        return palette[choice]
    distance = cv2.distanceTransform((~barrier).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    votes = np.bincount(
        (labels.astype(np.int64) * len(palette) + choice).ravel(),
        weights=np.minimum(distance, 8).ravel(),
        minlength=(int(labels.max()) + 1) * len(palette),
    ).reshape(-1, len(palette))
    filled = palette[votes.argmax(axis=1)[labels]]
    return take_nearest(filled, barrier) if barrier.any() else filled


def _nearest(rgb: Array, palette: Array) -> npt.NDArray[np.intp]:
    """``H W``: which palette colour is nearest; |a - b|^2 = |a|^2 - 2 a b + |b|^2, of which |a|^2 decides nothing."""
    squares = (palette**2).sum(axis=1)
    choice = np.empty(rgb.shape[:2], np.intp)
    for row, colours in enumerate(rgb):  # row by row: H W K distances would not fit in memory
        choice[row] = np.argmin(squares - 2 * colours @ palette.T, axis=1)
    return choice
