"""The video UNet of LVCD: Stable Video Diffusion's, with attention routed from outside.

The state dict has the names of diffusers' ``UNetSpatioTemporalConditionModel``, so that weights published in that
format load unchanged. Reference: Huang et al., LVCD: Reference-based Lineart Video Colorization with Diffusion
Models, SIGGRAPH Asia 2024, section 4.1; Blattmann et al., Stable Video Diffusion, 2023.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from celpaint.models.attention import Routing
from celpaint.models.blocks import (
    GROUPS,
    DownBlock,
    MidBlock,
    SpatioTemporalTransformer,
    TimestepEmbedding,
    UpBlock,
    sinusoids,
)

__all__ = ["SMALL", "SVD", "UNet", "UNetConfig", "VideoEncoder"]

WITH_ATTENTION, WITHOUT = "CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """Sizes of the UNet and of the ControlNet's encoder. Field names are diffusers'; defaults are SVD's.

    Attributes:
        in_channels: channels of the noisy latents and of the condition latents together.
        out_channels: channels of the latents.
        down_block_types: one a level, ``CrossAttnDownBlockSpatioTemporal`` or, without transformers,
            ``DownBlockSpatioTemporal``. The decoder mirrors them.
        block_out_channels: width of every level, multiples of 32.
        layers_per_block: residual blocks a level (one more in the decoder).
        num_attention_heads: heads of every level.
        cross_attention_dim: width of the context token.
        addition_time_embed_dim: sinusoids a micro-condition.
        projection_class_embeddings_input_dim: sinusoids of all of them together.
        norm_eps: of the group norms of the residual blocks.

    Raises:
        ValueError: the sizes contradict one another.
    """

    in_channels: int = 8
    out_channels: int = 4
    down_block_types: tuple[str, ...] = (WITH_ATTENTION, WITH_ATTENTION, WITH_ATTENTION, WITHOUT)
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    layers_per_block: int = 2
    num_attention_heads: tuple[int, ...] = (5, 10, 20, 20)
    cross_attention_dim: int = 1024
    addition_time_embed_dim: int = 256
    projection_class_embeddings_input_dim: int = 768
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("down_block_types", "block_out_channels", "num_attention_heads"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            if len(getattr(self, name)) != len(self.block_out_channels):
                raise ValueError(f"{name} has {len(getattr(self, name))} levels, wanted {len(self.block_out_channels)}")
        if unknown := set(self.down_block_types) - {WITH_ATTENTION, WITHOUT}:
            raise ValueError(f"down_block_types holds {sorted(unknown)}, wanted {WITH_ATTENTION} or {WITHOUT}")
        for width, heads in zip(self.block_out_channels, self.num_attention_heads, strict=True):
            if width % GROUPS or width % heads:
                raise ValueError(f"{width} channels, wanted a multiple of {GROUPS} and of the {heads} heads")

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> UNetConfig:
        """From a diffusers config; keys of no concern (class name, library version, sample size) are left out."""
        return cls(**{f.name: config[f.name] for f in fields(cls) if f.name in config})

    def to_dict(self) -> dict[str, Any]:
        """JSON values, under diffusers' class name."""
        return {"_class_name": "UNetSpatioTemporalConditionModel", **asdict(self)}

    @property
    def embedding(self) -> int:
        """Width of the time embedding."""
        return 4 * self.block_out_channels[0]

    @property
    def heads(self) -> tuple[int | None, ...]:
        """Attention heads a level, None where it has no transformers."""
        return tuple(
            heads if kind == WITH_ATTENTION else None
            for heads, kind in zip(self.num_attention_heads, self.down_block_types, strict=True)
        )

    @property
    def skips(self) -> tuple[int, ...]:
        """Widths of the encoder's outputs, in order: the first convolution, then every block and every halving."""
        widths, last = [self.block_out_channels[0]], len(self.block_out_channels) - 1
        for level, width in enumerate(self.block_out_channels):
            widths += [width] * (self.layers_per_block + (level < last))
        return tuple(widths)


SVD = UNetConfig()
"""Stable Video Diffusion's sizes: 1.5 billion parameters."""

