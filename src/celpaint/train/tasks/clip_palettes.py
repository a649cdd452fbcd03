"""Palettes of whole batches of clips, made where the clips are: k-means without leaving the device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from celpaint.models.palette.small import luma

__all__ = ["clip_palettes", "jittered", "k_means", "vectors"]


def clip_palettes(color: Tensor, colors: int, stride: int = 4) -> Tensor:
    """The palette of one frame of each clip, drawn at random (Wang et al. 2025, section III-B).

    Args:
        color: ``B T 3 H W`` in [0, 1].
        colors: of a palette.
        stride: every so many pixels, each way, are looked at.

    Returns:
        ``B colors 3`` in [0, 1], in any order.
    """
    clips, frames = color.shape[:2]
    chosen = torch.randint(frames, (clips,), device=color.device)
    pixels = color[torch.arange(clips, device=color.device), chosen, :, ::stride, ::stride]
    return k_means(pixels.flatten(2).transpose(1, 2).float(), colors)


def k_means(points: Tensor, clusters: int, steps: int = 8) -> Tensor:
    """Lloyd's algorithm from k-means++ seeds, for all sets of points at once.

    Args:
        points: ``B N 3`` float32.
        clusters: of each set.
        steps: of Lloyd's algorithm.

    Returns:
        ``B clusters 3``, the means. Where a set has fewer distinct points, some are equal.
    """
    with torch.autocast(points.device.type, enabled=False):
        means = _seeds(points, clusters)
        for _ in range(steps):
            nearest = F.one_hot(torch.cdist(points, means).argmin(-1), clusters).to(points.dtype)  # B N K
            count = nearest.sum(1)[..., None]
            means = torch.where(count > 0, nearest.transpose(1, 2) @ points / count.clamp(min=1), means)
        return means


def _seeds(points: Tensor, clusters: int) -> Tensor:
    """k-means++ (Arthur & Vassilvitskii 2007): each next seed is a point drawn by its squared distance to the seeds."""
    row = torch.arange(len(points), device=points.device)
    seeds = points[row, torch.randint(points.shape[1], (len(points),), device=points.device)][:, None]
    for _ in range(clusters - 1):
        squared = torch.cdist(points, seeds).amin(-1).square() + 1e-12
        drawn = (squared / torch.empty_like(squared).exponential_().clamp(min=1e-20)).argmax(-1)
        seeds = torch.cat([seeds, points[row, drawn][:, None]], dim=1)
    return seeds


def jittered(palettes: Tensor, share: float, chroma: float = 0.03, light: float = 0.1) -> Tensor:
    """A share of the palettes, changed as if someone had chosen the colors by eye.

    Args:
        palettes: ``B K 3`` in [0, 1].
        share: how many are changed.
        chroma: standard deviation of the change of each channel.
        light: standard deviation of the change that all channels of a color have in common.
    """
    change = chroma * torch.randn_like(palettes) + light * torch.randn_like(palettes[..., :1])
    changed = torch.rand(len(palettes), 1, 1, device=palettes.device) < share
    return (palettes + change * changed).clamp(0, 1)


def vectors(palettes: Tensor) -> Tensor:
    """``B K 3`` in [0, 1] -> ``B 3K`` in [-1, 1], from dark to light, as networks are given palettes."""
    order = luma(palettes[..., None, None])[..., 0, 0, 0].argsort(dim=1)
    ordered = palettes.gather(1, order[..., None].expand(-1, -1, 3))
    return (2 * ordered - 1).flatten(1)
