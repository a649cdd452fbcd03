"""Batches of short films, synthetic or a studio's own: what every trainer reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ClipBatch"]


@dataclass(frozen=True)
class ClipBatch:
    """Short films, and for synthetic ones everything that is known about them.

    Attributes:
        color: ``B T 3 H W`` float32 in [0, 1].
        lines: ``B T 1 H W`` float32 in [0, 1], 1 where ink.
        times: ``B T`` float32, the time of every frame in frames (24 a second); frame 0 of the
            batch need not be the earliest.
        drawing: ``B T H W`` int64, which drawing of the clip shows at a pixel; 0 = background. None for real films.
        point: ``B T 2 H W`` float32, the point (x, y) of that drawing that shows, in units of the frame's height
            as the drawing stands in the clip's first frame, so that distances between points compare with picture
            distances.
            NaN where the drawing is known but not the point in it, as in drawings animated by hand; each of their
            flat-colored parts then has a number of its own in ``drawing``.
            Two pixels of two frames correspond where ``drawing`` is equal and ``point`` is (nearly) equal.
        region: ``B T H W`` int64, the flat-colored region a pixel belongs to, the same number in every frame;
            0 = ink or none.
    """

    color: Tensor
    lines: Tensor
    times: Tensor
    drawing: Tensor | None = None
    point: Tensor | None = None
    region: Tensor | None = None
