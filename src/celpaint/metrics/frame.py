"""How near a frame is to the original: PSNR, SSIM, MS-SSIM, colorfulness. Functions of pictures, no networks.

Pictures are ``H W 3`` floating point in [0, 1]; the peak is 1 everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.errors import InputError
from celpaint.metrics.base import Figure, FrameMetric, Metric, Pair
from celpaint.metrics.sums import Mean

__all__ = [
    "COLOR_TOLERANCE",
    "MSSSIM",
    "PSNR",
    "PSNR_CEILING",
    "SSIM",
    "Colorfulness",
    "colorfulness",
    "ms_ssim",
    "psnr",
    "squared_error",
    "ssim",
]

Picture = npt.NDArray[np.floating]

COLOR_TOLERANCE = 0.08
"""Largest error of any channel with which a color counts as right; confidence is trained to predict this."""

PSNR_CEILING = 100.0
"""PSNR given to identical pictures, in dB: a mean over frames must not become infinite."""

_WINDOW = cv2.getGaussianKernel(11, 1.5, cv2.CV_64F)
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_C1, _C2 = 0.01**2, 0.03**2


def squared_error(result: Picture, original: Picture) -> float:
    """Mean squared difference over all pixels and channels, in float64."""
    difference = np.subtract(result, original, dtype=np.float64)
    return float(np.mean(difference * difference))


def psnr(error: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error, at most :data:`PSNR_CEILING`; NaN of NaN."""
    return -10.0 * math.log10(max(error, 10 ** (-PSNR_CEILING / 10)))  # in this order max() hands NaN on


def ssim(result: Picture, original: Picture) -> float:
    """Structural similarity (Wang et al. 2004): 11x11 Gaussian window of 1.5 px, mean over RGB and over every place
    where the window fits.

    Raises:
        InputError: a side under 11 pixels.
    """
    _require_side(result, 11, "SSIM")
    similarity, _ = _ssim_maps(np.asarray(result, np.float64), np.asarray(original, np.float64))
    return float(similarity.mean())


def ms_ssim(result: Picture, original: Picture) -> float:
    """Multi-scale SSIM (Wang et al. 2003): five scales, halved by 2x2 means, mean over RGB.

    Raises:
        InputError: a side of 160 pixels or less; the window would not fit the fifth scale.
    """
    _require_side(result, 161, "MS-SSIM")
    a, b = np.asarray(result, np.float64), np.asarray(original, np.float64)
    product = np.ones(3)
    for scale, weight in enumerate(_SCALES):
        similarity, structure = _ssim_maps(a, b)
        last = scale == len(_SCALES) - 1
        channels = (similarity if last else structure).mean(axis=(0, 1))
        product *= np.maximum(channels, 0.0) ** weight
        if not last:
            a, b = _halve(a), _halve(b)
    return float(product.mean())


def colorfulness(picture: Picture) -> float:
    """Hasler and Suesstrunk 2003, on the 0 to 255 scale they print: 0 = gray, about 109 = extremely colorful."""
    red, green, blue = (np.asarray(picture, np.float64) * 255.0).transpose(2, 0, 1)
    rg, yb = red - green, (red + green) / 2 - blue
    return float(math.sqrt(rg.var() + yb.var()) + 0.3 * math.sqrt(rg.mean() ** 2 + yb.mean() ** 2))


def _ssim_maps(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> tuple[Picture, Picture]:
    """The similarity and its contrast-structure part, ``H-10 W-10 3``."""
    mean_a, mean_b = _blur(a), _blur(b)
    product = mean_a * mean_b
    squares = mean_a * mean_a + mean_b * mean_b
    structure = (2 * (_blur(a * b) - product) + _C2) / (_blur(a * a + b * b) - squares + _C2)
    return (2 * product + _C1) / (squares + _C1) * structure, structure


def _blur(picture: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Gaussian-weighted mean of every 11x11 neighborhood inside the picture."""
    blurred: npt.NDArray[np.float64] = cv2.sepFilter2D(picture, cv2.CV_64F, _WINDOW, _WINDOW)
    return blurred[5:-5, 5:-5]


def _halve(picture: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """2x2 means; an odd last row or column is left out."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    halved: npt.NDArray[np.float64] = (
        picture[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1).mean(axis=(1, 3))
    )
    return halved


def _require_side(picture: Picture, side: int, metric: str) -> None:
    height, width = picture.shape[:2]
    if min(height, width) < side:
        raise InputError(
            f"the frames are {width}x{height}",
            wanted=f"sides of at least {side} pixels for {metric}",
            todo=f"Leave {metric} out, or measure at a larger size.",
        )


@dataclass(frozen=True)
class _PSNRSums:
    frames: Mean
    error: Mean

    def __add__(self, other: _PSNRSums) -> _PSNRSums:
        return _PSNRSums(self.frames + other.frames, self.error + other.error)


class PSNR(Metric[_PSNRSums]):
    """Mean over frames of PSNR, and the PSNR of the error pooled over all frames, which dark frames dominate."""

    figures = (
        Figure("psnr", "higher", "dB, peak 1, mean over frames", 2, True),
        Figure("psnr_pooled", "higher", "dB, peak 1, of the squared error of all frames together", 2),
    )

    def measure(self, window: Sequence[Pair]) -> _PSNRSums | None:
        pair = window[-1]
        if not pair.scored:
            return None
        error = squared_error(pair.result, pair.original)
        return _PSNRSums(Mean(psnr(error), 1), Mean(error, 1))

    def figures_of(self, sums: _PSNRSums) -> tuple[float, ...]:
        return sums.frames.value, psnr(sums.error.value)


class SSIM(FrameMetric):
    """See :func:`ssim`."""

    figures = (Figure("ssim", "higher", "RGB, 11x11 Gaussian window of 1.5 px (Wang et al. 2004)", 4, True),)

    def of(self, pair: Pair) -> float:
        return ssim(pair.result, pair.original)


class MSSSIM(FrameMetric):
    """See :func:`ms_ssim`."""

    figures = (Figure("ms_ssim", "higher", "RGB, five scales (Wang et al. 2003)", 4, True),)

    def of(self, pair: Pair) -> float:
        return ms_ssim(pair.result, pair.original)


@dataclass(frozen=True)
class _ColorfulnessSums:
    result: Mean
    original: Mean

    def __add__(self, other: _ColorfulnessSums) -> _ColorfulnessSums:
        return _ColorfulnessSums(self.result + other.result, self.original + other.original)


class Colorfulness(Metric[_ColorfulnessSums]):
    """See :func:`colorfulness`; the original's own is given beside it."""

    figures = (
        Figure("colorfulness", "original", "Hasler and Suesstrunk 2003, 0 to 255 scale", 1),
        Figure("colorfulness_original", "original", "the same of the original", 1),
    )

    def measure(self, window: Sequence[Pair]) -> _ColorfulnessSums | None:
        pair = window[-1]
        if not pair.scored:
            return None
        return _ColorfulnessSums(Mean(colorfulness(pair.result), 1), Mean(colorfulness(pair.original), 1))

    def figures_of(self, sums: _ColorfulnessSums) -> tuple[float, ...]:
        return sums.result.value, sums.original.value
