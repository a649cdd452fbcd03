"""Whether every line-enclosed segment has its own color: the measure of flat cel painting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from celpaint.conditions.regions import label_regions
from celpaint.frames.color import quantize
from celpaint.metrics.base import Figure, Metric, Pair
from celpaint.metrics.sums import Ratio
from celpaint.types import Array

__all__ = ["SegmentAccuracy", "color_codes", "majority_colors", "to_palette"]

LARGE = 10
"""Pixels; segments up to this size are specks between lines, not drawing."""


def majority_colors(labels: npt.NDArray[np.int32], codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The commonest color of every segment; of equally common ones the smallest code.

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
    colors: npt.NDArray[np.int64] = keys[first] & 0xFFFFFF
    return colors


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

    A segment is right if the commonest color of the result in it is exactly the original's. Networks that paint pixels
    hardly ever hit a color exactly; for them the nearest-color figure first takes every pixel to the nearest of the
    original's own segment colors in that frame: right paint, not exact value.
    """

    figures = (
        Figure("segments", "higher", f"share of segments over {LARGE} px of exactly the right color", 4, True),
        Figure("segments_nearest", "higher", "the same, pixels taken to the nearest of the frame's colors", 4, True),
        Figure("segments_all", "higher", "share of all segments of exactly the right color", 4),
        Figure("segments_pixels", "higher", "share of pixels in segments of exactly the right color", 4),
    )
    needs = frozenset({"lines"})
    native = True

    def measure(self, window: Sequence[Pair]) -> _SegmentSums | None:
        pair = window[-1]
        if not pair.scored or pair.line is None:
            return None
        labels = label_regions(pair.line, gap=0)
        sizes = np.bincount(labels.ravel())[1:]
        if not len(sizes):
            return None
        result, original = color_codes(pair.result), color_codes(pair.original)
        truth = majority_colors(labels, original)
        right = majority_colors(labels, result) == truth
        palette = np.unique(truth)
        nearest = majority_colors(labels, to_palette(result, palette)) == truth
        large = sizes > LARGE
        inside = labels > 0
        return _SegmentSums(
            Ratio(float(right[large].sum()), float(large.sum())),
            Ratio(float(right.sum()), float(len(right))),
            Ratio(float((result == original)[inside].sum()), float(inside.sum())),
            Ratio(float(nearest[large].sum()), float(large.sum())),
        )

    def figures_of(self, sums: _SegmentSums) -> tuple[float, ...]:
        return sums.large.value, sums.nearest.value, sums.every.value, sums.pixels.value


def color_codes(picture: Array) -> npt.NDArray[np.int64]:
    """``H W 3`` in [0, 1] -> ``H W`` 24-bit integers, red highest."""
    red, green, blue = quantize(picture, 8).astype(np.int64).transpose(2, 0, 1)
    codes: npt.NDArray[np.int64] = red << 16 | green << 8 | blue
    return codes


def to_palette(codes: npt.NDArray[np.int64], palette: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Every color code taken to the nearest of the palette's, as distances in RGB go."""
    found, places = np.unique(codes, return_inverse=True)
    nearest = cKDTree(_channels(palette)).query(_channels(found))[1]
    taken: npt.NDArray[np.int64] = palette[nearest][places].reshape(codes.shape)
    return taken


def _channels(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """``N`` codes -> ``N 3``."""
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
