"""Regions of two drawings laid on each other by similarities: shifts, turns, scales and mirror images.

A region is seen as the Gaussian that has its center and its second moments, which any similarity moves exactly; two
regions are alike as far as their Gaussians overlap (the coefficient of Bhattacharyya, "On a measure of divergence
between two statistical populations", Bulletin of the Calcutta Mathematical Society 35, 1943). Similarities are
proposed by pairs of neighboring regions that look alike but for a similarity, as in random sample consensus
(Fischler & Bolles, Communications of the ACM 24(6), 1981), and each region is judged by those that bring its
neighbors into place, too.

Planes are complex: a point is ``x + iy``, a similarity ``a z + b``, or ``a conj(z) + b`` where it mirrors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

__all__ = ["Moments", "Similarities", "lay"]

Floats = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]
Flags = npt.NDArray[np.bool_]

SLACK = 0.006
"""What a region may be off its place, in diagonals of the picture."""

LARGEST = 64
"""Regions of a drawing that propose similarities."""

NEAR = 6
"""Neighbors of a region that move with it."""

ALIKE = 4
"""Pairs of the other drawing that each pair is compared with, mirrored and not."""

PROPOSED, KEPT = 600, 16
"""Similarities looked at, and those kept."""

SCALE = 3.0
"""Largest change of size."""

LEAST = 0.02
"""Overlap below which nothing is told apart."""


@dataclass(frozen=True)
class Moments:
    """Regions as Gaussians.

    Attributes:
        center: ``N``, in diagonals of the picture.
        spread: ``N``, mean square distance from it.
        stretch: ``N``, mean square of the complex difference from it: twice its angle is where a region is long.
    """

    center: Complex
    spread: Floats
    stretch: Complex

    def __len__(self) -> int:
        return len(self.center)

    def __getitem__(self, which: npt.NDArray[np.intp]) -> Moments:
        return Moments(self.center[which], self.spread[which], self.stretch[which])

    @classmethod
    def of(cls, labels: npt.NDArray[np.int32], count: int) -> Moments:
        """Of the regions numbered below ``count`` in ``H W``."""
        height, width = labels.shape
        flat, x = labels.ravel(), np.tile(np.arange(width, dtype=np.float64), height)
        y = np.repeat(np.arange(height, dtype=np.float64), width)
        area = np.maximum(np.bincount(flat, minlength=count), 1)
        mean = [np.bincount(flat, v, count) / area for v in (x, y)]
        dx, dy = x - mean[0][flat], y - mean[1][flat]
        xx, yy, xy = (np.bincount(flat, v, count) / area for v in (dx * dx, dy * dy, dx * dy))
        diagonal = np.hypot(height, width)
        center = (mean[0] + 1j * mean[1]) / diagonal
        return cls(center, (xx + yy + 1 / 6) / diagonal**2, (xx - yy + 2j * xy) / diagonal**2)


@dataclass(frozen=True)
class Similarities:
    """``H`` of them.

    Attributes:
        turn: ``H`` complex, scale and rotation. shift: ``H`` complex. mirrored: ``H``.
    """

    turn: Complex
    shift: Complex
    mirrored: Flags

    def __len__(self) -> int:
        return len(self.turn)

    def __getitem__(self, which: npt.NDArray[np.intp]) -> Similarities:
        return Similarities(self.turn[which], self.shift[which], self.mirrored[which])

    @classmethod
    def identity(cls, count: int = 1) -> Similarities:
        return cls(np.ones(count, complex), np.zeros(count, complex), np.zeros(count, bool))

    @classmethod
    def join(cls, *several: Similarities) -> Similarities:
        return cls(*(np.concatenate([getattr(s, n) for s in several]) for n in ("turn", "shift", "mirrored")))

    def move(self, points: Complex) -> Complex:
        """``H M`` from ``M`` or ``H M``."""
        seen = np.where(self.mirrored[:, None], points.conj(), points)
        moved: Complex = self.turn[:, None] * seen + self.shift[:, None]
        return moved

    def after(self, first: Similarities) -> Similarities:
        """These done after others, one by one."""
        turn = np.where(self.mirrored, first.turn.conj(), first.turn) * self.turn
        shift = self.turn * np.where(self.mirrored, first.shift.conj(), first.shift) + self.shift
        return Similarities(turn, shift, self.mirrored ^ first.mirrored)


def overlap(moved: Similarities, known: Moments, drawn: Moments) -> Floats:
    """``H N M``: how much every region of a drawing overlaps each known one when that is moved, 0 to 1."""
    center = moved.move(known.center)[:, None]
    size = np.abs(moved.turn) ** 2
    spread = (size[:, None] * known.spread)[:, None] + 2 * SLACK**2
    seen = np.where(moved.mirrored[:, None], known.stretch.conj(), known.stretch)
    stretch = (moved.turn[:, None] ** 2 * seen)[:, None]
    own_spread, own_stretch = drawn.spread[:, None] + 2 * SLACK**2, drawn.stretch[:, None]
    m, q, d = (spread + own_spread) / 2, (stretch + own_stretch) / 2, drawn.center[:, None] - center
    det = m**2 - np.abs(q) ** 2
    far = 2 * (m * np.abs(d) ** 2 - (q.conj() * d**2).real) / det
    sizes = np.sqrt((spread**2 - np.abs(stretch) ** 2) * (own_spread**2 - np.abs(own_stretch) ** 2))
    coefficient: Floats = np.exp(-far / 8) * np.sqrt(np.clip(sizes / det, 0, 1))
    return coefficient


def neighbors(moments: Moments, count: int = NEAR) -> npt.NDArray[np.intp]:
    """``N K``: the regions whose centers are nearest to each one's, itself first."""
    points = np.stack([moments.center.real, moments.center.imag], 1)
    found = cKDTree(points).query(points, min(count + 1, len(points)))[1]
    return np.asarray(found, np.intp).reshape(len(points), -1)


