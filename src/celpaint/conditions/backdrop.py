"""A painted background behind drawn figures stays as it is painted.

Line art of a figure alone says nothing of the background behind it: there is nothing to match. But the painting shows
it, and where nobody stands it is still there. So the background is put together once a scene, as a *plate*: what
paintings show outside the figures, and behind them a continuation of what lies around. Frames then show the plate
wherever their own drawing leaves it uncovered and the method does not say otherwise. What a method remembers of colored
drawings holds the plate too, so that no error spreads over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from celpaint.conditions.regions import INK_THRESHOLD, grow_regions, label_regions
from celpaint.frames.resize import resize
from celpaint.types import Array, LineArt

__all__ = ["CONTINUED", "Backdrop"]

Mask = npt.NDArray[np.bool_]

_TEXTURE = 0.02
"""Deviation of a background's color, in any channel, from which it is more than one flat fill."""

_NEAR_INK = 3
"""Pixels around ink in which a painting may show the ink's soft edge instead of the background."""

_SAME = 0.1
"""How far, in any channel, a method's color may be from the plate and still agree with it."""

_AGREED = 0.75
"""Share of a region, by confidence, that must agree with the plate for the region to show it."""

_OVERLAP = 0.5
"""Share of a region of a drawing that must lie where paintings show the background."""

_LEAST_AREA = 0.02
"""Share of the frame below which an open region is no background."""

CONTINUED = 0.4
"""Confidence where the plate is a continuation of what a painting shows."""

_MOST_HOLES, _LEAST_HOLE = 8, 0.002
"""A continuation is looked for in so many holes, and only in those that cover this share of the frame."""

_SEARCHED_AT = 256
"""Longest side at which a continuation is looked for."""


@dataclass(frozen=True)
class Backdrop:
    """The background of a scene.

    Attributes:
        plate: ``H W 3`` in [0, 1].
        seen: ``H W``, where a painting shows it; elsewhere it is a continuation.
    """

    plate: Array
    seen: Mask

    @classmethod
    def read(cls, painted: Sequence[tuple[Array, LineArt]]) -> Backdrop | None:
        """Put the background of a scene together.

        Args:
            painted: RGB ``H W 3`` and line art of the painted drawings, in register; the first wins.

        Returns:
            None where the lines were not drawn, or no painting shows more than flat fills behind its figures.
        """
        plate: Array | None = None
        for rgb, art in painted:
            outside = _outside(art) if art.drawn else np.zeros(art.line.shape, bool)
            if not outside.any():
                continue
            if plate is None:
                if float(rgb[outside].std(0).max()) < _TEXTURE:
                    return None
                plate, seen = rgb.copy(), outside
                continue
            new = outside & ~seen
            plate[new] = rgb[new]
            seen = seen | outside
        if plate is None:
            return None
        return cls(_continued(plate, seen), seen)

    def at(self, size: tuple[int, int]) -> Backdrop:
        """The same at another size, (height, width)."""
        if self.seen.shape == size:
            return self
        return Backdrop(resize(self.plate, size), resize(self.seen.astype(np.float32), size) > 0.99)

    def behind(self, fill: Array, confidence: Array | None, line: Array) -> tuple[Array, Array]:
        """The fills of a drawing with the plate where it shows: in regions whose surer colors agree with it.

        Args:
            fill: ``H W 3``, the drawing's fills, carried under its lines.
            confidence: ``H W`` how sure the method is of them; None = alike everywhere.
            line: ``H W``, the drawing's lines.

        Returns:
            ``H W 3``, and ``H W`` how sure it is: 1 where a painting shows the plate, :data:`CONTINUED` where it is a
            continuation, the given confidence elsewhere.
        """
        labels = label_regions(line)
        count = int(labels.max()) + 1
        sure = np.ones(labels.shape, np.float32) if confidence is None else resize(confidence, labels.shape)
        agree = np.abs(fill - self.plate).max(2) < _SAME
        known = self.seen & (labels > 0)
        area = np.maximum(np.bincount(labels.ravel(), minlength=count), 1)
        there = np.bincount(labels[known], minlength=count)
        weight = sure**4 + 1e-6
        total = np.bincount(labels[known], weight[known], count)
        agreed = np.bincount(labels[known], (weight * agree)[known], count)
        shows = (there >= _OVERLAP * area) & (agreed >= _AGREED * np.maximum(total, 1e-9)) & (there > 0)
        shows[0] = False
        mask = shows[grow_regions(labels)]
        known_there = np.where(self.seen, 1.0, np.minimum(sure, CONTINUED))
        confident = np.where(mask, known_there, sure).astype(np.float32)
        return np.where(mask[..., None], self.plate, fill).astype(np.float32), confident


