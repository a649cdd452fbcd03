"""The color transform network (Shi et al. 2023, section 3.2, equations 1 and 2).

    references: lines, distance, rgb        -> what they offer any drawing     (ColorTransform.encode_references)
    drawing: lines, distance + references   -> rgb, confidence                 (ColorTransform.color)
    all of it at once, and what supervises  -> the same, and latent colors     (ColorTransform.forward)

Inside, colors and lines are in [-1, 1] as in the paper; outside as everywhere in the package. Any size works: sizes
that 16 does not divide are padded inside. Borders are replicated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from celpaint.errors import InputError, ReferenceFrameError
from celpaint.models.shi2023.attention import AttentionReferences, DistanceAttention
from celpaint.models.shi2023.config import TransformConfig
from celpaint.models.shi2023.layers import (
    NormConv,
    Residual,
    UpsampleConv,
    add_spectral_norm,
    pad_to_multiple,
    signed,
    unsigned,
)

__all__ = ["ColorTransform", "ReferenceFeatures", "Supervision", "Transformed"]

STRIDE = 16
"""What the sides of a picture are padded to multiples of."""


@dataclass(frozen=True)
class ReferenceFeatures:
    """K painted references, encoded once for any number of drawings.

    Attributes:
        attention: for the distance attention layer.
        style: ``B K S``, the style vector of each.
        size: (height, width) in pixels before padding.
    """

    attention: AttentionReferences
    style: Tensor
    size: tuple[int, int]

    @classmethod
    def join(cls, parts: Sequence[ReferenceFeatures]) -> ReferenceFeatures:
        """The references of all parts, which have one size, as if they had been encoded together."""
        attention = AttentionReferences.join([part.attention for part in parts])
        return cls(attention, torch.cat([part.style for part in parts], 1), parts[0].size)


@dataclass(frozen=True)
class Transformed:
    """Colored drawings.

    Attributes:
        rgb: ``B T 3 H W`` in [0, 1].
        confidence: ``B T 1 H W`` in [0, 1], see :class:`celpaint.models.shi2023.attention.Attended`.
    """

    rgb: Tensor
    confidence: Tensor


@dataclass(frozen=True)
class Supervision:
    """Intermediate results that training supervises.

    Attributes:
        similarity: ``B T N K*N``, the logits of the matching matrix; ``N = h*w`` positions, row by row, references one
            after another.
        grid: (h, w), a quarter of the padded height and width.
        similar: ``B T 3 h w`` in [0, 1], colors decoded from the output of the attention layer (y_sim of equation 9).
        middle: ``B T 3 h w`` in [0, 1], colors decoded from the output of the residual blocks (y_mid of equation 9).
    """

    similarity: Tensor
    grid: tuple[int, int]
    similar: Tensor
    middle: Tensor


class Encoder(nn.Sequential):
    """Three convolutions to a quarter of the size, each with instance norm and ReLU, then residual blocks if any."""

    def __init__(self, inputs: int, config: TransformConfig, *, context: tuple[int, ...] = ()) -> None:
        full, half, quarter = config.widths
        super().__init__(
            NormConv(_conv(inputs, full, config.entry_kernel, bias=False)),
            NormConv(_halving(full, half, bias=False)),
            NormConv(_halving(half, quarter, bias=False)),
            *(Residual(quarter, dilation=d) for d in context),
        )


class Decoder(nn.Sequential):
    """Four convolutions, the second and third after upsampling by 2; RGB in [-1, 1]."""

    def __init__(self, config: TransformConfig) -> None:
        full, half, quarter = config.widths

        def upsample(inputs: int, outputs: int) -> NormConv:
            kernel = config.upsample_kernel
            return NormConv(UpsampleConv(inputs, outputs, kernel, padding_mode="replicate", bias=False))

        super().__init__(
            NormConv(_conv(quarter, quarter, 3, bias=False)),
            upsample(quarter, half),
            upsample(half, full),
            _conv(full, 3, config.exit_kernel),
            nn.Tanh(),
        )


class Embedder(nn.Module):
    """Five convolutions over lines and colors of a reference, then the mean over the picture: its style vector."""

    def __init__(self, config: TransformConfig) -> None:
        super().__init__()
        first, *others = config.embedder
        layers: list[nn.Module] = [_conv(4, first, config.entry_kernel), nn.ReLU()]
        for inputs, outputs in pairwise((first, *others)):
            layers += [_halving(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, lines: Tensor, rgb: Tensor) -> Tensor:
        """``N 1 H W`` and ``N 3 H W`` in [-1, 1] -> ``N S``."""
        style: Tensor = self.layers(torch.cat([lines, rgb], 1)).mean((2, 3))
        return style


class ColorTransform(nn.Module):
    """The generator of the color transform network; its discriminator is a class of its own.

    Args:
        config: its sizes.
    """

    def __init__(self, config: TransformConfig) -> None:
        super().__init__()
        self.config = config
        channels, style = config.widths[-1], config.embedder[-1]
        self.encode_lines = Encoder(1, config)
        self.encode_distance = Encoder(1, config, context=config.context)
        self.encode_color = Encoder(3, config)
        self.attention = DistanceAttention(channels, key=config.key, value=config.value, scale=config.scale)
        self.embed = Embedder(config)
        affine = nn.Linear(style, config.blocks * 4 * channels)
        self.to_affine = nn.Sequential(nn.Linear(style, style), nn.ReLU(), affine)
        self.middle = nn.ModuleList(Residual(channels) for _ in range(config.blocks))
        self.decode = Decoder(config)
        self.latent_similar, self.latent_middle = (nn.Sequential(_conv(channels, 3, 3), nn.Tanh()) for _ in range(2))
        nn.init.normal_(affine.weight, std=0.01)
        with torch.no_grad():  # AdaIN starts as instance norm: beta 0, gamma 1
            affine.bias.view(-1, 2, channels).copy_(torch.tensor([0.0, 1.0])[:, None])
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def add_spectral_norm(self) -> None:
        """For training: spectral norm on encoders and decoder, not on the embedder (sections 3.5 and 4.2, figure 6c).

        :func:`celpaint.models.shi2023.layers.plain_tensors` takes it out of the trained weights again.
        """
        add_spectral_norm([self.encode_lines, self.encode_distance, self.encode_color, self.decode])

    def encode_references(self, lines: Tensor, distance: Tensor, rgb: Tensor) -> ReferenceFeatures:
        """Encode painted references once, for any number of drawings.

        Args:
            lines: ``B K 1 H W`` in [0, 1], 1 where ink.
            distance: ``B K 1 H W`` in pixels, see :func:`celpaint.conditions.distance.distance_map`.
            rgb: ``B K 3 H W`` in [0, 1].

        Raises:
            ReferenceFrameError: K is 0.
        """
        clips, count = lines.shape[:2]
        if not count:
            raise ReferenceFrameError("no reference was given", wanted="at least one painted frame")
        color, ink = self._picture(signed(rgb)), self._picture(signed(1 - lines))
        features = self.encode_color(color).unflatten(0, (clips, count))
        return ReferenceFeatures(
            attention=self.attention.encode_references(self._distance_features(distance), features),
            style=self.embed(ink, color).unflatten(0, (clips, count)),
            size=(lines.shape[3], lines.shape[4]),
        )

    def color(
        self, lines: Tensor, distance: Tensor, references: ReferenceFeatures, *, rows: int | None = None
    ) -> Transformed:
        """Color drawings.

        Args:
            lines: ``B T 1 H W`` in [0, 1], 1 where ink.
            distance: ``B T 1 H W`` in pixels.
            references: of the same B clips and the same size.
            rows: see :class:`celpaint.models.shi2023.attention.DistanceAttention`.

        Raises:
            InputError: the references have another size.
        """
        transformed, _, _ = self._color(lines, self._distance_features(distance), references, rows)
        return transformed

    def forward(
        self,
        lines: Tensor,
        distance: Tensor,
        reference_lines: Tensor,
        reference_distance: Tensor,
        reference_rgb: Tensor,
    ) -> tuple[Transformed, Supervision]:
        """For training: color ``B T`` drawings from ``B K`` references, arguments as in the other methods."""
        references = self.encode_references(reference_lines, reference_distance, reference_rgb)
        features = self._distance_features(distance)
        transformed, similar, middle = self._color(lines, features, references, None)
        frames, grid = lines.shape[:2], (features.shape[3], features.shape[4])
        return transformed, Supervision(
            similarity=self.attention.similarity(features, references.attention),
            grid=grid,
            similar=unsigned(self.latent_similar(similar)).unflatten(0, frames),
            middle=unsigned(self.latent_middle(middle)).unflatten(0, frames),
        )

    def _color(
        self, lines: Tensor, distance: Tensor, references: ReferenceFeatures, rows: int | None
    ) -> tuple[Transformed, Tensor, Tensor]:
        """Also returns f_sim and f_mid, ``B*T C h w``."""
        clips, count, _, height, width = lines.shape
        if references.size != (height, width):
            seen = " x ".join(map(str, reversed(references.size)))
            raise InputError(f"the references have {seen} pixels", wanted=f"{width} x {height}, as the drawings have")
        attended = self.attention(distance, references.attention, rows=rows)
        similar = attended.features.flatten(0, 1)
        affine = self.to_affine(references.style.mean(1)).view(clips, self.config.blocks, 2, 2, -1)
        affine = affine.repeat_interleave(count, 0)
        middle = self.encode_lines(self._picture(signed(1 - lines))) + similar  # equation 2
        for i, block in enumerate(self.middle):
            middle = block(middle, affine[:, i])
        confidence = F.interpolate(attended.confidence.flatten(0, 1), scale_factor=4, mode="bilinear")

        def cropped(x: Tensor) -> Tensor:
            picture: Tensor = x[..., :height, :width].unflatten(0, (clips, count))
            return picture

        transformed = Transformed(cropped(unsigned(self.decode(middle))), cropped(confidence))
        return transformed, similar, middle

    def _picture(self, x: Tensor) -> Tensor:
        """``B T C H W`` -> ``B*T C H' W'``, padded."""
        return pad_to_multiple(x.flatten(0, 1), STRIDE)

    def _distance_features(self, distance: Tensor) -> Tensor:
        """``B T 1 H W`` in pixels -> ``B T C h w``."""
        field = (distance / self.config.reach).clamp(max=1)
        features: Tensor = self.encode_distance(self._picture(signed(field))).unflatten(0, distance.shape[:2])
        return features


def _conv(inputs: int, outputs: int, kernel: int, *, bias: bool = True) -> nn.Conv2d:
    """A convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode="replicate", bias=bias)


def _halving(inputs: int, outputs: int, *, bias: bool = True) -> nn.Conv2d:
    """A convolution that halves the size."""
    return nn.Conv2d(inputs, outputs, 4, 2, 1, padding_mode="replicate", bias=bias)
