"""Transparency carried over like color: what a painting shows as paper is paper in other drawings too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from celpaint.methods.matcher.flat_fill import STRIDE, Found
from celpaint.types import Array

__all__ = ["propagate_alpha"]

_WHOLE = 0.75
"""Share of a region's votes from which all of it is opaque, or all of it transparent."""

_EVEN = 0.1
"""Deviation of alpha below which a region has one alpha, whatever it is."""


def propagate_alpha(alphas: Sequence[Array], found: Sequence[Found], regions: npt.NDArray[np.int64]) -> Array:
    """The transparency of a drawing's fills.

    Every pixel takes the alpha of the place it is found at; where most of a closed region agrees, all of it does.

    Args:
        alphas: ``h w`` in [0, 1] of all known drawings, at the working size.
        found: where the drawing's pixels are found there, see :class:`~celpaint.methods.matcher.flat_fill.Found`.
        regions: ``h w``, the closed region of every pixel.

    Returns:
        ``h w`` in [0, 1].
    """
    height, width = regions.shape
    pad = [(0, -height % STRIDE), (0, -width % STRIDE)]
    tall = np.concatenate([np.pad(alpha, pad, mode="edge") for alpha in alphas])
    total, squares, weight = (np.zeros(regions.shape) for _ in range(3))
    for each in found:
        rows = np.clip(each.y.astype(int), 0, tall.shape[0] - 1)
        columns = np.clip(each.x.astype(int), 0, tall.shape[1] - 1)
        alpha, vote = tall[rows, columns], each.weight + 1e-6
        total += alpha * vote
        squares += alpha**2 * vote
        weight += vote
    numbers = regions.ravel()
    votes = np.maximum(np.bincount(numbers, weight.ravel()), 1e-12)
    mean, square = (np.bincount(numbers, x.ravel()) / votes for x in (total, squares))
    even = square - mean**2 < _EVEN**2  # glass and shadow are partly transparent all over
    level = np.where(even & (np.abs(mean - 0.5) < 0.45), mean, np.round(mean))
    agreed = even | (np.maximum(mean, 1 - mean) >= _WHOLE)
    return np.where(agreed[regions], level[regions], total / weight).astype(np.float32)
