"""Flat cels by matching: every closed region takes one color of the references, bit for bit.

Each region of a drawing is compared with those of every drawing whose colors are known: by what the network finds,
there and back, by size and by place. Then neighbors support each other: a region is another the more likely the more
of its border runs along regions that are that one's neighbors (relaxation labeling, Rosenfeld, Hummel and Zucker,
"Scene labeling by relaxation operations", IEEE Transactions on Systems, Man, and Cybernetics 6, 1976). The color that
is likeliest in sum is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from celpaint.conditions.regions import INK_THRESHOLD, Labels, grow_regions, label_regions
from celpaint.types import Array

__all__ = ["Drawing", "ExactFill", "Found", "Known", "flat_palette"]

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

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Drawing:
    """The regions of a drawing. All that is listed by region begins with number 0, ink or nothing.

    Attributes:
        labels: ``H W`` from 1 on, 0 = ink.
        grown: ``H W``, with ink given to the nearest region.
        small: ``h w``, that at the working size, where the smallest regions may be missing.
        area: ``N+1``, share of the picture.
        center: ``N+1 2``, in diagonals of the picture.
        border: ``N+1 N+1``, how long two regions run along each other, in pixels.
    """

    labels: Labels
    grown: Labels
    small: Labels
    area: Floats
    center: Floats
    border: csr_array

    @classmethod
    def of(cls, line: Array, work: tuple[int, int]) -> Drawing:
        """The regions that lines ``H W`` enclose, for matching at ``work``, height and width."""
        labels = label_regions(line)
        grown, count = grow_regions(labels), int(labels.max()) + 1
        small = grown[_near(work[0], line.shape[0])][:, _near(work[1], line.shape[1])]
        area = np.bincount(labels.ravel(), minlength=count)
        y, x = (_sums(labels, axis, count) / np.maximum(area, 1) for axis in (0, 1))
        edges = [(grown[1:], grown[:-1]), (grown[:, 1:], grown[:, :-1])]
        a, b = (np.concatenate([pair[i][pair[0] != pair[1]] for pair in edges]) for i in (0, 1))
        border = csr_array((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), shape=(count, count))
        center = np.stack([x, y], 1) / np.hypot(*line.shape)
        return cls(labels, grown, small, area / line.size, center, border)

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


class ExactFill:
    """Fills drawings with the colors of painted references.

    Args:
        references: RGB ``H W 3`` and lines ``H W`` of each.
        work: height and width the matching works at.

    Attributes:
        palette: ``K 3``, see :func:`flat_palette`.
        known: the references.
    """

    def __init__(self, references: Sequence[tuple[Array, Array]], work: tuple[int, int]) -> None:
        self.work = work
        self.palette = flat_palette(references)
        self.known: list[Known] = []
        for rgb, line in references:
            drawing = Drawing.of(line, work)
            near = np.argmin((self.palette**2).sum(1) - 2 * rgb @ self.palette.T, axis=2)
            shown = _count(drawing.labels, near, len(drawing), len(self.palette), np.ones(line.shape))
            shown[0] = 0
            self.known.append(Known(drawing, shown.argmax(1), 1.0))

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
        paint = (likely @ color).argmax(1)
        filled: Array = self.palette[paint[drawing.grown]]
        return filled, Known(drawing, paint)

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


def flat_palette(painted: Sequence[tuple[Array, Array]], most: int = 256) -> Array:
    """The colors that references are painted with, bit for bit.

    A color counts where a pixel and its four neighbors have it and no ink lies: what is mixed at edges drops out.

    Args:
        painted: RGB ``H W 3`` and lines ``H W`` of each reference.
        most: the colors that cover most are kept.

    Returns:
        ``K 3``, most used first, at least one.
    """
    found = []
    for rgb, line in painted:
        same = np.ones(line.shape, bool)
        for axis in (0, 1):
            differ = (np.diff(rgb, axis=axis) != 0).any(-1)
            before = [slice(None)] * 2
            after = [slice(None)] * 2
            before[axis], after[axis] = slice(None, -1), slice(1, None)
            same[tuple(before)] &= ~differ
            same[tuple(after)] &= ~differ
        flat = rgb[same & (line < INK_THRESHOLD)]
        found.append(flat if len(flat) else rgb.reshape(-1, 3))
    colors, counts = np.unique(np.concatenate(found), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    kept = order[: max(1, int((counts[order[:most]] >= max(4, counts.sum() * 1e-5)).sum()))]
    palette: Array = colors[kept]
    return palette
