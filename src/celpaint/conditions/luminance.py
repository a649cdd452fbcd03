"""Gray footage: what is gray in a frame, whether it has color, and color that keeps a given luminance.

Luminance here is luma, Y': the weighted sum of the gamma-coded channels, as television and film scans have it. Frames
are in full range, [0, 1]; limited range and bit depth have been undone where they were read.
"""

from __future__ import annotations

import numpy as np

from celpaint.types import Array

__all__ = ["BT601", "BT709", "Weights", "gray", "has_color", "luminance", "with_luminance"]

Weights = tuple[float, float, float]
"""What red, green and blue contribute to luma; their sum is 1."""

BT601: Weights = (0.299, 0.587, 0.114)
"""ITU-R BT.601, section 2.5.1: standard-definition television, and what most programs call grayscale."""

BT709: Weights = (0.2126, 0.7152, 0.0722)
"""ITU-R BT.709, section 3: high-definition television."""

COLOR_TOLERANCE = 8 / 255
"""Channels that differ by no more are gray: video compression leaves as much in gray footage."""

COLOR_SHARE = 0.001
"""A frame has color if more than this share of its pixels has."""


def luminance(rgb: Array, weights: Weights = BT601) -> Array:
    """``... 3`` in [0, 1] -> ``...`` in [0, 1]; of gray pixels exactly their value."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    luma: Array = green + np.float32(weights[0]) * (red - green) + np.float32(weights[2]) * (blue - green)
    return luma


def gray(rgb: Array, weights: Weights = BT601) -> Array:
    """``... 3`` -> ``... 3`` with three equal channels."""
    return np.repeat(luminance(rgb, weights)[..., None], 3, axis=-1)


def has_color(rgb: Array) -> bool:
    """Whether a frame ``H W 3`` is more than gray: more than 0.1 % of its pixels have channels that differ by more
    than 8 levels of 255. Tinted film, such as sepia, has color."""
    spread = rgb.max(-1) - rgb.min(-1)
    return bool((spread > COLOR_TOLERANCE).mean() > COLOR_SHARE)


def with_luminance(rgb: Array, luma: Array, weights: Weights = BT601) -> Array:
    """The colors of one picture with the luminance of another.

    Every pixel becomes ``luma + s * (rgb - luminance(rgb))``, whose luminance is ``luma`` for any s. s is 1 where that
    is a color, else the largest at which it is one: the pixel keeps its hue and becomes less saturated; nothing is
    clipped.

    Args:
        rgb: ``... 3`` in [0, 1], the colors.
        luma: ``...`` in [0, 1], the luminance to have.
        weights: by which luminance is measured.

    Returns:
        ``... 3`` in [0, 1]. Its :func:`luminance` is ``luma`` up to float32 rounding. Stored as integers, each channel
        rounded by itself, its luminance is off by at most half a level: the weights' sum is 1, and so ``luma`` that was
        an integer is found again by rounding.
    """
    chroma = rgb - luminance(rgb, weights)[..., None]
    room_up, room_down = (1 - luma)[..., None], luma[..., None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        most = np.where(chroma > 0, room_up / chroma, np.where(chroma < 0, room_down / -chroma, np.inf))
    scale = np.minimum(most.min(-1, keepdims=True), 1)
    colored: Array = np.clip(luma[..., None] + scale * chroma, 0, 1).astype(np.float32)
    return colored
