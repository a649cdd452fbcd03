"""Baselines that need no learning under the same protocol as the methods.

Each is a :class:`~celpaint.methods.base.Method` without weights or options. A method that does not beat them is not
worth its weights.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from celpaint.conditions.flow import line_flow, warp
from celpaint.conditions.regions import grow_regions, label_regions
from celpaint.frames.color import to_float
from celpaint.methods.base import Method
from celpaint.metrics.segments import LARGE, color_codes, majority_colors
from celpaint.types import Array, Chunk, ColorizedFrame, DrawingColored, Progress, Reference, Shot, State, silent

__all__ = ["BASELINES", "ChainedFlow", "CopyReference", "DirectFlow", "SegmentMatcher", "match_regions"]

Labels = npt.NDArray[np.int32]

MOST = 2000
"""Regions matched at most; matching takes memory with their square."""


class _FrameByFrame(Method):
    """A method that colors one drawing after the other."""

    def color(
        self, shot: Shot, *, done: int = 0, state: State | None = None, progress: Progress = silent
    ) -> Iterator[Chunk]:
        state = state or {}
        for index in range(done, len(shot)):
            rgb, state = self.paint(shot, index, state)
            progress(DrawingColored(index + 1, len(shot)))
            yield Chunk((index,), (ColorizedFrame(np.ascontiguousarray(rgb, np.float32)),), state)

    @abstractmethod
    def paint(self, shot: Shot, index: int, state: State) -> tuple[Array, State]:
        """Drawing ``index`` colored, and the state to color the next with."""


def nearest_reference(shot: Shot, index: int) -> Reference:
    """The reference fewest frames away; one that belongs to no frame is farther than any other."""
    return min(shot.references, key=lambda r: len(shot) if r.frame is None else abs(r.frame - index))


class CopyReference(_FrameByFrame):
    """The nearest reference, as it is: the score of not coloring at all."""

    def paint(self, shot: Shot, index: int, state: State) -> tuple[Array, State]:
        return nearest_reference(shot, index).rgb, {}


class DirectFlow(_FrameByFrame):
    """The nearest reference, warped by the optical flow from the drawing straight to the reference's lines."""

    def paint(self, shot: Shot, index: int, state: State) -> tuple[Array, State]:
        reference = nearest_reference(shot, index)
        return warp(reference.rgb, line_flow(shot.lines[index], reference.line)), {}


class ChainedFlow(_FrameByFrame):
    """The reference, warped by optical flow from drawing to drawing.

    The flows are composed and the reference is sampled once, so that it does not blur a little more with every frame.
    A painted frame begins the chain anew.
    """

    def paint(self, shot: Shot, index: int, state: State) -> tuple[Array, State]:
        owner = next((i for i, r in enumerate(shot.references) if r.frame == index), None)
        if owner is not None or "flow" not in state:
            chosen = nearest_reference(shot, index)
            owner = next(i for i, r in enumerate(shot.references) if r is chosen)
            flow = line_flow(shot.lines[index], chosen.line)
        else:
            owner = int(state["reference"])
            step = line_flow(shot.lines[index], shot.lines[index - 1])
            flow = step + warp(state["flow"].astype(np.float32), step)
        state = {"flow": flow, "reference": np.array(owner)}
        return warp(shot.references[owner].rgb, flow), state


# -- segments ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Regions:
    """The regions of a drawing, all arrays by region.

    Attributes:
        labels: ``H W`` from 1 on, 0 = ink.
        area: ``N`` pixels.
        center: ``N 2``, in units of the frame's diagonal.
        extent: ``N 3``, standard deviations along x and y and the signed root of the covariance, in the same units.
        beside: ``N N``, 1 where two regions touch across a line.
    """

    labels: Labels
    area: npt.NDArray[np.float64]
    center: npt.NDArray[np.float64]
    extent: npt.NDArray[np.float64]
    beside: npt.NDArray[np.float32]

    @classmethod
    def of(cls, line: Array) -> Regions:
        """The regions that a line map ``H W`` encloses; specks and, where there are too many, the smallest are ink."""
        raw = label_regions(line)
        sizes = np.bincount(raw.ravel())
        sizes[0] = 0
        kept = np.argsort(-sizes, kind="stable")[:MOST]
        kept = np.sort(kept[sizes[kept] > LARGE])
        number = np.zeros(len(sizes), np.int32)
        number[kept] = np.arange(1, len(kept) + 1)
        labels = number[raw]
        flat = labels.ravel()
        y, x = (axis.ravel() / np.hypot(*line.shape) for axis in np.indices(line.shape, np.float64))
        area = np.bincount(flat, minlength=len(kept) + 1)

        def mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return np.bincount(flat, values, minlength=len(kept) + 1)[1:] / area[1:]

        mx, my = mean(x), mean(y)
        xx, yy, xy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
        extent = np.stack([np.sqrt(np.abs(xx)), np.sqrt(np.abs(yy)), np.sign(xy) * np.sqrt(np.abs(xy))], 1)
        return cls(labels, area[1:].astype(np.float64), np.stack([mx, my], 1), extent, _touching(labels))

    def __len__(self) -> int:
        return len(self.area)


