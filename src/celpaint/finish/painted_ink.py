"""The color of ink as the painting has it.

What a painter does to the lines is seen under them: they stay black, become the dark of the fill beside them, turn
white, or give way to the fill (color trace). So the ink of a shot is read off its painted drawings: from the ink that
was drawn and the fill beside it to the color that the painting shows there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from celpaint.conditions.regions import INK_THRESHOLD
from celpaint.finish._fill import carry_outwards
from celpaint.types import Array, LineArt

__all__ = ["PaintedInk"]

_CORE = 0.9
"""Coverage from which a pixel shows nothing but ink."""

_SAME = 0.06
"""How far, in any channel, ink in a painting may be from the ink that was drawn and still be it."""

_KEPT_SHARE = 0.85
"""Share of the ink that must be as drawn for all of it to count as kept."""

_LEAST = 40
"""Pixels of ink below which a painting says nothing."""

_MOST = 20_000
"""Pixels of ink that are remembered of one painting."""

_NEIGHBORS = 9


@dataclass(frozen=True)
class PaintedInk:
    """Ink as some paintings show it.

    Attributes:
        seen: ``N 6``: the ink as drawn and the fill beside it, RGB each.
        shown: ``N 3``: what the painting shows there.
    """

    seen: Array
    shown: Array

    @classmethod
    def read(cls, painted: Sequence[tuple[Array, LineArt]], margin: int) -> PaintedInk | None:
        """Read it off painted drawings.

        Args:
            painted: RGB ``H W 3`` in [0, 1] and line art of each, in register.
            margin: see :func:`celpaint.finish.ink.lay_ink`.

        Returns:
            None where the paintings show the ink as it was drawn, or too little of it.
        """
        seen, shown = [], []
        for rgb, art in painted:
            core = (art.line >= _CORE) & art.drawn
            if np.count_nonzero(core) < _LEAST:
                continue
            fill = carry_outwards(rgb, cv2.dilate((art.line > INK_THRESHOLD).astype(np.uint8), _CROSS) > 0, margin)
            at = np.flatnonzero(core.ravel())
            at = at[:: max(len(at) // _MOST, 1)]
            flat = [x.reshape(-1, 3)[at] for x in (art.ink, fill, rgb)]
            seen.append(np.concatenate(flat[:2], 1))
            shown.append(flat[2])
        if not seen:
            return None
        drawn, there = np.concatenate(seen), np.concatenate(shown)
        kept = np.abs(there - drawn[:, :3]).max(1) < _SAME
        if float(kept.mean()) >= _KEPT_SHARE:
            return None
        return cls(drawn.astype(np.float32), there.astype(np.float32))

    def under(self, art: LineArt, fill: Array) -> Array:
        """The color of a drawing's ink, ``H W 3``.

        Args:
            art: the drawing's lines.
            fill: the colored drawing with fills carried under the lines.
        """
        ink = art.ink.copy()
        where = np.flatnonzero((art.line > 0).ravel())
        if not len(where):
            return ink
        asked = np.concatenate([x.reshape(-1, 3)[where] for x in (art.ink, fill)], 1)
        cells, inverse = np.unique(np.round(asked * 31).astype(np.int32), axis=0, return_inverse=True)
        count = min(_NEIGHBORS, len(self.seen))
        _, near = cKDTree(self.seen).query(cells / 31.0, k=count)
        colors = np.median(self.shown[near.reshape(len(cells), count)], axis=1)
        ink.reshape(-1, 3)[where] = colors[inverse.ravel()].astype(np.float32)
        return ink


_CROSS = np.ones((3, 3), np.uint8)
