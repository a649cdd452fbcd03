"""Cuts between the scenes of a clip, found from drawing to drawing.

Colored pictures are compared by color histograms (:mod:`celpaint.frames.shots`). Line art has no colors to speak
of: two drawings belong together if, after the best shift, the ink of each lies near the ink of the other more often
than chance would have it. On film with large motion and on synthetic shots that agreement is never below 0.46 from one
drawing to the next; between drawings of different scenes its median is 0.26. The limit of 0.35 therefore misses cuts
between scenes that look alike rather than cutting a scene in two.

Either way a cut must hold against the next drawing too, so that a flash or a smear of one drawing is none.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from celpaint.frames.color import over_paper
from celpaint.frames.shots import color_difference
from celpaint.types import Array, Frame

__all__ = ["find_scene_cuts", "ink_agreement"]

AGREES = 0.35
"""Least agreement of the ink of two drawings of one scene."""

COLOR_LIMIT = 30.0
"""Largest difference of the color histograms of two pictures of one scene (LVCD, section 5.1)."""

_SIDE, _NEAR = 160, 3
_INK = 0.35
_SHIFT = 1 / 3
_COMPARABLE = 4.0


def find_scene_cuts(frames: Iterable[Frame], *, drawn: bool) -> list[int]:
    """Indices of the first frame of every scene but the first.

    Args:
        frames: one a drawing, taken one by one.
        drawn: whether they are line art.
    """
    cuts: list[int] = []
    look = _ink if drawn else _color
    apart = _ink_apart if drawn else _color_apart
    before: Array | None = None
    suspect: Array | None = None
    for index, frame in enumerate(frames):
        seen = look(frame)
        if before is not None and suspect is not None:
            if apart(before, seen):
                cuts.append(index - 1)
                before = suspect
            suspect = None
        if before is not None and apart(before, seen):
            suspect = seen
        else:
            before = seen
    return cuts


def ink_agreement(a: Array, b: Array) -> float:
    """How far the ink of two drawings agrees after the best shift: 1 = everywhere, 0 = as chance has it.

    Args:
        a, b: ``H W`` in [0, 1], of one size; at least one of them with ink.
    """
    shifted = cv2.warpAffine(b, np.array([[1, 0, 0], [0, 1, 0]], np.float32) + _best_shift(a, b), b.shape[::-1])
    inked = [x > _INK for x in (a, shifted)]
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _NEAR + 1, 2 * _NEAR + 1))
    near = [cv2.dilate(x.astype(np.uint8), kernel) > 0 for x in inked]

    def beyond_chance(ink: np.ndarray, other: np.ndarray) -> float:
        inked = max(int(np.count_nonzero(ink)), 1)
        hit, chance = float(np.count_nonzero(ink & other)) / inked, float(other.mean())
        return (hit - chance) / max(1 - chance, 1e-6)

    return min(beyond_chance(inked[0], near[1]), beyond_chance(inked[1], near[0]))


def _best_shift(a: Array, b: Array) -> Array:
    """What moves b onto a, by cross-correlation, at most a third of the frame: ``2 3``, the last column (x, y)."""
    height, width = a.shape
    spectrum = np.fft.rfft2(a, (2 * height, 2 * width)) * np.conj(np.fft.rfft2(b, (2 * height, 2 * width)))
    likeness = np.fft.irfft2(spectrum, (2 * height, 2 * width))
    y, x = (np.fft.fftfreq(2 * side, 1 / (2 * side)) for side in (height, width))
    allowed = (np.abs(y)[:, None] < height * _SHIFT) & (np.abs(x)[None] < width * _SHIFT)
    best = np.unravel_index(np.where(allowed, likeness, -np.inf).argmax(), likeness.shape)
    return np.array([[0, 0, x[best[1]]], [0, 0, y[best[0]]]], np.float32)


def _ink(frame: Frame) -> Array:
    """``h w`` in [0, 1], the longer side 160: how far a pixel is from the paper; thin lines stay."""
    r, g, b = cv2.split(_shrunk(over_paper(frame).rgb, 4 * _SIDE))
    tone = cv2.min(cv2.min(r, g), b)
    ink = _shrunk(cv2.GaussianBlur(cv2.absdiff(tone, float(np.median(tone))), (0, 0), 1.4), _SIDE)
    return np.minimum(3 * ink, 1).astype(np.float32)


def _shrunk(picture: Array, side: int) -> Array:
    """The picture with a longer side of no more than ``side`` pixels, averaged."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return picture
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _ink_apart(a: Array, b: Array) -> bool:
    much, little = sorted([np.count_nonzero(a > _INK), np.count_nonzero(b > _INK)], reverse=True)
    if little * _COMPARABLE < much or not little:
        return False  # a drawing without much on it: somebody enters or leaves
    return ink_agreement(a, b) < AGREES


def _color(frame: Frame) -> Array:
    return over_paper(frame).rgb


def _color_apart(a: Array, b: Array) -> bool:
    return color_difference(a, b) > COLOR_LIMIT
