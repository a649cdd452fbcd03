"""Registration: whether a painting is aligned with its drawing, and the transform that aligns it.

A painting exported with another origin or scale than its line art shows every color beside the region it belongs to.
The offset is measured between the drawn lines and the lines found in the painting, as the shift and scale of the
highest normalized cross-correlation (Lewis, "Fast normalized cross-correlation", Vision Interface 1995).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from celpaint.conditions.lines import extract_lines
from celpaint.types import Array

__all__ = ["MOST_SCALE", "MOST_SHIFT", "Offset", "measure_offset", "register"]

MOST_SHIFT = 0.04
"""Largest shift that is undone, as a share of the longer side."""

MOST_SCALE = 0.05
"""Largest change of scale that is undone."""

_SEEN_AT = 480
"""Longest side, in pixels, at which the offset is searched first."""

_FAR_SHIFT = 0.3
"""Largest shift that is looked for, as a share of the longer side."""

_FAR_SCORE = 0.5
"""Correlation from which a painting that far off is believed to be of its drawing."""

_LEAST_GAIN = 0.04
"""By how much the correlation must rise for a painting to be moved."""

_LEAST_SCORE = 0.3
"""Correlation below which the painting shows too little of the drawing's lines to judge."""


@dataclass(frozen=True)
class Offset:
    """How a painting lies on its drawing: ``painting(scale * (p - center) + center + shift) = drawing(p)``.

    Attributes:
        shift: (x, y) in pixels, positive where the painting lies to the right of and below its drawing.
        scale: size of what is painted over the size of what is drawn.
        score: correlation of the lines once the offset is undone, in [-1, 1].
        before: correlation as they are.
    """

    shift: tuple[float, float]
    scale: float
    score: float
    before: float

    @property
    def found(self) -> bool:
        """Whether the painting clearly lies elsewhere than its drawing."""
        moved = max(abs(self.shift[0]), abs(self.shift[1])) >= 0.4 or abs(self.scale - 1) >= 0.002
        gain = self.score - self.before
        return moved and self.shows and gain >= max(_LEAST_GAIN, 0.25 * (1 - self.before))

    @property
    def shows(self) -> bool:
        """Whether the painting shows the drawing's lines at all, in place or not."""
        return self.score >= _LEAST_SCORE

    def within_limits(self, size: tuple[int, int]) -> bool:
        """Whether it is small enough to be undone, for pictures of ``size`` (height, width)."""
        most = MOST_SHIFT * max(size)
        return max(abs(self.shift[0]), abs(self.shift[1])) <= most and abs(self.scale - 1) <= MOST_SCALE

    def __str__(self) -> str:
        x, y = self.shift
        words = [
            f"{abs(value):.1f} pixels {sides[value < 0]}"
            for value, sides in ((x, ("to the right", "to the left")), (y, ("down", "up")))
            if abs(value) >= 0.25
        ]
        if abs(self.scale - 1) >= 0.002:
            words.append(f"{abs(self.scale - 1):.1%} {'larger' if self.scale > 1 else 'smaller'}")
        return ", ".join(words) or "nothing"


def measure_offset(painting: Array, line: Array) -> Offset:
    """How a painting lies on its drawing.

    Args:
        painting: ``H W 3`` in [0, 1].
        line: ``H W`` in [0, 1], the drawing's lines, 1 where ink.
    """
    side = max(round(max(line.shape) / 60), 7) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    # thin dark lines, thin light lines, and borders of color where the painting has no lines of its own
    thin = [cv2.morphologyEx(painting, kind, disc).max(axis=2) for kind in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT)]
    return max((_measure(found, line) for found in (*thin, extract_lines(painting))), key=lambda o: o.score)


