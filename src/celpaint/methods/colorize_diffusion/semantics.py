"""Where the official program differs from what its options say, and from what its authors describe.

The differences are gathered behind one interface, so that the rest of the method knows of no such case.
:class:`Intended` is the default; :class:`Official` reproduces published results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from celpaint.models.colorize_diffusion.config import ColorizeDiffusionConfig
from celpaint.sampling.combined_guidance import limited
from celpaint.sampling.discrete import DiscreteLevels
from celpaint.sampling.solvers import Denoise

__all__ = ["AttentionScales", "Encoded", "Intended", "Official", "Semantics"]

Encoded = Literal["reference", "background"]
"""Which picture is encoded to latents: the whole reference, or what the background encoder is shown."""


@dataclass(frozen=True, kw_only=True)
class AttentionScales:
    """How strongly the reference acts, 0 to 1 each.

    Attributes:
        reference: everywhere.
        encoder: in the UNet's encoder.
        semantics: in the middle and at the decoder's coarsest level that has cross-attention.
        color: at the decoder's finer levels.
        layers: one for every cross-attention layer in running order, instead of the four others; empty: use those.
    """

    reference: float = 1.0
    encoder: float = 1.0
    semantics: float = 1.0
    color: float = 1.0
    layers: tuple[float, ...] = ()


class Semantics(Protocol):
    """What the two programs do differently."""

    def strengths(self, scales: AttentionScales, config: ColorizeDiffusionConfig) -> tuple[float, ...]:
        """The strength of every cross-attention layer of the UNet, in running order."""
        ...

    def encoder_tokens(self, reference: Tensor, background: Tensor | None, styled: bool) -> Tensor:
        """The tokens that the background encoder attends to.

        Args:
            reference: tokens of the whole reference.
            background: tokens of another background picture, or None.
            styled: whether the style encoder is in use too.
        """
        ...

    def posterior_noise(self, picture: Encoded, shape: tuple[int, ...]) -> Tensor | None:
        """Unit noise for sampling the autoencoder's posterior; None: take its mean."""
        ...

    def limit(self, guided: Denoise, conditional: Denoise, levels: DiscreteLevels, start: float, end: float) -> Denoise:
        """Guidance from ``start`` to ``end`` only, as shares of the timesteps from 0 to 1."""
        ...


class Intended:
    """Every option does what it says; results do not depend on earlier runs or on random draws of the encoders."""

    def strengths(self, scales: AttentionScales, config: ColorizeDiffusionConfig) -> tuple[float, ...]:
        """See :class:`Semantics`.

        Raises:
            ValueError: ``scales.layers`` has another number of layers than the network.
        """
        if scales.layers:
            return _checked(scales.layers, config)
        coarse = 1 + config.layers + 1
        fine = config.transformers - config.encoder_transformers - coarse
        values = (scales.encoder,) * config.encoder_transformers + (scales.semantics,) * coarse + (scales.color,) * fine
        return tuple(value * scales.reference for value in values)

    def encoder_tokens(self, reference: Tensor, background: Tensor | None, styled: bool) -> Tensor:
        """See :class:`Semantics`: those of the picture that is encoded, before its figure is removed."""
        return reference if background is None else background

    def posterior_noise(self, picture: Encoded, shape: tuple[int, ...]) -> None:
        """See :class:`Semantics`: the mean."""

    def limit(self, guided: Denoise, conditional: Denoise, levels: DiscreteLevels, start: float, end: float) -> Denoise:
        """See :class:`Semantics`."""
        if start <= 0 and end >= 1:
            return guided
        last = len(levels) - 1
        highest, lowest = levels.sigma(last * (1 - start)), levels.sigma(last * (1 - end))
        return limited(guided, conditional, highest=highest, lowest=lowest)


MIDDLE, LOW = (2, 3, 10, 11, 12), (4, 5, 7, 8, 9)
"""Layers that the official program's scales for color and for semantics are written to, after the encoder's."""


@dataclass(frozen=True)
class Official:
    """The official program in a fresh process.

    - The encoder's scale reaches the first two layers only, because later scales overwrite it; the middle block and the
      finest level are never scaled.
    - The scale of layer k is applied to layer k-1; the first is ignored and the last layer is never scaled.
    - With a background picture and style enhancement the background encoder attends to the reference.
    - Latents are random samples of the autoencoder's posterior.
    - Limits of guidance have no effect.

    Its layers are numbered as in the full-size network.

    Attributes:
        noise: the picture that is encoded and the shape of its latents -> unit noise.
    """

    noise: Callable[[Encoded, tuple[int, ...]], Tensor]

    def strengths(self, scales: AttentionScales, config: ColorizeDiffusionConfig) -> tuple[float, ...]:
        """See :class:`Semantics`.

        Raises:
            ValueError: the network has another number of layers than the official one.
        """
        if config.transformers != 16:
            raise ValueError(f"the network has {config.transformers} cross-attention layers, wanted 16")
        if scales.layers:
            return (*_checked(scales.layers, config)[1:], 1.0)
        values = [1.0] * config.transformers
        for layers, scale in (((0, 1), scales.encoder), (MIDDLE, scales.color), (LOW, scales.semantics)):
            for layer in layers:
                values[layer] = scale * scales.reference
        return tuple(values)

    def encoder_tokens(self, reference: Tensor, background: Tensor | None, styled: bool) -> Tensor:
        """See :class:`Semantics`."""
        return reference if background is None or styled else background

    def posterior_noise(self, picture: Encoded, shape: tuple[int, ...]) -> Tensor:
        """See :class:`Semantics`."""
        return self.noise(picture, shape)

    def limit(self, guided: Denoise, conditional: Denoise, levels: DiscreteLevels, start: float, end: float) -> Denoise:
        """See :class:`Semantics`: without effect."""
        return guided


def _checked(layers: tuple[float, ...], config: ColorizeDiffusionConfig) -> tuple[float, ...]:
    if len(layers) != config.transformers:
        raise ValueError(f"{len(layers)} layer scales, wanted {config.transformers}")
    return layers
