"""How well the drawing is kept: EDMD and line fidelity.

Both find lines in the result with the package's own line extractor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.conditions.distance import distance_map
from celpaint.conditions.lines import extract_lines
from celpaint.metrics.base import FramePair, Metric, MetricInfo
from celpaint.metrics.sums import Compared, Mean, Ratio
from celpaint.types import Array

__all__ = ["EDMD", "LineFidelity", "edmd"]


def edmd(lines: Array, wanted: Array) -> float:
    """Root mean squared difference, in pixels, of the Euclidean distance maps of two line maps ``H W`` (LVCD, section
    5.1). Ink is where a map is 0.5 or more; without any ink the distance is the picture's diagonal.
    """
    difference = distance_map(lines).astype(np.float64) - distance_map(wanted)
    return float(np.sqrt(np.mean(difference * difference)))


class EDMD(Metric[Compared[Mean]]):
    """:func:`edmd` of the result, and of the ground truth: what line extraction alone costs."""

    outputs = (
        MetricInfo(
            "edmd", "lower", "px, lines by difference of Gaussians, ink from 0.5 on (LVCD, section 5.1)", 3, True
        ),
        MetricInfo("edmd_ground_truth", "ground_truth", "the same of the ground truth"),
    )
    requires = frozenset({"line"})

    def measure(self, window: Sequence[FramePair]) -> Compared[Mean] | None:
        pair = window[-1]
        if not pair.scored or pair.line is None:
            return None
        result, ground_truth = (edmd(extract_lines(picture), pair.line) for picture in (pair.result, pair.ground_truth))
        return Compared(Mean(result, 1), Mean(ground_truth, 1))

    def values(self, sums: Compared[Mean]) -> tuple[float, ...]:
        return sums.result.value, sums.ground_truth.value


@dataclass(frozen=True)
class _FidelitySums:
    kept: Ratio
    own: Ratio

    def __add__(self, other: _FidelitySums) -> _FidelitySums:
        return _FidelitySums(self.kept + other.kept, self.own + other.own)


class LineFidelity(Metric[_FidelitySums]):
    """Share of drawn ink pixels with a line of the result within one pixel (kept), share of the result's line pixels
    with drawn ink within one pixel (drawn), and the harmonic mean of the two.
    """

    outputs = (
        MetricInfo("line_fidelity", "higher", "harmonic mean of lines_kept and lines_drawn, 1 px tolerance", 4, True),
        MetricInfo("lines_kept", "higher", "share of drawn ink that the result shows", 4),
        MetricInfo("lines_drawn", "higher", "share of the result's lines that were drawn", 4),
    )
    requires = frozenset({"line"})
    native = True

    def measure(self, window: Sequence[FramePair]) -> _FidelitySums | None:
        pair = window[-1]
        if not pair.scored or pair.line is None:
            return None
        drawn, seen = pair.line >= 0.5, extract_lines(pair.result) >= 0.5
        kept, own = drawn & _grow(seen), seen & _grow(drawn)
        return _FidelitySums(Ratio(float(kept.sum()), float(drawn.sum())), Ratio(float(own.sum()), float(seen.sum())))

    def values(self, sums: _FidelitySums) -> tuple[float, ...]:
        kept, own = sums.kept.value, sums.own.value
        return 2 * kept * own / (kept + own) if kept + own else 0.0, kept, own


def _grow(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Every pixel within one pixel of the mask, diagonals included."""
    grown: npt.NDArray[np.bool_] = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    return grown
