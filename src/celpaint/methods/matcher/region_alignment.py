"""How well the regions of two drawings fit when parts of one are shifted, turned, scaled or mirrored onto the other.

A region is described by its area, center and second moments (Hu, "Visual pattern recognition by moment invariants",
IRE Transactions on Information Theory 8, 1962), as a Gaussian. Two regions fit as far as their Gaussians overlap: the
coefficient of Bhattacharyya ("On a measure of divergence between two statistical populations", Bulletin of the
Calcutta Mathematical Society 35, 1943). Similarities are proposed by pairs of neighboring regions whose invariants
agree, in the manner of random sample consensus (Fischler & Bolles, Communications of the ACM 24(6), 1981). A region is
matched under the similarity that also brings its neighbors and the rest of the drawing into place.

Points of the plane are complex numbers ``x + iy`` in diagonals of the picture. A similarity takes z to ``a z + b``,
or to ``a conj(z) + b`` if it mirrors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from celpaint.conditions.regions import Labels

__all__ = ["Fit", "Moments", "Similarities", "fit_regions", "overlap"]

Floats = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]
Indices = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

SLACK = 0.006
"""Standard deviation of a region's place beyond what a similarity explains, in diagonals."""

LARGEST = 48
"""Number of regions of a drawing, the largest, that propose and choose similarities."""

NEAR = 6
"""Number of a region's neighbors that are expected to move with it."""

AGREEING = 4
"""Number of known pairs that every pair of the drawing is compared with, plain and mirrored."""

PROPOSED, KEPT = 400, 16
"""Number of similarities tried, and of those kept."""

LARGEST_SCALE = 3.0
"""Similarities that scale by more, or by less than its inverse, are not tried."""

LEAST = 0.02
"""Added to every overlap before its logarithm is taken."""

LEAST_GAIN = 0.02
"""Gain in mean likeness below which no further similarity is kept."""

MOVE, TURN, SCALE, MIRROR = 2.0, 0.6, 0.5, 0.85
"""Costs: of each diagonal that a region moves, of each radian, of each power of e in size, and of mirroring."""

POWER = 4
"""Power of the overlap in the support by others, so that rough fits add little."""

OWN, NEIGHBORS, ALL = 3.0, 4.0, 8.0
"""Weights of the logarithms of a region's own overlap, of that of its neighbors, and of that of the whole drawing."""

TURNED, SCALED, SUPPORTED = 0.35, 0.3, 0.3
"""Turn in radians and change of size in powers of e from which a similarity is beyond what the network has learned,
and support by the neighbors from which it is believed."""


@dataclass(frozen=True)
class Moments:
    """Regions as Gaussians.

    Attributes:
        area: ``N``, share of the picture.
        center: ``N``, in diagonals.
        spread: ``N``, mean square distance from the center.
        stretch: ``N``, mean square of the complex difference from the center; its angle is twice that of the long axis.
    """

    area: Floats
    center: Complex
    spread: Floats
    stretch: Complex

    def __len__(self) -> int:
        return len(self.center)

    def __getitem__(self, which: Indices) -> Moments:
        return Moments(self.area[which], self.center[which], self.spread[which], self.stretch[which])

    @classmethod
    def of(cls, labels: Labels, count: int) -> Moments:
        """Of the regions numbered below ``count`` in ``labels``, ``H W``."""
        height, width = labels.shape
        flat, diagonal = labels.ravel(), np.hypot(height, width)
        x = np.tile(np.arange(width, dtype=np.float64), height)
        y = np.repeat(np.arange(height, dtype=np.float64), width)
        pixels = np.maximum(np.bincount(flat, minlength=count), 1)
        middle_x, middle_y = (np.bincount(flat, v, count) / pixels for v in (x, y))
        dx, dy = x - middle_x[flat], y - middle_y[flat]
        xx, yy, xy = (np.bincount(flat, v, count) / pixels for v in (dx * dx, dy * dy, dx * dy))
        one_pixel = 1 / 6  # the spread of a single square pixel
        return cls(
            np.bincount(flat, minlength=count) / labels.size,
            (middle_x + 1j * middle_y) / diagonal,
            (xx + yy + one_pixel) / diagonal**2,
            (xx - yy + 2j * xy) / diagonal**2,
        )


