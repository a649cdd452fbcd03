"""Cels drawn with polygons, pixel for pixel the same on every machine.

Shapes are computed in float64, rounded to 1/16 of a fine pixel and filled with integer arithmetic; a frame's pixel is
the mean of 3 x 3 fine pixels, summed as integers. Lengths are in frame heights, the origin is the frame's middle,
x to the right, y down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from celpaint.data.scripted.polygons import UNIT, covered, disc, grown

if TYPE_CHECKING:
    from numpy import float64, uint8

    Floats = npt.NDArray[float64]
    Points = npt.NDArray[float64]
    Mask = npt.NDArray[uint8]

__all__ = ["FINE", "Cel", "Paint", "Palette", "affine", "closed", "curve", "place", "tube"]

FINE = 3
"""Fine pixels along the side of a pixel."""


@dataclass(frozen=True)
class Paint:
    """The colors of one part, RGB in [0, 1].

    Attributes:
        light: in light; ``shade``: in shade; ``ink``: of its lines.
    """

    light: tuple[float, float, float]
    shade: tuple[float, float, float]
    ink: tuple[float, float, float] = (0.1, 0.07, 0.09)


@dataclass
class Palette:
    """Parts of a shot by name: their numbers, from 1 on, and their paint."""

    paints: dict[str, Paint] = field(default_factory=dict)

    def add(self, prefix: str, paints: Mapping[str, Paint]) -> None:
        """Add parts, every name preceded by ``prefix``."""
        self.paints |= {f"{prefix}{name}": paint for name, paint in paints.items()}

    def number(self, name: str) -> int:
        """The number of a part."""
        return list(self.paints).index(name) + 1

    def table(self) -> npt.NDArray[uint8]:
        """``parts + 1, 3, 3``: light, shade and ink of every part; 0 is transparent."""
        rows = [[paint.light, paint.shade, paint.ink] for paint in self.paints.values()]
        table = np.array([np.zeros((3, 3)), *rows], np.float64)
        return (table.clip(0, 1) * 255 + 0.5).astype(np.uint8)


class Cel:
    """One transparent sheet while it is drawn.

    Attributes:
        part: number of the part that shows at every fine pixel, 0 = none.
        shade: 1 in shade; ``ink``: 1 on a line.
    """

    def __init__(self, height: int, width: int, palette: Palette) -> None:
        self.height, self.width, self.palette = height, width, palette
        self.numbers = {name: number for number, name in enumerate(palette.paints, 1)}
        fine = height * FINE, width * FINE
        self.part: npt.NDArray[np.uint16] = np.zeros(fine, np.uint16)
        self.shade, self.ink = (np.zeros(fine, np.uint8) for _ in "si")

    # -- drawing ----------------------------------------------------------------------------------------------

    def fill(
        self,
        points: Points,
        part: str,
        *,
        outline: float = 0.0,
        shade: tuple[float, float] | None = None,
        within: Sequence[str] = (),
    ) -> None:
        """Fill a closed polygon.

        Args:
            points: ``N 2``.
            part: its name in the palette.
            outline: width of the line round it in frame heights, 0 = none.
            shade: where light comes from, as the vector by which the lit side is shifted into the shape; None: all lit.
            within: only over these parts.
        """
        fixed = self._fixed(points)
        found = self._mask(fixed)
        if found is None:
            return
        box, mask = found
        if within:
            mask &= np.isin(self.part[box], [self.numbers[name] for name in within]).view(np.uint8)
        inside = mask.view(bool)
        dark = np.zeros_like(mask)
        if shade is not None:
            lit = self._covered(box, fixed + np.array(self._pixels(shade)) * UNIT)
            dark = np.asarray(mask & (lit ^ 1), np.uint8)
        np.copyto(self.part[box], np.uint16(self.numbers[part]), where=inside)
        np.copyto(self.shade[box], dark, where=inside)
        np.copyto(self.ink[box], np.uint8(0), where=inside)
        if outline:
            self._line(fixed, outline, [*within, part] if within else (), part)

    def outline(self, points: Points, part: str, width: float) -> None:
        """Draw a closed line with the ink of a part."""
        self._line(self._fixed(points), width, (), part)

    def stroke(self, points: Points, width: float, *, part: str = "", within: Sequence[str] = ()) -> None:
        """Draw an open line that is thin at both ends.

        Args:
            width: in its middle, in frame heights.
            part: whose ink it has, where nothing of the cel is below.
            within: only over these parts.
        """
        along = np.linspace(0, 1, len(points))
        swell = np.minimum(1.0, 0.35 + 4 * np.minimum(along, 1 - along))
        self.fill_ink(tube(points, swell * width / 2), part=part, within=within)

    def fill_ink(self, points: Points, *, part: str = "", within: Sequence[str] = ()) -> None:
        """Fill a closed polygon with ink."""
        found = self._mask(self._fixed(points))
        if found is not None:
            box, mask = found
            self._put_ink(box, mask, within, part)

    def darken(self, points: Points, within: Sequence[str]) -> None:
        """Put what a closed polygon covers of some parts in shade."""
        found = self._mask(self._fixed(points))
        if found is not None:
            box, mask = found
            below = np.isin(self.part[box], [self.numbers[name] for name in within])
            np.copyto(self.shade[box], np.uint8(1), where=below & mask.view(bool))

    def sprite(
        self, numbers: npt.NDArray[uint8], lines: npt.NDArray[uint8], matrix: Floats, prefix: str, bulge: float = 0.0
    ) -> None:
        """Lay a drawing of region numbers, 0 = transparent; region ``n`` is the part ``prefix + str(n)``.

        Args:
            numbers, lines: ``S S``, its regions and 1 where a line is.
            matrix: ``3 3``, its square [-1, 1] x [-1, 1] => frame heights.
            bulge: how far its middle is shifted sideways against the outline, as when a head turns.
        """
        size = numbers.shape[0]
        corners = place(matrix, np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]))
        box = self._box(self._fixed(corners))
        if box is None:
            return
        y, x = (np.arange(s.start, s.stop) + 0.5 for s in box)
        x, y = x / (self.height * FINE) - self.width / self.height / 2, y / (self.height * FINE) - 0.5
        back = np.linalg.inv(matrix)
        u = back[0, 0] * x[None] + back[0, 1] * y[:, None] + back[0, 2]
        v = back[1, 0] * x[None] + back[1, 1] * y[:, None] + back[1, 2]
        if bulge:
            u = u + bulge * np.maximum(1 - u * u - v * v, 0)
        column, row = (np.floor((axis + 1) * (size / 2)).astype(np.int64) for axis in (u, v))
        inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
        at = row.clip(0, size - 1), column.clip(0, size - 1)
        table = np.zeros(256, np.uint16)
        for number in np.unique(numbers):
            if number:
                table[number] = self.numbers[f"{prefix}{number}"]
        part, line = table[numbers[at]], lines[at]
        inside &= part > 0
        np.copyto(self.part[box], part, where=inside)
        np.copyto(self.shade[box], np.uint8(0), where=inside)
        np.copyto(self.ink[box], line, where=inside)

    # -- reading ----------------------------------------------------------------------------------------------

    def color(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """``H W 3`` sums of color and ``H W`` sums of coverage, both over 9 fine pixels; color in 0 ... 255."""
        paint = self.palette.table()
        table = np.concatenate([paint, np.ones_like(paint[:, :, :1])], 2).reshape(-1, 4)
        table[:3] = 0
        tone = np.maximum(self.shade, self.ink * np.uint8(2))
        packed = np.ascontiguousarray(table).view(np.uint32)[:, 0]
        fine = packed[self.part * np.uint16(3) + tone]
        sums = _sums(fine.view(np.uint8).reshape(*fine.shape, 4))
        return sums[..., :3], sums[..., 3]

    def line(self) -> npt.NDArray[np.int32]:
        """``H W`` sums of ink over 9 fine pixels."""
        return _sums(self.ink[..., None])[..., 0]

    def parts(self) -> npt.NDArray[np.uint16]:
        """``H W`` the part at every pixel's center, lines included."""
        return self.part[FINE // 2 :: FINE, FINE // 2 :: FINE]

    # -- pixels -----------------------------------------------------------------------------------------------

    def _fixed(self, points: Points) -> npt.NDArray[np.int64]:
        middle = np.array([self.width, self.height]) * (FINE / 2) - 0.5
        fine = points * (self.height * FINE) + middle
        fixed: npt.NDArray[np.int64] = np.round(fine.clip(-8000, 8000) * UNIT).astype(np.int64)
        return fixed

    def _pixels(self, vector: tuple[float, float]) -> tuple[int, int]:
        return round(vector[0] * self.height * FINE), round(vector[1] * self.height * FINE)

    def _box(self, fixed: npt.NDArray[np.int64], border: int = 2, *, beyond: int = 0) -> tuple[slice, slice] | None:
        """The rows and columns of points and a border round them, as far as they are at most ``beyond`` off the cel."""
        low, high = fixed.min(0) // UNIT - border, fixed.max(0) // UNIT + border + 1
        rows, columns = (
            slice(max(int(low[k]), -beyond), min(int(high[k]), size + beyond))
            for k, size in ((1, self.part.shape[0]), (0, self.part.shape[1]))
        )
        return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None

    def _mask(self, fixed: npt.NDArray[np.int64]) -> tuple[tuple[slice, slice], Mask] | None:
        """What a polygon covers, in its box."""
        box = self._box(fixed)
        return None if box is None else (box, self._covered(box, fixed))

    def _covered(self, box: tuple[slice, slice], fixed: npt.NDArray[np.int64]) -> Mask:
        """1 where a polygon covers the fine pixels of a box."""
        corner = np.array([box[1].start, box[0].start]) * UNIT
        return covered(fixed - corner, box[0].stop - box[0].start, box[1].stop - box[1].start)

    def _line(self, fixed: npt.NDArray[np.int64], width: float, within: Sequence[str], part: str) -> None:
        """Ink along the border of a polygon: the pixels near both its inside and its outside."""
        shape = disc(max(1, round(width * self.height * FINE)) + 1)
        reach = len(shape)
        seen, wide = self._box(fixed, reach), self._box(fixed, reach, beyond=reach)
        if seen is None or wide is None:
            return
        mask = self._covered(wide, fixed)
        line = grown(mask, shape) & grown(mask ^ np.uint8(1), shape)
        rows, columns = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(seen, wide, strict=True))
        self._put_ink(seen, line[rows, columns], within, part)

    def _put_ink(self, box: tuple[slice, slice], mask: Mask, within: Sequence[str], part: str) -> None:
        below = self.part[box]
        if within:
            mask = mask & np.isin(below, [self.numbers[name] for name in within]).view(np.uint8)
        inked = mask.view(bool)
        np.copyto(self.ink[box], np.uint8(1), where=inked)
        if part:
            np.copyto(below, np.uint16(self.numbers[part]), where=inked & (below == 0))


