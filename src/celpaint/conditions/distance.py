"""Lines -> distance to the nearest line."""

from __future__ import annotations

import cv2
import numpy as np

from celpaint.types import Array

__all__ = ["distance_map"]


def distance_map(line: Array) -> Array:
    """Euclidean distance of every pixel to the nearest ink, ``H W`` in pixels, 0 on ink.

    Args:
        line: ``H W`` in [0, 1]; ink is where it is 0.5 or more.

    Returns:
        Where there is no ink at all, the picture's diagonal everywhere: nothing is farther.
    """
    paper = (line < 0.5).astype(np.uint8)
    if paper.all():
        return np.full(line.shape, np.hypot(*line.shape), np.float32)
    distance = cv2.distanceTransform(paper, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Its last bits depend on where the arrays lie in memory. Squared distances are whole numbers.
    squared = np.rint(np.square(distance, dtype=np.float64))
    exact: Array = np.sqrt(squared).astype(np.float32)
    return exact
