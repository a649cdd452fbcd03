"""Autoencoders by folder: pictures to the distributions of their latents, to be stored beside the frames."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from celpaint.errors import MissingExtra, WeightsError
from celpaint.models.line_vae import Latents, LineVAE, LineVAEConfig
from celpaint.weights.store import load_network, read_config, read_tensors

__all__ = ["load_encoder"]


def load_encoder(folder: Path, device: torch.device) -> Callable[[Tensor], Latents]:
    """The encoder of an autoencoder: ``B 3 H W`` in [-1, 1] -> latents ``B C H/8 W/8`` of about unit variance.

    Args:
        folder: a line-aware autoencoder's, or the ``vae`` folder of Stable Video Diffusion as diffusers has it.

    Raises:
        WeightsError: no weights there, or of something else.
        MissingExtra: Stable Video Diffusion's is there and diffusers is not installed.
    """
    config = read_config(folder)
    kind = config.get("_class_name")
    if kind == "LineVAE":
        network = LineVAE(LineVAEConfig.from_dict(config))
        return load_network(network, read_tensors(folder), source=folder).to(device).encode
    if kind != "AutoencoderKLTemporalDecoder":
        raise WeightsError(
            f"'{folder}' holds a {kind or 'network without a class name'}",
            wanted="a LineVAE or an AutoencoderKLTemporalDecoder",
            todo="Give the folder of the autoencoder itself.",
        )
    try:
        from diffusers import AutoencoderKLTemporalDecoder
    except ImportError:
        raise MissingExtra("diffusers", "diffusion") from None
    vae = AutoencoderKLTemporalDecoder.from_config(config)
    load_network(vae, read_tensors(folder), source=folder).to(device)
    factor = float(vae.config.scaling_factor)

    def encode(rgb: Tensor) -> Latents:
        found = vae.encode(rgb).latent_dist
        return Latents(found.mean * factor, found.logvar + 2 * math.log(factor))

    return encode
