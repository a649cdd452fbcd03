"""Guidance: two denoisers in, one out."""

from __future__ import annotations

from torch import Tensor

from celpaint.sampling.solvers import Denoise

__all__ = ["guided"]


def guided(conditional: Denoise, unconditional: Denoise, scale: float | Tensor) -> Denoise:
    """Classifier-free guidance (Ho & Salimans 2022): away from the unconditional answer.

    Args:
        conditional: denoiser that knows the reference.
        unconditional: denoiser that does not; not called where the scale is 1.
        scale: 1 = the conditional answer; a tensor that broadcasts against the latents gives every position its own.
    """
    if isinstance(scale, float | int) and scale == 1:
        return conditional

    def denoise(x: Tensor, sigma: float, /) -> Tensor:
        base = unconditional(x, sigma)
        return base + scale * (conditional(x, sigma) - base)

    return denoise
