"""The training objective of LVCD: EDM noise, v-prediction, one noise level a clip; and matching, where it is known.

Source: Huang et al., LVCD, SIGGRAPH Asia 2024, sections 3 and 5.1; Karras et al. 2022 (EDM); Salimans & Ho 2022 (v).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from celpaint.data.clips import ClipBatch
from celpaint.train.tasks.matching import Labels, label

__all__ = ["Noised", "draw_sigma", "grid", "match_labels", "matching_loss", "noised", "v_loss"]


def draw_sigma(clips: int, device: torch.device, mean: float = 1.0, std: float = 1.6) -> Tensor:
    """One noise level a clip, ``B`` float32: ln(sigma) is normal."""
    return (mean + std * torch.randn(clips, device=device)).exp()


class Noised(NamedTuple):
    """Latents on their way.

    Attributes:
        x: ``B T C h w``, scaled to unit variance: what the network sees.
        c_noise: ``B``, the noise level as the network is given it.
        v: ``B T C h w``, what it should answer.
    """

    x: Tensor
    c_noise: Tensor
    v: Tensor


def noised(latents: Tensor, sigma: Tensor, noise: Tensor) -> Noised:
    """Add noise.

    With x = z + sigma n, the denoiser is D = x / (s^2 + 1) - s / sqrt(s^2 + 1) F(x / sqrt(s^2 + 1), ln(s) / 4), and the
    EDM-weighted error (s^2 + 1) / s^2 (D - z)^2 equals (F - v)^2 with v = (n - s z) / sqrt(s^2 + 1): no large factors.

    Args:
        latents: ``B T C h w`` of unit variance.
        sigma: ``B``, shared by all positions of a clip, the reference included.
        noise: like ``latents``, unit normal.
    """
    s = sigma[:, None, None, None, None]
    root = (s.square() + 1).sqrt()
    return Noised((latents + s * noise) / root, 0.25 * sigma.log(), (noise - s * latents) / root)


def v_loss(answer: Tensor, v: Tensor) -> Tensor:
    """Mean over all positions, the reference's too: it must be denoised to itself given itself."""
    return (answer.float() - v).square().mean()


def grid(size: tuple[int, int], tokens: int) -> tuple[int, int]:
    """Rows and columns of a network level with so many tokens, of latents of ``size``.

    Raises:
        ValueError: no halving of the size has so many.
    """
    rows, columns = size
    while rows * columns > tokens:
        rows, columns = -(-rows // 2), -(-columns // 2)
    if rows * columns != tokens:
        raise ValueError(f"{tokens} tokens are no level of {size[0]} x {size[1]} latents")
    return rows, columns


def match_labels(clip: ClipBatch, cells: tuple[int, int]) -> Labels:
    """Which token of frame 0 shows what each token of the other frames shows.

    Args:
        clip: with known correspondences.
        cells: rows and columns of tokens.

    Returns:
        labels over ``B T-1 N`` tokens of the frames and N of frame 0.
    """
    if clip.drawing is None or clip.point is None:
        raise ValueError("these clips' correspondences are not known")
    height, width = clip.drawing.shape[-2:]
    rows, columns = (
        ((torch.arange(n, device=clip.drawing.device) + 0.5) * side / n).long()
        for n, side in zip(cells, (height, width), strict=True)
    )
    drawing = clip.drawing[..., rows, :][..., columns].flatten(-2)  # B T N
    point = clip.point[..., rows, :][..., columns].flatten(-2).transpose(-1, -2)  # B T N 2
    return label(drawing[:, 1:], point[:, 1:], drawing[:, :1], point[:, :1], 1 / cells[0])


def matching_loss(logits: Tensor, labels: Labels) -> tuple[Tensor, Tensor]:
    """Cross-entropy of reference attention against the truth, over tokens whose truth is in the reference.

    Args:
        logits: ``B F N N`` of one head, frames' tokens before the reference's.

    Returns:
        the loss, and the share of those tokens whose strongest match is right.
    """
    logits = logits.float()
    right = logits.masked_fill(~labels.positive, -1e4).logsumexp(-1)
    count = labels.matchable.sum().clamp(min=1)
    loss = ((logits.logsumexp(-1) - right) * labels.matchable).sum() / count
    hit = labels.positive.gather(-1, logits.argmax(-1, keepdim=True)).squeeze(-1)
    return loss, (hit & labels.matchable).sum() / count
