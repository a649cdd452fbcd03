"""The matcher with a part taken away, to measure what the part is worth. Nothing is retrained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from celpaint.methods.matcher.run import Matcher

if TYPE_CHECKING:
    from celpaint.methods.matcher.flat_fill import Drawing
    from celpaint.methods.matcher.run import _Drawn
    from celpaint.methods.matcher.spec import MatcherOptions
    from celpaint.models.matcher.blend import Aligned, Blended
    from celpaint.types import Array

__all__ = ["WithoutBlend", "WithoutDetail", "WithoutMemoryPrior", "WithoutRegions", "WithoutSmoothing"]


class WithoutSmoothing(Matcher):
    """Unsure regions stay as they were painted."""

    def _calm(self, mixed: Blended, drawn: _Drawn) -> Blended:
        return mixed


class WithoutBlend(Matcher):
    """Nothing is moved onto the drawing by optical flow: all is as the network painted it."""

    def _blend(self, drawn: _Drawn, rgb: Tensor, confidence: Tensor, aligned: Aligned) -> Blended:
        mixed = super()._blend(drawn, rgb, confidence, aligned)
        return replace(mixed, rgb=rgb, confidence=confidence, share=torch.zeros_like(mixed.share))


class WithoutRegions(Matcher):
    """The tokens of a closed region need not agree on where they come from. For flat fills regions are needed."""

    def _draw(self, line: Array, work: tuple[int, int], drawing: Drawing | None = None) -> _Drawn:
        drawn = super()._draw(line, work, drawing)
        return replace(drawn, features=replace(drawn.features, regions=None))


class WithoutMemoryPrior(Matcher):
    """Drawings just colored weigh as much as painted references, before their own confidence."""

    memory_prior: ClassVar[float] = 0.0


class WithoutDetail(Matcher):
    """Colors found at a smaller size are enlarged by interpolation alone."""

    @classmethod
    def load(cls, options: MatcherOptions) -> Self:
        method = super().load(options)
        method.network.detail = _Interpolate()  # type: ignore[assignment]
        return method


class _Interpolate(nn.Module):
    """Stands in for the detail network."""

    def forward(self, small: Tensor, small_line: Tensor, line: Tensor) -> Tensor:
        """``B C h w`` -> ``B C H W``, the size of ``line``."""
        return F.interpolate(small, line.shape[-2:], mode="bilinear", align_corners=False)
