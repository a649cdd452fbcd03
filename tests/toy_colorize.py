"""Networks of ColorizeDiffusion v2 at toy size."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from celpaint.methods.colorize_diffusion.networks import Networks
from celpaint.methods.colorize_diffusion.pictures import Pictures, fit_sketch
from celpaint.models.colorize_diffusion.config import ColorizeDiffusionConfig
from celpaint.models.colorize_diffusion.encoders import BackgroundEncoder, SketchEncoder, StyleEncoder
from celpaint.models.colorize_diffusion.image_encoder import PatchTokens
from celpaint.models.colorize_diffusion.unet import UNet
from celpaint.models.colorize_diffusion.vae import SMALL_VAE, ImageVAE

N = TypeVar("N", bound=nn.Module)

TOY = ColorizeDiffusionConfig(
    widths=(32, 64),
    layers=1,
    attention=(True, False),
    head_width=16,
    context_width=16,
    adapter_rank=2,
    ratio_width=8,
    sketch_stem=(8,) * 7,
)
"""The smallest sizes that have all parts: two levels, one of them with transformers."""


def awake(network: N, seed: int = 0) -> N:
    """Random values in place of those that start as 0, so that every part has an effect."""
    random = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        if not parameter.any():
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=random)
    return network.eval().requires_grad_(False)


def toy_networks(config: ColorizeDiffusionConfig = TOY) -> Networks:
    """All networks, untrained, every part with an effect."""
    torch.manual_seed(0)
    vae = AutoencoderKL(**{**SMALL_VAE, "block_out_channels": [32, 32, 32, 32]})
    return Networks(
        awake(UNet(config)),
        awake(SketchEncoder(config)),
        awake(BackgroundEncoder(config)),
        awake(StyleEncoder(config)),
        ImageVAE(awake(vae)),
        awake(PatchTokens(config.context_width, (8, 8, 16, 16), heads=2, size=64)),
    )


def toy_pictures(size: tuple[int, int] = (64, 48)) -> Pictures:
    """A square drawn on paper, a reference with a figure, no background picture."""
    random = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> Tensor:
        return torch.rand(shape, generator=random)

    lines = torch.zeros(1, 1, *size)
    lines[..., 16:40, 16] = lines[..., 16, 16:40] = 1
    figure, mask = torch.zeros(1, 1, *size), torch.zeros(1, 1, 50, 70)
    figure[..., 16:40, 16:40] = 1
    mask[..., 10:30, 20:50] = 1
    return Pictures(
        size=size,
        sketch=fit_sketch(lines, size),
        figure=figure,
        reference=2 * noise(1, 3, 50, 70) - 1,
        reference_mask=mask,
    )


def with_background(pictures: Pictures) -> Pictures:
    """The same with a picture for the background."""
    random = torch.Generator().manual_seed(2)
    return replace(pictures, background=2 * torch.rand(1, 3, 80, 60, generator=random) - 1)
