"""A calm guess where the matcher is unsure.

Inside a region that lines enclose, colors are one or change slowly. Where the network is unsure it paints blocks;
there the region's surface stands in for them: the polynomial of place that fits best what was painted, weighed by how
sure that was (weighted least squares, as in the facet model of Haralick and Watson, "A facet model for image data",
Computer Graphics and Image Processing 15, 1981, with closed regions for facets).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from celpaint.conditions.regions import INK_THRESHOLD
from celpaint.types import Array

__all__ = ["calm"]

SURE = 4
"""Power of the confidence that a pixel's color weighs with in its region's surface."""

INKED = 1e-3
"""What a pixel of ink weighs there, against one of paint."""

FLAT = 0.002
"""Ridge: holds the slopes of regions so small that their pixels don't tell."""

ROUGH = 0.3
"""Deviation of what was painted from the surface, in [0, 1], from which the region counts as more than a surface."""

DOUBTED = (0.8, 0.95)
"""Confidence below the first counts for nothing; above the second it counts, though not in full."""

STEP = 2
"""Every how manyth pixel, along each side, a surface is fitted to."""


def calm(
    rgb: Array, confidence: Array, line: Array, regions: npt.NDArray[np.int64], copied: Array | float = 0.0
) -> Array:
    """What was painted, and where that is unsure the surfaces of the regions.

    Args:
        rgb: ``H W 3`` in [0, 1].
        confidence: ``H W`` in [0, 1].
        line: ``H W`` in [0, 1], 1 where ink; ink is left as painted.
        regions: ``H W`` from 0, ink given to the nearest.
        copied: ``H W`` in [0, 1], how much of a pixel is not painted but somebody's own: kept where it is sure.

    Returns:
        ``H W 3`` in [0, 1].
    """
    surface, rough = _surfaces(rgb, confidence, line, regions)
    low, high = DOUBTED
    sure = ((confidence - low) / (high - low)).clip(0, 1)
    doubt = np.maximum(1 - sure, np.sqrt(np.sqrt(1 - confidence))) * (1 - copied * sure)
    share = (doubt * np.exp(-rough[regions] / ROUGH**2) * (line < INK_THRESHOLD))[..., None]
    out: Array = (rgb + share * (surface - rgb)).clip(0, 1).astype(np.float32)
    return out


def _surfaces(rgb: Array, confidence: Array, line: Array, regions: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """The surfaces ``H W 3``, and by region how far what was painted is from them: its variance, infinite where no
    pixel told of it."""
    terms = _terms(regions.shape)
    count = int(regions.max()) + 1
    few = (slice(None, None, STEP), slice(None, None, STEP))
    number, paint, at = regions[few].ravel(), rgb[few].reshape(-1, 3), [term[few].ravel() for term in terms]
    weight = (confidence[few] ** SURE * np.where(line[few] < INK_THRESHOLD, 1, INKED)).ravel().astype(np.float64)

    def total(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        sums: npt.NDArray[np.float64] = np.bincount(number, weight * values, count).astype(np.float64, copy=False)
        return sums

    normal = np.empty((count, len(terms), len(terms)))
    right = np.empty((count, len(terms), 3))
    for i, one in enumerate(at):
        for j in range(i + 1):
            normal[:, i, j] = normal[:, j, i] = total(one * at[j])
        for channel in range(3):
            right[:, i, channel] = total(one * paint[:, channel])
    mass = normal[:, 0, 0].copy()
    normal += FLAT * mass[:, None, None] * np.diag([0.0] + [1.0] * (len(terms) - 1)) + 1e-9 * np.eye(len(terms))
    slopes = np.linalg.solve(normal, right).astype(np.float32)
    surface: Array = np.zeros_like(rgb)
    for i, term in enumerate(terms):
        surface += term[..., None] * slopes[regions, i]
    error = np.square(surface[few].reshape(-1, 3) - paint).mean(1)
    rough = np.divide(total(error), mass, out=np.full(count, np.inf), where=mass > 1e-6)
    return surface, rough.astype(np.float32)


def _terms(size: tuple[int, ...]) -> list[Array]:
    """1, x, y, x^2, xy, y^2 of every pixel, from the middle of the picture in units of its height: ``H W`` each."""
    height, width = size
    y: Array = np.broadcast_to(((np.arange(height) + 0.5) / height - 0.5)[:, None], size).astype(np.float32)
    x: Array = np.broadcast_to((np.arange(width) + 0.5 - width / 2) / height, size).astype(np.float32)
    one: Array = np.ones(size, np.float32)
    return [one, x, y, np.square(x), np.multiply(x, y), np.square(y)]
