"""The palette video model: Stable Video Diffusion's UNet, gray frames at its side, a palette on its first feature map.

Source: Wang et al., "Consistent Video Colorization via Palette Guidance", 2025, section III-A and III-B. Every frame
has the latents of its own gray picture, in place of those of the first frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from celpaint.models.attention import Routing
from celpaint.models.line_vae import LineVAEConfig
from celpaint.models.lvcd.unet import SVD, WITH_ATTENTION, WITHOUT, UNet, UNetConfig, UNetOutput
from celpaint.models.palette.color_network import ColorNetwork, replicated
from celpaint.models.palette.lookup import PaletteLookup

__all__ = ["FULL", "SMALL", "SMALL_AUTOENCODER", "PaletteConfig", "PaletteUNet", "plain_routing"]


@dataclass(frozen=True, kw_only=True)
class PaletteConfig:
    """Sizes of the model.

    Attributes:
        unet: of the UNet; its input is the noisy latents and the gray ones, its output as many as either.
        colors: of a palette.
        lookup_heads: of :class:`~celpaint.models.palette.lookup.PaletteLookup`; 0: there is none, as in the paper.

    Raises:
        ValueError: the sizes contradict one another.
    """

    unet: UNetConfig
    colors: int = 5
    lookup_heads: int = 0

    def __post_init__(self) -> None:
        if self.unet.in_channels != 2 * self.unet.out_channels:
            raise ValueError(
                f"{self.unet.in_channels} channels in and {self.unet.out_channels} out, wanted twice as many in"
            )

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> PaletteConfig:
        """From JSON values."""
        return cls(
            unet=UNetConfig.from_dict(config["unet"]), colors=config["colors"], lookup_heads=config["lookup_heads"]
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "_class_name": "PaletteUNet",
            "unet": self.unet.to_dict(),
            "colors": self.colors,
            "lookup_heads": self.lookup_heads,
        }


FULL = PaletteConfig(unet=SVD)
"""The paper's: Stable Video Diffusion's sizes and five colors."""

SMALL = PaletteConfig(
    unet=replace(
        SVD,
        in_channels=16,
        out_channels=8,
        down_block_types=(WITHOUT, WITH_ATTENTION, WITH_ATTENTION),
        block_out_channels=(64, 64, 96),
        layers_per_block=1,
        num_attention_heads=(2, 2, 3),
        cross_attention_dim=64,
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=96,
    ),
    lookup_heads=6,
)
"""For two CPU cores: no attention at the latents' own resolution but that over the palette."""

SMALL_AUTOENCODER = LineVAEConfig(latent_channels=8, widths=(16, 40, 80, 128), blocks=1)
"""The autoencoder of :data:`SMALL`: the line-aware one, trained with gray frames in place of line maps. Its decoder
knows the luminance of every pixel, and the latents have only color to carry."""


def plain_routing(frames: int) -> Routing:
    """Every frame attends to itself in space, and to all frames in time: Stable Video Diffusion as it was trained."""
    return Routing(0, tuple(range(frames)), ((),) * frames, (1.0,) * frames)


class PaletteUNet(nn.Module):
    """Denoises a window of color latents, given the gray ones and a palette.

    Attributes:
        unet: has the names of Stable Video Diffusion's UNet.
        color_network: what brings the palette in.
        lookup: what brings it to single places; None where the config has no lookup heads.
    """

    def __init__(self, config: PaletteConfig = FULL) -> None:
        super().__init__()
        self.config = config
        self.unet = UNet(config.unet)
        self.color_network = ColorNetwork(config.colors, config.unet.block_out_channels[0])
        self.lookup = (
            PaletteLookup(config.unet.out_channels, config.unet.block_out_channels[0], config.lookup_heads)
            if config.lookup_heads
            else None
        )

    def load_svd(self, tensors: Mapping[str, Tensor]) -> None:
        """Take Stable Video Diffusion's weights: the start of training. The model then answers as it does.

        Args:
            tensors: of diffusers' ``UNetSpatioTemporalConditionModel``, all of them and no others.

        Raises:
            RuntimeError: a tensor is missing, unknown or of another shape.
        """
        self.unet.load_state_dict(tensors, strict=True)

    def forward(
        self,
        noisy: Tensor,
        gray: Tensor,
        noise: Tensor,
        token: Tensor,
        micro: Tensor,
        palette: Tensor | None,
        dropped: Tensor | None = None,
    ) -> Tensor:
        """One pass.

        Args:
            noisy: ``B T C h w``, noisy latents of the color frames, scaled to unit variance.
            gray: ``B T C h w``, latents of the gray frames. In equation 2 they come first; here they come second,
                where the pretrained first convolution expects its clean latents.
            noise: ``B``, the noise condition, ln(sigma) / 4.
            token: ``B 1 D``, the image token, the same for all frames.
            micro: ``B M``, micro-conditions.
            palette: ``B 3N`` in [-1, 1]; None: no palette.
            dropped: ``B`` bool, see :class:`~celpaint.models.palette.color_network.ColorNetwork`.

        Returns:
            ``B T C h w``, the prediction of v.
        """
        batch, frames = noisy.shape[:2]
        embedding = (
            self.color_network.without_palette(batch) if palette is None else self.color_network(palette, dropped)
        )
        added = replicated(embedding, frames)
        if self.lookup is not None:
            added = added + self.lookup(gray, palette, dropped)
        out: UNetOutput = self.unet(
            torch.cat([noisy, gray], dim=2),
            noise,
            token,
            micro,
            plain_routing(frames),
            extra_features=added,
        )
        return out.sample
