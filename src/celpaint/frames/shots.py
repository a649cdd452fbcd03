"""Cuts between shots, by color histograms: LVCD (Huang et al., SIGGRAPH Asia 2024), section 5.1.

A frame's colors are counted in 10 x 10 x 10 bins; a cut lies where the root mean square difference between the counts
of neighboring frames exceeds 30. The counts grow with the picture, and the paper does not say with which size 30 goes:
frames are scaled to 128 x 128 here, where films stay whole with a wide margin to real cuts. The measure does not see
cuts between shots of equal colors, and takes flashes and fast pans for cuts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import cv2
import numpy as np

from celpaint.types import Array

__all__ = ["color_difference", "find_cuts", "split_shots"]

_SIDE, _LEVELS = 128, 10


def find_cuts(frames: Iterable[Array], limit: float = 30.0) -> list[int]:
    """Indices of the first frame of every shot but the first.

    Args:
        frames: ``H W 3`` float32 in [0, 1], taken one by one; sizes may differ.
        limit: the root mean square difference of counts, at 128 x 128 pixels and 1,000 bins, above which is a cut.
    """
    counts = map(_counts, frames)
    return [i for i, (a, b) in enumerate(pairwise(counts), 1) if _difference(a, b) > limit]


def color_difference(a: Array, b: Array) -> float:
    """Root mean square difference of the color counts of two frames ``H W 3`` in [0, 1]."""
    return _difference(_counts(a), _counts(b))


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean((a - b) ** 2)))


def _counts(rgb: Array) -> np.ndarray:
    """The colors of a frame scaled to 128 x 128: 1,000 counts, float64."""
    pixels = np.clip(cv2.resize(rgb, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), 0, 1)
    levels = np.rint(pixels * 255).astype(np.int64) * _LEVELS // 256
    bins = levels @ np.array([_LEVELS**2, _LEVELS, 1])
    return np.bincount(bins.ravel(), minlength=_LEVELS**3).astype(np.float64)


def split_shots(cuts: Sequence[int], length: int, shortest: int = 15, longest: int | None = 200) -> list[range]:
    """The shots that training clips are made of, in order.

    Args:
        cuts: the first frames of the shots but the first, ascending.
        length: frames in all.
        shortest: shots of fewer frames are left out; the paper's 15 are a reference and 14 frames.
        longest: longer shots are divided evenly into as few parts as possible, where the paper leaves them out; None:
            shots of any length stay whole.
    """
    shots = (range(a, b) for a, b in pairwise((0, *cuts, length)))
    parts = (part for shot in shots for part in _divide(shot, longest))
    return [part for part in parts if len(part) >= shortest]


def _divide(shot: range, longest: int | None) -> list[range]:
    count = 1 if longest is None else -(-len(shot) // longest)
    edges = [shot.start + len(shot) * i // count for i in range(count + 1)] if count else []
    return [range(a, b) for a, b in pairwise(edges)]
