"""The small palette video model whole: gray frames and a palette in, color frames out.

    gray frames + palette -> draft: every pixel colored by its luma alone -> encoder -> condition latents
    condition latents, palette -> UNet -> what the draft's latents lack
    their sum + gray frames -> decoder -> chroma; the luma is that of the gray frames

The condition latents stand in the place of the paper's gray ones; without a palette they are the same. An untrained
network gives the draft.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from celpaint.models.line_vae import LineVAE, LineVAEConfig
from celpaint.models.palette.color_network import ColorNetwork
from celpaint.models.palette.unet import SMALL, SMALL_AUTOENCODER, PaletteConfig, PaletteUNet

__all__ = ["ANSWER_SIGMA", "MICRO", "SmallPaletteModel", "denoised", "draft", "luma", "with_luma"]

ANSWER_SIGMA = 80.0
"""The noise level at which the model answers in one step; nothing of the picture is left in the noise."""

MICRO = (6.0, 127.0, 0.0)
"""Frames a second, motion bucket and noise augmentation: the gray frames are given as they are."""

BT601 = (0.299, 0.587, 0.114)
"""What red, green and blue contribute to luma (ITU-R BT.601)."""


def luma(rgb: Tensor) -> Tensor:
    """``... 3 H W`` -> ``... 1 H W``, in the same units."""
    red, green, blue = rgb.unbind(-3)
    return (BT601[0] * red + BT601[1] * green + BT601[2] * blue).unsqueeze(-3)


def with_luma(rgb: Tensor, gray: Tensor) -> Tensor:
    """The chroma of ``... 3 H W`` on the luma ``... 1 H W``, both in the same units; nothing is clipped."""
    return rgb + (gray - luma(rgb))


def draft(gray: Tensor, palette: Tensor, dropped: Tensor | None = None) -> Tensor:
    """Gray frames colored by luma: the chroma of the palette's colors at their lumas, linear in between.

    Args:
        gray: ``B T 1 H W`` in [0, 1].
        palette: ``B 3N`` in [-1, 1], from dark to light.
        dropped: ``B`` bool, which clips stay gray; None: none.

    Returns:
        ``B T 3 H W`` in [0, 1].
    """
    colors = 0.5 * palette.float().unflatten(1, (-1, 3))[..., None, None] + 0.5  # B N 3 1 1
    levels = luma(colors)
    chroma = colors - levels
    if dropped is not None:
        chroma = chroma * ~dropped[:, None, None, None, None]
    mixed = chroma[:, :1].expand(*gray.shape[:2], 3, *gray.shape[3:])
    for i in range(colors.shape[1] - 1):
        low, high = levels[:, i : i + 1], levels[:, i + 1 : i + 2]
        share = ((gray - low) / (high - low).clamp(min=1e-4)).clamp(0, 1)
        mixed = mixed + share * (chroma[:, i + 1 : i + 2] - chroma[:, i : i + 1])
    colored: Tensor = (gray + mixed).clamp(0, 1)
    return colored


class SmallPaletteModel(nn.Module):
    """Autoencoder, UNet and the maker of the context token.

    The autoencoder is :class:`~celpaint.models.line_vae.LineVAE` with gray frames in place of line maps. The context
    token is made of the palette, by a second color network.

    Args:
        config: of the UNet.
        autoencoder: sizes of the autoencoder.

    Raises:
        ValueError: the two have latents of different sizes.
    """

    def __init__(self, config: PaletteConfig = SMALL, autoencoder: LineVAEConfig = SMALL_AUTOENCODER) -> None:
        super().__init__()
        if config.unet.out_channels != autoencoder.latent_channels:
            raise ValueError(
                f"the UNet has latents of {config.unet.out_channels} channels, the autoencoder of "
                f"{autoencoder.latent_channels}"
            )
        self.line_vae = LineVAE(autoencoder)
        self.unet = PaletteUNet(config)
        self.token = ColorNetwork(config.colors, config.unet.cross_attention_dim)
        nn.init.zeros_(self.unet.unet.conv_out.weight)
        nn.init.zeros_(cast("Tensor", self.unet.unet.conv_out.bias))

    @property
    def configs(self) -> dict[str, dict[str, Any]]:
        """The constructors' arguments of the three parts, as JSON values."""
        parts = {"line_vae": self.line_vae.config, "unet": self.unet.config, "token": self.token}
        return {name: cast("Any", part).to_dict() for name, part in parts.items()}

    def context(self, palette: Tensor | None, clips: int, dropped: Tensor | None = None) -> Tensor:
        """Palettes ``B 3N`` in [-1, 1], or None for no palette -> tokens ``B 1 D``."""
        token = self.token.without_palette(clips) if palette is None else self.token(palette, dropped)
        return token[:, None]

    def condition(self, gray: Tensor, palette: Tensor | None, dropped: Tensor | None = None) -> Tensor:
        """The latents of the draft.

        Args:
            gray: ``B T 1 H W`` in [0, 1], sides multiples of 8.
            palette, dropped: see :func:`draft`; no palette: gray frames as they are.

        Returns:
            ``B T C H/8 W/8`` float32.
        """
        rgb = gray.expand(-1, -1, 3, -1, -1) if palette is None else draft(gray, palette, dropped)
        latents: Tensor = self.line_vae.encode((2 * rgb - 1).flatten(0, 1)).mode().float()
        clips: Tensor = latents.unflatten(0, gray.shape[:2])
        return clips

    def decode(self, latents: Tensor, gray: Tensor) -> Tensor:
        """Color latents ``B T C h w`` and gray frames ``B T 1 8h 8w`` in [0, 1] -> ``B T 3 8h 8w``.

        The result has the luma of the gray frames and is in about [0, 1], not clamped.
        """
        rgb = self.line_vae.decode(latents.flatten(0, 1), gray.flatten(0, 1), gray.shape[1])
        return with_luma(0.5 * rgb.float().unflatten(0, gray.shape[:2]) + 0.5, gray)

    def forward(
        self,
        noisy: Tensor,
        condition: Tensor,
        noise: Tensor,
        micro: Tensor,
        palette: Tensor | None,
        dropped: Tensor | None = None,
    ) -> Tensor:
        """The UNet's prediction of v, of what the condition lacks; see
        :class:`~celpaint.models.palette.unet.PaletteUNet`."""
        token = self.context(palette, len(noisy), dropped)
        v: Tensor = self.unet(noisy, condition, noise, token, micro, palette, dropped)
        return v


def denoised(noisy: Tensor, sigma: Tensor, v: Tensor) -> Tensor:
    """Clean latents from a prediction of v.

    Args:
        noisy: ``B T C h w``, scaled to unit variance: what the network saw.
        sigma: ``B``.
        v: ``B T C h w``.
    """
    s = sigma[:, None, None, None, None]
    return (noisy - s * v.to(torch.float32)) * (s.square() + 1).rsqrt()
