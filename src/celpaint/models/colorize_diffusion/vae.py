"""Autoencoders of single pictures: Stable Diffusion's, and the line-aware one. RGB is in [-1, 1] on both sides."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from celpaint.errors import MissingExtra
from celpaint.models.line_vae import LineVAE

try:
    from diffusers import AutoencoderKL
except ModuleNotFoundError:
    raise MissingExtra("diffusers", "lvcd") from None

__all__ = ["SMALL_VAE", "ImageVAE", "LineImageVAE"]

SMALL_VAE = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [32, 32, 64, 64],
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 32,
    "scaling_factor": 0.18215,
}
"""Arguments of a small ``AutoencoderKL`` of diffusers."""


class ImageVAE(nn.Module):
    """Pictures to scaled latents and back.

    Args:
        vae: diffusers' network.

    Attributes:
        factor: pixels per latent, along each side.
        channels: channels of the latents.
        scale: factor that gives latents unit variance.
    """

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae
        self.factor: int = 2 ** (len(vae.config.block_out_channels) - 1)
        self.channels: int = vae.config.latent_channels
        self.scale: float = vae.config.scaling_factor

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the weights."""
        weight: Tensor = self.vae.quant_conv.weight
        return weight.dtype

    def moments(self, rgb: Tensor) -> Tensor:
        """``B 3 H W``, sides multiples of ``factor`` -> ``B 2C h w``: mean and log-variance, not scaled."""
        # Channels-last pictures, as read from files, make group norms on the CPU lose four digits in flat areas.
        rgb = rgb.to(self.dtype).contiguous(memory_format=torch.contiguous_format)
        moments: Tensor = self.vae.encode(rgb).latent_dist.parameters
        return moments

    def encode(self, rgb: Tensor, noise: Tensor | None = None) -> Tensor:
        """``B 3 H W`` -> scaled latents ``B C h w``: the posterior's mean, or a sample made with unit ``noise``."""
        mean, log_variance = self.moments(rgb).chunk(2, dim=1)
        if noise is not None:
            mean = mean + torch.exp(0.5 * log_variance.clamp(-30, 20)) * noise.to(mean)
        return mean * self.scale

    def decode(self, latents: Tensor, lines: Tensor | None = None) -> Tensor:
        """Scaled latents ``B C h w`` -> ``B 3 H W``, not clamped; ``lines`` are not needed."""
        rgb: Tensor = self.vae.decode(latents.to(self.dtype) / self.scale).sample
        return rgb


class LineImageVAE(nn.Module):
    """The line-aware autoencoder, its pictures being clips of one frame.

    Args:
        vae: the network.

    Attributes:
        factor, channels: as of :class:`ImageVAE`.
    """

    def __init__(self, vae: LineVAE) -> None:
        super().__init__()
        self.vae = vae
        self.factor: int = vae.factor
        self.channels: int = vae.config.latent_channels

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the weights."""
        return self.vae.conv_in.weight.dtype

    def encode(self, rgb: Tensor, noise: Tensor | None = None) -> Tensor:
        """See :meth:`ImageVAE.encode`."""
        latents = self.vae.encode(rgb.to(self.dtype))
        if noise is None:
            return latents.mean
        return latents.mean + torch.exp(0.5 * latents.logvar) * noise.to(latents.mean)

    def decode(self, latents: Tensor, lines: Tensor | None = None) -> Tensor:
        """Latents ``B C h w`` and line maps ``B 1 H W``, 1 = ink -> ``B 3 H W``, not clamped; None: no ink."""
        if lines is None:
            height, width = (self.factor * side for side in latents.shape[-2:])
            lines = latents.new_zeros(len(latents), 1, height, width)
        return self.vae.decode(latents.to(self.dtype), lines.to(self.dtype))