def _pairs(moments: Moments) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Every region with each of its neighbors."""
    near = neighbors(moments)
    first = np.repeat(np.arange(len(near)), near.shape[1])
    second = near.ravel()
    differ = first != second
    return first[differ], second[differ]


def _looks(moments: Moments, first: npt.NDArray[np.intp], second: npt.NDArray[np.intp], mirrored: bool) -> Floats:
    """What any similarity leaves as it is about pairs of regions; ``mirrored``: what mirror images would have."""
    step = moments.center[second] - moments.center[first]
    along = step / np.abs(step)
    sizes = [np.log(moments.spread[k] / np.abs(step) ** 2) for k in (first, second)]
    long = [moments.stretch[k] / moments.spread[k] * along.conj() ** 2 for k in (first, second)]
    if mirrored:
        long = [x.conj() for x in long]
    return np.stack([*sizes, *(part for x in long for part in (x.real, x.imag))], 1)


def propose(drawn: Moments, known: Moments) -> Similarities:
    """Similarities that bring a pair of known regions onto a pair of the drawing that looks alike."""
    if min(len(drawn), len(known)) < 2:
        return Similarities.identity(0)
    (i, k), (j, m) = _pairs(drawn), _pairs(known)
    found: list[Similarities] = []
    off: list[Floats] = []
    for mirrored in (False, True):
        tree = cKDTree(_looks(known, j, m, mirrored))
        distance, match = tree.query(_looks(drawn, i, k, False), min(ALIKE, len(j)))
        match, distance = match.reshape(len(i), -1), distance.reshape(len(i), -1)
        own = np.repeat(np.arange(len(i)), match.shape[1])
        other = match.ravel()
        start, step = known.center[j[other]], known.center[m[other]] - known.center[j[other]]
        if mirrored:
            start, step = start.conj(), step.conj()
        turn = (drawn.center[k] - drawn.center[i])[own] / step
        found.append(Similarities(turn, drawn.center[i][own] - turn * start, np.full(len(turn), mirrored)))
        off.append(distance.ravel())
    every, far = Similarities.join(*found), np.concatenate(off)
    sized = np.abs(np.log(np.abs(every.turn))) < np.log(SCALE)
    order = np.argsort(np.where(sized, far, np.inf), kind="stable")[: min(PROPOSED, int(sized.sum()))]
    return every[order]


@dataclass(frozen=True)
class Expected:
    """How known regions are thought to move.

    Attributes:
        motion: ``M``.
        sure: ``M``, what a departure from it counts.
    """

    motion: Similarities
    sure: Floats

    def cost(self, moved: Similarities, known: Moments) -> Floats:
        """``H M``: of each similarity, for each known region."""
        there = self.motion.turn * np.where(self.motion.mirrored, known.center.conj(), known.center) + self.motion.shift
        ratio = moved.turn[:, None] / self.motion.turn
        flipped = moved.mirrored[:, None] ^ self.motion.mirrored
        angle = np.abs(np.angle(np.where(flipped, -ratio, ratio)))
        cost: Floats = self.sure * (
            PLACE * np.abs(moved.move(known.center) - there)
            + TURN * angle
            + RESIZE * np.abs(np.log(np.abs(ratio)))
            + FLIP * flipped
        )
        return cost


PLACE, TURN, RESIZE, FLIP = 2.0, 1.0, 0.5, 0.7
TOGETHER = 2.0


@dataclass(frozen=True)
class Laid:
    """What comes of it: ``likeness`` ``N M``, logarithms; ``by`` ``N M``: the similarity that fits best."""

    likeness: Floats
    by: npt.NDArray[np.intp]
    similarities: Similarities


def lay(
    drawn: Moments, known: Moments, drawn_area: Floats, known_area: Floats, expected: Expected, also: Similarities
) -> Laid:
    """How well known regions fit those of a drawing, each moved in the way that suits it and its neighbors.

    Args:
        also: similarities to be tried besides those that pairs propose.
    """
    large, other = (np.sort(np.argsort(-a, kind="stable")[:LARGEST]) for a in (drawn_area, known_area))
    tried = Similarities.join(also, propose(drawn[large], known[other]))
    part = overlap(tried, known[other], drawn[large])
    near = neighbors(drawn[large], NEAR)
    cost = expected.cost(tried, known)[:, other]
    value = _value(part, near, cost).max(2)
    weight = np.sqrt(drawn_area[large])
    weight /= weight.sum()
    best = np.full(len(large), np.log(LEAST) * (1 + TOGETHER))
    chosen: list[int] = []
    while len(chosen) < min(KEPT, len(tried)):
        gain = np.maximum(value - best, 0) @ weight
        h = int(gain.argmax())
        if gain[h] < 1e-3 and chosen:
            break
        chosen.append(h)
        best = np.maximum(best, value[h])
    kept = tried[np.array(chosen, np.intp)]
    whole = _value(overlap(kept, known, drawn), neighbors(drawn, NEAR), expected.cost(kept, known))
    by = whole.argmax(0)
    return Laid(np.take_along_axis(whole, by[None], 0)[0], by, kept)


def _value(part: Floats, near: npt.NDArray[np.intp], cost: Floats) -> Floats:
    """``H N M``."""
    together = part.max(2)[:, near].mean(2)
    value: Floats = np.log(part + LEAST) + TOGETHER * np.log(together + LEAST)[..., None] - cost[:, None]
    return value
