"""Guidance by several conditions at once, and guidance at some noise levels only."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from celpaint.sampling.solvers import Denoise

__all__ = ["guided_by", "limited"]


def guided_by(conditional: Denoise, without: Sequence[tuple[Denoise, float]]) -> Denoise:
    """The mean of classifier-free guidance by each condition (Ho & Salimans 2022).

    Args:
        conditional: the denoiser that knows all conditions; called once, however many there are.
        without: denoisers that lack one condition each, and the scale of its guidance. Those whose scale is 1 are
            left out; if all are, the answer is the conditional one.
    """
    active = [(denoise, scale) for denoise, scale in without if scale != 1]
    if not active:
        return conditional

    def denoise(x: Tensor, sigma: float, /) -> Tensor:
        known = conditional(x, sigma)
        total = x.new_zeros(())
        for lacking, scale in active:
            base = lacking(x, sigma)
            total = total + base + scale * (known - base)
        return total / len(active)

    return denoise


def limited(inside: Denoise, outside: Denoise, *, highest: float, lowest: float) -> Denoise:
    """One denoiser within an interval of noise levels, both ends included, another beyond it.

    With a guided denoiser inside and its conditional one outside this is guidance in a limited interval
    (Kynkäänniemi et al. 2024).
    """

    def denoise(x: Tensor, sigma: float, /) -> Tensor:
        return (inside if lowest <= sigma <= highest else outside)(x, sigma)

    return denoise
