"""Parts taken away, as in table 1 of the paper, to measure what each is worth.

There networks are retrained, here not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from celpaint.methods.shi2023.run import Shi2023
from celpaint.methods.shi2023.spec import Shi2023Options
from celpaint.models.shi2023.attention import Attended, AttentionReferences, DistanceAttention
from celpaint.types import Array

__all__ = ["WithoutAttention", "WithoutDistance", "WithoutEmbedder", "WithoutLines", "WithoutRefinement"]


class WithoutRefinement(Shi2023):
    """Every frame stays as the color transform network painted it ("No Temporal")."""

    @classmethod
    def load(cls, options: Shi2023Options) -> Self:
        return super().load(replace(options, refine="off"))


class WithoutLines(Shi2023):
    """Distance fields stand in for line art ("No Line Art")."""

    def conditions(self, line: Array) -> tuple[Array, Array]:
        _, distance = super().conditions(line)
        return 1 - np.minimum(distance / np.float32(self.networks.transform.config.reach), 1), distance


class WithoutDistance(Shi2023):
    """Line art stands in for distance fields ("No Distance")."""

    def conditions(self, line: Array) -> tuple[Array, Array]:
        return line, (1 - line) * np.float32(self.networks.transform.config.reach)


class WithoutAttention(Shi2023):
    """Nothing is matched: colors come from the style vector alone ("No Sim")."""

    @classmethod
    def load(cls, options: Shi2023Options) -> Self:
        method = super().load(options)
        transform = method.networks.transform
        transform.attention = _Unattended(transform.attention)  # type: ignore[assignment]
        return method


class WithoutEmbedder(Shi2023):
    """Instance normalization in place of AdaIN: colors come from matching alone ("No Emb")."""

    @classmethod
    def load(cls, options: Shi2023Options) -> Self:
        method = super().load(options)
        config = method.networks.transform.config
        plain = _Plain(config.widths[-1], norms=2 * config.blocks).to(method.device)
        method.networks.transform.to_affine = plain  # type: ignore[assignment]
        return method


class _Unattended(nn.Module):
    """Stands in for the distance attention layer and transfers nothing."""

    def __init__(self, attention: DistanceAttention) -> None:
        super().__init__()
        self.attention = attention

    def encode_references(self, distance: Tensor, color: Tensor) -> AttentionReferences:
        """See :class:`~celpaint.models.shi2023.attention.DistanceAttention`."""
        return self.attention.encode_references(distance, color)

    def forward(self, distance: Tensor, references: AttentionReferences, *, rows: int | None = None) -> Attended:
        """``B T C h w`` -> zeros."""
        return Attended(torch.zeros_like(distance), torch.zeros_like(distance[:, :, :1]))


class _Plain(nn.Module):
    """Stands in for the layers that turn the style vector into AdaIN's parameters."""

    affine: Tensor

    def __init__(self, channels: int, *, norms: int) -> None:
        super().__init__()
        beta_gamma = torch.tensor([0.0, 1.0]).repeat_interleave(channels)
        self.register_buffer("affine", beta_gamma.repeat(norms), persistent=False)

    def forward(self, style: Tensor) -> Tensor:
        """``B S`` -> beta 0 and gamma 1 of every norm."""
        return self.affine.expand(len(style), -1)
