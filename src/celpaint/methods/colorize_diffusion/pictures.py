"""Pictures as the networks want them. RGB is in [-1, 1]; line maps are in [0, 1], 1 = ink; masks are 1 in the figure.

Resized pictures are never clamped: the official weights were trained on what cubic interpolation gives.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "Pictures",
    "blank_sketch",
    "dilate",
    "fit_picture",
    "fit_sketch",
    "latent_mask",
    "pad_sides",
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


def fit_sketch(lines: Tensor, size: tuple[int, int]) -> Tensor:
    """Line maps ``1 1 h w`` -> ``1 3 H W``, 1 = ink and -1 = paper, as large as fits and centered on paper."""
    height, width = lines.shape[-2:]
    ratio = min(size[0] / height, size[1] / width)
    inner = int(height * ratio), int(width * ratio)
    resized = F.interpolate(2 * lines - 1, inner, mode="bicubic", antialias=True)
    canvas, top, left = blank_sketch(size).to(lines), (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas[..., top : top + inner[0], left : left + inner[1]] = resized
    return canvas


def fit_picture(rgb: Tensor, size: tuple[int, int]) -> Tensor:
    """``1 3 h w`` -> ``1 3 H W``: cubic, without antialiasing; the aspect is not kept."""
    return F.interpolate(rgb, size, mode="bicubic")


def pad_sides(rgb: Tensor, scale: float) -> Tensor:
    """``1 3 h w`` -> ``1 3 h int(w*scale)``: white is added to the left and right."""
    more = int(rgb.shape[-1] * scale) - rgb.shape[-1]
    return F.pad(rgb, (more // 2, more - more // 2), value=WHITE)


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
