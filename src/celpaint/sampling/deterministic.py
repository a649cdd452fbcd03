"""More solvers of the probability flow ordinary differential equation; arguments as those of ``euler``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from numpy.polynomial import polynomial
from torch import Tensor

from celpaint.sampling.solvers import Denoise

__all__ = ["dpm_2", "heun", "lms"]


def _ignore(step: int) -> None:
    """Do nothing."""


def heun(denoise: Denoise, x: Tensor, sigmas: Sequence[float], callback: Callable[[int], None] = _ignore) -> Tensor:
    """Second order, trapezoidal (Karras et al. 2022, algorithm 1). Two calls per step, one in a step to 0."""
    for i, (sigma, lower) in enumerate(pairwise(sigmas)):
        slope = (x - denoise(x, sigma)) / sigma
        ahead = x + (lower - sigma) * slope
        if lower > 0:
            slope = (slope + (ahead - denoise(ahead, lower)) / lower) / 2
        x = x + (lower - sigma) * slope
        callback(i + 1)
    return x


def dpm_2(denoise: Denoise, x: Tensor, sigmas: Sequence[float], callback: Callable[[int], None] = _ignore) -> Tensor:
    """Second order, midpoint in ln(sigma) (Lu et al. 2022, DPM-Solver-2). Two calls per step, one in a step to 0."""
    for i, (sigma, lower) in enumerate(pairwise(sigmas)):
        slope = (x - denoise(x, sigma)) / sigma
        if lower > 0:
            middle = math.sqrt(sigma * lower)
            between = x + (middle - sigma) * slope
            slope = (between - denoise(between, middle)) / middle
        x = x + (lower - sigma) * slope
        callback(i + 1)
    return x


ORDER = 4
"""Slopes that :func:`lms` combines."""


def lms(denoise: Denoise, x: Tensor, sigmas: Sequence[float], callback: Callable[[int], None] = _ignore) -> Tensor:
    """Fourth order, linear multistep: the slope is a polynomial through the last four. One call per step."""
    slopes: list[Tensor] = []
    for i, sigma in enumerate(sigmas[:-1]):
        slopes = [(x - denoise(x, sigma)) / sigma, *slopes][:ORDER]
        weights = _adams_weights(sigmas[i - len(slopes) + 1 : i + 1][::-1], sigmas[i + 1])
        x = x + sum(weight * slope for weight, slope in zip(weights, slopes, strict=True))
        callback(i + 1)
    return x


def _adams_weights(nodes: Sequence[float], end: float) -> list[float]:
    """Integrals from ``nodes[0]`` to ``end`` of the Lagrange polynomials of the nodes."""
    weights = []
    for i, node in enumerate(nodes):
        others = [other for k, other in enumerate(nodes) if k != i]
        integral = polynomial.polyint(polynomial.polyfromroots([other - nodes[0] for other in others]))
        weights.append(float(polynomial.polyval(end - nodes[0], integral)) / math.prod(node - k for k in others))
    return weights
