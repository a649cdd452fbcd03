"""Flat fills: every closed region of a drawing takes one color of the references.

Each region of a drawing is compared with those of every drawing whose colors are known: by what the network finds,
there and back, by size and by place. Then neighbors support each other: a region is another the more likely the more
of its border runs along regions that are that one's neighbors (relaxation labeling, Rosenfeld, Hummel and Zucker,
"Scene labeling by relaxation operations", IEEE Transactions on Systems, Man, and Cybernetics 6, 1976). The color that
is likeliest in sum is taken.

The paintings say what a region is. Where their closed regions hold one color each, closed regions are filled as a
whole; where two colors meet in an open line, the gap is closed in the painting and in all drawings alike.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from celpaint.conditions.regions import Labels, grow_regions, label_regions
from celpaint.methods.matcher.region_paint import RegionPaint, make_palette, read_paint
from celpaint.types import Array

__all__ = ["Drawing", "FlatFill", "Found", "Known"]

log = logging.getLogger("celpaint")

STRIDE = 16
"""What the network pads its pictures to."""

BACK, AREA, PLACE = 1.5, 0.2, 1.5
"""Weights, where that of the logarithm of a region's own votes is 1: of the logarithm of the share of votes that a
known region gives back, of each power of e in area, and of each diagonal of the picture between the centers."""

LEAST_SHARE = 0.02
"""Of votes; so that none at all is no veto."""

ROUNDS = 4
"""In which neighbors hear of each other."""

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
        area: ``N+1``, share of the picture.
        center: ``N+1 2``, in diagonals of the picture.
        border: ``N+1 N+1``, how long two regions run along each other, in pixels.
    """

    labels: Labels
    grown: Labels
    small: Labels
    closed: npt.NDArray[np.int64]
    area: Floats
    center: Floats
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
        pixels = np.bincount(labels.ravel(), minlength=count)
        y, x = (_sums(labels, axis, count) / np.maximum(pixels, 1) for axis in (0, 1))
        edges = [(grown[1:], grown[:-1]), (grown[:, 1:], grown[:, :-1])]
        a, b = (np.concatenate([pair[i][pair[0] != pair[1]] for pair in edges]) for i in (0, 1))
        border = csr_array((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), shape=(count, count))
        center = np.stack([x, y], 1) / np.hypot(*labels.shape)
        whole = np.zeros(count, np.int64)
        whole[labels.ravel()] = closed.ravel()
        return cls(labels, grown, small, whole, pixels / labels.size, center, border)

    def __len__(self) -> int:
        return len(self.area)


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
        self.gap = max(_gap(rgb, line) for rgb, line in references)
        drawings = [self._reference(rgb, line) for rgb, line in references]
        paints = [read_paint(rgb, drawing.labels) for (rgb, _), drawing in zip(references, drawings, strict=True)]
        self.palette, numbers = make_palette(paints)
        self.known = [Known(drawing, paint, 1.0) for drawing, paint in zip(drawings, numbers, strict=True)]
        _report(paints, len(self.palette), self.gap)

    def enclose(self, line: Array) -> Drawing:
        """The regions that lines ``H W`` enclose."""
        return Drawing.of(self._parts(line), label_regions(line, gap=0), self.work)

    def _parts(self, line: Array) -> Labels:
        return label_regions(line, gap=max(self.gap, USUAL_GAP * min(line.shape)))

    def _reference(self, rgb: Array, line: Array) -> Drawing:
        """A painted drawing: parts of a closed region are one where they are painted alike."""
        labels, closed = self._parts(line), label_regions(line, gap=0)
        _, (paint,) = make_palette([read_paint(rgb, labels)])
        kinds = np.where(labels > 0, closed.astype(np.int64) * (int(paint.max()) + 1) + paint[labels], -1)
        joined = np.unique(np.append(kinds, -1), return_inverse=True)[1][:-1].reshape(labels.shape)
        return Drawing.of(joined.astype(np.int32), closed, self.work)

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
        there /= np.maximum(there.sum(1, keepdims=True), 1e-9)
        back = votes / np.maximum(votes.sum(0), 1e-9)
        scores, first, first_vote = [], 0, 0
        for k in known:
            last, last_vote = first + len(k.drawing), first_vote + int(k.drawing.small.max()) + 1
            given = np.zeros((len(drawing), len(k.drawing)))
            given[: len(back), : last_vote - first_vote] = back[:, first_vote:last_vote]
            scores.append(_likeness(drawing, k, there[:, first:last], given))
            first, first_vote = last, last_vote
        likely = _softmax(np.concatenate(scores, 1))
        color = np.eye(len(self.palette))[np.concatenate([k.paint for k in known])]
        paint = self._paint(drawing, likely @ color)
        filled: Array = self.palette[paint[drawing.grown]]
        return filled, Known(drawing, paint)

    def _paint(self, drawing: Drawing, likely: Floats) -> npt.NDArray[np.int64]:
        """``N+1``: one color for each closed region, but for parts that are surely of another.

        Args:
            likely: ``N+1 K``, of every color.
        """
        shares = np.log(likely + UNLIKELY)
        closed = np.zeros((int(drawing.closed.max()) + 1, shares.shape[1]))
        np.add.at(closed, drawing.closed, shares * drawing.area[:, None])
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


