"""The temporal refinement network, a 3U-net of gated temporal shift layers (Shi et al. 2023, sections 3.2 and 3.5).

    first reference, drawings, second reference, in time order: lines and colors -> colors of all of them

It takes any number of frames and any size: sizes that 8 does not divide are padded inside.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from celpaint.models.shi2023.config import RefinementConfig
from celpaint.models.shi2023.layers import (
    GatedShiftConv,
    TemporalShift,
    UpsampleConv,
    add_spectral_norm,
    join_channels,
    pad_to_multiple,
    signed,
    unsigned,
)

__all__ = ["TemporalRefinement", "in_time_order"]

STRIDE = 8
CLOSED = -4.0
"""The last gate's bias at first, where the network adds a correction: frames start nearly unchanged."""


def in_time_order(drawings: Tensor, references: Tensor) -> Tensor:
    """Put drawings between the two references that bracket them in time.

    Args:
        drawings: ``B T C H W``.
        references: ``B 2 C H W``, the earlier one first; or ``B 1 C H W``, which then stands at both ends.

    Returns:
        ``B T+2 C H W``: what :class:`TemporalRefinement` takes.
    """
    return torch.cat([references[:, :1], drawings, references[:, -1:]], 1)


class TemporalRefinement(nn.Module):
    """The generator of the temporal refinement network; its discriminator is a class of its own.

    An encoder of three gated layers that halve the size, a decoder of dilated layers and three that double it, with
    skip connections between them.

    Args:
        config: its sizes.
    """

    def __init__(self, config: RefinementConfig) -> None:
        super().__init__()
        self.config = config
        half, quarter, eighth = config.widths
        self.enter_half = _down(4, half, 5, shift=nn.Identity())  # shifts would tear lines from their colors
        self.enter_quarter = _down(half, quarter, 3, shift=TemporalShift(half))
        self.enter_eighth = _down(quarter, eighth, 3, shift=TemporalShift(quarter))
        self.dilated = nn.Sequential(*(_dilated(eighth, dilation) for dilation in config.dilations))
        self.leave_eighth = _up(2 * eighth, quarter, activation=_leaky())
        self.leave_quarter = _up(2 * quarter, half, activation=_leaky())
        self.leave_half = _up(2 * half, 3, activation=nn.Identity())
        gate = self.leave_half.gate
        if config.output == "correction" and gate.bias is not None:
            nn.init.constant_(gate.bias, CLOSED)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def add_spectral_norm(self) -> None:
        """For training: spectral norm on every convolution (section 3.5)."""
        add_spectral_norm([self])

    def forward(self, lines: Tensor, rgb: Tensor) -> Tensor:
        """Refine a sequence in time order, the references first and last (see :func:`in_time_order`).

        Args:
            lines: ``B T 1 H W`` in [0, 1], 1 where ink.
            rgb: ``B T 3 H W`` in [0, 1]: what the references show, and what the color transform network painted.

        Returns:
            ``B T 3 H W`` in [0, 1], the references too.
        """
        height, width = lines.shape[3:]
        frames = signed(torch.cat([1 - lines, rgb], 2))
        half = self.enter_half(pad_to_multiple(frames.flatten(0, 1), STRIDE).unflatten(0, frames.shape[:2]))
        quarter = self.enter_quarter(half)
        eighth = self.enter_eighth(quarter)
        x = self.leave_eighth(join_channels(self.dilated(eighth), eighth))
        x = self.leave_quarter(join_channels(x, quarter))
        x = self.leave_half(join_channels(x, half))[..., :height, :width].tanh()
        return (rgb + x).clamp(0, 1) if self.config.output == "correction" else unsigned(x)


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.2)


def _down(inputs: int, outputs: int, kernel: int, *, shift: nn.Module) -> GatedShiftConv:
    """Halves the size."""
    feature, gate = (nn.Conv2d(inputs, outputs, kernel, 2, kernel // 2) for _ in range(2))
    return GatedShiftConv(feature, gate, shift=shift, activation=_leaky())


def _dilated(channels: int, dilation: int) -> GatedShiftConv:
    feature, gate = (nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation) for _ in range(2))
    return GatedShiftConv(feature, gate, shift=TemporalShift(channels), activation=_leaky())


def _up(inputs: int, outputs: int, *, activation: nn.Module) -> GatedShiftConv:
    """Doubles the size."""
    feature, gate = (UpsampleConv(inputs, outputs, 3, padding_mode="zeros") for _ in range(2))
    return GatedShiftConv(feature, gate, shift=TemporalShift(inputs), activation=activation)
