"""A window of gray footage and a palette, as a denoiser."""

from __future__ import annotations

import torch
from torch import Tensor

from celpaint.models.palette.small import MICRO, SmallPaletteModel, denoised
from celpaint.models.palette.unet import PaletteUNet
from celpaint.sampling.sigmas import v_scaling
from celpaint.types import Array

__all__ = ["PaletteDenoiser", "SmallDenoiser", "token_picture"]


class PaletteDenoiser:
    """Denoises one window.

    Args:
        network: its weights loaded, on the device.
        gray: ``T C h w``, latents of the gray frames.
        token: ``1 1 D``, the image token.
        palette: ``3N`` in [-1, 1], as :meth:`celpaint.conditions.palette.value.Palette.vector` gives it; None: none.
        micro: ``M`` micro-conditions.
    """

    def __init__(
        self,
        network: PaletteUNet,
        *,
        gray: Tensor,
        token: Tensor,
        palette: Tensor | None,
        micro: tuple[float, ...] = MICRO,
    ) -> None:
        self.network, self.gray, self.token, self.palette, self.micro = network, gray, token, palette, micro

    def __call__(self, x: Tensor, sigma: float, /) -> Tensor:
        """``T C h w`` -> ``T C h w`` float32."""
        scaling = v_scaling(sigma)
        v: Tensor = self.network(
            (x * scaling.inner)[None],
            self.gray[None],
            torch.full((1,), scaling.noise, device=x.device),
            self.token,
            torch.tensor([self.micro], device=x.device),
            None if self.palette is None else self.palette[None],
        )
        return x * scaling.skip + v[0].float() * scaling.out

    def without_palette(self) -> PaletteDenoiser:
        """The same, knowing no palette: what guidance leads away from."""
        return PaletteDenoiser(self.network, gray=self.gray, token=self.token, palette=None, micro=self.micro)


def token_picture(gray: Array, reference: Array | None = None) -> Array:
    """The picture that the image token is made of, one for a whole video.

    Wang et al. 2025, section III-B, train with a color frame of the video, which footage to be colored does not have.

    Args:
        gray: ``H W 3`` in [0, 1], the first gray frame.
        reference: ``H W 3`` in [0, 1], a color picture, of any content and size; None: there is none.
    """
    return gray if reference is None else reference


class SmallDenoiser:
    """Denoises one window of what the condition of the small model lacks.

    Args:
        network: its weights loaded, on the device.
        luma: ``1 T 1 H W`` in [0, 1], the gray frames.
        palette: ``1 3N`` in [-1, 1]; None: none.
        guidance: weight of what the palette changes; 1 = no guidance.
    """

    def __init__(
        self, network: SmallPaletteModel, luma: Tensor, palette: Tensor | None, *, guidance: float = 1.0
    ) -> None:
        self.network, self.palette = network, palette
        self.condition = network.condition(luma, palette)
        self.guidance = 1.0 if palette is None else guidance
        self.bare = network.condition(luma, None) if self.guidance != 1 else self.condition

    def __call__(self, x: Tensor, sigma: float, /) -> Tensor:
        """``T C h w`` -> ``T C h w`` float32."""
        told = self._answer(x, sigma, self.condition, self.palette)
        if self.guidance == 1:
            return told
        between = (self.bare - self.condition)[0]  # two answers are compared as latents of the same frames
        untold = self._answer(x - between, sigma, self.bare, None) + between
        return untold + self.guidance * (told - untold)

    def _answer(self, x: Tensor, sigma: float, condition: Tensor, palette: Tensor | None) -> Tensor:
        level = torch.tensor([sigma], device=x.device)
        noisy = (x * v_scaling(sigma).inner)[None]
        micro = torch.tensor([MICRO], device=x.device)
        v = self.network(noisy, condition, 0.25 * level.log(), micro, palette)
        return denoised(noisy, level, v)[0]
