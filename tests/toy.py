"""Networks at toy size."""

from __future__ import annotations

from typing import Any

from celpaint.models.line_vae import LineVAE, LineVAEConfig
from celpaint.models.lvcd.controlnet import ControlNet
from celpaint.models.lvcd.unet import UNet, UNetConfig

WITHOUT, WITH_ATTENTION = "DownBlockSpatioTemporal", "CrossAttnDownBlockSpatioTemporal"


def toy_config(**changes: Any) -> UNetConfig:
    """The smallest UNet that has all of its parts: two levels, one of them with transformers.

    Args:
        changes: fields that are to be other.
    """
    sizes: dict[str, Any] = {
        "down_block_types": (WITHOUT, WITH_ATTENTION),
        "block_out_channels": (32, 32),
        "layers_per_block": 1,
        "num_attention_heads": (2, 2),
        "cross_attention_dim": 16,
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 24,
    }
    return UNetConfig(**sizes | changes)


def toy_controlnet(unet: UNet) -> ControlNet:
    """Untrained, so that it changes nothing yet."""
    return ControlNet.from_unet(unet, conditioning_channels=1, conditioning_embedding_out_channels=(4, 4, 8, 8))


def toy_line_vae(channels: int = 4) -> LineVAE:
    """An autoencoder whose latents have so many ``channels``, as many as the toy UNet's at first."""
    return LineVAE(LineVAEConfig(latent_channels=channels, widths=(8, 8, 16, 16), blocks=1))


MATCHER: dict[str, Any] = {
    "channels": [8, 8, 16],
    "width": 16,
    "layers": 1,
    "mend_layers": 1,
    "heads": 2,
    "key": 16,
    "fine_key": 8,
    "value": 8,
    "fine_value": 4,
}
"""Arguments of the smallest :class:`celpaint.models.matcher.network.Matcher` that is whole."""
