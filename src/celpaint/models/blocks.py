"""Blocks of a video network in space and time, named as diffusers names those of Stable Video Diffusion.

Pictures are ``(B T) C H W``; every block is told the :class:`~celpaint.models.attention.Routing` of the window, whose
length says what T is.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from celpaint.errors import MissingExtra
from celpaint.models.attention import ReferenceAttention, Routing, TemporalAttention, TokenCrossAttention

try:
    from diffusers.models.attention import FeedForward
    from diffusers.models.embeddings import TimestepEmbedding, get_timestep_embedding
    from diffusers.models.resnet import Downsample2D, ResnetBlock2D, Upsample2D
except ModuleNotFoundError:
    raise MissingExtra("diffusers", "lvcd") from None

__all__ = [
    "DownBlock",
    "MidBlock",
    "Mixer",
    "SpatioTemporalResBlock",
    "SpatioTemporalTransformer",
    "TemporalConv",
    "TimestepEmbedding",
    "UpBlock",
    "sinusoids",
]

GROUPS = 32


def sinusoids(values: Tensor, width: int) -> Tensor:
    """``...`` numbers -> ``... width`` float32: cosines, then sines, of frequencies from 1 down to 1/10000."""
    wave: Tensor = get_timestep_embedding(values.flatten(), width, flip_sin_to_cos=True, downscale_freq_shift=0)
    return wave.reshape(*values.shape, width)


class Mixer(nn.Module):
    """``a * spatial + (1 - a) * temporal`` with a learned ``a = sigmoid(mix_factor)``."""

    def __init__(self) -> None:
        super().__init__()
        self.mix_factor = nn.Parameter(torch.tensor([0.5]))

    def forward(self, spatial: Tensor, temporal: Tensor) -> Tensor:
        return torch.lerp(temporal, spatial, self.mix_factor.sigmoid().to(spatial.dtype))


class TemporalConv(nn.Conv3d):
    """Convolution over three neighboring frames; references see no neighbors.

    The weight is that of a 3 x 1 x 1 convolution; references meet its center only.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, kernel_size=(3, 1, 1), padding=(1, 0, 0))

    def forward(self, x: Tensor, references: int = 0) -> Tensor:
        """``B C T N`` (N places) -> ``B C' T N``."""
        weight = self.weight[..., 0]
        video = F.conv2d(x[:, :, references:], weight, self.bias, padding=(1, 0))
        if not references:
            return video
        alone = F.conv2d(x[:, :, :references], weight[:, :, 1:2], self.bias)
        return torch.cat([alone, video], dim=2)


class TemporalResBlock(nn.Module):
    """Residual block along time. Its norms take their statistics over all positions, references included."""

    def __init__(self, channels: int, embedding: int, eps: float) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, channels, eps=eps)
        self.conv1 = TemporalConv(channels, channels)
        self.time_emb_proj = nn.Linear(embedding, channels)
        self.norm2 = nn.GroupNorm(GROUPS, channels, eps=eps)
        self.conv2 = TemporalConv(channels, channels)

    def forward(self, x: Tensor, emb: Tensor, references: int) -> Tensor:
        """``B C T N``, embedding ``B E`` -> ``B C T N``."""
        h = self.conv1(F.silu(self.norm1(x)), references)
        h = h + self.time_emb_proj(F.silu(emb))[:, :, None, None]
        return x + cast("Tensor", self.conv2(F.silu(self.norm2(h)), references))


class SpatioTemporalResBlock(nn.Module):
    """Residual block in space, then one in time, mixed."""

    def __init__(self, inputs: int, outputs: int, embedding: int, eps: float) -> None:
        super().__init__()
        self.spatial_res_block = ResnetBlock2D(
            in_channels=inputs, out_channels=outputs, temb_channels=embedding, eps=eps, groups=GROUPS
        )
        self.temporal_res_block = TemporalResBlock(outputs, embedding, eps)
        self.time_mixer = Mixer()

    def forward(self, x: Tensor, emb: Tensor, routing: Routing) -> Tensor:
        """``(B T) C H W``, embedding ``B E`` -> ``(B T) C' H W``."""
        x = self.spatial_res_block(x, emb.repeat_interleave(len(routing), dim=0))
        height, width = x.shape[-2:]
        clip = x.flatten(2).unflatten(0, (-1, len(routing))).transpose(1, 2)  # B C T N
        mixed = self.time_mixer(clip, self.temporal_res_block(clip, emb, routing.references))
        return cast("Tensor", mixed.transpose(1, 2).flatten(0, 1).unflatten(-1, (height, width)))


