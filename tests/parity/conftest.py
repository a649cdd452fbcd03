from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLTemporalDecoder
from rule import weights
from safetensors.torch import load_file
from torch import Tensor

from celpaint.methods.lvcd.convert import keys as lvcd
from celpaint.methods.lvcd.weights import Networks
from celpaint.models.image_encoder import LatentEmbedding
from celpaint.models.lvcd.controlnet import ControlNet
from celpaint.models.lvcd.unet import UNet
from celpaint.models.vae import VideoVAE, first_stage_encoder
from celpaint.weights.convert import svd
from celpaint.weights.store import load_network

HERE = Path(__file__).parent


def numbers(name: str) -> dict[str, Tensor]:
    """Inputs and expected outputs; line maps, stored as bytes, in [0, 1]."""
    return {
        key: value.float() / 255 if value.dtype == torch.uint8 else value
        for key, value in load_file(HERE / f"{name}.safetensors").items()
    }


@pytest.fixture(scope="session")
def sampling() -> dict[str, Tensor]:
    return numbers("sampling")


@pytest.fixture(scope="session")
def forward() -> dict[str, Tensor]:
    return numbers("forward")


@pytest.fixture(scope="session")
def decoding() -> dict[str, Tensor]:
    return numbers("decode")


@pytest.fixture(scope="session")
def networks(sampling: dict[str, Tensor]) -> Networks:
    """The toy networks, converted from official names; the context token is fixed."""
    unet, control = weights(svd.UNET), weights(lvcd.CONTROL)
    first_stage, conditioner = weights(svd.FIRST_STAGE), weights(svd.CONDITIONER)
    config = svd.vae_config(first_stage)
    vae = AutoencoderKLTemporalDecoder(**{k: v for k, v in config.items() if not k.startswith("_")})
    embed = LatentEmbedding(4, 64)
    torch.nn.init.zeros_(embed.project[-1].weight)
    embed.project[-1].bias.data = sampling["crossattn"].flatten()
    return Networks(
        load_network(UNet(svd.unet_config(unet)), svd.unet_tensors(unet), source="rule"),
        load_network(ControlNet(lvcd.controlnet_config(control)), lvcd.controlnet_tensors(control), source="rule"),
        VideoVAE(
            load_network(vae, svd.vae_tensors(first_stage, conditioner), source="rule"),
            load_network(first_stage_encoder(config), svd.first_stage_encoder_tensors(first_stage), source="rule"),
        ),
        embed.eval().requires_grad_(False),
    )