@dataclass(frozen=True)
class Similarities:
    """``H`` similarities.

    Attributes:
        factor: ``H``, the complex a: scale and turn.
        shift: ``H``, the complex b.
        mirrored: ``H``.
    """

    factor: Complex
    shift: Complex
    mirrored: Flags

    def __len__(self) -> int:
        return len(self.factor)

    def __getitem__(self, which: Indices) -> Similarities:
        return Similarities(self.factor[which], self.shift[which], self.mirrored[which])

    @classmethod
    def identity(cls) -> Similarities:
        """The one that moves nothing."""
        return cls(np.ones(1, complex), np.zeros(1, complex), np.zeros(1, bool))

    @classmethod
    def join(cls, *several: Similarities) -> Similarities:
        """All of several."""
        return cls(
            np.concatenate([s.factor for s in several]),
            np.concatenate([s.shift for s in several]),
            np.concatenate([s.mirrored for s in several]),
        )

    def seen(self, numbers: Complex) -> Complex:
        """``H M``: numbers, ``M`` or ``H M``, conjugated where the similarity mirrors."""
        return np.where(self.mirrored[:, None], numbers.conj(), numbers)

    def move(self, points: Complex) -> Complex:
        """``H M``: where points, ``M``, are taken."""
        moved: Complex = self.factor[:, None] * self.seen(points) + self.shift[:, None]
        return moved

    @property
    def turn(self) -> Floats:
        """``H``: radians; a mirror image is compared with one whose left and right are exchanged."""
        return np.abs(np.angle(np.where(self.mirrored, -self.factor, self.factor)))

    @property
    def scale(self) -> Floats:
        """``H``: the absolute logarithm of the change of size."""
        return np.abs(np.log(np.abs(self.factor)))

    def cost(self, points: Complex) -> Floats:
        """``H M``: how unlikely each similarity is for regions centered at points, ``M``."""
        whole = TURN * self.turn + SCALE * self.scale + MIRROR * self.mirrored
        cost: Floats = MOVE * np.abs(self.move(points) - points) + whole[:, None]
        return cost


@dataclass(frozen=True)
class Fit:
    """How regions fit.

    Attributes:
        likeness: ``N M``, the logarithm of how well each of N regions fits each of M known ones.
        foreign: ``N``, where a region's surroundings are turned, scaled or mirrored beyond what the network knows.
    """

    likeness: Floats
    foreign: Flags


def fit_regions(drawn: Moments, known: Moments, *, doubt: float = 1.0) -> Fit:
    """Fit known regions to those of a drawing, each under the similarity that suits it and the regions around it.

    Args:
        drawn: N regions, at least one.
        known: M regions, at least one.
        doubt: factor of the costs of similarities; higher for drawings that are near in time.
    """
    mine, theirs = (m[np.sort(np.argsort(-m.area, kind="stable")[:LARGEST])] for m in (drawn, known))
    weight = np.sqrt(mine.area)
    weight /= weight.sum()
    tried = Similarities.join(Similarities.identity(), _propose(mine, theirs))
    chosen = tried[_choose(tried, mine, theirs, weight, doubt)]
    refined = _refit(_refit(chosen, mine, theirs, weight), mine, theirs, weight)
    kept = Similarities.join(chosen, refined)
    every, cost = overlap(kept, known, drawn), doubt * kept.cost(known.center)
    whole = _support(overlap(kept, theirs, mine).max(2), weight)
    around = _around(every, drawn)
    support = NEIGHBORS * np.log(around + LEAST) + ALL * np.log(whole + LEAST)[:, None]
    likeness = (OWN * np.log(every + LEAST) + support[..., None] - cost[:, None]).max(0)
    leading = (support - np.take_along_axis(cost, every.argmax(2), 1)).argmax(0)
    foreign = kept.mirrored | (kept.turn > TURNED) | (kept.scale > SCALED)
    believed = around[leading, np.arange(len(drawn))] > SUPPORTED
    return Fit(likeness, foreign[leading] & believed)


def overlap(moved: Similarities, known: Moments, drawn: Moments) -> Floats:
    """``H N M``: how much each of N regions of a drawing overlaps each of M known ones once it is moved, in [0, 1]."""
    off = drawn.center[:, None] - moved.move(known.center)[:, None]
    spread = ((np.abs(moved.factor) ** 2)[:, None] * known.spread)[:, None] + 2 * SLACK**2
    stretch = (moved.factor[:, None] ** 2 * moved.seen(known.stretch))[:, None]
    own_spread, own_stretch = (drawn.spread + 2 * SLACK**2)[:, None], drawn.stretch[:, None]
    mean, long = (spread + own_spread) / 2, (stretch + own_stretch) / 2
    determinant = mean**2 - np.abs(long) ** 2
    distance = 2 * (mean * np.abs(off) ** 2 - (long.conj() * off**2).real) / determinant
    sizes = np.sqrt((spread**2 - np.abs(stretch) ** 2) * (own_spread**2 - np.abs(own_stretch) ** 2))
    coefficient: Floats = np.exp(-distance / 8) * np.sqrt(np.clip(sizes / determinant, 0, 1))
    return coefficient


def _neighbors(moments: Moments) -> Indices:
    """``N K``: the regions whose centers are nearest to each one's, itself among them."""
    points = np.stack([moments.center.real, moments.center.imag], 1)
    found = cKDTree(points).query(points, min(NEAR + 1, len(points)))[1]
    return np.asarray(found, np.intp).reshape(len(points), -1)


