"""Solvers of the probability flow: from noise to latents, knowing only ``denoise(x, sigma) -> x0``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Protocol

from torch import Tensor

__all__ = ["SOLVERS", "Denoise", "Solver", "dpmpp_2m", "euler"]


class Denoise(Protocol):
    """The one way a network meets a sampler: noisy latents and their noise level -> clean latents."""

    def __call__(self, x: Tensor, sigma: float, /) -> Tensor: ...


def _quiet(step: int) -> None:
    """Say nothing."""


def euler(denoise: Denoise, x: Tensor, sigmas: Sequence[float], told: Callable[[int], None] = _quiet) -> Tensor:
    """First order (Karras et al. 2022, algorithm 1 without its correction; LVCD, eq. 3).

    Args:
        denoise: called once a step.
        x: latents with noise of level ``sigmas[0]``.
        sigmas: falling levels, the last 0.
        told: called after every step with the number of steps done.
    """
    for i, (sigma, lower) in enumerate(pairwise(sigmas)):
        slope = (x - denoise(x, sigma)) / sigma
        x = x + (lower - sigma) * slope
        told(i + 1)
    return x


def dpmpp_2m(denoise: Denoise, x: Tensor, sigmas: Sequence[float], told: Callable[[int], None] = _quiet) -> Tensor:
    """Second order, multistep (Lu et al. 2022, DPM-Solver++, algorithm 2): as many calls as :func:`euler`.

    Arguments as there.
    """
    before: Tensor | None = None
    width = 0.0
    for i, (sigma, lower) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        if lower == 0:
            x = denoised
        else:
            step = math.log(sigma / lower)
            target = denoised
            if before is not None:
                ratio = step / (2 * width)
                target = (1 + ratio) * denoised - ratio * before
            x = (lower / sigma) * x - math.expm1(-step) * target
            width = step
        before = denoised
        told(i + 1)
    return x


class Solver(Protocol):
    """What :func:`euler` and :func:`dpmpp_2m` are."""

    def __call__(
        self, denoise: Denoise, x: Tensor, sigmas: Sequence[float], told: Callable[[int], None] = ..., /
    ) -> Tensor: ...


SOLVERS: dict[str, Solver] = {"euler": euler, "dpmpp_2m": dpmpp_2m}
"""By the name a weights card may ask for."""
