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
import numpy.typing as npt
from scipy.spatial import cKDTree

from celpaint.conditions.regions import INK_THRESHOLD
from celpaint.finish._fill import carry_outwards
from celpaint.types import Array, LineArt

__all__ = ["PaintedInk", "shows_lines"]

_CORE = 0.9
"""Coverage from which a pixel shows nothing but ink."""

_SAME = 0.06
"""How far, in any channel, ink in a painting may be from the ink that was drawn and still be it."""

_USUAL = 0.85
"""Share of the ink that must be as drawn, or filled over where it is color trace, for a painting to change nothing."""

_NO_LINES = 0.9
"""Share of the ink under which the fill shows from which a painting counts as fills without lines."""

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
        kind: ``N`` int: what that is: the ink as drawn, the fill, or a color of its own.
    """

    seen: Array
    shown: Array
    kind: npt.NDArray[np.int64]

    @classmethod
    def read(cls, painted: Sequence[tuple[Array, LineArt]], margin: int) -> PaintedInk | None:
        """Read it off painted drawings.

        Args:
            painted: RGB ``H W 3`` in [0, 1] and line art of each, in register.
            margin: see :func:`celpaint.finish.ink.lay_ink`.

        Returns:
            None where there is nothing to learn: the paintings show too little ink, show it as it was drawn (color
            trace being filled over), or show no lines at all because they are fills without them.
        """
        seen, shown, trace = [], [], []
        for rgb, art in painted:
            core = (art.line >= _CORE) & art.drawn
            if np.count_nonzero(core) < _LEAST:
                continue
            fill = _fill_beside(rgb, art, margin)
            at = np.flatnonzero(core.ravel())
            at = at[:: max(len(at) // _MOST, 1)]
            flat = [x.reshape(-1, 3)[at] for x in (art.ink, fill, rgb)]
            seen.append(np.concatenate(flat[:2], 1))
            shown.append(flat[2])
            trace.append(art.trace.ravel()[at] > 0.5 * art.line.ravel()[at])
        if not seen:
            return None
        drawn, there, traced = np.concatenate(seen), np.concatenate(shown), np.concatenate(trace)
        as_drawn = np.abs(there - drawn[:, :3]).max(1) < _SAME
        as_fill = ~as_drawn & (np.abs(there - drawn[:, 3:]).max(1) < _SAME)
        usual = float(np.mean(np.where(traced, as_fill, as_drawn)))
        if usual >= _USUAL or float(as_fill.mean()) >= _NO_LINES:
            return None
        kind = np.where(as_drawn, _AS_DRAWN, np.where(as_fill, _AS_FILL, _OWN))
        return cls(drawn.astype(np.float32), there.astype(np.float32), kind)

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
        flat = ink.reshape(-1, 3)
        below = fill.reshape(-1, 3)[where]
        asked = np.concatenate([flat[where], below], 1)
        codes, inverse = np.unique(np.round(asked * 31).astype(np.int64) @ _PLACES, return_inverse=True)
        cells = codes[:, None] // _PLACES % 32
        count = min(_NEIGHBORS, len(self.seen))
        _, near = cKDTree(self.seen).query(cells / 31.0, k=count)
        near = near.reshape(len(cells), count)
        kind = np.median(self.kind[near], axis=1)[inverse.ravel()]
        own = np.median(self.shown[near], axis=1)[inverse.ravel()].astype(np.float32)
        flat[where[kind == _AS_FILL]] = below[kind == _AS_FILL]
        flat[where[(kind != _AS_FILL) & (kind != _AS_DRAWN)]] = own[(kind != _AS_FILL) & (kind != _AS_DRAWN)]
        return ink


def shows_lines(rgb: Array, art: LineArt, margin: int) -> bool:
    """Whether a painting has lines of its own, in whatever color, or is fills without them.

    Args:
        rgb: ``H W 3``, in register with its drawing ``art``; margin: see :meth:`PaintedInk.read`.
    """
    core = (art.line >= _CORE) & art.drawn
    if np.count_nonzero(core) < _LEAST:
        return True
    fill = _fill_beside(rgb, art, margin)
    there, drawn, beside = (x[core] for x in (rgb, art.ink, fill))
    as_drawn = np.abs(there - drawn).max(1) < _SAME
    return float(np.mean(~as_drawn & (np.abs(there - beside).max(1) < _SAME))) < _NO_LINES


def _fill_beside(rgb: Array, art: LineArt, margin: int) -> Array:
    """A painting with the fills beside its lines carried under them, ``H W 3``."""
    return carry_outwards(rgb, cv2.dilate((art.line > INK_THRESHOLD).astype(np.uint8), _CROSS) > 0, margin)


_CROSS = np.ones((3, 3), np.uint8)
_PLACES = 32 ** np.arange(6)  # six channels of five bits as one number, which sorts faster than rows
_AS_DRAWN, _OWN, _AS_FILL = -1, 0, 1
