"""Pixels to latents and back: Stable Video Diffusion's VAE, as diffusers has it.

Its encoder knows pictures, its decoder time. RGB is in [-1, 1] on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from celpaint.errors import MissingExtra
from celpaint.models.line_vae import LineVAE

try:
    from diffusers import AutoencoderKLTemporalDecoder
    from diffusers.models.autoencoders.vae import Encoder
except ModuleNotFoundError:
    raise MissingExtra("diffusers", "lvcd") from None

__all__ = ["Codec", "LineCodec", "VideoVAE", "first_stage_encoder"]


class Codec(Protocol):
    """What a diffusion method needs of an autoencoder.

    Attributes:
        factor: pixels a latent, along each side.
        channels: channels of the latents.
        scale: what latents are multiplied by to have unit variance.
    """

    factor: int
    channels: int
    scale: float

    def encode(self, rgb: Tensor) -> Tensor:
        """``N 3 H W`` in [-1, 1], sides multiples of ``factor`` -> ``N C h w``, not yet scaled."""
        ...

    def decode(self, latents: Tensor, lines: Tensor, frames: int) -> Tensor:
        """``N C h w``, not scaled -> ``N 3 H W`` in [-1, 1].

        Args:
            latents: whole clips of ``frames`` pictures, one after the other.
            lines: ``N 1 H W`` the line maps of the pictures, 1 = ink.
            frames: pictures a clip.
        """
        ...


def first_stage_encoder(config: Mapping[str, Any]) -> nn.Module:
    """The encoder the official sampler draws its first latents from: no ``quant_conv``, mean and log-variance side by
    side.

    Args:
        config: of the VAE it belongs to.
    """
    encoder: nn.Module = Encoder(
        in_channels=config["in_channels"],
        out_channels=config["latent_channels"],
        down_block_types=tuple(config["down_block_types"]),
        block_out_channels=tuple(config["block_out_channels"]),
        layers_per_block=config["layers_per_block"],
        double_z=True,
    )
    return encoder


class VideoVAE(nn.Module):
    """Stable Video Diffusion's VAE. Encoder and decoder may be in different number formats.

    Args:
        vae: diffusers' network.
        first_stage: the first stage's own encoder where there is one, else the VAE's is used.
    """

    def __init__(self, vae: AutoencoderKLTemporalDecoder, first_stage: nn.Module | None = None) -> None:
        super().__init__()
        self.vae = vae
        self.first_stage = first_stage
        self.factor: int = 2 ** (len(vae.config.block_out_channels) - 1)
        self.channels: int = vae.config.latent_channels
        self.scale: float = vae.config.scaling_factor

    def encode(self, rgb: Tensor) -> Tensor:
        """``N 3 H W`` -> ``N C h w``, the mode of the posterior, not scaled."""
        mode: Tensor = self.vae.encode(rgb.to(self.vae.quant_conv.weight.dtype)).latent_dist.mode()
        return mode

    def sample(self, rgb: Tensor, noise: Tensor) -> Tensor:
        """``N 3 H W`` -> ``N C h w``, drawn from the posterior of the first stage with unit ``noise``, not scaled."""
        rgb = rgb.to(self.vae.quant_conv.weight.dtype)
        moments = self.vae.quant_conv(self.vae.encoder(rgb)) if self.first_stage is None else self.first_stage(rgb)
        mean, log_variance = moments.chunk(2, dim=1)
        drawn: Tensor = mean + torch.exp(0.5 * log_variance.clamp(-30, 20)) * noise.to(mean)
        return drawn

    def decode(self, latents: Tensor, lines: Tensor, frames: int) -> Tensor:
        """``N C h w``, not scaled -> ``N 3 H W``, not clamped; ``lines`` are not needed."""
        rgb: Tensor = self.vae.decode(latents.to(self.vae.decoder.conv_in.weight.dtype), num_frames=frames).sample
        return rgb


class LineCodec(nn.Module):
    """The line-aware autoencoder as a :class:`Codec`; its latents have unit variance by themselves.

    Args:
        vae: the network.
    """

    def __init__(self, vae: LineVAE) -> None:
        super().__init__()
        self.vae = vae
        self.factor: int = vae.factor
        self.channels: int = vae.config.latent_channels
        self.scale = 1.0

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the weights."""
        return self.vae.conv_in.weight.dtype

    def encode(self, rgb: Tensor) -> Tensor:
        """``N 3 H W`` -> ``N C h w``."""
        return self.vae.encode(rgb.to(self.dtype)).mode()

    def decode(self, latents: Tensor, lines: Tensor, frames: int) -> Tensor:
        """``N C h w`` and ``N 1 H W`` -> ``N 3 H W``, not clamped."""
        return self.vae.decode(latents.to(self.dtype), lines.to(self.dtype), frames)