def _pairs(moments: Moments) -> tuple[Indices, Indices]:
    """Every region with each of its neighbors."""
    near = _neighbors(moments)
    first, second = np.repeat(np.arange(len(near)), near.shape[1]), near.ravel()
    apart = np.abs(moments.center[first] - moments.center[second]) > 0
    return first[apart], second[apart]


def _invariants(moments: Moments, first: Indices, second: Indices, *, mirrored: bool) -> Floats:
    """``P 6``: what no similarity changes about pairs of regions, or what their mirror images have."""
    step = moments.center[second] - moments.center[first]
    sizes = [np.log(moments.spread[k] / np.abs(step) ** 2) for k in (first, second)]
    long = [moments.stretch[k] / moments.spread[k] * (step.conj() / np.abs(step)) ** 2 for k in (first, second)]
    if mirrored:
        long = [x.conj() for x in long]
    return np.stack([*sizes, *(part for x in long for part in (x.real, x.imag))], 1)


def _propose(drawn: Moments, known: Moments) -> Similarities:
    """Similarities that take a pair of known regions to a pair of the drawing with the same invariants."""
    (i, k), (j, m) = _pairs(drawn), _pairs(known)
    found, off = [Similarities.identity()], [np.zeros(1)]
    for mirrored in (False, True) if len(i) and len(j) else ():
        tree = cKDTree(_invariants(known, j, m, mirrored=mirrored))
        distance, match = tree.query(_invariants(drawn, i, k, mirrored=False), [*range(1, min(AGREEING, len(j)) + 1)])
        own, other = np.repeat(np.arange(len(i)), match.shape[1]), match.ravel()
        start, end = known.center[j[other]], known.center[m[other]]
        if mirrored:
            start, end = start.conj(), end.conj()
        factor = (drawn.center[k] - drawn.center[i])[own] / (end - start)
        found.append(Similarities(factor, drawn.center[i][own] - factor * start, np.full(len(factor), mirrored)))
        off.append(distance.ravel())
    every = Similarities.join(*found)
    far = np.where(every.scale < np.log(LARGEST_SCALE), np.concatenate(off), np.inf)
    order = np.argsort(far, kind="stable")[:PROPOSED]
    return every[order[np.isfinite(far[order])]]


def _choose(tried: Similarities, mine: Moments, theirs: Moments, weight: Floats, doubt: float) -> Indices:
    """The similarities that together fit most of the drawing, best first."""
    every = overlap(tried, theirs, mine)
    support = NEIGHBORS * np.log(_around(every, mine) + LEAST)
    support += ALL * np.log(_support(every.max(2), weight) + LEAST)[:, None]
    cost = doubt * tried.cost(theirs.center)
    value = (OWN * np.log(every + LEAST) - cost[:, None]).max(2) + support
    best = np.full(len(mine), np.log(LEAST) * (OWN + NEIGHBORS + ALL))
    chosen: list[int] = []
    while len(chosen) < min(KEPT, len(tried)):
        gain = np.maximum(value - best, 0) @ weight
        leader = int(gain.argmax())
        if chosen and gain[leader] < LEAST_GAIN:
            break
        chosen.append(leader)
        best = np.maximum(best, value[leader])
    return np.array(chosen, np.intp)


def _around(every: Floats, moments: Moments) -> Floats:
    """``H N``: how well each similarity fits a region's neighbors, of overlaps ``H N M``."""
    around: Floats = (every.max(2) ** POWER)[:, _neighbors(moments)].mean(2)
    return around


def _support(best: Floats, weight: Floats) -> Floats:
    """``H``: how well each similarity fits the whole drawing, of each region's best overlap ``H N``."""
    support: Floats = best**POWER @ weight
    return support


def _refit(similar: Similarities, drawn: Moments, known: Moments, weight: Floats) -> Similarities:
    """Similarities that take the centers of the regions they bring together onto each other (least squares)."""
    every = overlap(similar, known, drawn)
    match, fit = every.argmax(2), every.max(2) ** POWER * weight
    share = fit / np.maximum(fit.sum(1, keepdims=True), 1e-12)
    there = similar.seen(known.center[match])
    middle, own = (share * there).sum(1), (share * drawn.center).sum(1)
    off = there - middle[:, None]
    size = (share * np.abs(off) ** 2).sum(1)
    factor = (share * off.conj() * (drawn.center - own[:, None])).sum(1) / np.maximum(size, 1e-12)
    steady = (size > 1e-6) & (np.abs(factor) > 1 / LARGEST_SCALE)
    factor = np.where(steady, factor, similar.factor)
    return Similarities(factor, own - factor * middle, similar.mirrored)