def _outside(art: LineArt) -> Mask:
    """Where a painting shows the background: open regions that reach two sides of the frame, ink's edges left out."""
    labels = label_regions(art.line)
    sides = [np.unique(side) for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1])]
    reached = np.bincount(np.concatenate(sides), minlength=int(labels.max()) + 1)
    area = np.bincount(labels.ravel(), minlength=len(reached)) / labels.size
    open_ = (reached >= 2) & (area >= _LEAST_AREA)
    open_[0] = False
    ink = cv2.dilate((art.line > INK_THRESHOLD / 5).astype(np.uint8), np.ones((2 * _NEAR_INK + 1,) * 2, np.uint8))
    outside: Mask = open_[labels] & (ink == 0)
    return outside


def _continued(plate: Array, seen: Mask) -> Array:
    """The plate with what figures hide replaced by a continuation of what lies around.

    Each hole takes a piece of the plate from elsewhere: the one whose surroundings are most like the hole's (as in
    He and Sun, "Statistics of Patch Offsets for Image Completion", ECCV 2012, with one offset a hole), its colors
    fitted at the border (Perez, Gangnet and Blake, "Poisson Image Editing", SIGGRAPH 2003).
    """
    holes, parts, stats, _ = cv2.connectedComponentsWithStats((~seen).astype(np.uint8), connectivity=8)
    if holes == 1:
        return plate
    smooth = cv2.inpaint(_bytes(plate), (~seen).astype(np.uint8), 5, cv2.INPAINT_TELEA)
    filled = np.where(seen[..., None], plate, smooth.astype(np.float32) / 255)
    area = stats[1:, cv2.CC_STAT_AREA]
    largest = [int(i) + 1 for i in np.argsort(-area, kind="stable")[:_MOST_HOLES] if area[i] >= _LEAST_HOLE * seen.size]
    for hole in largest:  # the others are small enough to be filled smoothly
        inside = parts == hole
        offset = _best_offset(plate, seen, inside)
        if offset is None:
            continue
        moved = np.roll(plate, (-offset[0], -offset[1]), axis=(0, 1))
        blended = _fitted(moved, filled, inside)
        filled[inside] = blended[inside]
    return filled


def _best_offset(plate: Array, seen: Mask, hole: Mask) -> tuple[int, int] | None:
    """(rows, columns) to the piece of the plate that continues what lies around a hole best; None where none fits."""
    scale = min(1.0, _SEARCHED_AT / max(hole.shape))
    size = max(round(hole.shape[0] * scale), 8), max(round(hole.shape[1] * scale), 8)
    small = resize(plate, size)
    known = resize(seen.astype(np.float32), size) > 0.99
    inside = resize(hole.astype(np.float32), size) > 0
    ring = (cv2.dilate(inside.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0) & known & ~inside
    rows, columns = np.nonzero(inside)
    around = np.nonzero(ring)
    if not len(rows) or len(around[0]) < 8:
        return None
    best, chosen = np.inf, None
    step = max(2, max(size) // 96)
    for down in range(-(size[0] // 4), size[0] // 4 + 1, step):
        for across in range(-size[1] + 1, size[1], step):
            top, left = rows.min() + down, columns.min() + across
            if top < 0 or left < 0 or rows.max() + down >= size[0] or columns.max() + across >= size[1]:
                continue
            if not known[rows + down, columns + across].all():
                continue
            y, x = around[0] + down, around[1] + across
            within = (y >= 0) & (x >= 0) & (y < size[0]) & (x < size[1])
            if within.sum() < 0.6 * len(y):
                continue
            usable = within.copy()
            usable[within] = known[y[within], x[within]]
            if usable.sum() < 0.6 * len(y):
                continue
            there, here = small[y[usable], x[usable]], small[around[0][usable], around[1][usable]]
            cost = float(np.abs(there - here).mean()) + 0.02 * abs(down) / size[0]
            if cost < best:
                best, chosen = cost, (down, across)
    if chosen is None or best > 0.12:
        return None
    return round(chosen[0] / scale), round(chosen[1] / scale)


def _fitted(source: Array, target: Array, hole: Mask) -> Array:
    """``source`` inside a hole of ``target``, its colors fitted to the hole's border; both ``H W 3``."""
    wide = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8))
    wide[0] = wide[-1] = 0
    wide[:, 0] = wide[:, -1] = 0
    y, x = np.nonzero(wide)
    if not len(y):
        return source
    center = (int((x.min() + x.max() + 1) // 2), int((y.min() + y.max() + 1) // 2))
    cloned = cv2.seamlessClone(_bytes(source), _bytes(target), wide * 255, center, cv2.NORMAL_CLONE)
    return np.asarray(cloned / np.float32(255), np.float32)


def _bytes(rgb: Array) -> npt.NDArray[np.uint8]:
    return np.asarray(np.rint(rgb.clip(0, 1) * 255), np.uint8)
