"""A palette as a picture."""

from __future__ import annotations

import numpy as np

from celpaint.conditions.palette.value import Palette
from celpaint.types import Array

__all__ = ["swatch_picture"]


def swatch_picture(palette: Palette, size: tuple[int, int]) -> Array:
    """Upright bars of equal width, in the palette's order.

    Args:
        palette: the colors.
        size: (height, width) in pixels; a picture narrower than the palette has colors shows some of them only.

    Returns:
        ``H W 3`` in [0, 1].
    """
    height, width = size
    column = np.arange(width) * len(palette) // width
    picture: Array = np.repeat(palette.rgb[column][None], height, axis=0)
    return picture
