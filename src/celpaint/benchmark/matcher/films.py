"""Films of held-out drawings, with everything that is known about them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from celpaint.benchmark.study import StudySettings
from celpaint.data.clips import ClipBatch
from celpaint.data.synthetic import Art, ClipSpec, Synthesizer
from celpaint.types import Array, Reference, Shot


@dataclass(frozen=True)
class KnownFilm:
    """A synthetic clip whose correspondences are known, some of its frames given painted, others to be colored.

    Attributes:
        clip: of one film.
        references, targets: frames of it.
    """

    clip: ClipBatch
    references: tuple[int, ...]
    targets: tuple[int, ...]

    @cached_property
    def shot(self) -> Shot:
        """What a method is given. References belong to no frame of it."""
        color, lines = _pictures(self.clip.color), _pictures(self.clip.lines)
        painted = tuple(Reference(color[i], lines[i][..., 0], None) for i in self.references)
        return Shot([lines[i][..., 0] for i in self.targets], painted, color[0].shape[:2])

    @cached_property
    def truth(self) -> list[Array]:
        """The ground truth of the targets, ``H W 3`` each."""
        color = _pictures(self.clip.color)
        return [color[i] for i in self.targets]

    @cached_property
    def regions(self) -> list[npt.NDArray[np.int64]]:
        """The flat parts of the targets, ``H W`` each, the same number in every frame; 0 = ink."""
        assert self.clip.region is not None
        return [self.clip.region[0, i].numpy() for i in self.targets]


def _pictures(x: Tensor) -> list[Array]:
    """``1 T C H W`` -> T arrays ``H W C``."""
    return [np.ascontiguousarray(p) for p in x[0].permute(0, 2, 3, 1).numpy()]


def still_film(settings: StudySettings, line_style: str, distance: int, number: int, references: int = 1) -> KnownFilm:
    """One target ``distance`` frames after the first reference; further references as far beyond it, in steps."""
    spec = ClipSpec(
        height=settings.size[0],
        width=settings.size[1],
        frames=references + 1,
        distance=(distance, distance),
        stride=(distance, distance),
        backwards=0,
        hands={line_style: 1.0},
        dancers=0.3,
    )
    clip = Synthesizer(_held_out(settings.art), spec).batch(1_000_000 + number, 1)
    return KnownFilm(clip, (0, *range(2, references + 1)), (1,))


def moving_film(settings: StudySettings, number: int, frames: int = 8) -> KnownFilm:
    """``frames`` neighboring frames, the first of them 5 after the reference."""
    spec = ClipSpec(
        height=settings.size[0],
        width=settings.size[1],
        frames=13,
        distance=(5, 5),
        stride=(1, 1),
        backwards=0,
        hands={"clean": 0.5, "pencil": 0.2, "jitter": 0.3},
    )
    clip = Synthesizer(_held_out(settings.art), spec).batch(2_000_000 + number, 1)
    return KnownFilm(clip, (0,), tuple(range(1, 1 + frames)))


@cache
def _held_out(art: Path) -> Art:
    return Art.load(art).split("validation")


def flat_film(film: KnownFilm) -> KnownFilm:
    """The same film with every part in one color of its own; parts that the reference does not show become ink."""
    assert film.clip.region is not None
    region = film.clip.region
    shown = region[0, film.references[0]].numpy()
    reference = film.clip.color[0, film.references[0]].permute(1, 2, 0).numpy()
    table = np.zeros((int(region.max()) + 1, 3), np.float32)
    for part in np.unique(shown):
        table[part] = np.median(reference[shown == part], axis=0)
    table = (np.round(table * 255) / 255).astype(np.float32)
    color = torch.from_numpy(table)[region].permute(0, 1, 4, 2, 3)
    region = torch.where(torch.isin(region, torch.from_numpy(np.unique(shown))), region, 0)
    return replace(film, clip=replace(film.clip, color=color, region=region))


def known_flow(film: KnownFilm, frame: int) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Where each pixel of target ``frame`` lies in the one before, going by what the synthesizer knows.

    Returns:
        ``H W 2`` float32, (dx, dy) in pixels; ``H W`` bool, where the same point of the same drawing is seen in both
        frames, away from the drawings' borders.
    """
    drawing, point = film.clip.drawing, film.clip.point
    assert drawing is not None
    assert point is not None
    now, before = (film.targets[i] for i in (frame, frame - 1))
    return flow_of(drawing[0, now].numpy(), point[0, now].numpy(), drawing[0, before].numpy(), point[0, before].numpy())


def flow_of(
    drawing: npt.NDArray[np.int64], point: Array, other_drawing: npt.NDArray[np.int64], other_point: Array
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """The flow between two frames whose pixels' drawing ``H W`` and point ``2 H W`` are known; see `known_flow`.

    The nearest pixel that shows the same point, then one Newton step on how points change from pixel to pixel there.
    """
    height, width = drawing.shape
    here, there = (np.moveaxis(p, 0, -1).reshape(-1, 2) * np.float32(height) for p in (point, other_point))
    known, other_known = (np.flatnonzero(np.isfinite(p).all(1)) for p in (here, there))
    apart = 10.0 * max(height, width)  # two drawings are never near
    tree = cKDTree(np.column_stack([there, other_drawing.ravel() * apart])[other_known])
    distance, found = tree.query(
        np.column_stack([here, drawing.ravel() * apart])[known], distance_upper_bound=1.5, eps=0.01
    )
    hit = np.isfinite(distance)
    source, target = known[hit], other_known[found[hit]]

    slope = np.stack([np.gradient(there.reshape(height, width, 2), axis=axis) for axis in (1, 0)], -1).reshape(-1, 2, 2)
    inside = _inside(other_drawing).ravel()[target]
    source, target = source[inside], target[inside]
    steep = np.abs(np.linalg.det(slope[target])) > 1e-3
    source, target = source[steep], target[steep]
    step = np.linalg.solve(slope[target], (here[source] - there[target])[..., None])[..., 0]
    near = np.abs(step).max(1, initial=0) < 1
    source, target, step = source[near], target[near], step[near]

    flow = np.zeros((height * width, 2), np.float32)
    flow[source, 0] = target % width - source % width + step[:, 0]
    flow[source, 1] = target // width - source // width + step[:, 1]
    seen = np.zeros(height * width, bool)
    seen[source] = True
    return flow.reshape(height, width, 2), seen.reshape(height, width)


def _inside(drawing: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Pixels whose eight neighbors show the same drawing."""
    wide = np.pad(drawing, 1, constant_values=-1)
    height, width = drawing.shape
    same = np.ones(drawing.shape, bool)
    for y in range(3):
        for x in range(3):
            same &= wide[y : y + height, x : x + width] == drawing
    return same
