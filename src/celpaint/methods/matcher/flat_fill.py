"""Flat fills: every closed region of a drawing takes one color of the references.

Each region of a drawing is compared with those of every drawing whose colors are known: by what the network finds,
there and back, by size and by place. Then neighbors support each other: a region is another the more likely the more
of its border runs along regions that are that one's neighbors (relaxation labeling, Rosenfeld, Hummel and Zucker,
"Scene labeling by relaxation operations", IEEE Transactions on Systems, Man, and Cybernetics 6, 1976). The color that
is likeliest in sum is taken. This is done twice: first part by part, which shows what belongs together, then region by
region, with the shapes of regions and with parts moved onto each other in the place of nearness.

The paintings say what a region is. Where their closed regions hold one color each, closed regions are filled as a
whole; where two colors meet in an open line, the gap is closed in the painting and in all drawings alike.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from celpaint.conditions.lines import working_lines
from celpaint.conditions.regions import Labels, grow_regions, label_regions
from celpaint.methods.matcher.region_alignment import Moments, fit_regions
from celpaint.methods.matcher.region_paint import make_palette, read_paint
from celpaint.types import Array

__all__ = ["Drawing", "FlatFill", "Found", "Known"]

log = logging.getLogger("celpaint")

STRIDE = 16
"""What the network pads its pictures to."""

BACK, AREA, PLACE = 1.5, 0.2, 1.5
"""Weights, where that of the logarithm of a region's own votes is 1: of the logarithm of the share of votes that a
known region gives back, of each power of e in area, and of each diagonal of the picture between the centers."""

SHAPE, LEAST_FIT = 0.5, -8.5
"""Weight of each power of e in how compact a region is, and the least logarithm of how well one fits another."""

FOREIGN = 0.3
"""Weight of the network's votes where a drawing is turned, scaled or mirrored beyond what the network has learned."""

NEAR_IN_TIME = 3.0
"""What moving, turning and scaling cost between drawings that follow each other, against a painted reference."""

LEAST_SHARE = 0.02
"""Smallest share of votes, so that a region without votes is not excluded."""

ROUNDS = 4
"""Rounds in which the scores of neighboring regions influence each other."""

EVIDENCE, NEIGHBORS = 0.6, 2.0
"""Weights of what is said above and of the logarithm of the neighbors' support, once that is heard."""

LEAST_SUPPORT = 0.05
"""Of neighbors; so that none at all is no veto."""

REMEMBERED = 0.3
"""What a drawing colored by us weighs against a painted reference."""

GAPS = (0.0, 1 / 90, 1 / 45, 1 / 24, 1 / 16)
"""Widest gap in a line that is closed, in the picture's smaller sides; the first that suits a painting is taken."""

USUAL_GAP = GAPS[1]
"""What is closed even where no painting has a gap."""

LEAK = 0.003
"""Share of a painting that may have another color than its region before wider gaps are tried."""

FLAT = 0.02
"""Share of the pixels of flat paintings that may differ visibly from the color of their region."""

APART, FAR_APART = 2.0, 3.0
"""Logarithm of how much likelier its own color must be than the closed region's, for a part that is joined to it
through a gap to be filled by itself: where the paintings have such gaps, and where they have none."""

