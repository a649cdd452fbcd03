"""Pictures moved onto a drawing by optical flow, weighed against what was painted, pixel by pixel.

Where a drawing hardly differs from a painted one, flow carries its pixels over exactly, and no network paints them
better; where it differs much, flow tears them. :class:`Blend` tells the two apart by the lines: the drawing's and those
that came along with the picture. As the synthesis networks of frame interpolation mix warped frames (Niklaus and
Liu, "Context-aware Synthesis for Video Frame Interpolation", CVPR 2018), but nothing new is painted: the result is a
convex combination.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from celpaint.models.residual import Residual

__all__ = ["Aligned", "Blend", "Blended"]

CELL = 4
"""Pixels a side of what becomes one place."""

INPUTS = 12
"""Channels a pixel: both drawings, painted and moved RGB, trust in each, size and roughness of the flow."""


UNTRAINED = -3.0
"""Logit at first: a blend that has learnt nothing leaves what was painted nearly as it is."""


SHARPNESS = 2.0
"""What logits are multiplied with for the shares: a choice rather than a mean, which would show ghosts."""


GONE = 0.25
"""Of a region's outline: where less of it is in the drawing, what it enclosed is hardly there any more."""


@dataclass(frozen=True)
class Aligned:
    """K pictures moved onto a drawing, or left where they are; their order does not matter.

    Attributes:
        rgb: ``K 3 H W`` in [0, 1].
        lines: ``K 1 H W`` in [0, 1], their own lines, moved with them.
        trust: ``K 1 H W`` in [0, 1], how sure their colors were; 1 for painted pictures.
        flow: ``K 2 H W``, (dx, dy) in pixels, what moved them; 0 where they were left.
        outline: ``K 1 H W`` in [0, 1], how much of the outline of the region that a pixel came from is drawn here too.
    """

    rgb: Tensor
    lines: Tensor
    trust: Tensor
    flow: Tensor
    outline: Tensor

    def to(self, device: torch.device) -> Aligned:
        """A copy on another device."""
        return Aligned(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


@dataclass(frozen=True)
class Blended:
    """A drawing mixed.

    Attributes:
        rgb: ``1 3 H W`` in [0, 1].
        confidence: ``1 1 H W`` in [0, 1].
        share: ``K 1 H W``, how much of every moved picture is in it.
        logit: ``K 1 H W``, that it is better than what was painted.
    """

    rgb: Tensor
    confidence: Tensor
    share: Tensor
    logit: Tensor

    def cpu(self) -> Blended:
        """The same in main memory."""
        return Blended(self.rgb.cpu(), self.confidence.cpu(), self.share.cpu(), self.logit.cpu())


class Blend(nn.Module):
    """A U-Net of three levels, 1/4 to 1/16, that looks at one moved picture at a time.

    Args:
        channels: at 1/4.
        deep: at 1/8 and 1/16.
    """

    def __init__(self, *, channels: int = 32, deep: int = 48) -> None:
        super().__init__()
        self.enter = nn.Conv2d(INPUTS * CELL * CELL, channels, 1)
        self.first, self.last = Residual(channels, norm=False), Residual(channels, norm=False)
        self.down, self.up = nn.Conv2d(channels, deep, 3, 2, 1), nn.Conv2d(deep, channels, 1)
        self.middle, self.mixed = Residual(deep, norm=False), Residual(deep, norm=False)
        self.down_again, self.up_again = nn.Conv2d(deep, deep, 3, 2, 1), nn.Conv2d(deep, deep, 1)
        self.deepest = nn.Sequential(Residual(deep, norm=False), Residual(deep, norm=False))
        self.leave = nn.Conv2d(channels, 2 * CELL * CELL, 1)
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.constant_(self.leave.bias, UNTRAINED)

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``K 12 H W`` -> the logit that a picture is better than what was painted, and how sure its color is."""
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % (4 * CELL), 0, -height % (4 * CELL)), mode="replicate")
        quarter = self.first(self.enter(F.pixel_unshuffle(x, CELL)))
        eighth = self.middle(self.down(F.silu(quarter)))
        deepest = self.deepest(self.down_again(F.silu(eighth)))
        eighth = self.mixed(eighth + F.interpolate(self.up_again(deepest), scale_factor=2, mode="nearest"))
        quarter = self.last(quarter + F.interpolate(self.up(eighth), scale_factor=2, mode="nearest"))
        out = F.pixel_shuffle(self.leave(F.silu(quarter)), CELL)[..., :height, :width]
        return out[:, :1], out[:, 1:].sigmoid()

    def forward(self, lines: Tensor, rgb: Tensor, confidence: Tensor, aligned: Aligned) -> Blended:
        """Mix one drawing, in float32 whatever the network's own format, so that a whole share is a copy.

        Args:
            lines: ``1 1 H W`` in [0, 1].
            rgb: ``1 3 H W`` what was painted; confidence: ``1 1 H W`` how sure that is, in [0, 1].
            aligned: what else could stand there.
        """
        count = len(aligned.rgb)
        painted = torch.cat([lines, rgb - 0.5, confidence], 1).expand(count, -1, -1, -1)
        moved = torch.cat([aligned.lines, aligned.rgb - 0.5, aligned.trust, told_of(aligned.flow)], 1)
        logit, sure = self.judge(torch.cat([painted, moved], 1).to(self.enter.weight.dtype))
        logit = logit.float() + 4 * (aligned.outline.clamp(min=0.01) / GONE).log().clamp(max=0)
        share = (SHARPNESS * torch.cat([torch.zeros_like(logit[:1]), logit])).softmax(0)
        colors = torch.cat([rgb, aligned.rgb])
        trusted = torch.cat([confidence, sure.float() * aligned.trust])
        return Blended(
            rgb=(share * colors).sum(0, keepdim=True),
            confidence=(share * trusted).sum(0, keepdim=True),
            share=share[1:],
            logit=logit,
        )


def told_of(flow: Tensor) -> Tensor:
    """``K 2 H W`` in pixels -> how far it goes, in quarters of the picture's height, and how it tears, ``K 2 H W``."""
    far = flow.square().sum(1, keepdim=True).sqrt() * (4 / flow.shape[2])  # vector_norm takes ten times as long
    across = F.pad(flow.diff(dim=3).abs().sum(1, keepdim=True), (0, 1))
    down = F.pad(flow.diff(dim=2).abs().sum(1, keepdim=True), (0, 0, 0, 1))
    return torch.cat([far.clamp(max=2), (across + down).clamp(max=2)], 1)
