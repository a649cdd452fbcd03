"""Pictures as the networks want them. RGB is in [-1, 1]; line maps are in [0, 1], 1 = ink; masks are 1 in the figure.

Resized pictures are never clamped: the official weights were trained on what cubic interpolation gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "PAPER",
    "Box",
    "Pictures",
    "blank_sketch",
    "dilate",
    "fit_picture",
    "fit_sketch",
    "latent_mask",
    "pad_sides",
    "place",
    "sketch_box",
    "without_figure",
]

WHITE = 1.0
PAPER = -1.0
"""Paper in a sketch as the sketch encoder sees it; ink is 1."""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The pictures one result is made from.

    Attributes:
        size: (height, width) of the result, multiples of the autoencoder's factor.
        sketch: ``1 3 H W`` from :func:`fit_sketch`, or None.
        figure: ``1 1 H W`` mask of the sketch's figure, or None: the whole sketch counts as background.
        reference: ``1 3 h w`` at its own size, or None.
        reference_mask: ``1 1 h w`` mask of the reference's figure, or None: it has none.
        background: ``1 3 h w`` another picture for the background, at its own size, or None.
        background_mask: ``1 1 h w`` mask of a figure to be removed from it, or None.
    """

    size: tuple[int, int]
    sketch: Tensor | None = None
    figure: Tensor | None = None
    reference: Tensor | None = None
    reference_mask: Tensor | None = None
    background: Tensor | None = None
    background_mask: Tensor | None = None


def blank_sketch(size: tuple[int, int]) -> Tensor:
    """``1 3 H W``: no ink at all."""
    return torch.full((1, 3, *size), PAPER)


class Box(NamedTuple):
    """Where a picture lies inside a larger one, in pixels."""

    top: int
    left: int
    height: int
    width: int


def sketch_box(picture: tuple[int, int], size: tuple[int, int]) -> Box:
    """Where a picture (height, width) lies in one of this size: as large as fits, centered."""
    ratio = min(size[0] / picture[0], size[1] / picture[1])
    height, width = max(int(picture[0] * ratio), 1), max(int(picture[1] * ratio), 1)
    return Box((size[0] - height) // 2, (size[1] - width) // 2, height, width)


def place(picture: Tensor, box: Box, size: tuple[int, int], around: float) -> Tensor:
    """``1 C h w`` of the box's size -> ``1 C H W``, filled up with the value ``around``."""
    canvas = picture.new_full((*picture.shape[:2], *size), around)
    canvas[..., box.top : box.top + box.height, box.left : box.left + box.width] = picture
    return canvas


def fit_sketch(lines: Tensor, size: tuple[int, int]) -> Tensor:
    """Line maps ``1 1 h w`` -> ``1 3 H W``, 1 = ink and -1 = paper, as large as fits and centered on paper."""
    box = sketch_box((lines.shape[-2], lines.shape[-1]), size)
    resized = F.interpolate(2 * lines - 1, (box.height, box.width), mode="bicubic", antialias=True)
    return place(resized, box, size, PAPER).expand(-1, 3, -1, -1)


def fit_picture(rgb: Tensor, size: tuple[int, int]) -> Tensor:
    """``1 3 h w`` -> ``1 3 H W``: cubic, without antialiasing; the aspect is not kept."""
    return F.interpolate(rgb, size, mode="bicubic")


def pad_sides(picture: Tensor, scale: float, value: float = WHITE) -> Tensor:
    """``1 C h w`` -> ``1 C h int(w*scale)``: white, or another value, is added to the left and right."""
    more = int(picture.shape[-1] * scale) - picture.shape[-1]
    return F.pad(picture, (more // 2, more - more // 2), value=value)


def without_figure(rgb: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """``1 3 h w``: white wherever the mask reaches the threshold (ts_r of the paper)."""
    return torch.where(mask.to(rgb.device) < threshold, rgb, torch.full_like(rgb, WHITE))


def dilate(mask: Tensor, size: int = 11) -> Tensor:
    """``1 1 h w``: every pixel takes the largest value of the ``size`` x ``size`` pixels around it."""
    return F.max_pool2d(mask, size, stride=1, padding=size // 2)


def latent_mask(mask: Tensor, factor: int) -> Tensor:
    """``1 1 H W`` -> ``1 1 H/factor W/factor``: cubic, without antialiasing; values may leave [0, 1]."""
    size = mask.shape[-2] // factor, mask.shape[-1] // factor
    return F.interpolate(mask, size, mode="bicubic")
