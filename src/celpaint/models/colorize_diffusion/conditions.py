"""What a pass of the UNet is told: everything that differs between the modes, as one immutable argument.

A mode is nothing but a choice of these values, so that calls in any order leave no trace:

    mode         context      injected   style
    vanilla      reference    none       none
    style        reference    none       vectors
    background   split        features   none
    full         split        features   vectors
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from celpaint.models.colorize_diffusion.attention import Attended, Remembered, Split, Whole

__all__ = [
    "Conditions",
    "Context",
    "Figure",
    "Injected",
    "Memory",
    "ReferenceContext",
    "SplitContext",
    "StyleVectors",
]


@dataclass(frozen=True)
class Figure:
    """Where the drawing's figure is, at every level of the UNet.

    Attributes:
        levels: ``B 1 h w`` bool for every level, True in the figure.
    """

    levels: tuple[Tensor, ...]

    @classmethod
    def from_mask(cls, mask: Tensor, threshold: float, levels: int) -> Figure:
        """Resize a soft mask to every level, then compare; a value equal to the threshold is background (equation 1).

        Args:
            mask: ``B 1 h w`` at the size of the latents, 1 in the figure.
            threshold: 0 to 1.
            levels: of the UNet.
        """
        found, size = [mask > threshold], mask.shape[-2:]
        for _ in range(levels - 1):
            size = torch.Size(-(-side // 2) for side in size)
            found.append(F.interpolate(mask, tuple(size), mode="bicubic") > threshold)
        return cls(tuple(found))

    def tokens(self, level: int) -> Tensor:
        """``B N 1`` bool."""
        return self.levels[level].flatten(2).transpose(1, 2)


class Context(Protocol):
    """What the UNet's cross-attention layers attend to."""

    def at(self, level: int, place: int) -> Attended:
        """For the layer at this level, numbered from 0 in running order."""
        ...

    def dropped(self) -> Context:
        """The same without any reference, for guidance."""
        ...


def _strength(strengths: tuple[float, ...], place: int) -> float:
    return strengths[place] if strengths else 1.0


@dataclass(frozen=True)
class ReferenceContext:
    """The whole reference for every query.

    Attributes:
        tokens: ``B T D`` or ``1 T D``.
        strengths: one for each cross-attention layer in running order; empty: all 1.
    """

    tokens: Tensor
    strengths: tuple[float, ...] = ()

    def at(self, level: int, place: int) -> Whole:
        """See :class:`Context`."""
        return Whole(self.tokens, _strength(self.strengths, place))

    def dropped(self) -> ReferenceContext:
        """See :class:`Context`. Zero tokens make zero values: the layers have no biases."""
        return replace(self, tokens=torch.zeros_like(self.tokens))


@dataclass(frozen=True)
class SplitContext:
    """The figure and the rest of the drawing attend to tokens of their own (section 3.2).

    Attributes:
        foreground, background: ``B T D`` or ``1 T D`` tokens; their numbers may differ.
        figure: the drawing's figure.
        strengths: as in :class:`ReferenceContext`.
        foreground_strength, background_strength, merge, adapted: see
            :class:`~celpaint.models.colorize_diffusion.attention.Split`.
    """

    foreground: Tensor
    background: Tensor
    figure: Figure
    strengths: tuple[float, ...] = ()
    foreground_strength: float = 1.0
    background_strength: float = 1.0
    merge: float = 0.0
    adapted: bool = True

    def at(self, level: int, place: int) -> Split:
        """See :class:`Context`."""
        return Split(
            self.foreground,
            self.background,
            self.figure.tokens(level),
            self.foreground_strength,
            self.background_strength,
            self.merge,
            self.adapted,
            _strength(self.strengths, place),
        )

    def dropped(self) -> SplitContext:
        """See :class:`Context`."""
        return replace(self, foreground=torch.zeros_like(self.foreground), background=torch.zeros_like(self.background))


@dataclass(frozen=True)
class Injected:
    """Features of the background encoder, for the drawing's background (section 3.3).

    Attributes:
        features: ``B N C`` or ``1 N C`` tokens for every decoder block, in running order.
        figure: where they are not injected.
    """

    features: tuple[Tensor, ...]
    figure: Figure


StyleVectors = tuple[Tensor, ...]
"""Vectors of the style encoder, ``B 2C`` or ``1 2C`` for every decoder block, in running order (section 3.4)."""


@dataclass(frozen=True)
class Conditions:
    """Everything a pass of the UNet is told beside the noisy latents and their timestep.

    Attributes:
        hints: the sketch encoder's outputs, ``B C h w`` or ``1 C h w``.
        context: what the cross-attention layers attend to.
        injected: background features, or None.
        style: style vectors, or None.
    """

    hints: tuple[Tensor, ...]
    context: Context
    injected: Injected | None = None
    style: StyleVectors | None = None

    def without_reference(self) -> Conditions:
        """For guidance: no tokens. Hints, background features and style vectors stay, as in the official sampler."""
        return replace(self, context=self.context.dropped())

    def with_hints(self, hints: tuple[Tensor, ...]) -> Conditions:
        """The same with other hints, such as those of an empty sketch."""
        return replace(self, hints=hints)


@dataclass(frozen=True)
class Memory:
    """Self-attention inputs of an earlier pass over another picture.

    Attributes:
        tokens: one for every transformer, in running order.
        plain: share of the self-attention that ignores them, 0 to 1.
    """

    tokens: tuple[Tensor, ...]
    plain: float = 0.0

    def at(self, place: int) -> Remembered:
        """For transformer number ``place``."""
        return Remembered(self.tokens[place], self.plain)
