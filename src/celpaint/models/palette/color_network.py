"""A palette -> a bias of the UNet's first feature map.

Source: Wang et al., "Consistent Video Colorization via Palette Guidance", 2025, section III-B, equations 3 and 4. The
bias is the same at all places, in all frames and in all windows of a video: that is what holds long videos together.
The network starts at zero, so that an untrained one changes nothing; it can be added to any trained UNet, LVCD's too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

__all__ = ["ColorNetwork", "replicated"]


class ColorNetwork(nn.Module):
    """Two linear layers (the paper says "composed of linear layers", and draws one), the last one zero at first.

    Args:
        colors: of a palette.
        width: channels of the feature map.

    Attributes:
        null: ``C``, learned: what is added where there is no palette. Zero at first.
    """

    def __init__(self, colors: int = 5, width: int = 320) -> None:
        super().__init__()
        self.colors, self.width = colors, width
        self.layers = nn.Sequential(nn.Linear(3 * colors, width), nn.SiLU(), nn.Linear(width, width))
        last = cast("nn.Linear", self.layers[-1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.null = nn.Parameter(torch.zeros(width))

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> ColorNetwork:
        """From JSON values."""
        return cls(config["colors"], config["width"])

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"_class_name": "ColorNetwork", "colors": self.colors, "width": self.width}

    def forward(self, palette: Tensor, dropped: Tensor | None = None) -> Tensor:
        """Equation 3.

        Args:
            palette: ``B 3N`` in [-1, 1], colors from dark to light.
            dropped: ``B`` bool, which samples are to know no palette, as in training for guidance; None: none.

        Returns:
            ``B C``.

        Raises:
            ValueError: palettes of another number of colors.
        """
        if palette.shape[-1] != 3 * self.colors:
            raise ValueError(f"palettes of {palette.shape[-1]} numbers, wanted {self.colors} colors of 3")
        embedding: Tensor = self.layers(palette.to(self.null.dtype))
        return embedding if dropped is None else torch.where(dropped[:, None], self.null, embedding)

    def without_palette(self, batch: int) -> Tensor:
        """``B C``: what :meth:`forward` gives where all palettes are dropped."""
        return self.null.expand(batch, -1)


def replicated(embedding: Tensor, positions: int) -> Tensor:
    """Equation 4's Phi: ``B C`` -> ``(B T) C 1 1``, to be added to ``(B T) C H W``."""
    return embedding.repeat_interleave(positions, dim=0)[:, :, None, None]
