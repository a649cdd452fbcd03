"""sRGB to OKLab and back: a color space in which equal distances look about equally large.

Source: Ottosson, "A perceptual color space for image processing", 2020 (the matrices of the 2021 update).
"""

from __future__ import annotations

import numpy as np

from celpaint.types import Array

__all__ = ["linear_to_srgb", "oklab_to_srgb", "srgb_to_linear", "srgb_to_oklab"]

_LINEAR_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LMS_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def srgb_to_linear(rgb: Array) -> Array:
    """sRGB-coded values in [0, 1] -> linear light in [0, 1] (IEC 61966-2-1)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((np.maximum(rgb, 0.04045) + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


def linear_to_srgb(linear: Array) -> Array:
    """Linear light in [0, 1] -> sRGB-coded values in [0, 1]."""
    rgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)
    return rgb.astype(np.float32)


def srgb_to_oklab(rgb: Array) -> Array:
    """``... 3`` sRGB in [0, 1] -> ``... 3``: lightness L in [0, 1], then a and b, each within about 0.32 of 0."""
    lms = srgb_to_linear(rgb) @ _LINEAR_TO_LMS.T.astype(np.float32)
    lab: Array = np.cbrt(lms) @ _LMS_TO_OKLAB.T.astype(np.float32)
    return lab


def oklab_to_srgb(lab: Array) -> Array:
    """``... 3`` OKLab -> ``... 3`` sRGB; colors that sRGB does not have are clipped to [0, 1] per channel."""
    lms = (lab @ np.linalg.inv(_LMS_TO_OKLAB).T.astype(np.float32)) ** 3
    linear: Array = lms @ np.linalg.inv(_LINEAR_TO_LMS).T.astype(np.float32)
    return linear_to_srgb(np.clip(linear, 0, 1))