UNLIKELY = 1e-4
"""Added to the share of every color."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Drawing:
    """The regions of a drawing. All that is listed by region begins with number 0, ink or nothing.

    Attributes:
        labels: ``H W`` from 1 on, 0 = ink.
        grown: ``H W``, with ink given to the nearest region.
        small: ``h w``, that at the working size, where the smallest regions may be missing.
        closed: ``N+1``, the number of the closed region that each is all or part of.
        border: ``N+1 N+1``, how long two regions run along each other, in pixels.
    """

    labels: Labels
    grown: Labels
    small: Labels
    closed: npt.NDArray[np.int64]
    border: csr_array

    @classmethod
    def of(cls, labels: Labels, closed: Labels, work: tuple[int, int]) -> Drawing:
        """What is known of regions.

        Args:
            labels: ``H W`` from 1 on, 0 = ink.
            closed: the same, where no gap is closed.
            work: height and width the matching works at.
        """
        grown, count = grow_regions(labels), int(labels.max()) + 1
        small = grown[_near(work[0], labels.shape[0])][:, _near(work[1], labels.shape[1])]
        edges = [(grown[1:], grown[:-1]), (grown[:, 1:], grown[:, :-1])]
        a, b = (np.concatenate([pair[i][pair[0] != pair[1]] for pair in edges]) for i in (0, 1))
        border = csr_array((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), shape=(count, count))
        whole = np.zeros(count, np.int64)
        whole[labels.ravel()] = closed.ravel()
        return cls(labels, grown, small, whole, border)

    @cached_property
    def moments(self) -> Moments:
        """``N+1``: size, place and shape."""
        return Moments.of(self.labels, len(self))

    def join(self, paint: npt.NDArray[np.int64]) -> tuple[Drawing, npt.NDArray[np.int64]]:
        """The parts of each closed region that are painted alike, made one.

        Args:
            paint: ``N+1``, the color of each.

        Returns:
            the drawing, and the new number of each region, ``N+1``.
        """
        kinds = self.closed * (int(paint.max()) + 1) + paint
        kinds[0] = -1
        number = np.unique(kinds, return_inverse=True)[1].astype(np.int64)
        labels = number[self.labels].astype(np.int32)
        return Drawing.of(labels, self.closed[self.labels].astype(np.int32), self.small.shape), number

    def __len__(self) -> int:
        return len(self.closed)


@dataclass(frozen=True)
class Known:
    """A drawing whose regions have colors.

    Attributes:
        drawing: what it encloses.
        paint: ``N+1``, the number in the palette of every region's color.
        trust: 1 for a painted reference.
    """

    drawing: Drawing
    paint: npt.NDArray[np.int64]
    trust: float = REMEMBERED

    @cached_property
    def joined(self) -> tuple[Known, npt.NDArray[np.int64]]:
        """The same, with parts of one color made one, and the new number of each region."""
        drawing, number = self.drawing.join(self.paint)
        paint = np.zeros(len(drawing), np.int64)
        paint[number] = self.paint
        return Known(drawing, paint, self.trust), number


class Found(NamedTuple):
    """Where the pixels of a drawing are found, ``h w`` each, at the working size.

    Attributes:
        x, y: in pixels of all known drawings one below another, each padded so that 16 divides its height.
        weight: of every pixel's vote.
    """

    x: Array
    y: Array
    weight: Array


class FlatFill:
    """Fills drawings with the colors of painted references.

    Args:
        references: RGB ``H W 3`` and lines ``H W`` of each.
        work: height and width the matching works at.

    Attributes:
        gap: widest gap in a line that is closed, in pixels; 0 where closed regions hold one color each.
        palette: ``K 3``, see :func:`celpaint.methods.matcher.region_paint.make_palette`.
        known: the references.
    """

    def __init__(self, references: Sequence[tuple[Array, Array]], work: tuple[int, int]) -> None:
        self.work = work
        self.gap = max(_gap(rgb, line, work) for rgb, line in references)
        drawings = [self._reference(rgb, line) for rgb, line in references]
        paints = [read_paint(rgb, drawing.labels) for (rgb, _), drawing in zip(references, drawings, strict=True)]
        self.palette, numbers = make_palette(paints)
        self.known = [Known(drawing, paint, 1.0) for drawing, paint in zip(drawings, numbers, strict=True)]
        self._paints = paints

    @property
    def suitable(self) -> bool:
        """Whether the references are flat: each region one color, or so near that compression or noise explains it."""
        return self._uneven <= FLAT

    @property
    def reason(self) -> tuple[str, float]:
        """Why flat fills suit the references or not: a message and its argument."""
        if self.suitable:
            told = (
                "each region of the paintings has one color (%.1f %% of the pixels differ), so each region is filled "
            )
            return (
                told + "with one color, which measures better on such paintings; --flat off blends colors",
                100 * self._uneven,
            )
        told = (
            "the paintings have shades within regions (%.0f %% of the pixels), so colors are blended; --flat on fills "
        )
        return told + "each region with one color", 100 * self._uneven

    @property
    def _uneven(self) -> float:
        return max(paint.uneven for paint in self._paints)

    def report(self) -> None:
        """Say what was inferred from the references."""
        regions = sum(len(p.area) - 1 for p in self._paints)
        inferred = sum(int((~p.exact & ~p.mixed)[1:].sum()) for p in self._paints)
        log.info("flat fills: %d regions of the paintings show %d colors", regions, len(self.palette))
        if inferred:
            log.info(
                "%d of these regions have no exact color, because of compression, resampling or noise; they take the "
                "color that most of their pixels are near, good to about %d of 255",
                inferred,
                max(1, round(255 * max(p.noise for p in self._paints))),
            )
        if self.gap:
            log.info("the paintings' lines have gaps between colors; gaps up to %d pixels are closed", round(self.gap))

    def enclose(self, line: Array) -> Drawing:
        """The regions that lines ``H W`` enclose."""
        parts = label_regions(line, gap=max(self.gap, USUAL_GAP * min(line.shape)))
        return Drawing.of(parts, label_regions(line, gap=0), self.work)

    def _reference(self, rgb: Array, line: Array) -> Drawing:
        """A painted drawing: parts of a closed region are one where they are painted alike."""
        parts = self.enclose(line)
        _, (paint,) = make_palette([read_paint(rgb, parts.labels)])
        return parts.join(paint)[0]

    def fill(
        self, drawing: Drawing, known: Sequence[Known], found: Sequence[Found], votes: Array
    ) -> tuple[Array, Known]:
        """Give every region of a drawing one of the references' colors.

        Args:
            drawing: what is to be filled.
            known: what it was matched with.
            found: where its pixels are found there, by whatever means.
            votes: ``P S``, how much of each of their regions the network finds in each of the drawing's, both numbered
                as in ``Drawing.small``.

        Returns:
            RGB ``H W 3``, and the drawing as one known from now on.
        """
        there = np.sum([self._votes(drawing, known, each) for each in found], axis=0)
        back = _widened(votes, drawing, known)
        first = self._paint(drawing, self._likely(drawing, known, there, back, _by_place))
        whole, number = drawing.join(first)
        others, numbers = zip(*(k.joined for k in known), strict=True)
        there, back = (_summed(x, number, numbers) for x in (there, back))
        paint = self._paint(whole, self._likely(whole, others, there, back, _by_shape))[number]
        filled: Array = self.palette[paint[drawing.grown]]
        return filled, Known(drawing, paint)

    def _likely(
        self, drawing: Drawing, known: Sequence[Known], there: Floats, back: Floats, evidence: Evidence
    ) -> Floats:
        """``N+1 K``: how likely each region has each color, of how often each is found in all known ones."""
        there = there / np.maximum(there.sum(1, keepdims=True), 1e-9)
        back = back / np.maximum(back.sum(0), 1e-9)
        edges = np.cumsum([len(k.drawing) for k in known])[:-1]
        shares = zip(known, np.split(there, edges, 1), np.split(back, edges, 1), strict=True)
        scores = [_relaxed(drawing, k, evidence(drawing, k, t, b)) for k, t, b in shares]
        color = np.eye(len(self.palette))[np.concatenate([k.paint for k in known])]
        likely: Floats = _softmax(np.concatenate(scores, 1)) @ color
        return likely

    def _paint(self, drawing: Drawing, likely: Floats) -> npt.NDArray[np.int64]:
        """``N+1``: one color for each closed region, but for parts that are surely of another.

        Args:
            likely: ``N+1 K``, of every color.
        """
        shares = np.log(likely + UNLIKELY)
        closed = np.zeros((int(drawing.closed.max()) + 1, shares.shape[1]))
        np.add.at(closed, drawing.closed, shares * drawing.moments.area[:, None])
        whole = closed.argmax(1)[drawing.closed]
        better = shares.max(1) - np.take_along_axis(shares, whole[:, None], 1)[:, 0]
        apart = better > (APART if self.gap else FAR_APART)
        return np.asarray(np.where(apart, shares.argmax(1), whole), np.int64)

    def _votes(self, drawing: Drawing, known: Sequence[Known], found: Found) -> Floats:
        """``N+1 M``: the votes of every region's pixels for all known regions, numbered on from drawing to drawing."""
        pad = [(0, -side % STRIDE) for side in self.work]
        start = np.cumsum([0, *(len(k.drawing) for k in known)])
        tall = np.concatenate(
            [np.pad(k.drawing.small, pad, mode="edge") + s for k, s in zip(known, start, strict=False)]
        )
        size = drawing.labels.shape
        rows, columns = _near(size[0], self.work[0]), _near(size[1], self.work[1])
        regions = tall[found.y.astype(int), found.x.astype(int)][rows][:, columns]
        return _count(drawing.labels, regions, len(drawing), int(start[-1]), found.weight[rows][:, columns] + 1e-3)


