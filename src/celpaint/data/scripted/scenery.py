"""Painted sets: sheets of paint at different depths, with the lines of their layout.

Everything random comes from NumPy's PCG64; paint is laid with integer arithmetic, so a set is the same everywhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from celpaint.data.scripted.polygons import UNIT, coverage
from celpaint.data.scripted.raster import tube

if TYPE_CHECKING:
    from numpy import uint8

    from celpaint.data.scripted.raster import Floats, Points

    RGB = tuple[float, float, float]

__all__ = ["SETS", "Board", "Sheet", "box_blur"]


@dataclass(frozen=True)
class Sheet:
    """One painted sheet of a set.

    Attributes:
        pixels: ``h w 5`` RGB times alpha, alpha, lines of the layout.
        height: of the sheet in frame heights; its middle is the set's origin.
        depth: 1 moves with the figures' plane, 0 never moves, above 1 is nearer than the figures.
    """

    pixels: npt.NDArray[uint8]
    height: float
    depth: float

    def sample(self, view: Floats, height: int, width: int) -> tuple[npt.NDArray[np.int32], Floats]:
        """What a frame shows of it, bilinear, in integers.

        Args:
            view: ``3 3``, set => frame, in frame heights: enlarged and moved, not turned.

        Returns:
            ``H W 5``, values in 0 ... 255, and ``H W 2`` the points of the set that show, in frame heights.
        """
        h, w = self.pixels.shape[:2]
        scale = h / self.height
        x = ((np.arange(width) + 0.5 - width / 2) / height - view[0, 2]) / view[0, 0]
        y = ((np.arange(height) + 0.5) / height - 0.5 - view[1, 2]) / view[1, 1]
        column, row = (
            np.floor((axis * scale + side / 2 - 0.5) * 256).astype(np.int32).clip(0, (side - 1) * 256 - 1)
            for axis, side in ((x, w), (y, h))
        )
        c, r, dx, dy = column >> 8, row >> 8, (column & 255)[:, None], (row & 255)[:, None, None]
        wanted = self.pixels[:, c[0] : c[-1] + 2].astype(np.int32)
        rows = wanted[r] * (256 - dy) + wanted[r + 1] * dy
        left = np.take(rows, c - c[0], axis=1)
        right = np.take(rows, c - c[0] + 1, axis=1)
        point = np.stack(np.broadcast_arrays(x[None], y[:, None]), -1)
        return (left * (256 - dx) + right * dx + 32768) >> 16, point


class Board:
    """A sheet while it is painted.

    Args:
        pixels: that are a frame's height.
        height, width: of the sheet in frame heights; its origin is the middle.
    """

    def __init__(self, pixels: int, height: float, width: float, rng: np.random.Generator) -> None:
        self.unit, self.rng, self.height, self.width = pixels, rng, height, width
        size = round(height * pixels), round(width * pixels)
        self.rgb, self.alpha, self.line = (
            np.zeros((*size, 3), np.uint8),
            np.zeros(size, np.uint8),
            np.zeros(size, np.uint8),
        )

    def done(self, depth: float) -> Sheet:
        """The sheet."""
        color = (self.rgb.astype(np.uint16) * self.alpha[..., None].astype(np.uint16) + 127) // 255
        pixels = np.concatenate([color.astype(np.uint8), self.alpha[..., None], self.line[..., None]], 2)
        return Sheet(np.ascontiguousarray(pixels), self.rgb.shape[0] / self.unit, depth)

    def ramp(self, top: RGB, bottom: RGB, start: float = -9, end: float = 9, *, bands: int = 0) -> None:
        """Fill the sheet with a ramp between two heights, in even bands if any are asked for."""
        y = (np.arange(self.rgb.shape[0]) + 0.5) / self.unit - self.height / 2
        low, high = max(start, -self.height / 2), min(end, self.height / 2)
        share = ((y - low) / (high - low)).clip(0, 1)
        if bands:
            share = np.floor(share * bands) / bands
        color = np.array(top) * (1 - share[:, None]) + np.array(bottom) * share[:, None]
        self.rgb[:] = (color.clip(0, 1) * 255 + 0.5).astype(np.uint8)[:, None]
        self.alpha[:] = 255

    def polygon(self, points: Points, color: RGB, *, line: float = 0.8) -> None:
        """Paint a closed polygon, with a line of the layout round it if it is above 0."""
        found = self._coverage(points)
        if found is None:
            return
        box, cover = found
        share = cover[..., None].astype(np.int32)
        paint = np.array([round(min(max(channel, 0.0), 1.0) * 255) for channel in color])
        self.rgb[box] = (self.rgb[box] * (255 - share) + paint * share + 127) // 255
        self.alpha[box] = np.maximum(self.alpha[box], cover)
        self.line[box][cover > 127] = 0
        if line:
            self.trace(np.concatenate([points, points[:1]]), line)

    def trace(self, points: Points, line: float) -> None:
        """Draw an open line of the layout; ``line``: how strong, up to 1."""
        half = max(1, self.unit // 260) / self.unit / 2
        for one, other in itertools.pairwise(points):
            if (found := self._coverage(tube(np.stack([one, other]), half))) is not None:
                box, cover = found
                self.line[box] = np.maximum(self.line[box], (cover * line + 0.5).astype(np.uint8))

    def box(self, x: float, y: float, width: float, height: float, color: RGB, *, line: float = 0.8) -> None:
        """Paint a box from its upper left corner."""
        self.polygon(np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]]), color, line=line)

    def wire(self, points: Points, color: RGB, width: float) -> None:
        """Paint an open line."""
        self.polygon(tube(points, max(width, 1 / self.unit) / 2), color, line=0)
        self.trace(points, 0.8)

    def dabs(self, points: Points, size: Floats, colors: Floats, *, corners: int = 7, line: float = 0.0) -> None:
        """Paint dabs of uneven shape at ``points``."""
        for (x, y), reach, color in zip(points, size, colors, strict=True):
            angle = np.sort(self.rng.uniform(0, 2 * np.pi, corners))
            radius = reach * self.rng.uniform(0.6, 1.25, corners)
            shape = np.stack([x + radius * np.cos(angle), y + 0.8 * radius * np.sin(angle)], 1)
            self.polygon(shape, tuple(color), line=line)

    def leaves(
        self, where: Callable[[Floats], Floats], low: float, tone: RGB, light: RGB, size: float, count: int
    ) -> None:
        """Foliage whose upper edge is ``where(x)`` and which reaches down to ``low``: dark masses, lit clumps."""
        rng, half = self.rng, self.width / 2
        x = np.linspace(-half, half, 200)
        edge = np.stack([x, where(x)], 1)
        self.polygon(np.concatenate([edge, [[half, low], [-half, low]]]), tuple(0.55 * t for t in tone), line=0.0)  # type: ignore[arg-type]
        for level, share in enumerate((0.15, 0.4, 0.7, 1.0)):
            n = count // (level + 1)
            clump = rng.uniform(-half, half, max(n // 7, 1))
            px = clump[rng.integers(0, len(clump), n)] + rng.normal(0, 2.2 * size, n)
            top = where(px)
            deep = rng.random(n) ** 1.4 * (low - top) * (1.0 - 0.5 * share)
            mix = np.array(tone) * 0.62 * (1 - share) + np.array(light) * share
            color = (mix[None] * rng.uniform(0.88, 1.12, (n, 1))).clip(0, 1)
            self.dabs(np.stack([px, top + deep], 1), size * rng.uniform(0.5, 1.3, n) * (1.1 - 0.4 * share), color)
        self.trace(edge, 0.8)

    def soften(self, radius: float) -> None:
        """Out of focus: three box blurs of ``radius`` frame heights."""
        reach = round(radius * self.unit)
        if reach:
            alpha = self.alpha[..., None].astype(np.uint16)
            paint = np.concatenate([(self.rgb * alpha + 127) // 255, alpha], 2).astype(np.uint8)
            for _ in range(3):
                paint = box_blur(paint, reach)
            self.alpha = np.ascontiguousarray(paint[..., 3])
            whole = paint[..., :3].astype(np.uint32) * 255 // np.maximum(paint[..., 3:], 1)
            self.rgb = whole.clip(0, 255).astype(np.uint8)
            self.line //= 3

    def mottle(self, strength: float, cells: float = 9) -> None:
        """Uneven paint."""
        h, w = self.alpha.shape
        field = np.zeros((h, w), np.float64)
        for octave, share in ((1, 0.6), (3, 0.3), (8, 0.2)):
            shape = max(2, round(cells * octave * h / self.unit)), max(2, round(cells * octave * w / self.unit))
            field += share * _stretch(self.rng.random(shape) - 0.5, h, w)
        self.rgb = (self.rgb * (1 + strength * field)[..., None] + 0.5).clip(0, 255).astype(np.uint8)

    def _coverage(self, points: Points) -> tuple[tuple[slice, slice], npt.NDArray[uint8]] | None:
        """How much of every pixel a polygon covers, in its box; None if that is off the sheet."""
        h, w = self.alpha.shape
        fixed = np.round(((points * self.unit + np.array([w, h]) / 2 - 0.5).clip(-8000, 8000)) * UNIT).astype(np.int64)
        (left, top), (right, bottom) = fixed.min(0) // UNIT, fixed.max(0) // UNIT + 2
        rows, columns = slice(max(int(top), 0), min(int(bottom), h)), slice(max(int(left), 0), min(int(right), w))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return None
        corner = np.array([columns.start, rows.start]) * UNIT
        return (rows, columns), coverage(fixed - corner, rows.stop - rows.start, columns.stop - columns.start)


def box_blur(image: npt.NDArray[uint8], reach: int) -> npt.NDArray[uint8]:
    """Means over squares of ``2 * reach + 1``, edges repeated, in integers."""
    size = 2 * reach + 1
    for axis in (0, 1):
        pad = [(0, 0)] * image.ndim
        pad[axis] = (reach + 1, reach)
        total = np.cumsum(np.pad(image, pad, mode="edge").astype(np.int64), axis=axis)
        length = image.shape[axis]
        high = np.take(total, np.arange(size, size + length), axis=axis)
        low = np.take(total, np.arange(length), axis=axis)
        image = ((high - low + reach) // size).astype(np.uint8)
    return image


def _stretch(field: Floats, height: int, width: int) -> Floats:
    """Bilinear enlargement."""
    rows, columns = (np.linspace(0, n - 1.001, size) for n, size in zip(field.shape, (height, width), strict=True))
    r, c = rows.astype(int), columns.astype(int)
    dy, dx = (rows - r)[:, None], (columns - c)[None]
    top = field[r][:, c] * (1 - dx) + field[r][:, c + 1] * dx
    low = field[r + 1][:, c] * (1 - dx) + field[r + 1][:, c + 1] * dx
    return np.asarray(top * (1 - dy) + low * dy)


def _ridge(rng: np.random.Generator, middle: float, size: float, rough: float = 1.0) -> Callable[[Floats], Floats]:
    phase, pace = rng.uniform(0, 2 * np.pi, 5), rng.uniform(0.8, 1.5, 5)

    def height(x: Floats) -> Floats:
        total = np.full_like(x, middle)
        for octave in range(5):
            total = total + size * 0.55**octave * np.sin(x * 2.2 * 2**octave * pace[octave] * rough + phase[octave])
        return total

    return height


def _mix(a: RGB, b: RGB, share: float) -> RGB:
    x, y, z = (p * (1 - share) + q * share for p, q in zip(a, b, strict=True))
    return x, y, z


# -- the sets ------------------------------------------------------------------------------------------------------

_TALL, _WIDE = 1.7, 3.6
"""Size of a sheet in frame heights, for a frame 1.8 wide and a camera that moves."""


def _sky(
    pixels: int, rng: np.random.Generator, top: RGB, low: RGB, clouds: int, cloud: RGB = (0.97, 0.98, 1.0)
) -> Sheet:
    board = Board(pixels, _TALL, _WIDE, rng)
    board.ramp(top, low, -0.8, 0.5)
    for _ in range(clouds):
        x, y, size = rng.uniform(-1.7, 1.7), rng.uniform(-0.6, 0.3), rng.uniform(0.06, 0.2)
        n = 26
        spread = rng.normal(0, 1, (n, 2)) * [1.6 * size, 0.35 * size] + [x, y]
        tone = np.array(cloud) * np.linspace(0.86, 1.0, n)[:, None]
        board.dabs(spread, size * rng.uniform(0.3, 0.7, n), tone, corners=11)
    board.soften(0.012)
    return board.done(0.15)


def _park(pixels: int, rng: np.random.Generator) -> list[Sheet]:
    green: RGB = (rng.uniform(0.12, 0.3), rng.uniform(0.45, 0.6), rng.uniform(0.12, 0.25))
    light = _mix(green, (0.75, 0.95, 0.45), 0.55)
    sky = _sky(pixels, rng, (0.36, 0.66, 0.93), (0.8, 0.92, 0.97), 6)
    far = Board(pixels, _TALL, _WIDE, rng)
    far.leaves(
        _ridge(rng, 0.0, 0.12), 0.9, _mix(green, (0.6, 0.8, 0.9), 0.45), _mix(light, (0.8, 0.92, 0.95), 0.4), 0.05, 700
    )
    far.soften(0.008)
    near = Board(pixels, _TALL, _WIDE, rng)
    near.leaves(_ridge(rng, 0.17, 0.16, 0.8), 0.9, green, light, 0.045, 1000)
    near.soften(0.005)
    return [sky, far.done(0.35), near.done(0.6)]


def _sea(pixels: int, rng: np.random.Generator) -> list[Sheet]:
    top: RGB = (0.3 + rng.uniform(0, 0.2), 0.6, 0.9)
    sky = _sky(pixels, rng, top, (0.86, 0.94, 0.97), 7)
    sea = Board(pixels, _TALL, _WIDE, rng)
    blue: RGB = (0.1, 0.4, 0.62)
    sea.box(-2, 0.16, 4, 0.4, _mix(blue, (0.7, 0.85, 0.9), 0.25))
    for y in np.linspace(0.2, 0.5, 7):
        sea.box(-2, y, 4, 0.4, _mix(_mix(blue, (0.7, 0.85, 0.9), 0.25), (0.12, 0.5, 0.62), (y - 0.2) / 0.3), line=0)
    for _ in range(60):
        x, y, w = rng.uniform(-1.8, 1.8), rng.uniform(0.17, 0.5), rng.uniform(0.02, 0.12)
        sea.polygon(np.array([[x - w, y], [x, y - 0.003], [x + w, y], [x, y + 0.004]]), (0.75, 0.9, 0.95), line=0.3)
    hill = Board(pixels, _TALL, _WIDE, rng)
    ridge = _ridge(rng, 0.08, 0.06)
    coast = np.linspace(-1.8, -0.2, 60)
    shore = np.stack([coast, np.minimum(ridge(coast) + 0.1 * (coast + 1.8), 0.165)], 1)
    hill.polygon(np.concatenate([shore, [[-0.2, 0.165], [-1.8, 0.165]]]), (0.25, 0.42, 0.4))
    hill.mottle(0.4)
    beach = Board(pixels, _TALL, _WIDE, rng)
    edge = _ridge(rng, 0.5, 0.02)
    coast = np.linspace(-1.8, 1.8, 80)
    beach.polygon(np.concatenate([np.stack([coast, edge(coast)], 1), [[1.8, 0.9], [-1.8, 0.9]]]), (0.9, 0.84, 0.66))
    beach.mottle(0.25, 14)
    return [sky, hill.done(0.3), sea.done(0.45), beach.done(0.9)]


def _room(pixels: int, rng: np.random.Generator) -> list[Sheet]:
    wall: RGB = tuple(rng.uniform(0.55, 0.9, 3))
    wood: RGB = _mix((0.55, 0.36, 0.2), (0.85, 0.62, 0.36), float(rng.random()))
    board = Board(pixels, _TALL, _WIDE, rng)
    board.ramp(_mix(wall, (1, 1, 1), 0.1), _mix(wall, (0.3, 0.25, 0.3), 0.25))
    board.box(-2, 0.38, 4, 1, _mix(wood, (0.2, 0.15, 0.15), 0.3))
    for x in np.linspace(-2, 2, 14):
        board.wire(np.array([[x, 0.4], [x * 1.5, 0.9]]), _mix(wood, (0.1, 0.05, 0.05), 0.5), 0.004)
    board.box(-2, 0.34, 4, 0.045, wood)
    x = rng.uniform(-1.5, -0.9)
    for number in range(3):  # windows
        board.box(x, -0.5, 0.62, 0.6, wood)
        board.box(x + 0.03, -0.47, 0.27, 0.54, (0.62, 0.83, 0.95))
        board.box(x + 0.32, -0.47, 0.27, 0.54, (0.7, 0.88, 0.96))
        board.polygon(
            np.array([[x + 0.05, 0.0], [x + 0.2, -0.4], [x + 0.28, -0.4], [x + 0.12, 0.0]]), (0.84, 0.94, 0.98), line=0
        )
        cloth: RGB = tuple(rng.uniform(0.4, 0.95, 3))
        for side in (0.0, 0.5):
            for fold in range(3):
                board.box(x - 0.05 + side + 0.07 * fold, -0.55, 0.07, 0.75, _mix(cloth, (0, 0, 0), 0.12 * (fold % 2)))
        x += 1.05 if number else 0.95
    shelf = rng.uniform(-0.2, 0.3)
    board.box(shelf, -0.2, 0.7, 0.58, _mix(wood, (0, 0, 0), 0.2))
    for row in range(2):
        board.box(shelf + 0.03, -0.17 + 0.28 * row, 0.64, 0.25, _mix(wood, (0, 0, 0), 0.55))
        at = shelf + 0.04
        while at < shelf + 0.6:
            thick, tall = rng.uniform(0.025, 0.05), rng.uniform(0.14, 0.22)
            board.box(at, 0.08 + 0.28 * row - tall, thick, tall, tuple(rng.uniform(0.2, 0.85, 3)))
            at += thick + 0.004
    board.mottle(0.12)
    light = np.array([[-1.2, 0.4], [-0.6, 0.4], [-0.3, 0.7], [-1.1, 0.7]]) + np.array([rng.uniform(0, 0.6), 0.03])
    board.polygon(light, _mix(wood, (1, 0.95, 0.8), 0.35), line=0)
    desk = Board(pixels, _TALL, _WIDE, rng)
    desk.box(-1.6, 0.36, 0.95, 0.05, wood)
    desk.box(-1.55, 0.41, 0.06, 0.4, _mix(wood, (0, 0, 0), 0.3))
    desk.box(-0.75, 0.41, 0.06, 0.4, _mix(wood, (0, 0, 0), 0.3))
    return [board.done(0.7), desk.done(0.85)]


def _street(pixels: int, rng: np.random.Generator, *, night: bool = False) -> list[Sheet]:
    dark = 0.12 if night else 1.0
    top: RGB = (0.03, 0.04, 0.12) if night else (0.5, 0.72, 0.92)
    low: RGB = (0.1, 0.1, 0.22) if night else (0.9, 0.93, 0.9)
    sky = _sky(pixels, rng, top, low, 1 if night else 4, (0.12, 0.12, 0.22) if night else (0.97, 0.98, 1.0))
    sheets = [sky]
    for depth, base in ((0.35, 0.2), (0.65, 0.34)):
        board = Board(pixels, _TALL, _WIDE, rng)
        x = -1.8
        while x < 1.8:
            wide, tall = rng.uniform(0.28, 0.6), rng.uniform(0.35, 0.8)
            tone: RGB = tuple(dark * rng.uniform(0.35, 0.85) * rng.uniform(0.85, 1.1, 3) + (0.03 if night else 0))
            board.box(x, base - tall, wide, tall + 0.1, tone)
            board.box(x - 0.01, base - tall - 0.02, wide + 0.02, 0.03, _mix(tone, (0, 0, 0), 0.3))
            columns, rows = int(rng.integers(2, 5)), int(tall / 0.16)
            for row in range(rows):
                for column in range(columns):
                    lit = rng.random() < 0.35
                    glass: RGB = (
                        (0.95, 0.8, 0.45)
                        if night and lit
                        else _mix(tone, (0.6, 0.75, 0.85), 0.5 if not night else 0.08)
                    )
                    board.box(
                        x + (column + 0.25) * wide / columns,
                        base - tall + 0.05 + 0.15 * row,
                        0.5 * wide / columns,
                        0.08,
                        glass,
                    )
            x += wide + rng.uniform(0, 0.05)
        if depth < 0.5:
            board.soften(0.004)
        board.mottle(0.15)
        sheets.append(board.done(depth))
    road = Board(pixels, _TALL, _WIDE, rng)
    gray: RGB = (0.1, 0.1, 0.15) if night else (0.5, 0.5, 0.52)
    road.box(-2, 0.33, 4, 0.6, _mix(gray, (1, 1, 1), 0.12 if not night else 0.03))
    road.box(-2, 0.4, 4, 0.6, gray)
    road.box(-2, 0.385, 4, 0.02, _mix(gray, (1, 1, 1), 0.4 if not night else 0.1))
    road.mottle(0.2, 12)
    for x in (-1.3, 0.1, 1.35):
        pole: RGB = (0.05, 0.05, 0.08) if night else (0.35, 0.34, 0.36)
        road.box(x, -0.8, 0.028, 1.2, pole)
        road.box(x - 0.08, -0.45, 0.19, 0.014, pole)
    for y in (-0.5, -0.44):
        x_ = np.linspace(-1.8, 1.8, 60)
        road.wire(np.stack([x_, y + 0.05 * np.abs(np.sin(2.2 * x_ + 1.3))], 1), (0.05, 0.05, 0.08), 0.004)
    return [*sheets, road.done(0.9)]


def _hills(pixels: int, rng: np.random.Generator, *, dusk: bool = False) -> list[Sheet]:
    if dusk:
        sky = _sky(pixels, rng, (0.32, 0.26, 0.5), (1.0, 0.62, 0.36), 6, (0.98, 0.7, 0.55))
        tones: list[RGB] = [(0.62, 0.4, 0.48), (0.4, 0.27, 0.36), (0.22, 0.16, 0.22)]
    else:
        sky = _sky(pixels, rng, (0.4, 0.7, 0.95), (0.9, 0.95, 0.95), 6)
        tones = [(0.55, 0.7, 0.75), (0.4, 0.62, 0.42), (0.46, 0.68, 0.3)]
    sheets = [sky]
    for number, tone in enumerate(tones):
        board = Board(pixels, _TALL, _WIDE, rng)
        edge = _ridge(rng, 0.02 + 0.17 * number, 0.09 - 0.02 * number, 0.7)
        x = np.linspace(-1.8, 1.8, 120)
        board.polygon(np.concatenate([np.stack([x, edge(x)], 1), [[1.8, 0.9], [-1.8, 0.9]]]), tone)
        if number == 1:
            for _ in range(14):
                tx = rng.uniform(-1.7, 1.7)
                ty = float(edge(np.array([tx]))[0])
                n = 14
                tone_ = np.array(_mix(tone, (0.1, 0.25, 0.15), 0.55)) * np.linspace(0.8, 1.15, n)[:, None]
                board.dabs(rng.normal(0, 0.022, (n, 2)) + np.array([tx, ty - 0.03]), np.full(n, 0.03), tone_)
        board.mottle(0.25, 7)
        if number == 2:
            n = 160
            blades = np.stack([rng.uniform(-1.8, 1.8, n), rng.uniform(0.42, 0.8, n)], 1)
            for px, py in blades:
                board.polygon(
                    np.array([[px, py], [px + 0.012, py - 0.045], [px + 0.014, py]]),
                    _mix(tone, (0.1, 0.2, 0.1), 0.4),
                    line=0,
                )
        sheets.append(board.done(0.3 + 0.3 * number))
    return sheets


def _dusk(pixels: int, rng: np.random.Generator) -> list[Sheet]:
    return _hills(pixels, rng, dusk=True)


def _night(pixels: int, rng: np.random.Generator) -> list[Sheet]:
    return _street(pixels, rng, night=True)


def _fog(pixels: int, rng: np.random.Generator) -> list[Sheet]:
    pale: RGB = (0.9, 0.91, 0.93)
    sky = Board(pixels, _TALL, _WIDE, rng)
    sky.ramp((0.93, 0.94, 0.95), (0.85, 0.87, 0.9))
    sheets = [sky.done(0.1)]
    for number in range(3):
        board = Board(pixels, _TALL, _WIDE, rng)
        tone = _mix(pale, (0.62, 0.66, 0.72), 0.25 + 0.25 * number)
        for x in rng.uniform(-1.7, 1.7, 9):
            w = 0.02 + 0.018 * number
            board.polygon(np.array([[x - w, 0.5], [x - 0.5 * w, -0.85], [x + 0.5 * w, -0.85], [x + w, 0.5]]), tone)
            for _ in range(4):
                y, side = rng.uniform(-0.7, 0.1), rng.choice([-1, 1])
                board.wire(np.array([[x, y], [x + side * 0.12, y - 0.1], [x + side * 0.2, y - 0.22]]), tone, 0.01)
        edge = _ridge(rng, 0.25 + 0.1 * number, 0.03)
        x_ = np.linspace(-1.8, 1.8, 100)
        snow = _mix((0.97, 0.97, 0.98), (0.8, 0.83, 0.88), 0.15 * number)
        board.polygon(np.concatenate([np.stack([x_, edge(x_)], 1), [[1.8, 0.9], [-1.8, 0.9]]]), snow)
        board.soften(0.004 * (2 - number))
        sheets.append(board.done(0.3 + 0.25 * number))
    return sheets


def _forest(pixels: int, rng: np.random.Generator) -> list[Sheet]:
    back = Board(pixels, _TALL, _WIDE, rng)
    back.ramp((0.62, 0.78, 0.5), (0.2, 0.36, 0.22))
    back.leaves(_ridge(rng, -0.5, 0.2), 0.9, (0.25, 0.42, 0.2), (0.62, 0.78, 0.4), 0.06, 900)
    back.soften(0.012)
    sheets = [back.done(0.2)]
    for number in range(3):
        board = Board(pixels, _TALL, _WIDE, rng)
        bark = _mix((0.42, 0.4, 0.3), (0.2, 0.13, 0.1), 0.3 + 0.3 * number)
        for x in np.linspace(-1.7, 1.7, 6 - number) + rng.normal(0, 0.15, 6 - number):
            w = 0.035 + 0.04 * number
            board.polygon(
                np.array(
                    [
                        [x - 1.4 * w, 0.6],
                        [x - w, 0.1],
                        [x - 0.8 * w, -0.9],
                        [x + 0.8 * w, -0.9],
                        [x + w, 0.1],
                        [x + 1.4 * w, 0.6],
                    ]
                ),
                bark,
            )
            board.polygon(
                np.array(
                    [[x + 0.2 * w, 0.6], [x + 0.3 * w, -0.9], [x + 0.8 * w, -0.9], [x + w, 0.1], [x + 1.3 * w, 0.6]]
                ),
                _mix(bark, (0, 0, 0), 0.3),
                line=0.3,
            )
            for _ in range(5):
                y = rng.uniform(-0.7, 0.4)
                board.wire(np.array([[x - 0.4 * w, y], [x - 0.2 * w, y + 0.08]]), _mix(bark, (0, 0, 0), 0.5), 0.005)
        green: RGB = (0.16, 0.32, 0.12)
        board.leaves(_ridge(rng, 0.4 + 0.05 * number, 0.04, 2.0), 0.9, green, (0.48, 0.64, 0.24), 0.03, 500)
        sheets.append(board.done(0.4 + 0.25 * number))
    return sheets


def _stage(pixels: int, rng: np.random.Generator) -> list[Sheet]:
    cloth: RGB = tuple(rng.uniform([0.3, 0.03, 0.1], [0.6, 0.15, 0.35]))
    board = Board(pixels, _TALL, _WIDE, rng)
    board.ramp(_mix(cloth, (0, 0, 0.05), 0.6), cloth)
    x = -1.8
    while x < 1.8:
        w = rng.uniform(0.06, 0.14)
        board.polygon(
            np.array([[x, -0.9], [x + w, -0.9], [x + w * 0.9, 0.36], [x + 0.1 * w, 0.36]]),
            _mix(cloth, (0, 0, 0), rng.uniform(0, 0.5)),
            line=0.5,
        )
        x += w
    board.box(-2, 0.34, 4, 0.6, (0.34, 0.22, 0.16))
    for y in np.linspace(0.36, 0.8, 8):
        board.wire(np.array([[-1.8, y], [1.8, y]]), (0.2, 0.12, 0.1), 0.004)
    board.polygon(
        np.stack([0.75 * np.cos(np.linspace(0, 6.28, 40)), 0.46 + 0.08 * np.sin(np.linspace(0, 6.28, 40))], 1),
        (0.72, 0.55, 0.36),
        line=0,
    )
    board.mottle(0.12)
    return [board.done(0.8)]


def _hall(pixels: int, rng: np.random.Generator) -> list[Sheet]:
    wall: RGB = tuple(rng.uniform(0.6, 0.85, 3))
    board = Board(pixels, _TALL, _WIDE, rng)
    vanish = np.array([rng.uniform(-0.3, 0.3), -0.1])
    far = 0.13

    def toward(x: float, y: float, share: float) -> Points:
        return np.asarray(vanish + (np.array([x, y]) - vanish) * share)

    corners = [(-1.9, -0.95), (1.9, -0.95), (1.9, 0.95), (-1.9, 0.95)]
    sides = [
        _mix(wall, (1, 1, 1), 0.5),
        _mix(wall, (0, 0, 0), 0.08),
        _mix(wall, (0.3, 0.2, 0.15), 0.55),
        _mix(wall, (1, 1, 1), 0.15),
    ]
    for side, tone in enumerate(sides):
        a, b = corners[side], corners[(side + 1) % 4]
        board.polygon(np.stack([np.array(a), np.array(b), toward(*b, far), toward(*a, far)]), tone)
    board.polygon(np.stack([toward(*c, far) for c in corners]), (0.75, 0.88, 0.95))
    for share in (0.9, 0.62, 0.43, 0.3, 0.21):
        near, end = share, share * 0.8
        door = [toward(1.9, -0.5, near), toward(1.9, -0.5, end), toward(1.9, 0.75, end), toward(1.9, 0.75, near)]
        board.polygon(np.stack(door), _mix((0.7, 0.46, 0.25), (0, 0, 0), 0.15))
        pane = [toward(-1.9, -0.55, near), toward(-1.9, -0.55, end), toward(-1.9, 0.3, end), toward(-1.9, 0.3, near)]
        board.polygon(np.stack(pane), (0.66, 0.85, 0.95))
        shine = [toward(-1.2, 0.95, near), toward(-0.5, 0.95, near), toward(-0.5, 0.95, end), toward(-1.2, 0.95, end)]
        board.polygon(np.stack(shine), _mix(sides[2], (1, 1, 0.9), 0.35), line=0)
        lamp = [toward(-0.3, -0.95, near), toward(0.3, -0.95, near), toward(0.3, -0.95, end), toward(-0.3, -0.95, end)]
        board.polygon(np.stack(lamp), (0.98, 0.98, 0.95))
    board.mottle(0.08)
    return [board.done(0.7)]


SETS: dict[str, Callable[[int, np.random.Generator], list[Sheet]]] = {
    "park": _park,
    "sea": _sea,
    "room": _room,
    "street": _street,
    "night": _night,
    "hills": _hills,
    "dusk": _dusk,
    "fog": _fog,
    "forest": _forest,
    "stage": _stage,
    "hall": _hall,
}
"""Sets by name: pixels that are a frame's height, random numbers -> sheets from far to near."""
