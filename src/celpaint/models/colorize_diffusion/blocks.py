"""Layers of Stable Diffusion's UNet under their original names, so that official checkpoints load unchanged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

import torch.nn.functional as F
from torch import Tensor, nn

from celpaint.errors import MissingExtra
from celpaint.models.colorize_diffusion.attention import Attended, CrossAttention, Remembered, SelfAttention
from celpaint.models.colorize_diffusion.conditions import Context, Memory
from celpaint.models.colorize_diffusion.config import GROUPS
from celpaint.models.residual import zero

try:
    from diffusers.models.attention import FeedForward
except ModuleNotFoundError:
    raise MissingExtra("diffusers", "lvcd") from None

__all__ = ["Block", "Downsample", "Mlp", "ResBlock", "Transformed", "Transformer", "Upsample"]


class Mlp(nn.Sequential):
    """Two matrices around a SiLU."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__(nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, outputs))


class ResBlock(nn.Module):
    """Residual block that is told the time embedding."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, outputs))
        # Names count a dropout that is not needed: out_layers.2.
        self.out_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, outputs), nn.SiLU(), nn.Identity(), zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        )
        self.skip_connection = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """``B C H W`` and embedding ``B E`` or ``1 E`` -> ``B C' H W``."""
        h = self.in_layers(x) + self.emb_layers(emb)[:, :, None, None]
        out: Tensor = self.skip_connection(x) + self.out_layers(h)
        return out


class Downsample(nn.Module):
    """Convolution to half the size; an odd side is rounded up."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``B C H W`` -> ``B C ceil(H/2) ceil(W/2)``."""
        out: Tensor = self.op(x)
        return out


class Upsample(nn.Module):
    """Nearest neighbors at another size, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """``B C H W`` -> ``B C h w`` with (h, w) = ``size``."""
        out: Tensor = self.conv(F.interpolate(x, size, mode="nearest"))
        return out


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention, feed-forward."""

    def __init__(self, channels: int, context: int, heads: int, rank: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = SelfAttention(channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = CrossAttention(channels, context, heads, rank)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels, activation_fn="geglu")

    def forward(self, x: Tensor, attended: Attended, remembered: Remembered | None) -> tuple[Tensor, Tensor]:
        """Tokens ``B N C`` -> tokens ``B N C``, and what the self-attention was given."""
        own = self.norm1(x)
        x = x + self.attn1(own, remembered)
        x = x + self.attn2(self.norm2(x), attended)
        return x + cast("Tensor", self.ff(self.norm3(x))), own


class Transformed(NamedTuple):
    """Output of a block.

    Attributes:
        features: ``B C H W``.
        tokens: ``B N C``, the normalized input of its self-attention; None where there is none.
    """

    features: Tensor
    tokens: Tensor | None


class Transformer(nn.Module):
    """A transformer block between 1 x 1 convolutions, around a residual."""

    def __init__(self, channels: int, context: int, heads: int, rank: int = 0) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(channels, context, heads, rank)])
        self.proj_out = zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor, attended: Attended, remembered: Remembered | None = None) -> Transformed:
        """``B C H W`` -> the same, and the tokens a later call may remember."""
        tokens = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        tokens, own = self.transformer_blocks[0](tokens, attended, remembered)
        features: Tensor = self.proj_out(tokens.transpose(1, 2).unflatten(2, x.shape[-2:]))
        return Transformed(x + features, own)


class Block(nn.ModuleList):
    """Layers that run one after the other, numbered as in the original.

    Args:
        layers: in order.
        level: how often the features have been halved where its residual block runs.
        place: the number of its transformer among all of the network, in running order.
    """

    def __init__(self, layers: Iterable[nn.Module], level: int, place: int) -> None:
        super().__init__(layers)
        self.level, self.place = level, place

    def forward(
        self,
        h: Tensor,
        emb: Tensor,
        context: Context,
        memory: Memory | None = None,
        size: tuple[int, int] | None = None,
    ) -> Transformed:
        """Run all layers.

        Args:
            h: ``B C H W``.
            emb: time embedding, ``B E`` or ``1 E``.
            context: what the cross-attention attends to.
            memory: what the self-attention remembers.
            size: (height, width) that an upsampling brings the features to.
        """
        own = None
        for layer in self:
            if isinstance(layer, ResBlock):
                h = layer(h, emb)
            elif isinstance(layer, Transformer):
                remembered = memory.at(self.place) if memory else None
                h, own = layer(h, context.at(self.level, self.place), remembered)
            elif isinstance(layer, Upsample):
                h = layer(h, size)
            else:
                h = layer(h)
        return Transformed(h, own)
