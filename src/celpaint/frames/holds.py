"""Drawings on twos and threes: which frames in a row show one drawing, so that it is colored once."""

from __future__ import annotations

import cv2
import numpy as np

from celpaint.types import Array, Clip, Frame, FrameRead, Progress

__all__ = ["COMPRESSED_TOLERANCE", "find_holds"]

COMPRESSED_TOLERANCE = 0.08
"""How far frames of one drawing may differ in a lossy video: the largest mean difference over 4 x 4 pixels.

Measured on thin lines and flat colors at 640 x 360 with H.264 (crf 18 to 23), VP9 and ProRes: 0.07 at most between
frames of one drawing, 0.24 at least where nothing but a line six pixels long and one wide came or went.
"""

_BLOCK = (4, 4)


def find_holds(clip: Clip, progress: Progress | None = None, *, tolerance: float | None = None) -> list[range]:
    """The frames of every drawing: ranges that follow one another and together are all frames.

    Only frames in a row are compared, each with the first of its drawing, so that slow changes add up to a new drawing
    and only two frames are held. A drawing that comes back later counts anew.

    Args:
        clip: read once, from the first frame to the last.
        progress: told of every frame read.
        tolerance: the largest mean difference over 4 x 4 pixels, in [0, 1], between frames of one drawing; 0 = every
            pixel is equal. Default: 0, or :data:`COMPRESSED_TOLERANCE` for a clip whose compression is lossy.
    """
    if tolerance is None:
        tolerance = COMPRESSED_TOLERANCE if clip.lossy else 0.0
    starts: list[int] = []
    drawing: Frame | None = None
    for index, frame in enumerate(clip):
        if drawing is None or not _alike(drawing, frame, tolerance):
            starts.append(index)
            drawing = frame
        if progress is not None:
            progress(FrameRead(index + 1, len(clip)))
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], len(clip)], strict=True)]


def _alike(a: Frame, b: Frame, tolerance: float) -> bool:
    if (a.alpha is None) != (b.alpha is None):
        return False
    planes = [(a.rgb, b.rgb)]
    if a.alpha is not None and b.alpha is not None:
        planes.append((a.alpha, b.alpha))
    if tolerance == 0:
        return all(np.array_equal(x, y) for x, y in planes)
    return all(_largest_mean(x, y) <= tolerance for x, y in planes)


def _largest_mean(a: Array, b: Array) -> float:
    difference = cv2.absdiff(a, b)
    if difference.ndim == 3:
        difference = difference.max(axis=-1)
    return float(cv2.blur(difference, _BLOCK).max())
