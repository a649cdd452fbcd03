"""Residual convolutions of the matcher and its blend."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Residual", "conv3", "zero"]


def conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3 x 3 convolution that keeps the size, or divides it by ``stride``."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


def zero(layer: nn.Conv2d | nn.Linear) -> nn.Conv2d | nn.Linear:
    """``layer`` with all weights 0, so that a residual branch starts as nothing."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Residual(nn.Module):
    """x + conv(silu(conv(silu(norm(x))))); the norm is over channels, at every place by itself."""

    def __init__(self, channels: int, *, norm: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels) if norm else None
        self.first, self.second = conv3(channels, channels), zero(conv3(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        h = x if self.norm is None else self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        out: Tensor = x + self.second(F.silu(self.first(F.silu(h))))
        return out
