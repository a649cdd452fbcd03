"""A map of confidence -> how sure a drawing is where something is drawn, and where it is least sure."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.conditions.regions import INK_THRESHOLD, enclosed
from celpaint.types import Array, Judgement

__all__ = ["drawn_area", "judge", "place_in_words"]

_SIDE = 192
"""Pixels of the larger side at which a drawing is judged."""

_NEAR = 1 / 48
"""Paper that near to a line counts as drawn, as a share of the larger side."""

_WINDOW = 1 / 6
"""Side of the window that is moved over the picture to find the least sure place, as a share of the smaller side."""

_FILLED = 0.25
"""Share of the window that must be drawn."""


def drawn_area(line: Array) -> npt.NDArray[np.bool_]:
    """Where something is drawn: lines, what lies near them, and the regions they enclose without the picture's edge.

    Args:
        line: ``H W`` in [0, 1], 1 where ink.
    """
    ink = line > INK_THRESHOLD
    radius = max(1, round(_NEAR * max(line.shape)))
    near = cv2.dilate(ink.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)) > 0
    regions = enclosed(line)
    edge = np.unique(np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]))
    drawn: npt.NDArray[np.bool_] = near | ~np.isin(regions, edge)
    return drawn


def judge(line: Array, confidence: Array) -> Judgement:
    """How sure a method was of a drawing.

    Args:
        line: ``H W`` in [0, 1], 1 where ink.
        confidence: ``h w`` in [0, 1], of the same picture.
    """
    scale = min(1.0, _SIDE / max(line.shape))
    size = max(1, round(line.shape[1] * scale)), max(1, round(line.shape[0] * scale))
    small = cv2.resize(line, size, interpolation=cv2.INTER_AREA)
    sure = cv2.resize(confidence, size, interpolation=cv2.INTER_AREA)
    # A line that became thin and pale is one still.
    drawn = drawn_area(np.asarray(small / max(float(small.max()), 1e-6), np.float32)).astype(np.float32)
    if not drawn.any():
        everywhere = float(sure.mean(dtype=np.float64))
        return Judgement(everywhere, everywhere)
    mean = float(np.average(sure, weights=drawn))
    side = max(3, round(_WINDOW * min(small.shape)))
    filled = cv2.boxFilter(drawn, -1, (side, side), borderType=cv2.BORDER_CONSTANT)
    local = cv2.boxFilter(drawn * sure, -1, (side, side), borderType=cv2.BORDER_CONSTANT) / np.maximum(filled, 1e-6)
    local[(filled < min(_FILLED, float(filled.max()))) | (drawn == 0)] = np.inf
    y, x = np.unravel_index(int(local.argmin()), local.shape)
    least = float(local[y, x])
    unsure = (local <= least + (mean - least) / 2) & np.isfinite(local)
    return Judgement(min(mean, 1.0), min(least, 1.0), *_box(unsure | (local == local[y, x]), int(y), int(x)))


def _box(unsure: npt.NDArray[np.bool_], y: int, x: int) -> tuple[float, float, float, float]:
    """The box of the unsure place around a pixel of it, as shares of the picture: top, left, bottom, right."""
    height, width = unsure.shape
    _, parts = cv2.connectedComponents(unsure.astype(np.uint8), connectivity=8)
    rows, columns = np.nonzero(parts == parts[y, x])
    bottom, right = int(rows.max()) + 1, int(columns.max()) + 1
    return int(rows.min()) / height, int(columns.min()) / width, bottom / height, right / width


def place_in_words(judgement: Judgement, size: tuple[int, int]) -> str:
    """Where the least sure region lies: ``upper left, x 12 to 80, y 4 to 60``.

    Args:
        size: (height, width) of the picture in pixels.
    """
    y, x = (judgement.top + judgement.bottom) / 2, (judgement.left + judgement.right) / 2
    row = ("upper ", "", "lower ")[min(int(y * 3), 2)]
    column = ("left", "center", "right")[min(int(x * 3), 2)]
    height, width = size
    across = f"x {round(judgement.left * width)} to {round(judgement.right * width)}"
    return f"{row}{column}, {across}, y {round(judgement.top * height)} to {round(judgement.bottom * height)}"
