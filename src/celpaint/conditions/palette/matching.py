"""Colors of a picture and colors of a palette: how far apart, and which for which. All distances are in OKLab."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from celpaint.conditions.palette.value import Palette, similar_groups
from celpaint.frames.oklab import srgb_to_oklab
from celpaint.types import Array

__all__ = ["PaletteDistance", "assigned", "nearest", "palette_distance", "snapped"]

Indices = npt.NDArray[np.int64]

CHUNK = 1 << 18
"""Colors compared at a time, so that memory stays bounded."""


class PaletteDistance(NamedTuple):
    """How well a picture and a palette agree, in OKLab, where black and white are 1 apart.

    Attributes:
        to_palette: mean distance of the pixels to the nearest color of the palette: foreign colors.
        to_picture: mean distance of the palette's colors to the nearest pixel: colors not used.
    """

    to_palette: float
    to_picture: float


def palette_distance(rgb: Array, palette: Palette) -> PaletteDistance:
    """The distance both ways.

    Args:
        rgb: ``... 3`` in [0, 1], at least one color: a picture, or a whole clip.
        palette: the colors asked for.

    Raises:
        ValueError: no pixel.
    """
    pixels = rgb.reshape(-1, 3)
    if not len(pixels):
        raise ValueError("no pixels, wanted at least one")
    total, unused = 0.0, np.full(len(palette), np.inf)
    for start in range(0, len(pixels), CHUNK):
        distance = _distances(pixels[start : start + CHUNK], palette)
        total += float(distance.min(1).sum(dtype=np.float64))
        unused = np.minimum(unused, distance.min(0))
    return PaletteDistance(total / len(pixels), float(unused.mean()))


def nearest(rgb: Array, palette: Palette) -> Indices:
    """``... 3`` colors -> ``...`` indices of the palette's nearest colors; the earlier one where two are as near."""
    pixels = rgb.reshape(-1, 3)
    chunks = [
        _distances(pixels[start : start + CHUNK], palette).argmin(1) for start in range(0, len(pixels), CHUNK)
    ] or [np.empty(0, np.int64)]
    return np.concatenate(chunks).reshape(rgb.shape[:-1])


def assigned(rgb: Array, palette: Palette) -> Indices:
    """Different colors for different fills: ``N 3`` fill colors -> ``N`` indices into the palette.

    Of all one-to-one assignments, that with the smallest sum of squared distances (Kuhn 1955). Where a palette has as
    many colors as the fills, shifting all of it, for example to darker colors, changes nothing about who gets which.
    Of more fills than colors, the most similar ones are merged first and share a color, so that every color is used.
    """
    if not len(rgb):
        return np.empty(0, np.int64)
    from scipy.optimize import linear_sum_assignment

    lab, wanted = srgb_to_oklab(rgb), srgb_to_oklab(palette.rgb)
    group = similar_groups(lab, len(palette))
    members = [lab[group == label] for label in range(group.max() + 1)]
    means = np.stack([rows.mean(0) for rows in members])
    squared = np.square(means[:, None] - wanted).sum(-1) * np.array([len(rows) for rows in members])[:, None]
    _, color = linear_sum_assignment(squared)
    chosen: Indices = color[group]
    return chosen


def snapped(rgb: Array, palette: Palette) -> Array:
    """``... 3`` colors -> ``... 3``, each replaced by the palette's nearest."""
    colors: Array = palette.rgb[nearest(rgb, palette)]
    return colors


def _distances(pixels: Array, palette: Palette) -> Array:
    """``N 3`` and P colors -> ``N P``."""
    lab, wanted = srgb_to_oklab(pixels), srgb_to_oklab(palette.rgb)
    distance: Array = np.sqrt(np.square(lab[:, None] - wanted).sum(-1))
    return distance
