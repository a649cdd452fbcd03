"""Autoencoders by folder: pictures to the distributions of their latents, for caching and for training on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor

from celpaint.errors import MissingExtra, WeightsError
from celpaint.models.line_vae import Latents, LineVAE, LineVAEConfig
from celpaint.weights.store import load_network, read_config, read_tensors

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Autoencoder", "load_autoencoder"]


class Autoencoder(Protocol):
    """Encodes and decodes pictures.

    Attributes:
        network: the layers, frozen.
        channels: of a latent.
    """

    network: nn.Module
    channels: int

    def encode(self, rgb: Tensor) -> Latents:
        """``B 3 H W`` in [-1, 1] -> latents ``B C H/8 W/8`` of about unit variance."""

    def decode(self, latents: Tensor, lines: Tensor, frames: int) -> Tensor:
        """``(B T) C h w`` and line art ``(B T) 1 H W`` -> ``(B T) 3 H W``, about [-1, 1]."""


class LineAware:
    """The line-aware autoencoder."""

    def __init__(self, network: LineVAE) -> None:
        self.network, self.channels = network, network.config.latent_channels

    def encode(self, rgb: Tensor) -> Latents:
        return self.network.encode(rgb)

    def decode(self, latents: Tensor, lines: Tensor, frames: int) -> Tensor:
        return self.network.decode(latents, lines, frames)


class StableVideo:
    """Stable Video Diffusion's autoencoder; latents times its scaling factor, the line art unused."""

    def __init__(self, network: Any) -> None:
        self.network, self.channels = network, int(network.config.latent_channels)
        self.factor = float(network.config.scaling_factor)

    def encode(self, rgb: Tensor) -> Latents:
        found = self.network.encode(rgb).latent_dist
        shift = 2 * torch.log(torch.tensor(self.factor)).item()
        return Latents(found.mean * self.factor, found.logvar + shift)

    def decode(self, latents: Tensor, lines: Tensor, frames: int) -> Tensor:
        return cast("Tensor", self.network.decode(latents / self.factor, num_frames=frames).sample)


def load_autoencoder(folder: Path, device: torch.device) -> Autoencoder:
    """The autoencoder in ``folder``, frozen, in evaluation mode.

    Raises:
        WeightsError: no weights there, or of something else.
        MissingExtra: Stable Video Diffusion's is there and diffusers is not installed.
    """
    config = read_config(folder)
    kind = config.get("_class_name")
    if kind == "LineVAE":
        network = load_network(LineVAE(LineVAEConfig.from_dict(config)), read_tensors(folder), source=folder)
        return LineAware(network.to(device))
    if kind == "AutoencoderKLTemporalDecoder":
        try:
            from diffusers import AutoencoderKLTemporalDecoder
        except ImportError:
            raise MissingExtra("diffusers", "lvcd") from None
        settings, unused = AutoencoderKLTemporalDecoder.extract_init_dict(config)[:2]
        del unused
        foreign = AutoencoderKLTemporalDecoder(**settings)
        return StableVideo(load_network(foreign, read_tensors(folder), source=folder).to(device))
    raise WeightsError(
        f"'{folder}' holds a {kind or 'network without a class name'}",
        wanted="a LineVAE or an AutoencoderKLTemporalDecoder",
        todo="Name the autoencoder's own folder.",
    )
