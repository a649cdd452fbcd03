"""The denoising UNet of ColorizeDiffusion v2.

Stable Diffusion's UNet (Rombach et al., 2022) with a sketch's hints added in the encoder, split cross-attention,
background injection in front of the decoder's blocks and style modulation behind them. The state dict has the names of
the official checkpoint's ``model.diffusion_model``. Reference: Yan et al., ColorizeDiffusion v2: Enhancing
Reference-based Sketch Colorization Through Separating Utilities, 2025, section 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from celpaint.models.blocks import sinusoids
from celpaint.models.colorize_diffusion.attention import CrossAttention, Whole
from celpaint.models.colorize_diffusion.blocks import (
    Block,
    Downsample,
    Mlp,
    ResBlock,
    Transformed,
    Transformer,
    Upsample,
)
from celpaint.models.colorize_diffusion.conditions import Conditions, Context, Memory
from celpaint.models.colorize_diffusion.config import FULL, GROUPS, ColorizeDiffusionConfig
from celpaint.models.residual import zero

__all__ = ["BackgroundInjection", "Encoder", "StyleModulation", "UNet", "UNetOutput"]


class Encoder(nn.Module):
    """The encoder half of the UNet, which the background and style encoders have copies of.

    Attributes:
        config: its sizes.
        gradient_checkpointing: while training, recompute activations in the backward pass instead of keeping them.
    """

    def __init__(self, config: ColorizeDiffusionConfig) -> None:
        super().__init__()
        self.config = config
        self.gradient_checkpointing = False
        widths, embedding = config.widths, config.embedding
        self.time_embed = Mlp(widths[0], embedding, embedding)
        blocks = [Block([nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)], 0, 0)]
        channels, place = widths[0], 0
        for level, (width, attended) in enumerate(zip(widths, config.attention, strict=True)):
            for _ in range(config.layers):
                layers: list[nn.Module] = [ResBlock(channels, width, embedding)]
                if attended:
                    layers.append(Transformer(width, config.context_width, width // config.head_width))
                blocks.append(Block(layers, level, place))
                channels, place = width, place + attended
            if level < len(widths) - 1:
                blocks.append(Block([Downsample(width)], level, place))
        self.input_blocks = nn.ModuleList(blocks)

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the weights."""
        return cast("Tensor", self.time_embed[0].weight).dtype

    def embed(self, timestep: Tensor) -> Tensor:
        """Timesteps ``B``, fractional ones included -> time embedding ``B E``."""
        emb: Tensor = self.time_embed(sinusoids(timestep, self.config.widths[0]).to(self.dtype))
        return emb

    def features(
        self,
        x: Tensor,
        emb: Tensor,
        context: Context,
        hints: tuple[Tensor, ...] | None = None,
        memory: Memory | None = None,
    ) -> Iterator[Transformed]:
        """Run the encoder.

        Args:
            x: ``B C H W``, any H and W.
            emb: ``B E`` or ``1 E``.
            context: what the cross-attention attends to.
            hints: added after the blocks ``config.hinted``, to the feature that is also the skip connection.
            memory: what the self-attention remembers.

        Yields:
            Output of block after block.
        """
        added = dict(zip(self.config.hinted, hints, strict=True)) if hints else {}
        h = x.to(self.dtype)
        for i, block in enumerate(self.input_blocks):
            h, own = self.run(block, h, emb, context, memory)
            if i in added:
                h = h + added[i]
            yield Transformed(h, own)

    def run(self, block: nn.Module, *args: object) -> Transformed:
        """Run a block, with its activations recomputed in the backward pass if that is wanted."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return cast("Transformed", checkpoint(block, *args, use_reentrant=False))
        return cast("Transformed", block(*args))


class BackgroundInjection(nn.Module):
    """A transformer block from skip connections to background features (section 3.3, figure 8).

    The features are attended to as they are; only the skip connection is normalized.

    Args:
        channels: of both.
        heads: attention heads.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = CrossAttention(channels, channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.ff = Mlp(channels, 4 * channels, channels)
        zero(cast("nn.Linear", self.attn.to_out[0]))
        zero(cast("nn.Linear", self.ff[2]))

    def forward(self, skip: Tensor, features: Tensor) -> Tensor:
        """``B C H W`` and tokens ``B N C`` or ``1 N C`` -> ``B C H W``."""
        y = skip.flatten(2).transpose(1, 2)
        y = y + self.attn(self.norm1(y), Whole(features))
        y = y + self.ff(self.norm2(y))
        out: Tensor = y.transpose(1, 2).unflatten(2, skip.shape[-2:])
        return out


class StyleModulation(nn.ModuleList):
    """Scale and shift of all features by a style vector and the time (section 3.4, equations 3 and 4).

    Args:
        channels: of the features.
        embedding: width of the time embedding.
    """

    def __init__(self, channels: int, embedding: int) -> None:
        wide = 2 * channels
        super().__init__([nn.LayerNorm(wide), nn.Linear(embedding, wide), zero(nn.Linear(wide, wide))])

    def scale_shift(self, style: Tensor, emb: Tensor) -> Tensor:
        """Style vectors and time embeddings -> ``B 2C``: scales, then shifts."""
        norm, time, out = self
        modulation: Tensor = out(norm(style + time(emb)))
        return modulation

    def forward(self, h: Tensor, style: Tensor, emb: Tensor) -> Tensor:
        """``B C H W`` -> the same."""
        scale, shift = self.scale_shift(style, emb)[:, :, None, None].chunk(2, dim=1)
        return h * (1 + scale) + shift


class UNetOutput(NamedTuple):
    """Output of :meth:`UNet.forward`.

    Attributes:
        sample: ``B C H W``.
        tokens: inputs of the self-attention layers in running order, for a :class:`Memory`.
    """

    sample: Tensor
    tokens: tuple[Tensor, ...]


class UNet(Encoder):
    """Denoises latents.

    Args:
        config: its sizes.
    """

    def __init__(self, config: ColorizeDiffusionConfig = FULL) -> None:
        super().__init__(config)
        widths, embedding, head = config.widths, config.embedding, config.head_width
        place, last = config.encoder_transformers, len(widths) - 1
        self.middle_block = Block(
            [
                ResBlock(widths[-1], widths[-1], embedding),
                Transformer(widths[-1], config.context_width, widths[-1] // head),
                ResBlock(widths[-1], widths[-1], embedding),
            ],
            last,
            place,
        )
        blocks, skips, channels, place = [], list(config.skips), widths[-1], place + 1
        for level in range(last, -1, -1):
            width, attended = widths[level], config.attention[level]
            for i in range(config.layers + 1):
                layers: list[nn.Module] = [ResBlock(channels + skips.pop(), width, embedding)]
                if attended:
                    layers.append(Transformer(width, config.context_width, width // head, config.adapter_rank))
                if level and i == config.layers:
                    layers.append(Upsample(width))
                blocks.append(Block(layers, level, place))
                channels, place = width, place + attended
        self.output_blocks = nn.ModuleList(blocks)
        self.warp_modules = nn.ModuleList(BackgroundInjection(width, width // head) for width in config.skips[::-1])
        self.style_modules = nn.ModuleList(StyleModulation(width, embedding) for width in config.outputs)
        self.out = nn.Sequential(
            nn.GroupNorm(GROUPS, widths[0]),
            nn.SiLU(),
            zero(nn.Conv2d(widths[0], config.latent_channels, 3, padding=1)),
        )

    def forward(self, x: Tensor, timestep: Tensor, conditions: Conditions, memory: Memory | None = None) -> UNetOutput:
        """One pass.

        Args:
            x: ``B C H W`` noisy latents, scaled; any H and W.
            timestep: ``B`` or ``1``, 0 to 999; may be fractional.
            conditions: everything else it is told.
            memory: self-attention inputs of a pass over another picture.
        """
        emb, tokens, skips = self.embed(timestep), [], []
        context, injected, style = conditions.context, conditions.injected, conditions.style
        for h, own in self.features(x, emb, context, conditions.hints, memory):
            skips.append(h)
            tokens.append(own)
        h, own = self.run(self.middle_block, skips[-1], emb, context, memory)
        tokens.append(own)
        for i, block in enumerate(cast("list[Block]", list(self.output_blocks))):
            skip = skips.pop()
            if injected:
                warped = self.warp_modules[i](skip, injected.features[i])
                skip = torch.where(injected.figure.levels[block.level], skip, warped)
            size = skips[-1].shape[-2:] if skips else None
            h, own = self.run(block, torch.cat([h, skip], dim=1), emb, context, memory, size)
            tokens.append(own)
            if style:
                h = self.style_modules[i](h, style[i], emb)
        return UNetOutput(self.out(h), tuple(own for own in tokens if own is not None))
