"""How near a frame is to the ground truth: PSNR, SSIM, MS-SSIM, colorfulness. Functions of pictures, no networks.

Pictures are ``H W 3`` floating point in [0, 1]; the peak is 1 everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.errors import InputError
from celpaint.metrics.base import FrameMetric, FramePair, Metric, MetricInfo
from celpaint.metrics.sums import Compared, Mean

__all__ = [
    "COLOR_TOLERANCE",
    "MSSSIM",
    "PSNR",
    "PSNR_CEILING",
    "SSIM",
    "VISIBLE",
    "Colorfulness",
    "colorfulness",
    "moving_parts",
    "ms_ssim",
    "pooled_psnr",
    "psnr",
    "squared_error",
    "ssim",
]

Picture = npt.NDArray[np.floating]

COLOR_TOLERANCE = 0.08
"""Largest error of any channel with which a color counts as right; confidence is trained to predict this."""

VISIBLE = 8 / 255
"""A change of a channel that is seen."""

PSNR_CEILING = 100.0
"""PSNR given to identical pictures, in dB: a mean over frames must not become infinite."""

_WINDOW = cv2.getGaussianKernel(11, 1.5, cv2.CV_64F)
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_C1, _C2 = 0.01**2, 0.03**2


def squared_error(result: Picture, ground_truth: Picture) -> float:
    """Mean squared difference over all pixels and channels, in float64."""
    difference = np.subtract(result, ground_truth, dtype=np.float64)
    return float(np.mean(difference * difference))


def psnr(error: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error, at most :data:`PSNR_CEILING`; NaN for NaN."""
    return -10.0 * math.log10(max(error, 10 ** (-PSNR_CEILING / 10)))  # in this order max() hands NaN on


def moving_parts(frames: Iterable[Picture]) -> npt.NDArray[np.bool_]:
    """``H W``, the pixels that ever differ visibly from the first frame: by more than :data:`VISIBLE` in a channel.

    Args:
        frames: at least one, ``H W 3``.
    """
    frames = iter(frames)
    first = next(frames)
    moves = np.zeros(first.shape[:2], bool)
    for frame in frames:
        moves |= np.abs(frame - first).max(axis=-1) > VISIBLE
    return moves


def pooled_psnr(
    result: Iterable[Picture], ground_truth: Iterable[Picture], where: npt.NDArray[np.bool_] | None = None
) -> float:
    """PSNR in dB of the squared error of all frames together.

    Args:
        result, ground_truth: as many frames ``H W 3``.
        where: ``H W``, the pixels that count; default: all.
    """
    chosen = slice(None) if where is None else where
    errors = [squared_error(a[chosen], b[chosen]) for a, b in zip(result, ground_truth, strict=True)]
    return psnr(float(np.mean(errors)))


def ssim(result: Picture, ground_truth: Picture) -> float:
    """Structural similarity (Wang et al. 2004): 11x11 Gaussian window of 1.5 px, mean over RGB and over every place
    where the window fits.

    Raises:
        InputError: a side under 11 pixels.
    """
    _require_side(result, 11, "SSIM")
    similarity, _ = _ssim_maps(np.asarray(result, np.float64), np.asarray(ground_truth, np.float64))
    return float(similarity.mean())


def ms_ssim(result: Picture, ground_truth: Picture) -> float:
    """Multi-scale SSIM (Wang et al. 2003): five scales, halved by 2x2 means, mean over RGB.

    Raises:
        InputError: a side of 160 pixels or less; the window would not fit the fifth scale.
    """
    _require_side(result, 161, "MS-SSIM")
    a, b = np.asarray(result, np.float64), np.asarray(ground_truth, np.float64)
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
    return np.asarray(cv2.sepFilter2D(picture, cv2.CV_64F, _WINDOW, _WINDOW)[5:-5, 5:-5], np.float64)


def _halve(picture: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """2x2 means; an odd last row or column is left out."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    blocks = picture[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float64)


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

    outputs = (
        MetricInfo("psnr", "higher", "dB, peak 1, mean over frames", 2, True),
        MetricInfo("psnr_pooled", "higher", "dB, peak 1, of the squared error of all frames together", 2),
    )

    def measure(self, window: Sequence[FramePair]) -> _PSNRSums | None:
        pair = window[-1]
        if not pair.scored:
            return None
        error = squared_error(pair.result, pair.ground_truth)
        return _PSNRSums(Mean(psnr(error), 1), Mean(error, 1))

    def values(self, sums: _PSNRSums) -> tuple[float, ...]:
        return sums.frames.value, psnr(sums.error.value)


class SSIM(FrameMetric):
    """:func:`ssim`, mean over frames."""

    outputs = (MetricInfo("ssim", "higher", "RGB, 11x11 Gaussian window of 1.5 px (Wang et al. 2004)", 4, True),)

    def of(self, pair: FramePair) -> float:
        return ssim(pair.result, pair.ground_truth)


class MSSSIM(FrameMetric):
    """:func:`ms_ssim`, mean over frames."""

    outputs = (MetricInfo("ms_ssim", "higher", "RGB, five scales (Wang et al. 2003)", 4, True),)

    def of(self, pair: FramePair) -> float:
        return ms_ssim(pair.result, pair.ground_truth)


class Colorfulness(Metric[Compared[Mean]]):
    """:func:`colorfulness` of the result and of the ground truth."""

    outputs = (
        MetricInfo("colorfulness", "ground_truth", "Hasler and Suesstrunk 2003, 0 to 255 scale", 1),
        MetricInfo("colorfulness_ground_truth", "ground_truth", "the same of the ground truth", 1),
    )

    def measure(self, window: Sequence[FramePair]) -> Compared[Mean] | None:
        pair = window[-1]
        if not pair.scored:
            return None
        return Compared(Mean(colorfulness(pair.result), 1), Mean(colorfulness(pair.ground_truth), 1))

    def values(self, sums: Compared[Mean]) -> tuple[float, ...]:
        return sums.result.value, sums.ground_truth.value