def _likeness(drawing: Drawing, known: Known, there: Floats, back: Floats) -> Floats:
    """How likely every region of a drawing is every region of a known one: logarithms ``N+1 M+1``, less a constant.

    Args:
        drawing: with N regions; known: with M.
        there: ``N+1 M+1``, share of each region's pixels found in each known one.
        back: ``N+1 M+1``, share of each known region's votes that each gives.
    """
    evidence = np.log(there + LEAST_SHARE) + BACK * np.log(back + LEAST_SHARE)
    mine, theirs = (np.log(np.maximum(d.area, 1e-9)) for d in (drawing, known.drawing))
    evidence -= AREA * np.abs(mine[:, None] - theirs)
    evidence -= PLACE * np.linalg.norm(drawing.center[:, None] - known.drawing.center, axis=2)
    if len(known.drawing) > 1:
        evidence[:, 0] = -np.inf
    around = np.maximum(drawing.border.sum(1), 1)[:, None]
    beside = known.drawing.border.sign()
    score: Floats = evidence
    for _ in range(ROUNDS):
        support = drawing.border @ _softmax(score) @ beside / around
        score = EVIDENCE * evidence + NEIGHBORS * np.log(support + LEAST_SUPPORT)
    trusted: Floats = score + np.log(known.trust)
    return trusted


def _softmax(logits: Floats) -> Floats:
    """Along the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    shares: Floats = powers / powers.sum(-1, keepdims=True)
    return shares


def _sums(labels: Labels, axis: int, count: int) -> Floats:
    """Of the coordinates along an axis, by region."""
    shape = [1, 1]
    shape[axis] = -1
    place = np.broadcast_to(np.arange(labels.shape[axis], dtype=np.float64).reshape(shape), labels.shape)
    return np.asarray(np.bincount(labels.ravel(), place.ravel(), count), np.float64)


def _near(size: int, of: int) -> npt.NDArray[np.intp]:
    """The nearest of ``of`` pixels to each of ``size`` that cover the same."""
    return np.asarray(((np.arange(size) + 0.5) * of / size).astype(np.intp))


def _count(
    labels: Labels, kinds: npt.NDArray[np.integer], regions: int, count: int, weight: npt.NDArray[np.floating]
) -> Floats:
    """``regions count``: the weight of every kind in every region."""
    votes = np.bincount((labels.astype(np.int64) * count + kinds).ravel(), weight.ravel(), regions * count)
    return np.asarray(votes.reshape(regions, count), np.float64)


def _gap(rgb: Array, line: Array) -> float:
    """The smallest of :data:`GAPS`, in pixels, at which the regions of a painting hold one color each."""
    sizes = [share * float(min(line.shape)) for share in GAPS]
    leaks: list[float] = []
    for gap in sizes:
        leaks.append(read_paint(rgb, label_regions(line, gap=gap)).mixed)
        if leaks[-1] <= LEAK:
            return gap
    return next(gap for gap, leak in zip(sizes, leaks, strict=True) if leak <= min(leaks) + LEAK)


def _report(paints: Sequence[RegionPaint], colors: int, gap: float) -> None:
    """Say what was inferred."""
    shown, exact = (sum(int(getattr(p, name)[1:].sum()) for p in paints) for name in ("shown", "exact"))
    log.info("flat fills: %d regions of the paintings show %d colors", shown, colors)
    if exact < shown:
        noise = max(1, round(255 * max(p.noise for p in paints)))
        log.info(
            "%d of these regions have no exact color, because of compression, resampling or noise; they take the color "
            "that most of their pixels are near, good to about %d of 255",
            shown - exact,
            noise,
        )
    if gap:
        log.info("the paintings' lines have gaps between colors; gaps up to %d pixels are closed", round(gap))
