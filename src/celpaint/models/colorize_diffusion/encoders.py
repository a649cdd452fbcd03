"""The encoders that run once per drawing: sketch, background and style."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from celpaint.models.blocks import sinusoids
from celpaint.models.colorize_diffusion.blocks import Mlp
from celpaint.models.colorize_diffusion.conditions import ReferenceContext, StyleVectors
from celpaint.models.colorize_diffusion.config import FULL, ColorizeDiffusionConfig
from celpaint.models.colorize_diffusion.unet import Encoder
from celpaint.models.residual import conv3, zero

__all__ = ["BackgroundEncoder", "SketchEncoder", "StyleEncoder", "size_label"]


class SketchEncoder(nn.Module):
    """Sketch -> the hints that steer the UNet's encoder.

    Args:
        config: its sizes.
    """

    def __init__(self, config: ColorizeDiffusionConfig = FULL) -> None:
        super().__init__()
        self.config = config
        channels, layers = config.sketch_channels, []
        for i, width in enumerate(config.sketch_stem):
            layers += [conv3(channels, width, 2 if i and i % 2 == 0 else 1), nn.SiLU()]
            channels = width
        first, *deeper = config.hint_widths
        self.model = nn.Sequential(*layers, conv3(channels, first))
        self.zero_layer = nn.Sequential(zero(nn.Conv2d(first, first, 1)))
        blocks, channels = [], first
        widths = (*config.widths[:-1], config.widths[-1])
        for i, width in enumerate(widths):
            stride = 2 if i < len(widths) - 1 else 1
            blocks.append(nn.Sequential(nn.SiLU(), conv3(channels, width, stride), nn.SiLU(), conv3(width, width)))
            channels = width
        self.output_blocks = nn.ModuleList(blocks)
        self.zero_blocks = nn.ModuleList(nn.Sequential(zero(nn.Conv2d(width, width, 1))) for width in deeper)

    def forward(self, sketch: Tensor) -> tuple[Tensor, ...]:
        """``B 3 H W`` in [-1, 1], 1 = ink -> hints ``B C h w``; sides are multiples of ``config.factor``."""
        h = self.model(sketch.to(cast("Tensor", self.model[0].weight).dtype))
        hints = [self.zero_layer(h)]
        for block, zeroed in zip(self.output_blocks, self.zero_blocks, strict=True):
            h = block(h)
            hints.append(zeroed(h))
        return tuple(hints)


def size_label(picture: tuple[int, int], output: tuple[int, int], width: int) -> Tensor:
    """How large a picture is beside the output: sinusoids of the ratios of height and width.

    A picture that is smaller in height or width counts as one larger side taller, its aspect kept.

    Args:
        picture: (height, width) before it is resized.
        output: (height, width).
        width: sinusoids per ratio.

    Returns:
        ``1 2*width``.
    """
    height, wide = float(picture[0]), float(picture[1])
    if picture[0] < output[0] or picture[1] < output[1]:
        height += max(output)
        wide *= height / picture[0]
    return sinusoids(torch.tensor([[height / output[0], wide / output[1]]]), width).flatten(1)


class LabeledEncoder(Encoder):
    """An encoder of clean latents: its timestep is 0, and it is told the size label of the picture."""

    def __init__(self, config: ColorizeDiffusionConfig) -> None:
        super().__init__(config)
        self.label_emb = nn.Sequential(Mlp(2 * config.ratio_width, config.embedding, config.embedding))

    def encode(self, latents: Tensor, label: Tensor, tokens: Tensor) -> list[Tensor]:
        """Latents ``B C h w``, size labels ``B L`` and reference tokens ``B T D`` -> every block's output."""
        emb = self.embed(latents.new_zeros(1)) + self.label_emb(label.to(latents.device, self.dtype))
        return [h for h, _ in self.features(latents, emb, ReferenceContext(tokens.to(self.dtype)))]


class BackgroundEncoder(LabeledEncoder):
    """Latents of a background -> features for every decoder block (section 3.3).

    Args:
        config: its sizes.
    """

    def __init__(self, config: ColorizeDiffusionConfig = FULL) -> None:
        super().__init__(config)
        self.zero_layers = nn.ModuleList(nn.Conv2d(width, width, 1) for width in config.skips)

    def forward(self, latents: Tensor, label: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        """As :meth:`LabeledEncoder.encode` -> ``B N C`` for every decoder block, in running order."""
        features = self.encode(latents, label, tokens)
        heads = zip(self.zero_layers, features, strict=True)
        return tuple(head(h).flatten(2).transpose(1, 2) for head, h in heads)[::-1]


class StyleEncoder(LabeledEncoder):
    """Latents of a reference -> one vector for every decoder block; places are averaged away (section 3.4).

    Args:
        config: its sizes.
    """

    def __init__(self, config: ColorizeDiffusionConfig = FULL) -> None:
        super().__init__(config)
        self.zero_layers = nn.ModuleList(
            nn.Linear(width, 2 * out) for width, out in zip(config.skips, config.outputs[::-1], strict=True)
        )

    def forward(self, latents: Tensor, label: Tensor, tokens: Tensor) -> StyleVectors:
        """As :meth:`LabeledEncoder.encode` -> ``B 2C`` for every decoder block, in running order."""
        features = self.encode(latents, label, tokens)
        return tuple(head(h.mean((2, 3))) for head, h in zip(self.zero_layers, features, strict=True))[::-1]
