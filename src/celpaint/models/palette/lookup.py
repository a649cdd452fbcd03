"""Every place looks up its color in the palette: attention of gray latents over the palette's colors.

A bias that is the same at all places (:mod:`celpaint.models.palette.color_network`) passes a network's group norms only
where a group has many channels, as in Stable Video Diffusion. The small model's groups have two. So it is told, beside
the bias, at each place which colors of the palette have that place's brightness. The paper has no such layer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["PaletteLookup"]


class PaletteLookup(nn.Module):
    """Attention whose keys and values are the palette's colors, in any order, and one of "no color".

    Args:
        channels: of the gray latents.
        width: channels of the feature map it is added to.
        heads: how many colors a place can look up at once; a head has 16 channels.
    """

    def __init__(self, channels: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads, inner = heads, 16 * heads
        self.query = nn.Sequential(nn.Conv2d(channels, inner, 3, padding=1), nn.SiLU(), nn.Conv2d(inner, inner, 1))
        self.swatch = nn.Sequential(nn.Linear(3, inner), nn.SiLU(), nn.Linear(inner, 2 * inner))
        self.nothing = nn.Parameter(torch.zeros(2 * inner))
        self.project = nn.Conv2d(inner, width, 1)

    def forward(self, gray: Tensor, palette: Tensor | None, dropped: Tensor | None = None) -> Tensor:
        """What is added to the feature map.

        Args:
            gray: ``B T C h w``, latents of the gray frames.
            palette: ``B 3N`` in [-1, 1]; None: no palette.
            dropped: ``B`` bool, which samples are to know no palette; None: none.

        Returns:
            ``(B T) width h w``.
        """
        batch, frames, _, height, width = gray.shape
        keys = self.nothing.expand(batch, 1, -1)
        if palette is not None:
            colors = self.swatch(palette.to(self.nothing.dtype).unflatten(1, (-1, 3)))
            if dropped is not None:
                colors = torch.where(dropped[:, None, None], keys, colors)
            keys = torch.cat([keys.to(colors.dtype), colors], dim=1)
        key, value = (self._heads(x) for x in keys.chunk(2, dim=-1))
        query = self.query(gray.flatten(0, 1)).flatten(2).unflatten(0, (batch, frames))  # B T I hw
        query = self._heads(query.permute(0, 1, 3, 2).flatten(1, 2))  # B heads (T h w) 16
        found = F.scaled_dot_product_attention(query, key.to(query.dtype), value.to(query.dtype))
        found = found.transpose(1, 2).flatten(2).unflatten(1, (frames, height, width))
        added: Tensor = self.project(found.flatten(0, 1).permute(0, 3, 1, 2))
        return added

    def _heads(self, x: Tensor) -> Tensor:
        """``B N I`` -> ``B heads N 16``."""
        heads: Tensor = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return heads
