"""Painted pictures moved onto a drawing by the optical flow of their lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch

from celpaint.conditions.flow import flow_between, slopes, warp
from celpaint.conditions.regions import INK_THRESHOLD, enclosed
from celpaint.frames.color import Pixels
from celpaint.models.matcher.blend import Aligned
from celpaint.types import Array

__all__ = ["Sketch", "Source", "align", "enlarge"]


class Sketch(NamedTuple):
    """A drawing to be laid on others.

    Attributes:
        line: ``H W`` in [0, 1].
        regions: ``H W`` from 0, what it encloses, ink given to the nearest.
        slopes: of its lines, see :func:`celpaint.conditions.flow.slopes`.
    """

    line: Array
    regions: npt.NDArray[np.int64]
    slopes: Pixels

    @classmethod
    def of(cls, line: Array, regions: npt.NDArray[np.int64] | None = None) -> Sketch:
        """Regions are those the lines enclose, if not given."""
        return cls(line, enclosed(line) if regions is None else regions, slopes(line))


@dataclass(frozen=True)
class Source:
    """A painted picture that may be moved onto drawings.

    Attributes:
        sketch: its lines.
        rgb: ``H W 3`` in [0, 1], of the lines' size.
        trust: ``H W`` in [0, 1], how sure its colors are.
        whole: ``H' W' 3``, the picture at the shot's own size, where that is another; None where it isn't known there.
    """

    sketch: Sketch
    rgb: Array
    trust: Array
    whole: Array | None = None


def align(sketch: Sketch, sources: Sequence[Source]) -> Aligned:
    """Every source as it is, for what is held still, and moved onto a drawing, for what moves: K pictures of K/2.

    Args:
        sketch: the drawing.
        sources: at least one, of the drawing's size.

    Returns:
        the pictures of the first source, then those of the next.
    """
    maps = [np.concatenate([_channels(s.rgb), _channels(s.sketch.line), _channels(s.trust)], 2) for s in sources]
    near = cv2.dilate((sketch.line >= INK_THRESHOLD).astype(np.float32), np.ones((5, 5), np.uint8))
    moved, flows, outlines = [], [], []
    for source, still in zip(sources, maps, strict=True):
        flow = flow_between(sketch.slopes, source.sketch.slopes)
        moved += [still, warp(still, flow)]
        flows += [np.zeros_like(flow), flow]
        outlines += [
            _drawn(near, *source.sketch[:2]),
            _drawn(near, moved[-1][..., 3], _moved(source.sketch.regions, flow)),
        ]
    rgb, lines, trust = torch.from_numpy(np.stack(moved)).permute(0, 3, 1, 2).split([3, 1, 1], 1)
    along, outline = (torch.from_numpy(np.stack(x)) for x in (flows, outlines))
    return Aligned(rgb, lines, trust, along.permute(0, 3, 1, 2), outline[:, None])


def _drawn(near: Array, line: Array, regions: npt.NDArray[np.int64]) -> Array:
    """``H W``: how much of the ink of every pixel's region is ``near`` ink; 1 where the region has none."""
    ink, count = line >= INK_THRESHOLD, int(regions.max()) + 1
    every = np.bincount(regions[ink], minlength=count)
    there = np.bincount(regions[ink], near[ink], count)
    share: Array = np.where(every > 0, there / np.maximum(every, 1), 1).astype(np.float32)
    return share[regions]


def _moved(regions: npt.NDArray[np.int64], flow: Array) -> npt.NDArray[np.int64]:
    """Numbers seen from the other drawing: pixel p takes that nearest to p + flow(p)."""
    height, width = regions.shape
    x = np.rint(np.arange(width) + flow[..., 0]).clip(0, width - 1).astype(np.intp)
    y = np.rint(np.arange(height)[:, None] + flow[..., 1]).clip(0, height - 1).astype(np.intp)
    moved: npt.NDArray[np.int64] = regions[y, x]
    return moved


def _channels(x: Array) -> Array:
    """``H W`` or ``H W C`` -> ``H W C``."""
    return x.reshape(*x.shape[:2], -1)


def enlarge(rgb: Array, aligned: Aligned, share: torch.Tensor, sources: Sequence[Source]) -> Array:
    """A drawing mixed at a smaller size, with the detail that painted pictures have at the shot's own.

    Args:
        rgb: ``H' W' 3``, the mixture at the shot's size.
        aligned: what was mixed, ``h w``; share: ``K 1 h w``, how much of each; sources: what it was made of.
    """
    height, width = rgb.shape[:2]
    scale = np.array([width / share.shape[3], height / share.shape[2]], np.float32)

    def wide(x: torch.Tensor) -> Array:
        small = np.ascontiguousarray(x.permute(1, 2, 0).numpy())
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)

    out, rest = np.zeros_like(rgb), np.ones((height, width, 1), np.float32)
    for k, (flow, part) in enumerate(zip(aligned.flow, share, strict=True)):
        source = sources[k // 2]
        if source.whole is not None:
            weight = wide(part)[..., None]
            out += weight * warp(source.whole, wide(flow) * scale)
            rest -= weight
    mixed: Array = out + rest * rgb
    return mixed