def _sums(fine: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """``FINE * H, FINE * W, C`` -> ``H W C`` sums."""
    height, width = fine.shape[0] // FINE, fine.shape[1] // FINE
    rows = np.zeros((height, *fine.shape[1:]), np.uint16)
    total = np.zeros((height, width, *fine.shape[2:]), np.uint16)
    for i in range(FINE):
        rows += fine[i::FINE]
    for i in range(FINE):
        total += rows[:, i::FINE]
    return total.astype(np.int32)


# -- shapes --------------------------------------------------------------------------------------------------------


def curve(points: Points, steps: int = 8) -> Points:
    """A smooth open line through points ``N 2`` (Catmull-Rom)."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    return np.concatenate([_spline(padded, steps), points[-1:]])


def closed(points: Points, steps: int = 8) -> Points:
    """A smooth closed outline through points ``N 2``."""
    return _spline(np.concatenate([points[-1:], points, points[:2]]), steps)


def _spline(p: Points, steps: int) -> Points:
    t = (np.arange(steps) / steps)[None, :, None]
    a, b, c, d = (p[i : len(p) - 3 + i, None] for i in range(4))
    found = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.asarray(found.reshape(-1, 2))


def tube(spine: Points, half: Floats | float) -> Points:
    """The outline of a band along ``spine``, ``N 2``, ``half`` (``N``) wide to each side."""
    step = np.gradient(spine, axis=0)
    normal = np.stack([-step[:, 1], step[:, 0]], 1) / np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)[:, None]
    reach = np.broadcast_to(np.asarray(half, np.float64), (len(spine),))[:, None] * normal
    return np.concatenate([spine + reach, (spine - reach)[::-1]])


def affine(scale: float = 1.0, turn: float = 0.0, x: float = 0.0, y: float = 0.0, flip: bool = False) -> Floats:
    """``3 3``: mirror, scale, turn, then move."""
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    sign = -1.0 if flip else 1.0
    return np.array([[c * sign, -s, x], [s * sign, c, y], [0, 0, 1]], np.float64)


def place(matrix: Floats, points: Points) -> Points:
    """Points ``N 2`` moved by a matrix ``3 3``."""
    x, y = points[:, 0], points[:, 1]
    return np.stack([matrix[i, 0] * x + matrix[i, 1] * y + matrix[i, 2] for i in (0, 1)], 1)