class SpatialBlock(nn.Module):
    """Reference attention, the context's token, feed-forward."""

    def __init__(self, channels: int, heads: int, context: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = ReferenceAttention(channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = TokenCrossAttention(channels, context)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels, activation_fn="geglu")

    def forward(self, x: Tensor, context: Tensor, routing: Routing) -> Tensor:
        """``B T N C``, token ``B 1 D`` -> ``B T N C``."""
        x = x + self.attn1(self.norm1(x), routing)
        x = x + self.attn2(context)
        return x + cast("Tensor", self.ff(self.norm3(x)))


class TemporalBlock(nn.Module):
    """Feed-forward, attention along time, the context's token, feed-forward."""

    def __init__(self, channels: int, heads: int, context: int) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(channels)
        self.ff_in = FeedForward(channels, activation_fn="geglu")
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = TemporalAttention(channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = TokenCrossAttention(channels, context)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels, activation_fn="geglu")

    def forward(self, x: Tensor, context: Tensor, references: int) -> Tensor:
        """``B T N C``, token ``B 1 D`` -> ``B T N C``."""
        x = x + self.ff_in(self.norm_in(x))
        x = x + self.attn1(self.norm1(x), references)
        x = x + self.attn2(context)
        return x + cast("Tensor", self.ff(self.norm3(x)))


class SpatioTemporalTransformer(nn.Module):
    """One spatial and one temporal transformer block, mixed, around a residual."""

    def __init__(self, channels: int, heads: int, context: int) -> None:
        super().__init__()
        self.channels = channels
        self.norm = nn.GroupNorm(GROUPS, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([SpatialBlock(channels, heads, context)])
        self.temporal_transformer_blocks = nn.ModuleList([TemporalBlock(channels, heads, context)])
        self.time_pos_embed = TimestepEmbedding(channels, 4 * channels, out_dim=channels)
        self.time_mixer = Mixer()
        self.proj_out = nn.Linear(channels, channels)

    def tokens(self, x: Tensor, routing: Routing) -> Tensor:
        """``(B T) C H W`` -> ``B T N C``, normed and projected."""
        y = self.norm(x).flatten(2).transpose(1, 2)
        projected: Tensor = self.proj_in(y)
        return projected.reshape(-1, len(routing), *projected.shape[1:])

    def forward(self, x: Tensor, context: Tensor, routing: Routing) -> Tensor:
        """``(B T) C H W``, token ``B 1 D`` -> ``(B T) C H W``."""
        height, width = x.shape[-2:]
        spatial = self.transformer_blocks[0](self.tokens(x, routing), context, routing)
        place = self.time_pos_embed(sinusoids(routing.times(x.device), self.channels).to(x.dtype))  # T C
        temporal = self.temporal_transformer_blocks[0](spatial + place[:, None], context, routing.references)
        y = self.proj_out(self.time_mixer(spatial, temporal))
        return x + cast("Tensor", y).flatten(0, 1).transpose(1, 2).reshape(*x.shape[:2], height, width)

    def matching(self, x: Tensor, routing: Routing) -> Tensor:
        """Logits of the frames' places over the places of the first reference, ``B frames heads N N``.

        Args:
            x: what is given to :meth:`forward`.
        """
        block = cast("SpatialBlock", self.transformer_blocks[0])
        return block.attn1.matching(block.norm1(self.tokens(x, routing)), len(routing) - routing.references)


class DownBlock(nn.Module):
    """Residual blocks, each followed by a transformer where ``heads`` are given; then half the size."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        *,
        layers: int,
        heads: int | None,
        context: int,
        halve: bool,
        eps: float,
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            SpatioTemporalResBlock(outputs if i else inputs, outputs, embedding, eps) for i in range(layers)
        )
        self.attentions = nn.ModuleList(
            SpatioTemporalTransformer(outputs, heads, context) for _ in range(layers if heads else 0) if heads
        )
        self.downsamplers = nn.ModuleList(
            [Downsample2D(outputs, use_conv=True, out_channels=outputs, name="op")] if halve else []
        )


class MidBlock(nn.Module):
    """Residual block, transformer, residual block."""

    def __init__(self, channels: int, embedding: int, *, heads: int, context: int, eps: float) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(SpatioTemporalResBlock(channels, channels, embedding, eps) for _ in range(2))
        self.attentions = nn.ModuleList([SpatioTemporalTransformer(channels, heads, context)])


class UpBlock(nn.Module):
    """Residual blocks over the skip connections, each followed by a transformer where ``heads`` are given; then
    twice the size."""

    def __init__(
        self,
        inputs: int,
        skips: tuple[int, ...],
        outputs: int,
        embedding: int,
        *,
        heads: int | None,
        context: int,
        double: bool,
        eps: float,
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            SpatioTemporalResBlock((outputs if i else inputs) + skip, outputs, embedding, eps)
            for i, skip in enumerate(skips)
        )
        self.attentions = nn.ModuleList(
            SpatioTemporalTransformer(outputs, heads, context) for _ in range(len(skips) if heads else 0) if heads
        )
        self.upsamplers = nn.ModuleList([Upsample2D(outputs, use_conv=True, out_channels=outputs)] if double else [])
