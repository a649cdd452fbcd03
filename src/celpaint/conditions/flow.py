"""Optical flow between drawings, and pictures moved along it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.conditions.distance import distance_map
from celpaint.frames.color import Pixels, quantize
from celpaint.types import Array

__all__ = ["flow_between", "line_flow", "slopes", "warp"]

REACH = 0.1
"""Distance from a line beyond which nothing slopes any more, in the picture's longer side."""


def slopes(line: Array) -> Pixels:
    """What flow is estimated on: distance maps, which have a slope where lines alone are flat.

    Args:
        line: ``H W`` in [0, 1].

    Returns:
        ``H W`` uint8.
    """
    return quantize(np.minimum(distance_map(line) / (REACH * max(line.shape)), 1), 8)


def flow_between(here: Pixels, there: Pixels) -> Array:
    """Where each pixel of one drawing lies in another: ``H W 2`` float32, (dx, dy) in pixels.

    Dense inverse search (Kroeger et al., ECCV 2016) as in OpenCV, medium preset.

    Args:
        here, there: their :func:`slopes`.
    """
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(estimator.calc(here, there, None), np.float32)


def line_flow(here: Array, there: Array) -> Array:
    """The same of line maps ``H W``."""
    return flow_between(slopes(here), slopes(there))


def warp(picture: npt.NDArray[np.float32], flow: Array) -> Array:
    """``picture`` seen from the other frame: pixel p takes the value at p + flow(p), bilinear, edges continued."""
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32)[None] + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    warped: Array = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return warped
