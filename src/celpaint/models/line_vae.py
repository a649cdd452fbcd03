"""The line-aware autoencoder: pictures to latents an eighth the size, and back with the line art at hand.

    rgb in [-1, 1]          -> mean, log variance at 1/8            (LineVAE.encode)
    latents + line art      -> rgb                                   (LineVAE.decode)

The mean color of every cell has a way of its own, past the layers, in and out (compare the shortcuts of Chen et al.,
Deep Compression Autoencoder, 2025): an untrained network gives the blurred picture, and training begins with the rest.

What a latent autoencoder loses first are thin lines and small faces, and at coloring time the lines are known. So the
decoder is given them at every scale, pixels of a cell side by side, and the latents carry color alone. As in Stable
Video Diffusion's decoder (Blattmann et al. 2023), every residual block in space is followed by one in time. Norms are
those of a place's own channels and nothing attends, so that every pixel depends on a neighborhood in space and on
:attr:`LineVAE.reach` frames in time alone: any size works, and decoding in overlapping chunks is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

__all__ = ["Latents", "LineVAE", "LineVAEConfig"]


@dataclass(frozen=True, kw_only=True)
class LineVAEConfig:
    """Sizes of the autoencoder.

    Attributes:
        latent_channels: of a latent.
        widths: channels at full size, 1/2, 1/4 and 1/8.
        blocks: residual blocks a scale, encoder and decoder alike (at full size: one, in the decoder).

    Raises:
        ValueError: the sizes contradict one another.
    """

    latent_channels: int = 8
    widths: tuple[int, int, int, int] = (32, 64, 128, 192)
    blocks: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        if len(self.widths) != 4 or any(w < 1 for w in self.widths):
            raise ValueError(f"widths are {self.widths}, wanted four numbers, 1 or more")
        if self.latent_channels < 1 or self.blocks < 1:
            raise ValueError(f"{self.latent_channels} latent channels and {self.blocks} blocks, wanted 1 or more")

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> LineVAEConfig:
        """From JSON values; keys of no concern are left out."""
        return cls(**{f.name: config[f.name] for f in fields(cls) if f.name in config})

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"_class_name": "LineVAE", **asdict(self)}


@dataclass(frozen=True)
class Latents:
    """A normal distribution at every place.

    Attributes:
        mean: ``B C h w``.
        logvar: ``B C h w``, log of the variance.
    """

    mean: Tensor
    logvar: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw, ``B C h w``."""
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        return self.mean + (0.5 * self.logvar).exp() * noise

    def mode(self) -> Tensor:
        """The most likely latents, ``B C h w``."""
        return self.mean

    def kl(self) -> Tensor:
        """Divergence from the standard normal, mean over all values."""
        return 0.5 * (self.mean.square() + self.logvar.exp() - 1 - self.logvar).mean()


class PlaceNorm(nn.Module):
    """Scales the channels of every place to a mean square of 1, then each by a learned factor."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """``B C H W`` -> ``B C H W``."""
        size = x.float().square().mean(dim=1, keepdim=True)
        gain = (size + 1e-6).rsqrt() * self.weight[:, None, None]
        return x * gain.to(x.dtype)


class ResBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = PlaceNorm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = PlaceNorm(channels)
        self.conv2 = _still(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """``B C H W`` -> ``B C H W``."""
        y = self.conv1(F.silu(self.norm1(x)))
        return x + cast("Tensor", self.conv2(F.silu(self.norm2(y))))


class TimeBlock(nn.Module):
    """Convolution over three neighboring frames beside a shortcut; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = PlaceNorm(channels)
        self.conv = _still(nn.Conv2d(channels, channels, (3, 1), padding=(1, 0)))

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """``(B T) C H W`` -> ``(B T) C H W``."""
        return x + over_time(self.conv, F.silu(self.norm(x)), frames)


