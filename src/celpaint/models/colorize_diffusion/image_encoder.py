"""A reference picture -> the tokens of the cross-attention, one for each patch of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch.nn.functional as F
from torch import Tensor, nn

from celpaint.models.colorize_diffusion.attention import SelfAttention
from celpaint.models.colorize_diffusion.blocks import Mlp
from celpaint.models.image_encoder import CLIP_MEAN, CLIP_STD
from celpaint.models.residual import conv3

if TYPE_CHECKING:
    from transformers import CLIPVisionModelWithProjection

__all__ = ["ClipTokens", "ImageTokens", "PatchTokens", "squeeze"]


class ImageTokens(Protocol):
    """What the method needs of an image encoder."""

    def __call__(self, rgb: Tensor, size: int | None = None) -> Tensor:
        """``B 3 H W`` in [-1, 1] -> tokens ``B T D``.

        Args:
            rgb: any H and W.
            size: side of the square it is squeezed to; None: the size the encoder was trained at.
        """
        ...


def squeeze(rgb: Tensor, size: int) -> Tensor:
    """``B C H W`` -> ``B C size size``: bicubic with antialiasing, corners on corners; the aspect is not kept."""
    return F.interpolate(rgb, (size, size), mode="bicubic", align_corners=True, antialias=True)


class ClipTokens(nn.Module):
    """The local tokens of a CLIP image tower (section 3.1).

    All patch tokens of the last layer go through the final norm and the projection; the class token is dropped.

    Args:
        model: the tower with its projection, in transformers' format.
    """

    def __init__(self, model: CLIPVisionModelWithProjection) -> None:
        super().__init__()
        self.model = model

    def pixels(self, rgb: Tensor, size: int | None = None) -> Tensor:
        """``B 3 H W`` in [-1, 1] -> ``B 3 size size``, normalized as CLIP wants it."""
        rgb = squeeze(rgb.float(), size or self.model.config.image_size)
        mean, std = (rgb.new_tensor(v).reshape(3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))
        return ((rgb + 1) / 2 - mean) / std

    def embed(self, pixels: Tensor) -> Tensor:
        """Normalized pixels -> ``B 1+T D``, the class token first."""
        hidden = self.model.vision_model(
            pixels.to(self.model.dtype), interpolate_pos_encoding=pixels.shape[-1] != self.model.config.image_size
        ).last_hidden_state
        tokens: Tensor = self.model.visual_projection(self.model.vision_model.post_layernorm(hidden))
        return tokens

    def forward(self, rgb: Tensor, size: int | None = None) -> Tensor:
        """See :class:`ImageTokens`; ``size`` is a multiple of the patch size."""
        return self.embed(self.pixels(rgb, size))[:, 1:]


class PatchTokens(nn.Module):
    """A small image encoder, trained along with the UNet: strided convolutions, then one attention block.

    Args:
        width: of the tokens.
        stem: widths of the convolutions that each halve the sides.
        heads: attention heads.
        size: side of the square that pictures are squeezed to.
    """

    def __init__(
        self, width: int = 64, stem: tuple[int, ...] = (32, 64, 96, 128), heads: int = 4, size: int = 256
    ) -> None:
        super().__init__()
        self.width, self.stem, self.heads, self.size = width, tuple(stem), heads, size
        layers: list[nn.Module] = []
        for inputs, outputs in zip((3, *stem[:-1]), stem, strict=True):
            layers += [conv3(inputs, outputs, 2), nn.SiLU(), conv3(outputs, outputs), nn.SiLU()]
        last = stem[-1]
        self.patches = nn.Sequential(*layers)
        self.norm1 = nn.LayerNorm(last)
        self.attention = SelfAttention(last, heads)
        self.norm2 = nn.LayerNorm(last)
        self.feed_forward = Mlp(last, 2 * last, last)
        self.project = nn.Sequential(nn.LayerNorm(last), nn.Linear(last, width))

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> PatchTokens:
        """Read the values of a ``config.json``."""
        return cls(config["width"], tuple(config["stem"]), config["heads"], config["size"])

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "_class_name": "PatchTokens",
            "width": self.width,
            "stem": list(self.stem),
            "heads": self.heads,
            "size": self.size,
        }

    def forward(self, rgb: Tensor, size: int | None = None) -> Tensor:
        """See :class:`ImageTokens`."""
        weight = cast("Tensor", self.patches[0].weight)
        h = self.patches(squeeze(rgb.float(), size or self.size).to(weight.dtype)).flatten(2).transpose(1, 2)
        h = h + self.attention(self.norm1(h))
        h = h + self.feed_forward(self.norm2(h))
        tokens: Tensor = self.project(h)
        return tokens
