"""Whether the drawing survived: EDMD and line fidelity.

Both look for lines in the result with the same extractor that finds lines in paintings everywhere in this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.conditions.distance import distance_map
from celpaint.conditions.lines import extract_lines
from celpaint.metrics.base import Figure, Metric, Pair
from celpaint.metrics.sums import Mean, Ratio
from celpaint.types import Array

__all__ = ["EDMD", "LineFidelity", "edmd"]


def edmd(lines: Array, wanted: Array) -> float:
    """Root mean squared difference, in pixels, of the Euclidean distance maps of two line maps ``H W`` (LVCD, section
    5.1). Ink is where a map is 0.5 or more; without any ink the distance is the picture's diagonal.
    """
    difference = distance_map(lines).astype(np.float64) - distance_map(wanted)
    return float(np.sqrt(np.mean(difference * difference)))


@dataclass(frozen=True)
class _EDMDSums:
    result: Mean
    original: Mean

    def __add__(self, other: _EDMDSums) -> _EDMDSums:
        return _EDMDSums(self.result + other.result, self.original + other.original)


class EDMD(Metric[_EDMDSums]):
    """See :func:`edmd`; what the original itself gets is given beside it: extraction alone costs that much."""

    figures = (
        Figure("edmd", "lower", "px, lines by difference of Gaussians, ink from 0.5 on (LVCD, section 5.1)", 3, True),
        Figure("edmd_original", "original", "the same of the original"),
    )
    needs = frozenset({"lines"})

    def measure(self, window: Sequence[Pair]) -> _EDMDSums | None:
        pair = window[-1]
        if not pair.scored or pair.line is None:
            return None
        result, original = (edmd(extract_lines(picture), pair.line) for picture in (pair.result, pair.original))
        return _EDMDSums(Mean(result, 1), Mean(original, 1))

    def figures_of(self, sums: _EDMDSums) -> tuple[float, ...]:
        return sums.result.value, sums.original.value


@dataclass(frozen=True)
class _FidelitySums:
    kept: Ratio
    own: Ratio

    def __add__(self, other: _FidelitySums) -> _FidelitySums:
        return _FidelitySums(self.kept + other.kept, self.own + other.own)


class LineFidelity(Metric[_FidelitySums]):
    """How many of the drawn ink pixels have a line of the result within one pixel (kept), how many of the result's line
    pixels have drawn ink within one pixel (no line invented), and the harmonic mean of the two shares.
    """

    figures = (
        Figure(
            "line_fidelity", "higher", "harmonic mean of lines kept and lines not invented, 1 px tolerance", 4, True
        ),
        Figure("lines_kept", "higher", "share of drawn ink that the result shows", 4),
        Figure("lines_own", "higher", "share of the result's lines that were drawn", 4),
    )
    needs = frozenset({"lines"})
    native = True

    def measure(self, window: Sequence[Pair]) -> _FidelitySums | None:
        pair = window[-1]
        if not pair.scored or pair.line is None:
            return None
        drawn, seen = pair.line >= 0.5, extract_lines(pair.result) >= 0.5
        kept, own = drawn & _grow(seen), seen & _grow(drawn)
        return _FidelitySums(Ratio(float(kept.sum()), float(drawn.sum())), Ratio(float(own.sum()), float(seen.sum())))

    def figures_of(self, sums: _FidelitySums) -> tuple[float, ...]:
        kept, own = sums.kept.value, sums.own.value
        return 2 * kept * own / (kept + own) if kept + own else 0.0, kept, own


def _grow(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Every pixel within one pixel of the mask, diagonals included."""
    grown: npt.NDArray[np.bool_] = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    return grown