class Stage(nn.Module):
    """Residual blocks of the decoder, each in space, then in time."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.space = nn.ModuleList(ResBlock(channels) for _ in range(blocks))
        self.time = nn.ModuleList(TimeBlock(channels) for _ in range(blocks))

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """``(B T) C H W`` -> ``(B T) C H W``."""
        for space, time in zip(self.space, self.time, strict=True):
            x = time(space(x), frames)
        return x


class LineVAE(nn.Module):
    """Autoencoder whose decoder sees the line art.

    Latents are given and taken in units in which every channel has mean 0 and variance 1 over the training data;
    the buffers ``shift`` and ``scale`` lead there from what the layers compute.

    Attributes:
        config: its sizes.
        gradient_checkpointing: while training, compute the decoder's activations again instead of keeping them.
    """

    factor = 8
    """Pixels a latent, each way."""

    shift: Tensor
    scale: Tensor

    def __init__(self, config: LineVAEConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LineVAEConfig()
        self.gradient_checkpointing = False
        full, half, quarter, eighth = config.widths
        latent = config.latent_channels
        steps: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, half, 3, padding=1)]
        for width, wider in ((half, quarter), (quarter, eighth)):
            steps += [ResBlock(width) for _ in range(config.blocks)]
            steps.append(nn.Conv2d(width, wider, 3, padding=1, stride=2))
        steps += [ResBlock(eighth) for _ in range(config.blocks)]
        moments = nn.Conv2d(eighth, 2 * latent, 3, padding=1)
        nn.init.zeros_(cast("Tensor", moments.bias))
        nn.init.constant_(cast("Tensor", moments.bias)[latent:], -6.0)  # little noise at first
        self.encoder = nn.Sequential(*steps, moments)
        self.mean_in, self.mean_out = nn.Conv2d(3, latent, 1), nn.Conv2d(latent, 3, 1)
        for conv in (self.mean_in, self.mean_out):
            _still(conv)
            nn.init.eye_(conv.weight[:, :, 0, 0])

        self.conv_in = nn.Conv2d(latent, eighth, 3, padding=1)
        scales = ((8, eighth), (4, quarter), (2, half), (1, full))
        self.lines = nn.ModuleList(nn.Conv2d(cell * cell, width, 3, padding=1) for cell, width in scales)
        self.stages = nn.ModuleList(Stage(width, 1 if cell == 1 else config.blocks) for cell, width in scales)
        self.narrow = nn.ModuleList(nn.Conv2d(w, v, 1) for w, v in ((eighth, quarter), (quarter, half), (half, full)))
        self.conv_out = _still(nn.Conv2d(full, 3, 3, padding=1))
        self.time_conv_out = _center(nn.Conv2d(3, 3, (3, 1), padding=(1, 0)))
        self.register_buffer("shift", torch.zeros(latent))
        self.register_buffer("scale", torch.ones(latent))

    @property
    def reach(self) -> int:
        """How many frames before and after a frame its decoding can see."""
        return sum(len(cast("Stage", stage).time) for stage in self.stages) + 1

    def moments(self, rgb: Tensor) -> Latents:
        """What the encoder computes, before units of the training data. See :meth:`encode`."""
        if rgb.shape[-1] % self.factor or rgb.shape[-2] % self.factor:
            raise ValueError(f"pictures are {rgb.shape[-2]}x{rgb.shape[-1]}, wanted multiples of {self.factor}")
        mean, logvar = self.encoder(rgb).chunk(2, dim=1)
        return Latents(mean + self.mean_in(F.avg_pool2d(rgb, self.factor)), logvar.clamp(-20.0, 10.0))

    def encode(self, rgb: Tensor) -> Latents:
        """Pictures ``B 3 H W`` in [-1, 1], sides multiples of 8 -> latents ``B C H/8 W/8`` of unit variance.

        Raises:
            ValueError: a side is no multiple of 8.
        """
        return self.in_units(self.moments(rgb))

    def in_units(self, raw: Latents) -> Latents:
        """What :meth:`moments` gives, in units of the training data."""
        shift, scale = self._units(raw.mean)
        return Latents((raw.mean - shift) / scale, raw.logvar - 2 * scale.log())

    @torch.no_grad()
    def measure(self, raw: Latents, momentum: float) -> None:
        """While training: keep the running mean and deviation of every channel of what :meth:`moments` gives.

        Args:
            raw: of one batch.
            momentum: how much it counts; the first batch is taken as it is.
        """
        dims, latents = (0, 2, 3), raw.mean.float()
        share = torch.where(self.shift.any(), momentum, 1.0)
        self.shift.lerp_(latents.mean(dims), share)
        self.scale.lerp_(latents.std(dims).clamp(min=1e-3), share)

    def decode(self, latents: Tensor, lines: Tensor, frames: int = 1) -> Tensor:
        """Latents and line art of whole clips -> pictures.

        Args:
            latents: ``(B T) C h w``.
            lines: ``(B T) 1 H W`` in [0, 1], 1 = ink, H = 8 h, W = 8 w.
            frames: T.

        Returns:
            ``(B T) 3 H W``, about [-1, 1], not clamped.

        Raises:
            ValueError: line art of another size, or no whole number of clips.
        """
        shift, scale = self._units(latents)
        return self.decode_moments(latents * scale + shift, lines, frames)

    def decode_moments(self, latents: Tensor, lines: Tensor, frames: int) -> Tensor:
        """:meth:`decode` for latents as :meth:`moments` gives them."""
        height, width = (self.factor * s for s in latents.shape[-2:])
        if lines.shape != (latents.shape[0], 1, height, width) or latents.shape[0] % frames:
            raise ValueError(
                f"latents {tuple(latents.shape)}, lines {tuple(lines.shape)}, {frames} frames a clip; "
                f"wanted lines of {height}x{width} and whole clips"
            )
        x = self.conv_in(latents)
        for i, (hint, stage) in enumerate(zip(self.lines, self.stages, strict=True)):
            if i:
                x = F.interpolate(self.narrow[i - 1](x), scale_factor=2.0, mode="nearest")
            x = x + hint(F.pixel_unshuffle(lines.to(x.dtype), self.factor >> i))
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x = cast("Tensor", checkpoint(stage, x, frames, use_reentrant=False))
            else:
                x = stage(x, frames)
        blurred = F.interpolate(self.mean_out(latents), scale_factor=float(self.factor), mode="bilinear")
        x = blurred + self.conv_out(x)
        return over_time(self.time_conv_out, x, frames)

    def _units(self, like: Tensor) -> tuple[Tensor, Tensor]:
        shift, scale = (s.to(like.dtype)[:, None, None] for s in (self.shift, self.scale))
        return shift, scale


def over_time(conv: nn.Module, x: Tensor, frames: int) -> Tensor:
    """Apply a 3 x 1 convolution along time: ``(B T) C H W`` -> ``(B T) C' H W``."""
    clip = x.flatten(2).unflatten(0, (-1, frames)).transpose(1, 2)  # B C T N
    y: Tensor = conv(clip).transpose(1, 2).flatten(0, 1).unflatten(-1, x.shape[-2:])
    return y


def _still(conv: nn.Conv2d) -> nn.Conv2d:
    """Start at zero."""
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(cast("Tensor", conv.bias))
    return conv


def _center(conv: nn.Conv2d) -> nn.Conv2d:
    """Start as the identity."""
    _still(conv)
    with torch.no_grad():
        conv.weight[:, :, 1, 0] = torch.eye(conv.out_channels)
    return conv
