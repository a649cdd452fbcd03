"""Enlarging a picture along the edges of another.

Source: He & Sun, "Fast Guided Filter", 2015: in every small window the picture is a linear function of the guide; the
coefficients are found at the small size, and enlarged.
"""

from __future__ import annotations

import cv2
import numpy as np

from celpaint.frames.resize import resize
from celpaint.types import Array

__all__ = ["guided_enlarge"]


def guided_enlarge(picture: Array, guide: Array, *, radius: int = 2, smoothing: float = 1e-4) -> Array:
    """A small picture at the size of a guide, with edges where the guide has them.

    Args:
        picture: ``h w C`` float32.
        guide: ``H W`` float32, at least as large.
        radius: of the windows, in pixels of the small picture.
        smoothing: variance of the guide below which a window counts as flat.

    Returns:
        ``H W C`` float32; ``picture`` itself if it has that size already.
    """
    if picture.shape[:2] == guide.shape:
        return picture
    small = resize(guide, picture.shape[:2])

    def mean(x: Array) -> Array:
        found: Array = cv2.blur(x, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)
        return found.reshape(x.shape)

    middle, center = mean(small)[..., None], mean(picture)
    variance = mean(small * small)[..., None] - middle * middle
    steepness = np.maximum(variance, 0) + smoothing
    slope: Array = ((mean(small[..., None] * picture) - middle * center) / steepness).astype(np.float32)
    offset = mean(center - slope * middle)
    slope = mean(slope)
    large: Array = resize(slope, guide.shape) * guide[..., None] + resize(offset, guide.shape)
    return large