Evidence = Callable[[Drawing, Known, Floats, Floats], Floats]
"""A drawing with N regions, a known one with M, the share ``N+1 M+1`` of each region's pixels found in each known one,
and the share of each known region's votes that each gives -> logarithms, ``N+1 M+1``."""


def _by_place(drawing: Drawing, known: Known, there: Floats, back: Floats) -> Floats:
    """What the network finds, size and place."""
    mine, theirs = drawing.moments, known.drawing.moments
    evidence: Floats = _votes_for(there, back) - AREA * _ratio(mine.area, theirs.area)
    evidence -= PLACE * np.abs(mine.center[:, None] - theirs.center)
    return evidence


def _by_shape(drawing: Drawing, known: Known, there: Floats, back: Floats) -> Floats:
    """What the network finds, size, shape, and how parts fit when they are moved onto each other."""
    mine, theirs = drawing.moments, known.drawing.moments
    i, j = (np.flatnonzero(m.area[1:] > 0) + 1 for m in (mine, theirs))
    fitting = np.full(there.shape, LEAST_FIT)
    weight = np.ones((len(drawing), 1))
    if len(i) and len(j):
        fit = fit_regions(mine[i], theirs[j], doubt=1.0 if known.trust == 1 else NEAR_IN_TIME)
        fitting[np.ix_(i, j)] = np.maximum(fit.likeness, LEAST_FIT)
        weight[i[fit.foreign]] = FOREIGN
    evidence: Floats = weight * _votes_for(there, back) + fitting - AREA * _ratio(mine.area, theirs.area)
    evidence -= SHAPE * _ratio(*(m.spread / np.maximum(m.area, 1e-9) for m in (mine, theirs)))
    return evidence


