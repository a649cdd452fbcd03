"""A painted reference -> the one token of the UNet's cross-attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import CLIPVisionModelWithProjection

__all__ = ["ClipEmbedding", "LatentEmbedding"]

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def _blur(x: Tensor, sigma: float, dim: int) -> Tensor:
    """Gaussian along one side (2 rows, 3 columns), the border reflected."""
    radius = max(round(4 * sigma) // 2, 1)
    place = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-(place**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).reshape(1, 1, *((-1, 1) if dim == 2 else (1, -1)))
    pad = (0, 0, radius, radius) if dim == 2 else (radius, radius, 0, 0)
    flat = F.pad(x.flatten(0, 1)[:, None], pad, mode="reflect")
    return F.conv2d(flat, kernel)[:, 0].reshape(x.shape)


class ClipEmbedding(nn.Module):
    """OpenCLIP's image embedding, as Stable Video Diffusion is conditioned.

    Args:
        model: the image half of CLIP with its projection.
    """

    def __init__(self, model: CLIPVisionModelWithProjection) -> None:
        super().__init__()
        self.model = model

    def forward(self, rgb: Tensor) -> Tensor:
        """``N 3 H W`` in [-1, 1] -> ``N 1 D``.

        The picture is smoothed in proportion to its reduction, then resampled bicubically, corners on corners.
        """
        size = self.model.config.image_size
        for dim in (2, 3):
            sigma = max((rgb.shape[dim] / size - 1) / 2, 0.001)
            rgb = _blur(rgb, sigma, dim)
        rgb = F.interpolate(rgb, (size, size), mode="bicubic", align_corners=True)
        mean, std = (rgb.new_tensor(v).reshape(3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))
        pixels = ((rgb + 1) / 2 - mean) / std
        embeds: Tensor = self.model(pixels.to(self.model.dtype)).image_embeds
        return embeds[:, None]


class LatentEmbedding(nn.Module):
    """A learned token from the reference's latents: what a small model has in place of CLIP.

    Args:
        channels: channels of the latents.
        width: width of the token.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.channels, self.width = channels, width
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.SiLU(),
        )
        self.project = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> LatentEmbedding:
        """From JSON values."""
        return cls(config["channels"], config["width"])

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"_class_name": "LatentEmbedding", "channels": self.channels, "width": self.width}

    def forward(self, latents: Tensor) -> Tensor:
        """``N C h w`` -> ``N 1 D``: mean and spread of features over the picture."""
        features = self.features(latents).flatten(2)
        token: Tensor = self.project(torch.cat([features.mean(2), features.std(2, correction=0)], dim=1))
        return token[:, None]
