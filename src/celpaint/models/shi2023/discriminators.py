"""The discriminators of both networks: of pictures, and of patches of clips (Shi et al. 2023, section 3.5)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from celpaint.models.shi2023.layers import TemporalShift, add_spectral_norm, signed

__all__ = ["ClipDiscriminator", "FrameDiscriminator"]


class FrameDiscriminator(nn.Module):
    """Judges patches of single frames; spectral norm on all convolutions but the last.

    Args:
        widths: channels of the first four of the five convolutions; the first three halve the size.
    """

    def __init__(self, *, widths: Sequence[int] = (64, 128, 256, 512)) -> None:
        super().__init__()
        channels = (4, *widths)
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise(channels)):
            layers += [nn.Conv2d(inputs, outputs, 4, 2 if i < 3 else 1, 1), nn.LeakyReLU(0.2)]
        add_spectral_norm(layers)
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, 4, 1, 1))

    def forward(self, lines: Tensor, rgb: Tensor) -> Tensor:
        """``N 1 H W`` and ``N 3 H W`` in [0, 1] -> ``N 1 h w``, logits that the colors are real (256 px: 30 x 30)."""
        logits: Tensor = self.layers(signed(torch.cat([1 - lines, rgb], 1)))
        return logits


class ClipDiscriminator(nn.Module):
    """Judges patches of clips; temporal shifts before all convolutions but the first, spectral norm on all.

    Args:
        widths: channels of the first four of the five convolutions; each halves the size.
    """

    def __init__(self, *, widths: Sequence[int] = (64, 128, 256, 256)) -> None:
        super().__init__()
        channels = (4, *widths, 1)
        self.shifts = nn.ModuleList(TemporalShift(width) for width in widths)
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 5, 2, 2) for i, o in pairwise(channels))
        self.activation = nn.LeakyReLU(0.2)
        add_spectral_norm([self.convs])

    def forward(self, lines: Tensor, rgb: Tensor) -> Tensor:
        """``B T 1 H W`` and ``B T 3 H W`` in [0, 1], in time order -> ``B T 1 h w`` logits (256 px: 8 x 8)."""
        x = signed(torch.cat([1 - lines, rgb], 2))
        frames = x.shape[:2]
        logits: Tensor = self.convs[0](x.flatten(0, 1)).unflatten(0, frames)
        for shift, conv in zip(self.shifts, self.convs[1:], strict=True):
            logits = conv(shift(self.activation(logits)).flatten(0, 1)).unflatten(0, frames)
        return logits