def _touching(labels: Labels) -> npt.NDArray[np.float32]:
    """``N N`` adjacency of regions, ink given to the nearest region."""
    grown = grow_regions(labels)
    beside = np.zeros((int(labels.max()) + 1,) * 2, np.float32)
    beside[grown[1:], grown[:-1]] = 1
    beside[grown[:, 1:], grown[:, :-1]] = 1
    beside = np.maximum(beside, beside.T)[1:, 1:]
    np.fill_diagonal(beside, 0)
    return beside


def match_regions(drawing: Regions, known: Regions, rounds: int = 4) -> npt.NDArray[np.float64]:
    """How likely each region of a drawing is each region of another: ``N M``, rows sum to 1.

    Overlap, size, shape and place make a first guess; then neighbors support each other, region i being j the more
    likely the more of i's neighbors are neighbors of j (relaxation labeling, Rosenfeld, Hummel and Zucker 1976).
    """
    across = drawing.labels.astype(np.int64) * (len(known) + 1) + known.labels
    shared = np.bincount(across.ravel(), minlength=(len(drawing) + 1) * (len(known) + 1))
    shared = shared.reshape(len(drawing) + 1, len(known) + 1)[1:, 1:]
    overlap = shared / (drawing.area[:, None] + known.area[None] - shared)
    size = np.abs(np.log(drawing.area[:, None] / known.area[None]))
    shape = _distances(drawing.extent, known.extent) / np.maximum(np.linalg.norm(drawing.extent, axis=1), 0.01)[:, None]
    place = _distances(drawing.center, known.center)
    guess = np.exp(6 * overlap - size - 1.5 * shape - 25 * place)
    likely: npt.NDArray[np.float64] = guess / guess.sum(1, keepdims=True)
    degree = np.maximum(drawing.beside.sum(1, keepdims=True), 1)
    for _ in range(rounds):
        support = drawing.beside @ likely @ known.beside / degree
        likely = guess * (0.05 + support)
        likely /= likely.sum(1, keepdims=True)
    return likely


def _distances(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.linalg.norm(a[:, None] - b[None], axis=2), np.float64)


class SegmentMatcher(Method):
    """Closed regions of a drawing, found by trapped balls, take the colors of the regions they match: in the drawing
    before and in the nearest reference, by overlap, size, shape, place and neighbors. Flat fills, one color a region.
    """

    def color(
        self, shot: Shot, *, done: int = 0, state: State | None = None, progress: Progress = silent
    ) -> Iterator[Chunk]:
        references = [(r, Regions.of(r.line)) for r in shot.references]
        painted = {id(r): majority_colors(regions.labels, color_codes(r.rgb)) for r, regions in references}
        before = (Regions.of(shot.lines[done - 1]), state["colors"]) if done and state else None
        for index in range(done, len(shot)):
            drawing = Regions.of(shot.lines[index])
            nearest = nearest_reference(shot, index)
            known = next(regions for r, regions in references if r is nearest)
            votes = [(match_regions(drawing, known), painted[id(nearest)])]
            if before is not None and nearest.frame != index:
                votes.append((match_regions(drawing, before[0]), before[1]))
            before = drawing, _elect(votes)
            progress(DrawingColored(index + 1, len(shot)))
            yield Chunk((index,), (ColorizedFrame(_fill(*before)),), {"colors": before[1]})


def _elect(votes: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]]) -> npt.NDArray[np.int64]:
    """Of every region the color that most speaks for: ``(N M likelihoods, M colors)`` a voter -> ``N`` colors."""
    palette, places = np.unique(np.concatenate([colors for _, colors in votes]), return_inverse=True)
    likely = np.concatenate([rows for rows, _ in votes], axis=1)
    return np.asarray(palette[(likely @ np.eye(len(palette))[places]).argmax(1)], np.int64)


def _fill(regions: Regions, colors: npt.NDArray[np.int64]) -> Array:
    """``H W 3``, ink filled with the nearest region's color; white where there is no region."""
    codes = np.concatenate([[0xFFFFFF], colors])[grow_regions(regions.labels)]
    return to_float(np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 2).astype(np.uint8))


BASELINES: dict[str, Callable[[], Method]] = {
    "copy": CopyReference,
    "flow": DirectFlow,
    "flow-chained": ChainedFlow,
    "segments": SegmentMatcher,
}
"""Every baseline by name."""