SMALL = UNetConfig(
    in_channels=16,
    out_channels=8,
    down_block_types=(WITHOUT, WITH_ATTENTION, WITH_ATTENTION, WITH_ATTENTION),
    block_out_channels=(64, 96, 128, 160),
    layers_per_block=1,
    num_attention_heads=(2, 3, 4, 5),
    cross_attention_dim=128,
    addition_time_embed_dim=32,
    projection_class_embeddings_input_dim=96,
)
"""The sizes the package ships: for two CPU cores. No attention at the latents' own resolution, where
it would cost more than all the rest."""


class Encoded(NamedTuple):
    """What :meth:`VideoEncoder.encode` gives.

    Attributes:
        middle: ``(B T) C H W`` after the middle block.
        skips: the encoder's outputs, in order.
        embedding: ``B E``.
        matching: see :meth:`UNet.forward`.
    """

    middle: Tensor
    skips: list[Tensor]
    embedding: Tensor
    matching: Tensor | None


class VideoEncoder(nn.Module):
    """First convolution, time embedding, encoder and middle block: what UNet and ControlNet share.

    Attributes:
        config: its sizes.
        gradient_checkpointing: while training, keep no activations inside blocks but compute them again.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        widths, embedding, eps = config.block_out_channels, config.embedding, config.norm_eps
        context, last = config.cross_attention_dim, len(widths) - 1
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 3, padding=1)
        self.time_embedding = TimestepEmbedding(widths[0], embedding)
        self.add_embedding = TimestepEmbedding(config.projection_class_embeddings_input_dim, embedding)
        self.down_blocks = nn.ModuleList(
            DownBlock(
                widths[max(level - 1, 0)],
                width,
                embedding,
                layers=config.layers_per_block,
                heads=config.heads[level],
                context=context,
                halve=level < last,
                eps=eps,
            )
            for level, width in enumerate(widths)
        )
        self.mid_block = MidBlock(widths[-1], embedding, heads=config.num_attention_heads[-1], context=context, eps=eps)

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the weights."""
        return self.conv_in.weight.dtype

    def embed(self, noise: Tensor, micro: Tensor) -> Tensor:
        """Noise condition ``B`` and micro-conditions ``B M`` -> embedding ``B E``."""
        width, more = self.config.block_out_channels[0], self.config.addition_time_embed_dim
        emb: Tensor = self.time_embedding(sinusoids(noise, width).to(self.dtype))
        return emb + cast("Tensor", self.add_embedding(sinusoids(micro, more).flatten(1).to(self.dtype)))

    def run(self, layer: nn.Module, *args: object) -> Tensor:
        """The layer, with its activations forgotten until the backward pass where that is wished."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return cast("Tensor", checkpoint(layer, *args, use_reentrant=False))
        return cast("Tensor", layer(*args))

    def encode(
        self,
        x: Tensor,
        noise: Tensor,
        context: Tensor,
        micro: Tensor,
        routing: Routing,
        *,
        hint: Tensor | None = None,
        matching: int | None = None,
    ) -> Encoded:
        """Everything down to the middle. Arguments as in :meth:`UNet.forward`; ``hint`` is ``(B T) C H W``, added after
        the first convolution."""
        if x.shape[1] != len(routing):
            raise ValueError(f"a window of {x.shape[1]} positions, the routing has {len(routing)}")
        emb = self.embed(noise, micro)
        context = context.to(self.dtype)
        h: Tensor = self.conv_in(x.flatten(0, 1).to(self.dtype))
        if hint is not None:
            h = h + hint
        skips, found, layer = [h], None, 0
        for block in cast("list[DownBlock]", self.down_blocks):
            for i, resnet in enumerate(block.resnets):
                h = self.run(resnet, h, emb, routing)
                if len(block.attentions):
                    attention = cast("SpatioTemporalTransformer", block.attentions[i])
                    found = attention.matching(h, routing) if layer == matching else found
                    h, layer = self.run(attention, h, context, routing), layer + 1
                skips.append(h)
            for downsample in block.downsamplers:
                h = downsample(h)
                skips.append(h)
        h = self.run(self.mid_block.resnets[0], h, emb, routing)
        attention = cast("SpatioTemporalTransformer", self.mid_block.attentions[0])
        found = attention.matching(h, routing) if layer == matching else found
        h = self.run(attention, h, context, routing)
        h = self.run(self.mid_block.resnets[1], h, emb, routing)
        return Encoded(h, skips, emb, found)


class UNetOutput(NamedTuple):
    """What :meth:`UNet.forward` gives.

    Attributes:
        sample: ``B T C H W``.
        matching: ``B frames heads N N`` logits of the layer asked for, or None.
    """

    sample: Tensor
    matching: Tensor | None


class UNet(VideoEncoder):
    """Denoises a window of latents.

    Gains of the routing act everywhere except in the decoder's last block, as in the official implementation.
    """

    def __init__(self, config: UNetConfig = SVD) -> None:
        super().__init__(config)
        widths, layers = config.block_out_channels[::-1], config.layers_per_block + 1
        skips = config.skips[::-1]
        self.up_blocks = nn.ModuleList(
            UpBlock(
                widths[max(i - 1, 0)],
                skips[i * layers : (i + 1) * layers],
                width,
                config.embedding,
                heads=config.heads[::-1][i],
                context=config.cross_attention_dim,
                double=i < len(widths) - 1,
                eps=config.norm_eps,
            )
            for i, width in enumerate(widths)
        )
        self.conv_norm_out = nn.GroupNorm(GROUPS, widths[-1], eps=config.norm_eps)
        self.conv_out = nn.Conv2d(widths[-1], config.out_channels, 3, padding=1)

    @property
    def attention_layers(self) -> int:
        """How many layers have reference attention, counted in the order they run."""
        return sum(isinstance(m, SpatioTemporalTransformer) for m in self.modules())

    def forward(
        self,
        x: Tensor,
        noise: Tensor,
        context: Tensor,
        micro: Tensor,
        routing: Routing,
        control: Sequence[Tensor] | None = None,
        *,
        extra_features: Tensor | None = None,
        matching: int | None = None,
    ) -> UNetOutput:
        """One pass.

        Args:
            x: ``B T C H W``, noisy latents (scaled) and condition latents side by side in C; any H and W.
            noise: ``B``, the noise condition, ln(sigma) / 4.
            context: ``B 1 D``, the context token.
            micro: ``B M``, micro-conditions (SVD: frames per second, motion bucket, noise augmentation).
            routing: T positions.
            control: the ControlNet's outputs, one for every skip connection and one for the middle.
            extra_features: ``(B T) C H W``, or what broadcasts to it, added after the first convolution; None: nothing.
            matching: also return the logits with which this layer's reference attention matches the frames to the
                first reference; layers are counted from 0 in the order they run.

        Raises:
            ValueError: ``x`` and ``routing`` differ in length, or no such layer.
        """
        if matching is not None and not 0 <= matching < self.attention_layers:
            raise ValueError(f"attention layer {matching}, wanted 0 to {self.attention_layers - 1}")
        h, skips, emb, found = self.encode(x, noise, context, micro, routing, hint=extra_features, matching=matching)
        context = context.to(self.dtype)
        if control is not None:
            *sides, middle = control
            h = h + middle
            skips = [skip + side for skip, side in zip(skips, sides, strict=True)]
        layer = sum(len(block.attentions) for block in cast("list[DownBlock]", self.down_blocks)) + 1
        blocks = cast("list[UpBlock]", list(self.up_blocks))
        for block in blocks:
            here = routing.even if block is blocks[-1] else routing
            for i, resnet in enumerate(block.resnets):
                h = self.run(resnet, torch.cat([h, skips.pop()], dim=1), emb, here)
                if len(block.attentions):
                    attention = cast("SpatioTemporalTransformer", block.attentions[i])
                    found = attention.matching(h, here) if layer == matching else found
                    h, layer = self.run(attention, h, context, here), layer + 1
            for upsample in block.upsamplers:
                h = upsample(h, skips[-1].shape[-2:])
        h = self.conv_out(F.silu(self.conv_norm_out(h)))
        return UNetOutput(h.unflatten(0, x.shape[:2]), found)
