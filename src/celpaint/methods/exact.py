"""Flat cels by matching: every closed region takes one colour of the references, bit for bit.

Pixels of a region vote for the reference's region that the matching finds there. Regions that match have about the same
size, which decides where votes are split.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from celpaint.conditions.regions import Labels, grow_regions, label_regions
from celpaint.types import Array

__all__ = ["ExactFill", "flat_palette"]

STRIDE = 16
"""What the network pads its pictures to."""

SIZE_WEIGHT = 0.4
"""How much regions of another size are disliked: off the logarithm of the votes, for each power of e in area."""

LEAST_SHARE = 0.02
"""Of the votes; so that none at all is no veto."""


class ExactFill:
    """The regions of painted references and their colours.

    Args:
        references: RGB ``H W 3`` and lines ``H W`` of each.
        work: height and width the matching works at.

    Attributes:
        maps: for every reference ``h w``, the number of the region that every pixel of the working size belongs to;
            numbers run on from reference to reference, 0 = none.
        colours: ``N 3``, the colour of every region.
        area: ``N``, their share of the picture.
    """

    def __init__(self, references: Sequence[tuple[Array, Array]], work: tuple[int, int]) -> None:
        self.work = work
        palette = flat_palette(references)
        self.maps: list[Labels] = []
        colours, area, count = [palette[:1]], [np.ones(1)], 0
        for rgb, line in references:
            labels = label_regions(line)
            grown, regions = grow_regions(labels), int(labels.max())
            near = np.argmin((palette**2).sum(1) - 2 * rgb @ palette.T, axis=2)
            votes = _count(labels, near, len(palette), np.ones(line.shape))[1:]
            colours.append(palette[votes.argmax(1)])
            area.append(votes.sum(1) / line.size)
            self.maps.append(self.shrink(np.where(grown > 0, grown + count, 0).astype(np.int32)))
            count += regions
        self.colours, self.area = np.concatenate(colours), np.concatenate(area)

    def shrink(self, labels: Labels) -> Labels:
        """``H W`` to the working size, nearest pixels."""
        small: Labels = labels[_near(self.work[0], labels.shape[0])][:, _near(self.work[1], labels.shape[1])]
        return small

    def fill(self, line: Array, confidence: Array, maps: Sequence[Labels], x: Array, y: Array) -> tuple[Array, Labels]:
        """Give every region of a drawing the colour of one of the references' regions.

        Args:
            line: ``H W``.
            confidence: ``H W``, the weight of every pixel's vote.
            maps: ``maps`` of the references, then what this returned for drawings that served as references.
            x: ``h w`` at the working size, padded so that 16 divides it: where every pixel is found, in pixels of all
                references one below another.
            y: ``h w``, as x.

        Returns:
            RGB ``H W 3``, and the number of the region that every pixel is like, ``H W``.
        """
        pad = [(0, -side % STRIDE) for side in self.work]
        tall = np.concatenate([np.pad(m, pad, mode="edge") for m in maps])
        found = tall[y.astype(int), x.astype(int)][: self.work[0], : self.work[1]]
        found = found[_near(line.shape[0], self.work[0])][:, _near(line.shape[1], self.work[1])]
        labels = label_regions(line)
        votes = _count(labels, found, len(self.area), confidence + 1e-3)
        share = votes / np.maximum(votes.sum(1, keepdims=True), 1e-9)
        area = np.bincount(labels.ravel(), minlength=len(votes)) / line.size
        unlike = np.abs(np.log(np.maximum(area, 1e-9))[:, None] - np.log(np.maximum(self.area, 1e-9)))
        score = np.log(share + LEAST_SHARE) - SIZE_WEIGHT * unlike
        score[:, 0] = -np.inf if len(self.area) > 1 else 0.0
        chosen = score.argmax(1).astype(np.int32)[grow_regions(labels)]
        filled: Array = self.colours[chosen]
        return filled, chosen


def _near(size: int, of: int) -> npt.NDArray[np.intp]:
    """The nearest of ``of`` pixels to each of ``size`` that cover the same."""
    return np.asarray(((np.arange(size) + 0.5) * of / size).astype(np.intp))


def _count(
    labels: Labels, kinds: npt.NDArray[np.integer], count: int, weight: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """``labels.max() + 1  count``: the weight of every kind in every region."""
    regions = int(labels.max()) + 1
    votes = np.bincount((labels.astype(np.int64) * count + kinds).ravel(), weight.ravel(), regions * count)
    return np.asarray(votes.reshape(regions, count), np.float64)


def flat_palette(painted: Sequence[tuple[Array, Array]], most: int = 256) -> Array:
    """The colours that references are painted with, bit for bit.

    A colour counts where a pixel and its four neighbours have it and no ink lies: what is mixed at edges drops out.

    Args:
        painted: RGB ``H W 3`` and lines ``H W`` of each reference.
        most: the colours that cover most are kept.

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
        flat = rgb[same & (line < 0.25)]
        found.append(flat if len(flat) else rgb.reshape(-1, 3))
    colours, counts = np.unique(np.concatenate(found), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    kept = order[: max(1, int((counts[order[:most]] >= max(4, counts.sum() * 1e-5)).sum()))]
    palette: Array = colours[kept]
    return palette
