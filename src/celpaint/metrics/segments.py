"""Segment accuracy: whether every line-enclosed segment has its color."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from celpaint.conditions.regions import label_regions
from celpaint.frames.color import quantize
from celpaint.metrics.base import FramePair, Metric, MetricInfo
from celpaint.metrics.sums import Ratio
from celpaint.types import Array

__all__ = ["SegmentAccuracy", "color_codes", "majority_colors", "to_palette"]

LARGE = 10
"""Pixels; segments up to this size are specks between lines, not drawing."""


def majority_colors(labels: npt.NDArray[np.int32], codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The most frequent color of every segment; of equally frequent ones the smallest code.

    Args:
        labels: ``H W``, 0 = ink, 1 .. N segments, each with at least one pixel.
        codes: ``H W`` colors as integers under 2^24.

    Returns:
        ``N`` codes, of segments 1 .. N.
    """
    keys, counts = np.unique((labels.astype(np.int64) << 24 | codes)[labels > 0], return_counts=True)
    segments = keys >> 24
    order = np.lexsort((keys, -counts, segments))
    first = order[np.unique(segments[order], return_index=True)[1]]
    return np.asarray(keys[first] & 0xFFFFFF, np.int64)


@dataclass(frozen=True)
class _SegmentSums:
    large: Ratio
    every: Ratio
    pixels: Ratio
    nearest: Ratio

    def __add__(self, other: _SegmentSums) -> _SegmentSums:
        return _SegmentSums(
            self.large + other.large,
            self.every + other.every,
            self.pixels + other.pixels,
            self.nearest + other.nearest,
        )


class SegmentAccuracy(Metric[_SegmentSums]):
    """Share of the drawing's line-enclosed segments that have the right color, in 8-bit RGB at the frames' own size.

    A segment is right if the most frequent color of the result in it is exactly that of the ground truth. Networks that
    paint pixels hardly ever hit a color exactly; for them ``segments_nearest`` first takes every pixel to the nearest
    segment color of that frame's ground truth: the right paint, if not its exact value.
    """

    outputs = (
        MetricInfo("segments", "higher", f"share of segments over {LARGE} px of exactly the right color", 4, True),
        MetricInfo(
            "segments_nearest", "higher", "the same, pixels taken to the nearest of the frame's colors", 4, True
        ),
        MetricInfo("segments_all", "higher", "share of all segments of exactly the right color", 4),
        MetricInfo("segments_pixels", "higher", "share of pixels in segments of exactly the right color", 4),
    )
    requires = frozenset({"line"})
    native = True

    def measure(self, window: Sequence[FramePair]) -> _SegmentSums | None:
        pair = window[-1]
        if not pair.scored or pair.line is None:
            return None
        labels = label_regions(pair.line, gap=0)
        sizes = np.bincount(labels.ravel())[1:]
        if not len(sizes):
            return None
        result, ground_truth = color_codes(pair.result), color_codes(pair.ground_truth)
        truth = majority_colors(labels, ground_truth)
        right = majority_colors(labels, result) == truth
        palette = np.unique(truth)
        nearest = majority_colors(labels, to_palette(result, palette)) == truth
        large = sizes > LARGE
        inside = labels > 0
        return _SegmentSums(
            Ratio(float(right[large].sum()), float(large.sum())),
            Ratio(float(right.sum()), float(len(right))),
            Ratio(float((result == ground_truth)[inside].sum()), float(inside.sum())),
            Ratio(float(nearest[large].sum()), float(large.sum())),
        )

    def values(self, sums: _SegmentSums) -> tuple[float, ...]:
        return sums.large.value, sums.nearest.value, sums.every.value, sums.pixels.value


def color_codes(picture: Array) -> npt.NDArray[np.int64]:
    """``H W 3`` in [0, 1] -> ``H W`` 24-bit integers, red highest."""
    red, green, blue = quantize(picture, 8).astype(np.int64).transpose(2, 0, 1)
    return np.asarray(red << 16 | green << 8 | blue, np.int64)


def to_palette(codes: npt.NDArray[np.int64], palette: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Every color code replaced by the nearest one of the palette, by distance in RGB."""
    found, places = np.unique(codes, return_inverse=True)
    nearest = cKDTree(_channels(palette)).query(_channels(found))[1]
    return np.asarray(palette[nearest][places].reshape(codes.shape), np.int64)


def _channels(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """``N`` codes -> ``N 3``."""
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
