"""Sizes of the networks of ColorizeDiffusion v2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["FULL", "GROUPS", "SMALL", "ColorizeDiffusionConfig"]

GROUPS = 32
"""Groups of every group norm."""


@dataclass(frozen=True, kw_only=True)
class ColorizeDiffusionConfig:
    """Sizes shared by the UNet and the sketch, background and style encoders. Defaults are the official ones.

    All but ``head_width`` follow from the shapes of the tensors.

    Attributes:
        latent_channels: channels of the latents.
        widths: channels of every level, multiples of 32 and of ``head_width``.
        layers: residual blocks per level (one more in the decoder).
        attention: for every level, whether its residual blocks are followed by transformers. The middle block always
            has one.
        head_width: channels per attention head.
        context_width: width of the reference tokens.
        adapter_rank: rank of the foreground and background LoRA in the decoder's cross-attention.
        ratio_width: sinusoids per size ratio; the size label has twice as many.
        sketch_channels: channels of the sketch.
        sketch_stem: widths of the convolutions that bring the sketch to the size of the latents. The third, fifth and
            so on halve the sides.

    Raises:
        ValueError: the sizes contradict each other.
    """

    latent_channels: int = 4
    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    layers: int = 2
    attention: tuple[bool, ...] = (True, True, True, False)
    head_width: int = 64
    context_width: int = 1024
    adapter_rank: int = 4
    ratio_width: int = 256
    sketch_channels: int = 3
    sketch_stem: tuple[int, ...] = (16, 16, 32, 32, 96, 96, 256)

    def __post_init__(self) -> None:
        for name in ("widths", "attention", "sketch_stem"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.attention) != len(self.widths):
            raise ValueError(f"attention has {len(self.attention)} levels, wanted {len(self.widths)}")
        if len(self.sketch_stem) % 2 == 0:
            raise ValueError(f"sketch_stem has {len(self.sketch_stem)} convolutions, wanted an odd number")
        for width in self.widths:
            if width % GROUPS or width % self.head_width:
                raise ValueError(f"a width is {width}, wanted a multiple of {GROUPS} and of {self.head_width}")

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> ColorizeDiffusionConfig:
        """Read the values of a ``config.json``; other keys are ignored."""
        return cls(**{f.name: config[f.name] for f in fields(cls) if f.name in config})

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"_class_name": "ColorizeDiffusion", **asdict(self)}

    @property
    def embedding(self) -> int:
        """Width of the time embedding."""
        return 4 * self.widths[0]

    @property
    def skips(self) -> tuple[int, ...]:
        """Channels of every encoder block's output, in running order."""
        widths, last = [self.widths[0]], len(self.widths) - 1
        for level, width in enumerate(self.widths):
            widths += [width] * (self.layers + (level < last))
        return tuple(widths)

    @property
    def outputs(self) -> tuple[int, ...]:
        """Channels of every decoder block's output, in running order."""
        return tuple(width for width in self.widths[::-1] for _ in range(self.layers + 1))

    @property
    def hinted(self) -> tuple[int, ...]:
        """The encoder blocks whose output a sketch hint is added to: the first, those that halve, and the last."""
        return (*range(0, len(self.skips), self.layers + 1), len(self.skips) - 1)

    @property
    def hint_widths(self) -> tuple[int, ...]:
        """Channels of the sketch hints."""
        return tuple(self.skips[block] for block in self.hinted)

    @property
    def transformers(self) -> int:
        """Number of transformers of the UNet, which is also the number of cross-attention strengths."""
        return sum(self.attention) * (2 * self.layers + 1) + 1

    @property
    def encoder_transformers(self) -> int:
        """Number of transformers in front of the middle block."""
        return sum(self.attention) * self.layers

    @property
    def factor(self) -> int:
        """Pixels per latent, along each side."""
        return 1 << len(self.sketch_stem) // 2


FULL = ColorizeDiffusionConfig()
"""The official sizes: 1,664 million parameters without the VAE and the image encoder."""

SMALL = ColorizeDiffusionConfig(
    latent_channels=8,
    widths=(64, 96, 96),
    layers=1,
    attention=(True, True, True),
    head_width=32,
    context_width=96,
    ratio_width=32,
    sketch_stem=(16, 16, 32, 32, 64, 64, 96),
)
"""The sizes the package ships, for latents of the line-aware autoencoder."""