def _votes_for(there: Floats, back: Floats) -> Floats:
    votes: Floats = np.log(there + LEAST_SHARE) + BACK * np.log(back + LEAST_SHARE)
    return votes


def _ratio(mine: Floats, theirs: Floats) -> Floats:
    """``N M``: the absolute logarithm of the ratio of each to each."""
    first, second = (np.log(np.maximum(x, 1e-9)) for x in (mine, theirs))
    ratio: Floats = np.abs(first[:, None] - second)
    return ratio


def _relaxed(drawing: Drawing, known: Known, evidence: Floats) -> Floats:
    """Evidence ``N+1 M+1`` -> how likely every region is every known one: logarithms, less a constant."""
    if len(known.drawing) > 1:
        evidence[:, 0] = -np.inf
    around = np.maximum(drawing.border.sum(1), 1)[:, None]
    beside = known.drawing.border.sign()
    score = evidence
    for _ in range(ROUNDS):
        support = drawing.border @ _softmax(score) @ beside / around
        score = EVIDENCE * evidence + NEIGHBORS * np.log(support + LEAST_SUPPORT)
    trusted: Floats = score + np.log(known.trust)
    return trusted


def _widened(votes: Array, drawing: Drawing, known: Sequence[Known]) -> Floats:
    """Votes ``P S`` between regions at the working size -> between all, ``N+1 M``, numbered on."""
    wide, first, taken = np.zeros((len(drawing), sum(len(k.drawing) for k in known))), 0, 0
    for k in known:
        count = int(k.drawing.small.max()) + 1
        wide[: len(votes), first : first + count] = votes[:, taken : taken + count]
        first, taken = first + len(k.drawing), taken + count
    return wide


def _summed(x: Floats, rows: npt.NDArray[np.int64], columns: Sequence[npt.NDArray[np.int64]]) -> Floats:
    """A table of old regions by old known ones -> of new ones, whose numbers are given; known ones are numbered on."""
    first = np.cumsum([0, *(int(c.max()) + 1 for c in columns)])
    places = np.concatenate([c + n for c, n in zip(columns, first, strict=False)])
    left = csr_array((np.ones(len(rows)), (rows, np.arange(len(rows)))))
    right = csr_array((np.ones(len(places)), (np.arange(len(places)), places)))
    summed: Floats = left @ x @ right
    return summed


def _softmax(logits: Floats) -> Floats:
    """Along the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    shares: Floats = powers / powers.sum(-1, keepdims=True)
    return shares


def _near(size: int, of: int) -> npt.NDArray[np.intp]:
    """The nearest of ``of`` pixels to each of ``size`` that cover the same."""
    return np.asarray(((np.arange(size) + 0.5) * of / size).astype(np.intp))


def _count(
    labels: Labels, kinds: npt.NDArray[np.integer], regions: int, count: int, weight: npt.NDArray[np.floating]
) -> Floats:
    """``regions count``: the weight of every kind in every region."""
    votes = np.bincount((labels.astype(np.int64) * count + kinds).ravel(), weight.ravel(), regions * count)
    return np.asarray(votes.reshape(regions, count), np.float64)


def _gap(rgb: Array, line: Array, work: tuple[int, int]) -> float:
    """The smallest of :data:`GAPS`, in pixels, at which a painting's regions hold one color each; seen at ``work``."""
    height, width = line.shape
    small, seen = working_lines(line, work), rgb[_near(work[0], height)][:, _near(work[1], width)]
    leaks: list[float] = []
    for share in GAPS:
        leaks.append(read_paint(seen, label_regions(small, gap=share * min(work))).leaked)
        if leaks[-1] <= LEAK:
            break
    suits = next(share for share, leak in zip(GAPS, leaks, strict=False) if leak <= min(leaks) + LEAK)
    return suits * float(min(line.shape))