def _measure(found: Array, line: Array) -> Offset:
    """The offset of lines found in a painting from those drawn."""
    reduce = min(1.0, _SEEN_AT / max(line.shape))
    drawn, seen = _soft(line, reduce), _soft(found, reduce)
    if drawn.std() < 1e-3 or seen.std() < 1e-3:
        return Offset((0.0, 0.0), 1.0, 0.0, 0.0)
    reach = max(3, round(1.5 * MOST_SHIFT * max(drawn.shape)))
    before = _correlate(drawn, seen, 1.0, 0)[0]
    scales = 1 + np.linspace(-1.4 * MOST_SCALE, 1.4 * MOST_SCALE, 29)
    score, x, y, scale = max((*_correlate(drawn, seen, float(s), reach), float(s)) for s in scales)
    if score < _FAR_SCORE:  # perhaps much farther off, which is said though not undone
        far = _correlate(drawn, seen, 1.0, round(_FAR_SHIFT * max(drawn.shape)))
        if far[0] >= _FAR_SCORE:
            return Offset((far[1] / reduce, far[2] / reduce), 1.0, far[0], before)
    plain = _correlate(drawn, seen, 1.0, reach)
    if score - plain[0] < _LEAST_GAIN / 2:
        return Offset((plain[1] / reduce, plain[2] / reduce), 1.0, plain[0], before)
    for width in (0.003, 0.0012, 0.0005):
        near = scale + np.linspace(-width, width, 5)
        score, x, y, scale = max((*_correlate(drawn, seen, float(s), reach), float(s)) for s in near)
    return Offset((x / reduce, y / reduce), scale, score, before)


def register(painting: Array, line: Array) -> tuple[Array, Offset]:
    """A painting moved onto its drawing where it lies off it within the limits, and how it lay.

    Args:
        painting: ``H W 3`` in [0, 1].
        line: ``H W`` in [0, 1], the drawing's lines, 1 where ink.

    Returns:
        the painting, unchanged to the bit where it lies right or too far off; the offset as measured.
    """
    offset = measure_offset(painting, line)
    if not offset.found or not offset.within_limits(line.shape):
        return painting, offset
    return undo(painting, offset), offset


def undo(picture: Array, offset: Offset) -> Array:
    """A picture ``H W`` or ``H W C`` of the painting, moved back onto the drawing; edges are repeated."""
    height, width = picture.shape[:2]
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    move = center + offset.shift - offset.scale * center
    matrix = np.array([[offset.scale, 0, move[0]], [0, offset.scale, move[1]]])
    whole = abs(offset.scale - 1) < 0.002 and np.allclose(offset.shift, np.round(offset.shift), atol=0.15)
    if whole:
        matrix = np.array([[1.0, 0, round(offset.shift[0])], [0, 1.0, round(offset.shift[1])]])
    interpolation = cv2.INTER_NEAREST if whole else cv2.INTER_LINEAR
    moved: Array = cv2.warpAffine(
        picture, matrix, (width, height), flags=interpolation | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    return moved


def _soft(line: Array, scale: float) -> Array:
    """Lines as soft ridges some pixels wide, so that those a little off still overlap."""
    size = (max(round(line.shape[1] * scale), 8), max(round(line.shape[0] * scale), 8))
    small = line if scale == 1 else cv2.resize(line, size, interpolation=cv2.INTER_AREA)
    soft: Array = cv2.GaussianBlur(np.asarray(small, np.float32), (0, 0), 1.0)
    return soft


def _correlate(drawn: Array, seen: Array, scale: float, reach: int) -> tuple[float, float, float]:
    """The highest correlation within ``reach`` pixels of shift, and that shift (x, y), to a fraction of a pixel."""
    height, width = drawn.shape
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    # what is painted at scale * (p - center) + center comes to p, with a margin around it
    move = center - scale * center - scale * reach
    matrix = np.array([[scale, 0, move[0]], [0, scale, move[1]]])
    size = (width + 2 * reach, height + 2 * reach)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    wide = cv2.warpAffine(seen, matrix, size, flags=flags, borderMode=cv2.BORDER_CONSTANT)
    scores = cv2.matchTemplate(wide, drawn, cv2.TM_CCOEFF_NORMED)
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    x = scale * (column - reach + _peak(scores[row], int(column)))
    y = scale * (row - reach + _peak(scores[:, column], int(row)))
    return float(scores[row, column]), float(x), float(y)


def _peak(values: Array, at: int) -> float:
    """Where between its neighbors a peak lies, in [-0.5, 0.5]: the top of the parabola through the three."""
    if not 0 < at < len(values) - 1:
        return 0.0
    left, middle, right = (float(v) for v in values[at - 1 : at + 2])
    bend = left - 2 * middle + right
    return 0.0 if bend >= 0 else float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5))
