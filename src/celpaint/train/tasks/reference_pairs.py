"""Pairs of a drawing and an unaligned reference, made from clips on the device they are on.

Every frame of a clip is a drawing to color, and another frame, far in time, is its reference: the same characters and
set in other poses. References are moved, mirrored and bent further; some are the drawing's own picture, bent strongly;
in some the figures stand before another clip's picture. Figures and correspondences are known exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from celpaint.data.clips import ClipBatch
from celpaint.train.engine.tables import Count, Probability
from celpaint.train.tasks.matching import turn

__all__ = ["PairOptions", "Pairs", "ReferencePairs", "pairs_of"]


@dataclass(frozen=True, kw_only=True)
class PairOptions:
    """How references are made; shares are 0 to 1.

    Attributes:
        moved: share of references that are moved, mirrored, turned, zoomed and bent a little.
        deformed: share that are the drawing's own picture, bent strongly.
        swapped: share whose background is another clip's, or white.
        clip_reuse: batches made from the same clips.
    """

    moved: Probability = 0.6
    deformed: Probability = 0.15
    swapped: Probability = 0.25
    clip_reuse: Count = 2


@dataclass(frozen=True)
class ReferencePairs:
    """``B`` drawings, each with its reference. Pictures are RGB in [0, 1], masks are 1 in the figures.

    Attributes:
        lines: ``B 1 H W`` line art, 1 = ink; color: ``B 3 H W``, the truth; figure: ``B 1 H W``.
        reference: ``B 3 H W``; reference_figure: ``B 1 H W``.
        background: ``B 3 H W``, a picture of the drawing's own background; its figures are at ``reference_figure``.
        told: ``B 1 H W``, 1 where the reference alone tells the color: not in a background that was swapped.
        drawing, point: ``B H W`` and ``B 2 H W``, see :class:`~celpaint.data.clips.ClipBatch`; of the reference too,
            -1 where it shows what is not in the drawing's clip.
        apart: whether a training step with two modes treats figure and background apart.
    """

    lines: Tensor
    color: Tensor
    figure: Tensor
    reference: Tensor
    reference_figure: Tensor
    background: Tensor
    told: Tensor
    drawing: Tensor
    point: Tensor
    reference_drawing: Tensor
    reference_point: Tensor
    apart: bool = False


class Pairs:
    """Micro-batches by number.

    Args:
        clips: number -> a batch of clips on the device, with known correspondences.
        options: how references are made.
        set_drawings: drawings of a clip up to this number belong to the set, those above are figures.
        seed: of the stream.
    """

    def __init__(self, clips: Callable[[int], ClipBatch], options: PairOptions, set_drawings: int, seed: int) -> None:
        self.clips, self.options, self.set_drawings, self.seed = clips, options, set_drawings, seed
        self._kept: tuple[int, ClipBatch] | None = None

    def __call__(self, number: int) -> ReferencePairs:
        which = number // self.options.clip_reuse
        if self._kept is None or self._kept[0] != which:
            self._kept = which, self.clips(which)
        rng = np.random.default_rng((self.seed, number, 0xC2))
        return pairs_of(self._kept[1], self.options, self.set_drawings, rng)


@torch.no_grad()
def pairs_of(clip: ClipBatch, options: PairOptions, set_drawings: int, rng: np.random.Generator) -> ReferencePairs:
    """Every frame of ``B`` clips of ``T`` frames as a drawing: ``B * T`` pairs.

    Raises:
        ValueError: fewer than two frames, or the correspondences are not known.
    """
    clips, frames = clip.color.shape[:2]
    if frames < 2 or clip.drawing is None or clip.point is None:
        raise ValueError("pairs are made from clips of two frames or more with known correspondences")
    device, count = clip.color.device, clips * frames
    deformed = rng.random(count) < options.deformed
    swapped = (rng.random(count) < options.swapped) & ~deformed
    own = np.tile(np.arange(frames), clips)
    other = np.where(deformed, own, (own + rng.integers(1, frames, count)) % frames)
    chosen = torch.from_numpy(np.repeat(np.arange(clips), frames) * frames + other).to(device)
    color, lines = clip.color.flatten(0, 1), clip.lines.flatten(0, 1)
    drawing, point = clip.drawing.flatten(0, 1), clip.point.flatten(0, 1)

    # 1. the reference, as another frame shows it, moved and bent
    grid = _grid(rng, deformed, options.moved, color)
    background = _look(color[chosen], grid, "bilinear").clamp(0, 1)
    maps = torch.cat([drawing[:, None].to(point.dtype), point], 1)[chosen]
    maps = _look(maps, grid, "nearest")
    reference_drawing, reference_point = maps[:, 0].round().long(), maps[:, 1:]
    reference_figure = reference_drawing > set_drawings

    # 2. other sets behind its figures
    swap = torch.from_numpy(swapped).to(device)[:, None, None, None]
    white = torch.from_numpy(rng.random(count) < 0.4).to(device)[:, None, None, None]
    elsewhere = torch.where(white, 1.0, background.roll(frames, 0))
    strange = swap & ~reference_figure[:, None]
    reference = torch.where(strange, elsewhere, background)
    reference_drawing = reference_drawing.masked_fill(strange[:, 0], -1)

    # 3. the drawing, half of them mirrored
    flipped = torch.from_numpy(rng.random(count) < 0.5).to(device)[:, None, None, None]
    color, lines, point = (torch.where(flipped, x.flip(-1), x) for x in (color, lines, point))
    drawing = torch.where(flipped[:, 0], drawing.flip(-1), drawing)
    figure = (drawing > set_drawings)[:, None]

    # 4. colors turned, all pictures of a pair alike
    painted = turn(torch.stack([color, reference, background], 1), rng)
    white_again = (strange & white)[:, None]
    color, reference, background = torch.where(
        torch.cat([torch.zeros_like(white_again), white_again, torch.zeros_like(white_again)], 1), 1.0, painted
    ).unbind(1)
    return ReferencePairs(
        lines=lines,
        color=color,
        figure=figure.to(color.dtype),
        reference=reference,
        reference_figure=reference_figure[:, None].to(color.dtype),
        background=background,
        told=(figure | ~swap).to(color.dtype),
        drawing=drawing,
        point=point,
        reference_drawing=reference_drawing,
        reference_point=reference_point,
        apart=bool(rng.random() < 0.5),
    )


def _look(pictures: Tensor, grid: Tensor, mode: str) -> Tensor:
    """``B C H W`` pictures at ``B H W 2`` places, mirrored beyond their borders."""
    return F.grid_sample(pictures, grid, mode=mode, padding_mode="reflection", align_corners=False)


def _grid(rng: np.random.Generator, deformed: npt.NDArray[np.bool_], moved: float, like: Tensor) -> Tensor:
    """Where the pixels of moved and bent pictures ``B 3 H W`` are in the plain ones, ``B H W 2``."""
    count, _, height, width = like.shape
    moves = (rng.random(count) < moved) | deformed
    mirror, turned = np.where(rng.random(count) < 0.5, -1.0, 1.0), rng.normal(0, 0.15, count)
    zoom = np.exp(rng.uniform(np.log(0.7), np.log(1.4), count))
    ratio = width / height
    cos, sin = np.cos(turned) / zoom, np.sin(turned) / zoom
    theta = np.zeros((count, 2, 3))
    theta[:, 0, 0], theta[:, 0, 1] = cos * mirror, -sin / ratio
    theta[:, 1, 0], theta[:, 1, 1] = sin * mirror * ratio, cos
    theta[:, :, 2] = rng.uniform(-0.35, 0.35, (count, 2))
    theta[~moves] = np.eye(2, 3)
    bends = rng.normal(0, 1, (count, 2, 4, 6)) * (np.where(deformed, 0.12, 0.03) * moves)[:, None, None, None]
    matrix, coarse = (torch.from_numpy(x.astype(np.float32)).to(like.device) for x in (theta, bends))
    bent = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    return F.affine_grid(matrix, [count, 1, height, width], align_corners=False) + bent
